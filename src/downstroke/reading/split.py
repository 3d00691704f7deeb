"""Which pieces of a line make one digit: hypotheses, judged by the reader's probabilities.

A piece that may be several digits is cut along the paths of least ink, and neighbouring pieces may be one digit. Of all
ways to read the line the most probable one is taken (dynamic programming over the cuts).
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from downstroke.glyphs.glyph import fit, stroke_width
from downstroke.glyphs.ink import extent
from downstroke.glyphs.window import window
from downstroke.reading.effort import A_GLYPH, Effort
from downstroke.reading.layout import Piece, Row
from downstroke.reading.locate import Place

_MOST_ATOMS = 4  # of one digit
_JOIN_COST = 2.0  # nats: a join over paper needs a reason
_CUT_COST = 0.5  # nats: and so does a cut, the more the more ink it crosses:
_CROSSING_COST = 1.5  # nats for the width of a stroke
_LOW_COST = 8.0
_LEAST_SKIP, _SKIP_COST = 0.5, 5.0  # nats
_SEEN, _OTHER_COST = 3.0, 3.0  # nats: for what is just what the locator sees as a digit, or as a mark or letter
_AROUND = 0.08  # of the sides of a place's box: how far around it ink is taken for its
_SURE, _CLOSEST = 0.3, 0.15  # heat of a place beside which there is a cut; by a digit's height, between two middles
_WIDE, _WIDE_SPREAD = 1.0, 0.2  # of a digit's width by the height of the line


@dataclass(frozen=True)
class Hypothesis:
    """That the atoms `start` to `stop` of a line are one digit."""

    start: int
    stop: int
    piece: Piece
    glyph: NDArray[np.uint8]
    stroke: float
    cost: float  # nats, before the reader has seen it
    touches: bool  # a cut through ink is one of its sides
    joins: bool  # it holds parts that stand apart
    place: Place | None = None  # what the locator sees there
    share: float = 0.0  # how far that is this piece, 0..1
    other: float = 0.0  # how far it is a mark or a letter that the locator sees, 0..1


@dataclass(frozen=True)
class Choices:
    """How a row may be read: what may be a digit in it; `skips`, for each of its atoms what it costs in nats to take it
    for no digit; and `boxed`, what the locator sees as digits, each with a glyph: further looks at it."""

    hypotheses: list[Hypothesis]
    skips: list[float]
    boxed: list[tuple[Place, NDArray[np.uint8]]]

    @property
    def glyphs(self) -> list[NDArray[np.uint8]]:
        """Of the hypotheses, then of the boxes."""
        return [one.glyph for one in self.hypotheses] + [glyph for _, glyph in self.boxed]


def choices(row: Row, effort: Effort, *, windows: bool) -> Choices | None:
    """How a row may be read, with `windows` on the places that the locator sees; None where that is too much effort."""
    atoms: list[Piece] = []
    edges = [0.0]  # what it costs that a digit begins or ends before each atom: half of a cut's cost
    whole: list[int] = []  # which piece an atom is of
    stroke = float(np.median([stroke_width(piece.ink) for piece in row.pieces]))
    for number, piece in enumerate(row.pieces):
        made, crossed = cut_piece(piece, row.tall, row.places)
        atoms += made
        edges += [(_CUT_COST + _CROSSING_COST * ink / stroke) / 2 for ink in crossed] + [0.0]
        whole += [number] * len(made)
    found: list[Hypothesis] = []
    digits, others = _Along(row.places), _Along(row.others)
    for start in range(len(atoms)):
        if not effort.allows(A_GLYPH * len(found)):
            effort.spend(A_GLYPH * len(found))
            return None
        piece = atoms[start]
        for stop in range(start + 1, min(len(atoms), start + _MOST_ATOMS) + 1):
            cost = 0.0
            if stop > start + 1:
                gap = atoms[stop - 1].x - piece.right
                if whole[stop - 1] != whole[stop - 2]:
                    if gap > 0.25 * row.tall:
                        break
                    cost = _JOIN_COST
                piece = piece.joined(atoms[stop - 1])
            if piece.width > 1.6 * row.tall and stop > start + 1:
                break
            trimmed = _trim(piece)
            if trimmed is None:
                continue
            cost += edges[start] + edges[stop]
            size = (row.tall + trimmed.height) / 2
            cost += max(0.0, trimmed.width / size - _WIDE) ** 2 / (2 * _WIDE_SPREAD**2)
            cost += max(0.0, 0.8 - trimmed.height / row.tall) * _LOW_COST
            place, share = _seen(trimmed, digits)
            other = _seen(trimmed, others)[1]
            cost += _OTHER_COST * other - _SEEN * share
            glyph, pen = fit(trimmed.ink)
            touches, joins = edges[start] + edges[stop] > 0, len(set(whole[start:stop])) > 1
            found.append(Hypothesis(start, stop, trimmed, glyph, pen, cost, touches, joins, place, share, other))
    skips = [_skip_cost(atom, row.tall) * (1 - _seen(atom, others)[1]) for atom in atoms]
    every = Choices(found, skips, _in_boxes(row, windows=windows))
    effort.spend(A_GLYPH * len(every.glyphs))
    return every


def _in_boxes(row: Row, *, windows: bool) -> list[tuple[Place, NDArray[np.uint8]]]:
    """Each place that the locator sees in the row, with the ink in its box as a glyph, whatever the ink hangs on, and
    with the window of the box."""
    found = []
    for place in row.places:
        if place.score < _SURE:
            continue
        spare_x, spare_y = _AROUND * place.width, _AROUND * place.height
        left, right = max(0, round(place.x - spare_x)), max(0, round(place.x + place.width + spare_x))
        top, bottom = max(0, round(place.y - spare_y)), max(0, round(place.y + place.height + spare_y))
        ink = _trim(Piece(left, top, row.ink[top:bottom, left:right]))
        if ink is not None:
            found.append((place, fit(ink.ink)[0]))
        if windows:
            found.append((place, window(row.grey, (place.x, place.y, place.width, place.height))))
    return found


class _Along:
    """Places in the order of a line, so that those beside a piece are found without a look at all of them."""

    def __init__(self, places: list[Place]) -> None:
        self._places = sorted(places, key=lambda place: place.x)
        self._lefts = [place.x for place in self._places]
        self._widest = max((place.width for place in places), default=0.0)

    def beside(self, left: float, right: float) -> list[Place]:
        """All places that reach into these columns, and a few before them."""
        return self._places[bisect_right(self._lefts, left - self._widest) : bisect_left(self._lefts, right)]


def _seen(piece: Piece, places: _Along) -> tuple[Place | None, float]:
    """(the place that a piece is most likely to be, how far it is: what their boxes share, by how sure it is; 0..1)."""
    best, found = 0.0, None
    for place in places.beside(piece.x, piece.right):
        share = place.shares((piece.x, piece.y, piece.width, piece.height)) * min(1.0, 2 * place.score)
        if share > best:
            best, found = share, place
    return found, best


def _skip_cost(atom: Piece, tall: float) -> float:
    """The cost of taking an atom for no digit, nats: low for dots and dashes, high for what is as tall as digits."""
    return _LEAST_SKIP + _SKIP_COST * min(1.0, atom.height / tall)


def _trim(piece: Piece) -> Piece | None:
    if not (piece.ink > 0.3).any():
        return None
    rows, columns = extent(piece.ink > 0.3)
    return Piece(piece.x + columns.start, piece.y + rows.start, piece.ink[rows, columns])


def best_path(found: list[Hypothesis], skips: list[float], probabilities: NDArray[np.floating]) -> list[int]:
    """The hypotheses (positions in `found`) that cover the atoms at the least cost in nats, left to right.

    `skips`: what it costs to take each atom for no digit; `probabilities`: of the best class of each of `found`, [N].
    """
    costs = np.full(len(skips) + 1, np.inf)
    costs[0] = 0
    last = [-1] * (len(skips) + 1)
    by_stop: list[list[int]] = [[] for _ in range(len(skips) + 1)]
    for index, one in enumerate(found):
        by_stop[one.stop].append(index)
    for stop in range(1, len(skips) + 1):
        costs[stop] = costs[stop - 1] + skips[stop - 1]
        for index in by_stop[stop]:
            one = found[index]
            cost = costs[one.start] + one.cost - float(np.log(max(probabilities[index], 1e-6)))
            if cost < costs[stop]:
                costs[stop], last[stop] = cost, index
    path = []
    place = len(skips)
    while place > 0:
        if last[place] >= 0:
            path.append(last[place])
        place = found[last[place]].start if last[place] >= 0 else place - 1
    return path[::-1]


def cut_piece(piece: Piece, tall: float, places: Sequence[Place] = ()) -> tuple[list[Piece], list[float]]:
    """(the piece cut wherever two digits may touch in it, the ink that each cut crosses, in pixels).

    Between two `places` that the locator sees in it there is a cut in any case.
    """
    height, width = piece.ink.shape
    if width < 0.5 * tall or height < 0.4 * tall:
        return [piece], []
    middles = sorted(
        place.middle[0] - piece.x
        for place in places
        if piece.x < place.middle[0] < piece.right and piece.y < place.middle[1] < piece.bottom and place.score > _SURE
    )
    seams = _seams(piece.ink, tall, list(itertools.pairwise(middles)))
    if not seams:
        return [piece], []
    paths = [path for path, _ in seams]
    columns = np.arange(width)
    owner = sum((columns[None, :] >= path[:, None]).astype(int) for path in paths)
    made, crossed = [], []
    for number in range(len(paths) + 1):
        ink = np.where(owner == number, piece.ink, np.float32(0))
        if not (ink > 0.3).any():
            continue
        rows, inside = extent(ink > 0)
        made.append(Piece(piece.x + inside.start, piece.y + rows.start, ink[rows, inside]))
        crossed.append(seams[number - 1][1] if number else 0.0)
    return made, crossed[1:]


def _seams(
    ink: NDArray[np.float32], tall: float, between: list[tuple[float, float]]
) -> list[tuple[NDArray[np.int64], float]]:
    """Paths from top to bottom that cross little ink, left to right: its column in every row of [H,W], and the ink.

    One `between` each of these pairs of columns, and others where little ink is crossed.
    """
    found = []
    for left, right in between:
        if right - left < _CLOSEST * tall:
            continue
        start, stop = round(left), min(max(round(left) + 2, round(right) + 1), ink.shape[1])
        cost, back = _paths(ink[:, start:stop])
        # Of paths that cross the same ink, the one in the middle.
        off = np.abs(np.arange(stop - start) - (stop - start - 1) / 2) / (stop - start)
        end = int((cost + 2 * off).argmin())
        found.append((_followed(back, np.array([end]))[:, 0] + start, float(cost[end])))
    cost, back = _paths(ink)
    limit = 0.35 * tall
    margin = 0.12 * tall
    ends = np.argsort(cost, kind="stable")
    ends = ends[cost[ends] <= limit]
    paths = _followed(back, ends)
    for path, end, middle in zip(paths.T, ends, paths.mean(axis=0).tolist(), strict=True):
        if len(found) >= 6 + len(between):
            break
        if not margin < middle < ink.shape[1] - margin:
            continue
        if all(abs(middle - float(other.mean())) > 0.2 * tall for other, _ in found):
            found.append((path, float(cost[end])))
    return sorted(found, key=lambda seam: float(seam[0].mean()))


def _paths(ink: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(the ink that the best path to each column of the last row crosses, [W]; from which column each step comes)."""
    height, width = ink.shape
    bordered = np.full(width + 2, np.inf)
    cost, left, right = bordered[1:-1], bordered[:-2], bordered[2:]
    cost[:] = ink[0]
    from_left, from_right = np.zeros((2, height, width), bool)
    for row in range(1, height):
        # Leaning is as cheap as the slant of a hand; wandering is not.
        by_left, by_right = left + 0.02, right + 0.02
        np.less(by_left, cost, out=from_left[row])
        best = np.minimum(cost, by_left)
        np.less(by_right, best, out=from_right[row])
        np.add(np.minimum(best, by_right), ink[row], out=cost)
    return cost, np.arange(width) + np.where(from_right, 1, np.where(from_left, -1, 0))


def _followed(back: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The paths that end at these columns of the last row: their columns in every row, [rows,N]."""
    paths = np.empty((len(back), len(ends)), np.int64)
    paths[-1] = ends
    for row in range(len(back) - 1, 0, -1):
        paths[row - 1] = back[row, paths[row]]
    return paths
