"""The files of a run, all written here: what is on disk at any moment, and after a crash.

A new run appears in this order; before `recipe.json` is there, the folder is not a run:

    .lock               held by the process that trains; the system releases it when the process dies
    environment.json    versions, device, precision, threads, data
    metrics.csv         column names; then one row per epoch
    steps.csv           column names; then one row per step
    last/               W, optimizer, position, random state: where training continues
    recipe.json

Each step appends its row to `steps.csv` (given to the system at once: a killed process loses none). At the end of an
epoch, in this order:

    metrics.csv         the epoch's row; now it and the rows of the steps are flushed to the disk
    val_losses.npy      the losses of the val images in the last 20 epochs, replaced
    best/               replaced, where the val loss is the lowest so far; how it reads each val image is in it
    last/               replaced

In a long epoch, `last/` is also replaced every five minutes. So after a crash `last/` is never ahead of the other
files. `continue` removes the rows after the position in `last/`, makes those steps again, and writes the same rows.
`best/` may be one epoch ahead of `last/`; training again reaches it with the same W.

A JSON file or `val_losses.npy` is written beside, flushed, and renamed: it is the old file or the new one, never a
part of one. `last/` and `best/` are folders written the same way (`checkpoint.py`); the one before stays as
`last.previous/`, and is used where the newer one is damaged. A crash may leave `.*.writing`: `continue` removes it.
What `continue` finds damaged it keeps, as `*.damaged`.

`test.json` and `examined.npz` are written by each look at the test images, in this order, under a lock of their own.
Only pictures come from elsewhere: `loss.png`, `confusion.png` and `misread.png` are drawn by `show`, and can be drawn
again at any time.
"""

from __future__ import annotations

import io
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from downstroke.advice import logs
from downstroke.errors import RunError
from downstroke.history import EPOCH_COLUMNS, STEP_COLUMNS, EpochRow, History, StepRow, ValLosses, read_steps, to_fields
from downstroke.learning.acceptance import least_score
from downstroke.learning.evaluate import Evaluation
from downstroke.learning.events import EpochDone
from downstroke.learning.learner import Learner
from downstroke.recipe import Recipe
from downstroke.regular import append_regular
from downstroke.runs import checkpoint, files, names
from downstroke.runs.run import ENVIRONMENT, LOCK, LOOKS, METRICS, READINGS, RECIPE, STEPS, VAL_LOSSES, Run

VAL_LOSSES_KEPT = 20  # epochs
MOST_NAMES = 1000  # bytes of a file that holds the names of columns alone
SAVE_EVERY_S = 300.0  # within an epoch, so that a crash in a long one costs minutes


def new_folder(runs_dir: Path, name: str | None) -> Path:
    """Make an empty folder for a run, with this name or a new one. RunError where that is not possible."""
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        for _ in range(100):
            folder = runs_dir / (name or names.fresh())
            if name is not None:
                remove_unbegun(folder)
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


def remove_unbegun(folder: Path) -> None:
    """Remove the folder of a start that failed or was killed before there was a run: it would block the name.

    Only where nothing else is in it than what a start writes, no step was made, and no process holds it.
    """
    if not files.CAN_LOCK:  # nothing tells whether a process holds it
        return
    try:
        inside = {path.name for path in folder.iterdir() if not path.name.endswith(".writing")}
        if not inside <= {LOCK, ENVIRONMENT, METRICS, STEPS, "last"} or files.held(folder / LOCK):
            return
        if (folder / STEPS).exists() and len(files.read_inside(folder / STEPS, MOST_NAMES).splitlines()) > 1:
            return
    except OSError:
        return
    shutil.rmtree(folder, ignore_errors=True)


