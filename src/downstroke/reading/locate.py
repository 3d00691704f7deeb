"""Find the digits on a picture: the locator over an image pyramid, then non-maximum suppression."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from downstroke.glyphs.ink import shrunk
from downstroke.glyphs.locator_input import STRIDE, USUAL, normalised
from downstroke.reading.locator_network import LocatorOutput
from downstroke.reading.shipped import locator

MARKS = ".,-/:"  # as in augment/pages.py, which a process that only reads does not load
_LONGEST, _SHORTEST = 1600, 160  # pixels: a longer picture is made smaller first, and a shorter one larger
_ENOUGH = 2  # times as long as that: of a huge picture this much is kept for all sizes of the pyramid
_LARGEST_STEP = 4.0  # by which a small picture is enlarged at most
_FACTOR = 1.5  # from one size of the pyramid to the next
_LEAST, _MOST = 11.0, 60.0  # pixels: how long a digit is at the sizes at which it is looked for
_ALONE = 40  # pixels: a picture that is one digit is looked at down to this length
_SHRINKING = 0.003  # of what looking at a pixel takes
_SURE = 0.3  # the least heat of a digit's middle
_MORE_LIKE_A_DIGIT = 3.0  # times as much heat: so much surer the locator has to be that a digit is none
_MORE_LIKE_A_MARK = 2.0  # and that a mark is another character
_SAME = 0.55  # what two boxes share of the smaller one: they are one digit


@dataclass(frozen=True)
class Place:
    """A digit that the locator finds: its box in the picture's pixels, and a score for each class, 0..1."""

    x: float
    y: float
    width: float
    height: float
    score: float  # that it is a digit; or, where it is none, that it is what it is
    classes: NDArray[np.float32]  # [16]: the digits, `MARKS`, and any other character

    @property
    def is_digit(self) -> bool:
        return _MORE_LIKE_A_DIGIT * self.digit_heat > self.is_other

    @cached_property
    def digit_heat(self) -> float:
        """How sure the locator is that there is a digit, 0..1."""
        return float(self.classes[:10].max())

    @cached_property
    def is_other(self) -> float:
        """How sure it is that there is a mark or a letter, 0..1."""
        return float(self.classes[10:].max())

    @property
    def mark(self) -> str:
        """The mark that it is; nothing where it is a digit, or another character."""
        best = int(self.classes[:-1].argmax())
        sure = _MORE_LIKE_A_MARK * self.classes[best] > self.classes[-1]
        return MARKS[best - 10] if best >= 10 and sure else ""

    def shares(self, box: tuple[float, float, float, float]) -> float:
        """What its box and another (x, y, width, height) share of both together, 0..1."""
        return shared((self.x, self.y, self.width, self.height), box)

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2


def shared(box: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes (x, y, width, height), 0..1."""
    x, y, width, height = box
    left, top, across, down = other
    wide = min(left + across, x + width) - max(left, x)
    high = min(top + down, y + height) - max(top, y)
    if wide <= 0 or high <= 0:
        return 0.0
    return wide * high / (across * down + width * height - wide * high)


def run_locator(image: NDArray[np.uint8], there: NDArray[np.bool_] | None = None) -> LocatorOutput:
    """The locator's output for grey [H,W] at this scale; `there` [H,W] is False outside the picture."""
    x = normalised(image)
    return locator()(x if there is None else x * there)


def locate(image: NDArray[np.uint8]) -> list[Place]:
    """The digits, marks and letters of grey [H,W], in no order."""
    places: list[Place] = []
    less = _times_less(image.shape)
    small = resized(image, 1 / less)
    for scale in scales(image.shape):
        said = run_locator(resized(small, scale * less))
        places += [place for place in peaks(said, scale) if _LEAST <= max(place.width, place.height) * scale <= _MOST]
    return distinct(places)


def scales(shape: tuple[float, ...]) -> list[float]:
    """The factors of the image pyramid, largest first."""
    longest = max(shape)
    scale = min(_LONGEST / longest, max(1.0, min(_SHORTEST / longest, _LARGEST_STEP)))
    found = [scale]
    while longest * found[-1] > _ALONE:
        found.append(found[-1] / _FACTOR)
    return found


def pixels_seen(shape: tuple[float, ...]) -> float:
    """How many pixels `locate` looks at in a picture of this shape, what making it smaller takes included."""
    every, less = scales(shape), _times_less(shape)
    shrinking = _SHRINKING * (len(every) / less**2 + (less > 1))
    return shape[0] * shape[1] * (sum(scale * scale for scale in every) + shrinking)


def _times_less(shape: tuple[float, ...]) -> int:
    """How many times smaller a picture of this shape is made before it is brought to the sizes of the pyramid."""
    return max(1, int(max(shape) // (_ENOUGH * _LONGEST)))


def resized(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """uint8 [H,W] at `scale` of its size: means of the pixels covered, or cubic."""
    import cv2

    if scale <= 1:
        return image if scale == 1 else shrunk(image, scale)
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def peaks(said: LocatorOutput, scale: float, sure: float = _SURE) -> list[Place]:
    """The local maxima of the heat map; boxes in pixels of the picture before scaling."""
    import cv2

    heat = said.heat.max(axis=2)
    around = cv2.dilate(heat, np.ones((3, 3), np.uint8))
    found = []
    for row, column in zip(*np.nonzero((heat >= around) & (heat > sure)), strict=True):
        off_x, off_y, wide, high = (float(v) for v in said.boxes[row, column])
        width, height = (USUAL * math.exp(min(max(v, -4.0), 4.0)) for v in (wide, high))
        x, y = (column + 0.5 + off_x) * STRIDE, (row + 0.5 + off_y) * STRIDE
        box = ((x - width / 2) / scale, (y - height / 2) / scale, width / scale, height / scale)
        place = Place(*box, float(heat[row, column]), said.heat[row, column])
        found.append(place)
    return found


def distinct(places: list[Place]) -> list[Place]:
    """Of places that share most of their boxes only the one that is surest.

    A digit that holds another in its box is the same digit; a comma in a digit's box is not, a letter as large is.
    """
    kept: list[Place] = []
    boxes, digits = np.zeros((len(places), 4)), np.zeros(len(places), bool)
    cells: dict[tuple[int, int], list[int]] = {}  # which of `kept` lie in each square of the picture
    side = 2 * max(1.0, float(np.median([place.width for place in places]))) if places else 1.0
    for place in sorted(places, key=lambda place: -place.score):
        own = np.array([place.x, place.y, place.x + place.width, place.y + place.height])
        left, top, right, bottom = (own // side).astype(int).tolist()
        covered = list(itertools.product(range(left, right + 1), range(top, bottom + 1)))
        near = list({index for cell in covered for index in cells.get(cell, ())})
        others = boxes[near]
        shared = np.minimum(others[:, 2:], own[2:]) - np.maximum(others[:, :2], own[:2])
        common = shared.clip(0).prod(axis=1)
        sizes, size = (others[:, 2:] - others[:, :2]).prod(axis=1), place.width * place.height
        alike = digits[near] == place.is_digit
        if not (common > _SAME * np.where(alike, np.minimum(sizes, size), np.maximum(sizes, size))).any():
            boxes[len(kept)], digits[len(kept)] = own, place.is_digit
            for cell in covered:
                cells.setdefault(cell, []).append(len(kept))
            kept.append(place)
    return kept
