"""What is known of a run, an epoch a row: its losses, its lr, and how noisy they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: lr below this share of the epoch before is a drop: the loss begins a new leg there.
DROP = 0.75
SPENT = 1.001e-3  # lr below this share of its largest moves nothing any more
ROUNDED = 1e-6  # relative noise below it is that of the digits logged
FLOORED = 6  # rows from which a half cosine to a floor is told
MEASURABLE = 8  # rows from which the noise is told


@dataclass(frozen=True)
class Curve:
    """A history as advice sees it; rows are in order."""

    epoch: Floats  # [E] epochs done (1, 2, ...); gaps are allowed, and said
    val_loss: Floats  # [E] may hold nan and inf
    loss: Floats | None = None  # [E] training loss, in evaluation mode if known
    lr: Floats | None = None  # [E]
    val_images: int | None = None  # how many images val has, if known
    val_losses: Mapping[int, NDArray[np.floating]] | None = None  # epoch -> loss of each val image [N], recent epochs

    classes: int | None = None  # where val loss is known to be the cross-entropy among so many
    unit: str = "epoch"  # what the rows are counted in: epoch or evaluation
    step: Floats | None = None  # [E] the step of each row, where the log has it
    horizon: float | None = None  # the epoch at which the run's own schedule ends, if it does

    def first(self, rows: int) -> Curve:
        """The history as it was when it had so many rows."""
        seen = None if self.val_losses is None else {e: v for e, v in self.val_losses.items() if e in self.epoch[:rows]}
        return replace(
            self,
            epoch=self.epoch[:rows],
            val_loss=self.val_loss[:rows],
            loss=None if self.loss is None else self.loss[:rows],
            lr=None if self.lr is None else self.lr[:rows],
            step=None if self.step is None else self.step[:rows],
            val_losses=seen,
        )

    def last(self, rows: int) -> Curve:
        """Its last rows alone."""
        return replace(
            self,
            epoch=self.epoch[-rows:],
            val_loss=self.val_loss[-rows:],
            loss=None if self.loss is None else self.loss[-rows:],
            lr=None if self.lr is None else self.lr[-rows:],
        )

    def __len__(self) -> int:
        return len(self.epoch)

    @property
    def spacing(self) -> float:
        """Epochs from one row to the next, as a rule."""
        return float(np.median(np.diff(self.epoch))) if len(self) > 1 else 1.0

    @property
    def known_lr(self) -> Floats | None:
        """lr, a row without it that of the row before; a 0 is a very small lr.

        None where half the rows have none, where one is below 0, or where none is above.
        """
        if self.lr is None:
            return None
        there = np.flatnonzero(np.isfinite(self.lr))
        if 2 * len(there) <= len(self) or self.lr[there].min() < 0 or self.lr[there].max() == 0:
            return None
        before = np.maximum(np.searchsorted(there, np.arange(len(self)), side="right") - 1, 0)
        known: Floats = np.maximum(self.lr[there[before]], 1e-4 * self.lr[there].max())
        return known

    @property
    def guess(self) -> float | None:
        """What naming each class equally often costs, in nats; None where the loss is not known to be cross-entropy."""
        return None if self.classes is None else float(np.log(self.classes))

    @property
    def ended(self) -> bool:
        """Whether the run's own schedule has come to its end."""
        return self.horizon is not None and bool(self.epoch[-1] >= self.horizon)

    @property
    def spent(self) -> bool:
        """Whether the schedule has brought lr so far down that nothing changes any more, or to its end."""
        lr = self.known_lr
        if lr is None or len(lr) < 2:
            return False
        ends = lr_ahead(self.epoch, lr, 1).ends
        return bool(lr[-1] <= SPENT * lr.max()) or (ends is not None and bool(self.epoch[-1] >= ends - 0.5))

    @property
    def noise(self) -> float | None:
        """How far val loss strays from epoch to epoch, in its own units, measured on the last 20 rows alone.

        The standard deviation of a row around the straight line through its neighbours, by the middle half of their
        distances: no single spike moves it far. None where the rows are too few to tell, not all above 0, or all on
        one line.
        """
        recent = self.val_loss[-20:]
        if len(recent) < MEASURABLE or not np.all(np.isfinite(recent)) or recent.min() <= 0:
            return None
        bends = np.sort(np.abs(np.diff(np.log(recent), 2)))
        middle = bends[len(bends) // 4 : len(bends) - len(bends) // 4]
        # Of a standard normal, the middle half of the distances from 0 has the mean 0.693.
        relative = float(middle.mean()) / (0.693 * 6**0.5)
        return relative * float(np.median(recent[-10:])) if relative > ROUNDED else None

    @property
    def drops(self) -> Floats:
        """The epochs that began with a sudden fall of lr, [D]: each begins a new leg."""
        lr = self.known_lr
        if lr is None or len(lr) < 2:
            return np.zeros(0)
        falls = lr[1:] < DROP * lr[:-1]
        # A fall at every epoch is a fast decay, not a drop.
        sudden = falls & ~np.concatenate([[False], falls[:-1]])
        drops: Floats = self.epoch[1:][sudden]
        return drops


@dataclass(frozen=True)
class LrAhead:
    """Where lr goes if its schedule is what it looks like."""

    lr: Floats  # [M] of the next epochs
    ends: float | None  # the epoch at which a straight line or a half cosine reaches its lowest


def lr_ahead(epoch: Floats, lr: Floats, ahead: int) -> LrAhead:
    """Recognise the schedule in lr [E] > 0 at `epoch` [E], and continue it for `ahead` epochs.

    Since its peak, lr may follow a straight line to 0, or half a cosine to 0 or to a floor: the one that misses the
    least, if it misses by a thousandth at most. Else it goes on by its factor where that is steady, and stays where it
    is not.
    """
    future = epoch[-1] + np.arange(1, ahead + 1)
    if len(lr) < 3 or lr[-1] >= lr[-2] * (1 - 1e-6):
        return LrAhead(np.full(ahead, lr[-1]), None)
    factors = lr[-2:] / lr[-3:-1]
    factor = factors[1] if abs(factors[1] - factors[0]) < 0.05 else 1.0
    found = LrAhead(lr[-1] * factor ** np.arange(1, ahead + 1), None)
    peak = len(lr) - 1 - int(np.argmax(lr[::-1]))
    thin = np.unique(np.linspace(peak, len(lr) - 1, 16).round().astype(int))
    t, x = epoch[thin], lr[thin]
    if len(t) < 4:
        return found
    # The logged lr may be of an epoch's first step, its middle or its last.
    begins = (t[0] - np.array([0.0, 0.5, 1.0]))[:, None]
    spans = np.concatenate([np.arange(t[-1] - t[0] + 1, 130.0), (t[-1] - t[0] + 130) * 1.03 ** np.arange(60)])
    least = 1e-3
    for shape, floored in ((_line, False), (_half_cosine, False), (_half_cosine, True)):
        if floored and (len(t) < FLOORED or least < 1e-3):
            continue
        s = shape((t - begins[..., None]) / spans[:, None])  # [begins, spans, rows]
        middle = s.mean(-1, keepdims=True) if floored else 0.0
        height = ((s - middle) * x).sum(-1) / np.maximum(((s - middle) ** 2).sum(-1), 1e-12)
        floor = x.mean() - height * s.mean(-1) if floored else np.zeros_like(height)
        misses = np.abs(height[..., None] * s + floor[..., None] - x).max(-1) / x[0]
        misses[(floor < 0) | (height <= 0)] = np.inf
        b, k = np.unravel_index(np.argmin(misses), misses.shape)
        if misses[b, k] < least:
            least, begin, span = float(misses[b, k]), float(begins[b, 0]), float(spans[k])
            ahead_lr = floor[b, k] + height[b, k] * np.maximum(shape((future - begin) / span), 1e-4)
            found = LrAhead(ahead_lr, begin + span)
    return found


def _line(s: Floats) -> Floats:
    return np.clip(1 - s, 0, None)


def _half_cosine(s: Floats) -> Floats:
    return (1 + np.cos(np.pi * np.clip(s, 0, 1))) / 2
