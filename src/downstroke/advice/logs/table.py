"""What every kind of log comes down to: rows of named numbers, in the order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from downstroke.errors import LogError, NoValLossYetError
from downstroke.regular import open_regular, read_regular

Say = Callable[[str], None]
STEP = "step"
MOST_ROWS = 2_000_000
MOST_BYTES = 256_000_000  # of an unpacked log that is held whole: all but event files


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


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A log, open for reading. LogError where it is missing, not a regular file, or cannot be read."""
    try:
        with open_regular(path) as file:
            yield file
    except OSError as error:
        raise _unreadable(path, error) from None


def bytes_of(path: Path) -> bytes:
    """All of a log. LogError as for `opened`, and where it has more than `MOST_BYTES`."""
    try:
        return read_regular(path, MOST_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> LogError:
    kind = NoValLossYetError if isinstance(error, FileNotFoundError) else LogError
    return kind(f"{path}: {error.strerror or error}; expected a log of training, or a run")


def refuse_pointer(path: Path, start: bytes) -> None:
    """LogError where a file begins as what Git LFS leaves in place of a file that it has not fetched."""
    if start.startswith(b"version https://git-lfs"):
        raise LogError(f"{path} is a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`")


def joined(name: str, key: str, by: str = "/") -> str:
    """The name of a column out of two; of long ones a part, as the first would be held once for each of the second."""
    return f"{name[:100]}{by}{key[-200:]}"
