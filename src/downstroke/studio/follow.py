"""The end of a run's `steps.csv` and `metrics.csv`, while they are being written."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from downstroke.history import EPOCH_COLUMNS, STEP_COLUMNS, EpochRow, StepRow
from downstroke.runs.run import METRICS, STEPS

_WHOLE = {f.name for row in (EpochRow, StepRow) for f in fields(row) if f.type == "int"}
_END = 4096  # bytes: more than a row


class Tail:
    """What is new in a CSV that grows, by whole lines.

    `continue` writes the file anew, without the rows after its checkpoint: those steps are then made again, and their
    rows come again.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], after: int = 0) -> None:
        self.path, self.columns = path, columns
        self.after = after  # the step after which rows are wanted at first
        self._inode, self._at, self._seen = 0, 0, 0

    def new(self) -> list[dict[str, Any]]:
        """The rows since this was last asked, as JSON; none where the file is not there."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._at:
                    self._inode, self._at = status.st_ino, 0
                file.seek(self._at)
                data = file.read()
        except OSError:
            return []
        again = self._at == 0
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        rows = [row for line in whole.decode(errors="replace").splitlines() if (row := _row(line, self.columns))]
        first = self.columns[0]
        if again:  # written anew: what was seen and is still there is nothing new
            self._seen = min(self._seen, rows[-1][first] if rows else 0)
            rows = [row for row in rows if row[first] > self._seen and row["step"] > self.after]
        if rows:
            self._seen, self.after = rows[-1][first], 0
        return rows


def of_steps(run: Path) -> Tail:
    """The tail of a run's steps."""
    return Tail(run / STEPS, STEP_COLUMNS)


def of_epochs(run: Path) -> Tail:
    """The tail of a run's epochs."""
    return Tail(run / METRICS, EPOCH_COLUMNS)


def last_row(tail: Tail) -> dict[str, Any] | None:
    """The last whole row of a file; None where it has none."""
    try:
        with tail.path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _END))
            lines = file.read().decode(errors="replace").split("\n")[:-1]
    except OSError:
        return None
    return _row(lines[-1], tail.columns) if lines else None


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
    except (ValueError, OverflowError):  # the columns' names, or a step that is no whole number
        return None
