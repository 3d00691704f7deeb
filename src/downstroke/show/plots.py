"""Curves for people: one run's loss, accuracy and lr, or several runs overlaid; PNG or SVG.

Figures are matplotlib objects drawn in the house style below, whatever a user's own matplotlibrc says, and
without pyplot, so that nothing here shows up in a notebook's or a server's global state. `report.py` draws
its pictures in the same style.
"""

from __future__ import annotations

import io
import math
import os
import textwrap
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from downstroke.errors import DownstrokeError
from downstroke.history import EpochRow, History, StepRow

INK, MUTED, RULE, PAPER = "#1f2328", "#5f6670", "#d9dce0", "#ffffff"
DPI = 100  # layouts below are in pixels at this resolution; a PNG is written at twice it, for sharp screens
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a run or a class may have a dollar sign in its name
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "figure.dpi": DPI,
    "figure.facecolor": PAPER,
    "savefig.dpi": 2 * DPI,
    "svg.fonttype": "none",  # words stay words: they can be searched, read aloud and copied
    "svg.hashsalt": "downstroke",  # the same history gives the same bytes
}
# Dark and solid against light and dashed: they differ in greyscale too, and for every kind of colour vision.
VAL: dict[str, Any] = {"color": "#0b3c6f", "linestyle": "-", "linewidth": 2.0, "marker": "o", "markersize": 5}
TRAIN: dict[str, Any] = {
    "color": "#d9730d",
    "linestyle": (0, (4, 1.6)),
    "linewidth": 1.6,
    "marker": "s",
    "markersize": 4.5,
    "markerfacecolor": PAPER,
}
BATCH: dict[str, Any] = {"color": "#a9aeb5", "linestyle": "-", "linewidth": 0.9}
LR: dict[str, Any] = {"color": INK, "linestyle": "-", "linewidth": 1.3}
RUN_COLOURS = ("#0b3c6f", "#d9730d", "#009e73", "#cc79a7", "#56b4e9", "#7a5c00", "#6b6f76")
RUN_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
RUN_LINES = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (2, 1.2)))

# matplotlib's rcParams are one for the process, and the studio may draw from several threads.
_LOCK = threading.Lock()

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Label:
    """What stands right of a panel: a sample of the line, and its name with its last value."""

    y: float  # data coordinates of the panel
    text: str
    sample: Mapping[str, Any]
    patch: bool = False


def loss_plot(
    history: History,
    path: Path,
    *,
    title: str = "",
    steps: Sequence[StepRow] = (),
    stopped: str | None = None,
) -> Path:
    """Draw one run: loss (nats), accuracy (percent) and lr (per step) against the epoch; return `path`.

    The format follows the suffix: .png (1800x1200, made to be read at 900x600) or .svg. `steps`, if given,
    adds the lr of every step and the loss of the batches as they were trained on (in the criterion's unit;
    means of neighbouring steps where there are more than 150); without them both are one value an epoch.
    `stopped` says in words why the run ended. A loss axis that spans more than a factor of 10 is
    logarithmic; an accuracy axis that reaches 90% is logarithmic in the errors, so that 99.0% and 99.5% are
    as far apart as they matter. NaN was not measured and is not drawn; the first epoch whose loss is no
    number is marked.

    Raises DownstrokeError where the history has no epoch yet, the suffix is another, or `path` cannot be
    written.
    """
    check_suffix(path)
    if not len(history):
        raise DownstrokeError("nothing to plot yet: no epoch is finished; train for at least one")
    lr_x, lr_y, batch_x, batch_y = _by_step(history, steps)
    accuracy = [v for name in ("accuracy", "val_accuracy") for v in _finite(history.column(name))]
    panels = {"loss": 2.4}
    if accuracy:
        panels["accuracy"] = 1.2
    if np.isfinite(lr_y).any():
        panels["lr"] = 1.0
    with drawing(path, 900, 600) as figure:
        _heading(figure, title or "Loss by epoch", _subtitle(history, stopped))
        axes = _panels(figure, panels, right=150, top=90)
        _loss_panel(axes["loss"], history, batch_x, batch_y)
        if accuracy:
            _accuracy_panel(axes["accuracy"], history, accuracy)
        if "lr" in panels:
            _lr_panel(axes["lr"], lr_x, lr_y, one_per_epoch=not steps)
        _epoch_axis(list(axes.values()), history[0].epoch, max(history[-1].epoch, float(lr_x[-1])))
        _mark_best(list(axes.values()), history)
    return path


