"""A W ready to be used: pictures in, digits out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from numpy import float32, uint8
from numpy.typing import NDArray

from downstroke.data.glyph import cut_glyph
from downstroke.data.picture import open_picture
from downstroke.errors import PictureError
from downstroke.learning.models import Network
from downstroke.reading.fold import folded
from downstroke.runs.run import Run

AT_ONCE = 500  # glyphs: what a layer writes of so many stays in the processor's cache
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
        self.network = folded(network)
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

    def read(self, picture: Picture | NDArray[uint8]) -> Reading:
        """Read one picture: a path, a file's bytes, or grey uint8 [H,W] of either polarity. PictureError."""
        if isinstance(picture, bytes | str | os.PathLike):
            file = "-" if isinstance(picture, bytes) else str(picture)
            image = open_picture(picture if isinstance(picture, bytes) else Path(picture), name=file)
        else:
            file, image = "-", picture
        try:
            made, box = cut_glyph(image)
        except PictureError as error:
            raise PictureError(f"{file}: {error}") from None
        y = self.probabilities(made[None])[0]
        index = int(y.argmax())
        name = self.classes[index]
        digit = Digit(name, float(y[index]), [float(p) for p in y], box, accepted=True)
        return Reading(file, [Line(str(name), [digit])])

    def probabilities(self, glyphs: NDArray[uint8]) -> NDArray[float32]:
        """Of every class for each of many glyphs at once: uint8 [N,28,28], ink high on zero -> float32 [N,C]."""
        with torch.inference_mode():
            y = torch.cat([self.network(part).softmax(1) for part in torch.split(torch.from_numpy(glyphs), AT_ONCE)])
        probabilities: NDArray[float32] = y.numpy()
        return probabilities

    def read_all(self, pictures: Iterable[Picture]) -> Iterator[Reading]:
        """Read each picture in turn; one that cannot be read gives a Reading with its error, and the rest go on."""
        for picture in pictures:
            try:
                yield self.read(picture)
            except PictureError as error:
                yield Reading("-" if isinstance(picture, bytes) else str(picture), error=str(error))
