"""Training in a run's folder: start, resume, and keep on disk whatever happens."""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from downstroke.advice import logs
from downstroke.data import dataset as data
from downstroke.errors import CheckpointError, DownstrokeError, RecipeError, RunError, counted
from downstroke.history import EPOCH_COLUMNS, STEP_COLUMNS, EpochRow, History, StepRow, ValLosses, read_steps, to_fields
from downstroke.learning import schedules
from downstroke.learning.acceptance import least_score
from downstroke.learning.distributed import world
from downstroke.learning.evaluate import Evaluation
from downstroke.learning.events import EpochDone, Event, Note, StepDone, Stopped, StopReason
from downstroke.learning.learner import Images, Learner
from downstroke.learning.loop import learn
from downstroke.learning.machine import Machine, choose
from downstroke.learning.threads import Watch, free_threads, given_threads
from downstroke.recipe import Recipe
from downstroke.runs import checkpoint, files, names, place
from downstroke.runs.run import ENVIRONMENT, LOCK, METRICS, RECIPE, STEPS, VAL_LOSSES, Run

VAL_LOSSES_KEPT = 20  # epochs
MOST_EPOCHS = 1000  # of training until it is done, where no other bound is given
OUTLOOK_EVERY = 5  # epochs: how often it is said what more of them may bring
COOL_DOWN = 0.2  # of the epochs done: how long lr then takes to fall to 0
SAVE_EVERY_S = 300.0  # within an epoch, so that a crash in a long one costs minutes


