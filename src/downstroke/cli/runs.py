"""The command that lists runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from downstroke.cli.options import common, in_runs_dir
from downstroke.cli.printing import print_json, tell
from downstroke.cli.program import main
from downstroke.errors import counted

if TYPE_CHECKING:
    from downstroke.runs.run import Run


@main.command()
@in_runs_dir
@common
def runs(*, runs_dir: str, as_json: bool) -> None:
    """List the runs, the newest first.

    Each is in training, finished, interrupted before its goal (`downstroke continue RUN` goes on), or empty (no
    step done).
    """
    from downstroke.runs.run import Run, damage, list_folders

    rows, lines = [], []
    for folder in reversed(list_folders(Path(runs_dir))):
        try:
            row, line = _row(Run(folder))
        except Exception as error:  # one damaged run must not hide the others
            row = {"run": str(folder), "error": damage(error)}
            line = f"{folder.name:24} {row['error']}"
        rows.append(row)
        lines.append(line)
    if as_json:
        print_json(rows)
    elif not rows:
        tell(f"no run in {Path(runs_dir).resolve()} yet; make one: downstroke train")
    else:
        tell(*lines)


def _row(run: Run) -> tuple[dict[str, Any], str]:
    """A run as JSON, and as a line."""
    row = {**run.summary(), "state": run.state, "made": run.environment.get("made"), "error": None}
    best = (
        f"val loss {row['val_loss']:.4f}, {row['val_accuracy']:.2%} at epoch {row['best_epoch']}"
        if row["best_epoch"]
        else ("val loss is no number: it diverged" if run.history.lost else "no val")
    )
    done = counted(row["epochs"], "epoch")
    return row, f"{run.name:24} {row['recipe']:10} {row['state']:11} {done:>10}  {best}  {row['made'] or ''}"
