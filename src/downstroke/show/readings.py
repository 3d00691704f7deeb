"""Readings as pictures: boxes drawn on the page, and the steps of each digit side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from downstroke.data.picture import open_picture
from downstroke.errors import PictureError
from downstroke.reading.reader import Digit, Reading

if TYPE_CHECKING:
    from PIL import Image

_READ, _REFUSED, _TEXT = (0, 120, 215), (200, 60, 0), (40, 40, 40)  # RGB
_LONGEST = 2000  # pixels
_CELL, _GAP, _BARS, _MOST = 112, 12, 160, 60  # pixels, pixels, pixels, digits

Colour = tuple[int, int, int]


def draw(reading: Reading, path: Path) -> Path:
    """The picture with a box and the reading at each digit, as a file of the kind that `path` says; gives the path.

    Raises PictureError where the file cannot be written or the picture came from stdin.
    """
    from PIL import ImageDraw, ImageFont

    if reading.file == "-":
        raise PictureError("a picture from stdin is gone when it has been read; save it to draw on it")
    image = _coloured(reading.file)
    scale = min(1.0, _LONGEST / max(image.size))
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    pen = ImageDraw.Draw(image)
    digits = [digit for line in reading.lines for digit in line.digits]
    boxes = [[round(value * scale) for value in digit.box] for digit in digits]
    for digit, (x, y, width, height) in zip(digits, boxes, strict=True):
        colour = _READ if digit.accepted else _REFUSED
        pen.rectangle((x, y, x + width, y + height), outline=colour, width=max(1, round(height / 40)))
    for digit, (x, y, _, height) in zip(digits, boxes, strict=True):  # after all boxes: none hides a label
        size = min(40, max(11, round(height / 4)))
        label = f"{digit.digit}{'' if digit.accepted else '?'}\n{digit.probability:.0%}"
        style: dict[str, Any] = {"font": ImageFont.load_default(size), "stroke_width": max(2, size // 8), "spacing": 0}
        _, top, right, bottom = pen.textbbox((0, 0), label, **style)
        place = (
            min(x, image.width - right),
            y - bottom if y >= bottom - top else min(y + height, image.height - bottom),
        )
        pen.multiline_text(place, label, _READ if digit.accepted else _REFUSED, stroke_fill="white", **style)
    return _save(np.asarray(image), path)


def _coloured(file: str) -> Image.Image:
    """The picture in its colours, upright, on white where transparent; in grey where its levels are not 0 to 255."""
    from PIL import Image, ImageOps

    grey = open_picture(file)  # says what is wrong with it
    with Image.open(file) as image:
        if image.mode == "F" or image.mode.startswith("I") or image.mode == "LAB":
            return Image.fromarray(grey).convert("RGB")
        upright = ImageOps.exif_transpose(image).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")


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

    cv2.putText(image, text, place, cv2.FONT_HERSHEY_DUPLEX, 0.36, colour, 1, cv2.LINE_AA)


def _save(image: NDArray[np.uint8], path: Path) -> Path:
    from PIL import Image

    try:
        Image.fromarray(image).save(path)
    except (OSError, ValueError) as error:  # ValueError: a suffix that names no kind of picture
        raise PictureError(f"{path}: cannot be written ({error}); expected a name such as out.png") from None
    return path.resolve()
