"""Training in a run's folder: start a run or continue one, and pass on each event once it is on disk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from downstroke.errors import RunError, counted
from downstroke.learning import schedules
from downstroke.learning.distributed import world
from downstroke.learning.events import EpochDone, Event, Note, StepDone, Stopped, StopReason
from downstroke.learning.learner import Images, Learner
from downstroke.learning.loop import learn
from downstroke.learning.threads import Watch, given_threads
from downstroke.recipe import Recipe
from downstroke.runs import asked, loading, names
from downstroke.runs.environment import describe, first_threads, same_machine, threads_again
from downstroke.runs.parts import Parts
from downstroke.runs.record import Record, new_folder, remove_unbegun
from downstroke.runs.restore import restore
from downstroke.runs.run import Run
from downstroke.runs.trust import refuse_foreign_code
from downstroke.runs.until_done import begin_until_done, decide, limit, longest, refuse_known_end, without_end


class Training:
    """A run being trained. A context: the run is locked while it is open.

    Iterating trains, and yields the events of `learn` once what they tell is on disk. `notices` are lines for whoever
    started it. `record` writes the run's files; of several processes the first alone has one.
    """

    def __init__(self, run: Run, learner: Learner, train: Images, val: Images) -> None:
        self.run, self.learner, self.train, self.val = run, learner, train, val
        self.notices: list[str] = []
        self.record = Record(run, self._say) if learner.world.first else None
        self._held = ExitStack()
        if self.record:
            self._held.callback(self.record.close)

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
        start: Mapping[str, Tensor] | None = None,
    ) -> Self:
        """A new run, its folder made and locked. Nothing is left behind where the recipe or the data cannot be used.

        With `until_done` it trains until the advice is to stop, however many epochs the recipe names; for `max_epochs`
        at most (left out, 1000), the fall of lr at the end included.
        `start`: the weights that the recipe's `start_from` names.
        """
        assert (start is None) == (recipe.start_from is None), recipe.start_from
        if name is not None:
            names.checked(name)
        most = limit(max_epochs, until_done)
        if until_done:
            refuse_known_end(recipe)
        recipe = loading.with_absolute_paths(recipe)
        loaded = loading.load_data(recipe)
        given, all_threads = given_threads(threads), torch.get_num_threads()
        first = first_threads(given)
        began = time.perf_counter()
        parts = Parts(loaded, recipe)
        learner = Learner(recipe, len(loaded.classes), device=device, precision=precision, threads=first)
        machine = learner.machine
        machine.use()
        train, val = Images(parts.train, machine.device), Images(parts.val, machine.device)
        learner.begin(train.images, start)
        if until_done:
            begin_until_done(learner, most)
        learner.at.elapsed_s = time.perf_counter() - began

        run = Run(Path(learner.world.broadcast(new_folder(Path(runs_dir), name) if learner.world.first else None)))
        try:
            self = cls(run, learner, train, val)
        except BaseException:
            if learner.world.first:
                remove_unbegun(run.folder)  # it would block the name
            raise
        self._mind_threads(given, all_threads)
        self.notices.extend(loaded.notices)
        try:
            if self.record:
                self.record.begin(recipe, describe(learner, loaded, parts, threads_given=given is not None), learner)
        except BaseException:
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
        accept_recipe: bool = False,
    ) -> Self:
        """Continue a run from its last checkpoint: `epochs` more, or, left out, to the goal set before.

        With `until_done` the end is where the advice is to stop, one epoch from here at the earliest and `max_epochs`
        at the latest. Where lr has fallen to 0, it goes on with the lr from before the fall. With `lr` or
        `schedule`, or where the schedule has a horizon, this is a new leg. `threads`: left out, those that were given
        when the run began, or, where none were, as many as there are idle cores. `data`, `val_data`: where the
        run's data is now, if it was moved. `accept_recipe`: continue although recipe.json was changed since. RunError
        where the run is in use elsewhere, its data or its recipe changed, or no whole checkpoint is left.
        """
        refuse_foreign_code(run)
        typed = asked.typed(
            epochs=epochs,
            until_done=until_done,
            max_epochs=max_epochs,
            lr=lr,
            schedule=schedule,
            threads=threads,
            data=data,
            val_data=val_data,
            accept_recipe=accept_recipe,
        )
        recipe, environment = run.recipe, run.environment
        changes = {key: value for key, value in (("lr", lr), ("schedule", schedule)) if value is not None}
        if until_done and epochs is not None:
            raise RunError("--until-done and --epochs exclude each other")
        most = limit(max_epochs, until_done)
        if until_done:
            held = run.position.get("leg", {}).get("changes", {})
            refuse_known_end(recipe.replace(**{**held, **without_end(recipe, held, changes)}))
            epochs = 1
        if epochs is None and changes:
            raise RunError(f"{' and '.join(changes)} would begin a new leg of training; say how long: --epochs N")
        if epochs is not None and epochs < 1:
            raise RunError(f"epochs is {epochs}; expected a whole number from 1")
        recipe.replace(**changes)  # refuses what cannot be used, before anything is loaded
        all_threads = torch.get_num_threads()
        given = threads_again(environment, threads)
        machine, notices = same_machine(environment, first_threads(given))
        loaded = loading.load_run_data(run, data, val_data)
        parts = Parts(loaded, recipe)
        machine.use()
        learner = Learner(recipe, len(loaded.classes), **asdict(machine))
        train, val = Images(parts.train, machine.device), Images(parts.val, machine.device)

        self = cls(run, learner, train, val)
        self._mind_threads(given, all_threads)
        self.notices.extend(notices)
        try:
            if self.record:
                with self.record.reported(typed):  # what was asked for is on disk at the end of it
                    restore(self.record, learner, train, accept_recipe=accept_recipe)
                    self._record_threads(environment["threads"])
                    self._set_goal(self.record, epochs, changes, most if until_done else None)
            self._share_state()
        except BaseException:
            self._held.close()
            raise
        return self

    def introduction(self) -> list[str]:
        """What to say before the first step: what the user's own data holds, and the notices."""
        own = loading.description(self.run)
        return [*([own] if own else []), *(f"note: {notice}" for notice in self.notices)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def __iter__(self) -> Iterator[Event]:
        learner, record = self.learner, self.record
        if not record:
            for event in learn(learner, self.train, self.val):
                if isinstance(event, EpochDone):
                    decide(learner, self.run)
                yield event
            return
        epochs_before, seconds_before = learner.at.epoch, learner.at.elapsed_s
        threads_before = len(learner.at.threads)
        with record.appending():
            for event in learn(learner, self.train, self.val):
                record.refuse_another_run()
                said: list[str] = []
                if isinstance(event, StepDone):
                    record.add_step(event.row)
                    if record.save_is_due and event.batch == learner.at.batch:
                        record.save_within_epoch(learner)
                elif isinstance(event, EpochDone):
                    record.add_epoch(event)
                    said = decide(learner, self.run)
                    if event.row.epoch == epochs_before + 1:
                        said = [*longest(learner, event.row.elapsed_s - seconds_before), *said]
                    if event.improved:
                        record.save("best", learner, event.val)
                    record.save("last", learner, event.val)
                elif isinstance(event, Stopped):
                    said = self._threads_changed(threads_before)
                    if event.reason is StopReason.INTERRUPTED:
                        record.save_within_epoch(learner)
                yield event
                yield from map(Note, said)

    def _set_goal(self, record: Record, epochs: int | None, changes: dict[str, Any], most: int | None) -> None:
        """Train `epochs` more; where `most` is given, until it is done, `most` at the most."""
        at = self.learner.at
        if epochs is None:
            return
        if most is not None:
            wanted, changes = changes, without_end(self.learner.recipe, at.leg.changes, changes)
            if changes != wanted:
                self._say(
                    f"the {at.leg.changes['schedule']} schedule brings lr to 0 and ends: a new leg begins on the "
                    f"{changes['schedule']} schedule, from lr {changes['lr']:.3g}"
                )
        schedule = {**self.learner.recipe.to_dict(), **at.leg.changes}["schedule"]
        if changes or schedules.SCHEDULES[schedule].horizon:
            if not changes:
                self._say(
                    f"the {schedule} schedule was made for "
                    f"{counted(at.leg.last_epoch - at.leg.first_epoch, 'epoch')} and ends "
                    f"with them: a new leg of {epochs} begins from the checkpoint, lr from its start. That is not the "
                    f"same as having trained longer at once; with a constant or exponential schedule it would be"
                )
            self.learner.start_leg(epochs, changes)
        else:
            if most is None and at.epoch + epochs < at.leg.last_epoch:
                self._say(f"the goal was epoch {at.leg.last_epoch} and is now epoch {at.epoch + epochs}")
            at.leg.last_epoch = at.epoch + epochs
        at.leg.until_done, at.leg.max_epoch = False, None
        if most is not None:
            begin_until_done(self.learner, most)
        record.save("last", self.learner)  # so that this goal, too, outlives a crash

    def _share_state(self) -> None:
        """Let every process stand where the first one does: it alone has read the folder."""
        state = world().broadcast(self.learner.state() if self.record and world().size > 1 else None)
        self.notices[:] = world().broadcast(self.notices)
        if not self.record:
            self.learner.restore(*state)
            torch.manual_seed(self.learner.recipe.seed + world().rank + self.learner.at.step)

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

    def _threads_changed(self, known: int) -> list[str]:
        """A line about the changes of threads in this training: those after the first `known` of the record."""
        changes = self.learner.at.threads[known:]
        if not changes:
            return []
        steps = ", ".join(f"{threads} from step {step + 1}" for step, threads in changes[:3])
        more = f", and {counted(len(changes) - 3, 'change')} more" if len(changes) > 3 else ""
        line = (
            f"threads changed as other programs used the cores: {steps}{more}; the weights' last bits depend on "
            f"them. --threads N keeps them"
        )
        self._say(line)
        return [line]

    def _say(self, line: str) -> None:
        if line not in self.notices:
            self.notices.append(line)
