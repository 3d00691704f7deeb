"""The range test as a picture: the loss against lr, and the lr that is suggested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from downstroke.errors import counted
from downstroke.learning.range_test import RangeTest
from downstroke.show.style import BATCH, INK, VAL, check_suffix, drawing, heading, number, scale_loss


def range_plot(found: RangeTest, path: Path, *, title: str = "Learning-rate range test") -> Path:
    """Draw the sweep: the loss of each batch and the smoothed loss against lr (logarithmic); return `path`.

    PNG or SVG by suffix. Raises DownstrokeError where the suffix is another or `path` cannot be written.
    """
    check_suffix(path)
    with drawing(path, 900, 480) as figure:
        heading(figure, title, f"{counted(len(found.lr), 'step')}, lr rising at each · thin: a batch · thick: smoothed")
        ax = figure.add_axes((84 / 900, 52 / 480, 780 / 900, 348 / 480))
        # What follows the explosion must not flatten what comes before it.
        ceiling = 1.3 * float(found.smoothed[: int(found.smoothed.argmin()) + 1].max())
        scale_loss(ax, [v for v in found.smoothed.tolist() if v <= ceiling] + [ceiling], None)
        ax.set_ylabel("loss (the criterion, mean over a batch)")
        ax.set_xscale("log")
        ax.set_xlim(_begin(found), float(found.lr[-1]))
        ax.xaxis.set_major_formatter(lambda value, _: number(value))
        ax.set_xlabel("lr (per step)")
        ax.plot(found.lr, found.loss, **BATCH, zorder=2)
        ax.plot(found.lr, found.smoothed, color=VAL["color"], linewidth=2, zorder=3)
        ax.axvline(found.suggestion, color=INK, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1.5)
        at = float(np.interp(np.log(found.suggestion), np.log(found.lr), found.smoothed))
        ring: dict[str, Any] = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "markeredgecolor": INK}
        ax.plot([found.suggestion], [at], **ring, linestyle="", zorder=6)
        words, place = f"suggested: {number(found.suggestion)}", (found.suggestion, 1)
        above: dict[str, Any] = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points", "ha": "center"}
        ax.annotate(words, place, xytext=(0, 7), weight="bold", **above)
    return path


def _begin(found: RangeTest) -> float:
    """Where the picture begins: half a decade before the loss has fallen by a fiftieth; below it nothing happens."""
    falls = found.smoothed < 0.98 * found.smoothed[0]
    first = float(found.lr[falls.argmax()]) if falls.any() else float(found.lr[0])
    return max(min(first, found.suggestion) / 3, float(found.lr[0]))