def overlay_plot(runs: Mapping[str, History], path: Path) -> Path:
    """Overlay several runs (name -> history): val and train loss (nats), accuracy (percent); return `path`.

    Val is thick with markers, train thin in the same colour; each run is named beside the curves with its
    best val loss. PNG or SVG by suffix. A run without an epoch is named and said to have none.

    Raises DownstrokeError where no run has an epoch yet, the suffix is another, or `path` cannot be written.
    """
    check_suffix(path)
    drawn = {name: history for name, history in runs.items() if len(history)}
    if not drawn:
        raise DownstrokeError("nothing to plot yet: no run has finished an epoch; train one for at least one")
    with_val = any(history.best for history in drawn.values())
    height = max(600, 130 + 22 * len(runs))
    with drawing(path, 900, height) as figure:
        count = f"{len(runs)} runs" if len(runs) > 1 else "one run"
        what = "thick with markers: val · thin: train" if with_val else "train only: nothing was set apart"
        _heading(figure, f"Loss and accuracy of {count}", what)
        accuracy = [v for h in drawn.values() for name in ("accuracy", "val_accuracy") for v in _finite(h.column(name))]
        axes = _panels(figure, {"loss": 1.7, "accuracy": 1.0} if accuracy else {"loss": 1.0}, right=235, top=70)
        losses = [_finite(h.column(name)) for h in drawn.values() for name in ("loss", "val_loss")]
        best = [h.best.val_loss for h in drawn.values() if h.best]
        _scale_loss(axes["loss"], [v for column in losses for v in column], min(best) if best else None)
        if accuracy:
            floor = _scale_accuracy(axes["accuracy"], accuracy)
        for index, (name, history) in enumerate(runs.items()):
            look = _run_look(index)
            train = {"color": look["color"], "linestyle": look["linestyle"], "linewidth": 0.9, "alpha": 0.75}
            if not history.best:  # nothing thick would be left of this run
                train = look
            _curve(axes["loss"], history, "loss", train)
            _curve(axes["loss"], history, "val_loss", look)
            if accuracy:
                _curve(axes["accuracy"], history, "accuracy", train, floor)
                _curve(axes["accuracy"], history, "val_accuracy", look, floor)
            _name_run(figure, index, len(runs), name, history)
        first, last = min(h[0].epoch for h in drawn.values()), max(h[-1].epoch for h in drawn.values())
        _epoch_axis(list(axes.values()), first, last)
    return path


# ---- what the pictures share -----------------------------------------------------------------------------


def check_suffix(path: Path) -> None:
    """Raise DownstrokeError unless `path` ends in .png or .svg (either case)."""
    if path.suffix.lower() not in {".png", ".svg"}:
        raise DownstrokeError(
            f"cannot draw {path.name!r}: the suffix is {path.suffix or 'missing'}; expected .png or .svg"
        )


