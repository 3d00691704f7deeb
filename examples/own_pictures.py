"""Own pictures: a folder with a folder for each class becomes a reader of those classes.

python examples/own_pictures.py pictures new.png        # pictures/0/*.png, pictures/1/*.png, ...
"""

import sys

import downstroke

if len(sys.argv) != 3:
    sys.exit(__doc__)
folder, new = sys.argv[1:]
run = downstroke.train(data=folder, model="mlp", epochs=20)
print(f"{len(run.classes)} classes: {', '.join(run.classes)}; val accuracy {run.history[-1].val_accuracy:.1%}")
print(f"{new} is a {run.reader().read(new, digit=True).text}")
