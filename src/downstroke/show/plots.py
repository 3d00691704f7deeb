"""Curves for people: one run's loss, accuracy and lr, or several runs overlaid; PNG or SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from downstroke.errors import DownstrokeError, counted
from downstroke.history import History, StepRow
from downstroke.show.curves import Floats, another_quantity, by_step, first_broken, measured, overfits
from downstroke.show.style import (
    BATCH,
    DPI,
    INK,
    LR,
    MUTED,
    TRAIN,
    VAL,
    check_suffix,
    drawing,
    heading,
    loss_text,
    number,
    percent,
    run_look,
    scale_accuracy,
    scale_loss,
    scale_lr,
    shorten,
)


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
    smoothed: bool = False,
) -> Path:
    """Draw one run: loss (nats), accuracy (percent) and lr (per step) against the epoch; return `path`.

    The format follows the suffix: .png (1800x1200, made to be read at 900x600) or .svg. `steps`, if given,
    adds the lr of every step and the loss of the batches as they came (in the criterion's unit;
    means of neighbouring steps where there are more than 150); without them both are one value per epoch.
    Batch losses far from the cross-entropy have a panel of their own (and the picture 120 pixels more): those of
    smoothed labels (`smoothed`), or of another criterion. `stopped` says in words why the run ended. A loss axis that
    spans more than a factor of 10 is logarithmic; the accuracy axis is logarithmic in the errors
    (`style.scale_accuracy`). NaN (not measured) is not drawn; the first epoch with a loss that is not finite is marked.

    Raises DownstrokeError where the history has no epoch yet, the suffix is another, or `path` cannot be
    written.
    """
    check_suffix(path)
    if not len(history):
        raise DownstrokeError("nothing to plot yet: no epoch is finished; train for at least one")
    lr_x, lr_y, batch_x, batch_y = by_step(history, steps)
    apart = (smoothed or another_quantity(history)) and bool(np.isfinite(batch_y).any())
    within = np.full_like(batch_y, np.nan) if apart else batch_y
    accuracy = measured(history, "accuracy", "val_accuracy")
    panels = {"loss": 2.4} | ({"batch": 1.0} if apart else {})
    if accuracy:
        panels["accuracy"] = 1.2
    if np.isfinite(lr_y).any():
        panels["lr"] = 1.0
    what = "label smoothing" if smoothed else "what the criterion adds to the loss"
    with drawing(path, 900, 720 if apart else 600) as figure:
        note = f" · the batch loss includes {what}" if apart else ""
        heading(figure, title or "Loss by epoch", _subtitle(history, stopped) + note)
        axes = _panels(figure, panels, right=150, top=90)
        _loss_panel(axes["loss"], history, batch_x, within)
        if apart:
            _batch_panel(axes["batch"], batch_x, batch_y)
        if accuracy:
            _accuracy_panel(axes["accuracy"], history, accuracy)
        if "lr" in panels:
            _lr_panel(axes["lr"], lr_x, lr_y, one_per_epoch=not steps)
        _epoch_axis(list(axes.values()), history[0].epoch, max(history[-1].epoch, float(lr_x[-1])))
        _mark_best(list(axes.values()), history)
    return path


def overlay_plot(
    runs: Mapping[str, History],
    path: Path,
    *,
    noise: Mapping[str, Mapping[int, float]] = MappingProxyType({}),
    shared: bool = True,
) -> Path:
    """Overlay several runs (name -> history): val and train loss (nats), accuracy (percent); return `path`.

    `noise`: name -> epoch -> standard error of the val loss, drawn as a band around it. `shared`: whether all runs have
    the same val images; where they have not, that is said.

    Val and train have a panel each: where train falls to nothing, runs that differ in val would else lie on one line.
    Accuracy is of val; of train for a run without val. Each run is named beside the curves with its best val loss. PNG
    or SVG by suffix. A run without an epoch is named and said to have none.

    Raises DownstrokeError where no run has an epoch yet, the suffix is another, or `path` cannot be written.
    """
    check_suffix(path)
    drawn = {name: history for name, history in runs.items() if len(history)}
    if not drawn:
        raise DownstrokeError("nothing to plot yet: no run has finished an epoch; train one for at least one")
    best = [history.best.val_loss for history in drawn.values() if history.best]
    train = [v for history in drawn.values() for v in measured(history, "loss")]
    accuracy = {name: "val_accuracy" if history.best else "accuracy" for name, history in drawn.items()}
    reached = [v for name, history in drawn.items() for v in measured(history, accuracy[name])]
    with drawing(path, 900, max(700, 130 + 22 * len(runs))) as figure:
        count = counted(len(runs), "run")
        heading(figure, f"Loss and accuracy of {count}", _overlay_subtitle(bool(best), noise, shared))
        panels = {"val": 1.7} if best else {}
        panels |= {"train": 0.9} if train or not best else {}
        panels |= {"accuracy": 0.9} if reached else {}
        axes = _panels(figure, panels, right=235, top=70)
        if best:
            losses = [v for history in drawn.values() for v in measured(history, "val_loss")]
            for name, history in drawn.items():  # room for the bands, but a wide one does not flatten the curves
                _, low, high = _band(history, noise.get(name, {}))
                losses += [max(v, min(best) / 2) for v in low + high]
            scale_loss(axes["val"], losses, min(best), log_from=2)
            axes["val"].set_ylabel("val loss (nats)")
        if "train" in axes:
            scale_loss(axes["train"], train, min(best, default=None))
            axes["train"].set_ylabel("train loss (nats)")
        floor = scale_accuracy(axes["accuracy"], reached) if reached else 1.0
        for index, (name, history) in enumerate(runs.items()):
            look = run_look(index)
            if best:
                axes["val"].fill_between(
                    *_band(history, noise.get(name, {})), color=look["color"], alpha=0.2, linewidth=0, zorder=2
                )
                _curve(axes["val"], history, "val_loss", look)
            if "train" in axes:
                _curve(axes["train"], history, "loss", {**look, "linewidth": 1.2, "markersize": 3.5})
            if reached:
                _curve(axes["accuracy"], history, accuracy.get(name, "accuracy"), look, floor)
            _name_run(figure, index, len(runs), name, history)
        first, last = min(h[0].epoch for h in drawn.values()), max(h[-1].epoch for h in drawn.values())
        _epoch_axis(list(axes.values()), first, last)
    return path


# ---- panels ----------------------------------------------------------------------------------------------


def _overlay_subtitle(val: bool, noise: Mapping[str, Mapping[int, float]], shared: bool) -> str:
    if not val:
        return "train only: nothing was set apart"
    parts = ["accuracy is of val"]
    if any(noise.values()):
        parts.append("band: ± one standard error of the val loss, paired over the val images")
    if not shared:
        parts.append("the runs have not all the same val images")
    return " · ".join(parts)


def _subtitle(history: History, stopped: str | None) -> str:
    last = history[-1]
    parts = [counted(last.epoch, "epoch"), counted(last.step, "step")]
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
    best, broken = history.best, first_broken(history)
    batch_seen = batch_y[np.isfinite(batch_y)].tolist()
    # The batches may raise the axis; their noise must not stretch it far downwards.
    core = measured(history, "loss", "val_loss") or batch_seen
    scale_loss(ax, core + [v for v in batch_seen if v > 0.5 * min(core)], best.val_loss if best else None)
    labels = []
    if batch_seen:
        ax.plot(batch_x, batch_y, **BATCH, marker="." if len(batch_seen) == 1 else "", zorder=2)
        labels.append(_last_label(ax, "batch", batch_seen[-1], BATCH))
    if best and overfits(history, best):
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


def _batch_panel(ax: Axes, x: Floats, y: Floats) -> None:
    """The loss of the batches alone, where it is not a loss to compare with those of train and val."""
    seen = y[np.isfinite(y)].tolist()
    scale_loss(ax, seen, None)
    if ax.get_yscale() == "linear":
        ax.yaxis.set_major_locator(MaxNLocator(3))
    ax.set_ylabel("batch loss (nats)")
    ax.plot(x, y, **BATCH, marker="." if len(seen) == 1 else "")
    _label_right(ax, [_last_label(ax, "batch", seen[-1], BATCH)])


def _last_label(ax: Axes, name: str, last: float, look: Mapping[str, Any]) -> _Label:
    below = last < ax.get_ylim()[0]
    return _Label(max(last, ax.get_ylim()[0]), f"{name} {loss_text(last)}{' ↓' if below else ''}", look)


def _accuracy_panel(ax: Axes, history: History, values: Sequence[float]) -> None:
    floor = scale_accuracy(ax, values)
    labels = []
    for name, column, look in (("train", "accuracy", TRAIN), ("val", "val_accuracy", VAL)):
        if (last := _curve(ax, history, column, look, floor)) is not None:
            labels.append(_Label(min(last, floor), f"{name} {percent(last)}", look))
    _label_right(ax, labels)


def _lr_panel(ax: Axes, x: Floats, y: Floats, *, one_per_epoch: bool) -> None:
    look = {**LR, "marker": "d", "markersize": 3.5, "markevery": _every(len(x))} if one_per_epoch else LR
    ax.plot(x, y, **look)
    seen = y[np.isfinite(y)]
    scale_lr(ax, seen)
    _label_right(ax, [_Label(float(seen[-1]), f"lr {number(float(seen[-1]))}", LR)])


def _curve(ax: Axes, history: History, column: str, look: Mapping[str, Any], ceiling: float = math.inf) -> float | None:
    """Draw what was measured of a column, joined where it was not; return its last value, if any."""
    points = [(r.epoch, getattr(r, column)) for r in history if math.isfinite(getattr(r, column))]
    if not points:
        return None
    x, y = zip(*points, strict=True)
    marker: dict[str, Any] = {}
    if "marker" in look:
        marker = {"markevery": _every(len(x))}
    elif len(x) == 1:
        marker = {"marker": "."}
    ax.plot(x, np.minimum(y, ceiling), **look, **marker, zorder=3)
    return float(y[-1])


def _band(history: History, noise: Mapping[int, float]) -> tuple[list[int], list[float], list[float]]:
    """Epochs, and the val loss less and plus its noise, where that is known."""
    rows = [row for row in history if row.epoch in noise and math.isfinite(row.val_loss)]
    low, high = ([row.val_loss + sign * noise[row.epoch] for row in rows] for sign in (-1, 1))
    return [row.epoch for row in rows], low, high


def _every(count: int) -> int:
    """Mark every n-th point: all of a short run, about 15 of a long one."""
    return 1 if count <= 30 else round(count / 15)


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
    words = f"best: epoch {best.epoch}, val loss {loss_text(best.val_loss)}"
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
    to_axes = ax.transData - ax.transAxes
    order = sorted(((float(to_axes.transform((0, label.y))[1]), label) for label in labels), key=itemgetter(0))
    places = _spread([wanted for wanted, _ in order], 17 / height)
    x0, x1, text_x = 1 + 10 / width, 1 + 34 / width, 1 + 40 / width
    outside: dict[str, Any] = {"transform": ax.transAxes, "clip_on": False}
    for (_, label), y in zip(order, places, strict=True):
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


def _name_run(figure: Figure, index: int, count: int, name: str, history: History) -> None:
    width, height = figure.get_size_inches() * DPI
    pitch = 42 if count <= 10 else 22  # two lines a run, or one where there are many
    x, y = width - 222, height - 82 - pitch * index
    xs, ys = np.array([x, x + 15, x + 30]) / width, np.full(3, y / height)
    figure.add_artist(Line2D(xs, ys, **run_look(index), markevery=[1]))
    best = history.best
    if best:
        told = f"best val {loss_text(best.val_loss)}, epoch {best.epoch}"
    elif train := measured(history, "loss"):
        told = f"no val; train {loss_text(train[-1])}"
    else:
        told = "no finite loss" if len(history) else "no epoch finished yet"
    limit = 21
    if count > 10:
        told = loss_text(best.val_loss) if best else "no val" if len(history) else "no epoch"
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
