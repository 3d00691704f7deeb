"""What the judging hands to the verdict and to its words: a forecast, and what going on is worth."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Forecast:
    """Val loss so many epochs ahead, with an 80% interval for what will be measured."""

    epochs: int
    val_loss: float
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """What going on is worth."""

    stop: bool
    lower: float  # the share by which the best is expected to get lower, 0..1
    better: float  # probability that it gets lower by more than 1%
    risen: float  # probability that val loss ends 10% above the best so far, and no better one comes
