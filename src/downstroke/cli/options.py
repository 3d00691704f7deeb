"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import click

from downstroke.recipe import RENAMED, STANDARD, Recipe

Command = Callable[..., Any]


class Output(click.Path):
    """A file or folder to write: its name is not empty, as that of a variable which is not set is."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the name is empty; give the name of a file or folder to write", param, ctx)
        return super().convert(value, param, ctx)


OUTPUT = Output()


def common(command: Command) -> Command:
    """The options of every command."""
    command = click.option(
        "--json",
        "as_json",
        is_flag=True,
        help='One JSON value on stdout, nothing else there; an error is {"error": LINE}.',
    )(command)
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=remember_debug,
        help="On an error, show the traceback.",
    )(command)


def remember_debug(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta["debug"] = True


def in_runs_dir(command: Command) -> Command:
    return click.option("--runs-dir", default="runs", show_default=True, type=click.Path(), help="The folder of runs.")(
        command
    )


def on_threads(command: Command) -> Command:
    return click.option("--threads", type=int, help="CPU threads; by default, as many as there are idle cores.")(
        command
    )


def on_machine(command: Command) -> Command:
    """Where to compute, and how."""
    command = on_threads(command)
    precision = click.option("--precision", default="auto", show_default=True, help="auto, float32 or bfloat16.")
    return click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")(
        precision(command)
    )


def trusting(command: Command) -> Command:
    return click.option(
        "--trust",
        is_flag=True,
        help="Run the Python code that the run's recipe names, although the run was not made here.",
    )(command)


def moved_data(command: Command) -> Command:
    """Where the data of a run is now."""
    val = click.option("--val-data", help="Where the images given as --val-data are now, if they were moved.")
    return click.option("--data", help="Where the run's data is now, if it was moved; the run keeps it.")(val(command))


def logging_to(command: Command) -> Command:
    """Other programs that get the figures."""
    short = click.option("--tensorboard", is_flag=True, help="The same as --log-to tensorboard.")
    return click.option(
        "--log-to",
        multiple=True,
        type=click.Choice(("mlflow", "wandb", "tensorboard")),
        help="Log the same figures there, too; may be given more than once.",
    )(short(command))


def at_most_epochs(command: Command) -> Command:
    return click.option(
        "--max-epochs",
        type=click.IntRange(1),
        metavar="N",
        help="With --until-done: train at most N epochs; by default, 1000.",
    )(command)


def recipe_fields(command: Command, without: Sequence[str] = ()) -> Command:
    """An option for every field of a recipe; one that is not given leaves the recipe's own value."""
    kinds = {"int": click.INT, "float": click.FLOAT}
    for field in reversed([f for f in fields(Recipe) if f.name not in ("name", *without)]):
        kind = kinds.get(str(field.type).split(" |")[0], click.STRING)
        flag = f"--{field.name.replace('_', '-')}"
        if field.type == "bool":
            flag, kind = f"{flag}/--no-{flag[2:]}", click.BOOL
        names = [flag, *(f"--{old.replace('_', '-')}" for old, new in RENAMED.items() if new == field.name), field.name]
        command = click.option(*names, type=kind, default=None, help=_sentence(field))(command)
    return command


#: Fields that a sweep of lr does not look at: it has an lr of its own at every step, and judges no W.
_NOT_SWEPT = (
    "lr",
    "schedule",
    "lr_decay",
    "lr_decay_epochs",
    "warmup_steps",
    "epochs",
    "uncertain",
    "average",
    "start_from",
)


def swept_fields(command: Command) -> Command:
    return recipe_fields(command, _NOT_SWEPT)


def _sentence(field: Field[Any]) -> str:
    """Its note as help: a capital first, unless it begins with a symbol such as f(W, x); and what standard has."""
    note, value = field.metadata["note"], getattr(STANDARD, field.name)
    shown = f"{value:.4g}" if isinstance(value, float) else value
    told = "" if value is None or isinstance(value, bool) else f"  [standard: {shown}]"
    return f"{note[0].upper() if note[1].isalpha() else note[0]}{note[1:]}.{told}"


def saved_to(name: str) -> Callable[[Command], Command]:
    return click.option("--out", type=OUTPUT, default=Path(name), show_default=True, help="The file for the figures.")
