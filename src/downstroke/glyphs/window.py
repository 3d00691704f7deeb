"""What stands in a box of a picture, as it is: paper, rules and neighbours with it, in the place of a glyph.

A glyph is cut out of the paper first, and where that goes wrong the digit is spoilt before the network has seen it. A
window leaves it to the network to see which of the ink is the digit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from downstroke.glyphs.glyph import BOX, SIZE, Cut
from downstroke.glyphs.ink import shrunk

_LEAST_CONTRAST = 12.0  # grey levels
SIZES = (1.0, 0.87, 1.15)  # of a box: the sizes at which it is looked at
_ENOUGH = 400  # pixels of a box's longer side: a box twice as large is made smaller first
_DARKEST = 98  # percent: so much of a window is less strong than its ink


def all_looks(image: NDArray[np.uint8], cuts: list[Cut]) -> NDArray[np.uint8]:
    """Every version of one digit in grey [H,W] that the network sees: its `cuts`, and windows. uint8 [N,28,28]."""
    return np.stack([*(cut.glyph for cut in cuts), *through_windows(image, cuts)])


def through_windows(image: NDArray[np.uint8], cuts: list[Cut]) -> list[NDArray[np.uint8]]:
    """`windows` of grey [H,W] at the box of each of its cuts, ink high."""
    return [each for one in cuts for each in windows(image if one.ink_is_high else 255 - image, one.box)]


def windows(image: NDArray[np.uint8], box: tuple[float, float, float, float]) -> list[NDArray[np.uint8]]:
    """`window` at `SIZES` of the box: where it ends may be seen too wide or too tight."""
    x, y, width, height = box
    return [
        window(image, (x + width * (1 - size) / 2, y + height * (1 - size) / 2, width * size, height * size))
        for size in SIZES
    ]


def window(image: NDArray[np.uint8], box: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """Grey [H,W] with ink high, seen through a window of 28x28 pixels, uint8, paper 0 and ink 255.

    `box`: x, y, width and height in pixels; its longer side is 20 of the window's pixels, its middle the window's.
    Beyond the picture there is paper.
    """
    import cv2

    x, y, width, height = box
    scale = BOX / max(width, height, 1.0)
    reach = SIZE / 2 / scale
    middle_x, middle_y = x + width / 2, y + height / 2
    left, top = max(0, int(middle_x - reach) - 1), max(0, int(middle_y - reach) - 1)
    part = image[top : int(middle_y + reach) + 2, left : int(middle_x + reach) + 2]
    if not part.size:
        return np.zeros((SIZE, SIZE), np.uint8)
    if (less := int(max(width, height) // _ENOUGH)) > 1:  # blurring takes the cube of the side
        small = shrunk(part, 1 / less)
        across, down = small.shape[1] / part.shape[1], small.shape[0] / part.shape[0]
        return window(small, ((x - left) * across, (y - top) * down, width * across, height * down))
    if scale < 0.8:  # warping skips pixels where it shrinks
        part = np.asarray(cv2.GaussianBlur(part, (0, 0), 0.4 / scale), np.uint8)
    paper, ink = float(np.median(part)), float(np.percentile(part, _DARKEST))
    # Pixels are counted at their middles.
    matrix = np.array(
        [
            [scale, 0, SIZE / 2 - (middle_x - left) * scale + (scale - 1) / 2],
            [0, scale, SIZE / 2 - (middle_y - top) * scale + (scale - 1) / 2],
        ]
    )
    grey = cv2.warpAffine(part, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderValue=paper).astype(np.float32)
    seen: NDArray[np.uint8] = np.rint(((grey - paper) / max(ink - paper, _LEAST_CONTRAST)).clip(0, 1) * 255).astype(
        np.uint8
    )
    return seen
