"""The commands: parse, call, print. What they do lives in the rooms below."""

from __future__ import annotations

import inspect
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from downstroke.errors import DownstrokeError, LogError, PictureError, RecipeError, counted, shown
from downstroke.recipe import RECIPES, Recipe

if TYPE_CHECKING:
    from downstroke.advice.verdict import Advice
    from downstroke.api import Run
    from downstroke.reading.reader import Reader, Reading

Command = Callable[..., Any]
FAILED, USAGE, REFUSED, INTERRUPTED = 1, 2, 3, 130


class Program(click.Group):
    """The group of commands; turns what downstroke raises into one line and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["json"] = "--json" in args  # known also where the command's own options cannot be parsed
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            _answer_error(ctx, shown(error.format_message()))
            raise
        except (click.ClickException, click.exceptions.Exit, click.Abort, SystemExit):
            raise
        except KeyboardInterrupt:
            _say("interrupted")
            _answer_error(ctx, "interrupted")
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:  # whoever read our output has seen enough
            sys.stderr.close()
            ctx.exit(FAILED)
        except Exception as error:
            if ctx.meta.get("debug"):
                raise
            line = shown(_line(error))
            _say(f"error: {line}")
            _answer_error(ctx, line)
            ctx.exit(USAGE if isinstance(error, RecipeError) else FAILED)


def _answer_error(ctx: click.Context, line: str) -> None:
    """Under --json, make stdout one JSON value: the error, or the list that was begun with the error as its last."""
    answered = ctx.meta.get("answered")
    if not ctx.meta.get("json") or answered == "whole":
        return
    if answered == "begun":
        _print_item({"error": line}, first=False)
        _end_items()
    else:
        _print_json({"error": line})


def _line(error: Exception) -> str:
    """What a person sees of an error."""
    if isinstance(error, DownstrokeError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    return f"{type(error).__name__}: {' '.join(str(error).split())} (unexpected; --debug shows where)"


def _say(text: str) -> None:
    """One line on stderr, whatever a file's name holds."""
    print(shown(text), file=sys.stderr, flush=True)


def _common(command: Command) -> Command:
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
        callback=_remember_debug,
        help="On an error, show the traceback.",
    )(command)


def _remember_debug(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta["debug"] = True


def _runs_dir(command: Command) -> Command:
    return click.option("--runs-dir", default="runs", show_default=True, type=click.Path(), help="Where runs live.")(
        command
    )


def _threads(command: Command) -> Command:
    return click.option("--threads", type=int, help="Threads of the CPU; left out, as many as there are idle cores.")(
        command
    )


def _machine(command: Command) -> Command:
    """Where to compute, and how."""
    command = _threads(command)
    precision = click.option("--precision", default="auto", show_default=True, help="auto, float32 or bfloat16.")
    return click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")(
        precision(command)
    )


def _moved_data(command: Command) -> Command:
    """Where the data of a run is now."""
    val = click.option("--val-data", help="Where the images given as --val-data are now, if they were moved.")
    return click.option("--data", help="Where the run's data is now, if it was moved; the run keeps it.")(val(command))


def _max_epochs(command: Command) -> Command:
    return click.option(
        "--max-epochs",
        type=click.IntRange(1),
        metavar="N",
        help="With --until-done: train N epochs at most; left out, 1000.",
    )(command)


def _recipe_fields(command: Command, without: Sequence[str] = ()) -> Command:
    """An option for every field of a recipe; one that is not given leaves the recipe's own value."""
    kinds = {"int": click.INT, "float": click.FLOAT}
    for field in reversed([f for f in fields(Recipe) if f.name not in ("name", *without)]):
        kind = kinds.get(str(field.type).split(" |")[0], click.STRING)
        flag = f"--{field.name.replace('_', '-')}"
        if field.type == "bool":
            flag, kind = f"{flag}/--no-{flag[2:]}", click.BOOL
        command = click.option(flag, type=kind, default=None, help=_sentence(field.metadata["note"]))(command)
    return command


#: Fields that a sweep of lr does not look at: it has an lr of its own at every step, and judges no W.
_NOT_SWEPT = ("lr", "schedule", "lr_decay", "lr_decay_epochs", "warmup_steps", "epochs", "average")


