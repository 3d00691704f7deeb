"""One digit in a picture of any size becomes the 28x28 image that the model sees, the way NIST's digits became MNIST.

Ink high on zero, aspect kept, fitted in a 20x20 box with its grey levels, its centre of mass in the middle of 28x28:
LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998. Of several things in the picture the digit
is the one at the centre; strokes much thinner or thicker than MNIST's are brought closer to MNIST's.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstroke.errors import PictureError
from downstroke.glyphs.ink import FADES, BlankError, Ink, Polarity, extent, separations, shrunk, with_paper_beside

SIZE, BOX = 28, 20

# Of the strokes in MNIST's boxes, one in a hundred is finer than 1.44 pixels, and one in a hundred broader than 4.54.
THIN, BROAD = 1.8, 3.2
_LEAST, _MOST = 1.2, 6.0  # none of MNIST's is beyond: of a glyph within these the strokes are left alone
_FINE = 40  # pixels: a digit is thickened or thinned at this length, and shrunk to the box after that
_WORK = 160  # pixels: a larger picture of one digit is made this long first
_FULL = 250 / 255

Box = tuple[int, int, int, int]


SMALL = 14  # pixels: the longer side of a picture that is enlarged first
SPECK = 3  # pixels across: what is no larger, in a picture larger than a glyph, is not a digit


@dataclass(frozen=True)
class Cut:
    """A digit cut out of a picture: uint8 `glyph` [28,28], its `box` (x, y, width, height), and how it was made."""

    glyph: NDArray[np.uint8]
    box: Box
    ink: NDArray[np.float32]  # [height, width] of the box at working scale, 0..1
    stroke: float  # width of the pen in pixels of the box of 20, before it was brought near MNIST's
    ink_is_high: bool
    left_out: int  # parts of neighbours, lines and edges in the picture
    contrast: float  # of ink against paper, in grey levels


def glyph(image: NDArray[np.uint8], polarity: Polarity = "auto") -> NDArray[np.uint8]:
    """The picture of one digit, uint8 [H, W] of any size, as a glyph: uint8 [28, 28], ink high on zero.

    Raises PictureError for a blank picture: one level all over, or differences that are only noise.
    """
    return cut(image, polarity).glyph


def cut(image: NDArray[np.uint8], polarity: Polarity = "auto") -> Cut:
    """As `glyph`, with where in the picture the digit was found and how it was made."""
    return looks(image, polarity, 1)[0]


def looks(image: NDArray[np.uint8], polarity: Polarity = "auto", most: int = len(FADES)) -> list[Cut]:
    """The digit as `cut` has it, and, where the paper is not clean, with more and with less taken for ink.

    One to `most` of them. Raises PictureError as `glyph` does.
    """
    wider, room = with_paper_beside(image)
    try:
        found = _at_any_size(wider, polarity, most)
        return [replace(one, box=_moved(one.box, -room, image.shape)) for one in found] if room else found
    except BlankError as error:  # it may speak of the picture made smaller or larger, or of a part
        raise BlankError(error.how, image.shape, error.levels) from None


def _at_any_size(image: NDArray[np.uint8], polarity: Polarity, most: int) -> list[Cut]:
    scale = _WORK / max(image.shape, default=1)
    if scale > 0.75:
        return _looks(image, polarity, most)
    coarse = _looks(shrunk(image, scale), polarity, most)
    coarse = [replace(one, box=_scaled(one.box, 1 / scale, image.shape)) for one in coarse]
    x, y, width, height = coarse[0].box
    margin = max(width, height) // 4 + 1
    left, top = max(0, x - margin), max(0, y - margin)
    near = image[top : y + height + margin, left : x + width + margin]
    if max(near.shape) > 0.6 * max(image.shape):
        return coarse
    # A small digit in a large picture: look again.
    found = looks(near, "ink-high" if coarse[0].ink_is_high else "ink-low", most)
    return [replace(one, box=(one.box[0] + left, one.box[1] + top, *one.box[2:])) for one in found]


def _moved(box: Box, by: int, shape: tuple[int, ...]) -> Box:
    """The box `by` pixels further to the right, within a picture of `shape`."""
    left, right = max(0, box[0] + by), min(shape[1], box[0] + by + box[2])
    return left, box[1], max(1, right - left), box[3]


def _scaled(box: Box, factor: float, shape: tuple[int, ...]) -> Box:
    x, y = int(box[0] * factor), int(box[1] * factor)
    width, height = int(np.ceil(box[2] * factor)), int(np.ceil(box[3] * factor))
    return x, y, min(width, shape[1] - x), min(height, shape[0] - y)


def _looks(image: NDArray[np.uint8], polarity: Polarity, most: int) -> list[Cut]:
    if image.size and max(image.shape) < SMALL:  # too few pixels to tell a stroke's breadth by: look at it enlarged
        larger = _looks(image.repeat(4, axis=0).repeat(4, axis=1), polarity, most)
        return [replace(one, box=_scaled(one.box, 1 / 4, image.shape)) for one in larger]
    found: list[Cut] = []
    try:
        for ink in itertools.islice(separations(image, polarity), most):
            found.append(_cut(ink))
    except PictureError:
        if not found:
            raise
    return found


def _cut(ink: Ink) -> Cut:
    density, left_out = at_the_centre(ink)
    rows, columns = extent(density > 0.5) if (density > 0.5).any() else extent(density > 0)
    # At the size of a glyph the faint rim is a good part of a stroke, and MNIST's boxes include it; in a large picture
    # it is only blur.
    rim = 0.0 if max(rows.stop - rows.start, columns.stop - columns.start) <= BOX + 2 else 0.3
    rows, columns = extent(density > rim)
    box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    height, width = density.shape
    if max(box[2:]) <= SPECK and max(height, width) > SIZE:
        raise BlankError("blank but for a speck", density.shape, "no stroke among them")
    patch = density[rows, columns]
    made, stroke = fit(patch)
    return Cut(made, box, patch, stroke, ink.ink_is_high, left_out, ink.contrast)


def at_the_centre(ink: Ink) -> tuple[NDArray[np.float32], int]:
    """(the density with only the digit at the picture's centre left, how many parts were left out).

    What touches the picture's edge beside the digit is a neighbour or a box, what is long and straight is a ruled line,
    what is small beside it is a dot; a part above or below, or close by, belongs to the digit: the flag of a 5.
    """
    height, width = ink.density.shape
    flat = ink.parts.reshape(-1)
    mass = np.bincount(flat, ink.density.reshape(-1), ink.count)
    mass[0] = 0
    if np.count_nonzero(mass) <= 1:
        return ink.density, 0
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    spread = 2 * (0.25 * max(height, width)) ** 2
    by_row = np.exp(-((np.arange(height) - middle_y) ** 2) / spread)
    by_column = np.exp(-((np.arange(width) - middle_x) ** 2) / spread)
    central = np.bincount(flat, (ink.density * np.outer(by_row, by_column)).reshape(-1), ink.count)
    central[0] = 0
    main = int(central.argmax())

    y, x = np.nonzero(ink.density)
    numbers = ink.parts[y, x]
    # Neighbours in slanted writing stand above each other's feet: measure along the slant of the digit.
    own = numbers == main
    off_y, off_x = y[own] - y[own].mean(), x[own] - x[own].mean()
    slant = float(np.clip((off_x * off_y).sum() / max(1e-6, float((off_y * off_y).sum())), -1, 1))
    upright = x - slant * (y - middle_y)
    parts = [
        _Part.of(x[numbers == n], y[numbers == n], upright[numbers == n], (height, width)) for n in range(ink.count)
    ]
    keep = np.array(
        [mass[n] > 0 and (n == main or _belongs(parts[n], parts[main], middle_x, ink.clean)) for n in range(ink.count)]
    )
    left_out = int(np.count_nonzero(mass) - keep.sum())
    if not left_out:
        return ink.density, 0
    if ink.clean:
        keep[0] = True  # faint ink between the parts
    return np.where(keep[ink.parts], ink.density, np.float32(0)), left_out


@dataclass(frozen=True)
class _Part:
    """Where a part lies; left and right along the slant of the digit."""

    left: float
    right: float
    top: float
    bottom: float
    wide: float
    high: float
    touches: bool

    @classmethod
    def of(cls, x: NDArray[Any], y: NDArray[Any], upright: NDArray[Any], shape: tuple[int, int]) -> _Part:
        if not len(x):
            return cls(0, 0, 0, 0, 0, 0, False)
        left, right, top, bottom = float(upright.min()), float(upright.max()) + 1, int(y.min()), int(y.max()) + 1
        touches = bool(x.min() == 0 or top == 0 or x.max() + 1 == shape[1] or bottom == shape[0])
        return cls(left, right, top, bottom, right - left, bottom - top, touches)


def _belongs(part: _Part, main: _Part, middle: float, clean: bool) -> bool:
    """Whether a part is of the same digit as the main one."""
    tall = max(main.high, main.wide / 2)
    inside = min(part.right, main.right) - max(part.left, main.left)
    gap_x = max(0.0, -inside)
    gap_y = max(0.0, max(part.top, main.top) - min(part.bottom, main.bottom))
    line = max(part.wide, part.high) > 4 * min(part.wide, part.high)
    if inside >= 0.5 * part.wide:
        return not (part.touches and (line or gap_y > 0.1 * tall)) and gap_y <= 0.25 * tall
    if part.touches:
        return False
    if clean:
        return gap_x <= 0.5 * tall and gap_y <= 0.5 * tall
    flag = part.top < main.top + 0.3 * tall and 1.5 * part.high < part.wide < tall
    if max(part.wide, part.high) < 0.3 * tall and not flag:
        return False
    joined = (min(part.left, main.left) + max(part.right, main.right)) / 2
    nearer = abs(joined - middle) <= abs((main.left + main.right) / 2 - middle)
    return gap_x <= 0.15 * tall and gap_y <= 0.15 * tall and nearer


def fit(ink: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float]:
    """(the glyph of a digit's ink, uint8 [28,28]; the width of its pen in pixels of the box of 20).

    `ink`: float32 [H,W], 0..1, cut to the digit; its longer side becomes 20.
    """
    longer = max(ink.shape)
    # MNIST's own digits are 20 pixels long, a few 19; resampling those would only blur them.
    stroke = stroke_width(ink) * BOX / longer if longer in (BOX - 1, BOX) else 0.0
    if not _LEAST <= stroke <= _MOST:
        fine = _resized(ink, _FINE / longer) if longer != _FINE else ink
        stroke = stroke_width(fine) * BOX / _FINE
        wanted = min(max(stroke, THIN), BROAD)
        if abs(wanted - stroke) > 0.05:
            fine = _thicken(fine, (wanted - stroke) / 2 * _FINE / BOX)
        ink = _resized(fine, BOX / max(fine.shape))
        # Strokes thinner than a pixel of the box have become grey; the model knows ink that is black in the middle.
        strong = np.sort(ink[ink > 0.03])
        if len(strong) and (black := float(strong[(len(strong) - 1) * 98 // 100])) < _FULL:
            ink = np.minimum(ink / np.float32(black), 1)
    canvas = np.zeros((SIZE, SIZE), np.float32)
    height, width = ink.shape
    top, left = _offset(ink.sum(axis=1)), _offset(ink.sum(axis=0))
    canvas[top : top + height, left : left + width] = ink
    return np.rint(canvas * 255).astype(np.uint8), stroke


def stroke_width(ink: NDArray[np.float32]) -> float:
    """The mean width of the strokes of float32 [H,W] in its pixels: twice their area by the length of their edges.

    Grey levels count in both: the length of the edges is the total variation.
    """
    import cv2

    # The grain of a pencil is not an edge: at the size of a glyph and larger it is blurred first.
    blur = max(ink.shape) / 45
    ink = np.asarray(cv2.copyMakeBorder(ink, 4, 4, 4, 4, cv2.BORDER_CONSTANT), np.float32)
    if blur > 0.6:
        ink = np.asarray(cv2.GaussianBlur(ink, (0, 0), blur), np.float32)
    down, right = ink[1:, :-1] - ink[:-1, :-1], ink[:-1, 1:] - ink[:-1, :-1]
    edges = float(np.sqrt(down * down + right * right).sum())
    return 2 * float(ink.sum()) / edges if edges else 0.0


def _thicken(ink: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """Every stroke broader by `radius` pixels on each side, or finer where that is negative; [H,W] -> larger [H,W]."""
    import cv2

    change = cv2.dilate if radius > 0 else cv2.erode
    whole, part = divmod(abs(radius), 1)
    margin = (int(whole) + 1,) * 4
    ink = np.asarray(cv2.copyMakeBorder(ink, *margin, cv2.BORDER_CONSTANT), np.float32)
    if whole:
        size = 2 * int(whole) + 1
        ink = np.asarray(change(ink, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))), np.float32)
    ink = ink + np.float32(part) * (change(ink, np.ones((3, 3), np.uint8)) - ink)
    rows, columns = extent(ink > min(0.3, float(ink.max()) / 2))
    return ink[rows, columns]


def _resized(ink: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    import cv2

    size = (max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale)))
    # An area mean keeps the ink of thin strokes as grey when shrinking; it would show as blocks when growing.
    made = cv2.resize(ink, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    # np.clip takes ten times as long as these two on so few pixels.
    return np.minimum(np.maximum(np.asarray(made, np.float32), 0), 1)


def _offset(profile: NDArray[np.float32]) -> int:
    """Where on the 28 pixels the first of `profile` goes, so that its centre of mass lies in the middle.

    In MNIST's images the centre of mass lies between 13.5 and 14.5 (from 0, at pixel centres): pixel 14, moved by whole
    pixels. Ink is never pushed over the edge.
    """
    centre = float(profile @ np.arange(len(profile))) / max(float(profile.sum()), 1e-6)
    return min(max(math.ceil(13.5 - centre), 0), SIZE - len(profile))
