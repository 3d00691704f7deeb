"""Real handwriting, none of it trained on: how it is read, set by set."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstroke.bench import no_digits, throughput
from downstroke.bench.other_readers import Reads
from downstroke.bench.table import aligned, listed
from downstroke.errors import DataError, PictureError
from downstroke.glyphs.glyph import glyph
from downstroke.glyphs.picture import open_picture
from downstroke.learning.evaluate import Evaluation, calibration_error, wilson
from downstroke.reading.reader import Reader
from downstroke.runs.outputs import output_json

MOST_OF_OTHERS = 200  # digits of a set: others take a tenth of a second for each


def measure(
    data: Path, reader: Reader, out: Path | None, say: Callable[[str], None], others: dict[str, Reads] | None = None
) -> dict[str, Any]:
    """The figures of a folder: `glyphs`, `not_digits` and `pages`, a dict a set each; `others`, the same of each other;
    `no_digits`, of drawn pages without a digit; and `throughput`, by one process and by one a core.

    The others are given 200 digits of each set at most, spread over it.
    Laid out as glyphs/*.npz and not-digits/*.npz (`images` uint8 [N,H,W], `labels`), pages/labels.csv (`file,text`, `|`
    between lines). Raises DataError where there is none of it.
    """
    figures: dict[str, Any] = {"reader": reader.note, "glyphs": {}, "not_digits": {}, "pages": {}}
    for path in sorted((data / "glyphs").glob("*.npz")):
        say(f"reading {path.stem}")
        figures["glyphs"][path.stem] = _digits(*_load(path), reader)
    for path in sorted((data / "not-digits").glob("*.npz")):
        say(f"reading {path.stem}")
        _, accepted = _read(_load(path)[0], reader)
        shares = _share("accepted", int(accepted.sum()), len(accepted))
        figures["not_digits"][path.stem] = {"images": len(accepted), **shares}
    table_of_pages = data / "pages" / "labels.csv"
    figures["pages"] = _pages(table_of_pages, lambda path: reader.read(path).text.replace("\n", "|"), say)
    if not (figures["glyphs"] or figures["not_digits"] or figures["pages"]):
        raise DataError(f"{data}: nothing to read; expected glyphs/*.npz, not-digits/*.npz or pages/labels.csv")
    say("reading drawn pages without a digit")
    figures["no_digits"] = no_digits.measure(reader)
    figures["throughput"] = throughput.measure(reader.origin, say) if reader.origin else {}
    figures["others"] = {}
    for name, reads in (others or {}).items():
        say(f"reading with {name}")
        digits = {path.stem: _digits_of(reads, *_load(path)) for path in sorted((data / "glyphs").glob("*.npz"))}
        pages = _pages(table_of_pages, partial(_page_of, reads), say)
        figures["others"][name] = {"glyphs": digits, "pages": pages}
    if out:
        output_json(out, figures)
    return figures


def _page_of(reads: Reads, path: Path) -> str:
    return reads(open_picture(path), False)


def _digits_of(reads: Reads, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> dict[str, Any]:
    taken = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), MOST_OF_OTHERS)).astype(int))
    right = sum(reads(images[index], True) == str(labels[index]) for index in taken)
    return {"images": len(taken), **_share("accuracy", right, len(taken))}


def _load(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        with np.load(path) as arrays:
            return arrays["images"], arrays["labels"].astype(np.int64)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: {error}; expected an .npz with images and labels") from None


def _read(images: NDArray[np.uint8], reader: Reader) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Each picture taken for one digit: (probabilities [N,C], 0 of a blank one; whether it was accepted [N])."""
    y = np.zeros((len(images), len(reader.classes)), np.float32)
    accepted = np.zeros(len(images), bool)
    for index, image in enumerate(images):
        try:
            digit = reader.read(image, digit=True).lines[0].digits[0]
        except PictureError:
            continue  # counted as misread, and refused
        y[index], accepted[index] = digit.probabilities, digit.accepted
    return y, accepted


def _glyph_ms(images: NDArray[np.uint8]) -> float:
    """Milliseconds of a core that it takes to make a glyph of a picture."""
    start = time.process_time()
    for image in images:
        with suppress(PictureError):
            glyph(image)
    return (time.process_time() - start) / max(1, len(images)) * 1e3


def _digits(images: NDArray[np.uint8], labels: NDArray[np.int64], reader: Reader) -> dict[str, Any]:
    y, accepted = _read(images, reader)
    right = (y.argmax(1) == labels) & y.any(axis=1)
    losses = -np.log(np.maximum(y[np.arange(len(y)), labels], 1e-12))
    return {
        "images": len(labels),
        **_share("accuracy", int(right.sum()), len(labels)),
        "ece": calibration_error(Evaluation(losses, y, labels)),
        **_share("accepted", int(accepted.sum()), len(labels)),
        "accuracy_of_accepted": float(right[accepted].mean()) if accepted.any() else None,
        "glyph_ms": _glyph_ms(images),
    }


def _share(name: str, part: int, total: int) -> dict[str, Any]:
    return {name: part / total if total else None, f"{name}_interval": wilson(part, total)}


def _pages(path: Path, text_of: Callable[[Path], str], say: Callable[[str], None]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sets: dict[str, list[tuple[int, int, float]]] = {}
    for row in rows:
        start = _cpu_s()
        try:
            text = text_of(path.parent / row["file"]).replace(" ", "")
        except PictureError as error:
            say(f"error: {error}")
            text = ""
        wrong = distance(text, row["text"])
        digits = len(row["text"].replace("|", ""))
        sets.setdefault(str(Path(row["file"]).parent), []).append((wrong, digits, _cpu_s() - start))
    return {name: _page_figures(results) for name, results in sets.items()}


def _cpu_s() -> float:
    """Seconds of a core so far, those of programs that were started and have ended among them."""
    return sum(os.times()[:4])


def _page_figures(results: list[tuple[int, int, float]]) -> dict[str, Any]:
    wrong, digits, seconds = (np.array(column, float) for column in zip(*results, strict=True))
    # Errors come in clumps, a page at a time: the interval draws whole pages.
    drawn = np.random.default_rng(0).integers(0, len(wrong), (1000, len(wrong)))
    errors = wrong[drawn].sum(1) / digits[drawn].sum(1)
    return {
        "pages": len(wrong),
        "digits": int(digits.sum()),
        "character_error": float(wrong.sum() / digits.sum()),
        "character_error_interval": [float(value) for value in np.percentile(errors, [2.5, 97.5])],
        "pages_without_error": int((wrong == 0).sum()),
        "slowest_s": float(seconds.max()),
    }


def distance(text: str, expected: str) -> int:
    """Levenshtein's edit distance: how many characters to insert, leave out or change."""
    row = list(range(len(expected) + 1))
    for number, one in enumerate(text, start=1):
        diagonal, row[0] = row[0], number
        for place, other in enumerate(expected, start=1):
            diagonal, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, diagonal + (one != other))
    return row[-1]


def table(figures: dict[str, Any]) -> str:
    """The figures as text, a set a row: of the digits, of what is none, of the pages, and the same of the others."""
    read, nothing = figures["glyphs"], figures["not_digits"]
    means = {"accuracy": float(np.mean([row["accuracy"] for row in read.values()]))} if read else {}
    tables = [
        _table(
            "digits", {**read, "mean of the sets": means} if read else {}, "accuracy", ("ece", "accepted", "glyph_ms")
        ),
        _table("not digits", nothing, "accepted"),
        _table("pages", figures["pages"], "character_error", ("digits", "slowest_s")),
        _table("drawn pages without a digit", figures["no_digits"], "with_a_digit"),
    ]
    for name, other in figures["others"].items():
        tables.append(_table(f"digits, {name}", other["glyphs"], "accuracy"))
        tables.append(_table(f"pages, {name}", other["pages"], "character_error", ("digits", "slowest_s")))
    if figures["throughput"]:
        tables.append(f"throughput\n{listed(figures['throughput'])}")
    return "\n\n".join(filter(None, tables))


def _table(what: str, sets: dict[str, Any], share: str, more: Sequence[str] = ()) -> str:
    """A row a set: how many images or pages, a share with its interval, and more of its figures; "" of no sets."""
    count = "pages" if share in ("character_error", "with_a_digit") else "images"
    rows = []
    for name, row in sets.items():
        low, high = row.get(f"{share}_interval", (None, None))
        interval = "" if low is None else f"{low:.1%} to {high:.1%}"
        shares = {share, "accepted", "ece"}
        others = ["" if row.get(key) is None else f"{row[key]:.2%}" if key in shares else row[key] for key in more]
        rows.append((name, row.get(count, ""), f"{row[share]:.2%}", interval, *others))
    names = [key.replace("_", " ") for key in (share, "95% interval", *more)]
    return aligned((what, count, *names), rows) if rows else ""
