"""Readings as pictures: boxes drawn on the page, and the steps of each digit as a sheet of cards."""

from __future__ import annotations

import io
import math
import textwrap
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from downstroke.errors import PictureError, counted
from downstroke.glyphs.colour import coloured
from downstroke.reading.reader import Digit, Reading
from downstroke.runs.outputs import write_output

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

_READ, _REFUSED, _TEXT, _FAINT = (0, 120, 215), (200, 60, 0), (40, 40, 40), (205, 210, 216)  # RGB
_LONGEST, _LARGEST = 2000, 8  # pixels of the drawn page; how much larger than the picture it is at most
_TALL = 48  # pixels: a digit lower than that is drawn larger, so that its label can be read
_SCREEN, _MOST = (1600, 960), 60  # pixels of a sheet at most, its digits at most
_SIZES = (112, 84, 56, 42)  # pixels of a thumbnail: the largest that lets the sheet fit
_GAP, _BAR = 8, 14  # pixels

Place = tuple[float, float, float, float]  # left, top, right, bottom


def draw(reading: Reading, path: Path) -> Path:
    """The picture with a box and the reading at each digit, as a file of the kind that `path` says; gives the path.

    A picture of small digits is drawn larger than it is. Raises PictureError where the file cannot be written or the
    picture came from stdin.
    """
    from PIL import Image, ImageDraw

    if reading.file == "-":
        raise PictureError("a picture from stdin cannot be drawn on; save it to a file first")
    image = coloured(reading.source)
    digits = [digit for line in reading.lines for digit in line.digits]
    height = float(np.median([digit.box[3] for digit in digits])) if digits else _TALL
    larger = min(_LARGEST, max(1, math.ceil(_TALL / max(height, 1))))
    scale = min(larger, _LONGEST / max(image.size))
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), how)
    pen = ImageDraw.Draw(image)
    boxes: list[Place] = []
    for digit in digits:
        x, y, width, tall = (round(value * scale) for value in digit.box)
        boxes.append((x, y, x + width, y + tall))
        colour = _READ if digit.accepted else _REFUSED
        pen.rectangle(boxes[-1], outline=colour, width=max(1, round(height * scale / 40)))
    size = min(40, max(11, round(height * scale / 4)))
    taken = list(boxes)
    for digit, box in zip(digits, boxes, strict=True):  # after all boxes: none hides a label
        taken.append(_label(pen, image.size, digit, box, taken, size))
    return _save(image, path)


