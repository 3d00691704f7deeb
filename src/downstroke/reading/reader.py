"""A trained network ready to be used: pictures in, digits out."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy import uint8
from numpy.typing import NDArray

from downstroke.errors import PictureError, RunError, saying_what_is_missing, shown
from downstroke.glyphs import window
from downstroke.glyphs.glyph import SIZE, Cut, looks
from downstroke.glyphs.picture import Source, levels, read_picture, to_grey
from downstroke.reading import refusal
from downstroke.reading.effort import Effort
from downstroke.reading.engine import OnnxEngine
from downstroke.reading.field import Field
from downstroke.reading.judge import Judge, about_stroke
from downstroke.reading.lines import Page, crop
from downstroke.reading.locate import pixels_seen
from downstroke.reading.many import Origin, read_in_processes
from downstroke.reading.outcome import REFUSED, Digit, Line, Mark, Reading, Steps
from downstroke.reading.page import Piece, Row, pixels_of_turns, turns
from downstroke.reading.shipped import shipped
from downstroke.reading.split import choices
from downstroke.runs.run import Run

__all__ = ["REFUSED", "Digit", "Line", "Mark", "Reader", "Reading", "Steps"]

_NOTHING = "no digit found in the picture; if it is one digit, say so: --digit, or digit=True"
_IN_MEMORY = Source(b"")  # of a picture that is no file; in messages it has no name
_TOO_MUCH = "far more marks than is read in one picture; cut it down to the digits"
_TURNED = {1: "by a quarter to the left", 2: "upside down", 3: "by a quarter to the right"}
_CERTAIN, _BETTER = 0.95, 0.1  # mean of how sure digits are: below the first, a page is looked at turned as well
_LEAST_TOLD, _AS_MANY = 4, 0.7  # digits that tell which way up a page is, at least; and of those seen otherwise
AT_ONCE = 500  # glyphs: what a layer writes of so many stays in the processor's cache
Floats = refusal.Floats
Lines = Callable[[Floats], tuple[list[Line], list[str]]]  # what logits make of a picture, with notes
Picture = str | os.PathLike[str] | bytes | Source
InMemory = Any  # a PIL image, an array or a nested list: see `data.picture.to_grey`
_OFF_CENTRE, _MORE_LIKE = 32.0, 4.0  # nats: for the square of the picture's side, and what a part must gain by


@dataclass(frozen=True)
class Prepared:
    """A picture before the network has seen its glyphs: uint8 [N,28,28], and what their logits [N,C] make of it."""

    glyphs: NDArray[uint8]
    read: Callable[[Floats], Reading]


class Reader:
    """Reads pages, or single digits, with the weights of a run.

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
        negatives: bool = False,
        windows: bool = False,
    ) -> None:
        """`logits`: a function of uint8 [N,28,28], N > 0, that gives float32 [N,C]; `negatives`, `windows`: it was
        taught with them."""
        self._logits = logits
        self.engine: str = getattr(logits, "name", "a function")  # what computes: onnxruntime, torch or numpy
        self.classes: tuple[int | str, ...] = classes
        if all(name.isascii() and name.isdigit() for name in classes):
            self.classes = tuple(int(name) for name in classes)
        self.note = note  # what it reads with, in words
        self.threshold = threshold  # a glyph whose `refusal.score` is below it is refused
        self.judge = Judge(self.classes, threshold, negatives)
        self.windows = windows
        self.origin: Origin | None = None  # where another process finds its weights

    @classmethod
    @saying_what_is_missing
    def open(
        cls,
        run: Run | str | os.PathLike[str] | None = None,
        runs_dir: str | os.PathLike[str] = "runs",
        *,
        trust: bool = False,
    ) -> Self:
        """The reader of a run: with its best weights, or its last where there are none. RunError, CheckpointError.

        `trust`: as in `Run.open`.
        """
        from downstroke.reading import engine

        opened = run if isinstance(run, Run) else Run.open(run, runs_dir, trust=trust)
        weights = opened.weights()
        note = f"the {weights.source} weights of {opened.name} (epoch {weights.epoch})"
        note = f"{note}; {weights.damage}" if weights.damage else note
        threshold = -math.inf if weights.least_score is None else weights.least_score
        taught = {name: getattr(opened.recipe, name) > 0 for name in ("negatives", "windows")}
        made = cls(engine.of_network(weights.network), opened.classes, note, threshold, **taught)
        made.origin = Origin(os.fspath(opened.folder), opened.trusted)
        return made

    @classmethod
    def shipped(cls) -> Self:
        """The reader that comes with downstroke. Raises CheckpointError."""
        one = shipped()
        windows = one.record["recipe"].get("windows", 0) > 0
        made = cls(one.engine(), one.classes, one.note, one.threshold, negatives=True, windows=windows)
        made.origin = Origin()
        return made

    def read(
        self, picture: Picture | InMemory, *, digit: bool = False, explain: bool = False, marks: bool = False
    ) -> Reading:
        """Read one picture: a path, a file's bytes, a PIL image or an array, of either polarity.

        `form.pdf#3` is the third page of a PDF or TIFF.
        It is a page; with `digit` it is one digit, the one at its centre. With `explain` each digit has its steps; with
        `marks` points, commas, dashes, strokes and colons among the digits are in the text.
        Raises PictureError for what cannot be opened, is blank, or has nothing like a digit in it.
        """
        prepared = self.prepare(picture, digit=digit, explain=explain, marks=marks)
        return prepared.read(self.logits(prepared.glyphs))

    def prepare(
        self,
        picture: Picture | InMemory,
        *,
        digit: bool = False,
        explain: bool = False,
        marks: bool = False,
        effort: Effort | None = None,
    ) -> Prepared:
        """All of `read` but the network, so that it can see the glyphs of many pictures at once. PictureError.

        `effort`: what it may take; TooLongError from here or from `Prepared.read` where that is too little.
        """
        source, image, notes = _opened(picture)
        return self._prepared(source, image, notes, digit=digit, explain=explain, marks=marks, effort=effort)

    def _prepared(
        self,
        source: Source,
        image: NDArray[uint8],
        notes: list[str],
        *,
        digit: bool,
        explain: bool,
        marks: bool,
        field: Field | None = None,
        effort: Effort | None = None,
    ) -> Prepared:
        name = shown(source.name if field is None else f"{source.name} {field.name}")
        where = "" if source is _IN_MEMORY else f"{name}: "
        part = image if field is None else field.of(image)
        try:
            glyphs, lines = self._one(part, explain) if digit else self._page(part, explain, marks, effort or Effort())
        except PictureError as error:
            raise PictureError(f"{where}{error}") from None

        def read(logits: Floats) -> Reading:
            try:
                found, said = lines(logits)
            except PictureError as error:
                raise PictureError(f"{where}{error}") from None
            if field:
                return _reading(source, field, lines=field.placed(found), notes=notes + said)
            return _reading(source, lines=found, notes=notes + said)

        return Prepared(glyphs, read)

    def read_all(
        self,
        pictures: Iterable[Picture],
        *,
        digit: bool = False,
        explain: bool = False,
        marks: bool = False,
        fields: Sequence[Field] | Callable[[Source], Sequence[Field]] = (),
        jobs: int = 1,
    ) -> Iterator[Reading]:
        """Read each picture in turn; one that cannot be read gives a Reading with its error, and the rest go on.

        With `fields`, or what it gives for a source, of each picture those alone, a Reading each. `jobs`: how many
        processes read; the readings come in the order of the pictures all the same. RunError where the processes cannot
        begin, or the reader was made of a function.
        """
        how: dict[str, Any] = {"digit": digit, "explain": explain, "marks": marks}
        if jobs > 1:
            if self.origin is None:
                raise RunError("a reader that was made of a function reads in its own process alone; leave jobs at 1")
            yield from read_in_processes(self.origin, pictures, jobs, fields, **how)
            return
        for picture in pictures:
            source = Source.of(picture)
            try:
                _, image, notes = _opened(source)
            except Exception as error:
                yield _reading(source, error=_told(error, source.name), opened=False)
                continue
            every: Sequence[Field | None] = (fields(source) if callable(fields) else fields) or [None]
            for field in every:
                try:
                    if field:
                        field.of(image)
                except PictureError as error:
                    yield _reading(source, field, error=f"{shown(source.name)}: {error}", notes=notes, opened=False)
                    continue
                try:
                    prepared = self._prepared(source, image, notes, field=field, **how)
                    reading = prepared.read(self.logits(prepared.glyphs))
                except RunError:  # the reader's own fault: no picture after this one would fare better
                    raise
                except Exception as error:
                    unfit = not isinstance(error, PictureError)
                    reading = _reading(source, field, error=_told(error, source.name), opened=not unfit)
                yield reading

    def logits(self, glyphs: NDArray[Any]) -> NDArray[np.float32]:
        """Of every class for each of many glyphs at once: [N,28,28], ink high on zero -> float32 [N,C].

        uint8, or levels as `glyphs.picture.levels` takes them, floats 0..1 among them. PictureError; RunError where the
        weights give no numbers.
        """
        return self._computed(self._logits, glyphs)

    def _computed(self, compute: Callable[[NDArray[uint8]], NDArray[np.float32]], glyphs: Any) -> NDArray[np.float32]:
        """What `compute` makes of the glyphs, so many at a time: [N,C], all of them numbers."""
        glyphs = levels(glyphs)
        if glyphs.shape[1:] != (SIZE, SIZE):
            raise PictureError(f"glyphs of shape {list(glyphs.shape)}; expected [N, {SIZE}, {SIZE}]")
        if 0 < len(glyphs) <= AT_ONCE:
            found = compute(glyphs)
        else:
            parts = [compute(glyphs[start : start + AT_ONCE]) for start in range(0, len(glyphs), AT_ONCE)]
            found = np.concatenate(parts) if parts else np.zeros((0, len(self.classes)), np.float32)
        # The sum of squares is quicker to ask, and is no number either; nor is it where a square is too large.
        if not math.isfinite(np.vdot(found, found)) and not np.isfinite(found).all():
            raise RunError(
                f"{self.note} gives no numbers, so nothing can be read: its training diverged; use another run"
            )
        return found

    def probabilities(self, glyphs: NDArray[Any]) -> NDArray[np.float32]:
        """[N,28,28] as `logits` takes them, ink high on zero -> float32 [N,C], each row sums to 1."""
        engine = self._logits
        if isinstance(engine, OnnxEngine):
            return self._computed(engine.probabilities, glyphs)
        return refusal.softmax(self.logits(glyphs))

    def accepts(self, glyphs: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each of [N,28,28], as `logits` takes them, is enough like a digit to be relied on: [N]."""
        accepted: NDArray[np.bool_] = refusal.score(self.logits(glyphs)) >= self.threshold
        return accepted

    def _one(self, image: NDArray[uint8], explain: bool) -> tuple[NDArray[uint8], Lines]:
        every = looks(image)
        seen = window.seen(image, every) if self.windows else np.stack([one.glyph for one in every])

        def lines(each: Floats) -> tuple[list[Line], list[str]]:
            found, logits = every[0], refusal.of_looks(each)
            warnings = about_stroke(found.stroke)
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
            steps = Steps(crop(image, found.box), found.ink, found.glyph) if explain else None
            read = self.judge.digit(logits, found.box, warnings, steps)
            return [Line.of([read])], []

        return seen, lines

    def _part(self, whole: Cut, logits: Floats, shape: tuple[int, ...]) -> tuple[Cut, Floats] | None:
        """The part of a digit's ink that is far more like a digit than the whole, and its logits: neighbours touch."""
        tall = whole.ink.shape[0]
        grey = np.rint(whole.ink * 255).astype(uint8)
        row = Row([Piece(0, 0, whole.ink)], tall, [], [], np.eye(2, 3), whole.ink, grey)
        every = choices(row, Effort(), windows=False)
        if every is None:
            return None
        found = [
            one for one in every.hypotheses if one.stop - one.start < len(every.skips) and one.piece.height > tall / 2
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
        value = np.log(np.maximum(self.judge.surely(looked), 1e-9)) - _OFF_CENTRE * np.array(off)
        best = int(value.argmax())
        return (cuts[best], looked[best]) if value[best] > value[0] + _MORE_LIKE else None

    def _page(self, image: NDArray[uint8], explain: bool, marks: bool, effort: Effort) -> tuple[NDArray[uint8], Lines]:
        page = Page.of(image, effort, windows=self.windows)
        glyphs = page.glyphs

        @functools.cache
        def ways() -> list[int]:
            """Looked for only where upright does not do."""
            effort.spend(pixels_of_turns(image.shape))
            return turns(image)

        if not len(glyphs) and not ways():
            raise PictureError(_TOO_MUCH if page.too_many else _NOTHING)

        def read(logits: Floats) -> tuple[list[Line], list[str]]:
            best, notes = page.read(logits, self.judge, explain), []
            for turn in ways() if best.certainty < _CERTAIN else []:
                if best.certainty > 1 - _BETTER or not effort.allows(pixels_seen(image.shape)):
                    break
                turned = Page.of(np.ascontiguousarray(np.rot90(image, turn)), effort, windows=self.windows)
                other = turned.read(self.logits(turned.glyphs), self.judge, explain)
                enough = max(_LEAST_TOLD, _AS_MANY * best.count)
                if other.count >= enough and other.certainty > best.certainty + _BETTER:
                    best, notes = other.turned(turn, image.shape), [f"read turned {_TURNED[turn]}"]
            if not best.count:
                raise PictureError(_TOO_MUCH if page.too_many else _NOTHING)
            lines = [Line.of(line.digits, line.marks, with_marks=marks) for line in best.lines]
            return lines, notes + best.notes(with_marks=marks)

        return glyphs, read


def _opened(picture: Picture | InMemory) -> tuple[Source, NDArray[uint8], list[str]]:
    """Where a picture is from, its grey levels [H,W], and notes."""
    if isinstance(picture, bytes | str | os.PathLike | Source):
        source = Source.of(picture)
        return source, *read_picture(source, name=source.name)
    return _IN_MEMORY, to_grey(picture), []


def _reading(source: Source, field: Field | None = None, **what: Any) -> Reading:
    if field:
        what |= {"field": field.name, "field_box": field.box}
    return Reading(source.path, page=source.page, **what)


def _told(error: Exception, name: str) -> str:
    """The line of a picture that could not be read: of a defect, or of no memory, too; the rest are still read."""
    if isinstance(error, PictureError):
        return str(error)
    reason = shown(" ".join(str(error).split()))
    return f"{shown(name)}: reading it failed: {type(error).__name__}: {reason}"
