"""What every kind of log comes down to: rows of named numbers, in the order of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Say = Callable[[str], None]
STEP = "step"
MOST_BYTES = 256 << 20  # of an unpacked log


@dataclass(frozen=True)
class Table:
    """Rows in the order of time; a value that was not measured is missing from its row."""

    file: Path
    rows: list[dict[str, Any]]
    places: list[str]  # where each row stands in the file, in words
    names: list[str]  # the columns
    #: Whether `epoch` is how many epochs were done, so that 0 is the W before training; else 0 is the first epoch.
    epochs_done: bool = False
    unit: str = "epoch"  # what the rows are counted in