def _label(
    pen: ImageDraw.ImageDraw, page: tuple[int, int], digit: Digit, box: Place, taken: list[Place], size: int
) -> Place:
    """Write what a digit was read as where it covers least of what is `taken`; gives the place."""
    from PIL import ImageFont

    style: dict[str, Any] = {"font": ImageFont.load_default(size), "stroke_width": max(2, size // 8), "spacing": 0}
    name = f"{digit.digit}{'' if digit.accepted else '?'}"
    best: tuple[float, str, Place] | None = None
    for text in (f"{name}\n{_percent(digit)}", f"{name} {_percent(digit)}"):
        _, _, width, height = pen.textbbox((0, 0), text, **style)
        left, top, right, bottom = box
        for beside, level in (
            *product((left, right - width), (top - height, bottom)),
            *product((right + 2, left - width - 2), (top,)),
        ):
            x, y = min(max(beside, 0), page[0] - width), min(max(level, 0), page[1] - height)
            place = (x, y, x + width, y + height)
            hidden = sum(_shared(place, other) for other in taken)
            if best is None or hidden < best[0]:
                best = hidden, text, place
    assert best is not None
    _, text, place = best
    pen.multiline_text(place[:2], text, _READ if digit.accepted else _REFUSED, stroke_fill="white", **style)
    return place


def _shared(one: Place, other: Place) -> float:
    """The area that two places share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def _percent(digit: Digit) -> str:
    """The probability without decimals; a certainty that nobody claimed is not made of 99.9%."""
    return f"{digit.probability if digit.probability == 1 else min(digit.probability, 0.99):.0%}"


def explain(reading: Reading, path: Path) -> Path:
    """A card for each digit, on a sheet of 1600 x 960 pixels at most; gives the path.

    A card: what the digit was read as, its crop, ink and glyph, the most probable classes, and the warnings in words.
    The first 60 digits that carry their steps. Raises PictureError where the file cannot be written.
    """
    from PIL import Image, ImageDraw

    found = [digit for line in reading.lines for digit in line.digits if digit.steps]
    digits = found[:_MOST]
    head = 2 * _GAP + 14 if len(found) > _MOST else _GAP
    for thumb in _SIZES:
        width, height = _card_size(thumb)
        columns = max(1, min(len(digits), _SCREEN[0] // width))
        rows = max(1, math.ceil(len(digits) / columns))
        if head + rows * height <= _SCREEN[1]:
            break
    sheet = Image.new("RGB", (columns * width, head + rows * height), "white")
    pen = ImageDraw.Draw(sheet)
    if len(found) > _MOST:
        pen.text((_GAP, _GAP), f"the first {_MOST} of {counted(len(found), 'digit')}", _TEXT, _font(12))
    for index, digit in enumerate(digits):
        _card(sheet, pen, digit, (index % columns * width, head + index // columns * height), thumb)
    return _save(sheet, path)


def _bars_of(thumb: int) -> int:
    """Classes that a card shows."""
    return {112: 10, 84: 5}.get(thumb, 2)


def _words_of(thumb: int) -> int:
    """Lines of words that a card has room for."""
    return {112: 4, 84: 3}.get(thumb, 2)


def _card_size(thumb: int) -> tuple[int, int]:
    words = _words_of(thumb) * 11
    return 3 * thumb + 4 * _GAP, 20 + 12 + thumb + _BAR * _bars_of(thumb) + words + _GAP


def _card(sheet: Image.Image, pen: ImageDraw.ImageDraw, digit: Digit, corner: tuple[int, int], thumb: int) -> None:
    from PIL import Image

    assert digit.steps is not None
    left, top = corner[0] + _GAP, corner[1]
    width, height = _card_size(thumb)
    colour = _READ if digit.accepted else _REFUSED
    pen.rectangle((corner[0] + 2, top, corner[0] + width - 3, top + height - 4), outline=_FAINT)
    told = f"{digit.digit}  {digit.probability:.1%}" if digit.accepted else f"{digit.digit}?  refused"
    pen.text((left, top + 2), told, colour, _font(14))
    top += 20
    ink = np.rint((1 - digit.steps.ink) * 255).astype(np.uint8)
    for index, (name, image) in enumerate((("crop", digit.steps.crop), ("ink", ink), ("glyph", digit.steps.glyph))):
        x = left + index * (thumb + _GAP)
        pen.text((x, top), name, _TEXT, _font(9))
        scale = thumb / max(image.shape)
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
        sheet.paste(Image.fromarray(image).resize(size, how).convert("RGB"), (x, top + 12))
    top += 12 + thumb + 2
    chances, room = digit.probabilities, 3 * thumb + 2 * _GAP - 70
    likely = sorted(range(len(chances)), key=lambda i: -chances[i])[: _bars_of(thumb)]
    for place, index in enumerate(sorted(likely) if len(likely) == len(chances) else likely):
        y = top + place * _BAR
        end = left + 22 + round(chances[index] * room)
        pen.text((left, y), str(index), _TEXT, _font(11))
        pen.rectangle((left + 22, y + 2, end, y + 10), fill=colour)
        pen.text((end + 6, y), f"{chances[index]:.1%}", _TEXT, _font(11))
    top += _BAR * _bars_of(thumb)
    lines = [line for words in digit.warnings for line in textwrap.wrap(words, (width - 2 * _GAP) // 5)]
    for place, line in enumerate(lines[: _words_of(thumb)]):
        pen.text((left, top + place * 11), line, _TEXT, _font(9))


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _save(image: Image.Image, path: Path) -> Path:
    from PIL import Image

    content = io.BytesIO()
    try:
        image.save(content, Image.registered_extensions().get(path.suffix.lower(), path.suffix))
        write_output(path, content.getvalue())
    except (OSError, ValueError, KeyError) as error:  # of a suffix that names no kind of picture
        if isinstance(error, OSError) and error.errno:
            raise PictureError(f"{path}: cannot be written ({error.strerror})") from None
        raise PictureError(f"{path}: cannot be written ({error}); expected a name such as out.png") from None
    return path.resolve()
