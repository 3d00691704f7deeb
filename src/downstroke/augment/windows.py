"""Windows cut from drawn pages, for the reader to learn from: digits among neighbours, rules, shadows and texture.

Beside the digits there are windows that show none: letters and marks, the gap between two digits, two at once, paper.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from downstroke.augment.pages import ALIKE, MARKS, Characters, Page, draw_pages
from downstroke.glyphs.window import window

Box = tuple[float, float, float, float]
NONE = 10  # the label of what is not a digit
_OTHERS, _EMPTY = 5, 2  # of a ground: letters and marks at most, and windows of what is not a character
_MOVED, _SCALED = 0.07, 0.1  # how far a box is off: by its longer side, and the spread of the logarithm of its size
#: What large enough may be taken for a 1 is shown neither as a digit nor as none.
_ALIKE = (ALIKE, *(NONE + MARKS.index(mark) for mark in ",/"))
_TOUCHED = 0.15  # of a window's box: paper shares less than that with any character


def windows(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    count: int,
    seed: int,
    stopping: Callable[[], bool] = lambda: False,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
    """So many windows of pages with these digits, uint8 [N,28,28] and int64 [N]: uint8 [count,28,28], int64 [count].

    None where it was `stopping` meanwhile: a thousand take about a second.
    """
    characters = Characters(images, labels)
    made: list[NDArray[np.uint8]] = []
    said: list[int] = []
    grounds = itertools.count()
    while len(made) < count:
        if stopping():
            return None
        rng = np.random.default_rng((seed, next(grounds)))
        for page, _, _ in draw_pages(rng, characters):
            high = page.image if page.ink_is_high else 255 - page.image
            for box, label in _boxes(rng, page):
                made.append(window(high, box))
                said.append(label)
    order = np.random.default_rng(seed).permutation(len(made))[:count]
    return np.stack(made)[order], np.array(said, np.int64)[order]


def _boxes(rng: np.random.Generator, page: Page) -> list[tuple[Box, int]]:
    """Where windows are cut from a page, and what each shows."""
    digits = [(_off(rng, box), int(label)) for box, label in zip(page.boxes, page.labels, strict=True) if label < NONE]
    none = (page.labels >= NONE) & ~np.isin(page.labels, _ALIKE)
    others = [_off(rng, box) for box in page.boxes[none]]
    others = [others[i] for i in rng.permutation(len(others))]
    found = digits + [(box, NONE) for box in others[:_OTHERS]]
    for _ in range(_EMPTY):
        empty = _between(rng, page.boxes) if rng.random() < 0.5 else _paper(rng, page)
        found += [(empty, NONE)] if empty else []
    return found


def _off(rng: np.random.Generator, box: NDArray[np.float32]) -> Box:
    """The box about as well as a locator finds it."""
    x, y, width, height = (float(v) for v in box)
    longer = max(width, height)
    wide, high = (side * math.exp(rng.normal(0, _SCALED)) for side in (width, height))
    off_x, off_y = rng.normal(0, _MOVED, 2) * longer
    return x + (width - wide) / 2 + off_x, y + (height - high) / 2 + off_y, wide, high


def _between(rng: np.random.Generator, boxes: NDArray[np.float32]) -> Box | None:
    """What two neighbours share: the gap from the middle of one to the middle of the other, or both."""
    if len(boxes) < 2:
        return None
    at = int(rng.integers(len(boxes) - 1))
    (x, y, width, height), (right, low, wide, high) = boxes[at : at + 2].tolist()
    if not 0 < right - x < 2 * width or abs(low - y) > 0.5 * max(height, high):
        return None
    top, bottom = min(y, low), max(y + height, low + high)
    if rng.random() < 0.5:
        return x, top, right + wide - x, bottom - top
    return x + width / 2, top, right + wide / 2 - x - width / 2, bottom - top


def _paper(rng: np.random.Generator, page: Page) -> Box | None:
    """A place without any character."""
    tall = math.exp(rng.uniform(math.log(12), math.log(50)))
    height, width = page.image.shape
    x, y = rng.uniform(0, max(1, width - tall)), rng.uniform(0, max(1, height - tall))
    shared = np.minimum(page.boxes[:, :2] + page.boxes[:, 2:], (x + tall, y + tall)) - np.maximum(
        page.boxes[:, :2], (x, y)
    )
    return None if (shared.clip(0).prod(axis=1) > _TOUCHED * tall * tall).any() else (x, y, tall, tall)