def _swept_fields(command: Command) -> Command:
    return _recipe_fields(command, _NOT_SWEPT)


def _sentence(note: str) -> str:
    """The note as help: a capital first, unless it begins with a symbol such as f(W, x)."""
    return f"{note[0].upper() if note[1].isalpha() else note[0]}{note[1:]}."


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="downstroke")
@click.option("--debug", is_flag=True, expose_value=False, callback=_remember_debug, help="Show tracebacks.")
def main() -> None:
    """Teach a network to read handwritten digits, and see every step of that learning.

    RUN is a run's folder, or its name in the runs folder; left out, it is the newest.
    """


@main.command()
@click.argument("recipe", default="standard")
@_recipe_fields
@click.option(
    "--until-done",
    is_flag=True,
    help="Train until the advice is to stop, on a plateau with lr to 0 at last; the best W is kept.",
)
@_max_epochs
@click.option("--no-val", is_flag=True, help="Set no val images apart: train on all the training images.")
@_machine
@click.option("--name", help="The run's name; left out, two words at random.")
@_runs_dir
@click.option("--tensorboard", is_flag=True, help="Write the same figures for TensorBoard.")
@_common
def train(recipe: str, *, as_json: bool, no_val: bool, **options: Any) -> None:
    """Train a network.

    RECIPE is a name or a .json or .toml file of the fields below.
    """
    from downstroke import api

    if no_val:
        if options["val_size"] is not None:
            raise click.UsageError("--no-val and --val-size exclude each other")
        options["val_size"] = 0.0
    if options["val_data"] is not None and options["val_size"] is not None:
        raise click.UsageError("--val-data is val, whatever its size; leave --val-size and --no-val out")
    if options["until_done"] and options["epochs"] is not None:
        raise click.UsageError("--until-done and --epochs exclude each other")
    _bounded(options)
    given = {key: value for key, value in options.items() if value is not None}
    _report(api.train(recipe, **given), as_json)


def _bounded(options: dict[str, Any]) -> None:
    if options["max_epochs"] is not None and not options["until_done"]:
        raise click.UsageError("--max-epochs bounds --until-done; give both, or --epochs N for N epochs")


train.help = f"{inspect.cleandoc(train.help or '')}\n\nRecipes: {', '.join(RECIPES)}."


@main.command("continue")
@click.argument("run", required=False)
@click.option("--epochs", type=int, help="Epochs more; left out, finish what was interrupted.")
@click.option("--until-done", is_flag=True, help="Train on until the advice is to stop; the best W is kept.")
@_max_epochs
@click.option("--lr", type=float, help="Go on with this lr: a new leg.")
@click.option("--schedule", help="Go on with this schedule: a new leg.")
@_threads
@_moved_data
@click.option("--accept-recipe", is_flag=True, help="Go on although recipe.json was changed since.")
@_runs_dir
@click.option("--tensorboard", is_flag=True, help="Write the same figures for TensorBoard.")
@_common
def continue_(run: str | None, *, runs_dir: str, as_json: bool, **options: Any) -> None:
    """Train RUN further, from the very state it was left in."""
    from downstroke.api import Run

    _bounded(options)
    opened = Run.open(run, runs_dir)
    before = opened.summary()["epochs"]
    extended = _report(opened.extend(**options), as_json)
    if extended.summary()["epochs"] == before and not as_json:
        click.echo(f"nothing was left to do; to train on: downstroke continue {extended.typed} --epochs 3")


def _report(run: Run, as_json: bool) -> Run:
    """Say how a training ended; of several processes, the first alone."""
    from downstroke.learning.distributed import rank_speaks
    from downstroke.learning.events import StopReason

    if not rank_speaks():
        return run
    advice = _advice(run)
    summary = {
        **run.summary(),
        "stopped": run.stopped.value if run.stopped else None,
        "advice": advice.to_dict() if advice else None,
        "peak_rss_mb": _peak_rss_mb(),
    }
    if as_json:
        _print_json(summary)
    else:
        _print_summary(run, summary, advice)
    if run.stopped is StopReason.INTERRUPTED:
        _say(f"interrupted, and saved within the epoch; to go on: downstroke continue {run.typed}")
        sys.exit(INTERRUPTED)
    return run


