"""`downstroke bench few-labels`: a training on 10, and on 100, images per class, redrawn each time."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstroke.api import train
from downstroke.bench.timing import Say, completed, machine
from downstroke.data import sources
from downstroke.data.batches import shuffled
from downstroke.data.dataset import Dataset
from downstroke.recipe import Recipe, named
from downstroke.runs.outputs import output_json

EPOCH = 12_000  # images of an epoch: the few ones repeated, each varied anew
_DRAW = 40  # the stream of random bits that a draw is from


def recipe() -> Recipe:
    """Varied handwriting and half of the last layer dropped: chosen on val images and other draws."""
    return named("best").replace(
        name="few-labels", model="wide", dropout=0.5, augment="handwriting", label_smoothing=0.1, epochs=8
    )


def measure(*, labels: Sequence[int], draws: int, out: Path, say: Say) -> dict[str, Any]:
    """Test accuracy for each number of images per class, over draws 0..n-1, none dropped; saved to `out`."""
    mnist = sources.load("mnist")
    figures: dict[str, Any] = {**machine(), "recipe": recipe().to_dict()}
    with tempfile.TemporaryDirectory(prefix="downstroke-bench-") as home:
        for count in labels:
            found, seconds = [], []
            for draw in range(draws):
                data = few(mnist, count, draw, Path(home) / f"{count}-{draw}.npz")
                run = completed(
                    train(
                        recipe(),
                        data=str(data),
                        val_size=0,
                        seed=draw,
                        progress=False,
                        runs_dir=home,
                        name=f"{count}-{draw}",
                    )
                )
                found.append(run.test()["accuracy"])
                seconds.append(run.summary()["train_seconds"])
                say(f"{count} a class, draw {draw}: {found[-1]:.2%} after {seconds[-1]:.0f} s")
            figures[f"{count} a class"] = {
                "test_accuracy_mean": statistics.mean(found),
                "test_accuracy": found,
                "train_seconds_median": statistics.median(seconds),
            }
            output_json(out, figures)
    return figures


def few(mnist: Dataset, count: int, draw: int, path: Path) -> Path:
    """Write `count` training images of each class, repeated to an epoch of EPOCH, beside all test images."""
    chosen = drawn(mnist.train.labels, count, draw)
    repeated = np.tile(chosen, max(1, round(EPOCH / len(chosen))))
    train_part, test = mnist.train.take(repeated), mnist.test
    np.savez(path, x_train=train_part.images, y_train=train_part.labels, x_test=test.images, y_test=test.labels)
    return path


def drawn(labels: NDArray[np.int64], count: int, draw: int) -> NDArray[np.int64]:
    """The indices of `count` images of each class of `labels` [N]: a function of its arguments alone."""
    order = shuffled(len(labels), _DRAW, draw)
    return np.concatenate([order[labels[order] == label][:count] for label in np.unique(labels)])
