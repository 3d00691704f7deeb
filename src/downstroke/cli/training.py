"""Training: train, continue, and find-lr, which suggests an lr."""

from __future__ import annotations

import inspect
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from downstroke.cli.options import (
    OUTPUT,
    at_most_epochs,
    common,
    in_runs_dir,
    logging_to,
    moved_data,
    on_machine,
    on_threads,
    recipe_fields,
    swept_fields,
    trusting,
)
from downstroke.cli.printing import print_json, print_summary, say, tell
from downstroke.cli.program import INTERRUPTED, main
from downstroke.errors import LogError, counted
from downstroke.recipe import RECIPES

PAGES = "pages"  # what `train` is told for the locator
_REPORT_EVERY = 100  # steps

if TYPE_CHECKING:
    from downstroke.advice.verdict import Advice
    from downstroke.api import Run


@main.command()
@click.argument("recipe", default="standard")
@recipe_fields
@click.option(
    "--until-done",
    is_flag=True,
    help="Train until the advice is to stop; on a plateau, lr first falls to 0. The best weights are kept.",
)
@at_most_epochs
@click.option("--no-val", is_flag=True, help="Use no val images: train on all the training images.")
@on_machine
@click.option("--name", help="The run's name; by default, two random words.")
@in_runs_dir
@logging_to
@common
def train(recipe: str, *, as_json: bool, no_val: bool, **options: Any) -> None:
    """Train a network.

    RECIPE is a name or a .json or .toml file of the fields below. `pages` trains the locator, which finds the digits on
    a page, on pages that it draws; it takes the options --seed, --threads, --name and --runs-dir only.
    """
    from downstroke import api
    from downstroke.show import losses

    if recipe == PAGES:
        _train_pages(options, as_json, no_val)
        return
    if no_val:
        if options["val_size"] is not None:
            raise click.UsageError("--no-val and --val-size exclude each other")
        options["val_size"] = 0.0
    if options["val_data"] is not None and options["val_size"] is not None:
        raise click.UsageError("--val-data gives all val images; leave out --val-size and --no-val")
    if options["until_done"] and options["epochs"] is not None:
        raise click.UsageError("--until-done and --epochs exclude each other")
    _bounded(options)
    given = {key: value for key, value in options.items() if value is not None}
    losses.begin_ahead()
    _report(api.train(recipe, **given), as_json)


def _train_pages(options: dict[str, Any], as_json: bool, no_val: bool) -> None:
    """Train a locator into a folder of its own among the runs; where it was interrupted, it goes on from there."""
    given = {key for key, value in options.items() if value not in (None, False, "auto", ())} | (
        {"no_val"} if no_val else set()
    )
    if others := sorted(given - {"seed", "threads", "name", "runs_dir"}):
        flags = ", ".join(f"--{other.replace('_', '-')}" for other in others)
        raise click.UsageError(f"train pages does not take {flags}; it takes --seed, --threads, --name and --runs-dir")
    from downstroke.data import sources
    from downstroke.learning import locator, machine
    from downstroke.runs.names import checked

    machine.choose("cpu", "float32", options["threads"]).use()
    seed = options["seed"] or 0
    if seed < 0:
        raise click.UsageError(f"--seed is {seed}; expected 0 or more")
    plan = locator.Plan(seed=seed)
    folder = Path(options["runs_dir"]) / checked(options["name"] or f"pages-{plan.seed}")
    losses: list[float] = []

    def report(step: int, loss: float) -> None:
        losses.append(loss)
        if step % _REPORT_EVERY == 0 or step == plan.steps:
            say(f"step {step:,} of {plan.steps:,}: loss {sum(losses) / len(losses):.3f}")
            losses.clear()

    record = locator.make(plan, sources.load("mnist", 0), folder, report)
    if as_json:
        print_json({"folder": str(folder), **record})
        return
    val = record["val"]
    tell(f"{folder}: {locator.WEIGHTS} of {counted(record['bytes'], 'byte')}, SHA-256 {record['sha256']}")
    pages, digits = counted(val["grounds"], "drawn page"), counted(val["digits"], "digit")
    tell(f"on {pages} it finds {val['found']:.1%} of {digits}")


def _bounded(options: dict[str, Any]) -> None:
    if options["max_epochs"] is not None and not options["until_done"]:
        raise click.UsageError("--max-epochs bounds --until-done; give both, or --epochs N for N epochs")


train.help = f"{inspect.cleandoc(train.help or '')}\n\nRecipes: {', '.join(RECIPES)}."