def _advice(run: Run) -> Advice | None:
    """None where there is no val loss to draw it from."""
    try:
        return run.advice()
    except LogError:
        return None


def _print_summary(run: Run, summary: dict[str, Any], advice: Advice | None) -> None:
    click.echo(
        f"{run.typed}: {counted(summary['epochs'], 'epoch')}, {counted(summary['steps'], 'step')}, "
        f"{summary['train_seconds']:.1f} s of training, {summary['peak_rss_mb']:.0f} MB of memory at most"
    )
    if summary["best_epoch"] is not None:
        click.echo(
            f"best W: epoch {summary['best_epoch']}, val loss {summary['val_loss']:.4f}, "
            f"val accuracy {summary['val_accuracy']:.2%}"
        )
    if summary["epochs"]:
        click.echo(f"plot:   {run.typed}/loss.png")
    if summary["stopped"] == "interrupted":
        return
    if advice:
        _print_advice(advice)
    elif summary["epochs"]:
        click.echo(f"next:   downstroke continue {run.typed} --epochs 3, or: downstroke test {run.typed}")


@main.command()
@click.argument("run", required=False, metavar="[RUN|LOG]")
@click.option("--every", is_flag=True, help="What would have been said after each epoch, from the history up to there.")
@click.option("--loss", help="The column of a log that holds the training loss.")
@click.option("--val-loss", help="The column of a log that holds the val loss.")
@click.option(
    "--operating-point",
    "--patience-like",
    "operating_point",
    default="balanced",
    show_default=True,
    help="quick, balanced or thorough, of which each stops later than the one before.",
)
@_runs_dir
@_common
def advise(run: str | None, *, every: bool, operating_point: str, as_json: bool, **reading: Any) -> None:
    """Train on, or stop, and why: from the history of RUN, or from LOG, what another program logged.

    LOG is the file (or its folder) of Keras', Lightning's or fastai's CSVLogger, the trainer_state.json of Hugging
    Face, the history.json of skorch, or a TensorBoard event file.
    """
    from downstroke.advice import verdict
    from downstroke.api import curve_of

    curve, name = curve_of(run, say=lambda line: _say(f"note: {line}"), **reading)
    if not every:
        advice = verdict.advise(curve, run=name, operating_point=operating_point)
        if as_json:
            _print_json(advice.to_dict())
        else:
            _print_advice(advice)
        return
    verdicts = verdict.advise_every(curve, run=name, operating_point=operating_point)
    if as_json:
        _print_json({"verdicts": [advice.to_dict() for advice in verdicts]})
        return
    for advice in verdicts:
        click.echo(f"epoch {advice.epoch:<4} {advice.verdict:12} {advice.reason}")


def _print_advice(advice: Advice) -> None:
    """The verdict, which is the first sentence of the reason, in bold."""
    verdict, stop, rest = advice.reason.partition(". ")
    click.echo(f"{click.style(verdict + stop.rstrip(), bold=True)} {rest}".rstrip())
    if advice.command:
        click.echo(advice.command)


@main.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@_runs_dir
@_common
def compare(runs: tuple[str, ...], *, runs_dir: str, as_json: bool) -> None:
    """Two runs on the same val images, each with its best W: which reads better, and is it more than chance.

    Of three runs or more, every pair; their JSON is a list. The difference is that of these W. Another seed would give
    either recipe another W.
    """
    from downstroke import api

    if len(runs) < 2:
        raise click.UsageError("one run is given; expected two, or more")
    found = api.compare(*runs, runs_dir=runs_dir)
    pairs = found if isinstance(found, list) else [found]
    for damage in dict.fromkeys(pair["damage"] for pair in pairs if pair["damage"]):
        _say(f"note: {damage}")
    if as_json:
        _print_json(found)
        return
    for index, pair in enumerate(pairs):
        told = [pair["digits"], pair["losses"], *([pair["lengths"]] if pair["lengths"] else [])]
        click.echo("\n" * (index > 0) + "\n".join(told))