class Training:
    """A run being trained. A context: the run is locked while it is open.

    Iterating trains, and yields the events of `learn` once what they tell is on disk. `notices` are lines to be said
    to whoever started it.
    """

    def __init__(self, run: Run, learner: Learner, train: Images, val: Images) -> None:
        self.run, self.learner, self.train, self.val = run, learner, train, val
        self.notices: list[str] = []
        self._held = ExitStack()
        if learner.world.first:
            busy = f"{run.folder} is being trained by another process; wait for it, or stop it first"
            self._lock = self._held.enter_context(files.locked(run.folder / LOCK, busy))

    @classmethod
    def start(
        cls,
        recipe: Recipe,
        *,
        runs_dir: str | Path = "runs",
        name: str | None = None,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        until_done: bool = False,
        max_epochs: int | None = None,
    ) -> Self:
        """A new run, its folder made and locked. Nothing is left behind where the recipe or the data cannot be used.

        With `until_done` it trains until the advice is to stop, however many epochs the recipe names; for `max_epochs`
        at most (left out, MOST_EPOCHS), the fall of lr at the end included.
        """
        if name is not None:
            names.checked(name)
        most = _most(max_epochs, until_done)
        if until_done:
            _refuse_a_known_end(recipe)
        recipe = place.absolute(recipe)
        loaded = place.load(recipe)
        given, all_threads = given_threads(threads), torch.get_num_threads()
        settled = _settled(given)
        began = time.perf_counter()
        parts = Parts(loaded, recipe)
        learner = Learner(recipe, len(loaded.classes), device=device, precision=precision, threads=settled)
        machine = learner.machine
        machine.use()
        train, val = Images(parts.train, machine.device), Images(parts.val, machine.device)
        learner.begin(train.images)
        if until_done:
            _until_done(learner, most)
        learner.at.elapsed_s = time.perf_counter() - began

        run = Run(Path(learner.world.share(_new_folder(Path(runs_dir), name) if learner.world.first else None)))
        self = cls(run, learner, train, val)
        self._mind_threads(given, all_threads)
        self.notices = list(loaded.notices)
        try:
            if learner.world.first:
                environment = _environment(learner, loaded, parts, threads_given=given is not None)
                files.write_json(run.folder / ENVIRONMENT, environment)
                self._begin_files()
                self._save("last")  # with its goal: a run that is killed before its first step still has it
                files.write_json(run.folder / RECIPE, recipe.to_dict())  # from here on the folder is a run
        except BaseException:
            if learner.world.first and files.still_at(self._lock, run.folder / LOCK):
                shutil.rmtree(run.folder, ignore_errors=True)  # nothing was learned yet
            self._held.close()
            raise
        return self

    @classmethod
    def resume(
        cls,
        run: Run,
        *,
        epochs: int | None = None,
        lr: float | None = None,
        schedule: str | None = None,
        until_done: bool = False,
        max_epochs: int | None = None,
        threads: int | None = None,
        data: str | Path | None = None,
        val_data: str | Path | None = None,
    ) -> Self:
        """Go on where a run stands: `epochs` more, or, left out, to the end of what was asked for before.

        With `until_done` the end is where the advice is to stop, one epoch from here at the earliest and `max_epochs`
        at the latest. Where lr has fallen to 0, it goes on with the lr from before the fall. With `lr` or
        `schedule`, or where the schedule has a horizon, this is a new leg. `threads`: left out, those that were given
        when the run began, or, where none were, as many as there are idle cores. `data`, `val_data`: where the
        run's data is now, if it was moved. RunError where the run is in use elsewhere, its data changed, or no whole
        checkpoint is left.
        """
        recipe, environment = run.recipe, run.environment
        changes = {key: value for key, value in (("lr", lr), ("schedule", schedule)) if value is not None}
        if until_done and epochs is not None:
            raise RunError("--until-done and --epochs exclude each other")
        most = _most(max_epochs, until_done)
        if until_done:
            held = run.position.get("leg", {}).get("changes", {})
            _refuse_a_known_end(recipe.replace(**{**held, **_endless(recipe, held, changes)}))
            epochs = 1
        if epochs is None and changes:
            raise RunError(f"{' and '.join(changes)} would begin a new leg of training; say how long: --epochs N")
        if epochs is not None and epochs < 1:
            raise RunError(f"epochs is {epochs}; expected a whole number from 1")
        recipe.replace(**changes)  # refuses what cannot be used, before anything is loaded
        all_threads = torch.get_num_threads()
        given = _threads_again(environment, threads)
        machine, notices = _same_machine(environment, _settled(given))
        loaded = place.load_of(run, data, val_data)
        parts = Parts(loaded, recipe)
        machine.use()
        learner = Learner(recipe, len(loaded.classes), **asdict(machine))
        train, val = Images(parts.train, machine.device), Images(parts.val, machine.device)

        self = cls(run, learner, train, val)
        self._mind_threads(given, all_threads)
        self.notices = notices
        try:
            if learner.world.first:
                self._restore()
                self._record_threads(environment["threads"])
                self._set_goal(epochs, changes, most if until_done else None)
            self._share_state()
        except OSError as error:
            said = self._unwritable(error)
            self._held.close()
            raise said from None
        except BaseException:
            self._held.close()
            raise
        return self

    def _mind_threads(self, given: int | None, before: int) -> None:
        """Watch the cores where the threads were not given; at the end torch has as many threads as `before`."""
        self._held.callback(torch.set_num_threads, before)
        learner = self.learner
        if given is None and before > 1 and learner.machine.device == "cpu" and learner.world.size == 1:
            learner.watch = Watch(learner.machine.threads, before)

    def _record_threads(self, begun_with: int) -> None:
        """Note it in the state where the run goes on with other threads than it had."""
        at, now = self.learner.at, self.learner.machine.threads
        if now != (at.threads[-1][1] if at.threads else begun_with):
            at.threads.append([at.step, now])

    def _say_threads(self, known: int) -> None:
        """A line about the changes of threads in this training: those after the first `known` of the record."""
        changes = self.learner.at.threads[known:]
        if changes:
            steps = ", ".join(f"{threads} from step {step + 1}" for step, threads in changes[:3])
            more = f", and {counted(len(changes) - 3, 'change')} more" if len(changes) > 3 else ""
            self.notices.append(
                f"threads changed as other programs used the cores: {steps}{more}; W's last bits depend on them. "
                f"--threads N keeps them"
            )

    def _restore(self) -> None:
        folder, learner = self.run.folder, self.learner
        self._clear_half_written()
        self._set_damaged_records_aside()
        if checkpoint.exists(folder, "last"):
            found = checkpoint.load(folder, "last")
            if found.damage:
                self.notices.append(found.damage)
                checkpoint.set_aside(folder, "last")
            try:
                learner.restore(found.tensors, found.state)
            except (RuntimeError, KeyError, TypeError) as error:  # the recipe, or a model of one's own, was changed
                text = " ".join(str(error).split())
                raise CheckpointError(f"W of {folder / 'last'} does not fit the run's recipe: {text}") from None
        elif checkpoint.exists(folder, "best") or ((folder / METRICS).exists() and self.run.history):
            raise CheckpointError(
                f"{folder} has epochs but no checkpoint to continue from: last/ is missing. Nothing was changed; "
                f"put it back, or start a new run"
            )
        else:  # ended before the first checkpoint was written
            learner.begin(self.train.images)
            self._begin_files()
        self._look_for_gaps()
        self._never_lower_the_best()
        self._forget_after(learner.at.epoch, learner.at.step)

    def _clear_half_written(self) -> None:
        """Remove what a process that was killed had begun to write; the lock says that no other is at it."""
        for name in ("last", "best"):
            shutil.rmtree(self.run.folder / f".{name}.writing", ignore_errors=True)
        for file in (METRICS, STEPS, VAL_LOSSES):
            for path in self.run.folder.glob(f".{file}.*.writing"):
                path.unlink(missing_ok=True)

    def _set_damaged_records_aside(self) -> None:
        """W is whole without its record: what cannot be read is kept under another name, and a new one begun."""
        for file, columns, read in ((METRICS, EPOCH_COLUMNS, History.read), (STEPS, STEP_COLUMNS, read_steps)):
            path = self.run.folder / file
            try:
                if path.exists() and path.stat().st_size:
                    read(path)
                    continue
                self.notices.append(f"{path} is empty or missing; a new one is begun")
            except RunError as error:
                path.replace(path.with_name(f"{file}.damaged"))
                self.notices.append(f"{error}; it is kept as {file}.damaged, and a new one is begun")
            files.write_bytes(path, (",".join(columns) + "\n").encode())

    def _look_for_gaps(self) -> None:
        """Say it where the record lacks epochs that W has been through."""
        recorded, done = {row.epoch for row in self.run.history}, self.learner.at.epoch
        missing = [str(epoch) for epoch in range(1, done + 1) if epoch not in recorded]
        if missing:
            self.notices.append(
                f"{METRICS} lacks epoch {', '.join(missing)} of {done}: it was cut or changed; W itself is whole"
            )

    def _share_state(self) -> None:
        """Let every process stand where the first one does: it alone has read the folder."""
        world = self.learner.world
        state = world.share(self.learner.state() if world.first and world.size > 1 else None)
        if not world.first:
            self.learner.restore(*state)
            torch.manual_seed(self.learner.recipe.seed + world.rank + self.learner.at.step)
        self.notices = world.share(self.notices)

    def _never_lower_the_best(self) -> None:
        """What is on disk is the best there is: ahead of `last`, or behind it where a newer one was damaged."""
        if not checkpoint.exists(self.run.folder, "best"):
            return
        at = self.learner.at
        try:
            found = checkpoint.load(self.run.folder, "best")
        except CheckpointError as error:  # training can go on without it
            self.notices.append(f"{error}; the next epoch is the best so far")
            checkpoint.set_aside(self.run.folder, "best")
            at.best_epoch, at.best_val_loss = None, None
            return
        best = found.state["position"]
        if found.damage:
            self.notices.append(found.damage)
            checkpoint.set_aside(self.run.folder, "best")
        if found.damage or at.best_val_loss is None or best["best_val_loss"] <= at.best_val_loss:
            at.best_epoch, at.best_val_loss = best["best_epoch"], best["best_val_loss"]

    def _set_goal(self, epochs: int | None, changes: dict[str, Any], most: int | None) -> None:
        """`epochs` more, or, where `most` is given, as many until it is done: `most` at most."""
        at = self.learner.at
        if epochs is None:
            return
        if most is not None:
            asked, changes = changes, _endless(self.learner.recipe, at.leg.changes, changes)
            if changes != asked:
                self.notices.append(
                    f"the {at.leg.changes['schedule']} schedule brings lr to 0 and ends: a new leg begins on the "
                    f"{changes['schedule']} schedule, from lr {changes['lr']:.3g}"
                )
        schedule = {**self.learner.recipe.to_dict(), **at.leg.changes}["schedule"]
        if changes or schedules.SCHEDULES[schedule].horizon:
            if not changes:
                self.notices.append(
                    f"the {schedule} schedule was made for "
                    f"{counted(at.leg.last_epoch - at.leg.first_epoch, 'epoch')} and ends "
                    f"with them: a new leg of {epochs} begins from the checkpoint, lr from its start. That is not the "
                    f"same as having trained longer at once; with a constant or exponential schedule it would be"
                )
            self.learner.start_leg(epochs, changes)
        else:
            if most is None and at.epoch + epochs < at.leg.last_epoch:
                self.notices.append(f"the goal was epoch {at.leg.last_epoch} and is now epoch {at.epoch + epochs}")
            at.leg.last_epoch = at.epoch + epochs
        at.leg.until_done, at.leg.max_epoch = False, None
        if most is not None:
            _until_done(self.learner, most)
        self._save("last")  # so that this goal, too, outlives a crash

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def __iter__(self) -> Iterator[Event]:
        if not self.learner.world.first:  # the first process alone writes
            for event in learn(self.learner, self.train, self.val):
                if isinstance(event, EpochDone):
                    self._decide()
                yield event
            return
        done, spent = self.learner.at.epoch, self.learner.at.elapsed_s
        folder, known_threads = self.run.folder, len(self.learner.at.threads)
        try:
            with (
                (folder / METRICS).open("a", encoding="utf-8", newline="") as metrics,
                (folder / STEPS).open("a", encoding="utf-8", newline="") as steps,
            ):
                saved = time.monotonic()
                said: list[str] = []
                for event in learn(self.learner, self.train, self.val):
                    self._look()
                    if isinstance(event, StepDone):
                        _write_row(steps, event.row)
                        if time.monotonic() - saved > SAVE_EVERY_S and event.batch == self.learner.at.batch:
                            files.sync(steps)
                            self._save("last")
                            saved = time.monotonic()
                    elif isinstance(event, EpochDone):
                        _write_row(metrics, event.row)
                        files.sync(steps)
                        files.sync(metrics)
                        self._keep_val_losses(event)
                        said = self._decide()
                        if event.row.epoch == done + 1:
                            said = [*self._bound(event.row.elapsed_s - spent), *said]
                        if event.improved:
                            self._save("best", event.val)
                        self._save("last", event.val)
                        saved = time.monotonic()
                    elif isinstance(event, Stopped):
                        self._say_threads(known_threads)
                        if event.reason is StopReason.INTERRUPTED:
                            files.sync(steps)
                            self._save("last")
                    yield event
                    yield from map(Note, said)
                    said = []
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> RunError:
        """The one line where the disk refuses: the run, what is kept, and what to type."""
        folder = self.run.folder
        if not files.still_at(self._lock, folder / LOCK):
            return RunError(self._gone)
        return RunError(
            f"{folder} cannot be written ({error.strerror or error}); its last checkpoint is kept. "
            f"Make room, then: downstroke continue {shlex.quote(str(folder))}"
        )

    def _look(self) -> None:
        """RunError where the folder is not that of this run any more: nothing is written into another's."""
        if not files.still_at(self._lock, self.run.folder / LOCK):
            raise RunError(self._gone)

    @property
    def _gone(self) -> str:
        return (
            f"{self.run.folder} was removed or replaced while it was trained; the training ends, and nothing was "
            f"written into what is there now"
        )

    def _decide(self) -> list[str]:
        """After an epoch of a leg that lasts until it is done: an epoch more, or, at the advice to stop, its end.

        On a plateau, and where the leg's bound is near, lr then falls to 0 once, from where it is and in a last leg:
        what is left of the noise in W is worth some hundredths of the loss. Where W has overfitted or runs away there
        is nothing to be had that way. Returns what there is to say, a line each.
        """
        learner, at, leg = self.learner, self.learner.at, self.learner.at.leg
        if not leg.until_done:
            return []
        most = leg.max_epoch or MOST_EPOCHS  # a run of an earlier version has no bound in its file
        verdict = learner.world.share(self.run.advice().verdict if learner.world.first else None)
        if verdict in ("continue", "too-early") and at.epoch + 1 + _cool_down(at.epoch + 1) <= most:
            leg.last_epoch = at.epoch + 1
            said = self.run.outlook() if learner.world.first and at.epoch % OUTLOOK_EVERY == 0 else None
            return [said] if said else []
        epochs = min(_cool_down(at.epoch), most - at.epoch)
        lr = at.last_lr
        if verdict in ("overfitting", "unstable"):
            return [f"training ends after epoch {at.epoch}: {verdict}"]
        if epochs < 1 or not lr:
            return [f"training ends after epoch {at.epoch}"]
        why = "val loss is on a plateau" if verdict == "plateau" else f"epoch {most} is to be the last"
        learner.start_leg(epochs, {"schedule": "linear", "lr": lr})
        return [f"{why}: lr falls from {lr:.3g} to 0 over {counted(epochs, 'epoch')}, and training ends"]

    def _bound(self, epoch_s: float) -> list[str]:
        """How long training until done may take, now that the first epoch of this process took `epoch_s` seconds."""
        leg = self.learner.at.leg
        left = (leg.max_epoch or 0) - self.learner.at.epoch
        if left < 1:
            return []
        most = f"{counted(left, 'epoch')} more, {_minutes(left * epoch_s)} at {epoch_s:.2g} s an epoch"
        return [f"until done: at most {most}"]

    def _save(self, name: str, val: Evaluation | None = None) -> None:
        self._look()
        tensors, state = self.learner.state()
        if val is not None and len(val.scores):
            state["least_score"] = least_score(val.scores)
        checkpoint.save(self.run.folder, name, tensors, state)

    def _begin_files(self) -> None:
        for file, columns in ((METRICS, EPOCH_COLUMNS), (STEPS, STEP_COLUMNS)):
            files.write_bytes(self.run.folder / file, (",".join(columns) + "\n").encode())

    def _keep_val_losses(self, event: EpochDone) -> None:
        if event.val is None:
            return
        self._look()
        path = self.run.folder / VAL_LOSSES
        largest = np.finfo(np.float16).max  # beyond it a diverging run's losses would become infinite
        losses = np.minimum(event.val.losses, largest).astype(np.float16)[None]
        epochs = np.array([event.row.epoch], np.int32)
        before = self._val_losses()
        if before is not None and before.epochs is not None and before.losses.shape[1:] == losses.shape[1:]:
            kept = slice(-(VAL_LOSSES_KEPT - 1), None)
            losses = np.concatenate([before.losses[kept], losses])
            epochs = np.concatenate([before.epochs[kept], epochs])
        files.write_bytes(path, ValLosses(losses, epochs).to_bytes())

    def _val_losses(self) -> ValLosses | None:
        """The losses kept so far; None where there are none, or they are damaged: training can do without."""
        try:
            return ValLosses.read(self.run.folder / VAL_LOSSES)
        except RunError as error:
            if str(error) not in self.notices:
                self.notices.append(str(error))
            return None

    def _forget_after(self, epoch: int, step: int) -> None:
        """Drop what was recorded after the checkpoint: those steps will be made, and recorded, again."""
        history, recorded = self.run.history, self.run.steps
        path = self.run.folder / VAL_LOSSES
        before = self._val_losses()
        if before is not None and before.epochs is None:  # of a version that did not write them
            told = logs.val_losses(self.run.folder)
            losses = np.array(list(told.values()), np.float16).reshape(len(told), before.losses.shape[1])
            before = ValLosses(losses, np.array(list(told), np.int32))
        if before is None or before.epochs is None:
            path.unlink(missing_ok=True)
        else:
            kept = before.epochs <= epoch
            files.write_bytes(path, ValLosses(before.losses[kept], before.epochs[kept]).to_bytes())
        for file, columns, rows in (
            (METRICS, EPOCH_COLUMNS, [row for row in history if row.epoch <= epoch]),
            (STEPS, STEP_COLUMNS, [row for row in recorded if row.step <= step]),
        ):
            lines = [",".join(columns), *(",".join(to_fields(row)) for row in rows)]
            files.write_bytes(self.run.folder / file, ("\n".join(lines) + "\n").encode())


