"""Put a learner where its run stands, and repair the run's files where a crash or a damaged disk left them in disorder.

W, the optimizer and the position come from `last/`, or from the checkpoint before it where that is damaged. Everything
else gives way: rows after that position are removed, damaged records are set aside, and each repair is reported.
"""

from __future__ import annotations

from itertools import pairwise

from downstroke.errors import CheckpointError, RunError, shown
from downstroke.learning.learner import Images, Learner
from downstroke.runs import checkpoint
from downstroke.runs.record import Record
from downstroke.runs.run import METRICS, RECIPE


def restore(record: Record, learner: Learner, train: Images, *, accept_recipe: bool) -> None:
    """Put `learner` where the run of `record` stands.

    Raises CheckpointError where no whole checkpoint is left, and RunError where it was made with another recipe, unless
    `accept_recipe`.
    """
    run, folder = record.run, record.folder
    found = checkpoint.load(folder, "last") if checkpoint.exists(folder, "last") else None
    if found:
        _take_recipe(record, learner, found, accept_recipe)  # before anything is changed
    record.remove_half_written()
    record.set_damaged_rows_aside()
    if found:
        if found.damage:
            record.say(found.damage)
            checkpoint.set_aside(folder, "last")
        try:
            learner.restore(found.tensors, found.state)
        except checkpoint.MISFIT as error:  # the recipe, or a model of one's own, was changed
            text = " ".join(str(error).split())
            raise CheckpointError(f"the weights of {folder / 'last'} do not fit the run's recipe: {text}") from None
    elif checkpoint.exists(folder, "best") or ((folder / METRICS).exists() and run.history):
        raise CheckpointError(
            f"{folder} has epochs but no checkpoint to continue from: last/ is missing. Nothing was changed; "
            f"put it back, or start a new run"
        )
    elif learner.recipe.start_from is not None:
        raise CheckpointError(
            f"{folder} began with the weights of {learner.recipe.start_from} and has no checkpoint; start a new run"
        )
    else:  # killed before the first checkpoint was written
        learner.begin(train.images)
        record.begin_rows()
    _report_gaps(record, learner.at.epoch)
    _keep_the_best(record, learner)
    record.keep_until(learner.at.epoch, learner.at.step)


def _take_recipe(record: Record, learner: Learner, found: checkpoint.Checkpoint, accept: bool) -> None:
    """Refuse a recipe that is not the one that the checkpoint was made with, or take it where that is wanted."""
    changed = checkpoint.changed_fields(found.state, learner.recipe)
    if not changed:
        return
    named = ", ".join(f"{key} was {shown(str(then))[:100]} and is {now}" for key, (then, now) in changed.items())
    if not accept:
        raise RunError(
            f"{record.folder / RECIPE} was changed since the run was trained: {named}. "
            f"Restore it, or continue with the new recipe: --accept-recipe"
        )
    record.say(f"continuing with a changed recipe: {named}")
    if "optimizer" in changed and "optimizer" in found.tensors:
        del found.tensors["optimizer"]
        record.say("the state of the earlier optimizer is dropped; the new one starts without")


def _report_gaps(record: Record, done: int) -> None:
    """Report the epochs of the first `done` that `metrics.csv` lacks."""
    recorded = sorted({row.epoch for row in record.run.history if row.epoch <= done})
    gaps = [(before + 1, after - 1) for before, after in pairwise([0, *recorded, done + 1]) if after - before > 1]
    if gaps:
        missing = ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in gaps)
        record.say(f"{METRICS} lacks epoch {missing} of {done}: it was cut or changed; no weights are lost")


def _keep_the_best(record: Record, learner: Learner) -> None:
    """Take the best val loss from `best/`, so that worse weights never replace it.

    `best/` may be ahead of `last/` after a crash, or behind it where a newer one was damaged.
    """
    if not checkpoint.exists(record.folder, "best"):
        return
    at = learner.at
    try:
        found = checkpoint.load(record.folder, "best", to_train=False)
    except CheckpointError as error:  # training can go on without it
        record.say(f"{error}; the next epoch is the best so far")
        checkpoint.set_aside(record.folder, "best")
        at.best_epoch, at.best_val_loss = None, None
        return
    best = found.state["position"]
    if found.damage:
        record.say(found.damage)
        checkpoint.set_aside(record.folder, "best")
    loss = best.get("best_val_loss")
    if found.damage or at.best_val_loss is None or (loss is not None and loss <= at.best_val_loss):
        at.best_epoch, at.best_val_loss = best.get("best_epoch"), loss
