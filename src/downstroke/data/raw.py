"""What a source holds, as it was found, and how it becomes a `Part`: glyphs, and labels from 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstroke.data.dataset import Dataset, Part, set_test_apart
from downstroke.data.glyph import SIZE, glyph
from downstroke.data.ink import Polarity
from downstroke.errors import DataError, PictureError

MAX_CLASSES = 1000


@dataclass(frozen=True)
class Raw:
    """Images and labels as a file holds them; `where` names that file in messages."""

    images: NDArray[Any]
    labels: NDArray[Any]
    where: str


def assemble(name: str, train: Raw, test: Raw | None, split_seed: int, names: tuple[str, ...] | None = None) -> Dataset:
    """The Dataset of what was found; without `test`, a stratified 1/7 fixed by `split_seed` is set apart.

    `names`: where labels are positions in a list of names, that list; else a label is its own name.
    Raises DataError where images and labels do not fit together or cannot be learned from.
    """
    classes = _classes(_check_labels(train), train.where)
    train_images = _levels(_grey(train), train.where)
    polarity = find_polarity(train_images)
    train_part = Part(_glyphs(train_images, polarity, train.where), _encode(train, classes))
    if test is not None:
        _check_labels(test)
        test_images = _levels(_grey(test), test.where)
        found, expected = ("x".join(map(str, images.shape[1:])) for images in (test_images, train_images))
        if found != expected:
            raise DataError(f"{test.where}: the test images are {found}; expected {expected}, as in {train.where}")
        test_part = Part(_glyphs(test_images, polarity, test.where), _encode(test, classes))
    else:
        try:
            kept, apart = set_test_apart(train_part.labels, split_seed)
        except DataError as error:
            raise DataError(f"{train.where}: {error}") from None
        whole, train_part = train_part, train_part.take(kept)
        test_part = whole.take(apart)
    found_names = tuple(str(value) if names is None else names[value] for value in classes.tolist())
    return Dataset(name, train_part, test_part, found_names, own_test=test is not None)


def find_polarity(images: NDArray[np.uint8]) -> Polarity:
    """Whether ink is the high or the low level of a whole data set: [N, H, W]; the border is paper, each image votes.

    One answer for all of them: a digit that fills its image would be turned inside out by an answer of its own.
    """
    sample = images[:: max(1, len(images) // 1000)]
    votes = np.array([vote(image) for image in sample])
    return "ink-high" if np.sum(votes) >= 0 else "ink-low"


def vote(image: NDArray[np.uint8]) -> int:
    """+1 where the border of [H, W] is darker than the rest (ink is high), -1 where it is lighter, 0 where neither."""
    inner = image[1:-1, 1:-1]
    if inner.size in (0, image.size):
        return 0
    inner_sum, all_sum = int(inner.sum(dtype=np.int64)), int(image.sum(dtype=np.int64))
    border_mean = (all_sum - inner_sum) / (image.size - inner.size)
    return int(np.sign(inner_sum / inner.size - border_mean))


def to_glyph(image: NDArray[np.uint8], polarity: Polarity, where: str) -> NDArray[np.uint8]:
    """As `glyph`, but a picture that cannot become one is a DataError that says where it stands."""
    try:
        return glyph(image, polarity)
    except PictureError as error:
        raise DataError(f"{where}: {error}; mend it or take it out") from None


def _check_labels(raw: Raw) -> NDArray[Any]:
    """The labels of `raw`, whole numbers of 0 or more or strings, [N]."""
    labels = raw.labels
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        hint = "; for one-hot labels use labels.argmax(1)" if labels.ndim == 2 else ""
        raise DataError(f"{raw.where}: labels of shape {list(labels.shape)}; expected one label an image{hint}")
    if len(labels) != len(raw.images):
        raise DataError(
            f"{raw.where}: {len(raw.images)} images but {len(labels)} labels; expected as many of one as of the other"
        )
    if not len(labels):
        raise DataError(f"{raw.where}: no images; expected at least two classes of them")
    if labels.dtype.kind == "f":
        wrong = labels[~(np.isfinite(labels) & (labels == np.floor(labels)))]
        if len(wrong):
            raise DataError(f"{raw.where}: label {wrong[0]:g}; expected whole numbers, such as 0 to 9")
        labels = labels.astype(np.int64)
    if labels.dtype.kind in "iub":
        labels = labels.astype(np.int64)
        if (lowest := int(labels.min())) < 0:
            raise DataError(
                f"{raw.where}: label {lowest} (image {int(labels.argmin())}); expected whole numbers of 0 or more"
            )
    elif labels.dtype.kind != "U":
        raise DataError(f"{raw.where}: labels of type {labels.dtype}; expected whole numbers or strings")
    return labels


def _classes(labels: NDArray[Any], where: str) -> NDArray[Any]:
    classes = np.unique(labels)
    if len(classes) == 1:
        raise DataError(f"{where}: every label is {classes[0]}; expected at least 2 classes to tell apart")
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{where}: {len(classes)} classes; expected at most {MAX_CLASSES}: are these labels at all?")
    return classes


def _encode(raw: Raw, classes: NDArray[Any]) -> NDArray[np.int64]:
    """The labels as positions in `classes`, [N]."""
    labels = _check_labels(raw)
    if labels.dtype.kind != classes.dtype.kind:
        raise DataError(f"{raw.where}: labels such as {labels[0]!s}; expected ones of train, such as {classes[0]!s}")
    positions = np.searchsorted(classes, labels).clip(0, len(classes) - 1)
    if (unknown := labels[classes[positions] != labels]).size:
        raise DataError(
            f"{raw.where}: the test part has label {unknown[0]}, which train has not; expected one of {_some(classes)}"
        )
    return positions.astype(np.int64)


def _some(classes: NDArray[Any]) -> str:
    names = [str(value) for value in classes.tolist()]
    return ", ".join(names if len(names) <= 12 else [*names[:10], "...", names[-1]])


def _grey(raw: Raw) -> NDArray[Any]:
    """The images as [N, H, W], of whatever type, without a channel axis; colours become their luminance."""
    images = raw.images
    if images.dtype.kind not in "fiub":
        raise DataError(f"{raw.where}: images of type {images.dtype}; expected numbers from 0 to 255")
    if images.ndim == 2:
        side = round(images.shape[1] ** 0.5)
        if side < 2 or side * side != images.shape[1]:
            raise DataError(f"{raw.where}: {images.shape[1]} pixels an image; expected a square, such as 784 (28x28)")
        images = images.reshape(len(images), side, side)
    elif images.ndim == 4 and 1 in (images.shape[1], images.shape[3]):
        images = images[:, 0] if images.shape[1] == 1 else images[..., 0]
    elif images.ndim == 4 and images.shape[3] == 3:  # ITU-R BT.601, as Pillow and OpenCV
        grey = images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        images = np.rint(grey).astype(np.uint8) if images.dtype.kind in "iu" and grey.max(initial=0) <= 255 else grey
    if images.ndim != 3 or 0 in images.shape[1:]:
        raise DataError(
            f"{raw.where}: images of shape {list(raw.images.shape)}; "
            f"expected [N, H, W], [N, H*W], [N, H, W, 1 or 3] or [N, 1, H, W]"
        )
    return images


def _glyphs(images: NDArray[np.uint8], polarity: Polarity, where: str) -> NDArray[np.uint8]:
    """uint8 [N, H, W] as uint8 [N, 28, 28], ink high on zero."""
    if images.shape[1:] == (SIZE, SIZE) and polarity == "ink-high":
        return np.ascontiguousarray(images)
    glyphs = np.empty((len(images), SIZE, SIZE), np.uint8)
    for index, image in enumerate(images):
        glyphs[index] = to_glyph(image, polarity, f"{where}: image {index}")
    return glyphs


def _levels(images: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Levels 0..255 of [N, H, W]: whole numbers as they are, floats or bits of 0..1 times 255."""
    low, high = images.min(initial=0), images.max(initial=0)
    if not (np.isfinite(low) and np.isfinite(high)):
        wrong = int(np.flatnonzero(~np.isfinite(images).all(axis=(1, 2)))[0])
        raise DataError(f"{where}: image {wrong} has a pixel that is no number (NaN or infinite); expected 0 to 255")
    if low < 0 or high > 255:
        value = low if low < 0 else high
        wrong = int(np.flatnonzero((images == value).any(axis=(1, 2)))[0])
        raise DataError(f"{where}: image {wrong} has a pixel of {value:g}; expected 0 to 255 (or 0 to 1)")
    if high <= 1 and high > 0:
        factor = 255.0
    elif images.shape[1:] != (SIZE, SIZE) and high > 0:
        factor = 255.0 / float(high)  # such as the 0..16 of scikit-learn's 8x8 digits
    else:
        factor = 1.0
    if factor == 1.0 and images.dtype.kind in "iu":
        return images.astype(np.uint8, copy=False)
    return np.rint(images * np.float32(factor)).astype(np.uint8)
