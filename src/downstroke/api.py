"""downstroke from Python: the commands under the same names, on the rooms below.

>>> import downstroke                          # doctest: +SKIP
>>> run = downstroke.train(epochs=3)           # doctest: +SKIP
>>> run.extend(epochs=5).test()["accuracy"]    # doctest: +SKIP
0.9951
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from downstroke.errors import DownstrokeError, LogError, RecipeError, shown
from downstroke.recipe import Recipe, named
from downstroke.runs import run as run_room

if TYPE_CHECKING:
    from downstroke.advice.curve import Curve
    from downstroke.advice.verdict import Advice
    from downstroke.learning.evaluate import Evaluation
    from downstroke.learning.events import Event, StopReason
    from downstroke.learning.range_test import RangeTest
    from downstroke.reading.reader import Reader
    from downstroke.runs.run import Weights
    from downstroke.runs.training import Training

Watcher = Callable[["Training", "Event"], None]


class Run(run_room.Run):
    """A run, and all that can be done with one.

    `stopped` says why this process' training of it ended; None where it was only opened. `notices`: one line
    for each thing to know about how it was continued.
    """

    stopped: StopReason | None = None
    notices: tuple[str, ...] = ()

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
        tensorboard: bool = False,
    ) -> Self:
        """Train `epochs` more, or until the advice is to stop; with neither, finish what was interrupted.

        `max_epochs` bounds how many more (default 1000).

        `data`, `val_data`: where the run's data is now, if it was moved. `accept_recipe`: continue although recipe.json
        was changed since the last checkpoint. Progress is shown on stderr unless `progress`
        is False. Returns this run. See `Training.resume`.
        """
        from downstroke.learning.distributed import joined
        from downstroke.runs import asked
        from downstroke.runs.training import Training

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
                _follow(training, self, progress, watch, tensorboard)
        return self

    def plot(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Draw the losses so far as PNG or SVG, into the run's `loss.png` unless told otherwise; returns the path."""
        from downstroke.show import plots

        target = Path(path) if path is not None else self.folder / run_room.LOSS_PICTURE
        smoothed = self.recipe.label_smoothing > 0
        return plots.loss_plot(self.history, target, title=self.name, steps=self.steps, smoothed=smoothed)

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
        from downstroke.runs.examine import examine
        from downstroke.show import report

        places = (os.fspath(path) if path else None for path in (data, val_data))
        look, evaluation, held = examine(self, source, *places)
        wrong = evaluation.predictions != evaluation.labels
        confusion = report.confusion_picture(evaluation.confusion, held.classes, self.folder / "confusion.png")
        misread = report.misread_picture(
            held.test.images[wrong],
            evaluation.labels[wrong],
            evaluation.predictions[wrong],
            evaluation.probabilities.max(1)[wrong],
            held.classes,
            self.folder / "misread.png",
        )
        shown = {key: value for key, value in look.items() if key not in ("look", "at")}
        return {
            "run": str(self.folder),
            **shown,
            "looks": look["look"],
            "pictures": {"confusion": str(confusion), "misread": str(misread)},
        }

    def reader(self) -> Reader:
        """This run's W, ready to read pictures."""
        from downstroke.reading.reader import Reader

        return Reader.open(self)


Log = run_room.Run | str | os.PathLike[str] | None
Say = Callable[[str], None]


def advise(
    log: Log = None,
    *,
    loss: str | None = None,
    val_loss: str | None = None,
    operating_point: str = "balanced",
    runs_dir: str | os.PathLike[str] = "runs",
    say: Say = lambda line: None,
) -> Advice:
    """Whether to train on or to stop, and why, from a run or from the log of another program. See `curve_of`.

    `operating_point`: quick stops soonest, thorough latest, balanced in between. Raises LogError,
    RunError, DownstrokeError.
    """
    from downstroke.advice import verdict

    curve, run = curve_of(log, loss=loss, val_loss=val_loss, runs_dir=runs_dir, say=say)
    return verdict.advise(curve, run=run, operating_point=operating_point)


