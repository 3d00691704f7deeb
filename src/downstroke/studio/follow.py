"""The end of a run's `steps.csv` and `metrics.csv`, while they are being written."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

from downstroke.history import EPOCH_COLUMNS, STEP_COLUMNS, EpochRow, StepRow
from downstroke.runs import files
from downstroke.runs.run import METRICS, STEPS

_WHOLE = {f.name for row in (EpochRow, StepRow) for f in fields(row) if f.type == "int"}
_END = 4096  # bytes: more than a row
_AT_ONCE = 1 << 24  # bytes taken at a look


class Tail:
    """What is new in a CSV that grows, by whole lines.

    `continue` writes the file anew, without the rows after its checkpoint: those steps are then made again, and their
    rows come again.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], after: int = 0) -> None:
        self.path, self.columns = path, columns
        self.after = after  # the step after which rows are wanted of those that are there at first
        self._inode, self._at, self._seen, self._there = 0, 0, 0, 0

    def new(self) -> list[dict[str, Any]]:
        """The rows since this was last asked, as JSON; of very many the first. None where the file is not there."""
        try:
            with files.open_inside(self.path) as file:
                self._find_place(file)
                file.seek(self._at)
                data = file.read(_AT_ONCE)
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1] or (data if len(data) == _AT_ONCE else b"")  # no row is so long
        self._at += len(whole)
        rows = [row for line in whole.decode(errors="replace").splitlines() if (row := _row(line, self.columns))]
        rows = [row for row in rows if row[self.columns[0]] > self._seen and row["step"] > self.after]
        if rows:
            self._seen = rows[-1][self.columns[0]]
        if self._at >= self._there:
            self.after = 0
        return rows

    def pass_over(self) -> None:
        """What is recorded already is nothing new."""
        with suppress(OSError), files.open_inside(self.path) as file:
            self._find_place(file)
            end, row = _end(file, self.columns)
            self._at, self._seen = end, row[self.columns[0]] if row else 0

    def _find_place(self, file: BinaryIO) -> None:
        """Begin anew where the file was rewritten: what was seen and is still there is nothing new."""
        status = os.fstat(file.fileno())
        if status.st_ino != self._inode or status.st_size < self._at:
            self._there, row = _end(file, self.columns)
            self._inode, self._at, self._seen = status.st_ino, 0, min(self._seen, row[self.columns[0]] if row else 0)


def of_steps(run: Path) -> Tail:
    """The tail of a run's steps."""
    return Tail(run / STEPS, STEP_COLUMNS)


def of_epochs(run: Path) -> Tail:
    """The tail of a run's epochs."""
    return Tail(run / METRICS, EPOCH_COLUMNS)


def last_row(tail: Tail) -> dict[str, Any] | None:
    """The last whole row of a file; None where it has none."""
    try:
        with files.open_inside(tail.path) as file:
            return _end(file, tail.columns)[1]
    except OSError:
        return None


def _end(file: BinaryIO, columns: tuple[str, ...]) -> tuple[int, dict[str, Any] | None]:
    """Where the last whole row of a file ends, in bytes, and the row; None where it has none."""
    start = max(0, os.fstat(file.fileno()).st_size - _END)
    file.seek(start)
    data = file.read(_END)
    end = data.rfind(b"\n") + 1
    lines = data[:end].decode(errors="replace").splitlines()
    return start + end, _row(lines[-1], columns) if lines else None


def last_step(run: Path) -> int:
    """The last step that was recorded; 0 where none was."""
    row = last_row(of_steps(run))
    return row["step"] if row else 0


def _row(line: str, columns: tuple[str, ...]) -> dict[str, Any] | None:
    values = line.split(",")
    try:
        numbers = [float(value) if value else None for value in values]
        if len(numbers) != len(columns) or numbers[0] is None:
            return None
        return {
            name: int(value) if value is not None and name in _WHOLE else value
            for name, value in zip(columns, numbers, strict=True)
        }
    except (ValueError, OverflowError):  # the columns' names, or a step that is not a whole number
        return None
