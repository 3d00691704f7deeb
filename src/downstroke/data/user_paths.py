"""Paths as people type them: relative to the current folder, or with ~ for a home folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from downstroke.errors import DataError


def expanded(path: str | Path) -> Path:
    """The path with the home folder in the place of ~. DataError where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise DataError(f"{path}: the home folder for ~ is unknown; give the full path") from None


def absolute(path: str | Path) -> str:
    """The path as it is from everywhere, links followed. DataError where it leads nowhere."""
    whole = expanded(path)
    try:
        return str(whole.resolve())
    except (RuntimeError, OSError, ValueError) as error:  # links in a circle, a byte of 0
        raise DataError(f"{path} cannot be resolved ({error}); give the path of a file or a folder") from None


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Within it, a file or folder that cannot be read, or does not fit into memory, becomes a DataError."""
    try:
        yield
    except PermissionError as error:
        raise DataError(f"{error.filename or path}: cannot be read; check its permissions") from None
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from None
    except MemoryError:
        raise DataError(f"{path}: does not fit into memory; use fewer or smaller images") from None
