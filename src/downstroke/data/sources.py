"""Where images and labels come from: the packed MNIST, or a path whose form is found out.

What reads a path is loaded when there is one: a training on MNIST need not wait for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from downstroke.data import packed
from downstroke.data.dataset import Dataset, Part, cut, split
from downstroke.errors import counted

if TYPE_CHECKING:
    from downstroke.data import raw

_MIXED = 12_000  # images of an epoch, at least, where own digits are mixed with MNIST's
_LOOKED_AT = 1_000  # own digits at most that are learned in all their looks; of more, one each is variety enough
_MOST_TIMES = 100  # in an epoch: a single digit that fills it makes the others forgotten
_LEAST_VAL = 5  # own digits set apart as val; where they would be fewer, all are learned from


def load(
    data: str | Path = "mnist", split_seed: int = 0, *, val_data: str | Path | None = None, transpose: bool = False
) -> Dataset:
    """The data set called "mnist", or the one at a path: IDX files, .npz, .csv, or a folder of pictures by class.

    Every form becomes uint8 [N, 28, 28] images, ink high on zero, and int64 [N] labels 0..classes-1. Images of 28x28
    whose ink is high are taken as they are, others become glyphs. Data without a test part gets one, a stratified 1/7
    fixed by `split_seed`. `val_data`: the path of images that are val, of any of these forms. `transpose`: the files
    hold each image with rows and columns exchanged. Raises DataError, in one line, for anything that cannot be learned
    from.
    """
    if data == "mnist" and val_data is None and not transpose:
        return _mnist()
    from downstroke.data import raw
    from downstroke.data.formats import find

    name, found = ("mnist", _found_mnist()) if data == "mnist" else find(data, or_else="mnist, ")
    if val_data is not None:
        found = raw.with_val(found, find(val_data)[1], transpose=transpose)
    return raw.assemble(name, found, split_seed, transpose=transpose)


def load_mixed(
    data: str | Path,
    share: float,
    val_size: float,
    split_seed: int = 0,
    *,
    transpose: bool = False,
    looks: bool = False,
) -> Dataset:
    """The digits at a path mixed with MNIST's, so that a network learns both.

    `share`: that of MNIST's images in train, above 0 and below 1. There are 12,000 images in train, or more where the
    path has more: the digits at the path are repeated until they are the rest, at most 100 times. Val is MNIST's own by
    `val_size` and `split_seed`, and beside it the same share of the digits at the path, where that is 5 or more. Test
    is MNIST's. The classes at the path are some of 0 to 9; what it holds apart as val or test is left alone.
    `looks`: of a folder's pictures learn all that a reader looks at, cut out in several ways and through windows.
    Raises DataError.
    """
    from downstroke.data import raw
    from downstroke.data.formats import find

    mnist = _mnist()
    name, found = find(data, or_else="mnist, ", least=1)
    own, notices = raw.part_of(found, mnist.classes, transpose=transpose)
    train, val = (mnist.train.take(index) for index in split(mnist.train.labels, val_size, split_seed))
    apart = val_size if val_size < 1 else val_size / len(mnist.train)
    kept = np.arange(len(own))
    if apart * len(own) >= _LEAST_VAL:
        kept, held = split(own.labels, apart, split_seed)
        val = _joined(val, own.take(held))
    own, ways = own.take(kept), ""
    if looks and not transpose and found.train.look and len(kept) <= _LOOKED_AT:
        own = _looked_at(own, [found.train.look(index) for index in kept.tolist()])
        ways = f" in {counted(len(own), 'look')}"
    size = max(_MIXED, len(own) / (1 - share))
    times = min(_MOST_TIMES, max(1, round(size * (1 - share) / len(own))))
    beside = min(len(train), max(len(mnist.classes), round(size - times * len(own))))
    train = _joined(train.take(cut(train.labels, beside, split_seed)), own.take(np.tile(np.arange(len(own)), times)))
    notices.append(
        f"an epoch is {beside:,} of MNIST's images and {counted(len(kept), 'image')} of {data}{ways}, each {times}x"
    )
    return Dataset(f"{name} and mnist", train, mnist.test, mnist.classes, True, val or None, tuple(notices))


def _looked_at(part: Part, looks: list[NDArray[np.uint8]]) -> Part:
    """Each image in all the ways that its picture is looked at."""
    return Part(np.concatenate(looks), np.repeat(part.labels, [len(each) for each in looks]))


def _joined(one: Part, other: Part) -> Part:
    return Part(np.concatenate([one.images, other.images]), np.concatenate([one.labels, other.labels]))


def _found_mnist() -> raw.Found:
    from downstroke.data import raw

    train_images, train_labels, test_images, test_labels = packed.unpack()
    return raw.Found(raw.Raw(train_images, train_labels, "mnist"), raw.Raw(test_images, test_labels, "mnist"))


def _mnist() -> Dataset:
    train_images, train_labels, test_images, test_labels = packed.unpack()
    return Dataset(
        name="mnist",
        train=Part(train_images, train_labels.astype(np.int64)),
        test=Part(test_images, test_labels.astype(np.int64)),
        classes=tuple("0123456789"),
        own_test=True,
        known=packed.FINGERPRINT,
    )
