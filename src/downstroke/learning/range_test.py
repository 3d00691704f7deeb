"""The learning-rate range test: lr rises at every step, and the loss tells where learning is fast and where it breaks.

Smith 2017, "Cyclical learning rates for training neural networks". The steps are those of `loop.learn` itself, made by
a copy of the learner: W, the optimizer's state and torch's random state stay bit for bit as they were.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from downstroke.data.batches import steps_per_epoch
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
#: The sweep ends where the smoothed loss exceeds its minimum by this factor.
EXPLODED = 4.0
#: A rise of the smoothed loss counts if it exceeds the noise by this factor.
RISE = 3.0
#: A fall counts from this share of the loss on.
FALL = 0.02
#: The suggestion is drawn from a place on the way, in logarithms of lr, from where the first share of the fall, in
#: logarithms of the loss, is done to where the way down ends: the second share of that way. Chosen by measurement, as
#: are the next two: see docs/find-lr.md.
BEGUN, ON_THE_WAY = 0.25, 0.8
#: From there it is times this, and the longer training is to be, the smaller: as 1 / sqrt(steps), which is the best
#: constant lr for a number of steps in Nemirovski, Juditsky, Lan and Shapiro 2009, "Robust stochastic approximation".
FURTHER = 60.0
#: How late the loss answers to an lr, in what the optimizer remembers: after three times that 95% of it is there.
LATE = 3.0


@dataclass(frozen=True)
class RangeTest:
    """What the sweep saw, a step a row, and the lr that follows from it."""

    lr: Floats  # [S] rising by one factor from step to step
    loss: Floats  # [S] the criterion of each batch, before the step
    smoothed: Floats  # [S]
    suggestion: float  # lr, to two digits
    steps: int  # that the training makes for which it is suggested

    @property
    def lowest(self) -> float:
        """The lr at which the smoothed loss was lowest."""
        return float(self.lr[self.smoothed.argmin()])

    @property
    def falls_to(self) -> float:
        """The lr up to which the smoothed loss falls: where its first rise begins that is more than noise."""
        return float(self.lr[way_down(self.loss)])

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        curve = {"lr": self.lr.tolist(), "loss": self.loss.tolist(), "smoothed": self.smoothed.tolist()}
        ended = {"ended_at": float(self.lr[-1]), "curve": curve}
        where = {"falls_to": self.falls_to, "lowest_at": self.lowest}
        return {"lr": self.suggestion, "steps": self.steps, **where, **ended}


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
    steps = planned(learner.recipe, len(train))
    return RangeTest(lr, loss, smooth(loss), suggest(lr, loss, steps, remembered(learner.recipe)), steps)


def smooth(loss: Floats) -> Floats:
    """The mean of `loss` [S] around each step, weighted by a Gaussian: unlike a running mean it does not lag behind."""
    smoothed: Floats = _weights(len(loss), WIDTH) @ loss
    return smoothed


def way_down(loss: Floats) -> int:
    """The step at which the way down ends: the lowest before the first rise of the smoothed `loss` [S] beyond noise.

    What comes before a first fall is not a rise. Without a rise it is the lowest of all.
    """
    smoothed = smooth(loss)
    noise = _noise(loss, smoothed)
    lowest, fallen, highest = 0, False, float(smoothed[0])
    for step, value in enumerate(smoothed):
        highest = max(highest, float(value))
        if value < smoothed[lowest]:
            lowest = step
        fallen = fallen or highest - smoothed[lowest] > max(RISE * noise[lowest], FALL * highest)
        if fallen and value - smoothed[lowest] > RISE * np.hypot(noise[step], noise[lowest]):
            break
        if not fallen and highest == value:  # the way down begins at the highest point so far
            lowest = step
    return lowest if fallen else int(smoothed.argmin())


def suggest(lr: Floats, loss: Floats, steps: int, memory: float = 0.0) -> float:
    """An lr to stay at for `steps`, to two digits, from `loss` [S] over `lr` [S]; it lies on the way down.

    `memory`: steps that the optimizer remembers; the loss answers late to an lr. Raises DataError where the loss does
    not fall.
    """
    smoothed = smooth(loss)
    end = way_down(loss) if len(loss) else 0
    highest = float(smoothed[: end + 1].max(initial=0.0))
    if not end or highest - smoothed[end] < 1e-3 * highest:
        raise DataError(
            f"the loss does not fall at any lr from {LOWEST:g} on; look at the images, the labels and the criterion"
        )
    fallen = np.log(highest / np.maximum(smoothed[: end + 1], 1e-12))
    fallen[: int(smoothed[: end + 1].argmax())] = 0.0
    begun = int((fallen >= BEGUN * fallen[end]).argmax())
    factor = float(lr[1] / lr[0])
    place = float(lr[begun]) ** (1 - ON_THE_WAY) * float(lr[end]) ** ON_THE_WAY
    wanted = place * FURTHER / math.sqrt(steps) / factor ** (LATE * memory)
    return float(f"{max(float(lr[0]), min(wanted, float(lr[end - 1]))):.1e}")


def planned(recipe: Recipe, images: int) -> int:
    """How many steps a training of the recipe on so many images makes."""
    return recipe.epochs * steps_per_epoch(recipe, images)


def remembered(recipe: Recipe) -> float:
    """Steps that the optimizer's memory of the gradient spans before the present one: momentum / (1 - momentum)."""
    return 0.0 if recipe.optimizer == "sgd" else recipe.momentum / (1 - recipe.momentum)


def _weights(steps: int, width: float) -> Floats:
    """[S, S] of each step's neighbours, a row sums to 1."""
    at = np.arange(steps)
    weights = np.exp(-0.5 * ((at[:, None] - at) / width) ** 2)
    weights /= weights.sum(1, keepdims=True)
    return weights


def _noise(loss: Floats, smoothed: Floats) -> Floats:
    """[S] the standard error of the smoothed loss, from how far the batches up to each step lie from it."""
    weights = _weights(len(loss), WIDTH)
    before = np.tril(_weights(len(loss), 3 * WIDTH))  # an explosion to come is no noise of the way down
    spread = np.sqrt(before @ (loss - smoothed) ** 2 / before.sum(1))
    noise: Floats = spread * np.sqrt((weights**2).sum(1))
    return noise


def _copy(learner: Learner) -> Learner:
    """A learner in the same state that shares no memory with `learner`, about to sweep. Sets torch's random state."""
    recipe = learner.recipe.replace(uncertain=1.0)  # so that the loss of a step is of what it learns from
    copied = Learner(recipe, learner.network.classes, **asdict(learner.machine))
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
