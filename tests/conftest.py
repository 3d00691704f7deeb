"""Tiny real data for all tests: a few hundred MNIST images in an .npz."""

import os
from pathlib import Path

# One thread: the nets here are too small to share out, and threads that wait for each other on a busy machine are slow.
# Before torch is imported, and for the processes that tests start, too.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest

from downstroke.data import sources
from downstroke.data.dataset import Dataset


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    return sources.load("mnist")


@pytest.fixture(scope="session")
def tiny(mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """650 training and 200 test images: with 50 for val and batches of 64, an epoch is 10 steps, the last one short."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.npz"
    np.savez(
        path,
        x_train=mnist.train.images[:650],
        y_train=mnist.train.labels[:650],
        x_test=mnist.test.images[:200],
        y_test=mnist.test.labels[:200],
    )
    return path
