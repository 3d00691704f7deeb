"""Which pieces of a line make one digit: hypotheses, judged by the reader's probabilities.

A piece that may be several digits is cut along the paths of least ink, pieces that stand close may be one digit, and of
all ways to read the line the most probable one is taken (dynamic programming over the cuts).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from downstroke.data.glyph import fit
from downstroke.data.ink import extent
from downstroke.reading.page import Piece, Row

_MOST_ATOMS = 4  # of one digit
_CUT_COST = 1.2  # nats: a cut through ink, or a join over paper, needs a reason
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


def hypotheses(row: Row) -> tuple[list[Hypothesis], int]:
    """(what may be a digit in the row, the number of its atoms)."""
    atoms: list[Piece] = []
    whole: list[int] = []  # which piece an atom is of
    for number, piece in enumerate(row.pieces):
        made = cut_piece(piece, row.tall)
        atoms += made
        whole += [number] * len(made)
    found = []
    for start in range(len(atoms)):
        piece = atoms[start]
        for stop in range(start + 1, min(len(atoms), start + _MOST_ATOMS) + 1):
            cost = 0.0
            if stop > start + 1:
                gap = atoms[stop - 1].x - piece.right
                if whole[stop - 1] != whole[stop - 2]:
                    if gap > 0.25 * row.tall:
                        break
                    cost = _CUT_COST
                piece = piece.joined(atoms[stop - 1])
            if piece.width > 1.6 * row.tall and stop > start + 1:
                break
            # A cut on either side that runs through a piece.
            cost += _CUT_COST / 2 * (start > 0 and whole[start - 1] == whole[start])
            cost += _CUT_COST / 2 * (stop < len(atoms) and whole[stop] == whole[stop - 1])
            trimmed = _trim(piece)
            if trimmed is None:
                continue
            cost += max(0.0, trimmed.width / row.tall - _WIDE) ** 2 / (2 * _WIDE_SPREAD**2)
            cost += max(0.0, 0.5 - trimmed.height / row.tall) * 4
            glyph, stroke = fit(trimmed.ink)
            found.append(Hypothesis(start, stop, trimmed, glyph, stroke, cost))
    return found, len(atoms)


def _trim(piece: Piece) -> Piece | None:
    if not (piece.ink > 0.3).any():
        return None
    rows, columns = extent(piece.ink > 0.3)
    return Piece(piece.x + columns.start, piece.y + rows.start, piece.ink[rows, columns])


def best_path(found: list[Hypothesis], atoms: int, probabilities: NDArray[np.floating]) -> list[int]:
    """The hypotheses (their positions in `found`) that read all atoms at the least cost in nats, left to right.

    `probabilities`: [len(found), classes].
    """
    costs = np.full(atoms + 1, np.inf)
    costs[0] = 0
    last = [-1] * (atoms + 1)
    sure = probabilities.max(axis=1)
    for index in sorted(range(len(found)), key=lambda i: found[i].stop):
        one = found[index]
        cost = costs[one.start] + one.cost - float(np.log(max(sure[index], 1e-6)))
        if cost < costs[one.stop]:
            costs[one.stop], last[one.stop] = cost, index
    path = []
    place = atoms
    while place > 0 and last[place] >= 0:
        path.append(last[place])
        place = found[last[place]].start
    return path[::-1]


def cut_piece(piece: Piece, tall: float) -> list[Piece]:
    """The piece cut wherever two digits may touch in it: one piece where nothing speaks for that."""
    height, width = piece.ink.shape
    if width < 0.5 * tall or height < 0.4 * tall:
        return [piece]
    paths = _seams(piece.ink, tall)
    if not paths:
        return [piece]
    columns = np.arange(width)
    owner = sum((columns[None, :] >= path[:, None]).astype(int) for path in paths)
    made = []
    for number in range(len(paths) + 1):
        ink = np.where(owner == number, piece.ink, np.float32(0))
        if not (ink > 0.3).any():
            continue
        rows, inside = extent(ink > 0)
        made.append(Piece(piece.x + inside.start, piece.y + rows.start, ink[rows, inside]))
    return made


def _seams(ink: NDArray[np.float32], tall: float) -> list[NDArray[np.int64]]:
    """Paths from top to bottom that cross little ink, left to right: for each, its column in every row of [H,W]."""
    height, width = ink.shape
    cost = ink[0].astype(np.float64)
    back = np.zeros((height, width), np.int64)
    columns = np.arange(width)
    for row in range(1, height):
        # Leaning is as cheap as the slant of a hand; wandering is not.
        left = np.concatenate([[np.inf], cost[:-1]]) + 0.02
        right = np.concatenate([cost[1:], [np.inf]]) + 0.02
        moves = np.stack([cost, left, right])
        choice = moves.argmin(axis=0)
        back[row] = columns + np.array([0, -1, 1])[choice]
        cost = moves[choice, columns] + ink[row]
    limit = 0.35 * tall
    margin = 0.12 * tall
    found: list[NDArray[np.int64]] = []
    for end in np.argsort(cost, kind="stable"):
        if cost[end] > limit or len(found) == 6:
            break
        path = np.empty(height, np.int64)
        path[-1] = end
        for row in range(height - 1, 0, -1):
            path[row - 1] = back[row, path[row]]
        middle = float(path.mean())
        if not margin < middle < width - margin:
            continue
        if all(abs(middle - float(other.mean())) > 0.2 * tall for other in found):
            found.append(path)
    return sorted(found, key=lambda path: float(path.mean()))
