"""Readings as pictures: boxes drawn on the page, and the steps of each digit side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downstroke.data.picture import open_picture
from downstroke.errors import PictureError
from downstroke.reading.reader import Digit, Reading

_READ, _REFUSED, _TEXT = (0, 120, 215), (200, 60, 0), (40, 40, 40)  # RGB
_LONGEST = 2000  # pixels
_CELL, _GAP, _BARS, _MOST = 112, 12, 160, 60  # pixels, pixels, pixels, digits

Colour = tuple[int, int, int]


def draw(reading: Reading, path: Path) -> Path:
    """The picture with a box and the reading at each digit, as a file of the kind that `path` says; gives the path.

    Raises PictureError where the file cannot be written or the picture came from stdin.
    """
    import cv2

    if reading.file == "-":
        raise PictureError("a picture from stdin is gone when it has been read; save it to draw on it")
    grey = open_picture(reading.file)
    scale = min(1.0, _LONGEST / max(grey.shape))
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    image = cv2.cvtColor(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2RGB)
    for digit in (digit for line in reading.lines for digit in line.digits):
        x, y, width, height = (round(value * scale) for value in digit.box)
        colour = _READ if digit.accepted else _REFUSED
        thick = max(1, round(height / 40))
        cv2.rectangle(image, (x, y), (x + width, y + height), colour, thick)
        letters = max(0.4, height / 90)
        place = (x, y - 3 if y > 25 * letters else y + height + round(24 * letters))
        cv2.putText(image, str(digit.digit), place, cv2.FONT_HERSHEY_SIMPLEX, letters, colour, max(1, thick))
    return _save(np.asarray(image, np.uint8), path)


def explain(reading: Reading, path: Path) -> Path:
    """A row for each digit: crop, ink, glyph, probabilities, and the warnings in words; gives the path.

    The first 60 digits that carry their steps. Raises PictureError where the file cannot be written.
    """
    digits = [digit for line in reading.lines for digit in line.digits if digit.steps][:_MOST]
    rows = [_steps(digit) for digit in digits]
    return _save(np.concatenate(rows) if rows else np.full((_CELL, _CELL, 3), 255, np.uint8), path)


def _steps(digit: Digit) -> NDArray[np.uint8]:
    import cv2

    assert digit.steps is not None
    row = np.full((_CELL + 2 * _GAP + 16, 4 * _CELL + 5 * _GAP + 2 * _BARS, 3), 255, np.uint8)
    ink = np.rint((1 - digit.steps.ink) * 255).astype(np.uint8)
    for index, (name, image) in enumerate(
        (("crop", digit.steps.crop), ("ink", ink), ("glyph 28x28", digit.steps.glyph))
    ):
        left = _GAP + index * (_CELL + _GAP)
        scale = _CELL / max(image.shape)
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        shown = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA)
        row[_GAP + 14 : _GAP + 14 + size[1], left : left + size[0]] = shown[..., None]
        _write(row, name, (left, _GAP + 8), _TEXT)
    left = _GAP + 3 * (_CELL + _GAP)
    likely = sorted(range(len(digit.probabilities)), key=lambda i: -digit.probabilities[i])[:10]
    for place, index in enumerate(sorted(likely)):
        top = _GAP + 14 + place * 11
        chance = digit.probabilities[index]
        cv2.rectangle(row, (left + 22, top + 1), (left + 22 + round(chance * _CELL), top + 9), _READ, -1)
        _write(row, str(index), (left, top + 9), _TEXT)
        _write(row, f"{chance:.1%}", (left + 26 + round(chance * _CELL), top + 9), _TEXT)
    left += _CELL + 90
    words = [f"read as {digit.digit}", "accepted" if digit.accepted else "refused", *digit.warnings]
    for place, text in enumerate(words):
        _write(row, text, (left, _GAP + 24 + place * 16), _TEXT if digit.accepted else _REFUSED)
    return row


def _write(image: NDArray[np.uint8], text: str, place: tuple[int, int], colour: Colour) -> None:
    import cv2

    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, colour, 1, cv2.LINE_AA)


def _save(image: NDArray[np.uint8], path: Path) -> Path:
    from PIL import Image

    try:
        Image.fromarray(image).save(path)
    except (OSError, ValueError) as error:  # ValueError: a suffix that names no kind of picture
        raise PictureError(f"{path}: cannot be written ({error}); expected a name such as out.png") from None
    return path.resolve()
