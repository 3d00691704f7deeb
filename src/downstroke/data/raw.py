"""What a source holds, as it was found, and how it becomes a `Part`: glyphs, and labels from 0."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstroke.data import upright
from downstroke.data.dataset import Dataset, Part, set_test_apart
from downstroke.errors import DataError, PictureError, counted, shown
from downstroke.glyphs.glyph import SIZE, glyph
from downstroke.glyphs.ink import Polarity
from downstroke.glyphs.picture import bits_of

MAX_CLASSES = 1000
PARTS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
MOST_IMAGES = 20_000_000  # which become 16 GB
MOST_PIXELS = 16_000_000  # of an image, which becomes one of 28x28; those of each colour count
MOST_NAME = 200  # characters of a class's name
_MOST_NAMES = 500_000_000  # bytes of all labels that are names
_MOST = 16_000_000_000  # bytes of all images of a part
_AT_ONCE = 4096  # images: so many are held beside the others
_DISSENT = 0.1  # of the votes on polarity: where more are against it, a person should know
_LARGEST = 2**53  # a label; above it floats merge whole numbers


@dataclass(frozen=True)
class Raw:
    """Images and labels as a file holds them; `where` names that file in messages.

    `look`: all the ways in which a reader looks at the picture of an image, by its index: uint8 [M,28,28]. It opens the
    picture again; None where there is none. Raises DataError. `are_glyphs`: the ink of the images is known to be high.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    where: str
    look: Callable[[int], NDArray[np.uint8]] | None = None
    are_glyphs: bool = False


@dataclass(frozen=True)
class Found:
    """The parts that a source holds. `names`: where labels are positions in a list of names, that list.

    `transposed`: whether the files are known to hold each image mirrored at its diagonal.
    """

    train: Raw
    test: Raw | None = None
    val: Raw | None = None
    names: tuple[str, ...] | None = None
    notices: tuple[str, ...] = ()
    transposed: bool = False


def assemble(name: str, found: Found, split_seed: int, *, transpose: bool = False) -> Dataset:
    """The Dataset of what was found; without a test part, a stratified 1/7 fixed by `split_seed` is set apart.

    Images that the files hold mirrored at their diagonal, as is known of them or said by `transpose`, are set upright.
    A part whose ink is the other level than in train is turned over. Whatever a person should know is in `notices`.
    Raises DataError where images and labels do not fit together or cannot be learned from.
    """
    train, notices = found.train, [*found.notices]
    classes = _classes(_check_labels(train), train.where)
    transpose = transpose or found.transposed
    train_images = _levels(_grey(train, transpose), train.where, notices)
    polarity = _polarity(train, train_images, notices)
    train_part = Part(_glyphs(train_images, polarity, train.where), _encode(train, classes, "train"))
    others = {}
    for part, raw in (("val", found.val), ("test", found.test)):
        if raw is None:
            continue
        _check_labels(raw)
        images = _levels(_grey(raw, transpose), raw.where, notices)
        size, expected = ("x".join(map(str, these.shape[1:])) for these in (images, train_images))
        if size != expected:
            raise DataError(f"{raw.where}: the {part} images are {size}; expected {expected}, as in {train.where}")
        if _polarity(raw, images, notices) != polarity:
            notices.append(f"the ink of the {part} images is the other level than in train: they were turned over")
            images = 255 - images
        others[part] = Part(_glyphs(images, polarity, raw.where), _encode(raw, classes, part))
    if "test" in others:
        test_part = others["test"]
    else:
        try:
            kept, apart = set_test_apart(train_part.labels, split_seed)
        except DataError as error:
            raise DataError(f"{train.where}: {error}") from None
        train_part, test_part = _parted(train_part, kept, apart)
    names = tuple(str(value) if found.names is None else found.names[value] for value in classes.tolist())
    if spoilt := [name for name in names if any("\ud800" <= letter <= "\udfff" for letter in name)]:
        raise DataError(f"{train.where}: the name of class {shown(spoilt[0][:40])} is not UTF-8; rename it")
    parts = {"train": train_part, "test": test_part, **others}
    notices += _remarks(parts, names)
    if upright.lies(train_part, names):
        does = "leave out" if transpose and not found.transposed else "try"
        notices.append(f"the digits lie on their side, rows and columns exchanged: {does} --transpose")
    elif "emnist" in Path(train.where).name.lower() and not transpose:
        notices.append(
            "EMNIST's files hold each image mirrored at its diagonal, and these were taken as they are: look at some; "
            "--transpose turns them upright"
        )
    return Dataset(name, train_part, test_part, names, "test" in others, others.get("val"), tuple(notices))


