"""Images with their labels, and the seeded ways to divide them: val set apart, train cut short, labels spoilt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from downstroke.data.batches import random_bits, shuffled
from downstroke.errors import DataError, RecipeError, counted

#: Each use has random bits of its own, whatever the seed; 1 is the order of an epoch, in batches.py.
_SPLIT, _CUT, _SPOIL, _TEST = 2, 3, 4, 5


@dataclass(frozen=True)
class Part:
    """A set of images with their labels: train, val or test.

    `images`: uint8 [N, 28, 28], ink high on zero. `labels`: int64 [N], 0..classes-1.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        assert self.images.dtype == np.uint8, self.images.dtype
        assert self.labels.dtype == np.int64, self.labels.dtype
        assert self.images.shape == (len(self.labels), 28, 28), self.images.shape

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Part:
        """The images and labels at `indices`, copied."""
        return Part(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """What there is to learn from (`train`; val comes out of it), and what is sealed (`test`)."""

    name: str
    train: Part
    test: Part
    classes: tuple[str, ...]  # the name of each label
    own_test: bool  # False: the data had no test part, and 1/7 of it was set apart by the split seed
    val: Part | None = None  # the data's own val part; None: val comes out of train
    notices: tuple[str, ...] = ()  # lines about what was found in the data and what was left out
    known: str | None = None  # its fingerprint, where the data is shipped and never differs

    def fingerprint(self) -> str:
        """32 hex digits that change with any image, label or class name: a run knows its data again by them."""
        return self.known or self._digest(self.train, self.test, *([self.val] if self.val else []))

    def val_fingerprint(self) -> str | None:
        """As `fingerprint`, of the data's own val part alone; None where it has none."""
        return self._digest(self.val) if self.val else None

    def _digest(self, *parts: Part) -> str:
        digest = hashlib.blake2b("\0".join(self.classes).encode(), digest_size=16)
        for part in parts:
            digest.update(str(part.images.shape).encode())
            digest.update(np.ascontiguousarray(part.images).data)
            digest.update(np.ascontiguousarray(part.labels, dtype="<i8").data)
        return digest.hexdigest()


def split(labels: NDArray[np.int64], val_size: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Set a stratified val part apart: (train indices, val indices), both sorted, disjoint, together all of 0..N-1.

    `labels`: [N]. `val_size`: below 1 a share of the N images, 1 or more a number of them, 0 for no val part. The
    number of val images is exact; each class has its share of them to within one image (largest remainder), but
    always keeps a training image. A function of its arguments alone.
    Raises RecipeError for a size that is negative, not finite or not whole, DataError where the data is too small.
    """
    total = len(labels)
    if not 0 <= val_size < float("inf") or (val_size >= 1 and val_size != int(val_size)):
        raise RecipeError(
            f"a val size of {val_size:g} is neither a share (0 to 1) nor a number of images; "
            f"try 0.1, or 0 for no val part"
        )
    # A share that was asked for is never rounded down to nothing.
    wanted = int(val_size) if val_size >= 1 or val_size == 0 else max(1, round(val_size * total))
    most = total - len(np.unique(labels))
    if wanted > most:
        raise DataError(
            f"a val size of {val_size:g} takes {wanted} of the {total} training images; at most {most} can go, "
            f"because every class keeps one to train on: choose a smaller val size (0 for none)"
        )
    return _divide(labels, wanted, _SPLIT, seed)


def cut(labels: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """The sorted indices, [size], of a stratified subset of `size` images in which every class of `labels` [N] occurs.

    A function of its arguments alone. Raises RecipeError for a size above N or below the number of classes.
    """
    total, present = len(labels), len(np.unique(labels))
    if not present <= size <= total:
        raise RecipeError(
            f"a train size of {size} is out of range; expected {present} (one image per class) to {total} (all)"
        )
    return _divide(labels, total - size, _CUT, seed)[0]


def set_test_apart(labels: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Set a test part apart of data that has none of its own: a stratified 1/7, as in MNIST; returns as `split` does.

    A function of its arguments alone. Raises DataError for data too small to give away one image.
    """
    total, present = len(labels), len(np.unique(labels))
    wanted = max(1, round(total / 7))
    if wanted > total - present:
        raise DataError(
            f"{counted(total, 'image')} of {counted(present, 'class', 'classes')} are too few to hold "
            f"out a test part; expected several images per class: add images, or a test part"
        )
    return _divide(labels, wanted, _TEST, seed)


def spoil(labels: NDArray[np.int64], rate: float, classes: int, seed: int) -> NDArray[np.int64]:
    """A copy of `labels` [N] in which exactly round(rate * N) are replaced by another class, each other equally likely.

    `rate`: 0..1. A function of its arguments alone. Raises RecipeError for another rate.
    """
    if not 0 <= rate <= 1:
        raise RecipeError(f"a label noise of {rate:g} is out of range; expected a share from 0 to 1")
    total = len(labels)
    spoilt = labels.copy()
    where = shuffled(total, _SPOIL, seed, 0)[: round(rate * total)]
    # A step of 1..classes-1 around the ring of classes reaches each other class and never the same one.
    steps = 1 + (random_bits(len(where), _SPOIL, seed, 1) % np.uint64(classes - 1)).astype(np.int64)
    spoilt[where] = (labels[where] + steps) % classes
    return spoilt


def _divide(labels: NDArray[np.int64], wanted: int, use: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(kept, taken): exactly `wanted` indices taken, in proportion to the classes; both sorted."""
    total = len(labels)
    _, positions, counts = np.unique(labels, return_inverse=True, return_counts=True)
    assert 0 <= wanted <= total - len(counts)
    # Whole numbers throughout: a share computed in floats could round differently elsewhere.
    shares, remainders = np.divmod(wanted * counts.astype(np.int64), max(total, 1))
    by_remainder = np.argsort(-remainders, kind="stable")
    while (missing := wanted - int(shares.sum())) > 0:
        room = by_remainder[shares[by_remainder] < counts[by_remainder] - 1]
        shares[room[:missing]] += 1
    taken = np.zeros(total, dtype=bool)
    shuffle = shuffled(total, use, seed)
    by_class = shuffle[np.argsort(positions[shuffle], kind="stable")]  # class after class, each in shuffled order
    firsts = np.cumsum(counts) - counts
    for first, share in zip(firsts, shares, strict=True):
        taken[by_class[first : first + share]] = True
    return np.flatnonzero(~taken), np.flatnonzero(taken)