@contextmanager
def drawing(path: Path, width: float, height: float, scale: float = 2) -> Iterator[Figure]:
    """A figure of `width` x `height` pixels in the house style; at the block's end `path` holds it, whole.

    A PNG has `scale` times as many pixels. Raises DownstrokeError where the file cannot be written.
    """
    with _LOCK, matplotlib.style.context([STYLE], after_reset=True), warnings.catch_warnings():
        # A class named in Chinese is drawn as boxes, as DejaVu Sans lacks it; a warning would help nobody.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing")
        figure = Figure(figsize=(width / DPI, height / DPI))
        FigureCanvasAgg(figure)
        yield figure
        content, suffix = io.BytesIO(), path.suffix.lower().lstrip(".")
        metadata = {"Date": None, "Creator": None} if suffix == "svg" else {"Software": None}
        figure.savefig(content, format=suffix, dpi=scale * DPI, metadata=metadata)
    finished = content.getvalue()
    if suffix == "svg":  # a viewer may lack the font: Verdana is as wide, and anything is better than its serif
        named = b"font-family: 'DejaVu Sans'"
        finished = finished.replace(named, named + b", Verdana, sans-serif")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        try:
            unfinished.write_bytes(finished)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise DownstrokeError(f"cannot write {path}: {error.strerror or error}") from error


