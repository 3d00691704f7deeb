"""The runs that are here."""

from __future__ import annotations

from pathlib import Path

import click

from downstroke.cli.options import common, in_runs_dir
from downstroke.cli.printing import print_json
from downstroke.cli.program import main
from downstroke.errors import DownstrokeError, counted


@main.command()
@in_runs_dir
@common
def runs(*, runs_dir: str, as_json: bool) -> None:
    """The runs here, a line each, the newest first.

    Each is in training, finished, interrupted before its goal (`downstroke continue RUN` goes on), or empty: not a step
    was done.
    """
    from downstroke.runs.run import Run, list_folders

    rows, lost = [], set()
    for folder in reversed(list_folders(Path(runs_dir))):
        run = Run(folder)
        try:
            if run.history.lost:
                lost.add(str(run.folder))
            rows.append({**run.summary(), "state": run.state, "made": run.environment.get("made"), "error": None})
        except DownstrokeError as error:
            rows.append({"run": str(folder), "error": str(error)})
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo(f"no run in {Path(runs_dir).resolve()} yet; make one: downstroke train")
    for row in rows if not as_json else []:
        name = Path(row["run"]).name
        if row["error"]:
            click.echo(f"{name:24} {row['error']}")
            continue
        best = (
            f"val loss {row['val_loss']:.4f}, {row['val_accuracy']:.2%} at epoch {row['best_epoch']}"
            if row["best_epoch"]
            else ("val loss is no number: it diverged" if row["run"] in lost else "no val")
        )
        done = counted(row["epochs"], "epoch")
        click.echo(f"{name:24} {row['recipe']:10} {row['state']:11} {done:>10}  {best}  {row['made'] or ''}")