def with_val(found: Found, apart: Found, *, transpose: bool = False) -> Found:
    """`found` with the images of another source as its val, their labels matched by the names of the classes.

    They are the val part of that source, or all that it holds. `transpose`: as in `assemble`. Raises DataError.
    """
    raw = apart.val or apart.train
    if apart.val is None and apart.test is not None:
        raise DataError(f"{raw.where}: train and test images; as val data, expected one part alone, or a val part")
    held = _check_labels(found.train)
    known = dict(zip((str(value) for value in found.names or np.unique(held)), np.unique(held), strict=True))
    labels = [str(value) if apart.names is None else apart.names[value] for value in _check_labels(raw).tolist()]
    if unknown := [label for label in labels if label not in known]:
        raise DataError(
            f"{raw.where}: the val part has label {unknown[0]}, which is not in train; "
            f"expected one of {_some(np.array(list(known)))}"
        )
    # `assemble` treats all parts alike: what it would get wrong is turned here.
    images = _grey(raw, transpose=(transpose or apart.transposed) != (transpose or found.transposed))
    notices = list(apart.notices)
    if found.val is not None:
        notices.append(f"{found.val.where}: left out, as --val-data gives the val images")
    val = Raw(images, np.array([known[label] for label in labels]), raw.where)
    return replace(found, val=val, notices=(*found.notices, *notices))


def part_of(found: Found, classes: tuple[str, ...], *, transpose: bool = False) -> tuple[Part, list[str]]:
    """The train images of what was found, labelled by the places of their classes' names in `classes`; and notices.

    They may be of one class only, and as few as one. Raises DataError, also for a class that `classes` lacks.
    """
    raw, notices = found.train, list(found.notices)
    labels = [str(value) if found.names is None else found.names[value] for value in _check_labels(raw).tolist()]
    if unknown := [label for label in labels if label not in classes]:
        raise DataError(f"{raw.where}: class {unknown[0]}; expected {_some(np.array(classes))} alone")
    images = _levels(_grey(raw, transpose or found.transposed), raw.where, notices)
    glyphs = _glyphs(images, _polarity(raw, images, notices), raw.where)
    return Part(glyphs, np.array([classes.index(label) for label in labels], np.int64)), notices


def glyphs_of(images: NDArray[Any], where: str, notices: list[str], *, transpose: bool = False) -> NDArray[np.uint8]:
    """Images as a file holds them, [N, ...], as uint8 [N, 28, 28], ink high on zero; `where`: their file. DataError."""
    grey = _grey(Raw(images, np.zeros(0), where), transpose)
    levels = _levels(grey, where, notices)
    return _glyphs(levels, find_polarity(levels, where, notices), where)


def _parted(whole: Part, kept: NDArray[np.int64], apart: NDArray[np.int64]) -> tuple[Part, Part]:
    """What is kept and what is set apart, at sorted indices. The images move up in place: a copy would be as large."""
    images, test = whole.images, whole.take(apart)
    if not images.flags.writeable:
        return whole.take(kept), test
    for start in range(0, len(kept), _AT_ONCE):
        block = kept[start : start + _AT_ONCE]
        images[start : start + len(block)] = images[block]
    return Part(images[: len(kept)], whole.labels[kept]), test