@main.command()
@click.argument("runs", nargs=-1)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="A .png or .svg file; left out, loss.png in the run's folder, or of several runs losses.png in the "
    "current folder.",
)
@_runs_dir
@_common
def plot(runs: tuple[str, ...], *, out: Path | None, runs_dir: str, as_json: bool) -> None:
    """Draw the losses of a run, or of several in one picture."""
    from downstroke import api

    opened = [api.Run.open(run, runs_dir) for run in runs] or [api.Run.open(None, runs_dir)]
    path = opened[0].plot(out) if len(opened) == 1 else api.plot(opened, out or Path("losses.png"))
    path = path.resolve()
    if as_json:
        _print_json({"runs": [str(run.folder) for run in opened], "plot": str(path)})
    else:
        click.echo(path)


@main.command()
@click.argument("run", required=False)
@click.option("--weights", type=click.Choice(["best", "last"]), help="Which W; left out, best where there is one.")
@_moved_data
@_runs_dir
@_common
def test(
    run: str | None, *, weights: str | None, data: str | None, val_data: str | None, runs_dir: str, as_json: bool
) -> None:
    """Look at the sealed test set. Every look is recorded: choices belong on val."""
    from downstroke.api import Run

    opened = Run.open(run, runs_dir)
    result = opened.test(weights, data=data, val_data=val_data)
    if result["damage"]:
        _say(f"note: {result['damage']}")
    if as_json:
        _print_json(result)
        return
    low, high = result["accuracy_interval"]
    click.echo(
        f"look {result['looks']} at the test set of {opened.typed}, "
        f"with W of {result['weights']}, epoch {result['epoch']}"
    )
    click.echo(f"accuracy   {result['accuracy']:.2%} (95% interval {low:.2%} to {high:.2%})")
    click.echo(f"misread    {result['errors']:,} of {result['images']:,}: {result['pictures']['misread']}")
    click.echo(f"NLL        {result['nll']:.4f} nats, calibration error {result['ece']:.2%}")
    worst = sorted((share, name) for name, share in result["recall"].items() if not math.isnan(share))[:3]
    click.echo(f"recall     lowest for {', '.join(f'{name} ({share:.1%})' for share, name in worst)}")
    click.echo(f"confusion  {result['pictures']['confusion']}")


@main.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--run", help="The run to read with: its folder or name; left out, the shipped reader.")
@click.option("--digit", is_flag=True, help="Each picture is one digit: the one at its centre.")
@click.option("--strict", is_flag=True, help="A refused digit is ? in the JSON's text too; the exit code is then 3.")
@click.option("--show", type=click.Path(path_type=Path), help="Draw boxes and readings on the picture, into this file.")
@click.option("--explain", is_flag=True, help="Each digit's steps: in words, and drawn into NAME-explained.png.")
@_runs_dir
@_common
def read(images: tuple[str, ...], *, run: str | None, runs_dir: str, as_json: bool, **options: Any) -> None:
    """Read the digits in photographs, scans and drawings; - is stdin.

    PNG, JPEG, GIF, TIFF, WebP, BMP or PGM of any size. Lines from top to bottom, digits from left to right; a digit
    that is refused, as not enough like one, is printed as ?.
    """
    from downstroke.progress import over

    reader = _reader(run, runs_dir)
    _say(f"reading with {reader.note}")
    strict, show, explain = options["strict"], options["show"], options["explain"]
    pictures = (_stdin() if image == "-" else image for image in over(images))
    failed = refused = 0
    for index, reading in enumerate(reader.read_all(pictures, digit=options["digit"], explain=explain)):
        failed += reading.error is not None
        refused += reading.refused
        told = reading.strict() if strict else reading
        for note in told.notes:
            _say(f"note: {told.file}: {note}")
        if told.error:
            _say(f"error: {told.error}")
        else:
            failed += not _draw_reading(told, _numbered(show, index, len(images)) if show else None, explain)
        if as_json:  # a value at a time: there may be ten thousand
            _print_item(told.to_dict(), first=index == 0)
        elif not told.error:
            _print_reading(told, [str(name) for name in reader.classes], explain)
    if as_json:
        _end_items()
    if failed or (strict and refused):
        sys.exit(FAILED if failed else REFUSED)


