"""A W ready to be used: pictures in, digits out."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy import uint8
from numpy.typing import NDArray

from downstroke.errors import PictureError, RunError, shown
from downstroke.glyphs.glyph import SIZE, Box, Cut, looks
from downstroke.glyphs.picture import levels, read_picture, to_grey
from downstroke.reading import refusal
from downstroke.reading.page import Piece, Row, find_rows
from downstroke.reading.shipped import shipped
from downstroke.reading.split import Choices, Hypothesis, best_path, choices
from downstroke.runs.run import Run

AT_ONCE = 500  # glyphs: what a layer writes of so many stays in the processor's cache
Floats = refusal.Floats
Lines = Callable[[Floats], "list[Line]"]  # what logits make of a picture
Picture = str | os.PathLike[str] | bytes
InMemory = Any  # a PIL image, an array or a nested list: see `data.picture.to_grey`
REFUSED = "?"
_OFF_CENTRE, _MORE_LIKE = 32.0, 4.0  # nats: for the square of the picture's side, and what a part must gain by
DIGITS = tuple(range(10))
_IS_PLACE = 0.4  # the share from which on a hypothesis is a place that the locator sees
_UNSEEN = 0.03  # heat: what a class has that the locator does not see
_CLOSE, _APART = 0.25, 0.6  # of a digit's height: a gap within a group, and what one between groups has more
_WIDER = 1.7  # by which it is wider at least: far apart, hands space less evenly
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
    """Digits in reading order; in the text a space stands where a gap parts two groups of them."""

    text: str
    digits: list[Digit]

    @classmethod
    def of(cls, digits: list[Digit], *, strict: bool = False) -> Self:
        """The line of some digits, at least one; with `strict` a refused one is `?` in the text."""
        names = [REFUSED if strict and not digit.accepted else str(digit.digit) for digit in digits]
        spaces = [" " if apart else "" for apart in (False, *_gaps([digit.box for digit in digits]))]
        return cls("".join(space + name for space, name in zip(spaces, names, strict=True)), digits)


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
        return replace(self, lines=[Line.of(line.digits, strict=True) for line in self.lines])

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
    read: Callable[[Floats], Reading]


class Reader:
    """Reads pages, or single digits, with a run's W.

    >>> Reader.open("runs/calm-otter").read("note.jpg").text    # doctest: +SKIP
    '05221859'
    """

    def __init__(
        self,
        logits: Callable[[NDArray[uint8]], NDArray[np.float32]],
        classes: tuple[str, ...],
        note: str = "",
        threshold: float = -math.inf,
        *,
        strays: bool = False,
    ) -> None:
        """`logits`: a function of uint8 [N,28,28], N > 0, that gives float32 [N,C]; `strays`: it knows them."""
        self._logits = logits
        self.classes: tuple[int | str, ...] = classes
        if all(name.isascii() and name.isdigit() for name in classes):
            self.classes = tuple(int(name) for name in classes)
        self.note = note  # what it reads with, in words
        self.threshold = threshold  # a glyph whose `refusal.score` is below it is refused
        self.strays = strays

    @classmethod
    def open(cls, run: Run | str | os.PathLike[str] | None = None, runs_dir: str | os.PathLike[str] = "runs") -> Self:
        """The reader of a run: its best W, or its last where there is no best. RunError, CheckpointError."""
        from downstroke.reading.batch_norm_folding import logits_by_torch

        opened = run if isinstance(run, Run) else Run.open(run, runs_dir)
        weights = opened.weights()
        note = f"W of {opened.name}, {weights.source} (epoch {weights.epoch})"
        note = f"{note}; {weights.damage}" if weights.damage else note
        threshold = -math.inf if weights.least_score is None else weights.least_score
        strays = opened.recipe.strays > 0
        return cls(logits_by_torch(weights.network), opened.classes, note, threshold, strays=strays)

    @classmethod
    def shipped(cls) -> Self:
        """The reader that comes with downstroke. Raises CheckpointError."""
        one = shipped()
        return cls(one.logits(), one.classes, one.note, one.threshold, strays=True)

    def read(self, picture: Picture | InMemory, *, digit: bool = False, explain: bool = False) -> Reading:
        """Read one picture: a path, a file's bytes, a PIL image or an array, of either polarity.

        It is a page; with `digit` it is one digit, the one at its centre. With `explain` each digit has its steps.
        Raises PictureError for what cannot be opened, is blank, or has nothing like a digit in it.
        """
        prepared = self.prepare(picture, digit=digit, explain=explain)
        return prepared.read(self.logits(prepared.glyphs))

    def prepare(self, picture: Picture | InMemory, *, digit: bool = False, explain: bool = False) -> Prepared:
        """All of `read` but the network, so that it can see the glyphs of many pictures at once. PictureError."""
        notes: list[str] = []
        if isinstance(picture, bytes | str | os.PathLike):
            file = "-" if isinstance(picture, bytes) else str(picture)
            image, notes = read_picture(picture if isinstance(picture, bytes) else Path(picture), name=file)
        else:
            file, image = "-", to_grey(picture)
        try:
            glyphs, lines = self._one(image, explain) if digit else self._page(image, explain)
        except PictureError as error:
            raise PictureError(f"{shown(file)}: {error}") from None
        return Prepared(glyphs, lambda logits: Reading(file, lines(logits), notes=notes))

    def read_all(self, pictures: Iterable[Picture], *, digit: bool = False, explain: bool = False) -> Iterator[Reading]:
        """Read each picture in turn; one that cannot be read gives a Reading with its error, and the rest go on."""
        for picture in pictures:
            file = "-" if isinstance(picture, bytes) else str(picture)
            try:
                reading = self.read(picture, digit=digit, explain=explain)
            except PictureError as error:
                reading = Reading(file, error=str(error))
            except RunError:  # the reader's own fault: no picture after this one would fare better
                raise
            except Exception as error:  # a defect, or no memory: of ten thousand pictures, the rest are still read
                reason = shown(" ".join(str(error).split()))
                reading = Reading(file, error=f"{shown(file)}: reading it failed: {type(error).__name__}: {reason}")
            yield reading

    def logits(self, glyphs: NDArray[Any]) -> NDArray[np.float32]:
        """Of every class for each of many glyphs at once: [N,28,28], ink high on zero -> float32 [N,C].

        uint8, or levels as `data.picture.levels` takes them, floats 0..1 among them. PictureError; RunError where W
        gives no numbers.
        """
        glyphs = levels(glyphs)
        if glyphs.shape[1:] != (SIZE, SIZE):
            raise PictureError(f"glyphs of shape {list(glyphs.shape)}; expected [N, {SIZE}, {SIZE}]")
        parts = [self._logits(glyphs[start : start + AT_ONCE]) for start in range(0, len(glyphs), AT_ONCE)]
        logits = np.concatenate(parts) if parts else np.zeros((0, len(self.classes)), np.float32)
        if not np.isfinite(logits).all():
            raise RunError(
                f"{self.note} gives no numbers, so nothing can be read: its training diverged; use another run"
            )
        return logits

    def probabilities(self, glyphs: NDArray[Any]) -> NDArray[np.float32]:
        """[N,28,28] as `logits` takes them, ink high on zero -> float32 [N,C], each row sums to 1."""
        return refusal.softmax(self.logits(glyphs))

    def accepts(self, glyphs: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each of [N,28,28], as `logits` takes them, is enough like a digit to be relied on: [N]."""
        accepted: NDArray[np.bool_] = refusal.score(self.logits(glyphs)) >= self.threshold
        return accepted

    def _one(self, image: NDArray[uint8], explain: bool) -> tuple[NDArray[uint8], Lines]:
        every = looks(image)

        def lines(each: Floats) -> list[Line]:
            found, logits = every[0], refusal.pooled(each)
            warnings = _about_stroke(found.stroke)
            if found.contrast < 25:
                warnings.append("faint ink")
            if found.left_out:
                parts = "part" if found.left_out == 1 else "parts"
                warnings.append(f"{found.left_out} other {parts} in sight, left out")
            if len(every) > 1 and refusal.score(logits[None])[0] < self.threshold:
                part = self._part(found, logits, image.shape)
                if part:
                    found, logits = part
                    warnings.append("touches its neighbour, cut apart")
            steps = Steps(_crop(image, found.box), found.ink, found.glyph) if explain else None
            read = self._digit(logits, found.box, warnings, steps)
            return [Line.of([read])]

        return np.stack([one.glyph for one in every]), lines

    def _part(self, whole: Cut, logits: Floats, shape: tuple[int, ...]) -> tuple[Cut, Floats] | None:
        """The part of a digit's ink that is far more like a digit than the whole, and its logits: neighbours touch."""
        tall = whole.ink.shape[0]
        every = choices(Row([Piece(0, 0, whole.ink)], tall, [], [], np.eye(2, 3), whole.ink))
        found = [
            one
            for one in every.hypotheses
            if one.stop - one.start < len(every.skips) and one.piece.height > tall / 2
        ]
        if not found:
            return None
        scale = whole.box[3] / tall
        cuts = [whole]
        for one in found:
            x, y, width, height = (round(v * scale) for v in (one.piece.x, one.piece.y, *one.piece.ink.shape[::-1]))
            box = (whole.box[0] + x, whole.box[1] + y, max(1, width), max(1, height))
            cuts.append(replace(whole, glyph=one.glyph, ink=one.piece.ink, stroke=one.stroke, box=box))
        looked = np.concatenate([logits[None], self.logits(np.stack([one.glyph for one in found]))])
        off = [
            ((x + w / 2) / shape[1] - 0.5) ** 2 + ((y + h / 2) / shape[0] - 0.5) ** 2
            for x, y, w, h in (one.box for one in cuts)
        ]
        value = np.log(np.maximum(self._surely(looked), 1e-9)) - _OFF_CENTRE * np.array(off)
        best = int(value.argmax())
        return (cuts[best], looked[best]) if value[best] > value[0] + _MORE_LIKE else None

    def _page(self, image: NDArray[uint8], explain: bool) -> tuple[NDArray[uint8], Lines]:
        rows = find_rows(image)
        judged = [choices(row) for row in rows]
        alone, at = _alone(image, rows)
        glyphs = [glyph for one in judged for glyph in one.glyphs] + [cut.glyph for cut in alone]
        if not glyphs:
            raise PictureError("no digit found in the picture; if it is one digit, say --digit")

        def read(logits: Floats) -> list[Line]:
            lines, start, likely, single = [], 0, 0.0, None
            for row, one in zip(rows, judged, strict=True):
                own = self._with_places(logits[start : start + len(one.glyphs)], one)
                start += len(one.glyphs)
                surely, digits = self._surely(own), []
                for index in best_path(one.hypotheses, one.skips, surely):
                    found = one.hypotheses[index]
                    box = _box(found.piece, row.to_picture, image.shape)
                    steps = Steps(_crop(image, box), found.piece.ink, found.glyph) if explain else None
                    digits.append(self._digit(own[index], box, _about_hypothesis(found), steps))
                    likely += math.log(max(float(surely[index]), 1e-6))
                    single = own[index]
                if digits:
                    lines.append(Line.of(digits))
            if alone:
                return self._whole(lines, likely, alone, logits[start:], at, explain, image, single)
            return lines

        return np.stack(glyphs), read

    def _whole(self, lines, likely, alone, looked, at, explain, image, single) -> list[Line]:
        pooled = refusal.pooled(looked)
        sure = math.log(max(float(self._surely(pooled[None])[0]), 1e-6))
        box = (alone[0].box[0] + at[0], alone[0].box[1] + at[1], *alone[0].box[2:])
        found = [digit for line in lines for digit in line.digits]
        if not found:
            one = self._digit(pooled, box, _about_stroke(alone[0].stroke), Steps(_crop(image, box), alone[0].ink, alone[0].glyph) if explain else None)
            if not one.accepted:
                raise PictureError("no digit found in the picture; if it is one digit, say --digit")
            return [Line.of([one])]
        if len(found) == 1:
            m = refusal.pooled(np.stack([pooled, single]))
            return [Line.of([self._digit(m, found[0].box, found[0].warnings, found[0].steps)])]
        if sure > likely:
            one = self._digit(pooled, box, _about_stroke(alone[0].stroke), Steps(_crop(image, box), alone[0].ink, alone[0].glyph) if explain else None)
            return [Line.of([one])]
        return lines

    def _with_places(self, logits: Floats, one: Choices) -> Floats:
        """The logits of a row's hypotheses with what the locator says of them, from those of all its glyphs.

        Where a hypothesis is a place, the ink in the place's box is another look at the digit; and the locator has seen
        the class itself, which moves the logits among the classes and leaves the score.
        """
        own = logits[: len(one.hypotheses)].copy()
        boxed = {id(place): look for (place, _), look in zip(one.boxed, logits[len(own) :], strict=True)}
        for index, hypothesis in enumerate(one.hypotheses):
            place = hypothesis.place
            if place is None:
                continue
            if id(place) in boxed and hypothesis.share > _IS_PLACE:
                own[index] = refusal.pooled(np.stack([own[index], boxed[id(place)]]))
            if self.classes == DIGITS:
                moved = own[index] + hypothesis.share * np.log(place.classes[: len(DIGITS)] + _UNSEEN)
                own[index] = moved + (refusal.score(own[index][None]) - refusal.score(moved[None]))
        return own

    def _surely(self, logits: Floats) -> Floats:
        """Of the best class of each glyph the probability that it is that digit and a digit at all: [N]."""
        y: Floats = refusal.softmax(logits).max(axis=1)
        return y * refusal.sure(logits) if self.strays else y

    def _digit(self, logits: Floats, box: Box, warnings: list[str], steps: Steps | None) -> Digit:
        y = refusal.softmax(logits[None])[0]
        first, second = (int(i) for i in np.argsort(-y, kind="stable")[:2]) if len(y) > 1 else (0, 0)
        if second != first and y[second] > 0.2:
            warnings = [*warnings, f"could also be {self.classes[second]} ({y[second]:.0%})"]
        accepted = bool(refusal.score(logits[None])[0] >= self.threshold)
        return Digit(self.classes[first], float(y[first]), [float(p) for p in y], box, accepted, warnings, steps)


