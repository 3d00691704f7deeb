"""One digit in a picture of any size becomes the 28x28 image that the model sees, the way NIST's digits became MNIST.

Ink high on zero, aspect kept, fitted in a 20x20 box with its grey levels, its centre of mass in the middle of 28x28:
LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from downstroke.errors import PictureError

SIZE, BOX = 28, 20

Polarity = Literal["auto", "ink-high", "ink-low"]

_MIN_CONTRAST = 8  # of 255: less than the faintest pencil, more than what JPEG does to an empty page
_FULL_INK = 250  # of 255: ink this strong is not stretched, so that what is already a glyph keeps its grey levels


def ink_on_zero(image: NDArray[np.uint8], polarity: Polarity = "auto") -> NDArray[np.float32]:
    """The ink of a picture on a paper of exactly zero: uint8 [H, W] -> float32 [H, W], 0..1.

    With `polarity` "auto" the border is taken to be paper, and ink is what differs from it. Grey levels are kept,
    specks and the paper's noise are removed. Raises PictureError where there is no ink.
    """
    import cv2

    assert image.dtype == np.uint8, image.dtype
    assert image.ndim == 2, image.shape
    if image.size == 0:
        raise PictureError("the picture is blank: it has no pixels")
    paper, noise, ink_is_high = _find_paper(image, polarity)
    ink = image.astype(np.float32)
    ink = ink - paper if ink_is_high else paper - ink

    candidates = ink[ink > max(5 * noise, _MIN_CONTRAST)]
    if len(candidates) == 0:
        raise PictureError(_blank(image))
    # The 90th percentile is the level in the middle of the strokes, whatever their edges and the brightest speck do.
    level = _percentile(candidates, 90)
    # Inside the strokes ink is above half its level. Around them it fades into paper: down to nothing where the paper
    # is perfectly clean, as MNIST's is, else down to what stands clear of the paper's noise where no stroke is near.
    strong = (ink > level / 2).astype(np.uint8)
    reach = max(2, round(max(image.shape) / 50))
    near = cv2.dilate(strong, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    away = np.abs(ink[near == 0])
    unrest = max(3 * noise, 2 * _percentile(away, 90) if len(away) else 0.0)
    fade = min(max(unrest, 0.2 * level), 0.5 * level) if unrest > 0 else 0.0

    count, parts = cv2.connectedComponents((ink > fade).astype(np.uint8), connectivity=8)
    cores = np.bincount(parts[strong > 0], minlength=count)[1:]
    # A part of the digit has a core of strong ink; a speck has a small one, against the digit or against the picture.
    least = max(0.02 * float(cores.max()), (max(image.shape) / 400) ** 2, 2 if max(image.shape) > SIZE else 1)
    kept = np.concatenate([[False], cores >= least])[parts]
    if not kept.any():
        raise PictureError(_blank(image))
    if unrest == 0:
        # On clean paper a speck beside a stroke may be part of it: it stays, but does not decide how far the ink goes.
        rows, columns = _extent(kept)
        kept[rows, columns] = True
    full = 255.0 if _percentile(candidates, 98) >= _FULL_INK else level
    return np.where(kept & (ink > 0), np.minimum(ink / np.float32(full), 1), np.float32(0))


def glyph(image: NDArray[np.uint8], polarity: Polarity = "auto") -> NDArray[np.uint8]:
    """The picture of one digit, uint8 [H, W] of any size, as a glyph: uint8 [28, 28], ink high on zero.

    Raises PictureError for a blank picture: one level all over, or differences that are only noise.
    """
    return cut_glyph(image, polarity)[0]


def cut_glyph(
    image: NDArray[np.uint8], polarity: Polarity = "auto"
) -> tuple[NDArray[np.uint8], tuple[int, int, int, int]]:
    """As `glyph`, and where in the picture it was found: (x, y, width, height) in pixels."""
    import cv2

    ink = ink_on_zero(image, polarity)
    extent = _extent(ink > 0.5)
    # At the size of a glyph the faint rim is a good part of a stroke, and MNIST's boxes include it; in a large picture
    # it is only blur.
    rim = 0.0 if max(s.stop - s.start for s in extent) <= BOX + 2 else 0.3
    rows, columns = _extent(ink > rim)
    box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    ink = ink[rows, columns]
    height, width = ink.shape
    longer = max(height, width)
    # MNIST's own digits are 20 pixels long, a few 19; resampling those would only blur them.
    if longer not in (BOX - 1, BOX):
        new_size = (max(1, round(width * BOX / longer)), max(1, round(height * BOX / longer)))
        # An area mean keeps the ink of thin strokes as grey when shrinking; it would show as blocks when growing.
        ink = cv2.resize(ink, new_size, interpolation=cv2.INTER_AREA if longer > BOX else cv2.INTER_CUBIC).clip(0, 1)
        height, width = ink.shape
        # Strokes thinner than a pixel of the box have become grey; the model knows ink that is black in the middle.
        if (black := _percentile(ink[ink > _MIN_CONTRAST / 255], 98)) < _FULL_INK / 255:
            ink = (ink / np.float32(black)).clip(0, 1)
    canvas = np.zeros((SIZE, SIZE), np.float32)
    top, left = (_offset(ink.sum(axis=1)), _offset(ink.sum(axis=0)))
    canvas[top : top + height, left : left + width] = ink
    return np.rint(canvas * 255).astype(np.uint8), box


def _extent(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The smallest rows and columns that hold every True of `mask`, which has one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _percentile(values: NDArray[Any], percent: int) -> float:
    """The nearest-rank percentile; ten times as fast as NumPy's on the few pixels of a digit, a sample of many."""
    values = values[:: max(1, len(values) // 100_000)]
    rank = (len(values) - 1) * percent // 100
    return float(np.partition(values, rank)[rank])


def _offset(profile: NDArray[np.float32]) -> int:
    """Where on the 28 pixels the first of `profile` goes, so that its centre of mass lies in the middle.

    In MNIST's images the centre of mass lies between 13.5 and 14.5 (from 0, at pixel centres): pixel 14, moved by whole
    pixels. Ink is never pushed over the edge.
    """
    centre = float(profile @ np.arange(len(profile)) / profile.sum())
    return int(np.clip(np.ceil(13.5 - centre), 0, SIZE - len(profile)))


def _find_paper(image: NDArray[np.uint8], polarity: Polarity) -> tuple[float, float, bool]:
    """(level of the paper, standard deviation of its noise, ink is above it), levels 0..255."""
    import cv2

    thickness = max(1, round(0.02 * min(image.shape)))
    inner = image[thickness:-thickness, thickness:-thickness]
    border = np.concatenate(
        [
            image[:thickness].reshape(-1),
            image[-thickness:].reshape(-1),
            image[:, :thickness].reshape(-1),
            image[:, -thickness:].reshape(-1),
        ]
    )
    paper = _percentile(border, 50)
    if polarity == "auto":
        level = image.dtype.type(paper)
        below = paper * inner.size - int(np.minimum(inner, level).sum(dtype=np.int64))
        above = int(np.maximum(inner, level).sum(dtype=np.int64)) - paper * inner.size
        ink_is_high = above > below
    else:
        ink_is_high = polarity == "ink-high"
        threshold, _ = cv2.threshold(image, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        if ink_is_high != (paper <= threshold):  # a tight crop, more ink than paper along its border
            low, high = image[image <= threshold], image[image > threshold]
            # Halving mere noise leaves two halves 2.7 of their standard deviations apart; ink and paper are further.
            if len(low) and len(high) and high.mean() - low.mean() > 1.5 * (low.std() + high.std()):
                border = low if ink_is_high else high
                paper = _percentile(border, 50)
    noise = 1.4826 * _percentile(np.abs(border - np.float32(paper)), 50)  # the median deviation is deaf to strokes
    return paper, noise, ink_is_high


def _blank(image: NDArray[np.uint8]) -> str:
    low, high = int(image.min()), int(image.max())
    levels = f"grey {low} all over" if low == high else f"greys {low} to {high}, no stroke among them"
    return (
        f"the picture is blank ({image.shape[1]}x{image.shape[0]}, {levels}); "
        f"expected one digit in ink that differs from the paper"
    )
