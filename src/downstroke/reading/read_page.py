"""Read a page: the glyphs that the network is to see, then the lines of digits that its logits make of them."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy import uint8
from numpy.typing import NDArray

from downstroke.errors import PictureError, counted
from downstroke.glyphs.glyph import SIZE, Box, Cut, looks
from downstroke.glyphs.window import through_windows
from downstroke.reading import refusal
from downstroke.reading.effort import Effort
from downstroke.reading.judge import DIGITS, Floats, Judge, about_stroke
from downstroke.reading.layout import Layout, Row, find_rows
from downstroke.reading.locate import Place
from downstroke.reading.outcome import Digit, Line, Mark, Steps
from downstroke.reading.split import Choices, Hypothesis, best_path, choices

_IS_PLACE = 0.4  # the share from which on a hypothesis is a place that the locator sees
_UNSEEN = 0.03  # heat: what a class has that the locator does not see
_MARK = 0.3  # heat: of a mark that is told
_WIDEST = 1.2  # times its height: ink that is wider is more than one digit
_LEAST = 1e-6  # a probability
_PREVAIL, _WORDS = 2.0, 4.0  # so many times the heat of digits have letters that prevail, and so much more
_TOGETHER = 0.5  # of the digits of a line among letters: where fewer are accepted it is taken for letters
_AROUND, _ITSELF = 2.5, 0.03  # digits' heights: the reach of what is around one; square of the reach: what is itself
#: Weights of `Candidate.evidence`, and what their sum is at least where a digit is accepted: a logistic regression
#: (tools/fit_is_there.py); of digits read right on drawn pages, many hardly
#: readable, three in four reach it; of those on photographed sheets nine in ten.
_IS_THERE = (0.32, 0.99, 0.3, 0.99, -4.78, -1.08)


@dataclass(frozen=True)
class Candidate:
    """A digit that was found but not yet decided: its logits [C], and the rest of a `Digit`."""

    logits: Floats
    certainty: float
    box: Box
    warnings: list[str]
    steps: Steps | None
    heat: float | None = None  # how sure the locator is that a digit stands there; None where it was not asked
    other: float = 0.0  # and how sure that it is a letter or a mark
    company: tuple[float, float] = (0.0, 0.0)  # how far letters and marks stand around it, and on the whole page, 0..1

    @property
    def evidence(self) -> tuple[float, ...]:
        """The reader's score, the logarithms of the locator's heat of a digit and of others, and the company."""
        score = min(max(float(refusal.score(self.logits[None])[0]), -10.0), 12.0)
        return score, math.log((self.heat or 0.0) + 0.02), math.log(self.other + 0.02), *self.company

    @property
    def is_there(self) -> bool:
        """Whether locator and reader together see a digit here: see `_IS_THERE`."""
        *weights, least = _IS_THERE
        return self.heat is None or float(np.dot(weights, self.evidence)) >= least


@dataclass(frozen=True)
class PageRead:
    """What was read on a page; how many `unread` parts of ink and `doubtful` digits were left out, and how many lines
    because there were `too_many`."""

    lines: list[Line]
    certainty: float  # of its digits, the mean of how sure they are, 0..1; 0 without digits
    unread: int
    doubtful: int
    too_many: int

    @property
    def count(self) -> int:
        """How many digits there are."""
        return sum(len(line.digits) for line in self.lines)

    def turned(self, turn: int, shape: tuple[int, ...]) -> PageRead:
        """The same in the picture of this shape [H,W] that was turned by `turn` quarters to the left to read it."""

        def back(box: Box) -> Box:
            x, y, width, height = box
            if turn == 1:
                return shape[1] - y - height, x, height, width
            if turn == 2:
                return shape[1] - x - width, shape[0] - y - height, width, height
            return y, shape[0] - x - width, height, width

        lines = [
            replace(
                line,
                digits=[replace(digit, box=back(digit.box)) for digit in line.digits],
                marks=[replace(mark, box=back(mark.box)) for mark in line.marks],
            )
            for line in self.lines
        ]
        return replace(self, lines=lines)

    def notes(self, *, with_marks: bool) -> list[str]:
        """What was seen and is not in the text, in words."""
        notes = []
        if self.too_many:
            which = f"{counted(self.too_many, 'line')} of marks"
            notes.append(f"{which} left out: more than is read in one picture; cut it into parts to read them")
        marks = "".join(mark.mark for line in self.lines for mark in line.marks)
        if marks and not with_marks:
            notes.append(f"{counted(len(marks), 'mark')} passed over: {' '.join(marks)} (--marks keeps them)")
        if self.unread:
            notes.append(f"{counted(self.unread, 'part')} of the ink left out, as no digits")
        if self.doubtful:
            doubtful = counted(self.doubtful, "doubtful digit")
            notes.append(f"{doubtful} left out, alone beside the lines or among letters")
        return notes


@dataclass(frozen=True)
class Page:
    """A picture, uint8 [H,W], divided into candidates for digits."""

    image: NDArray[uint8]
    rows: list[Row]
    choices: list[Choices]  # of each row
    alone: list[Cut]  # all its ink as one digit, cut out in several ways; none where it can be none
    windows: list[NDArray[uint8]]  # and through windows, for a reader that has learned to read them
    doubtful: int
    too_many: int  # lines that were left out
    places: list[Place]  # all that the locator sees, in the picture's pixels

    @classmethod
    def of(cls, image: NDArray[uint8], effort: Effort | None = None, *, windows: bool) -> Page:
        """`effort`: what the picture has taken so far; `windows`: for a reader that has learned to read them.

        Raises PictureError where there are far too many marks.
        """
        effort = effort or Effort()
        made: list[Choices] = []

        def divided(row: Row) -> bool:
            one = choices(row, effort, windows=windows)
            made.extend([one] if one else [])
            return one is not None

        layout = find_rows(image, effort, divided)
        alone = [] if layout.too_many else _alone(image, layout)
        through = through_windows(image, alone) if windows else []
        return cls(image, layout.rows, made, alone, through, layout.doubtful, layout.too_many, layout.places)

    @functools.cached_property
    def _known(self) -> NDArray[np.float64]:
        """Of each place x and y of its middle, how sure the locator is of a digit, and of another sign: [N,4]."""
        return np.array([(*place.middle, place.digit_heat, place.is_other) for place in self.places])

    @property
    def among_letters(self) -> bool:
        """Whether far more letters are seen than digits: what is doubtful there is a letter too."""
        letters = sum(float(place.classes[-1]) for place in self.places)
        return letters > _PREVAIL * sum(place.digit_heat for place in self.places) + _WORDS

    @property
    def glyphs(self) -> NDArray[uint8]:
        """All that the network has to see, uint8 [N,28,28]; N may be 0."""
        every = (
            [glyph for one in self.choices for glyph in one.glyphs] + [cut.glyph for cut in self.alone] + self.windows
        )
        return np.stack(every) if every else np.zeros((0, SIZE, SIZE), uint8)

    def read(self, logits: Floats, judge: Judge, explain: bool) -> PageRead:
        """What the logits [N,C] of its glyphs make of it."""
        found, unread = self.candidates(logits, judge, explain=explain)
        if self.alone:
            found = self._alone_or(found, logits[-len(self.alone) - len(self.windows) :], judge, explain)
        lines, doubtful, among_letters = [], self.doubtful, self.among_letters
        for index, seen in enumerate(found):
            digits = [judge.digit(one.logits, one.box, one.warnings, one.steps, there=one.is_there) for one in seen]
            if among_letters and sum(digit.accepted for digit in digits) < _TOGETHER * len(digits):
                doubtful += len(digits)
            elif digits:
                marks = self._marks(self.rows[index], digits) if index < len(self.rows) else []
                lines.append(Line.of(digits, marks))
        every = [one.certainty for seen in found for one in seen]
        return PageRead(lines, float(np.mean(every)) if every else 0.0, unread, doubtful, self.too_many)

    def candidates(self, logits: Floats, judge: Judge, *, explain: bool = False) -> tuple[list[list[Candidate]], int]:
        """(the digits on each row, how many parts of ink are none), from the logits [N,C] of the page's glyphs."""
        found: list[list[Candidate]] = []
        start = unread = 0
        for row, one in zip(self.rows, self.choices, strict=True):
            own = _with_places(logits[start : start + len(one.glyphs)], one, judge)
            start += len(one.glyphs)
            certainty = judge.certainty(own)
            path = best_path(one.hypotheses, one.skips, certainty)
            found.append([self._candidate(row, one.hypotheses[i], own[i], float(certainty[i]), explain) for i in path])
            unread += len(one.skips) - sum(one.hypotheses[i].stop - one.hypotheses[i].start for i in path)
        return found, unread

    def _candidate(self, row: Row, found: Hypothesis, logits: Floats, certainty: float, explain: bool) -> Candidate:
        box = box_in_picture(row, found.piece.x, found.piece.y, found.piece.right, found.piece.bottom, self.image.shape)
        steps = Steps(crop(self.image, box), found.piece.ink, found.glyph) if explain else None
        heat = found.place.digit_heat if found.place else 0.0
        other = max(found.place.is_other if found.place else 0.0, found.other)
        return Candidate(
            logits, certainty, box, _about_hypothesis(found), steps, heat, other, _company(box, self._known)
        )

    def _alone_or(
        self, found: list[list[Candidate]], looked: Floats, judge: Judge, explain: bool
    ) -> list[list[Candidate]]:
        """What was found, or all the ink as one digit, whichever is likelier; `looked`: the logits of that."""
        cut, logits = self.alone[0], refusal.pooled(looked)
        certainty = float(judge.certainty(logits[None])[0])
        steps = Steps(crop(self.image, cut.box), cut.ink, cut.glyph) if explain else None
        whole = Candidate(logits, certainty, cut.box, about_stroke(cut.stroke), steps)
        every = [one for seen in found for one in seen]
        if not every:
            return [[whole]] if judge.accepts(logits) else []
        if len(every) == 1:
            both = refusal.pooled(np.stack([every[0].logits, logits]))
            return [[replace(every[0], logits=both, certainty=float(judge.certainty(both[None])[0]))]]
        if cut.left_out:  # not all the ink: what was left out may be a digit
            return found
        likely = sum(math.log(max(one.certainty, _LEAST)) for one in every)
        return [[whole]] if math.log(max(certainty, _LEAST)) > likely else found

    def _marks(self, row: Row, digits: list[Digit]) -> list[Mark]:
        """The marks of a row that stand outside of its digits."""
        found = []
        for place in (other for other in row.others if other.mark):
            x, y, right, bottom = place.x, place.y, place.x + place.width, place.y + place.height
            box = box_in_picture(row, x, y, right, bottom, self.image.shape)
            if place.score > _MARK and not any(_holds(digit.box, box) for digit in digits):
                found.append(Mark(place.mark, box))
        return found


