"""Logs of columns: CSV, with any separator."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from downstroke.advice.logs.columns import listed, words_of
from downstroke.advice.logs.table import Say, Table
from downstroke.errors import LogError, NoValLossYetError, counted
from downstroke.history import EPOCH_COLUMNS

#: What stands in a cell for a value that was not measured; Keras writes NA, Hugging Face's tables No log.
_NOTHING = {"", "na", "n/a", "none", "null", "no log"}
MOST_CELLS = 20_000_000
_DECIMAL_COMMA = re.compile(r"^(-?\d+),(\d+(?:[eE][-+]?\d+)?)$")
_DRAWN = set("|:-+= ")  # what lines are drawn with between the rows of a table
_THOUSANDS = re.compile(r"^-?[1-9]\d{0,2}(?:,\d{3})+$")


def table_of(path: Path, text: str, say: Say) -> Table:
    """The rows under the names in the first line, or under the last line of names; LogError where they are no table.

    A later line of names begins another run, unless the epochs go on.
    """
    lines, separator = _lines_of(text)
    reader = csv.reader(lines, delimiter=separator)
    try:
        table = _read(path, reader, lines, separator, say, whole=text.endswith("\n"))
    except csv.Error as error:
        said = f"{path}, line {reader.line_num}: {error}"
        raise LogError(f"{said}; expected numbers under the names of columns") from None
    if not table.names:
        raise _unknown(path, lines)
    return table


def _read(path: Path, reader: Any, lines: Sequence[str], separator: str, say: Say, *, whole: bool) -> Table:
    """The rows of `reader`, which reads `lines`. `whole`: the last line has its end, and is not still being written."""
    names = [name.strip() for name in next(reader)]
    if not _are_names(names) or (len(names) == 1 and not (_names_a_loss(names[0]) or _is_column(lines))):
        raise _unknown(path, lines)
    own = tuple(names) == EPOCH_COLUMNS
    rows: list[dict[str, Any]] = []
    places: list[str] = []
    headers: list[int] = []  # rows before which a line of names stands
    for found in filter(None, reader):
        cells = _trimmed(found, len(names))
        place = f"line {reader.line_num}"
        if _is_header(cells):
            if [cell.strip() for cell in cells] != names:
                say(f"{path}, {place}: other columns begin; the rows from here on are judged")
                names, rows, places, headers = [cell.strip() for cell in cells], [], [], []
            else:
                headers.append(len(rows))
            continue
        if len(cells) != len(names):
            if reader.line_num == len(lines) and not whole:
                break  # still being written
            if not rows and not any(map(_names_a_loss, names)):
                raise _unknown(path, lines)  # two lines of prose
            raise LogError(
                f"{path}, {place}: {counted(len(cells), 'field')}; expected {len(names)}, as in the first line"
            )
        rows.append(_row(names, cells, separator))
        places.append(place)
        if len(rows) * len(names) > MOST_CELLS:
            raise LogError(f"{path} has more than {MOST_CELLS:,} cells; expected a log of training")
    if own:
        _tell_nan_from_nothing(rows)
    else:
        _refuse_runs(path, rows, names)
    begin = next((row for row in reversed(headers) if 0 < row < len(rows) and _begins_again(rows, row, names)), 0)
    if begin:
        say(f"{path}, {places[begin]}: the names of the columns again: a new run; the last is judged")
    return Table(path, rows[begin:], places[begin:], names)


def _unknown(path: Path, lines: Sequence[str]) -> LogError:
    return NoValLossYetError(
        f"{path} is not a known kind of log: its first line is {lines[0][:60]!r}; expected the names of columns, such "
        f"as epoch,loss,val_loss, or lines that name a val loss and its value"
    )


def _lines_of(text: str) -> tuple[list[str], str]:
    """The lines, comments left out, and what stands between their cells: spaces, where each line has as many words.

    Of a table in Markdown, or one drawn with bars, the lines that are rows.
    """
    every = text.splitlines()
    lines = [line for line in every if not line.startswith("#")] or [""]
    bars = [line.strip() for line in _barred(lines)]
    if bars:
        rows = [line.strip("|") for line in bars if set(line) - _DRAWN]
        return ["\t".join(cell.strip() for cell in row.split("|")) for row in rows] or [""], "\t"
    above = _commented_head(every)
    lines = [*([above] if above else []), *(line for line in lines if not line.strip() or set(line.strip()) - _DRAWN)]
    separator = max(",;\t|", key=lines[0].count)
    if separator not in lines[0]:
        for split in (r"\s+", r"\s{2,}"):  # the second for names of two words
            words = [re.split(split, line.strip()) for line in lines if line.strip()]
            if not text.endswith("\n") and len(words) > 2 and len(words[-1]) < len(words[-2]):
                words.pop()  # still being written
            width = len(words[-1]) if words else 0
            if width and _is_number(words[-1][0]) and {len(row) for row in words[1:]} == {width}:
                # pandas prints no name above the numbers of the rows
                head = ["", *words[0]] if len(words[0]) == width - 1 else words[0]
                if len(head) == width:
                    return ["\t".join(row) for row in (head, *words[1:])], "\t"
    return lines, separator


def _barred(lines: Sequence[str]) -> Sequence[str]:
    """The lines of a table drawn with bars: of the first that names a loss, where prose stands around it."""
    if lines[0].lstrip()[:1] in ("|", "+"):
        barred = [line for line in lines if line.lstrip().startswith("|")]
        return barred if len(barred) > 1 else []
    for row, (line, below) in enumerate(itertools.pairwise(lines)):
        if line.startswith("|") and "loss" in line.lower() and below.startswith("|") and not set(below) - _DRAWN:
            return list(itertools.takewhile(lambda line: line.startswith("|"), lines[row:]))
    return []


def _commented_head(lines: Sequence[str]) -> str | None:
    """The names of the columns in the comment above the first line, as numpy's savetxt writes them; None elsewhere."""
    for above, line in itertools.pairwise(lines):
        if not line.startswith("#") and line.strip():
            cells = re.split(r"[,;\s]+", line.strip())
            named = above.startswith("#") and "loss" in above and all(map(_is_number, cells))
            return above.lstrip("# ") if named else None
    return None


