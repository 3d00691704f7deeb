"""`downstroke bench advice`: the advice against every patience, on a corpus of histories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from downstroke.advice import logs
from downstroke.advice.curve import Curve, Floats
from downstroke.advice.features import CLOSE, shift
from downstroke.advice.verdict import AHEAD, OPERATING_POINTS, Advice, advise_every
from downstroke.bench import hull
from downstroke.bench import table as tables
from downstroke.bench.histories import OTHERS, PUBLIC, Recorded, load, others
from downstroke.errors import LogError
from downstroke.runs.outputs import output_json

Say = Callable[[str], None]
LATE = 8  # epochs after the best in which a rise should be said
RISEN = 1.2  # a history rose where val loss ends so much above its best
MISSED = 0.10  # relative improvement that no stop should forgo


def measure(*, half: str, points: Sequence[str], out: Path, say: Say, folder: Path | None = None) -> dict[str, Any]:
    """Walk every history of a corpus at every operating point in `points`; save the figures to `out`, return them.

    `half`: develop or report of the histories of downstroke; others, those of other programs; or public, logs of
    public repositories. `folder`: the logs in it, CSV files, instead.
    """
    curves = from_folder(folder) if folder else corpus(half)
    ended = [_raised(c) for c in curves if np.isfinite(c.val_loss[-1])]
    corners = hull.lower_hull(hull.patience_points(ended))
    figures: dict[str, Any] = {
        "corpus": str(folder or half),
        "histories": len(curves),
        "diverged": len(curves) - len(ended),
        "hull": {p.name: f"regret {p.regret:.4f}, cost {p.cost:.3f}" for p in corners},
    }
    for name in points:
        walks = []
        for number, curve in enumerate(curves, start=1):
            walks.append(walk(curve, name))
            if number % 50 == 0 or number == len(curves):
                say(f"{name}: {number} of {len(curves)} histories")
        figures[name] = score(curves, walks)
        output_json(out, figures)
    return figures


def table(figures: dict[str, Any]) -> str:
    """A line a figure, a column an operating point; the patiences on the hull below."""
    points = [name for name in default_points() if name in figures]
    rows = ((name, *(figures[point][name] for point in points)) for name in figures[points[0]])
    head = {name: figures[name] for name in ("corpus", "histories", "diverged")}
    return "\n\n".join([tables.listed(head), tables.aligned(("", *points), rows), tables.listed(figures["hull"])])


def walk(curve: Curve, point: str) -> list[Advice]:
    """The advice after every row, each from the rows up to it alone."""
    return advise_every(curve, operating_point=point)


def corpus(half: str) -> list[Curve]:
    """The histories that travel in the package."""
    if half in ("others", "public"):
        return [other.curve for other in others(OTHERS if half == "others" else PUBLIC)]
    return [of(recorded) for recorded in load(half)]


def from_folder(folder: Path) -> list[Curve]:
    """A curve of every CSV file in `folder`."""
    found = [logs.read(path) for path in sorted(folder.glob("*.csv"))]
    if not found:
        raise LogError(f"{folder} holds no CSV file; expected a log of training in each")
    return found


def of(history: Recorded) -> Curve:
    """What advice is given of a history: what `advise metrics.csv` would see."""
    columns = history.columns
    return Curve(columns["epoch"], columns["val_loss"], columns["loss"], columns["lr"])


def score(curves: Sequence[Curve], walks: Sequence[Sequence[Advice]]) -> dict[str, Any]:
    """The figures of one operating point: `walks` holds the advice after every row of each history."""
    pairs = list(zip(curves, walks, strict=True))
    ended = [(c, w) for c, w in pairs if np.isfinite(c.val_loss[-1])]
    lost = [w for c, w in pairs if not np.isfinite(c.val_loss[-1])]
    losses = [_raised(c) for c, _ in ended]
    stops = [first_stop(w) for _, w in ended]
    corners = hull.lower_hull(hull.patience_points(losses))
    ours = hull.point("advice", losses, stops)
    costs = [hull.cost(loss, stop) for loss, stop in zip(losses, stops, strict=True)]
    forgone = [hull.regret(loss, stop) > MISSED for loss, stop in zip(losses, stops, strict=True)]
    beside = hull.regret_at(corners, ours.cost)
    return {
        "regret": ours.regret,
        "cost": ours.cost,
        "cost_over_hull_at_equal_regret": ours.cost / hull.cost_at(corners, ours.regret),
        "regret_over_hull_at_equal_cost": ours.regret / beside if beside else float("nan"),
        "epochs_spent_over_needed": sum(stops) / sum(map(hull.needed, losses)),
        "cost_geometric": float(np.exp(np.mean(np.log(costs)))),
        "stops_with_10_percent_ahead": float(np.mean(forgone)),
        **coverage(ended),
        **calibration(ended),
        **rises(ended),
        "diverged_told_unstable": float(np.mean([w[-1].verdict == "unstable" for w in lost])) if lost else None,
    }


def _raised(curve: Curve) -> Floats:
    """Val loss [E], shifted above 0 as advice does it where some of it is below."""
    return curve.val_loss if np.isnan(curve.val_loss).any() else curve.val_loss + shift(curve.val_loss)


def first_stop(walk: Sequence[Advice]) -> int:
    """Rows done at the first stop; all, where there is none."""
    return next((row for row, advice in enumerate(walk, start=1) if advice.stop), len(walk))


def coverage(ended: Sequence[tuple[Curve, Sequence[Advice]]]) -> dict[str, float]:
    """The share of 80% intervals, over all rows of all histories, that held what came."""
    found: dict[str, float] = {}
    for place, epochs in enumerate(AHEAD):
        held = [
            advice.forecast[place].low <= curve.val_loss[row + epochs] <= advice.forecast[place].high
            for curve, walk in ended
            for row, advice in enumerate(walk[: max(0, len(curve) - epochs)])
            if advice.forecast
        ]
        found[f"coverage_{epochs}_ahead"] = float(np.mean(held)) if held else float("nan")
    return found


def calibration(ended: Sequence[tuple[Curve, Sequence[Advice]]]) -> dict[str, float]:
    """How far the probability of a better val loss lies from how often one came, by tenths of the probability."""
    said, came = [], []
    for curve, walk in ended:
        z = np.log(np.maximum(_raised(curve), 1e-12))
        for row, advice in enumerate(walk[:-1]):
            if advice.likely_better is not None:
                said.append(advice.likely_better)
                came.append(z[: row + 1].min() - z.min() > CLOSE)
    told, true = np.array(said), np.array(came)
    tenths = np.minimum((told * 10).astype(int), 9)
    gaps = [abs(told[tenths == k].mean() - true[tenths == k].mean()) for k in range(10) if np.any(tenths == k)]
    return {"calibration_gap": float(np.mean(gaps)) if gaps else float("nan")}


def rises(ended: Sequence[tuple[Curve, Sequence[Advice]]]) -> dict[str, Any]:
    """Precision of the first `overfitting` or `unstable` said, and recall within LATE rows of the best.

    Right is a saying after which val loss never gets below the best so far by more than 1%. A history rose where val
    loss ends (median of five) 20% above its best.
    """
    right, heard = [], []
    for curve, walk in ended:
        loss = _raised(curve)
        said = [row for row, advice in enumerate(walk, start=1) if advice.verdict in ("overfitting", "unstable")]
        if said:
            right.append(loss.min() >= (1 - hull.NEAR) * loss[: said[0]].min())
        best = int(np.argmin(loss)) + 1
        if np.median(loss[-5:]) > RISEN * loss.min():
            heard.append(bool(said) and said[0] <= best + LATE)
    return {
        "rise_said": len(right),
        "rise_precision": float(np.mean(right)) if right else None,
        "rose": len(heard),
        "rise_recall": float(np.mean(heard)) if heard else None,
    }


def default_points() -> tuple[str, ...]:
    """All operating points, the default one first."""
    return tuple(sorted(OPERATING_POINTS, key=lambda name: name != "balanced"))