def _reader(run: str | None, runs_dir: str) -> Reader:
    from downstroke.api import Run
    from downstroke.reading.reader import Reader

    return Reader.shipped() if run is None else Run.open(run, runs_dir).reader()


def _draw_reading(reading: Reading, show: Path | None, explain: bool) -> bool:
    """Whether all that was asked for could be drawn; if not, that is said."""
    from downstroke.show import readings

    try:
        if show:
            _say(f"drawn: {readings.draw(reading, show)}")
        if explain:
            stem = Path(reading.file).stem if reading.file != "-" else "stdin"
            _say(f"drawn: {readings.explain(reading, Path(f'{stem}-explained.png'))}")
    except PictureError as error:
        _say(f"error: {error}")
        return False
    return True


def _numbered(path: Path, index: int, total: int) -> Path:
    return path if total == 1 else path.with_stem(f"{path.stem}-{index + 1}")


def _print_item(value: dict[str, Any], first: bool) -> None:
    from downstroke.runs.files import dumps

    text = f"{'[' if first else ','}{dumps(value)}"
    click.get_current_context().meta["answered"] = "begun"
    click.echo(text, nl=False)


def _end_items() -> None:
    click.get_current_context().meta["answered"] = "whole"
    click.echo("]")


def _stdin() -> bytes:
    from downstroke.glyphs.picture import MAX_BYTES

    return sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin else b""  # none at all, where it was closed


def _print_reading(reading: Reading, names: list[str], explain: bool) -> None:
    digits = [digit for line in reading.lines for digit in line.digits]
    reading = reading.strict()  # a text that goes on to another program must not hold what is not to be relied on
    if reading.refused:
        _say(
            f"note: {shown(reading.file)}: {reading.refused} of {counted(len(digits), 'digit')} refused (?), "
            f"not enough like a digit to rely on"
        )
    if len(digits) == 1 and not explain:
        chance = f"{digits[0].probability:.1%}"
        told = chance if digits[0].accepted else f"refused; nearest is {digits[0].digit}, {chance}"
        click.echo(f"{shown(reading.file)}: {reading.text} ({told})")
        click.echo(_bars(names, digits[0].probabilities))
        return
    for line in reading.lines:
        click.echo(f"{shown(reading.file)}: {line.text}")
        for digit in line.digits if explain else []:
            x, y, width, height = digit.box
            likely = sorted(range(len(names)), key=lambda i: -digit.probabilities[i])[:3]
            chances = ", ".join(f"{names[i]} {digit.probabilities[i]:.1%}" for i in likely)
            words = "; ".join([*digit.warnings, *([] if digit.accepted else ["refused"])]) or "nothing odd"
            click.echo(f"  {digit.digit}  at {x},{y} {width}x{height}  {chances}  {words}")


def _bars(names: list[str], probabilities: list[float], width: int = 40, most: int = 10) -> str:
    """A line for each class with its probability as a bar; of many classes, the most probable."""
    shown = sorted(range(len(names)), key=lambda i: -probabilities[i])[:most]
    longest = max(len(names[i]) for i in shown)
    return "\n".join(
        f"  {names[i]:>{longest}} {probabilities[i]:6.1%} {'█' * round(probabilities[i] * width)}".rstrip()
        for i in sorted(shown)
    )


@main.command()
@_runs_dir
@_common
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
        _print_json(rows)
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


@main.command("find-lr")
@click.argument("recipe", default="standard")
@_swept_fields
@_machine
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Draw the sweep into this .png or .svg file.")
@_common
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
        _print_json({**found.to_dict(), "command": command, "plot": str(picture) if picture else None})
        return
    click.echo(
        f"{click.style(f'lr {found.suggestion:g}.', bold=True)} The smoothed loss falls up to lr {found.falls_to:.2g}; "
        f"the lr suggested lies on the way down."
    )
    click.echo(command)
    if picture:
        click.echo(f"plot: {picture}")


def _typed(flag: str, value: Any) -> list[str]:
    """A flag and its value as one would type them: 50, not 50.0."""
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", str(value).removesuffix(".0")]


