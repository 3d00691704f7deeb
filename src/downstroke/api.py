"""downstroke from Python: the commands under the same names, on the rooms below.

>>> import downstroke                          # doctest: +SKIP
>>> run = downstroke.train(epochs=3)           # doctest: +SKIP
>>> run.extend(epochs=5).test()["accuracy"]    # doctest: +SKIP
0.9951
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from downstroke.errors import DownstrokeError, RecipeError, RunError, saying_what_is_missing, shown
from downstroke.recipe import Recipe, named
from downstroke.runs import run as run_room

if TYPE_CHECKING:
    from downstroke.advice.logs.table import Say
    from downstroke.advice.verdict import Advice
    from downstroke.learning.events import Event, StopReason
    from downstroke.learning.range_test import RangeTest
    from downstroke.reading.reader import Reader
    from downstroke.runs.compare import Comparison
    from downstroke.runs.curves import Log
    from downstroke.runs.training import Training
    from downstroke.watchers.loggers import Logger

Watcher = Callable[["Training", "Event"], None]


class Run(run_room.Run):
    """A run, and all that can be done with one.

    `stopped` says why this process' training of it ended; None where it was only opened. `notices`: one line
    for each thing to know about how it was continued. `picture`: the losses as they were drawn at the end, or None.
    """

    stopped: StopReason | None = None
    notices: tuple[str, ...] = ()
    picture: Path | None = None

    def __init__(self, folder: str | os.PathLike[str], *, trust: bool = False) -> None:
        """The run in that folder; `Run.open` finds one by its name. `trust`: as there."""
        super().__init__(Path(folder), trust=trust)

    @saying_what_is_missing
    def extend(
        self,
        epochs: int | None = None,
        *,
        lr: float | None = None,
        schedule: str | None = None,
        until_done: bool = False,
        max_epochs: int | None = None,
        threads: int | None = None,
        data: str | os.PathLike[str] | None = None,
        val_data: str | os.PathLike[str] | None = None,
        accept_recipe: bool = False,
        progress: bool = True,
        watch: Watcher | None = None,
        log_to: str | Sequence[str] = (),
        tensorboard: bool = False,
    ) -> Self:
        """Train `epochs` more, or until the advice is to stop; with neither, finish what was interrupted.

        `max_epochs` bounds how many more (default 1000).

        `data`, `val_data`: where the run's data is now, if it was moved. `accept_recipe`: continue although recipe.json
        was changed since the last checkpoint. Progress is shown on stderr unless `progress`
        is False. `log_to`: as in `train`. Returns this run. See `Training.resume`.
        """
        loggers = _loggers(log_to, tensorboard)
        from downstroke.learning.distributed import joined
        from downstroke.runs import asked
        from downstroke.runs.training import Training
        from downstroke.show import losses

        losses.refuse_missing()
        with joined(self.environment["device"]):
            with asked.kept(self, epochs, until_done=until_done) as unbegun:
                resumed = Training.resume(
                    self,
                    epochs=epochs,
                    lr=lr,
                    schedule=schedule,
                    until_done=until_done,
                    max_epochs=max_epochs,
                    threads=threads,
                    data=os.fspath(data) if data else None,
                    val_data=os.fspath(val_data) if val_data else None,
                    accept_recipe=accept_recipe,
                )
            with resumed as training:
                training.notices.extend(unbegun)
                _follow(training, self, progress, watch, loggers)
        return self

    @saying_what_is_missing
    def plot(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Draw the losses so far as PNG or SVG, into the run's `loss.png` unless told otherwise; returns the path."""
        from downstroke.show import losses

        return losses.draw(self, Path(path) if path is not None else None)

    @saying_what_is_missing
    def test(
        self,
        source: str | None = None,
        *,
        data: str | os.PathLike[str] | None = None,
        val_data: str | os.PathLike[str] | None = None,
    ) -> dict[str, Any]:
        """Look at the sealed test set. The look is recorded in `test.json`; two pictures show what was misread.

        Returns the JSON of `downstroke test`: accuracies 0..1, `looks` the number of looks so far, this one included.
        """
        from downstroke.show.look import look

        return look(self, source, *(os.fspath(path) if path else None for path in (data, val_data)))

    @saying_what_is_missing
    def reader(self) -> Reader:
        """A reader with this run's weights."""
        from downstroke.reading.reader import Reader

        return Reader.open(self)