def is_log(log: str | os.PathLike[str], runs_dir: str | os.PathLike[str] = "runs") -> bool:
    """Whether `log` is a file or folder that is there and no run."""
    path, runs = Path(log), (Path(log), Path(runs_dir) / log)
    return path.is_file() or (path.is_dir() and not any((run / run_room.RECIPE).is_file() for run in runs))


def curve_of(
    log: Log,
    *,
    loss: str | None = None,
    val_loss: str | None = None,
    runs_dir: str | os.PathLike[str] = "runs",
    say: Say = lambda line: None,
) -> tuple[Curve, str | None]:
    """What advice is drawn from, and the run's folder as one would type it here (None for another program's log).

    `log`: a run, its folder or its name in `runs_dir` (left out, the newest), or what `advice.logs.read` reads: `loss`
    and `val_loss` name its columns, and `say` is given a line for each thing that it had to decide. LogError, RunError.
    """
    from downstroke.advice import logs

    if isinstance(log, str | os.PathLike):
        path, runs = Path(log), (Path(log), Path(runs_dir) / log)
        if is_log(log, runs_dir):
            return logs.read(path, loss, val_loss, say=say), None
        if not path.exists() and (path.suffix or len(path.parts) > 1) and not any(run.is_dir() for run in runs):
            raise LogError(f"no such file: {shown(str(path))}; expected a run, or the log of another program")
    run = _opened(log, runs_dir)
    return run.curve(loss, val_loss, say=say), run.typed


@overload
def compare(
    first: Log, second: Log, *, runs_dir: str | os.PathLike[str] = "runs", trust: bool = False
) -> dict[str, Any]: ...
@overload
def compare(
    first: Log, second: Log, third: Log, /, *more: Log, runs_dir: str | os.PathLike[str] = "runs", trust: bool = False
) -> list[dict[str, Any]]: ...
def compare(
    first: Log, second: Log, *more: Log, runs_dir: str | os.PathLike[str] = "runs", trust: bool = False
) -> dict[str, Any] | list[dict[str, Any]]:
    """The best W of the second run against that of the first, on their val images, paired; of more runs, every pair.

    Returns the JSON of `downstroke compare`, of three runs or more a list of them: see `advice.compare.Comparison`.
    `digits` and `losses` say it in words, and `lengths` does where the runs were not trained for as many epochs.
    `trust`: as in `Run.open`. Raises RunError where they do not have the same val images.
    """
    from downstroke.runs.val_readings import read_val

    runs = [_opened(run, runs_dir, trust=trust) for run in (first, second, *more)]
    short = [run.name for run in runs]
    names = [name if short.count(name) == 1 else run.typed for name, run in zip(short, runs, strict=True)]
    read = zip(names, runs, read_val(runs), strict=True)
    pairs = [_pair(one, other) for one, other in itertools.combinations(read, 2)]
    return pairs if more else pairs[0]


def _pair(*pair: tuple[str, run_room.Run, tuple[Weights, Evaluation]]) -> dict[str, Any]:
    """Two runs, each with its name and how its W reads the val images."""
    from downstroke.advice import compare as paired

    (one, first, (weights, read)), (other, second, (other_weights, other_read)) = pair
    right = read.predictions == read.labels, other_read.predictions == other_read.labels
    found = paired.compare((read.losses, other_read.losses), right)
    what = "digits" if all(name.isdigit() for name in first.classes) else "images"
    used = weights.epoch, other_weights.epoch
    return {
        "runs": [str(first.folder), str(second.folder)],
        "epochs": list(used),
        **found.to_dict(),
        "digits": found.digits(one, other, what),
        "losses": found.losses(one, other),
        "lengths": paired.lengths((one, other), (first.summary()["epochs"], second.summary()["epochs"]), used),
        "damage": weights.damage or other_weights.damage,
    }