@main.command()
@click.option("--port", default=0, show_default="a free one", type=click.IntRange(0, 65535))
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 serves others too; they need the token.")
@click.option("--no-browser", is_flag=True, help="Do not open the browser.")
@click.option("--read-only", is_flag=True, help="Show and read; train nothing, change nothing.")
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let pages of this site ask the API, such as https://example.org; may be given again.",
)
@click.option("--token", help="What programs send as Authorization: Bearer TOKEN; left out, a random one.")
@_runs_dir
@_common
def studio(
    *,
    port: int,
    host: str,
    no_browser: bool,
    read_only: bool,
    origins: tuple[str, ...],
    token: str | None,
    runs_dir: str,
    as_json: bool,
) -> None:
    """Watch it learn, decide, and draw digits, in the browser; and an API for programs. Ctrl-C ends it."""
    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token != ""):
        raise click.UsageError("the token is empty, or has spaces around it or characters that are not ASCII")
    try:
        from downstroke.studio.guard import Settings, origin_of
        from downstroke.studio.serve import serve
    except ImportError as error:
        raise DownstrokeError(
            f'{error.name} is not installed; to have it: pip install ".[studio]" in the clone'
        ) from None

    def say(served: dict[str, str]) -> None:
        _say(f"the studio is at {served['url']}  (token {served['token']}; Ctrl-C ends it, trainings go on)")
        if as_json:
            _print_json(served)

    given = {} if token is None else {"token": token}
    try:
        allowed = tuple(origin_of(origin) for origin in origins)
    except DownstrokeError as error:
        raise click.UsageError(f"--allow-origin: {error}") from None
    settings = Settings(Path(runs_dir).resolve(), host, read_only=read_only, origins=allowed, **given)
    serve(settings, port, browser=not no_browser, say=say)


@main.group()
def bench() -> None:
    """The measurements that the README quotes."""


def _out(name: str) -> Callable[[Command], Command]:
    kind, note = click.Path(path_type=Path), "Where the figures are saved."
    return click.option("--out", type=kind, default=Path(name), show_default=True, help=note)


@bench.command()
@click.option("--seeds", default=5, show_default=True, help="Train the default recipe with seeds 0..N-1.")
@click.option("--trials", default=20, show_default=True, help="Random trials of continuing, and of being killed.")
@click.option(
    "--only",
    type=click.Choice(["loop", "memory", "accuracy", "until-done", "continue", "kill", "together", "precision"]),
    multiple=True,
    help="Only these parts.",
)
@_out("bench-core.json")
@_common
def core(*, as_json: bool, **options: Any) -> None:
    """Accuracy, the loop's overhead, memory, and that nothing is lost."""
    from downstroke.bench.core import measure

    _print_figures(measure(**options, say=_say), as_json)


