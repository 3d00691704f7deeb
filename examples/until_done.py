"""Few epochs first, then on from exactly there until the advice is to stop; the best weights are kept.

python examples/until_done.py 2000 10        # training images; epochs at most
"""

import sys

import downstroke

size, most = (int(text) for text in sys.argv[1:3]) if len(sys.argv) > 2 else (5_000, 100)
run = downstroke.train(model="mlp", epochs=2, train_size=size, name="until-done")
print(f"after two epochs: {run.advice().reason}")
run.extend(until_done=True, max_epochs=most)
advice = run.advice()
print(f"after {advice.epoch} epochs: {advice.reason}")
print(f"the best is epoch {run.history.best.epoch}, val loss {run.history.best.val_loss:.4f}")