class Record:
    """Writes the files of a run that is being trained. Only one process can have it; `close` releases it.

    `say` is called with a line for each thing that the user should know. The methods that write raise RunError where
    the folder was removed or replaced: nothing is written into another run.
    """

    def __init__(self, run: Run, say: Callable[[str], None]) -> None:
        self.run, self.folder, self.say = run, run.folder, say
        self._open = ExitStack()
        busy = f"{run.folder} is being trained by another process; wait for it, or stop it first"
        self._place = files.Place(self._open.enter_context(files.locked(run.folder / LOCK, busy)), run.folder / LOCK)
        self._saved = time.monotonic()
        self._metrics: TextIO | None = None
        self._steps: TextIO | None = None
        self._rows: dict[str, files.Place] = {}  # of the two files that rows are appended to

    def close(self) -> None:
        """Close the files and release the run."""
        self._open.close()

    def begin(self, recipe: Recipe, environment: dict[str, Any], learner: Learner) -> None:
        """Write the files of a new run. Where that fails, the folder is removed: nothing was learned yet."""
        try:
            files.write_json(self.folder / ENVIRONMENT, environment)
            self.begin_rows()
            self.save("last", learner)  # also holds the goal, so that a run killed before its first step keeps it
            files.write_json(self.folder / RECIPE, recipe.to_dict())
        except BaseException as error:
            if self._place.is_kept():
                shutil.rmtree(self.folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise RunError(
                    f"no run can be made in {self.folder} ({error.strerror or error}); nothing was trained, "
                    f"and nothing is left of it. Make room, then train again"
                ) from None
            raise

    def begin_rows(self) -> None:
        """Write `metrics.csv` and `steps.csv` with column names and no rows."""
        for file, columns in ((METRICS, EPOCH_COLUMNS), (STEPS, STEP_COLUMNS)):
            self._write_rows(file, columns, [])

    @contextmanager
    def appending(self) -> Iterator[None]:
        """Within it, steps and epochs can be added. OSErrors become a RunError of one line."""
        with self.reported(), ExitStack() as opened:
            self._metrics, self._steps = (
                opened.enter_context(io.TextIOWrapper(append_regular(self.folder / file), encoding="utf-8", newline=""))
                for file in (METRICS, STEPS)
            )
            self._rows = {
                file: files.Place(rows, self.folder / file)
                for file, rows in ((METRICS, self._metrics), (STEPS, self._steps))
            }
            self._saved = time.monotonic()
            try:
                yield
            finally:
                self._metrics = self._steps = None
                self._rows = {}

    def add_step(self, row: StepRow) -> None:
        """Append a step. Only within `appending`."""
        assert self._steps
        _append(self._steps, row)

    def add_epoch(self, done: EpochDone) -> None:
        """Append an epoch and the losses of its val images, and flush all rows to the disk. Only within `appending`."""
        assert self._metrics
        assert self._steps
        _append(self._metrics, done.row)
        files.sync(self._steps)
        files.sync(self._metrics)
        if done.val is not None:
            self._add_val_losses(done.row.epoch, done.val.losses)

    @property
    def save_is_due(self) -> bool:
        """Whether the last checkpoint is older than SAVE_EVERY_S."""
        return time.monotonic() - self._saved > SAVE_EVERY_S

    def save_within_epoch(self, learner: Learner) -> None:
        """Save `last/` in the middle of an epoch, the rows of its steps before. Only within `appending`."""
        assert self._steps
        files.sync(self._steps)
        self.save("last", learner)

    def save(self, name: str, learner: Learner, val: Evaluation | None = None) -> None:
        """Replace checkpoint `name` (last or best) by the learner's state. `val`: how its W reads the val images."""
        self.refuse_another_run()
        tensors, state = learner.state()
        state["recipe"] = checkpoint.recorded_recipe(learner.recipe)
        if val is not None and len(val.scores):
            state["least_score"] = least_score(val.scores)
        if name == "best" and val is not None and not learner.machine.bfloat16:
            tensors[checkpoint.VAL] = val.kept()  # `compare` need not read the images again
        checkpoint.save(self.folder, name, tensors, state)
        if name == "last":
            self._saved = time.monotonic()

    def keep_until(self, epoch: int, step: int) -> None:
        """Remove what was recorded after this epoch and step: training makes and records it again."""
        history, recorded = self.run.history, self.run.steps
        path = self.folder / VAL_LOSSES
        before = self._val_losses()
        if before is not None and before.epochs is None:  # from a version that did not write them
            told = logs.val_losses(self.folder)
            losses = np.array(list(told.values()), np.float16).reshape(len(told), before.losses.shape[1])
            before = ValLosses(losses, np.array(list(told), np.int32))
        if before is None or before.epochs is None:
            path.unlink(missing_ok=True)
        else:
            kept = before.epochs <= epoch
            files.write_bytes(path, ValLosses(before.losses[kept], before.epochs[kept]).to_bytes())
        self._write_rows(METRICS, EPOCH_COLUMNS, [row for row in history if row.epoch <= epoch])
        self._write_rows(STEPS, STEP_COLUMNS, [row for row in recorded if row.step <= step])

    def remove_half_written(self) -> None:
        """Remove what a killed process had begun to write; this process has the lock, so no other is writing."""
        for name in ("last", "best"):
            shutil.rmtree(self.folder / f".{name}.writing", ignore_errors=True)
        for file in (METRICS, STEPS, VAL_LOSSES):
            for path in self.folder.glob(f".{file}.*.writing"):
                path.unlink(missing_ok=True)
        for path in self.folder.glob(".*.writing"):  # of those that look at the run, or draw it
            if files.writer_is_gone(path):
                path.unlink(missing_ok=True)

    def set_damaged_rows_aside(self) -> None:
        """Keep a damaged `metrics.csv` or `steps.csv` under another name and begin a new one."""
        for file, columns, read in ((METRICS, EPOCH_COLUMNS, History.read), (STEPS, STEP_COLUMNS, read_steps)):
            path = self.folder / file
            try:
                if path.exists() and path.stat().st_size:
                    read(path)
                    continue
                self.say(f"{path} is empty or missing; a new one is begun")
            except RunError as error:
                path.replace(path.with_name(f"{file}.damaged"))
                self.say(f"{error}; it is kept as {file}.damaged, and a new one is begun")
            self._write_rows(file, columns, [])

    @contextmanager
    def reported(self, flags: str = "") -> Iterator[None]:
        """Within it, an OSError becomes one line: the run, what is kept, and what to type, `flags` included."""
        try:
            yield
        except OSError as error:
            if not self._place.is_kept():
                raise RunError(self._gone) from None
            raise RunError(
                f"{self.folder} cannot be written ({error.strerror or error}); its last checkpoint is kept. "
                f"Make room, then: {self._again(flags)}"
            ) from None

    def refuse_another_run(self) -> None:
        """RunError where the folder is no longer that of this run, or a file that rows are appended to is another."""
        if not self._place.is_kept():
            raise RunError(self._gone)
        for file, place in self._rows.items():
            if not place.is_kept():
                raise RunError(
                    f"{self.folder / file} was removed or replaced during training, and its rows would be lost: "
                    f"training ends, and its last checkpoint is kept. To go on from there: {self._again('')}"
                )

    def _again(self, flags: str) -> str:
        return f"downstroke continue {shlex.quote(str(self.folder))} {flags}".rstrip()

    @property
    def _gone(self) -> str:
        return (
            f"{self.folder} was removed or replaced during training; training ends, and nothing was written into the "
            f"new folder"
        )

    def _write_rows(self, file: str, columns: tuple[str, ...], rows: list[Any]) -> None:
        lines = [",".join(columns), *(",".join(to_fields(row)) for row in rows)]
        files.write_bytes(self.folder / file, ("\n".join(lines) + "\n").encode())

    def _add_val_losses(self, epoch: int, new: NDArray[np.float32]) -> None:
        self.refuse_another_run()
        largest = np.finfo(np.float16).max  # the losses of a diverging run would become infinite beyond it
        losses = np.minimum(new, largest).astype(np.float16)[None]
        epochs = np.array([epoch], np.int32)
        before = self._val_losses()
        if before is not None and before.epochs is not None and before.losses.shape[1:] == losses.shape[1:]:
            kept = slice(-(VAL_LOSSES_KEPT - 1), None)
            losses = np.concatenate([before.losses[kept], losses])
            epochs = np.concatenate([before.epochs[kept], epochs])
        files.write_bytes(self.folder / VAL_LOSSES, ValLosses(losses, epochs).to_bytes())

    def _val_losses(self) -> ValLosses | None:
        """The losses recorded so far; None where there are none, or they are damaged: training does not need them."""
        try:
            return ValLosses.read(self.folder / VAL_LOSSES)
        except RunError as error:
            self.say(str(error))
            return None


def add_look(run: Run, look: dict[str, Any], probabilities: NDArray[np.float32]) -> dict[str, Any]:
    """Record a look at the test images, with the probabilities [N,C] of each; returns it with its number and time.

    RunError where the look cannot be recorded: then it must not be shown. The probabilities can be done without.
    """
    busy = f"{run.name} is being tested by another process; try again"
    try:
        with files.locked(run.folder / f".{LOOKS}.lock", busy):
            before = run.looks
            look = {"look": len(before) + 1, "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **look}
            files.write_json(run.folder / LOOKS, {"looks": [*before, look]})
            buffer = io.BytesIO()
            np.savez_compressed(buffer, look=look["look"], probabilities=probabilities)
            with suppress(OSError):
                files.write_bytes(run.folder / READINGS, buffer.getvalue())
    except OSError as error:
        raise RunError(
            f"{run.folder / LOOKS} cannot be written ({error.strerror or error}), and a look at the test set that is "
            f"not recorded is not shown. Make room, or make the folder writable, then test again"
        ) from None
    return look


def write_environment(run: Run, environment: dict[str, Any]) -> None:
    """Replace `environment.json`. OSError where the folder cannot be written."""
    files.write_json(run.folder / ENVIRONMENT, environment)


def _append(file: TextIO, row: EpochRow | StepRow) -> None:
    file.write(",".join(to_fields(row)) + "\n")
    file.flush()
