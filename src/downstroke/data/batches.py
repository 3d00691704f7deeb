"""The order in which the images are learned from: a function of (seed, epoch), so that any epoch can be replayed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, pairwise

import numpy as np
from numpy.typing import NDArray

from downstroke.errors import RecipeError
from downstroke.recipe import Recipe

_ORDER = 1  # what a stream of random bits is for; dataset.py uses 2 and up, so that no two uses share a stream


def random_bits(n: int, *key: int) -> NDArray[np.uint64]:
    """`n` random 64-bit words, [n], that depend on `key` alone (integers >= 0). Raises RecipeError for a negative one.

    Philox and SeedSequence are the parts of NumPy whose output is promised to stay the same from version to version
    and from platform to platform; `Generator.permutation` is not. Salmon et al. 2011, "Parallel random numbers".
    """
    if min(key) < 0:
        raise RecipeError(f"the seed {min(key)} is negative; give an integer of 0 or more")
    return np.random.Philox(np.random.SeedSequence(key)).random_raw(n)


def shuffled(n: int, *key: int) -> NDArray[np.int64]:
    """A permutation of 0..n-1, [n], that depends on `n` and `key` alone. Raises RecipeError for a negative key."""
    # Each index rides in the low bits of a random word, so that sorting the words sorts the indices: no two words are
    # equal, hence no sort algorithm decides anything, and sorting values is several times as fast as an argsort.
    index_bits = np.uint64((1 << max(n - 1, 0).bit_length()) - 1)
    words = (random_bits(n, *key) & ~index_bits) | np.arange(n, dtype=np.uint64)
    words.sort()
    return (words & index_bits).astype(np.int64)


def order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """The order of the `n` training images in `epoch` (from 1): a permutation of 0..n-1, [n], the same everywhere.

    Raises RecipeError for a negative seed.
    """
    return shuffled(n, _ORDER, seed, epoch)


def starts(n: int, batch_size: int, late_batch_size: int | None = None) -> tuple[range, range]:
    """Where the batches of the two halves of an epoch of `n` images begin in its order.

    With `late_batch_size` those of its second half have that size; the first batch that reaches into it is the last of
    the first half.
    """
    half = min(n, -(-n // (2 * batch_size)) * batch_size)
    return range(0, half, batch_size), range(half, n, late_batch_size or batch_size)


def steps_per_epoch(recipe: Recipe, images: int) -> int:
    """How many batches, and so updates of the weights, an epoch of so many training images has."""
    return sum(map(len, starts(images, recipe.batch_size, recipe.late_batch_size)))


def batches(
    seed: int, epoch: int, n: int, batch_size: int, start: int = 0, late_batch_size: int | None = None
) -> Iterator[NDArray[np.int64]]:
    """The batches of `epoch` from batch number `start` (from 0) on: slices of `order`, as `starts` parts it.

    The last may be short. Raises RecipeError for a batch size below 1 or a negative seed.
    """
    if batch_size < 1:
        raise RecipeError(f"a batch size of {batch_size} holds no image; give 1 or more (128 is usual)")
    indices = order(seed, epoch, n)
    bounds = chain(*starts(n, batch_size, late_batch_size), [n])
    for first, end in pairwise(islice(bounds, start, None)):
        yield indices[first:end]