class Parts:
    """Train and val, as the recipe cuts them out of what there is to learn from."""

    def __init__(self, loaded: data.Dataset, recipe: Recipe) -> None:
        seed = recipe.split_seed
        if loaded.val is not None and recipe.val_size:
            self.val, self.train = loaded.val, loaded.train
        else:
            train, val = data.split(loaded.train.labels, recipe.val_size, seed)
            self.val = loaded.train.take(val)
            self.train = loaded.train.take(train) if len(val) else loaded.train
        if recipe.train_size is not None:
            share = recipe.train_size < 1
            size = round(recipe.train_size * len(self.train)) if share else int(recipe.train_size)
            self.train = self.train.take(data.cut(self.train.labels, size, seed))
        if recipe.label_noise:
            spoilt = data.spoil(self.train.labels, recipe.label_noise, len(loaded.classes), seed)
            self.train = data.Part(self.train.images, spoilt)


def _most(max_epochs: int | None, until_done: bool) -> int:
    """The most epochs that training until done may take. Raises RunError where the number cannot be used."""
    if max_epochs is None:
        return MOST_EPOCHS
    if not until_done:
        raise RunError(f"--max-epochs {max_epochs} bounds --until-done; give both, or --epochs {max_epochs}")
    if max_epochs < 1:
        raise RunError(f"max_epochs is {max_epochs}; expected a whole number from 1")
    return max_epochs


