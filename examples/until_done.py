"""Few epochs first, then on from exactly there until the advice is to stop; the best weights are kept.

python examples/until_done.py 2000 10        # training images; epochs after the first two, at most
"""

import sys

import downstroke

size = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
most = int(sys.argv[2]) if len(sys.argv) > 2 else 100
run = downstroke.train(model="mlp", epochs=2, train_size=size)
print(f"after two epochs: {run.advice().reason}")
run.extend(until_done=True, max_epochs=most)
advice = run.advice()
print(f"after {advice.epoch} epochs: {advice.reason}")
print(f"the best is epoch {run.history.best.epoch}, val loss {run.history.best.val_loss:.4f}")
