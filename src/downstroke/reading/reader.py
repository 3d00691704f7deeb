"""A W ready to be used: pictures in, digits out."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy import uint8
from numpy.typing import NDArray
from torch import Tensor

from downstroke.data.glyph import Box, cut
from downstroke.data.picture import read_picture
from downstroke.errors import PictureError
from downstroke.learning.models import Network
from downstroke.reading import refusal
from downstroke.reading.fold import folded
from downstroke.reading.page import Piece, find_rows
from downstroke.reading.shipped import shipped
from downstroke.reading.split import Hypothesis, best_path, hypotheses
from downstroke.runs.run import Run

AT_ONCE = 500  # glyphs: what a layer writes of so many stays in the processor's cache
Picture = str | os.PathLike[str] | bytes
Lines = Callable[[Tensor], "list[Line]"]  # what logits make of a picture
REFUSED = "?"
_VERY_THIN, _VERY_BROAD = 1.4, 4.5  # pixels of the box of 20: one in a hundred of MNIST's strokes is beyond


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
class Line:
    """Digits in reading order."""

    text: str
    digits: list[Digit]


@dataclass(frozen=True)
class Reading:
    """What was read in one picture; `error` is the line a person sees, and then there are no lines."""

    file: str
    lines: list[Line] = field(default_factory=list)
    error: str | None = None
    notes: list[str] = field(default_factory=list)  # about the file, in words: of an animation, that it is one

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)

    @property
    def refused(self) -> int:
        """How many of the digits are not to be relied on."""
        return sum(not digit.accepted for line in self.lines for digit in line.digits)

    def strict(self) -> Reading:
        """The same with a `?` in the text for each digit that was refused."""
        lines = [
            Line("".join(str(digit.digit) if digit.accepted else REFUSED for digit in line.digits), line.digits)
            for line in self.lines
        ]
        return dataclasses.replace(self, lines=lines)

    def to_dict(self) -> dict[str, Any]:
        names = [entry.name for entry in dataclasses.fields(Digit) if entry.name != "steps"]
        lines = [
            {"text": line.text, "digits": [{name: getattr(digit, name) for name in names} for digit in line.digits]}
            for line in self.lines
        ]
        return {"file": self.file, "lines": lines, "error": self.error, "notes": self.notes}


@dataclass(frozen=True)
class Prepared:
    """A picture before the network has seen its glyphs: uint8 [N,28,28], and what their logits [N,C] make of it."""

    glyphs: NDArray[uint8]
    read: Callable[[Tensor], Reading]


class Reader:
    """Reads pages, or single digits, with a run's W.

    >>> Reader.open("runs/calm-otter").read("note.jpg").text    # doctest: +SKIP
    '05221859'
    """

    def __init__(
        self, network: Network, classes: tuple[str, ...], note: str = "", threshold: float = -math.inf
    ) -> None:
        self.network = folded(network)
        self.classes: tuple[int | str, ...] = classes
        if all(name.isascii() and name.isdigit() for name in classes):
            self.classes = tuple(int(name) for name in classes)
        self.note = note  # what it reads with, in words
        self.threshold = threshold  # a glyph whose `refusal.score` is below it is refused; a run's W has none

    @classmethod
    def open(cls, run: Run | str | os.PathLike[str] | None = None, runs_dir: str | os.PathLike[str] = "runs") -> Self:
        """The reader of a run: its best W, or its last where there is no best. RunError, CheckpointError."""
        opened = run if isinstance(run, Run) else Run.open(run, runs_dir)
        weights = opened.weights()
        note = f"W of {opened.name}, {weights.source} (epoch {weights.epoch})"
        return cls(weights.network, opened.classes, f"{note}; {weights.damage}" if weights.damage else note)

    @classmethod
    def shipped(cls) -> Self:
        """The reader that comes with downstroke; it alone has learned to refuse. Raises CheckpointError."""
        one = shipped()
        return cls(one.network, one.classes, one.note, one.threshold)

    def read(self, picture: Picture | NDArray[uint8], *, digit: bool = False, explain: bool = False) -> Reading:
        """Read one picture: a path, a file's bytes, or grey uint8 [H,W] of either polarity.

        It is a page; with `digit` it is one digit, the one at its centre. With `explain` each digit has its steps.
        Raises PictureError for what cannot be opened, is blank, or has nothing like a digit in it.
        """
        prepared = self.prepare(picture, digit=digit, explain=explain)
        return prepared.read(self.logits(prepared.glyphs))

    def prepare(self, picture: Picture | NDArray[uint8], *, digit: bool = False, explain: bool = False) -> Prepared:
        """All of `read` but the network, so that it can see the glyphs of many pictures at once. PictureError."""
        notes: list[str] = []
        if isinstance(picture, bytes | str | os.PathLike):
            file = "-" if isinstance(picture, bytes) else str(picture)
            image, notes = read_picture(picture if isinstance(picture, bytes) else Path(picture), name=file)
        else:
            file, image = "-", picture
        try:
            glyphs, lines = self._one(image, explain) if digit else self._page(image, explain)
        except PictureError as error:
            raise PictureError(f"{file}: {error}") from None
        return Prepared(glyphs, lambda logits: Reading(file, lines(logits), notes=notes))

    def read_all(self, pictures: Iterable[Picture], *, digit: bool = False, explain: bool = False) -> Iterator[Reading]:
        """Read each picture in turn; one that cannot be read gives a Reading with its error, and the rest go on."""
        for picture in pictures:
            try:
                yield self.read(picture, digit=digit, explain=explain)
            except PictureError as error:
                yield Reading("-" if isinstance(picture, bytes) else str(picture), error=str(error))

    def logits(self, glyphs: NDArray[uint8]) -> Tensor:
        """Of every class for each of many glyphs at once: uint8 [N,28,28], ink high on zero -> float32 [N,C]."""
        with torch.inference_mode():
            return torch.cat([self.network(part) for part in torch.split(torch.from_numpy(glyphs), AT_ONCE)])

    def probabilities(self, glyphs: NDArray[uint8]) -> NDArray[np.float32]:
        """uint8 [N,28,28] -> float32 [N,C], each row sums to 1."""
        probabilities: NDArray[np.float32] = self.logits(glyphs).softmax(1).numpy()
        return probabilities

    def accepts(self, glyphs: NDArray[uint8]) -> NDArray[np.bool_]:
        """Whether each of uint8 [N,28,28] is enough like a digit for its reading to be relied on: [N]."""
        accepted: NDArray[np.bool_] = (refusal.score(self.logits(glyphs)) >= self.threshold).numpy()
        return accepted

    def _one(self, image: NDArray[uint8], explain: bool) -> tuple[NDArray[uint8], Lines]:
        found = cut(image)
        warnings = _about_stroke(found.stroke)
        if found.contrast < 25:
            warnings.append("faint ink")
        if found.left_out:
            warnings.append(f"{found.left_out} other {'part' if found.left_out == 1 else 'parts'} in sight, left out")
        steps = Steps(_crop(image, found.box), found.ink, found.glyph) if explain else None

        def lines(logits: Tensor) -> list[Line]:
            read = self._digit(logits[0], found.box, warnings, steps)
            return [Line(str(read.digit), [read])]

        return found.glyph[None], lines

    def _page(self, image: NDArray[uint8], explain: bool) -> tuple[NDArray[uint8], Lines]:
        rows, scale = find_rows(image)
        judged = [hypotheses(row) for row in rows]
        glyphs = [one.glyph for found, _ in judged for one in found]
        if not glyphs:
            raise PictureError("no digit found in the picture; if it is one digit, say --digit")

        def read(logits: Tensor) -> list[Line]:
            y = logits.softmax(1).numpy()
            lines, start = [], 0
            for found, atoms in judged:
                own, own_logits = y[start : start + len(found)], logits[start : start + len(found)]
                start += len(found)
                digits = []
                for index in best_path(found, atoms, own):
                    one = found[index]
                    box = _box(one.piece, scale, image.shape)
                    steps = Steps(_crop(image, box), one.piece.ink, one.glyph) if explain else None
                    digits.append(self._digit(own_logits[index], box, _about_hypothesis(one), steps))
                if digits:
                    lines.append(Line("".join(str(digit.digit) for digit in digits), digits))
            return lines

        return np.stack(glyphs), read

    def _digit(self, logits: Tensor, box: Box, warnings: list[str], steps: Steps | None) -> Digit:
        y = logits.softmax(0).numpy()
        first, second = (int(i) for i in np.argsort(-y, kind="stable")[:2]) if len(y) > 1 else (0, 0)
        if second != first and y[second] > 0.2:
            warnings = [*warnings, f"could also be {self.classes[second]} ({y[second]:.0%})"]
        accepted = bool(refusal.score(logits[None])[0] >= self.threshold)
        return Digit(self.classes[first], float(y[first]), [float(p) for p in y], box, accepted, warnings, steps)


def _about_stroke(stroke: float) -> list[str]:
    if stroke < _VERY_THIN:
        return ["very thin stroke, thickened"]
    return ["very broad stroke, thinned"] if stroke > _VERY_BROAD else []


def _about_hypothesis(one: Hypothesis) -> list[str]:
    warnings = _about_stroke(one.stroke)
    if one.touches:
        warnings.append("touches its neighbour, cut apart")
    if one.joins:
        warnings.append("made of parts that stand apart")
    if one.piece.width > 1.2 * one.piece.height:
        warnings.append("looks like two digits")
    if one.piece.height < 10:
        warnings.append("only a few pixels tall")
    return warnings


def _box(piece: Piece, scale: float, shape: tuple[int, ...]) -> Box:
    left, top = int(piece.x * scale), int(piece.y * scale)
    right, bottom = min(shape[1], round(piece.right * scale)), min(shape[0], round(piece.bottom * scale))
    return left, top, right - left, bottom - top


def _crop(image: NDArray[uint8], box: Box) -> NDArray[uint8]:
    x, y, width, height = box
    return image[y : y + height, x : x + width].copy()
