"""Reading digits: the sealed test set, and pictures."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from downstroke.cli.options import common, in_runs_dir, moved_data, trusting
from downstroke.cli.printing import end_items, print_item, print_json, print_reading, say
from downstroke.cli.program import FAILED, REFUSED, main
from downstroke.errors import PictureError

if TYPE_CHECKING:
    from downstroke.reading.reader import Reader, Reading


@main.command()
@click.argument("run", required=False)
@click.option("--weights", type=click.Choice(["best", "last"]), help="Which W; left out, best where there is one.")
@moved_data
@trusting
@in_runs_dir
@common
def test(run: str | None, *, weights: str | None, runs_dir: str, trust: bool, as_json: bool, **moved: Any) -> None:
    """Look at the sealed test set. Every look is recorded: choices belong on val."""
    from downstroke.api import Run

    opened = Run.open(run, runs_dir, trust=trust)
    result = opened.test(weights, **moved)
    if result["damage"]:
        say(f"note: {result['damage']}")
    if as_json:
        print_json(result)
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
@click.option("--marks", is_flag=True, help="Keep points, commas, dashes, strokes and colons in the text.")
@click.option("--explain", is_flag=True, help="Each digit's steps: in words, and drawn into NAME-explained.png.")
@trusting
@in_runs_dir
@common
def read(images: tuple[str, ...], *, run: str | None, runs_dir: str, as_json: bool, **options: Any) -> None:
    """Read the digits in photographs, scans and drawings; - is stdin.

    PNG, JPEG, GIF, TIFF, WebP, BMP or PGM of any size. Lines from top to bottom, digits from left to right; a digit
    that is refused, as not enough like one, is printed as ?.
    """
    from downstroke.progress import over

    reader = reader_of(run, runs_dir, trust=options["trust"])
    say(f"reading with {reader.note}")
    strict, show, explain = options["strict"], options["show"], options["explain"]
    looked = {"digit": options["digit"], "explain": explain, "marks": options["marks"]}
    pictures = (_stdin() if image == "-" else image for image in over(images))
    failed = refused = 0
    for index, reading in enumerate(reader.read_all(pictures, **looked)):
        failed += reading.error is not None
        refused += reading.refused
        told = reading.strict() if strict else reading
        for note in told.notes:
            say(f"note: {told.file}: {note}")
        if told.error:
            say(f"error: {told.error}")
        else:
            failed += not _draw_reading(told, _numbered(show, index, len(images)) if show else None, explain)
        if as_json:  # a value at a time: there may be ten thousand
            print_item(told.to_dict(), first=index == 0)
        elif not told.error:
            print_reading(told, [str(name) for name in reader.classes], explain)
    if as_json:
        end_items()
    if failed or (strict and refused):
        sys.exit(FAILED if failed else REFUSED)


def reader_of(run: str | None, runs_dir: str, *, trust: bool = False) -> Reader:
    from downstroke.api import Run
    from downstroke.reading.reader import Reader

    return Reader.shipped() if run is None else Run.open(run, runs_dir, trust=trust).reader()


def _draw_reading(reading: Reading, show: Path | None, explain: bool) -> bool:
    """Whether all that was asked for could be drawn; if not, that is said."""
    from downstroke.show import readings

    try:
        if show:
            say(f"drawn: {readings.draw(reading, show)}")
        if explain:
            stem = Path(reading.file).stem if reading.file != "-" else "stdin"
            say(f"drawn: {readings.explain(reading, Path(f'{stem}-explained.png'))}")
    except PictureError as error:
        say(f"error: {error}")
        return False
    return True


def _numbered(path: Path, index: int, total: int) -> Path:
    return path if total == 1 else path.with_stem(f"{path.stem}-{index + 1}")


def _stdin() -> bytes:
    from downstroke.glyphs.picture import MAX_BYTES

    return sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin else b""  # none at all, where it was closed