def plot(runs: Sequence[run_room.Run], path: str | os.PathLike[str]) -> Path:
    """Overlay the curves of several runs as PNG or SVG; returns the path.

    Around each val loss lies the noise of its epoch, where the run keeps the losses of its val images: see
    `advice.compare.paired_noise`.
    """
    from downstroke.show import plots

    short = [run.name for run in runs]
    names = [name if short.count(name) == 1 else run.typed for name, run in zip(short, runs, strict=True)]
    histories = dict(zip(names, (run.history for run in runs), strict=True))
    noise = dict(zip(names, _noise(runs), strict=True))
    shared = len({run.val for run in runs}) == 1
    return plots.overlay_plot(histories, Path(path), noise=noise, shared=shared)


def _noise(runs: Sequence[run_room.Run]) -> list[dict[int, float]]:
    """Epoch -> standard error of the val loss, run by run; paired among the runs that share their val images."""
    from downstroke.advice import logs
    from downstroke.advice.compare import paired_noise

    found: list[dict[int, float]] = [{} for _ in runs]
    for val in {run.val for run in runs}:
        sharing = [i for i, run in enumerate(runs) if run.val == val]
        for i, noise in zip(sharing, paired_noise([logs.val_losses(runs[i].folder) for i in sharing]), strict=True):
            found[i] = noise
    return found


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
    tensorboard: bool = False,
    **fields: Any,
) -> Run:
    """Train by a recipe, with `fields` of it changed, into a new run.

    With `until_done` it is trained until the advice is to stop, not for the recipe's epochs: for `max_epochs` at most
    (default 1000).

    Progress is shown on stderr: a growing table in a terminal, elsewhere a line an epoch; `progress=False` turns it
    off. `watch(training, event)` is called with every event. On Ctrl-C the step under way is ended, the state is saved,
    and the run is returned with `stopped` saying so. Raises DownstrokeError.

    In processes started by torchrun, all of them train the one run; the first alone writes and watches.
    """
    from downstroke.learning.distributed import joined
    from downstroke.reading.start import starting_weights
    from downstroke.runs.training import Training

    decided = recipe if isinstance(recipe, Recipe) else named(recipe)
    decided = decided.replace(**fields) if fields else decided
    if tensorboard:
        from downstroke.watchers.tensorboard import summary_writer

        summary_writer()  # refused before a run is made for it
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
        _follow(training, run, progress, watch, tensorboard)
    return run


def _follow(training: Training, run: Run, progress: bool, watch: Watcher | None, tensorboard: bool) -> None:
    from downstroke.learning.events import Note, Stopped
    from downstroke.watchers.interrupt import interruptible
    from downstroke.watchers.progress import shown_progress
    from downstroke.watchers.tensorboard import TensorBoard

    first = training.learner.world.first
    run.notices = tuple(training.notices)
    try:
        with ExitStack() as watching:
            watchers: list[Callable[[Event], None]] = []
            if tensorboard and first:
                watchers.append(watching.enter_context(closing(TensorBoard(run.folder / "tensorboard"))))
            watching.enter_context(interruptible(training.learner.stop))
            if progress and first:
                watchers.insert(0, watching.enter_context(shown_progress(map(Note, _introduction(training)))))
            for event in training:
                for watcher in watchers:
                    watcher(event)
                if watch and first:
                    watch(training, event)
                if isinstance(event, Stopped):
                    run.stopped, run.notices = event.reason, tuple(training.notices)
    except BaseException:
        with suppress(DownstrokeError):  # the first error is the one to report, not that the plot failed as well
            _draw(run, first)
        raise
    _draw(run, first)


def _introduction(training: Training) -> list[str]:
    """What to say before the first step: what the user's own data holds, and the notices."""
    from downstroke.runs.place import description  # loads OpenCV

    own = description(training.run)
    return [*([own] if own else []), *(f"note: {notice}" for notice in training.notices)]


def _draw(run: Run, first: bool) -> None:
    if first and len(run.history):
        run.plot()
