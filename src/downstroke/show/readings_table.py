"""Readings as a table: a CSV file that grows, a row a line of digits, and to which what is missing is added."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from downstroke.errors import PictureError, shown
from downstroke.glyphs.picture import Source
from downstroke.reading.field import Field
from downstroke.reading.outcome import Line, Reading
from downstroke.runs.files import is_stream
from downstroke.runs.outputs import write_output

COLUMNS = ("file", "page", "line", "text", "lowest probability", "refused", "box")


class ReadingsTable:
    """Of a file that is new, or that this wrote before; a pipe or device is written to, and never read.

    A row holds the file, the page from 1, the line from 1, its text, the lowest of its digits' probabilities, how many
    of them are refused, and the box: the field's name where a field was read, else the line's x,y,width,height. A
    picture or field in which nothing is read has one row: line 0, no text. A file that cannot be opened has none, so
    that it is tried again.
    """

    def __init__(self, path: str | Path) -> None:
        """PictureError where the file is another table or cannot be written."""
        self.path = Path(path)
        self._stream: BinaryIO | None = None
        try:
            if is_stream(self.path):  # held open: a pipe ends for its reader when its last writer closes it
                self._stream = self.path.open("ab", buffering=0)
            text = "" if self._stream or not self.path.exists() else self._held()
            rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
            if rows and rows[0] != list(COLUMNS):
                raise PictureError(
                    f"{shown(str(path))}: another table is there; expected the columns {', '.join(COLUMNS)}: "
                    f"give another name"
                )
            if text and not text.endswith("\n"):  # the writing was cut short: what it was at is read again
                last = rows[-1][:1] if len(rows) > 1 else []
                kept = [row for row in rows[1:] if len(row) == len(COLUMNS) and row[:1] != last]
                rows = [list(COLUMNS), *kept]
                text = _as_csv(rows)
                write_output(self.path, text.encode("utf-8", "surrogateescape"))
            self._done = {(os.path.normpath(row[0]), row[1], row[6]) for row in rows[1:] if len(row) == len(COLUMNS)}
            self._pages = {done[:2] for done in self._done}
            self._append("" if text else _as_csv([COLUMNS]))
        except (OSError, csv.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise PictureError(f"{shown(str(path))}: the table cannot be written ({reason}); check the path") from None

    def lacks(self, source: Source, fields: Sequence[Field]) -> list[Field] | None:
        """The fields of a page that are still to be read; None where nothing is, [] where it is the whole page."""
        page = (os.path.normpath(source.path), str(source.page or 1))
        if isinstance(source.file, bytes):  # stdin is another one each time
            return list(fields)
        if not fields:
            return None if page in self._pages else []
        return [field for field in fields if (*page, field.name) not in self._done] or None

    def add(self, reading: Reading) -> bool:
        """All rows of a reading at once; none, and False, where its file was not opened. OSError."""
        if reading.opened:
            self._append(_as_csv(_rows(reading)))
        return reading.opened

    def close(self) -> None:
        """Nothing more is written; to be called where the table goes to a pipe."""
        if self._stream:
            self._stream.close()

    def _held(self) -> str:
        return self.path.read_bytes().decode("utf-8", "surrogateescape")

    def _append(self, text: str) -> None:
        content = text.encode("utf-8", "surrogateescape")
        if self._stream:
            self._stream.write(content)
            return
        with self.path.open("ab") as file:
            file.write(content)


def _rows(reading: Reading) -> list[list[str]]:
    place = [reading.file, str(reading.page or 1)]
    if not reading.lines:
        return [[*place, "0", "", "", "0", reading.field or ""]]
    return [
        [
            *place,
            str(number),
            line.text,
            f"{min(digit.probability for digit in line.digits):.4f}",
            str(sum(not digit.accepted for digit in line.digits)),
            reading.field or _around(line),
        ]
        for number, line in enumerate(reading.lines, start=1)
    ]


def _around(line: Line) -> str:
    left, top = (min(digit.box[i] for digit in line.digits) for i in (0, 1))
    right, bottom = (max(digit.box[i] + digit.box[i + 2] for digit in line.digits) for i in (0, 1))
    return f"{left},{top},{right - left},{bottom - top}"


def _as_csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
