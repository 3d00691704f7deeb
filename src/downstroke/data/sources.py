"""Where images and labels come from: the packed MNIST, or a path whose form is found out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from downstroke.data import packed
from downstroke.data.dataset import Dataset, Part
from downstroke.errors import DataError


def load(data: str | Path = "mnist", split_seed: int = 0) -> Dataset:
    """Load."""
    if data == "mnist":
        return _mnist()
    raise DataError(f"{data}: not there yet")


def _mnist() -> Dataset:
    train_images, train_labels, test_images, test_labels = packed.unpack()
    return Dataset(
        name="mnist",
        train=Part(train_images, train_labels.astype(np.int64)),
        test=Part(test_images, test_labels.astype(np.int64)),
        classes=tuple("0123456789"),
        own_test=True,
    )