def _alone(image: NDArray[uint8], rows: list[Row]) -> tuple[list[Cut], tuple[int, int]]:
    """(the picture's ink taken for one digit, where that may be, else nothing; x and y of where it was looked at)."""
    x, y, right, bottom = 0, 0, image.shape[1], image.shape[0]
    if rows:
        if len(rows) > 1 or not rows[0].pieces: return [], (0, 0)
        boxes = np.array([_box(piece, rows[0].to_picture, image.shape) for piece in rows[0].pieces])
        left, top = boxes[:, :2].min(axis=0)
        across, down = (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
        if across - left > 1.2 * (down - top): return [], (0, 0)
        m = (down - top) // 3
        x, y, right, bottom = max(0, left - m), max(0, top - m), min(right, across + m), min(bottom, down + m)
    try:
        return looks(image[y:bottom, x:right]), (int(x), int(y))
    except PictureError:
        return [], (0, 0)


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


def _box(piece: Piece, to_picture: NDArray[np.float64], shape: tuple[int, ...]) -> Box:
    corners = [(x, y, 1) for x in (piece.x, piece.right) for y in (piece.y, piece.bottom)]
    x, y = to_picture @ np.array(corners).T
    left, top = (min(max(0, int(v.min())), side - 1) for v, side in ((x, shape[1]), (y, shape[0])))
    right, bottom = (min(side, round(float(v.max()))) for v, side in ((x, shape[1]), (y, shape[0])))
    return left, top, max(1, right - left), max(1, bottom - top)


def _crop(image: NDArray[uint8], box: Box) -> NDArray[uint8]:
    x, y, width, height = box
    return image[y : y + height, x : x + width].copy()