def _company(box: Box, known: NDArray[np.float64]) -> tuple[float, float]:
    """The share of letters and marks in all that the locator sees: around the box, and on the whole page."""
    if not len(known):
        return 0.0, 0.0
    x, y, width, height = box
    away = ((known[:, 0] - x - width / 2) ** 2 + (known[:, 1] - y - height / 2) ** 2) / (_AROUND * height) ** 2
    near = np.exp(-away / 2) * (away > _ITSELF)
    around, page = (weight @ known[:, 2:] for weight in (near, np.ones(len(known))))
    return float(around[1] / (around.sum() + 0.5)), float(page[1] / (page.sum() + 0.5))


def _holds(box: Box, other: Box) -> bool:
    """Whether the middle of the other box is in this one."""
    x, y = other[0] + other[2] / 2, other[1] + other[3] / 2
    return box[0] < x < box[0] + box[2] and box[1] < y < box[1] + box[3]


def _with_places(logits: Floats, one: Choices, judge: Judge) -> Floats:
    """The logits of a row's hypotheses with what the locator says of them, from those of all its glyphs.

    Where a hypothesis is a place, what is in the place's box is another look at the digit; and the locator has seen the
    class itself, which moves the logits among the classes and leaves the score.
    """
    own = logits[: len(one.hypotheses)].copy()
    boxed: dict[int, list[Floats]] = {}
    for (place, _), look in zip(one.boxed, logits[len(own) :], strict=True):
        boxed.setdefault(id(place), []).append(look)
    for index, hypothesis in enumerate(one.hypotheses):
        if hypothesis.place is None:
            continue
        place = hypothesis.place
        if id(place) in boxed and hypothesis.share > _IS_PLACE:
            own[index] = refusal.pooled(np.stack([own[index], *boxed[id(place)]]))
        if judge.classes == DIGITS:
            moved = own[index] + hypothesis.share * np.log(place.classes[: len(DIGITS)] + _UNSEEN)
            own[index] = moved + (refusal.score(own[index][None]) - refusal.score(moved[None]))
    return own


