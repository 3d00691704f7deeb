"""The learning rate of every step, as a factor of the recipe's lr.

A schedule is a function of where a leg of training stands, and of nothing else, so a continued run need not remember
it. One without a horizon does not look at `total`: training N epochs and then M more is the same as N + M. One with a
horizon ends its descent exactly where the leg ends, and can promise no such thing.

To add one: a function of `Moment` and recipe, and a line in `SCHEDULES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from downstroke.errors import RecipeError
from downstroke.recipe import Recipe


@dataclass(frozen=True)
class Moment:
    """Where a leg of training stands just before a step."""

    step: int  # steps of this leg already made
    steps_per_epoch: int
    total: int  # steps of this leg when it is done, at least 1
    val_losses: Sequence[float]  # of the leg's epochs so far (plateau looks at them); NaN where not measured

    @property
    def epochs(self) -> float:
        return self.step / self.steps_per_epoch

    @property
    def done(self) -> float:
        """0 at the leg's first step, 1 when its last is done."""
        return self.step / self.total


def constant(at: Moment, recipe: Recipe) -> float:
    """lr throughout."""
    return 1.0


def exponential(at: Moment, recipe: Recipe) -> float:
    """lr * lr_decay^epochs, a little at every step."""
    return float(recipe.lr_decay**at.epochs)


def step(at: Moment, recipe: Recipe) -> float:
    """lr * lr_decay after every lr_decay_epochs epochs, all at once."""
    return float(recipe.lr_decay ** (int(at.epochs) // recipe.lr_decay_epochs))


def inverse_time(at: Moment, recipe: Recipe) -> float:
    """lr / (1 + lr_decay * epochs): the decay under which Robbins & Monro 1951 proved that noise averages out."""
    return 1 / (1 + recipe.lr_decay * at.epochs)


def plateau(at: Moment, recipe: Recipe) -> float:
    """lr * lr_decay each time val has not fallen for more than lr_decay_epochs epochs."""
    drops, best, waited = 0, math.inf, 0
    for loss in at.val_losses:
        if loss < best:
            best, waited = loss, 0
        else:
            waited += 1
        if waited > recipe.lr_decay_epochs:
            drops, waited = drops + 1, 0
    return float(recipe.lr_decay**drops)


def cosine(at: Moment, recipe: Recipe) -> float:
    """Half a cosine from lr to 0. Loshchilov & Hutter 2017."""
    return (1 + math.cos(math.pi * at.done)) / 2


def linear(at: Moment, recipe: Recipe) -> float:
    """A straight line from lr to 0."""
    return 1 - at.done


def one_cycle(at: Moment, recipe: Recipe) -> float:
    """Up from lr/25 for three tenths of the leg, then down to 0, both as half cosines. Smith & Topin 2019."""
    if at.done < 0.3:
        return 1 - (1 - 1 / 25) * (1 + math.cos(math.pi * at.done / 0.3)) / 2
    return (1 + math.cos(math.pi * (at.done - 0.3) / 0.7)) / 2


@dataclass(frozen=True)
class Schedule:
    """A schedule by name: its factor, and whether it looks at the leg's end or at val."""

    factor: Callable[[Moment, Recipe], float]
    horizon: bool = False
    needs_val: bool = False

    def lr(self, at: Moment, recipe: Recipe, *, warm: bool = True) -> float:
        """The lr of the step after `at`; with `warm`, rising over the first `warmup_steps` steps of the leg."""
        assert recipe.lr is not None
        rise = min(1.0, (at.step + 1) / (recipe.warmup_steps + 1)) if warm else 1.0
        return recipe.lr * self.factor(at, recipe) * rise


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule(constant),
    "exponential": Schedule(exponential),
    "step": Schedule(step),
    "inverse-time": Schedule(inverse_time),
    "plateau": Schedule(plateau, needs_val=True),
    "cosine": Schedule(cosine, horizon=True),
    "one-cycle": Schedule(one_cycle, horizon=True),
    "linear": Schedule(linear, horizon=True),
}


def build(recipe: Recipe) -> Schedule:
    """The recipe's schedule. Raises RecipeError for an unknown name, or for plateau without val."""
    if recipe.schedule not in SCHEDULES:
        raise RecipeError(f"no schedule {recipe.schedule!r}; there are {', '.join(SCHEDULES)}")
    schedule = SCHEDULES[recipe.schedule]
    if schedule.needs_val and not recipe.val_size:
        raise RecipeError(f"the {recipe.schedule} schedule watches val, and there is none; leave out --no-val")
    return schedule
