"""Pictures of logs: the curves of any program's trainings, with what is forecast shaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from downstroke.advice.curve import Curve
from downstroke.advice.verdict import Advice, advise
from downstroke.errors import counted
from downstroke.show.style import (
    MUTED,
    TRAIN,
    VAL,
    check_suffix,
    drawing,
    heading,
    loss_text,
    run_look,
    scale_loss,
    shorten,
)

MARKED = 60  # rows from which no row has a marker
LONGEST = 22  # characters of a log's name


def plot_logs(curves: Mapping[str, Curve], path: Path) -> Path:
    """Draw val loss (and training loss, of a single log) against the epoch, the 80% forecast shaded; return `path`.

    PNG or SVG by suffix. A loss that is not a number is not drawn. Raises DownstrokeError for another suffix, or where
    `path` cannot be written.
    """
    check_suffix(path)
    names, single = list(curves), len(curves) == 1
    with drawing(path, 900, 500) as figure:
        title = Path(names[0]).name if single else counted(len(curves), "log")
        told = dict(zip(names, _apart(names), strict=True))
        said = {name: advise(curve) for name, curve in curves.items()}
        subtitle = said[names[0]].reason if single else "val loss · shaded: the 80% interval of the forecast"
        heading(figure, f"Loss of {title}", subtitle)
        margin = 250 if single else 350  # of both sides together: names stand on the right
        ax = figure.add_axes((84 / 900, 56 / 500, 1 - margin / 900, 1 - 130 / 500))
        values: list[float] = []
        for index, (name, curve) in enumerate(curves.items()):
            look = VAL if single else {**run_look(index), "linewidth": 1.6, "markersize": 4}
            if single and curve.loss is not None:
                values += _curve(ax, curve, curve.loss, TRAIN, "train")
            label = "val" if single else shorten(told[name], LONGEST)
            values += _curve(ax, curve, curve.val_loss, look, label)
            values += _forecast(ax, curve, said[name], look["color"])
        best = min((held.best_val_loss for held in said.values() if held.best_val_loss is not None), default=None)
        if min(values, default=0.0) >= 0:
            scale_loss(ax, values, best)
        ax.set_ylabel("loss")
        ax.set_xlabel(" or ".join(dict.fromkeys(curve.unit for curve in curves.values())))
        low, high = ax.get_xlim()
        if high - low < 1:  # of a single row: no ticks between epochs
            ax.set_xlim(low - 0.5, high + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, labelcolor=MUTED)
    return path


def _apart(paths: Sequence[str]) -> list[str]:
    """The last parts of each path, as many as tell them all apart."""
    parts = [Path(path).parts for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(held[-count:]) for held in parts]
        if len(set(names)) == len(names):
            return names
    return list(paths)


def _curve(ax: Axes, curve: Curve, values: Any, look: Mapping[str, Any], name: str) -> list[float]:
    """The values that were drawn."""
    held = np.where(np.isfinite(values), values, np.nan)
    drawn: list[float] = held[np.isfinite(held)].tolist()
    last = f" {loss_text(drawn[-1])}" if drawn else " (no number)"
    marker = {} if len(curve) <= MARKED else {"marker": ""}
    ax.plot(curve.epoch, held, **{**look, **marker}, label=f"{name}{last}")
    return drawn


def _forecast(ax: Axes, curve: Curve, said: Advice, colour: str) -> list[float]:
    """The 80% interval as a band from the last row on; its edges, where there is one."""
    if not said.forecast:
        return []
    at = [float(curve.epoch[-1]), *(curve.epoch[-1] + curve.spacing * held.epochs for held in said.forecast)]
    low = [float(curve.val_loss[-1]), *(held.low for held in said.forecast)]
    high = [float(curve.val_loss[-1]), *(held.high for held in said.forecast)]
    ax.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    ax.plot(at, [low[0], *(held.val_loss for held in said.forecast)], color=colour, linestyle=":", linewidth=1.2)
    return [value for value in (*low, *high) if math.isfinite(value)]