def _alone(image: NDArray[uint8], layout: Layout) -> list[Cut]:
    """The picture's ink taken for one digit, in several ways; none where it is a letter, too wide or in two rows."""
    rows = layout.rows
    x, y, right, bottom = 0, 0, image.shape[1], image.shape[0]
    if len(rows) > 1:
        return []
    for row in rows:
        boxes = np.array([box_in_picture(row, p.x, p.y, p.right, p.bottom, image.shape) for p in row.pieces])
        left, top = (int(v) for v in boxes[:, :2].min(axis=0))
        across, down = (int(v) for v in (boxes[:, :2] + boxes[:, 2:]).max(axis=0))
        if across - left > _WIDEST * (down - top):
            return []
        room = (down - top) // 3
        x, y, right, bottom = max(0, left - room), max(0, top - room), across + room, down + room
    try:
        found = looks(image[y:bottom, x:right])
    except PictureError:
        return []
    found = [replace(cut, box=(cut.box[0] + x, cut.box[1] + y, *cut.box[2:])) for cut in found]
    letters = (place for place in layout.places if not place.is_digit)
    return [] if any(letter.shares(found[0].box) > _IS_PLACE for letter in letters) else found


def box_in_picture(row: Row, x: float, y: float, right: float, bottom: float, shape: tuple[int, ...]) -> Box:
    """The box in the picture, of `shape` [H,W], that holds a box of a row."""
    corners = [(u, v, 1) for u in (x, right) for v in (y, bottom)]
    across, down = row.to_picture @ np.array(corners).T
    left, top = (min(max(0, int(v.min())), side - 1) for v, side in ((across, shape[1]), (down, shape[0])))
    end, foot = (min(side, round(float(v.max()))) for v, side in ((across, shape[1]), (down, shape[0])))
    return left, top, max(1, end - left), max(1, foot - top)


def crop(image: NDArray[uint8], box: Box) -> NDArray[uint8]:
    """A copy of what lies in a box of grey [H,W]."""
    x, y, width, height = box
    return image[y : y + height, x : x + width].copy()


def _about_hypothesis(one: Hypothesis) -> list[str]:
    warnings = about_stroke(one.stroke)
    if one.touches:
        warnings.append("touches its neighbour, cut apart")
    if one.joins:
        warnings.append("made of parts that stand apart")
    if one.piece.width > 1.2 * one.piece.height:
        warnings.append("looks like two digits")
    return warnings
