"""The numbers behind the curves: what was measured, where it broke, when it overfits, and the steps thinned.

Nothing is drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from downstroke.history import EpochRow, History, StepRow

Floats = NDArray[np.float64]


def measured(history: History, *columns: str) -> list[float]:
    """The finite values of the columns, one column after the other."""
    return [value for name in columns for value in history.column(name) if math.isfinite(value)]


def first_broken(history: History) -> EpochRow | None:
    """The first epoch whose loss is not a number; a train loss that is NaN from the start was not measured."""
    known = False
    for row in history:
        losses = (row.loss, row.batch_loss, row.val_loss)
        nothing = not any(math.isfinite(v) for v in losses)
        if any(math.isinf(v) for v in losses) or nothing or (known and math.isnan(row.loss)):
            return row
        known = known or math.isfinite(row.loss)
    return None


def overfits(history: History, best: EpochRow) -> bool:
    """Whether val ended (mean of up to 3 epochs) clearly above its best, and train below its value then."""
    after = [r for r in history if r.epoch > best.epoch and math.isfinite(r.val_loss + r.loss)]
    tail = after[-3:]
    if len(tail) < 2 or not math.isfinite(best.loss):
        return False
    val, train = (sum(v) / len(tail) for v in ([r.val_loss for r in tail], [r.loss for r in tail]))
    return val > 1.05 * best.val_loss and train < best.loss


def another_quantity(history: History) -> bool:
    """Whether the batch loss cannot be meant to be near the cross-entropy of the same images: ten times it, at the end.

    With smoothed labels the criterion stays far above zero however well the images are read.
    """
    last = history[-1]
    return last.loss > 0 and last.batch_loss > 10 * last.loss


def by_step(history: History, steps: Sequence[StepRow]) -> tuple[Floats, Floats, Floats, Floats]:
    """x (epochs) and y of the lr, then x and y of the batch loss, thinned to what a picture can show.

    Without steps: one value per epoch, the batch loss in the middle of its epoch, of which it is the mean.
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
