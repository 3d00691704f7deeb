"""The measurements that the docs quote, a command each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from downstroke.cli.options import common, in_runs_dir, saved_to
from downstroke.cli.printing import print_figures, print_json, say, tell
from downstroke.cli.program import main
from downstroke.cli.reading import reader_of


@main.group()
def bench() -> None:
    """The measurements behind the figures in the docs."""


@bench.command()
@click.option("--seeds", default=5, show_default=True, help="Train the default recipe with seeds 0..N-1.")
@click.option("--trials", default=20, show_default=True, help="Random trials of continuing, and of being killed.")
@click.option(
    "--only",
    type=click.Choice(["loop", "memory", "accuracy", "continue", "kill", "together", "precision"]),
    multiple=True,
    help="Only these parts.",
)
@saved_to("bench-core.json")
@common
def core(*, as_json: bool, **options: Any) -> None:
    """Accuracy, the loop's overhead, memory, and that a run loses nothing."""
    from downstroke.bench.core import measure

    print_figures(measure(**options, say=say), as_json)


@bench.command("until-done")
@click.option("--seeds", default=3, show_default=True, help="Seeds 0..N-1.")
@click.option("--max-epochs", type=int, help="The most epochs of a training; left out, until the advice is to stop.")
@click.option("--train-size", type=float, help="Training images; left out, all.")
@click.option("--runs-dir", type=click.Path(path_type=Path), default=Path("bench-until-done"), show_default=True)
@saved_to("bench-until-done.json")
@common
def until_done(*, as_json: bool, **options: Any) -> None:
    """The default recipe until it is done, against a cosine that knew as many epochs beforehand: val loss.

    Every training stays in --runs-dir, and the same command goes on from there.
    """
    from downstroke.bench.until_done import measure, table

    figures = measure(**options, say=say)
    if as_json:
        print_json(figures)
    else:
        tell(*table(figures).splitlines())


