"""Advice on the log of another program: the CSV that Keras' CSVLogger wrote.

python examples/keras_log.py training.csv
"""

import sys

import downstroke

if len(sys.argv) != 2:
    sys.exit(__doc__)
advice = downstroke.advise(sys.argv[1])
print(f"{advice.verdict}: {advice.reason}")
print("stop" if advice.stop else "train on")
