"""Judging trainings: advise, compare, plot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from downstroke.cli.options import OUTPUT, common, in_runs_dir, trusting
from downstroke.cli.printing import print_advice, print_json, say, tell
from downstroke.cli.program import main


@main.command()
@click.argument("run", required=False, metavar="[RUN|LOG]")
@click.option("--every", is_flag=True, help="The advice after each epoch, from the history up to it.")
@click.option("--watch", is_flag=True, help="Follow a log that grows: a line after each epoch, the end at a stop.")
@click.option("--loss", help="The column of a log that holds the training loss.")
@click.option("--val-loss", help="The column of a log that holds the val loss.")
@click.option(
    "--operating-point",
    "--patience-like",
    "operating_point",
    default="balanced",
    show_default=True,
    help="When to stop: quick (soonest), balanced, or thorough (latest).",
)
@in_runs_dir
@common
def advise(run: str | None, *, every: bool, watch: bool, operating_point: str, as_json: bool, **reading: Any) -> None:
    """Say whether to train on or to stop, and why, from the history of RUN or from LOG, another program's log.

    LOG is the file (or its folder) of Keras', Lightning's or fastai's CSVLogger, the trainer_state.json of Hugging
    Face, the history.json of skorch, a TensorBoard event file, JSON lines, a saved History.history of Keras, MLflow's
    metrics, ultralytics' results.csv, or text whose lines name a val loss. With --watch the command ends, with exit
    code 0, when the advice is to stop.
    """
    from downstroke.advice import verdict
    from downstroke.runs.curves import curve_of

    notes: list[str] = []

    def note(line: str) -> None:
        notes.append(line)
        say(f"note: {line}")

    if watch:
        from downstroke.advice import watch as following

        if every:
            raise click.UsageError("--watch and --every exclude each other")
        heard: set[str] = set()  # a note is said once, not at every look

        def once(line: str) -> None:
            if line not in heard:
                heard.add(line)
                note(line)

        last = None
        followed = following.watch(
            lambda: curve_of(run, say=once, **reading)[0], operating_point=operating_point, say=note
        )
        for advice in followed:
            if not as_json and (sys.stdout.isatty() or last is None or advice.verdict != last):
                tell(f"epoch {advice.epoch:<4} {advice.verdict:12} {advice.reason}")
            last = advice.verdict
        if as_json:
            print_json({**advice.to_dict(), "notes": notes})
        return
    curve, name = curve_of(run, say=note, **reading)
    if not every:
        advice = verdict.advise(curve, run=name, operating_point=operating_point)
        if as_json:
            print_json({**advice.to_dict(), "notes": notes})
        else:
            print_advice(advice)
        return
    verdicts = verdict.advise_every(curve, run=name, operating_point=operating_point)
    if as_json:
        print_json({"verdicts": [{**advice.to_dict(), "notes": notes} for advice in verdicts]})
        return
    for advice in verdicts:
        tell(f"epoch {advice.epoch:<4} {advice.verdict:12} {advice.reason}")


@main.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@trusting
@in_runs_dir
@common
def compare(runs: tuple[str, ...], *, runs_dir: str, trust: bool, as_json: bool) -> None:
    """Compare two runs on the same val images, each with its best weights: which is better, and is it more than chance?

    Three runs or more are compared pair by pair, and the JSON is a list. The result holds for these weights: with
    another seed, either recipe would give others.
    """
    from downstroke import api

    if len(runs) < 2:
        raise click.UsageError("one run given; expected two or more")
    found = api.compare(*runs, runs_dir=runs_dir, trust=trust)
    pairs = found if isinstance(found, list) else [found]
    for damage in dict.fromkeys(pair["damage"] for pair in pairs if pair["damage"]):
        say(f"note: {damage}")
    if as_json:
        print_json(found)
        return
    for index, pair in enumerate(pairs):
        told = [pair["digits"], pair["losses"], *([pair["lengths"]] if pair["lengths"] else [])]
        tell(*([""] if index else []), *told)


@main.command()
@click.argument("runs", nargs=-1, metavar="[RUN|LOG]...")
@click.option(
    "--out",
    type=OUTPUT,
    help="A .png or .svg file; left out, loss.png in the run's folder, or of several runs losses.png in the "
    "current folder.",
)
@in_runs_dir
@common
def plot(runs: tuple[str, ...], *, out: Path | None, runs_dir: str, as_json: bool) -> None:
    """Draw the losses of a run, or of several in one picture; also of the logs of other programs, with the forecast."""
    from downstroke import api
    from downstroke.runs.curves import check_there, curve_of, is_log
    from downstroke.show.log_plot import plot_logs

    for run in runs:
        check_there(run, runs_dir)
    if any(is_log(run, runs_dir) for run in runs):
        notes: list[str] = []

        def note(line: str) -> None:
            notes.append(line)
            say(f"note: {line}")

        curves = {run: curve_of(run, runs_dir=runs_dir, say=note)[0] for run in runs}
        path = plot_logs(curves, out or Path("losses.png")).resolve()
        if as_json:
            print_json({"logs": list(runs), "plot": str(path), "notes": notes})
        else:
            tell(path)
        return
    opened = [api.Run.open(run, runs_dir) for run in runs] or [api.Run.open(None, runs_dir)]
    path = opened[0].plot(out) if len(opened) == 1 else api.plot(opened, out or Path("losses.png"))
    path = path.resolve()
    if as_json:
        print_json({"runs": [str(run.folder) for run in opened], "plot": str(path)})
    else:
        tell(path)
