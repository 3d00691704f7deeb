"""Reading digits: the sealed test set, pictures, and data without labels."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from downstroke.cli.options import OUTPUT, common, in_runs_dir, moved_data, trusting
from downstroke.cli.printing import end_items, on_stdout, print_item, print_json, print_reading, say, tell
from downstroke.cli.program import FAILED, REFUSED, main
from downstroke.errors import DownstrokeError, counted
from downstroke.history import four_decimals

if TYPE_CHECKING:
    from collections.abc import Hashable, Set

    from downstroke.glyphs.picture import Source
    from downstroke.reading.field import Field
    from downstroke.reading.reader import Reader, Reading
    from downstroke.show.readings_table import ReadingsTable


@main.command()
@click.argument("run", required=False)
@click.option("--weights", type=click.Choice(["best", "last"]), help="Which to use; by default, best if it exists.")
@moved_data
@trusting
@in_runs_dir
@common
def test(run: str | None, *, weights: str | None, runs_dir: str, trust: bool, as_json: bool, **moved: Any) -> None:
    """Look at the sealed test set. Every look is recorded: choices belong on val."""
    from downstroke.api import Run

    opened = Run.open(run, runs_dir, trust=trust)
    result = opened.test(weights, **moved)
    for line in [*([result["damage"]] if result["damage"] else []), *result["undrawn"]]:
        say(f"note: {line}")
    if as_json:
        print_json(result)
        return
    pictures = result["pictures"]
    low, high = result["accuracy_interval"]
    tell(
        f"look {result['looks']} at the test set of {opened.typed}, "
        f"with its {result['weights']} weights, epoch {result['epoch']}"
    )
    tell(f"accuracy   {result['accuracy']:.2%} (95% interval {low:.2%} to {high:.2%})")
    where = f": {pictures['misread']}" if pictures["misread"] else ""
    tell(f"misread    {result['errors']:,} of {result['images']:,}{where}")
    tell(f"NLL        {four_decimals(result['nll'])} nats, calibration error {result['ece']:.2%}")
    worst = sorted((share, name) for name, share in result["recall"].items() if not math.isnan(share))[:3]
    tell(f"recall     lowest for {', '.join(f'{name} ({share:.1%})' for share, name in worst)}")
    if pictures["confusion"]:
        tell(f"confusion  {pictures['confusion']}")


def _fields(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[Field]:
    if not values:
        return []  # `--help` loads nothing
    from downstroke.reading.field import Field

    try:
        fields = [Field.parse(value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    names = [field.name for field in fields]
    if twice := [name for name in names if names.count(name) > 1]:
        raise click.BadParameter(f"{twice[0]!r} twice; each box needs a name of its own")
    return fields


@main.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|DIR|PDF...")
@click.option("--run", help="The run to read with: its folder or name; by default, the shipped reader.")
@click.option("--digit", is_flag=True, help="Each picture is one digit: the one at its centre.")
@click.option("--strict", is_flag=True, help="A refused digit is ? in the JSON's text too; the exit code is then 3.")
@click.option(
    "--box",
    "fields",
    multiple=True,
    callback=_fields,
    metavar="[NAME=]X,Y,W,H",
    help="Read this part alone, in pixels; repeatable.",
)
@click.option("--csv", type=OUTPUT, help="Write a table, one row per line of text; a table that exists is extended.")
@click.option("--show", type=OUTPUT, help="Draw boxes and readings on the picture, into this file.")
@click.option("--marks", is_flag=True, help="Keep points, commas, dashes, strokes and colons in the text.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes that read at once; what is printed keeps its order.",
)
@click.option("--explain", is_flag=True, help="Each digit's steps: in words, and drawn into NAME-explained.png.")
@trusting
@in_runs_dir
@common
def read(images: tuple[str, ...], *, run: str | None, runs_dir: str, as_json: bool, **options: Any) -> None:
    """Read the digits in photographs, scans and drawings; - is stdin.

    PNG, JPEG, GIF, TIFF, WebP, BMP, PGM or AVIF of any size; HEIC and PDF with the extra photos. All pages of a PDF or
    TIFF, or form.pdf#3; all pictures of a folder. Lines from top to bottom, digits from left to right; a digit that is
    refused, because it is too little like one, is printed as ?.
    """
    from downstroke.glyphs.picture import sources
    from downstroke.runs.outputs import identities
    from downstroke.watchers.progress import over

    on_stdout([options["csv"], options["show"]], as_json=as_json)
    reader = reader_of(run, runs_dir, trust=options["trust"])
    say(f"reading with {reader.note}")
    strict, show, explain = options["strict"], options["show"], options["explain"]
    looked = {"digit": options["digit"], "explain": explain, "marks": options["marks"]}
    table = _table(options["csv"]) if options["csv"] else None
    found = [source for image in images for source in sources(_stdin() if image == "-" else image)]
    total = len(found) * max(1, len(options["fields"]))
    inputs = identities(source.file for source in found if not isinstance(source.file, bytes))
    failed = refused = count = added = 0

    def fields(source: Source) -> list[Field]:
        return (table.lacks(source, options["fields"]) if table else options["fields"]) or []

    wanted = (source for source in over(found) if not table or table.lacks(source, options["fields"]) is not None)
    jobs = min(options["jobs"], max(1, len(found)))
    for reading in reader.read_all(wanted, fields=fields, jobs=jobs, **looked):
        failed += reading.error is not None
        refused += reading.refused
        told = reading.strict() if strict else reading
        for note in told.notes:
            say(f"note: {told.name}: {note}")
        if told.error:
            say(f"error: {told.error}")
        else:
            failed += not _draw_reading(told, _numbered(show, count, total) if show else None, explain, inputs)
        if table:
            added += table.add(told)
        if as_json:  # one value at a time: there may be ten thousand
            print_item(told.to_dict(), first=count == 0)
        elif not (told.error or table):
            print_reading(told, [str(name) for name in reader.classes], explain)
        count += 1
    if table:
        say(f"written: {table.path} ({counted(added, 'reading')} added)")
    if as_json:
        end_items(none=count == 0)
    if failed or (strict and refused):
        sys.exit(FAILED if failed else REFUSED)


@main.command()
@click.argument("run")
@click.argument("data", type=click.Path())
@click.option("--csv", type=OUTPUT, help="The table to write; by default, stdout.")
@click.option("--probabilities", is_flag=True, help="Add a column for each class, 0 to 1.")
@click.option(
    "--transpose/--no-transpose", default=None, help="The file stores each image transposed; by default, as RUN's data."
)
@trusting
@in_runs_dir
@common
def predict(run: str, data: str, *, runs_dir: str, trust: bool, as_json: bool, **options: Any) -> None:
    """Read every image of DATA with RUN, and write ImageId,Label: what Kaggle's digit recognizer takes.

    RUN is a run or `reader`, the shipped reader. DATA has no labels, or they are left out: a .csv such as Kaggle's
    test.csv, an .npz, an IDX file of images, or a folder of pictures of one digit each. ImageId counts from 1; in a
    folder it is the picture's path; one that cannot be read is named and left out, and the exit code is 1.
    """
    from downstroke.data.unlabelled import load_images
    from downstroke.data.user_paths import absolute
    from downstroke.reading import predict as predicting
    from downstroke.recipe import SHIPPED
    from downstroke.runs.outputs import refuse_output, write_output
    from downstroke.runs.run import Run

    path, wanted = options["csv"], options["probabilities"]
    on_stdout([path], as_json=as_json)
    if path:
        refuse_output(path, [data])
    reader = reader_of(None if run == SHIPPED else run, runs_dir, trust=trust)
    transpose = options["transpose"]
    if transpose is None:
        transpose = run != SHIPPED and Run.open(run, runs_dir).recipe.transpose
    found = load_images(data, transpose=transpose)
    say(f"reading with {reader.note}")
    for notice in found.notices:
        say(f"note: {notice}")
    for error in found.errors:
        say(f"error: {error}")
    if path:
        refuse_output(path, (Path(data) / name for name in found.names or ()))
    read = predicting.predict(reader, found)
    if path:
        write_output(path, read.to_csv(probabilities=wanted).encode())
        say(f"written: {path} ({counted(len(read.ids), 'image')})")
    if as_json:
        held = {"probabilities": read.probabilities.tolist()} if wanted else {}
        print_json(
            {
                "data": absolute(data),
                "images": len(read.ids),
                "csv": str(path.resolve()) if path else None,
                "classes": list(read.classes),
                "ids": list(read.ids),
                "labels": read.labels,
                **held,
                "notes": list(found.notices),
                "errors": list(found.errors),
            }
        )
    elif not path:
        tell(*read.to_csv(probabilities=wanted).removesuffix("\n").split("\n"))
    if found.errors:
        sys.exit(FAILED)


def _table(path: Path) -> ReadingsTable:
    from downstroke.show.readings_table import ReadingsTable

    table = ReadingsTable(path)
    click.get_current_context().call_on_close(table.close)
    return table


def reader_of(run: str | None, runs_dir: str, *, trust: bool = False) -> Reader:
    from downstroke.api import Run
    from downstroke.reading.reader import Reader

    return Reader.shipped() if run is None else Run.open(run, runs_dir, trust=trust).reader()


def _draw_reading(reading: Reading, show: Path | None, explain: bool, inputs: Set[Hashable]) -> bool:
    """Draw what was asked for; report an error, return False if that failed. `inputs`: identities of what was read."""
    from downstroke.runs.outputs import refuse_replaced
    from downstroke.show import readings

    def target(path: Path) -> Path:
        refuse_replaced(path, inputs)
        return path

    try:
        if show:
            say(f"drawn: {readings.draw(reading, target(show))}")
        if explain:
            stem = Path(reading.file).stem if reading.file != "-" else "stdin"
            stem += "".join(f"-{part}" for part in (reading.page, reading.field) if part is not None)
            say(f"drawn: {readings.explain(reading, target(Path(f'{stem}-explained.png')))}")
    except DownstrokeError as error:
        say(f"error: {error}")
        return False
    return True


def _numbered(path: Path, index: int, total: int) -> Path:
    return path if total == 1 else path.with_stem(f"{path.stem}-{index + 1}")


def _stdin() -> bytes:
    from downstroke.glyphs.picture import MAX_BYTES

    return sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin else b""  # none at all, where it was closed