@saying_what_is_missing
def advise(
    log: Log = None,
    *,
    loss: str | None = None,
    val_loss: str | None = None,
    operating_point: str = "balanced",
    runs_dir: str | os.PathLike[str] = "runs",
    say: Say = lambda line: None,
) -> Advice:
    """Whether to train on or to stop, and why, from a run or another program's log: see `runs.curves.curve_of`.

    `operating_point`: quick stops soonest, thorough latest, balanced in between. Raises LogError,
    RunError, DownstrokeError.
    """
    from downstroke.advice import verdict
    from downstroke.runs.curves import curve_of

    curve, run = curve_of(log, loss=loss, val_loss=val_loss, runs_dir=runs_dir, say=say)
    return verdict.advise(curve, run=run, operating_point=operating_point)


@overload
def compare(
    first: Log, second: Log, *, runs_dir: str | os.PathLike[str] = "runs", trust: bool = False
) -> Comparison: ...
@overload
def compare(
    first: Log, second: Log, third: Log, /, *more: Log, runs_dir: str | os.PathLike[str] = "runs", trust: bool = False
) -> list[Comparison]: ...
@saying_what_is_missing
def compare(
    first: Log, second: Log, *more: Log, runs_dir: str | os.PathLike[str] = "runs", trust: bool = False
) -> Comparison | list[Comparison]:
    """Compare the best weights of two runs on their val images, paired; of more runs, every pair.

    Returns the JSON of `downstroke compare`, of three runs or more a list of them: a dict that a notebook
    shows as a table; see `advice.compare.Comparison`.
    `digits` and `losses` say it in words, and `lengths` does where the runs were not trained for as many epochs.
    `trust`: as in `Run.open`. Raises RunError where they do not have the same val images.
    """
    from downstroke.runs.compare import compare_runs

    pairs = compare_runs([_opened(run, runs_dir, trust=trust) for run in (first, second, *more)])
    return pairs if more else pairs[0]


@saying_what_is_missing
def plot(runs: Log | Sequence[Log], path: str | os.PathLike[str], *, runs_dir: str | os.PathLike[str] = "runs") -> Path:
    """Overlay the curves of runs, of their folders or of their names in `runs_dir`, as PNG or SVG; returns the path.

    Around each val loss lies the noise of its epoch, where the run keeps the losses of its val images: see
    `advice.compare.paired_noise`. Raises RunError, DownstrokeError.
    """
    from downstroke.show.overlay import overlay

    listed = [runs] if runs is None or isinstance(runs, str | os.PathLike | run_room.Run) else list(runs)
    if not listed:
        raise RunError("there is no run to draw; expected one or more")
    return overlay([_opened(run, runs_dir) for run in listed], Path(path))


@saying_what_is_missing
def export(
    run: run_room.Run | str | os.PathLike[str] | None = None,
    *,
    onnx: str | os.PathLike[str] | None = None,
    int8: bool = False,
    page: str | os.PathLike[str] | None = None,
    numpy: str | os.PathLike[str] | None = None,
    torchscript: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    val_data: str | os.PathLike[str] | None = None,
    runs_dir: str | os.PathLike[str] = "runs",
    trust: bool = False,
) -> dict[str, Any]:
    """Write the weights of a run, or of `"reader"`, the shipped reader, to the paths given; left out, the newest run.

    Returns the JSON of `downstroke export`: `run` (its folder, or null), and `files`, a dict each with `form`, `file`
    and `bytes`; where it was compared with the network, `images`, how many, and `largest_difference` of a probability.
    `int8`: the ONNX file in 8 bits, with `val_accuracy` 0..1 on the run's data, which is at `data`, `val_data` if it
    was moved. Raises DownstrokeError that names the layer of a model of one's own that cannot be exported.
    """
    from downstroke.recipe import SHIPPED
    from downstroke.show.export import forms

    opened = None if run == SHIPPED else _opened(run, runs_dir, trust=trust)
    asked = {"onnx": onnx, "page": page, "numpy": numpy, "torchscript": torchscript}
    wanted = {form: Path(path) for form, path in asked.items() if path is not None}
    moved = {key: os.fspath(path) for key, path in (("data", data), ("val_data", val_data)) if path is not None}
    return {
        "run": str(opened.folder) if opened else None,
        "files": forms.export(opened, wanted, int8=int8, **moved),
    }


