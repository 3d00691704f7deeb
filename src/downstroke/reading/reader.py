"""A W ready to be used: pictures in, digits out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
import numpy as np
from numpy import uint8
from numpy.typing import NDArray

from downstroke.data.glyph import cut
from downstroke.data.picture import open_picture
from downstroke.errors import PictureError
from downstroke.learning.models import Network
from downstroke.reading.page import Piece, find_rows
from downstroke.reading.split import best_path, hypotheses
from downstroke.runs.run import Run

Picture = str | os.PathLike[str] | bytes


@dataclass(frozen=True)
class Digit:
    """One glyph, read."""

    digit: int | str  # the class; an int where all the run's classes are whole numbers
    probability: float  # of that class, 0..1
    probabilities: list[float]  # of every class, in the run's order; they sum to 1
    box: tuple[int, int, int, int]  # x, y, width, height in the picture's pixels
    accepted: bool  # whether the reading is to be relied on


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

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Reader:
    """Reads single digits with a run's W.

    >>> Reader.open("runs/calm-otter").read("seven.png").text    # doctest: +SKIP
    '7'
    """

    def __init__(self, network: Network, classes: tuple[str, ...], note: str = "") -> None:
        self.network = network.eval()
        self.classes: tuple[int | str, ...] = classes
        if all(name.isascii() and name.isdigit() for name in classes):
            self.classes = tuple(int(name) for name in classes)
        self.note = note  # what it reads with, in words

    @classmethod
    def open(cls, run: Run | str | os.PathLike[str] | None = None, runs_dir: str | os.PathLike[str] = "runs") -> Self:
        """The reader of a run: its best W, or its last where there is no best. RunError, CheckpointError."""
        opened = run if isinstance(run, Run) else Run.open(run, runs_dir)
        weights = opened.weights()
        note = f"W of {opened.name}, {weights.source} (epoch {weights.epoch})"
        return cls(weights.network, opened.classes, f"{note}; {weights.damage}" if weights.damage else note)

    def read(self, picture: Picture | NDArray[uint8], *, digit: bool = False) -> Reading:
        """Read one picture: a path, a file's bytes, or grey uint8 [H,W] of either polarity. PictureError."""
        if isinstance(picture, bytes | str | os.PathLike):
            file = "-" if isinstance(picture, bytes) else str(picture)
            image = open_picture(picture if isinstance(picture, bytes) else Path(picture), name=file)
        else:
            file, image = "-", picture
        try:
            return Reading(file, self._one(image) if digit else self._page(image))
        except PictureError as error:
            raise PictureError(f"{file}: {error}") from None

    def _one(self, image: NDArray[uint8]) -> list[Line]:
        found = cut(image)
        read = self._digit(self._probabilities(found.glyph[None])[0], found.box)
        return [Line(str(read.digit), [read])]

    def _page(self, image: NDArray[uint8]) -> list[Line]:
        rows, scale = find_rows(image)
        judged = [hypotheses(row) for row in rows]
        glyphs = [one.glyph for found, _ in judged for one in found]
        if not glyphs:
            raise PictureError("no digit in the picture")
        y = self._probabilities(np.stack(glyphs))
        lines, start = [], 0
        for found, atoms in judged:
            own = y[start : start + len(found)]
            start += len(found)
            digits = [self._digit(own[i], _box(found[i].piece, scale)) for i in best_path(found, atoms, own)]
            if digits:
                lines.append(Line("".join(str(digit.digit) for digit in digits), digits))
        return lines

    def _probabilities(self, glyphs: NDArray[uint8]) -> NDArray[np.float32]:
        made: NDArray[np.float32] = self.network.probabilities(torch.from_numpy(glyphs)).numpy()
        return made

    def _digit(self, y: NDArray[np.float32], box: tuple[int, int, int, int]) -> Digit:
        index = int(y.argmax())
        return Digit(self.classes[index], float(y[index]), [float(p) for p in y], box, accepted=True)

    def read_all(self, pictures: Iterable[Picture]) -> Iterator[Reading]:
        """Read each picture in turn; one that cannot be read gives a Reading with its error, and the rest go on."""
        for picture in pictures:
            try:
                yield self.read(picture)
            except PictureError as error:
                yield Reading("-" if isinstance(picture, bytes) else str(picture), error=str(error))


def _box(piece: Piece, scale: float) -> tuple[int, int, int, int]:
    left, top = int(piece.x * scale), int(piece.y * scale)
    return left, top, int(np.ceil(piece.right * scale)) - left, int(np.ceil(piece.bottom * scale)) - top
