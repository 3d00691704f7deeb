"""What was read: digits, in lines, of a picture."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy import uint8
from numpy.typing import NDArray

from downstroke.errors import counted
from downstroke.glyphs.glyph import Box

REFUSED = "?"
_CLOSE, _APART = 0.25, 0.6  # of a digit's height: a gap within a group, and what one between groups has more
_WIDER = 1.7  # by which it is wider at least: far apart, hands space less evenly


@dataclass(frozen=True)
class Steps:
    """How a digit was made ready: grey `crop` uint8 [h,w], its `ink` float32 [h,w] 0..1, the `glyph` uint8 [28,28]."""

    crop: NDArray[uint8]
    ink: NDArray[np.float32]
    glyph: NDArray[uint8]


@dataclass(frozen=True)
class Digit:
    """One glyph, read."""

    digit: int | str  # the class; an int where all the run's classes are whole numbers
    probability: float  # of that class, 0..1
    probabilities: list[float]  # of every class, in the run's order; they sum to 1
    box: Box  # x, y, width, height in the picture's pixels
    accepted: bool  # whether the reading is to be relied on
    warnings: list[str] = field(default_factory=list)  # what was done to it or is odd about it, in words
    steps: Steps | None = field(default=None, repr=False, compare=False)  # where `explain` was asked for


@dataclass(frozen=True)
class Mark:
    """A point, comma, dash, stroke or colon beside digits."""

    mark: str  # . , - / or :
    box: Box  # x, y, width, height in the picture's pixels


@dataclass(frozen=True)
class Line:
    """Digits in reading order; in the text a space stands where a gap parts two groups of them."""

    text: str
    digits: list[Digit]
    marks: list[Mark] = field(default_factory=list)  # seen among the digits; not in the text unless they were asked for

    @classmethod
    def of(
        cls, digits: list[Digit], marks: Sequence[Mark] = (), *, strict: bool = False, with_marks: bool = False
    ) -> Self:
        """The line of some digits, at least one; with `strict` a refused one is `?` in the text."""
        names = [REFUSED if strict and not digit.accepted else str(digit.digit) for digit in digits]
        spaces = [" " if apart else "" for apart in (False, *_gaps([digit.box for digit in digits]))]
        text = ""
        shown = sorted(marks, key=lambda mark: mark.box[0]) if with_marks else []
        for name, space, digit in zip(names, spaces, digits, strict=True):
            before = [mark for mark in shown if mark.box[0] + mark.box[2] / 2 < digit.box[0] + digit.box[2] / 2]
            shown = shown[len(before) :]
            text += ("".join(mark.mark for mark in before) or space) + name
        return cls(text + "".join(mark.mark for mark in shown), digits, list(marks))


@dataclass(frozen=True)
class Reading:
    """What was read in one picture; `error` is the line a person sees, and then there are no lines."""

    file: str
    lines: list[Line] = field(default_factory=list)
    error: str | None = None
    notes: list[str] = field(default_factory=list)  # about the file, in words: of an animation, that it is one
    page: int | None = None  # from 1; None where the file was not asked for a page
    field: str | None = None  # the name of the field that was read, where not all of the picture was
    field_box: Box | None = None
    opened: bool = True  # False where the error is one of the file, not of what is on it

    def __repr__(self) -> str:
        if self.error is not None:
            return f"Reading({self.name!r}, error {self.error!r})"
        count = sum(len(line.digits) for line in self.lines)
        return f"Reading({self.name!r}, {self.text!r}, {counted(count, 'digit')}, {self.refused} refused)"

    def _repr_html_(self) -> str:
        from downstroke.reading.notebook import shown_reading

        return shown_reading(self)

    @property
    def source(self) -> str:
        """The file and its page: `form.pdf#3`."""
        return self.file if self.page is None else f"{self.file}#{self.page}"

    @property
    def name(self) -> str:
        """The file, its page, and the field, for a person."""
        return self.source if self.field is None else f"{self.source} {self.field}"

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)

    @property
    def refused(self) -> int:
        """How many of the digits are not to be relied on."""
        return sum(not digit.accepted for line in self.lines for digit in line.digits)

    def strict(self) -> Reading:
        """The same with a `?` in the text for each digit that was refused."""
        marked = any(mark.mark in line.text for line in self.lines for mark in line.marks)
        lines = [Line.of(line.digits, line.marks, strict=True, with_marks=marked) for line in self.lines]
        return replace(self, lines=lines)

    def to_dict(self) -> dict[str, Any]:
        names = [entry.name for entry in dataclasses.fields(Digit) if entry.name != "steps"]
        lines = [
            {
                "text": line.text,
                "digits": [{name: getattr(digit, name) for name in names} for digit in line.digits],
                "marks": [dataclasses.asdict(mark) for mark in line.marks],
            }
            for line in self.lines
        ]
        told: dict[str, Any] = {"file": self.file, "lines": lines, "error": self.error, "notes": self.notes}
        if self.page is not None:
            told["page"] = self.page
        if self.field is not None:
            told |= {"field": self.field, "box": self.field_box}
        return told


def _gaps(boxes: list[Box]) -> list[bool]:
    """Whether a gap parts two groups, after each of a line's boxes but the last.

    Such a gap is wider than the usual one of the line by a good part of a digit's height: heights differ less than
    widths, of which a 1 has nearly none. A line whose digits all stand far apart, as in the boxes of a form, is one
    group.
    """
    between = np.array([after[0] - before[0] - before[2] for before, after in itertools.pairwise(boxes)], float)
    if not len(between):
        return []
    tall = float(np.median([box[3] for box in boxes]))
    usual = float(np.quantile(between, 0.4, method="lower")) if len(between) > 1 else _CLOSE * tall
    least = max(usual + _APART * tall, _WIDER * usual, (_CLOSE + _APART) * tall)
    return [bool(gap > least) for gap in between]