@saying_what_is_missing
def find_lr(
    recipe: str | Recipe = "standard",
    *,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    **fields: Any,
) -> RangeTest:
    """A learning-rate range test of a recipe, with `fields` of it changed; `suggestion` is the lr that it suggests.

    No run is made, and torch's random state stays as it was. The same recipe gives the same answer. DownstrokeError.
    """
    from downstroke.runs.range_test import sweep

    decided = (recipe if isinstance(recipe, Recipe) else named(recipe)).replace(**fields)
    if decided.start_from is not None:
        raise RecipeError("find_lr sweeps from random weights; leave start_from out")
    return sweep(decided, device=device, precision=precision, threads=threads)


def _opened(run: Log, runs_dir: str | os.PathLike[str], *, trust: bool = False) -> run_room.Run:
    return run if isinstance(run, run_room.Run) else Run.open(run, runs_dir, trust=trust)


@saying_what_is_missing
def train(
    recipe: str | Recipe = "standard",
    *,
    runs_dir: str | os.PathLike[str] = "runs",
    name: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    until_done: bool = False,
    max_epochs: int | None = None,
    progress: bool = True,
    watch: Watcher | None = None,
    log_to: str | Sequence[str] = (),
    tensorboard: bool = False,
    **fields: Any,
) -> Run:
    """Train by a recipe, with `fields` of it changed, into a new run.

    With `until_done` it is trained until the advice is to stop, not for the recipe's epochs: for `max_epochs` at most
    (default 1000).

    Progress is shown on stderr: a growing table in a terminal, elsewhere a line per epoch; `progress=False` turns it
    off. `watch(training, event)` is called with every event: see docs/events.md. `log_to`: names of
    `watchers.loggers.LOGGERS` that get the events, too: mlflow, wandb, tensorboard. `tensorboard`: the last of them.

    On Ctrl-C the step under way is ended, the state is saved,
    and the run is returned with `stopped` saying so. Raises DownstrokeError.

    In processes started by torchrun, all of them train the one run; the first alone writes and watches.
    """
    from downstroke.learning.distributed import joined
    from downstroke.reading.starting_weights import starting_weights
    from downstroke.runs.training import Training
    from downstroke.show import losses

    losses.refuse_missing()
    decided = recipe if isinstance(recipe, Recipe) else named(recipe)
    decided = decided.replace(**fields) if fields else decided
    loggers = _loggers(log_to, tensorboard)  # refused before a run is made for it
    home = Path(runs_dir)
    decided, start = starting_weights(decided, home)
    with (
        joined(device),
        Training.start(
            decided,
            runs_dir=home,
            name=name,
            device=device,
            precision=precision,
            threads=threads,
            until_done=until_done,
            max_epochs=max_epochs,
            start=start,
        ) as training,
    ):
        run = Run(training.run.folder)
        _follow(training, run, progress, watch, loggers)
    return run


def _loggers(log_to: str | Sequence[str], tensorboard: bool) -> list[Logger]:
    wanted = [log_to] if isinstance(log_to, str) else list(log_to)
    if not wanted and not tensorboard:
        return []
    from downstroke.watchers.loggers import opened

    return opened([*wanted, "tensorboard"] if tensorboard else wanted)


def _follow(training: Training, run: Run, progress: bool, watch: Watcher | None, loggers: Sequence[Logger]) -> None:
    """Train, show it to whoever watches, and draw the losses at the end, whatever the end was."""
    from downstroke.learning.events import Stopped
    from downstroke.watchers.follow import watchers

    first = training.learner.world.first
    run.notices = tuple(training.notices)
    said = training.introduction() if progress and first else None
    others: list[Watcher] = [*loggers, *([watch] if watch else [])] if first else []
    try:
        with ExitStack() as closed, watchers(training.learner.stop, introduction=said) as watching:
            for logger in loggers:
                closed.callback(logger.close)
            for event in training:
                for watcher in watching:
                    watcher(event)
                for other in others:
                    other(training, event)
                if isinstance(event, Stopped):
                    run.stopped, run.notices = event.reason, tuple(training.notices)
    except BaseException:
        with suppress(DownstrokeError):  # the first error is the one to report, not that the plot failed as well
            _draw(run, first)
        raise
    try:
        _draw(run, first)
    except DownstrokeError as error:  # what was trained is whole, and is reported, with its picture or without
        line = f"{error}; to draw the losses later: downstroke plot {run.typed}"
        run.notices = (*run.notices, line)
        if progress:
            print(f"note: {shown(line)}", file=sys.stderr)


def _draw(run: Run, first: bool) -> None:
    if first and len(run.history):
        from downstroke.show import losses

        losses.AHEAD.draw(run)
        run.picture = run.folder / run_room.LOSS_PICTURE