def _remarks(parts: dict[str, Part], names: tuple[str, ...]) -> list[str]:
    """What a person should know of the images and labels: blank images, rare classes, images in two parts."""
    lines = []
    for part, held in parts.items():
        flat = held.images.reshape(len(held), -1)
        blank = np.flatnonzero(flat.max(axis=1, initial=0) == flat.min(axis=1, initial=255))
        if len(blank):
            lines.append(f"blank images (one level all over) in {part}: {len(blank):,}, such as image {blank[0]}")
    counts = np.bincount(parts["train"].labels, minlength=len(names))
    if rare := [name for name, count in zip(names, counts, strict=True) if count == 1]:
        which = ", ".join(rare[:5]) + (", ..." if len(rare) > 5 else "")
        lines.append(f"classes with one training image, too few to learn or to judge by: {which}")
    seen = {_digest(image) for image in parts["train"].images}
    for part, held in parts.items():
        if part != "train" and (shared := sum(_digest(image) in seen for image in held.images)):
            lines.append(
                f"{shared:,} of the {len(held):,} images of {part} are in train, too: "
                f"results on {part} will look better than they are"
            )
    return lines


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _polarity(raw: Raw, images: NDArray[np.uint8], notices: list[str]) -> Polarity:
    """Whether ink is the high or the low level of these images of `raw`, [N, H, W]."""
    return "ink-high" if raw.are_glyphs else find_polarity(images, raw.where, notices)


