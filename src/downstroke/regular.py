"""Opening files that strangers made: regular files only, and no more of them than expected.

A FIFO would let `open` wait forever, and a device such as /dev/zero never ends. A link could have a file made, or
changed, anywhere.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """`path`, open for reading bytes. OSError where it is missing or not a regular file; it never waits."""
    return os.fdopen(_opened(path, os.O_RDONLY), "rb")


def append_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """`path`, open for appending bytes, made where it is missing. OSError where it is a link or not a regular file."""
    if os.path.islink(path):
        raise OSError(errno.ELOOP, "it is a link; expected a file", os.fspath(path))
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(_opened(path, flags), "a+b")


def _opened(path: str | os.PathLike[str], flags: int) -> int:
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0), 0o666)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder", os.fspath(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
        return handle
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path, most: int) -> bytes:
    """All of `path`, `most` bytes at most. OSError where it is missing, not a regular file, or larger."""
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"it has more than {most / 1e6:,.0f} MB", os.fspath(path))
        return file.read()
