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
    gain: float  # by how much higher than the best that is to come the best so far is, expected, relative
    better: float  # probability that it gets lower by more than 1%
    unfollowed: float  # by how much log training loss fell since the best epoch; 0 where it is not known
    risen: float  # probability that the trend has left its lowest point by more than 1%
    diverged: bool = False
