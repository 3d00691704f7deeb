"""Printing: text for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from downstroke.errors import counted, shown
from downstroke.history import four_decimals

if TYPE_CHECKING:
    from downstroke.advice.verdict import Advice
    from downstroke.api import Run
    from downstroke.reading.reader import Reading


def say(text: str) -> None:
    """One line on stderr; characters that do not print are escaped."""
    print(shown(text), file=sys.stderr, flush=True)


def tell(*lines: object, lead: str = "") -> None:
    """Each line on stdout; `lead` comes first, in bold. Names of files, runs and classes cannot break out of a line."""
    first, *more = (shown(str(line)) for line in lines)
    click.echo("\n".join([click.style(shown(lead), bold=True) * bool(lead) + first, *more]))


def on_stdout(paths: Iterable[Path | None], *, as_json: bool) -> bool:
    """Whether one of these outputs goes to our stdout, where nothing else may then be told; UsageError under --json."""
    from downstroke.runs.outputs import goes_to

    ours = next((path for path in paths if path and not path.is_char_device() and goes_to(path, 1)), None)
    if ours and as_json:
        raise click.UsageError(f"{ours} and --json both go to stdout; give a file, or leave out --json")
    return ours is not None


def print_json(value: Any) -> None:
    from downstroke.runs.files import dumps

    text = dumps(value)
    if context := click.get_current_context(silent=True):  # none where a test calls a part of this
        context.meta["answered"] = "whole"
    click.echo(text)


def print_item(value: dict[str, Any], first: bool) -> None:
    from downstroke.runs.files import dumps

    text = f"{'[' if first else ','}{dumps(value)}"
    click.get_current_context().meta["answered"] = "begun"
    click.echo(text, nl=False)


def end_items(none: bool = False) -> None:
    click.get_current_context().meta["answered"] = "whole"
    click.echo("[]" if none else "]")


def print_advice(advice: Advice) -> None:
    """The verdict, which is the first sentence of the reason, in bold."""
    verdict, stop, rest = advice.reason.partition(". ")
    tell(f" {rest}".rstrip(), lead=verdict + stop.rstrip())
    if advice.command:
        tell(advice.command)


def print_summary(run: Run, summary: dict[str, Any], advice: Advice | None) -> None:
    tell(
        f"{run.typed}: {counted(summary['epochs'], 'epoch')}, {counted(summary['steps'], 'step')}, "
        f"{summary['train_seconds']:.1f} s of training, {summary['peak_rss_mb']:.0f} MB of memory at most"
    )
    if summary["best_epoch"] is not None:
        tell(
            f"best weights: epoch {summary['best_epoch']}, val loss {four_decimals(summary['val_loss'])}, "
            f"val accuracy {summary['val_accuracy']:.2%}"
        )
    if run.picture:
        tell(f"plot:   {run.typed}/{run.picture.name}")
    if summary["stopped"] == "interrupted":
        return
    if advice:
        print_advice(advice)
    elif summary["epochs"]:
        tell(f"next:   downstroke continue {run.typed} --epochs 3, or: downstroke test {run.typed}")


def print_reading(reading: Reading, names: list[str], explain: bool) -> None:
    digits = [digit for line in reading.lines for digit in line.digits]
    reading = reading.strict()  # the text may go to another program: leave out what is uncertain
    if reading.refused:
        say(
            f"note: {reading.name}: {reading.refused} of {counted(len(digits), 'digit')} refused (?), "
            f"not enough like a digit to rely on"
        )
    if len(digits) == 1 and not explain:
        chance = f"{digits[0].probability:.1%}"
        told = chance if digits[0].accepted else f"refused; nearest is {digits[0].digit}, {chance}"
        tell(f"{reading.name}: {reading.text} ({told})")
        tell(*_bars(names, digits[0].probabilities))
        return
    for line in reading.lines:
        tell(f"{reading.name}: {line.text}")
        for digit in line.digits if explain else []:
            x, y, width, height = digit.box
            likely = sorted(range(len(names)), key=lambda i: -digit.probabilities[i])[:3]
            chances = ", ".join(f"{names[i]} {digit.probabilities[i]:.1%}" for i in likely)
            words = "; ".join([*digit.warnings, *([] if digit.accepted else ["refused"])]) or "no warnings"
            tell(f"  {digit.digit}  at {x},{y} {width}x{height}  {chances}  {words}")


def _bars(names: list[str], probabilities: list[float], width: int = 40, most: int = 10) -> list[str]:
    """A line for each class with its probability as a bar; of many classes, the most probable."""
    likely = sorted(range(len(names)), key=lambda i: -probabilities[i])[:most]
    told = {i: shown(names[i]) for i in likely}
    longest = max(map(len, told.values()))
    return [
        f"  {told[i]:>{longest}} {probabilities[i]:6.1%} {'█' * round(probabilities[i] * width)}".rstrip()
        for i in sorted(likely)
    ]


def print_figures(figures: dict[str, Any], as_json: bool) -> None:
    """The figures of a measurement."""
    if as_json:
        print_json(figures)
    else:
        from downstroke.bench.table import listed

        tell(*listed(figures).splitlines())
