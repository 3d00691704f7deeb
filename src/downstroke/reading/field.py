"""A field of a form: the part of a picture that is read alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from numpy import uint8
from numpy.typing import NDArray

from downstroke.errors import PictureError, counted
from downstroke.glyphs.glyph import Box
from downstroke.reading.outcome import Line

_BOX = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<box>[0-9]{1,6},[0-9]{1,6},[0-9]{1,6},[0-9]{1,6})")


@dataclass(frozen=True)
class Field:
    """Named; the box is x, y, width, height in the pixels of the upright picture."""

    name: str
    box: Box

    @classmethod
    def parse(cls, text: str) -> Self:
        """`X,Y,W,H`, which is its name too, or `NAME=X,Y,W,H`. ValueError."""
        found = _BOX.fullmatch(text.replace(" ", ""))
        x, y, width, height = (int(value) for value in found["box"].split(",")) if found else (0, 0, 0, 0)
        if not (found and width and height):
            raise ValueError(f"{text!r}; expected X,Y,W,H or NAME=X,Y,W,H in pixels, such as amount=40,60,300,50")
        return cls(text.partition("=")[0].strip() if found["name"] else found["box"], (x, y, width, height))

    def of(self, image: NDArray[uint8]) -> NDArray[uint8]:
        """The field's part of a picture [H,W]. PictureError where the box is not inside it."""
        x, y, width, height = self.box
        if x + width > image.shape[1] or y + height > image.shape[0]:
            told = "" if self.name == ",".join(map(str, self.box)) else f" ({x},{y},{width},{height})"
            raise PictureError(
                f"the box {self.name}{told} is outside the picture; expected one within "
                f"{image.shape[1]} x {counted(image.shape[0], 'pixel')}"
            )
        return image[y : y + height, x : x + width]

    def placed(self, lines: Sequence[Line]) -> list[Line]:
        """Lines read in the field, their boxes moved to the pixels of the whole picture."""

        def moved(box: Box) -> Box:
            return (box[0] + self.box[0], box[1] + self.box[1], box[2], box[3])

        return [
            replace(
                line,
                digits=[replace(digit, box=moved(digit.box)) for digit in line.digits],
                marks=[replace(mark, box=moved(mark.box)) for mark in line.marks],
            )
            for line in lines
        ]
