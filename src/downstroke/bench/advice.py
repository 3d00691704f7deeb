"""`downstroke bench advice`: the advice against every patience, on a corpus of histories that downstroke made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstroke.advice.curve import Curve
from downstroke.advice.verdict import OPERATING_POINTS, Advice, advise_every
from downstroke.bench import hull
from downstroke.bench.histories import Recorded, load
from downstroke.runs import files

Say = Callable[[str], None]
LATE = 6  # epochs after the best in which overfitting should be said
RISEN = 1.05  # a history overfitted where val loss ends so much above its best
MISSED = 0.10  # relative improvement that no stop should forgo
AHEAD = (1, 5, 10)


def measure(*, half: str, points: Sequence[str], out: Path, say: Say) -> dict[str, Any]:
    """Walk every history of `half` at every operating point in `points`; save the figures to `out`, return them."""
    histories = load(half)
    figures: dict[str, Any] = {"corpus": corpus(half, histories)}
    ended = [h for h in histories if np.isfinite(h.columns["val_loss"][-1])]
    corners = hull.lower_hull(hull.patience_points([h.columns["val_loss"] for h in ended]))
    figures["hull"] = {p.name: f"regret {p.regret:.4f}, cost {p.cost:.3f}" for p in corners}
    for name in points:
        walks = []
        for number, history in enumerate(histories, start=1):
            walks.append(advise_every(curve(history), operating_point=name))
            if number % 10 == 0 or number == len(histories):
                say(f"{name}: {number} of {len(histories)} histories")
        figures[name] = score(histories, walks, corners)
        files.write_json(out, figures)
    return figures


def curve(history: Recorded) -> Curve:
    """What advice is given of a history: what `advise metrics.csv` would see."""
    columns = history.columns
    return Curve(columns["epoch"], columns["val_loss"], columns["loss"], columns["lr"])


def corpus(half: str, histories: Sequence[Recorded]) -> dict[str, Any]:
    """What there is to measure on."""
    last = [h.columns["val_loss"][-1] for h in histories]
    return {"half": half, "histories": len(histories), "diverged": int(np.sum(~np.isfinite(last)))}


def score(
    histories: Sequence[Recorded], walks: Sequence[Sequence[Advice]], corners: Sequence[hull.Point]
) -> dict[str, Any]:
    """The figures of one operating point: `walks` holds the advice after every epoch of each history."""
    pairs = [(h.columns["val_loss"], walk) for h, walk in zip(histories, walks, strict=True)]
    ended = [(loss, walk) for loss, walk in pairs if np.isfinite(loss[-1])]
    lost = [walk for loss, walk in pairs if not np.isfinite(loss[-1])]
    stops = [first_stop(walk) for _, walk in ended]
    ours = hull.point("advice", [loss for loss, _ in ended], stops)
    forgone = [hull.regret(loss, stop) > MISSED for (loss, _), stop in zip(ended, stops, strict=True)]
    beneath, beside = hull.cost_at(corners, ours.regret), hull.regret_at(corners, ours.cost)
    return {
        "regret": ours.regret,
        "cost": ours.cost,
        "cost_over_hull_at_equal_regret": ours.cost / beneath,
        "regret_over_hull_at_equal_cost": ours.regret / beside if beside else float("nan"),
        "stops_with_10_percent_ahead": float(np.mean(forgone)),
        **coverage(ended),
        **overfitting(histories, walks),
        "diverged_told_unstable": float(np.mean([walk[-1].verdict == "unstable" for walk in lost])) if lost else None,
    }


def first_stop(walk: Sequence[Advice]) -> int:
    """Epochs done at the first stop; all, where there is none."""
    return next((row for row, advice in enumerate(walk, start=1) if advice.stop), len(walk))


def coverage(ended: Sequence[tuple[NDArray[np.float64], Sequence[Advice]]]) -> dict[str, float]:
    """The share of 80% intervals, over all epochs of all histories, that held what came."""
    found: dict[str, float] = {}
    for place, epochs in enumerate(AHEAD):
        held = [
            advice.forecast[place].low <= loss[row + epochs] <= advice.forecast[place].high
            for loss, walk in ended
            for row, advice in enumerate(walk[: len(loss) - epochs])
            if advice.forecast
        ]
        found[f"coverage_{epochs}_ahead"] = float(np.mean(held))
    return found


def overfitting(histories: Sequence[Recorded], walks: Sequence[Sequence[Advice]]) -> dict[str, Any]:
    """Precision of the first `overfitting` said, and recall within six epochs of the best.

    Right is a saying after which val loss never gets below the best so far by more than 1%. A history overfitted where
    val loss ends (median of five) 5% above its best or more, training loss 10% lower than at the best or more.
    """
    right, heard = [], []
    for history, walk in zip(histories, walks, strict=True):
        loss, training = history.columns["val_loss"], history.columns["loss"]
        if not np.isfinite(loss).all():
            continue
        said = [row for row, advice in enumerate(walk, start=1) if advice.verdict == "overfitting"]
        if said:
            right.append(loss.min() >= (1 - hull.NEAR) * loss[: said[0]].min())
        best = int(np.argmin(loss)) + 1
        if np.median(loss[-5:]) > RISEN * loss.min() and training[-1] < 0.9 * training[best - 1]:
            heard.append(bool(said) and said[0] <= best + LATE)
    return {
        "overfitting_said": len(right),
        "overfitting_precision": float(np.mean(right)) if right else None,
        "overfitted": len(heard),
        "overfitting_recall": float(np.mean(heard)) if heard else None,
    }


def default_points() -> tuple[str, ...]:
    """All operating points, the default one first."""
    return tuple(sorted(OPERATING_POINTS, key=lambda name: name != "balanced"))
