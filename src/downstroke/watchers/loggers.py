"""The events of a training for other programs' pages: TensorBoard, MLflow, Weights & Biases.

Each logger is a function of (training, event), as `downstroke.train(watch=...)` takes one. The figures have the names
of the CSV columns: `step/batch_loss` at each step, `epoch/val_loss` at each epoch.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from downstroke.errors import DownstrokeError, shown, to_install
from downstroke.history import EpochRow, StepRow
from downstroke.learning.events import EpochDone, Event, StepDone, Stopped


class Logger:
    """What all loggers do: open at the first event, pass on what was measured, say at the end how it ended.

    A logger that fails says so in a line on stderr and is left out from then on: training goes on.
    """

    name: str
    modules: tuple[str, ...]  # what it cannot do without

    def __init__(self) -> None:
        for module in self.modules:
            try:
                importlib.import_module(module)
            except ImportError:
                raise DownstrokeError(f"--log-to {self.name} needs {self.name}: {to_install(self.name)}") from None
        self._begun = self._failed = False
        self._ended = "failed"

    def __call__(self, training: Any, event: Event) -> None:
        """`training` has a `run` with a folder, a name and a recipe."""
        if self._failed:
            return
        try:
            if not self._begun:
                self.begin(training.run)
                self._begun = True
            if isinstance(event, StepDone):
                self.log("step", event.row, event.row.step)
            elif isinstance(event, EpochDone):
                self.log("epoch", event.row, event.row.epoch)
                self.flush()
            elif isinstance(event, Stopped):
                self._ended = event.reason.value
        except Exception as error:
            self._give_up(error)

    def close(self) -> None:
        """End it as finished, interrupted, or, where no `Stopped` came, failed."""
        if self._begun and not self._failed:
            try:
                self.flush()
                self.end(self._ended)
            except Exception as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._failed = True
        told = shown(" ".join(str(error).split()))[:200]
        print(f"note: logging to {self.name} ended: {type(error).__name__}: {told}", file=sys.stderr, flush=True)

    def begin(self, run: Any) -> None:
        raise NotImplementedError

    def log(self, kind: str, row: EpochRow | StepRow, at: int) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        """Write what was kept back."""

    def end(self, how: str) -> None:
        raise NotImplementedError


def measured(kind: str, row: EpochRow | StepRow) -> dict[str, float]:
    """What a row holds, by name, without what counts the rows and what was not measured (NaN)."""
    counts = ("epoch", "step") if kind == "epoch" else ("step",)
    return {f"{kind}/{name}": v for name, v in asdict(row).items() if name not in counts and not math.isnan(v)}


def identity(folder: Path) -> str:
    """A name for the run in a folder: the same when it is continued, another for a run made there later."""
    made = (folder / "environment.json").stat().st_mtime_ns
    return hashlib.sha256(f"{folder}\0{made}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


class TensorBoard(Logger):
    """Into the folder `tensorboard` of the run."""

    name, modules = "tensorboard", ("tensorboard", "torch.utils.tensorboard")

    def begin(self, run: Any) -> None:
        from torch.utils.tensorboard import SummaryWriter

        writer: Any = SummaryWriter
        self._writer = writer(str(run.folder / "tensorboard"))

    def log(self, kind: str, row: EpochRow | StepRow, at: int) -> None:
        for name, value in measured(kind, row).items():
            self._writer.add_scalar(name, value, at)

    def flush(self) -> None:
        self._writer.flush()

    def end(self, how: str) -> None:
        self._writer.close()


class MLflow(Logger):
    """Into the experiment `downstroke` of MLflow's tracking store: where MLFLOW_TRACKING_URI says, else local files.

    Continuing a run goes on with the same MLflow run.
    """

    name, modules = "mlflow", ("mlflow",)
    _STATUS: Mapping[str, str] = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
    _MOST_METRICS, _MOST_PARAMS = 1000, 100  # of one request, by MLflow's own limits

    def begin(self, run: Any) -> None:
        from mlflow import MlflowClient

        client = self._client = MlflowClient()
        experiment = client.get_experiment_by_name("downstroke")
        kept_in = experiment.experiment_id if experiment else client.create_experiment("downstroke")
        known = identity(run.folder)
        found = client.search_runs([kept_in], f"tags.\"downstroke.run\" = '{known}'", max_results=1)
        if found:
            self._id = found[0].info.run_id
            client.update_run(self._id, status="RUNNING")
        else:
            tags = {"downstroke.run": known, "downstroke.folder": str(run.folder)}
            self._id = client.create_run(kept_in, run_name=run.name, tags=tags).info.run_id
            self._log_recipe(run.recipe.to_dict())
        self._kept: list[Any] = []

    def _log_recipe(self, recipe: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(name, str(value)) for name, value in recipe.items()]
        for first in range(0, len(params), self._MOST_PARAMS):
            self._client.log_batch(self._id, params=params[first : first + self._MOST_PARAMS])

    def log(self, kind: str, row: EpochRow | StepRow, at: int) -> None:
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._kept += [Metric(name, value, now, at) for name, value in measured(kind, row).items()]
        if len(self._kept) >= self._MOST_METRICS:
            self.flush()

    def flush(self) -> None:
        kept, self._kept = self._kept, []
        for first in range(0, len(kept), self._MOST_METRICS):
            self._client.log_batch(self._id, metrics=kept[first : first + self._MOST_METRICS])

    def end(self, how: str) -> None:
        self._client.set_terminated(self._id, self._STATUS[how])


class WeightsAndBiases(Logger):
    """Into the folder `wandb` of the run, offline unless WANDB_MODE says otherwise; `wandb sync FOLDER` uploads it."""

    name, modules = "wandb", ("wandb",)

    def begin(self, run: Any) -> None:
        import wandb

        mode: Any = os.environ.get("WANDB_MODE", "offline")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "downstroke"),
            id=identity(run.folder),
            name=run.name,
            dir=str(run.folder),
            mode=mode,
            resume="allow",
            config=run.recipe.to_dict(),
            settings=wandb.Settings(silent=True, console="off"),
        )
        for kind in ("step", "epoch"):
            self._run.define_metric(f"{kind}/*", step_metric=f"{kind}/{kind}")

    def log(self, kind: str, row: EpochRow | StepRow, at: int) -> None:
        self._run.log({**measured(kind, row), f"{kind}/{kind}": at})

    def end(self, how: str) -> None:
        self._run.finish(exit_code=0 if how == "finished" else 1)


LOGGERS: Mapping[str, type[Logger]] = {kind.name: kind for kind in (MLflow, WeightsAndBiases, TensorBoard)}


def opened(names: str | Sequence[str]) -> list[Logger]:
    """The loggers of these names, each once. DownstrokeError for an unknown one, and where its package is missing."""
    wanted = dict.fromkeys([names] if isinstance(names, str) else names)
    for name in wanted:
        if name not in LOGGERS:
            raise DownstrokeError(f"no logger {name!r}; there are {', '.join(LOGGERS)}")
    return [LOGGERS[name]() for name in wanted]
