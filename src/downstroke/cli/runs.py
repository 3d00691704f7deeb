"""The commands that list runs and recipes."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from downstroke.cli.options import common, in_runs_dir
from downstroke.cli.printing import print_json, tell
from downstroke.cli.program import main
from downstroke.errors import counted
from downstroke.history import four_decimals

if TYPE_CHECKING:
    from downstroke.recipe import About
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
        f"val loss {four_decimals(row['val_loss'])}, {row['val_accuracy']:.2%} at epoch {row['best_epoch']}"
        if row["best_epoch"]
        else ("val loss is no number: it diverged" if run.history.lost else "no val")
    )
    done = counted(row["epochs"], "epoch")
    return row, f"{run.name:24} {row['recipe']:10} {row['state']:11} {done:>10}  {best}  {row['made'] or ''}"


@main.command()
@click.argument("names", nargs=-1, metavar="[RECIPE]...")
@common
def recipes(names: tuple[str, ...], *, as_json: bool) -> None:
    """List the recipes: what each is for, its measured figures, and the fields that are its own.

    R is the time of one epoch of a published recipe, measured beside; docs/figures.md says how.
    """
    from downstroke.reading.shipped import shipped
    from downstroke.recipe import ABOUT, RECIPES, SHIPPED, About, Recipe, named

    plain, rows = Recipe().to_dict(), []
    for name in names or RECIPES:
        recipe, about = named(name), ABOUT.get(name, About("your own"))
        if name == SHIPPED:
            about = replace(about, val_accuracy=shipped().val_accuracy)
        rows.append({"name": recipe.name, **asdict(about), "fields": recipe.to_dict()})
        if as_json:
            continue
        own = {key: value for key, value in recipe.to_dict().items() if key != "name" and value != plain[key]}
        tell(f"  {about.purpose}", lead=recipe.name)
        if told := _measured(about):
            tell(f"  measured: {told}")
        tell(f"  {', '.join(f'{key} {value}' for key, value in {'model': recipe.model, **own}.items())}")
    if as_json:
        print_json(rows)


def _measured(about: About) -> str:
    parts = []
    if about.test_accuracy is not None:
        parts.append(f"test accuracy {about.test_accuracy:.2%} (mean of {counted(about.seeds, 'seed')})")
    if about.val_accuracy is not None:
        parts.append(f"val accuracy {about.val_accuracy:.2%}")
    if about.epochs_of_r is not None:
        parts.append(f"{about.epochs_of_r:g} R of training")
    return ", ".join(parts)
