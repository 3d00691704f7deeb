"""The learning-rate range test: lr rises at every step, and the loss tells where learning is fast and where it breaks.

Smith 2017, "Cyclical learning rates for training neural networks". The steps are those of `loop.learn` itself, made by
a copy of the learner: W, the optimizer's state and torch's random state stay bit for bit as they were.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from downstroke.errors import DataError, NonFiniteError
from downstroke.learning.events import StepDone
from downstroke.learning.learner import Images, Learner, Leg
from downstroke.learning.loop import learn
from downstroke.learning.machine import Machine
from downstroke.learning.schedules import Moment, Schedule
from downstroke.recipe import Recipe

Floats = NDArray[np.float64]

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 300
#: Standard deviation of the smoothing, in steps: a seventh of a decade of lr.
WIDTH = 6.0
#: The sweep ends where the smoothed loss is so many times its lowest.
EXPLODED = 4.0
#: The lr that is suggested lies below that of the lowest loss by this factor: what is best in passing is too much to
#: stay at. Chosen by measurement on val over optimizers and models.
BELOW = 3.0


@dataclass(frozen=True)
class RangeTest:
    """What the sweep saw, a step a row, and the lr that follows from it."""

    lr: Floats  # [S] rising by one factor from step to step
    loss: Floats  # [S] the criterion of each batch, before the step
    smoothed: Floats  # [S]
    suggestion: float  # lr, to two digits

    @property
    def lowest(self) -> float:
        """The lr at which the smoothed loss was lowest."""
        return float(self.lr[self.smoothed.argmin()])

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        curve = {"lr": self.lr.tolist(), "loss": self.loss.tolist(), "smoothed": self.smoothed.tolist()}
        return {"lr": self.suggestion, "lowest_at": self.lowest, "ended_at": float(self.lr[-1]), "curve": curve}


def range_test(learner: Learner, train: Images) -> RangeTest:
    """Sweep lr from where `learner` stands, over `train` in its recipe's order of batches; the learner is not changed.

    The same learner gives the same answer. Raises DataError where the loss does not fall at any lr.
    """
    rates: list[float] = []
    losses: list[float] = []
    cuda = [torch.device(learner.machine.device)] if learner.machine.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=cuda):
        try:
            for event in learn(_copy(learner), train, train.take(torch.arange(0))):
                if isinstance(event, StepDone):
                    rates.append(event.row.lr)
                    losses.append(event.row.batch_loss)
                    smoothed = smooth(np.array(losses))
                    if len(rates) == STEPS or smoothed[-1] > EXPLODED * smoothed.min():
                        break
        except NonFiniteError:  # the sweep went as far as it goes
            pass
    lr, loss = np.array(rates), np.array(losses)
    return RangeTest(lr, loss, smooth(loss), suggest(lr, loss))


def smooth(loss: Floats) -> Floats:
    """The mean of `loss` [S] around each step, weighted by a Gaussian: unlike a running mean it does not lag behind."""
    at = np.arange(len(loss))
    weights = np.exp(-0.5 * ((at[:, None] - at) / WIDTH) ** 2)
    smoothed: Floats = weights @ loss / weights.sum(1)
    return smoothed


def suggest(lr: Floats, loss: Floats) -> float:
    """The lr of the lowest smoothed `loss` [S], over `lr` [S], less the factor BELOW; to two digits.

    Raises DataError where the loss does not fall.
    """
    smoothed = smooth(loss)
    lowest = int(smoothed.argmin()) if len(loss) else 0
    highest = float(smoothed[: lowest + 1].max(initial=0.0))
    if not lowest or highest - smoothed[lowest] < 1e-3 * highest:
        raise DataError(
            f"the loss does not fall at any lr from {LOWEST:g} on; look at the images, the labels and the criterion"
        )
    return float(f"{lr[lowest] / BELOW:.1e}")


def _copy(learner: Learner) -> Learner:
    """A learner in the same state that shares no memory with `learner`, about to sweep. Sets torch's random state."""
    copied = Learner(learner.recipe, learner.network.classes, **asdict(learner.machine))
    copied.restore(*learner.state())
    copied.average = None  # the gradient does not look at it
    copied.machine = _StepByStep(**asdict(learner.machine))
    copied.at.leg = Leg(copied.at.epoch, copied.at.step, copied.at.epoch + STEPS)
    copied.schedule = _Sweep(lambda at, recipe: 1.0)
    return copied


class _Sweep(Schedule):
    """lr from LOWEST to HIGHEST in STEPS steps, whatever the recipe's."""

    def lr(self, at: Moment, recipe: Recipe, *, warm: bool = True) -> float:
        return float(LOWEST * (HIGHEST / LOWEST) ** (at.step / (STEPS - 1)))


class _StepByStep(Machine):
    """A machine whose every step is looked at, also a GPU's: those before the explosion are what the sweep is for."""

    @property
    def deferred(self) -> bool:
        return False