def number(value: float) -> str:
    """Three significant digits, as short as they go: 0.0352, 12, 1.5e-4."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{float(f'{value:.3g}'):.10f}".rstrip("0").rstrip(".")
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def percent(value: float) -> str:
    """A share in 0..1 as percent with two decimals; 100% is said of 1 alone, 0% of 0 alone."""
    if value in (0, 1):
        return f"{value:.0%}"
    return f"{100 * min(max(value, 0.00005), 0.9999):.2f}%"


def heading(figure: Figure, title: str, subtitle: str, left: float = 16) -> None:
    """A bold line and a quiet line below it at the top left; `left` in pixels."""
    width, height = figure.get_size_inches() * DPI
    figure.text(left / width, 1 - 14 / height, title, va="top", weight="bold", size=11.5)
    figure.text(left / width, 1 - 36 / height, subtitle, va="top", color=MUTED, size=9)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters; an ellipsis stands for what was cut from the middle."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"


# ---- panels ----------------------------------------------------------------------------------------------


def _heading(figure: Figure, title: str, subtitle: str) -> None:
    heading(figure, shorten(title, 90), textwrap.shorten(subtitle, 130, placeholder=" …"))


def _subtitle(history: History, stopped: str | None) -> str:
    last = history[-1]
    parts = [f"{last.epoch:,} epoch{'s' if last.epoch != 1 else ''}", f"{last.step:,} steps"]
    if math.isfinite(last.elapsed_s):
        parts.append(_duration(last.elapsed_s))
    return " · ".join([*parts, *([f"stopped: {stopped}"] if stopped else [])])


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _panels(figure: Figure, ratios: Mapping[str, float], right: float, top: float) -> dict[str, Axes]:
    """Panels below each other with one epoch axis; `right` and `top` pixels are left for words."""
    width, height = figure.get_size_inches() * DPI
    grid = figure.add_gridspec(
        len(ratios),
        1,
        height_ratios=list(ratios.values()),
        left=84 / width,
        right=1 - right / width,
        top=1 - top / height,
        bottom=52 / height,
        hspace=0.16,
    )
    axes: dict[str, Axes] = {}
    for row, name in enumerate(ratios):
        axes[name] = figure.add_subplot(grid[row], sharex=next(iter(axes.values()), None))
        axes[name].tick_params(labelbottom=row == len(ratios) - 1)
    figure.align_ylabels(list(axes.values()))
    return axes


def _loss_panel(ax: Axes, history: History, batch_x: Floats, batch_y: Floats) -> None:
    train, val = _finite(history.column("loss")), _finite(history.column("val_loss"))
    best, broken = history.best, _first_broken(history)
    batch_seen = [float(v) for v in batch_y if math.isfinite(v)]
    # The batches may raise the axis; their noise must not stretch it far downwards.
    core = train + val or batch_seen
    _scale_loss(ax, core + [v for v in batch_seen if v > 0.5 * min(core)], best.val_loss if best else None)
    labels = []
    if batch_seen:
        ax.plot(batch_x, batch_y, **BATCH, marker="." if len(batch_seen) == 1 else "", zorder=2)
        labels.append(_last_label(ax, "batch", batch_seen[-1], BATCH))
    if best and _overfits(history, best):
        rows = [r for r in history if r.epoch >= best.epoch and math.isfinite(r.val_loss + r.loss)]
        shade: dict[str, Any] = {"facecolor": "#c9cdd3", "alpha": 0.45, "linewidth": 0}
        edges = [r.epoch for r in rows], [r.loss for r in rows], [r.val_loss for r in rows]
        ax.fill_between(*edges, **shade, zorder=1)
        low, high = max(rows[-1].loss, ax.get_ylim()[0]), rows[-1].val_loss
        middle = math.sqrt(low * high) if ax.get_yscale() == "log" else (low + high) / 2
        labels.append(_Label(middle, "overfitting", shade, patch=True))
    for name, column, look in (("train", "loss", TRAIN), ("val", "val_loss", VAL)):
        if (last := _curve(ax, history, column, look)) is not None:
            labels.append(_last_label(ax, name, last, look))
    if broken:
        cross: dict[str, Any] = {"color": "#b00020", "marker": "X", "markersize": 8, "linestyle": ""}
        top = ax.get_ylim()[1]
        ax.plot([broken.epoch], [top], **cross, clip_on=False, zorder=5)
        ax.axvline(broken.epoch, color="#b00020", linewidth=1, linestyle=(0, (1, 1.5)), zorder=1)
        labels.append(_Label(top, "not finite", cross))
    _label_right(ax, labels)


def _last_label(ax: Axes, name: str, last: float, look: Mapping[str, Any]) -> _Label:
    below = last < ax.get_ylim()[0]
    return _Label(max(last, ax.get_ylim()[0]), f"{name} {number(last)}{' ↓' if below else ''}", look)


def _accuracy_panel(ax: Axes, history: History, values: Sequence[float]) -> None:
    floor = _scale_accuracy(ax, values)
    labels = []
    for name, column, look in (("train", "accuracy", TRAIN), ("val", "val_accuracy", VAL)):
        if _curve(ax, history, column, look, floor) is not None:
            last = _finite(history.column(column))[-1]
            labels.append(_Label(min(last, floor), f"{name} {percent(last)}", look))
    _label_right(ax, labels)


def _lr_panel(ax: Axes, x: Floats, y: Floats, *, one_per_epoch: bool) -> None:
    look = {**LR, "marker": "d", "markersize": 3.5, "markevery": _every(len(x))} if one_per_epoch else LR
    ax.plot(x, y, **look)
    seen = y[np.isfinite(y)]
    # Up to a quarter of the steps may be an ending that nears zero (cosine) and asks for no log axis.
    if seen.min() > 0 and seen.max() > 20 * np.quantile(seen, 0.25):
        _log_axis(ax, float(seen.min()), float(seen.max()), 4)
    else:
        top = float(seen.max()) or 1.0
        ax.set_ylim(0, top * 1.25)
        ax.yaxis.set_major_locator(MaxNLocator(3))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v)))
    ax.set_ylabel("lr (per step)")
    _label_right(ax, [_Label(float(seen[-1]), f"lr {number(float(seen[-1]))}", LR)])


def _curve(ax: Axes, history: History, column: str, look: Mapping[str, Any], ceiling: float = math.inf) -> float | None:
    """Draw what was measured of a column, joined where it was not; return its last value, if any."""
    points = [(r.epoch, getattr(r, column)) for r in history if math.isfinite(getattr(r, column))]
    if not points:
        return None
    x, y = zip(*points, strict=True)
    marker: dict[str, Any] = {} if "marker" not in look else {"markevery": _every(len(x))}
    if len(x) == 1 and "marker" not in look:
        marker = {"marker": "."}
    ax.plot(x, np.minimum(y, ceiling), **look, **marker, zorder=3)
    return float(y[-1])


def _mark_best(axes: Sequence[Axes], history: History) -> None:
    """A line through all panels at the lowest val loss, a ring around it, and its value in words above."""
    best = history.best
    if best is None:
        return
    for ax in axes:
        ax.axvline(best.epoch, color=INK, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1.5)
    ring: dict[str, Any] = {
        "marker": "o",
        "markersize": 11,
        "markerfacecolor": "none",
        "markeredgecolor": INK,
    }
    axes[0].plot([best.epoch], [best.val_loss], **ring, linestyle="", clip_on=False, zorder=6)
    words = f"best: epoch {best.epoch}, val loss {number(best.val_loss)}"
    if math.isfinite(best.val_accuracy):
        words += f", val accuracy {percent(best.val_accuracy)}"
    left, right = axes[0].get_xlim()
    share = (best.epoch - left) / (right - left)
    side = "left" if share < 0.3 else "right" if share > 0.7 else "center"
    axes[0].annotate(
        words,
        (best.epoch, 1),
        xycoords=axes[0].get_xaxis_transform(),
        xytext=({"left": -4, "right": 4}.get(side, 0), 7),
        textcoords="offset points",
        ha=side,
        weight="bold",
    )


def _epoch_axis(axes: Sequence[Axes], first: int, last: float) -> None:
    start = 0.0 if first <= 1 else first - 0.5
    axes[-1].set_xlim(start, last + 0.015 * (last - start))
    axes[-1].xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes[-1].set_xlabel("epoch")


def _label_right(ax: Axes, labels: Sequence[_Label]) -> None:
    """Name each line at its end, moving names apart where they would touch: no legend can hide a curve."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    box = ax.get_position()
    width, height = figure.get_size_inches() * DPI * (box.width, box.height)
    wanted = {
        id(label): float(ax.transAxes.inverted().transform(ax.transData.transform((0, label.y)))[1]) for label in labels
    }
    order = sorted(labels, key=lambda label: wanted[id(label)])
    places = _spread([wanted[id(label)] for label in order], 17 / height)
    for label, y in zip(order, places, strict=True):
        x0, x1, text_x = 1 + 10 / width, 1 + 34 / width, 1 + 40 / width
        outside: dict[str, Any] = {"transform": ax.transAxes, "clip_on": False}
        if label.patch:
            ax.add_patch(Rectangle((x0, y - 6 / height), x1 - x0, 12 / height, **label.sample, **outside))
        else:
            xs = [(x0 + x1) / 2] if label.sample["linestyle"] == "" else [x0, (x0 + x1) / 2, x1]
            ax.add_line(Line2D(xs, [y] * len(xs), **label.sample, markevery=[len(xs) // 2], **outside))
        ax.text(text_x, y, label.text, va="center_baseline", **outside)


def _spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions in 0..1 nearest to the (sorted) wanted ones that keep `gap` between neighbours."""
    places = [min(max(y, 0.0), 1.0) for y in wanted]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    ceiling = 1.0
    for i in reversed(range(len(places))):
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - gap
    return places


def _run_look(index: int) -> dict[str, Any]:
    return {
        "color": RUN_COLOURS[index % len(RUN_COLOURS)],
        "linestyle": RUN_LINES[index % len(RUN_LINES)],
        "linewidth": 1.8,
        "marker": RUN_MARKERS[index % len(RUN_MARKERS)],
        "markersize": 5,
    }


def _name_run(figure: Figure, index: int, count: int, name: str, history: History) -> None:
    width, height = figure.get_size_inches() * DPI
    pitch = 42 if count <= 10 else 22  # two lines a run, or one where there are many
    x, y = width - 222, height - 82 - pitch * index
    xs, ys = np.array([x, x + 15, x + 30]) / width, np.full(3, y / height)
    figure.add_artist(Line2D(xs, ys, **_run_look(index), markevery=[1]))
    best = history.best
    if best:
        told = f"best val {number(best.val_loss)}, epoch {best.epoch}"
    elif train := _finite(history.column("loss")):
        told = f"no val; train {number(train[-1])}"
    else:
        told = "no finite loss" if len(history) else "no epoch finished yet"
    limit = 21
    if count > 10:
        told = number(best.val_loss) if best else "no val" if len(history) else "no epoch"
        limit = 24 - len(told)
    name_text = shorten(name, limit)
    if count > 10 and index == 0:
        figure.text(1 - 8 / width, (y + 20) / height, "best val loss", color=MUTED, ha="right", size=8.5)
    text: dict[str, Any] = {"va": "center_baseline", "size": 9}
    figure.text((x + 38) / width, y / height, name_text, weight="bold" if count <= 10 else "normal", **text)
    if count <= 10:
        figure.text((x + 38) / width, (y - 16) / height, told, color=MUTED, **text)
    else:
        figure.text(1 - 8 / width, y / height, told, color=MUTED, ha="right", **text)


# ---- scales ----------------------------------------------------------------------------------------------


def _scale_loss(ax: Axes, values: Sequence[float], best_val: float | None) -> None:
    """Logarithmic where the losses span more than a factor of 10; else from zero, unless they barely move."""
    ax.set_ylabel("loss (nats, mean over images)")
    if not values:
        ax.set_ylim(0, 1)
        ax.set_yticks([])
        ax.text(0.5, 0.5, "no finite loss was recorded", transform=ax.transAxes, ha="center", color=MUTED)
        return
    low, high = min(values), max(values)
    positive = [v for v in values if v > 0]
    if low >= 0 and positive and high > 10 * low:
        # A train loss may fall to 1e-9. Below a thousandth of the best val loss it leaves the picture, so
        # that the val curve keeps room to be read; its name at the right still tells its value.
        bottom = max(min(positive), (best_val or 0) / 1000)
        _log_axis(ax, bottom, min(high, 1e15 * bottom), 6)
        return
    pad = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    ax.set_ylim(0 if 0 <= low < high / 1.5 else low - pad, high + pad)
    ax.yaxis.set_major_locator(MaxNLocator(6))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v)))


def _scale_accuracy(ax: Axes, values: Sequence[float]) -> float:
    """Set the accuracy axis (0..1, ticks in percent); return the highest value that can be drawn on it."""
    low, high = min(values), max(values)
    if high < 0.9:
        pad = 0.1 * (high - low) or 0.05
        ax.set_ylim(max(low - pad, 0), min(high + pad, 1))
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:g}"))
        ax.set_ylabel("accuracy (%)")
        return 1.0
    errors = [1 - v for v in values if v < 1]
    floor = 1.0
    if high >= 1:  # a log axis has no 100%: one third of the fewest errors seen stands for none
        floor = 1 - min(errors, default=0.03) / 3
        errors.append(1 - floor)
    least, most = min(errors), min(max(errors), 1.0)
    # At least a factor of two, with a margin, so that there are round numbers to write beside the axis.
    pad = max((most / least) ** 0.12, math.sqrt(2.5 * least / most))
    ax.set_yscale("function", functions=(_minus_log_errors, _undo_minus_log_errors))
    ax.set_ylim(1 - most * pad, 1 - least / pad)
    ticks = [1 - e for e in _log_ticks(least / pad, most * pad, 5, (1, 5))]
    if floor < 1:
        ticks = [t for t in ticks if (1 - t) > 2 * (1 - floor)] + [floor]
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(
        FuncFormatter(lambda v, _: "100" if floor < 1 and v >= floor else f"{round(100 * v, 6):g}")
    )
    ax.set_ylabel("accuracy (%)")
    return floor


def _minus_log_errors(accuracy: Floats) -> Floats:
    return -np.log10(np.maximum(1 - np.asarray(accuracy, dtype=np.float64), 1e-12))


def _undo_minus_log_errors(value: Floats) -> Floats:
    return 1 - 10 ** -np.asarray(value, dtype=np.float64)


def _log_axis(ax: Axes, low: float, high: float, most_ticks: int) -> None:
    low, high = min(max(low, 1e-280), 1e280), min(high, 1e280)  # so that nothing below overflows
    pad = (high / low) ** 0.06 if high > low else 1.5
    ax.set_yscale("log")
    ax.set_ylim(low / pad, high * pad)
    ax.yaxis.set_major_locator(FixedLocator(_log_ticks(low / pad, high * pad, most_ticks)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v)))


def _log_ticks(low: float, high: float, most: int, few: tuple[int, ...] = (1, 3)) -> list[float]:
    """At most `most` round numbers in low..high: multiples of 1, 2, 5, else of `few`, else powers of ten."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 5), few, (1,)):
        ticks = [t for d in decades for n in digits if low <= (t := float(f"{n}e{d}")) <= high]
        if 2 <= len(ticks) <= most:
            return ticks
    if len(ticks) > most:
        return ticks[:: math.ceil(len(ticks) / most)]
    return [float(t) for t in MaxNLocator(most - 1).tick_values(low, high) if low <= t <= high]


# ---- numbers ---------------------------------------------------------------------------------------------


def _finite(values: Iterable[float]) -> list[float]:
    return [v for v in values if math.isfinite(v)]


def _every(count: int) -> int:
    """Mark every n-th point: all of a short run, about 15 of a long one."""
    return 1 if count <= 30 else round(count / 15)


def _first_broken(history: History) -> EpochRow | None:
    """The first epoch whose loss is no number; a train loss that is NaN from the start was not measured."""
    measured = False
    for row in history:
        losses = (row.loss, row.batch_loss, row.val_loss)
        nothing = not any(math.isfinite(v) for v in losses)
        if any(math.isinf(v) for v in losses) or nothing or (measured and math.isnan(row.loss)):
            return row
        measured = measured or math.isfinite(row.loss)
    return None


def _overfits(history: History, best: EpochRow) -> bool:
    """Whether val ended (mean of up to 3 epochs) clearly above its best, and train below its value then."""
    after = [r for r in history if r.epoch > best.epoch and math.isfinite(r.val_loss + r.loss)]
    tail = after[-3:]
    if len(tail) < 2 or not math.isfinite(best.loss):
        return False
    val, train = (sum(v) / len(tail) for v in ([r.val_loss for r in tail], [r.loss for r in tail]))
    return val > 1.05 * best.val_loss and train < best.loss


def _by_step(history: History, steps: Sequence[StepRow]) -> tuple[Floats, Floats, Floats, Floats]:
    """x (epochs) and y of the lr, then x and y of the batch loss, thinned to what a picture can show.

    Without steps: a value an epoch, the batch loss in the middle of its epoch, of which it is the mean.
    """
    epoch = np.array(history.column("epoch"))
    if not steps:
        return epoch, np.array(history.column("lr")), epoch - 0.5, np.array(history.column("batch_loss"))
    at = np.array([row.step for row in steps], dtype=np.float64)
    ends = np.array(history.column("step"))
    begin = epoch[0] - 1, ends[0] - ends[0] / max(epoch[0], 1)
    ends, kept = np.unique(np.concatenate([[begin[1]], ends]), return_index=True)
    epochs = np.concatenate([[begin[0]], epoch])[kept]
    x = np.interp(at, ends, epochs)
    if len(ends) > 1:  # steps of an epoch that is not finished yet
        pace = (epochs[-1] - epochs[-2]) / (ends[-1] - ends[-2])
        x = np.where(at > ends[-1], epochs[-1] + (at - ends[-1]) * pace, x)
    lr = np.array([row.lr for row in steps])
    thin = np.unique(np.linspace(0, len(x) - 1, min(len(x), 1500)).round().astype(np.int64))
    batch = np.array([row.batch_loss for row in steps])
    bins = np.array_split(np.arange(len(x)), min(len(x), 150))
    with np.errstate(over="ignore"):
        means = [float(np.mean(ok)) if len(ok := batch[b][np.isfinite(batch[b])]) else math.nan for b in bins]
    return x[thin], lr[thin], np.array([x[b].mean() for b in bins]), np.array(means)
