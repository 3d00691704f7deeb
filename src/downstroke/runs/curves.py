"""The curve that advice is drawn from: that of a run, or of another program's log."""

from __future__ import annotations

import os
from pathlib import Path

from downstroke.advice import logs
from downstroke.advice.curve import Curve
from downstroke.advice.logs.table import Say
from downstroke.errors import NoValLossYetError, shown
from downstroke.runs.run import RECIPE, Run

Log = Run | str | os.PathLike[str] | None


def is_log(log: str | os.PathLike[str], runs_dir: str | os.PathLike[str] = "runs") -> bool:
    """Whether `log` is a file or folder that is there and no run."""
    path, runs = Path(log), (Path(log), Path(runs_dir) / log)
    return path.is_file() or (path.is_dir() and not any((run / RECIPE).is_file() for run in runs))


def check_there(log: str | os.PathLike[str], runs_dir: str | os.PathLike[str] = "runs") -> None:
    """NoValLossYetError for what looks like a file's path, where there is none and no run either."""
    path, runs = Path(log), (Path(log), Path(runs_dir) / log)
    if not path.exists() and (path.suffix or len(path.parts) > 1) and not any(run.is_dir() for run in runs):
        raise NoValLossYetError(f"no such file: {shown(str(path))}; expected a run, or the log of another program")


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
    if isinstance(log, str | os.PathLike):
        if is_log(log, runs_dir):
            return logs.read(Path(log), loss, val_loss, say=say), None
        check_there(log, runs_dir)
    run = log if isinstance(log, Run) else Run.open(log, runs_dir)
    return run.curve(loss, val_loss, say=say), run.typed
