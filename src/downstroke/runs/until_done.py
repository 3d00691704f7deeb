"""Training until the advice is to stop: when it ends, and how lr falls to 0 before that."""

from __future__ import annotations

from typing import Any

from downstroke.errors import RecipeError, RunError, counted
from downstroke.learning import schedules
from downstroke.learning.learner import Learner
from downstroke.recipe import Recipe
from downstroke.runs.run import Run

MOST_EPOCHS = 1000  # the limit where none is given
OUTLOOK_EVERY = 5  # epochs between two lines on what more epochs may bring
COOL_DOWN = 0.2  # lr falls to 0 over this share of the epochs done


def limit(max_epochs: int | None, until_done: bool) -> int:
    """The most epochs that training until done may take. RunError where the number cannot be used."""
    if max_epochs is None:
        return MOST_EPOCHS
    if not until_done:
        raise RunError(f"--max-epochs {max_epochs} bounds --until-done; give both, or --epochs {max_epochs}")
    if max_epochs < 1:
        raise RunError(f"max_epochs is {max_epochs}; expected a whole number from 1")
    return max_epochs


def begin_until_done(learner: Learner, most: int) -> None:
    """Make the learner's leg last until it is done: one epoch for now, and `most` epochs from here at the most."""
    at = learner.at
    at.leg.last_epoch, at.leg.until_done, at.leg.max_epoch = at.epoch + 1, True, at.epoch + most


def refuse_known_end(recipe: Recipe) -> None:
    """RecipeError unless the recipe has a schedule without an end, and val images for the advice."""
    if schedules.build(recipe).horizon:
        free = ", ".join(name for name, schedule in schedules.SCHEDULES.items() if not schedule.horizon)
        raise RecipeError(
            f"the {recipe.schedule} schedule must know its end, and --until-done has none; give --schedule {free}"
        )
    if not recipe.val_size:
        raise RecipeError("--until-done needs the val loss, and there are no val images; leave out --no-val")


def without_end(recipe: Recipe, leg: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`changes`, completed so that a leg with the changed fields `leg` can go on without an end.

    A schedule with an end is replaced by the recipe's own, from the lr that the leg began with.
    """
    if "schedule" in changes or not schedules.SCHEDULES[leg.get("schedule", recipe.schedule)].horizon:
        return changes
    return {"lr": leg.get("lr", recipe.lr), "schedule": recipe.schedule, **changes}


def decide(learner: Learner, run: Run) -> list[str]:
    """After an epoch: add another one, or end the training where the advice is to stop. Returns lines to print.

    On a plateau, and near the limit of epochs, lr falls to 0 once before the end, from its present value: that removes
    noise from W and lowers the loss by some hundredths. After overfitting or divergence it would not help.
    Does nothing where the leg does not last until done.
    """
    at, leg = learner.at, learner.at.leg
    if not leg.until_done:
        return []
    most = leg.max_epoch or MOST_EPOCHS  # runs of earlier versions have no limit in their state
    verdict = learner.world.broadcast(run.advice().verdict if learner.world.first else None)
    if verdict in ("continue", "too-early") and at.epoch + 1 + _cool_down(at.epoch + 1) <= most:
        leg.last_epoch = at.epoch + 1
        outlook = run.outlook() if learner.world.first and at.epoch % OUTLOOK_EVERY == 0 else None
        return [outlook] if outlook else []
    epochs = min(_cool_down(at.epoch), most - at.epoch)
    lr = at.last_lr
    if verdict in ("overfitting", "unstable"):
        return [f"training ends after epoch {at.epoch}: {verdict}"]
    if epochs < 1 or not lr:
        return [f"training ends after epoch {at.epoch}"]
    why = "val loss is on a plateau" if verdict == "plateau" else f"epoch {most} is to be the last"
    learner.start_leg(epochs, {"schedule": "linear", "lr": lr})
    return [f"{why}: lr falls from {lr:.3g} to 0 over {counted(epochs, 'epoch')}, and training ends"]


def longest(learner: Learner, epoch_s: float) -> list[str]:
    """How long training may still take at `epoch_s` seconds an epoch, as a line; none where the leg's end is known."""
    leg = learner.at.leg
    left = (leg.max_epoch or 0) - learner.at.epoch
    if left < 1:
        return []
    most = f"{counted(left, 'epoch')} more, {_minutes(left * epoch_s)} at {_seconds(epoch_s)} an epoch"
    return [f"until done: at most {most}"]


def _cool_down(epoch: int) -> int:
    """Over how many epochs lr falls to 0 after `epoch` epochs."""
    return max(1, round(COOL_DOWN * epoch))


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 99.5 else f"{seconds:,.0f} s"


def _minutes(seconds: float) -> str:
    return "less than a minute" if seconds < 60 else f"about {counted(round(seconds / 60), 'minute')}"