def _names_a_loss(name: str) -> bool:
    """Whether a cell is the name of a column of losses, and does not end in a value as a line of text does."""
    return "loss" in words_of(name) and not re.search(r"(?:[:=]\s*\S+|\s[-+]?\d\S*)$", name)


def _trimmed(cells: list[str], width: int) -> list[str]:
    """The cells of a line without the empty one that a separator at its end makes."""
    return cells[:-1] if len(cells) == width + 1 and not cells[-1].strip() else cells


def _row(names: Sequence[str], cells: Sequence[str], separator: str) -> dict[str, Any]:
    """What stands in a line, by the names of the columns; what was not measured is left out."""
    with suppress(ValueError):  # most lines hold numbers alone
        return dict(zip(names, map(float, cells), strict=True))
    plain = [cell.strip() for cell in cells]
    if "," in "".join(cells) and (separator == ";" or not any(map(_THOUSANDS.match, cells))):
        plain = [_DECIMAL_COMMA.sub(r"\1.\2", cell) for cell in plain]
    row = dict(zip(names, map(_value, plain), strict=True))
    return {name: value for name, value in row.items() if value is not None}


def _value(cell: str) -> float | str | None:
    """What stands in a cell: a number where it is one, which takes a third of the memory; None for nothing."""
    try:
        return float(cell)
    except ValueError:
        return None if cell.lower() in _NOTHING else cell


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _is_header(cells: Sequence[str]) -> bool:
    """Whether a line names columns: two at least, none of them a number."""
    if len(cells) < 2 or any(map(_is_number, cells)):
        return False
    return any(map(_names_a_loss, cells))


def _begins_again(rows: Sequence[dict[str, Any]], row: int, names: Sequence[str]) -> bool:
    """Whether the epochs do not go on at `row`."""
    epoch = next((name for name in names if words_of(name) == ["epoch"]), None)
    before, now = (rows[i].get(epoch or "") for i in (row - 1, row))
    return not (_is_number(before) and _is_number(now)) or float(now or 0) <= float(before or 0)


def _are_names(cells: Sequence[str]) -> bool:
    """Whether the first line names columns: it holds no number, and is none of a text's, such as `lr=0.1, on: cuda`."""
    if any(map(_is_number, cells)):
        return False
    return not any(": " in cell or "=" in cell for cell in cells) or any(map(_names_a_loss, cells))


def _is_column(lines: Sequence[str]) -> bool:
    """Whether a number stands on each line but the first, and there is one."""
    held = [line.strip() for line in lines[1:] if line.strip()]
    return bool(held) and all(_is_number(line) or line.lower() in _NOTHING for line in held)


def _refuse_runs(path: Path, rows: list[dict[str, Any]], names: Sequence[str]) -> None:
    """A table of runs has a name in each row, and each is another."""
    for name in names:
        if name.lower() in ("name", "run", "run_name", "id") and len(rows) > 1:
            held = [row.get(name, "") for row in rows]
            if len(set(held)) == len(rows) and not any(isinstance(cell, float) for cell in held):
                raise LogError(f"{path} is a table of runs, one a row ({listed(held[:2])}); expected the epochs of one")


def _tell_nan_from_nothing(rows: list[dict[str, Any]]) -> None:
    """downstroke writes NaN as an empty cell, and measures a column at every epoch or never.

    A loss that was NaN at every epoch is told by the accuracy beside it, which is a number whenever it is measured.
    """
    for name in EPOCH_COLUMNS:
        beside = name.replace("loss", "accuracy") if name in ("loss", "val_loss") else name
        lacking = [row for row in rows if name not in row]
        if len(lacking) < len(rows) or any(beside in row for row in rows):
            for row in lacking:
                row[name] = math.nan