def find_polarity(images: NDArray[np.uint8], where: str, notices: list[str]) -> Polarity:
    """Whether ink is the high or the low level of a whole data set: [N, H, W]; the border is paper, each image votes.

    One answer for all of them: a digit that fills its image would be turned inside out by an answer of its own.
    """
    return elected([vote(image) for image in images[:: max(1, len(images) // 1000)]], where, notices)


def elected(votes: list[int], where: str, notices: list[str]) -> Polarity:
    """The polarity that most of some images voted for, as `vote` does; where many did not, that is added to notices."""
    high, low = (sum(each == side for each in votes) for side in (1, -1))
    if min(high, low) > _DISSENT * (high + low):
        ink = ("light ink on dark", "dark ink on light")
        many, few = ink if high >= low else ink[::-1]
        notices.append(
            f"{where}: {min(high, low):,} of {counted(high + low, 'image')} looked at seem to have {few}, the others "
            f"{many}; all are taken to have {many}: make them alike"
        )
    return "ink-high" if high >= low else "ink-low"


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
        raise DataError(f"{where}: {error}; fix or remove it") from None


def check_images(shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> None:
    """DataError for images, [N, ...], that cannot be learned from, by what is known before any is unpacked."""
    if dtype.kind not in "fiub":
        raise DataError(f"{where}: images of type {_typed(dtype)}; expected numbers from 0 to 255")
    if shape[0] > MOST_IMAGES:
        raise DataError(f"{where}: {counted(shape[0], 'image')}; expected at most {MOST_IMAGES:,}")
    if math.prod(shape[1:]) > MOST_PIXELS:
        size = " x ".join(f"{length:,}" for length in shape[1:])
        raise DataError(f"{where}: images of {size}; expected at most {MOST_PIXELS:,} pixels each: make them smaller")
    if (size_of_all := math.prod(shape) * dtype.itemsize) > _MOST:
        raise DataError(f"{where}: {size_of_all / 1e9:,.0f} GB of images; expected at most {_MOST / 1e9:.0f} GB")


def check_labels(shape: tuple[int, ...], dtype: np.dtype[Any], images: int, where: str) -> None:
    """As `check_images`, for the labels of so many images: one label each, whole numbers or names."""
    if len(shape) != 1 and not (len(shape) == 2 and shape[1] == 1):
        hint = "; for one-hot labels use labels.argmax(1)" if len(shape) == 2 else ""
        raise DataError(f"{where}: labels of shape {list(shape)}; expected one label an image{hint}")
    if shape[0] != images:
        raise DataError(
            f"{where}: {counted(images, 'image')} but {counted(shape[0], 'label')}; "
            f"expected as many of one as of the other"
        )
    if dtype.kind not in "fiubU":
        raise DataError(f"{where}: labels of type {_typed(dtype)}; expected whole numbers or strings")
    if dtype.kind == "U" and (dtype.itemsize > 4 * MOST_NAME or shape[0] * dtype.itemsize > _MOST_NAMES):
        raise DataError(
            f"{where}: labels of type {dtype}, {shape[0] * dtype.itemsize / 1e6:,.0f} MB; "
            f"expected names of at most {MOST_NAME} characters and {_MOST_NAMES / 1e6:.0f} MB, or whole numbers"
        )


def _typed(dtype: np.dtype[Any]) -> str:
    """A type's name; that of a record lists its fields."""
    return str(dtype)[:60]


def check_classes(labels: NDArray[Any], where: str) -> None:
    """DataError where these labels, [N], are all one: known before images are unpacked."""
    if len(labels) and (labels == labels[:1]).all():
        raise DataError(f"{where}: every label is {labels.ravel()[0]}; expected at least 2 classes to tell apart")


def _check_labels(raw: Raw) -> NDArray[Any]:
    """The labels of `raw`, whole numbers of 0 or more or strings, [N]."""
    check_labels(raw.labels.shape, raw.labels.dtype, len(raw.images), raw.where)
    labels = raw.labels.reshape(-1)
    if not len(labels):
        raise DataError(f"{raw.where}: no images; expected at least two classes of them")
    if labels.dtype.kind == "f":
        wrong = labels[~(np.isfinite(labels) & (labels == np.floor(labels)))]
        if len(wrong):
            raise DataError(f"{raw.where}: label {wrong[0]:g}; expected whole numbers, such as 0 to 9")
        if (np.abs(labels) > _LARGEST).any():
            raise DataError(f"{raw.where}: label {np.abs(labels).max():.0f}; expected whole numbers up to {_LARGEST}")
        labels = labels.astype(np.int64)
    if labels.dtype.kind in "iub":
        if (largest := int(labels.max())) > _LARGEST:
            raise DataError(f"{raw.where}: label {largest}; expected whole numbers up to {_LARGEST}")
        labels = labels.astype(np.int64)
        if (lowest := int(labels.min())) < 0:
            raise DataError(
                f"{raw.where}: label {lowest} (image {int(labels.argmin())}); expected whole numbers of 0 or more"
            )
    return labels


def _classes(labels: NDArray[Any], where: str) -> NDArray[Any]:
    classes = np.unique(labels)
    if len(classes) == 1:
        raise DataError(f"{where}: every label is {classes[0]}; expected at least 2 classes to tell apart")
    if len(classes) > MAX_CLASSES:
        raise DataError(
            f"{where}: {counted(len(classes), 'class', 'classes')}; "
            f"expected at most {MAX_CLASSES}: check that these are labels"
        )
    return classes


def _encode(raw: Raw, classes: NDArray[Any], part: str) -> NDArray[np.int64]:
    """The labels as positions in `classes`, [N]."""
    labels = _check_labels(raw)
    if labels.dtype.kind != classes.dtype.kind:
        raise DataError(f"{raw.where}: labels such as {labels[0]!s}; expected ones of train, such as {classes[0]!s}")
    positions = np.searchsorted(classes, labels).clip(0, len(classes) - 1)
    if (unknown := labels[classes[positions] != labels]).size:
        raise DataError(
            f"{raw.where}: the {part} part has label {unknown[0]}, which is not in train; "
            f"expected one of {_some(classes)}"
        )
    return positions.astype(np.int64)


def _some(classes: NDArray[Any]) -> str:
    names = [str(value) for value in classes.tolist()]
    return ", ".join(names if len(names) <= 12 else [*names[:10], "...", names[-1]])


def _grey(raw: Raw, transpose: bool = False) -> NDArray[Any]:
    """The images as [N, H, W], of whatever type, without a channel axis; colours become their luminance.

    `transpose`: they are held as [N, W, H].
    """
    images = raw.images
    check_images(images.shape, images.dtype, raw.where)
    if images.ndim == 2:
        side = round(images.shape[1] ** 0.5)
        if side < 2 or side * side != images.shape[1]:
            raise DataError(
                f"{raw.where}: {counted(images.shape[1], 'pixel')} an image; expected a square, such as 784 (28x28)"
            )
        images = images.reshape(len(images), side, side)
    elif images.ndim == 4 and 1 in (images.shape[1], images.shape[3]):
        images = images[:, 0] if images.shape[1] == 1 else images[..., 0]
    elif images.ndim == 4 and (images.shape[3] in (3, 4) or images.shape[1] in (3, 4)):
        images = _luminance(images if images.shape[3] in (3, 4) else images.transpose(0, 2, 3, 1))
    if images.ndim != 3 or 0 in images.shape[1:]:
        raise DataError(
            f"{raw.where}: images of shape {list(raw.images.shape)}; "
            f"expected [N, H, W], [N, H*W], [N, H, W, 1, 3 or 4] or [N, 1, 3 or 4, H, W]"
        )
    return images.transpose(0, 2, 1) if transpose else images


def _luminance(images: NDArray[Any]) -> NDArray[Any]:
    """[N, H, W] of colours [N, H, W, 3], or [N, H, W, 4] with alpha: on white, or, of one colour, alpha as the ink."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow and OpenCV
    grey: NDArray[np.float32] = np.empty(images.shape[:3], np.float32)
    for index, image in enumerate(images):  # one at a time: as floats the whole takes four times the memory
        grey[index] = image[..., :3] @ weights
    if images.shape[3] == 4:
        alpha = images[..., 3]
        white = np.float32(np.iinfo(images.dtype).max if images.dtype == np.uint16 else 255 if images.max() > 1 else 1)
        visible = images[..., :3][alpha > 0]
        if alpha.min(initial=white) != alpha.max(initial=0) and not np.ptp(visible, axis=0).any():
            grey = (white - alpha).astype(np.float32)
        else:
            grey = (white + (grey - white) * (alpha / white)).astype(np.float32)
    if images.dtype.kind not in "iu":
        return grey
    if images.dtype == np.uint16:
        return np.rint(grey).astype(np.uint16)
    return np.rint(grey).astype(np.uint8) if grey.min(initial=0) >= 0 and grey.max(initial=0) <= 255 else grey


def _glyphs(images: NDArray[np.uint8], polarity: Polarity, where: str) -> NDArray[np.uint8]:
    """uint8 [N, H, W] as uint8 [N, 28, 28], ink high on zero."""
    if images.shape[1:] == (SIZE, SIZE) and polarity == "ink-high":
        return np.ascontiguousarray(images)
    glyphs = np.empty((len(images), SIZE, SIZE), np.uint8)
    for index, image in enumerate(images):
        glyphs[index] = to_glyph(image, polarity, f"{where}: image {index}")
    return glyphs


def _levels(images: NDArray[Any], where: str, notices: list[str]) -> NDArray[np.uint8]:
    """Levels 0..255 of [N, H, W]: whole numbers as they are, floats or bits of 0..1 times 255, uint16 by its range."""
    if images.dtype == np.uint16 and (most := int(images.max(initial=0))) > 255:
        bits = bits_of(most)
        notices.append(f"{where}: levels up to {most} are taken for {bits} bits")
        scale = np.float32(255 / ((1 << bits) - 1))
        levels = np.empty(images.shape, np.uint8)
        for index, image in enumerate(images):
            levels[index] = np.rint(image * scale)
        return levels
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
    levels = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), _AT_ONCE):
        levels[start : start + _AT_ONCE] = np.rint(images[start : start + _AT_ONCE] * np.float32(factor))
    return levels
