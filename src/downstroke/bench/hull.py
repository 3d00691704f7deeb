"""What a rule for stopping costs and what it loses, and the hull of what patience can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Losses = NDArray[np.float64]
PATIENCES = (1, 2, 3, 5, 8, 13, 20, 30, None)  # None: never stop
MIN_DELTAS = (0.0, 0.0001, 0.001, 0.01)
NEAR = 0.01  # within so much of the best is as good as the best


@dataclass(frozen=True)
class Point:
    """A rule's mean over histories: regret (relative) and cost (1 is the epochs that were needed)."""

    name: str
    regret: float
    cost: float


def regret(val_loss: Losses, stop: int) -> float:
    """How much higher the best val loss of the first `stop` epochs is than that of all, relative to the latter.

    1 at most: a loss that falls to nothing would outweigh all others in a mean.
    """
    best = np.nanmin(val_loss)
    return min(1.0, float((np.nanmin(val_loss[:stop]) - best) / best))


def cost(val_loss: Losses, stop: int) -> float:
    """`stop` over the epoch, from 1, at which the whole history first was within 1% of its best."""
    return stop / needed(val_loss)


def needed(val_loss: Losses) -> int:
    """The first epoch, from 1, whose val loss is within 1% of the best of all."""
    return int(np.flatnonzero(val_loss <= (1 + NEAR) * np.nanmin(val_loss))[0]) + 1


def patience_stop(val_loss: Losses, patience: int | None, min_delta: float) -> int:
    """The epochs done when `patience` of them in a row were not better than the best by more than `min_delta`."""
    best, waited = np.inf, 0
    for epoch, loss in enumerate(val_loss, start=1):
        if loss < best - min_delta:
            best, waited = loss, 0
        else:
            waited += 1
        if patience is not None and waited >= patience:
            return epoch
    return len(val_loss)


def point(name: str, histories: Sequence[Losses], stops: Sequence[int]) -> Point:
    """The means over histories of what stopping each after so many epochs loses and costs."""
    pairs = list(zip(histories, stops, strict=True))
    return Point(name, float(np.mean([regret(h, s) for h, s in pairs])), float(np.mean([cost(h, s) for h, s in pairs])))


def patience_points(histories: Sequence[Losses]) -> list[Point]:
    """All patiences with all min_deltas."""
    return [
        point(
            f"patience {'never' if patience is None else patience}, min_delta {min_delta:g}",
            histories,
            [patience_stop(h, patience, min_delta) for h in histories],
        )
        for patience in PATIENCES
        for min_delta in MIN_DELTAS
    ]


def lower_hull(points: Sequence[Point]) -> list[Point]:
    """The corners of the lower convex hull of (regret, cost), from the least regret to the least cost.

    Every mixture of rules lies on it or above.
    """
    hull: list[Point] = []
    for corner in sorted(points, key=lambda p: (p.regret, p.cost)):
        if hull and corner.cost >= hull[-1].cost:
            continue
        while len(hull) >= 2 and _turns_up(hull[-2], hull[-1], corner):
            hull.pop()
        hull.append(corner)
    return hull


def _turns_up(a: Point, b: Point, c: Point) -> bool:
    return (b.regret - a.regret) * (c.cost - a.cost) - (b.cost - a.cost) * (c.regret - a.regret) <= 0


def cost_at(hull: Sequence[Point], regret: float) -> float:
    """The hull's cost at this mean regret; NaN for less regret than any corner has."""
    if regret < hull[0].regret:
        return float("nan")
    return float(np.interp(regret, [p.regret for p in hull], [p.cost for p in hull]))


def regret_at(hull: Sequence[Point], cost: float) -> float:
    """The hull's regret at this mean cost; the least regret for more cost than any corner has."""
    return float(np.interp(cost, [p.cost for p in reversed(hull)], [p.regret for p in reversed(hull)]))