@main.command("continue")
@click.argument("run", required=False)
@click.option("--epochs", type=int, help="Epochs to add; by default, finish what was interrupted.")
@click.option("--until-done", is_flag=True, help="Train on until the advice is to stop; the best weights are kept.")
@at_most_epochs
@click.option("--lr", type=float, help="Continue with this lr, as a new leg.")
@click.option("--schedule", help="Continue with this schedule, as a new leg.")
@on_threads
@moved_data
@trusting
@click.option(
    "--accept-recipe", is_flag=True, help="Continue although recipe.json was changed since the last checkpoint."
)
@in_runs_dir
@logging_to
@common
def continue_(run: str | None, *, runs_dir: str, as_json: bool, **options: Any) -> None:
    """Train RUN further, from exactly where it stopped."""
    from downstroke.api import Run
    from downstroke.show import losses

    _bounded(options)
    opened = Run.open(run, runs_dir, trust=options.pop("trust"))
    before = opened.position.get("epoch", 0)  # not of metrics.csv, which may be damaged: continuing repairs it
    losses.begin_ahead()
    extended = _report(opened.extend(**options), as_json)
    if extended.position.get("epoch", 0) == before and not as_json:
        asked = counted(extended.position.get("leg", {}).get("last_epoch", before), "epoch")
        tell(
            f"nothing was left to do: {asked} asked for in all, {before} done; "
            f"to train on: downstroke continue {extended.typed} --epochs 3"
        )


def _report(run: Run, as_json: bool) -> Run:
    """Report how a training ended; under torchrun, from the first process only."""
    from downstroke.learning.distributed import is_first_rank
    from downstroke.learning.events import StopReason

    if not is_first_rank():
        return run
    advice = _advice(run)
    summary = {
        **run.summary(),
        "stopped": run.stopped.value if run.stopped else None,
        "advice": advice.to_dict() if advice else None,
        "peak_rss_mb": _peak_rss_mb(),
    }
    if as_json:
        print_json(summary)
    else:
        print_summary(run, summary, advice)
    if run.stopped is StopReason.INTERRUPTED:
        say(f"interrupted, and saved within the epoch; to go on: downstroke continue {run.typed}")
        sys.exit(INTERRUPTED)
    return run


def _advice(run: Run) -> Advice | None:
    """None if there is no val loss to base it on."""
    try:
        return run.advice()
    except LogError:
        return None


def _peak_rss_mb() -> float:
    """The most memory this process held, in MB; NaN where the system does not say."""
    try:
        # Linux counts what the parent held before it became us into getrusage, but not into this.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return round(int(status.split("VmHWM:")[1].split()[0]) / 1e3, 1)
    except (OSError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # not on Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)  # bytes there, kilobytes elsewhere


@main.command("find-lr")
@click.argument("recipe", default="standard")
@swept_fields
@on_machine
@click.option("--plot", "picture", type=OUTPUT, help="Draw the sweep into this .png or .svg file.")
@common
def find_lr(recipe: str, *, picture: Path | None, as_json: bool, **options: Any) -> None:
    """Suggest an lr for RECIPE by a range test: a few hundred steps, the lr rising at each. Nothing is kept.

    RECIPE is a name or a .json or .toml file, as in train.
    """
    from downstroke import api

    if picture:
        from downstroke.show.style import check_suffix

        check_suffix(picture)  # refused before the sweep, not after it
    given = {key: value for key, value in options.items() if value is not None}
    found = api.find_lr(recipe, **given)
    if picture:
        from downstroke.recipe import named
        from downstroke.show.range_plot import range_plot

        optimizer = given.get("optimizer", named(recipe).optimizer)
        picture = range_plot(found, picture, title=f"Learning-rate range test of {recipe} with {optimizer}").resolve()
    changed = {key: value for key, value in given.items() if value != "auto"}
    flags = [word for key, value in changed.items() for word in _typed(key.replace("_", "-"), value)]
    command = shlex.join(["downstroke", "train", recipe, *flags, "--lr", f"{found.suggestion:g}"])
    if as_json:
        print_json({**found.to_dict(), "command": command, "plot": str(picture) if picture else None})
        return
    tell(
        f" The smoothed loss falls up to lr {found.falls_to:.2g}; the lr suggested lies on the way down, for a "
        f"training of {counted(found.steps, 'step')}.",
        lead=f"lr {found.suggestion:g}.",
    )
    tell(command)
    if picture:
        tell(f"plot: {picture}")


def _typed(flag: str, value: Any) -> list[str]:
    """A flag and its value as typed: 50, not 50.0."""
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", str(value).removesuffix(".0")]