@bench.command()
@click.argument("recipes", nargs=-1)
@click.option("--seeds", default=5, show_default=True, help="Train each recipe with seeds 0..N-1.")
@_out("bench-speed.json")
@_common
def speed(recipes: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Recipes against R, one epoch of the best published single-epoch recipe, in turn: time and test accuracy.

    RECIPES: left out, sprint and standard.
    """
    from downstroke.bench.speed import measure

    _print_figures(measure(recipes=recipes or ("sprint", "standard"), **options, say=_say), as_json)


@bench.command("find-lr")
@click.option("--model", "models", type=click.Choice(["linear", "mlp", "cnn"]), multiple=True, help="Only these.")
@click.option("--optimizer", "optimizers", multiple=True, help="Only these.")
@click.option("--seeds", default=3, show_default=True, help="Seeds 0..N-1.")
@click.option("--train-size", type=float, help="Training images; left out, all.")
@click.option("--lines", type=click.Path(path_type=Path), default=Path("bench-find-lr.jsonl"), show_default=True)
@_out("bench-find-lr.json")
@_common
def bench_find_lr(*, as_json: bool, **options: Any) -> None:
    """Three epochs at the lr that find-lr suggests, against a grid of nine lrs, by model, optimizer and seed.

    What is measured goes into the file of --lines at once; the same command goes on from there.
    """
    from downstroke.bench.find_lr import measure, table

    figures = measure(**options, say=_say)
    if as_json:
        _print_json(figures)
    else:
        click.echo(table(figures))


@bench.command("advice")
@click.option("--half", type=click.Choice(["develop", "report"]), default="report", show_default=True)
@_out("bench-advice.json")
@_common
def bench_advice(*, as_json: bool, **options: Any) -> None:
    """The advice when to stop, against every patience, on a corpus of histories."""
    from downstroke.bench.advice import default_points, measure

    _print_figures(measure(points=default_points(), **options, say=_say), as_json)


@bench.command()
@click.option("--model", "names", type=click.Choice(["mlp", "cnn"]), multiple=True, default=("mlp", "cnn"))
@click.option("--steps", default=400, show_default=True, help="Steps timed at a stretch.")
@click.option("--rounds", default=7, show_default=True, help="How often each has its turn.")
@_out("bench-peers.json")
@_common
def peers(*, as_json: bool, **options: Any) -> None:
    """The same model and steps with Lightning, Keras, skorch, scikit-learn and plain PyTorch, in turn."""
    from downstroke.bench.peers import measure, table

    figures = measure(**options, say=_say)
    if as_json:
        _print_json(figures)
    else:
        click.echo(table(figures, options["names"]))


@bench.command()
@click.option("--rounds", default=5, show_default=True, help="How often each has its turn.")
@click.option("--recipe", default="standard", show_default=True, help="The recipe that is trained.")
@click.option("--images", default=10_000, show_default=True, help="Training images of an epoch.")
@_out("bench-scale.json")
@_common
def scale(*, as_json: bool, **options: Any) -> None:
    """Two processes of one thread each against one process of two threads: steps a second, in turn."""
    from downstroke.bench.scale import measure

    _print_figures(measure(**options, say=_say), as_json)


@bench.command()
@click.option("--run", help="The run to read with; left out, one epoch of the default recipe is trained for it.")
@click.option("--rounds", default=15, show_default=True, help="How often each has its turn.")
@_runs_dir
@_out("bench-inference.json")
@_common
def inference(*, as_json: bool, **options: Any) -> None:
    """Images a second that a reader reads in batches, against ONNX Runtime with the same W, in turn."""
    from downstroke.bench.inference import measure

    _print_figures(measure(**options, say=_say), as_json)


@bench.command()
@click.option("--rounds", default=5, show_default=True, help="How often each has its turn.")
@_out("bench-startup.json")
@_common
def startup(*, as_json: bool, **options: Any) -> None:
    """`downstroke train sprint` from prompt to result, less importing torch and the training itself."""
    from downstroke.bench.startup import measure

    _print_figures(measure(**options, say=_say), as_json)


@bench.command("studio")
@click.option("--seconds", default=60.0, show_default=True, help="How long each server is under load.")
@click.option("--clients", default=64, show_default=True, help="How many ask at once.")
@_out("bench-studio.json")
@_common
def studio_(*, as_json: bool, **options: Any) -> None:
    """Reading over HTTP under load, each answer checked, against plain FastAPI with ONNX Runtime, in turn.

    Then how soon /healthz answers while a training runs.
    """
    from downstroke.bench.studio import measure

    _print_figures(measure(**options, say=_say), as_json)


@bench.command("reading")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="A folder with glyphs/ and pages/.")
@click.option("--run", help="The run to read with: its folder or name; left out, the shipped reader.")
@_runs_dir
@_out("bench-reading.json")
@_common
def reading_(*, data: Path, run: str | None, runs_dir: str, as_json: bool, out: Path) -> None:
    """Real handwriting: accuracy, calibration and acceptance by set, and the character error of pages.

    DIR holds glyphs/*.npz (images, labels: one digit an image), not-digits/*.npz, and pages/labels.csv (file,text; |
    between lines) with the pictures.
    """
    from downstroke.bench.reading import measure, table

    figures = measure(data, _reader(run, runs_dir), out, say=_say)
    if as_json:
        _print_json(figures)
    else:
        click.echo(table(figures))


def _print_figures(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(figures)
    else:
        from downstroke.bench.table import listed

        click.echo(listed(figures))


def _print_json(value: Any) -> None:
    from downstroke.runs.files import dumps

    text = dumps(value)
    if context := click.get_current_context(silent=True):  # none where a test calls a part of this
        context.meta["answered"] = "whole"
    click.echo(text)


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
