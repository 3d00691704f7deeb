"""A model of one's own: any callable that takes the number of classes. From the command line the same is

PYTHONPATH=examples downstroke train --model own_model:small --epochs 2
"""

import sys

from torch import nn

import downstroke


def small(classes: int) -> nn.Module:
    """From float32 images [B,1,28,28] to logits [B,classes]."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 5, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, classes),
    )


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    run = downstroke.train(model="own_model:small", epochs=2, train_size=size)
    print(f"{run.name}: val accuracy {run.history[-1].val_accuracy:.1%}")