@bench.command()
@click.argument("recipes", nargs=-1)
@click.option("--seeds", default=5, show_default=True, help="Train each recipe with seeds 0..N-1.")
@saved_to("bench-speed.json")
@common
def speed(recipes: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Recipes against R, one epoch of the best published single-epoch recipe, in turn: time and test accuracy.

    RECIPES: left out, sprint and standard.
    """
    from downstroke.bench.speed import measure

    print_figures(measure(recipes=recipes or ("sprint", "standard"), **options, say=say), as_json)


@bench.command("few-labels")
@click.option("--labels", type=click.IntRange(1, 5000), multiple=True, default=(10, 100), show_default=True)
@click.option("--draws", default=5, show_default=True, help="Draws 0..N-1 of the images, each with a seed of its own.")
@saved_to("bench-few-labels.json")
@common
def few_labels(*, as_json: bool, **options: Any) -> None:
    """Test accuracy of trainings on 10, and on 100, images a class."""
    from downstroke.bench.few_labels import measure

    print_figures(measure(**options, say=say), as_json)


@bench.command()
@click.option("--run", help="The run to read with; left out, the shipped reader.")
@click.option("--images", type=click.IntRange(1), help="The first N test images only; by default, all.")
@in_runs_dir
@saved_to("bench-corruptions.json")
@common
def corruptions(*, run: str | None, runs_dir: str, as_json: bool, **options: Any) -> None:
    """The test images spoiled in twelve ways: noise, blur, fog, stripes and others. How many are still read right?"""
    from downstroke.bench.corruptions import measure

    reader = reader_of(run, runs_dir, trust=False)
    print_figures(measure(reader=reader, **options, say=say), as_json)


@bench.command("find-lr")
@click.option("--model", "models", type=click.Choice(["linear", "mlp", "cnn"]), multiple=True, help="Only these.")
@click.option("--optimizer", "optimizers", multiple=True, help="Only these.")
@click.option("--seeds", default=3, show_default=True, help="Seeds 0..N-1.")
@click.option("--train-size", type=float, help="Training images; left out, all.")
@click.option("--lines", type=click.Path(path_type=Path), default=Path("bench-find-lr.jsonl"), show_default=True)
@saved_to("bench-find-lr.json")
@common
def bench_find_lr(*, as_json: bool, **options: Any) -> None:
    """Three epochs at the lr that find-lr suggests, against a grid of nine lrs, by model, optimizer and seed.

    What is measured goes into the file of --lines at once; the same command goes on from there.
    """
    from downstroke.bench.find_lr import measure, table

    figures = measure(**options, say=say)
    if as_json:
        print_json(figures)
    else:
        tell(*table(figures).splitlines())


@bench.command("advice")
@click.option(
    "--half",
    type=click.Choice(["develop", "report", "others", "public"]),
    default="report",
    show_default=True,
    help="Of downstroke's own histories, those of other programs, or logs of public repositories.",
)
@click.option(
    "--histories",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    help="A folder of CSV logs to measure on instead.",
)
@saved_to("bench-advice.json")
@common
def bench_advice(*, as_json: bool, **options: Any) -> None:
    """The advice when to stop, against every patience, on a corpus of histories."""
    from downstroke.bench.advice import default_points, measure, table

    figures = measure(points=default_points(), **options, say=say)
    if as_json:
        print_json(figures)
    else:
        tell(*table(figures).splitlines())


@bench.command("callbacks")
@click.argument("frameworks", nargs=-1, type=click.Choice(["Keras", "Lightning", "skorch", "transformers"]))
@saved_to("bench-callbacks.json")
@common
def bench_callbacks(frameworks: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Early stopping by advice inside FRAMEWORKS, against their own at patience 3, 5 and 10: epochs and val loss.

    FRAMEWORKS: left out, all that are installed.
    """
    from downstroke.bench.callbacks import measure, table

    figures = measure(names=frameworks, **options, say=say)
    if as_json:
        print_json(figures)
    else:
        tell(*table(figures).splitlines())


@bench.command()
@click.option("--model", "names", type=click.Choice(["mlp", "cnn"]), multiple=True, default=("mlp", "cnn"))
@click.option("--steps", default=400, show_default=True, help="Steps timed at a stretch.")
@click.option("--rounds", default=7, show_default=True, help="Rounds of measuring, each competitor once a round.")
@saved_to("bench-peers.json")
@common
def peers(*, as_json: bool, **options: Any) -> None:
    """The same model and steps with Lightning, Keras, skorch, scikit-learn and plain PyTorch, in turn."""
    from downstroke.bench.peers import measure, table

    figures = measure(**options, say=say)
    if as_json:
        print_json(figures)
    else:
        tell(*table(figures, options["names"]).splitlines())


@bench.command()
@click.option("--rounds", default=5, show_default=True, help="Rounds of measuring, each competitor once a round.")
@click.option("--recipe", default="standard", show_default=True, help="The recipe that is trained.")
@click.option("--images", default=10_000, show_default=True, help="Training images of an epoch.")
@saved_to("bench-scale.json")
@common
def scale(*, as_json: bool, **options: Any) -> None:
    """Two processes of one thread each against one process of two threads: steps a second, in turn."""
    from downstroke.bench.scale import measure

    print_figures(measure(**options, say=say), as_json)


@bench.command()
@click.option("--run", help="The run to read with; left out, one epoch of the default recipe is trained for it.")
@click.option("--rounds", default=15, show_default=True, help="Rounds of measuring, each competitor once a round.")
@in_runs_dir
@saved_to("bench-inference.json")
@common
def inference(*, as_json: bool, **options: Any) -> None:
    """Images a second that a reader reads in batches, against ONNX Runtime with the same W, in turn."""
    from downstroke.bench.inference import measure

    print_figures(measure(**options, say=say), as_json)


@bench.command()
@click.option("--rounds", default=5, show_default=True, help="Rounds of measuring, each competitor once a round.")
@saved_to("bench-startup.json")
@common
def startup(*, as_json: bool, **options: Any) -> None:
    """`downstroke train sprint` from prompt to result, less importing torch and the training itself."""
    from downstroke.bench.startup import measure

    print_figures(measure(**options, say=say), as_json)


@bench.command("studio")
@click.option("--seconds", default=60.0, show_default=True, help="How long each server is under load.")
@click.option("--clients", default=64, show_default=True, help="How many ask at once.")
@saved_to("bench-studio.json")
@common
def studio_(*, as_json: bool, **options: Any) -> None:
    """Reading over HTTP under load, each answer checked, against plain FastAPI with ONNX Runtime, in turn.

    Then how soon /healthz answers while a training runs.
    """
    from downstroke.bench.studio import measure

    print_figures(measure(**options, say=say), as_json)


@bench.command("reading")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="A folder with glyphs/ and pages/.")
@click.option("--run", help="The run to read with: its folder or name; by default, the shipped reader.")
@in_runs_dir
@saved_to("bench-reading.json")
@common
def reading_(*, data: Path, run: str | None, runs_dir: str, as_json: bool, out: Path) -> None:
    """Real handwriting: accuracy, calibration and acceptance by set, and the character error of pages.

    DIR holds glyphs/*.npz (images, labels: one digit an image), not-digits/*.npz, and pages/labels.csv (file,text; |
    between lines) with the pictures. The same of RapidOCR (rapidocr-onnxruntime) and Tesseract, where installed.
    """
    from downstroke.bench.other_readers import installed
    from downstroke.bench.reading import measure, table

    figures = measure(data, reader_of(run, runs_dir), out, say=say, others=installed())
    if as_json:
        print_json(figures)
    else:
        tell(*table(figures).splitlines())