def _until_done(learner: Learner, most: int) -> None:
    """Make the learner's leg one that lasts until it is done, `most` epochs from here at the latest."""
    at = learner.at
    at.leg.last_epoch, at.leg.until_done, at.leg.max_epoch = at.epoch + 1, True, at.epoch + most


def _endless(recipe: Recipe, held: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`changes`, and what more must change for a leg that has the fields `held` otherwise to go on without an end.

    A schedule that ends gives way to the recipe's own, from the lr that the leg began with.
    """
    if "schedule" in changes or not schedules.SCHEDULES[held.get("schedule", recipe.schedule)].horizon:
        return changes
    return {"lr": held.get("lr", recipe.lr), "schedule": recipe.schedule, **changes}


def _cool_down(epoch: int) -> int:
    """Epochs over which lr falls to 0 after `epoch` epochs."""
    return max(1, round(COOL_DOWN * epoch))


def _minutes(seconds: float) -> str:
    if seconds < 60:
        return "less than a minute"
    minutes = round(seconds / 60)
    return f"about {counted(minutes, 'minute')}"


def _refuse_a_known_end(recipe: Recipe) -> None:
    """Training until the advice says stop needs a schedule that asks for no end, and a val loss to be advised by."""
    if schedules.build(recipe).horizon:
        free = ", ".join(name for name, schedule in schedules.SCHEDULES.items() if not schedule.horizon)
        raise RecipeError(
            f"the {recipe.schedule} schedule must know its end, and --until-done has none; give --schedule {free}"
        )
    if not recipe.val_size:
        raise RecipeError("--until-done listens to the val loss, and there is no val; leave out --no-val")


def _write_row(file: Any, row: EpochRow | StepRow) -> None:
    file.write(",".join(to_fields(row)) + "\n")
    file.flush()


def _new_folder(runs_dir: Path, name: str | None) -> Path:
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        for _ in range(100):
            folder = runs_dir / (name or names.fresh())
            try:
                folder.mkdir()
            except FileExistsError:
                if name is not None:
                    raise RunError(f"{folder} exists, and a run is never overwritten; choose another --name") from None
            else:
                return folder
    except OSError as error:
        raise RunError(f"no run can be made in {runs_dir} ({error.strerror or error})") from None
    raise RunError(f"no free name was found in {runs_dir}; give one with --name")


def _settled(given: int | None) -> int | None:
    """The threads to begin with; processes that share the machine leave it to torch, and to who started them."""
    return given if given is not None or world().size > 1 else free_threads()


def _environment(learner: Learner, loaded: data.Dataset, parts: Parts, *, threads_given: bool) -> dict[str, Any]:
    machine = learner.machine
    return {
        **_versions(),
        **asdict(machine),
        "threads_given": threads_given,
        "processes": learner.world.size,
        "processor": machine.describe(),
        "git_commit": _git_commit(),
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "data": {
            "name": loaded.name,
            "fingerprint": loaded.fingerprint(),
            "val_fingerprint": loaded.val_fingerprint(),
            "classes": list(loaded.classes),
            "train": len(parts.train),
            "val": len(parts.val),
            "test": len(loaded.test),
            "own_test": loaded.own_test,
        },
    }


def _versions() -> dict[str, str]:
    return {
        "downstroke": version("downstroke"),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }


def _threads_again(environment: dict[str, Any], asked: int | None) -> int | None:
    """The threads given now, or when the run began; None where the program is to choose."""
    # Other numbers of processes share the machine otherwise: the threads of then would be too many, or too few, now.
    # Runs made before it was noted whether threads were given keep theirs.
    kept = environment.get("threads_given", True) and world().size == environment["processes"]
    return environment["threads"] if asked is None and kept else given_threads(asked)


def _same_machine(environment: dict[str, Any], threads: int | None) -> tuple[Machine, list[str]]:
    """The machine that the run began on, as far as it can be had, and a line for each difference."""
    notices = []
    processes = world().size
    try:
        machine = choose(environment["device"], environment["precision"], threads)
    except DownstrokeError:
        machine = choose("auto", environment["precision"], threads)
        notices.append(f"device {environment['device']} is not here; going on with {machine.device}")
    now = {**_versions(), "processor": machine.describe(), "processes": processes, "threads": machine.threads}
    for key in ("torch", "processor", "downstroke", "processes", "threads"):
        if now[key] != environment[key]:
            notices.append(
                f"{key} was {environment[key]} and is {now[key]}: W may differ in its last bits from an unbroken run"
            )
    return machine, notices


def _git_commit() -> str | None:
    """The commit of a checkout that downstroke runs from; None where it was installed otherwise."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        said = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()
