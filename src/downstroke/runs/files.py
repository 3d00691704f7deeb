"""Files that are whole or not there: written beside, flushed to the disk, then renamed into place.

A run's folder may be a stranger's. So what is in it is opened here, for reading and for writing: regular files alone,
and through no link that leads out of the folder.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from downstroke.errors import RunError
from downstroke.regular import append_regular, open_regular, read_regular

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

MOST_JSON = 64_000_000  # bytes


CAN_LOCK = fcntl is not None


def inside(path: Path, folder: Path | None = None) -> Path:
    """`path`, where no link on it leads out of `folder`; left out, the folder it is in. OSError."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder or path.parent)):
        raise OSError(errno.ELOOP, "it is a link that leads out of the folder", os.fspath(path))
    return path


def open_inside(path: Path, folder: Path | None = None) -> BinaryIO:
    """`path`, open for reading bytes. OSError where it is missing, no regular file, or leads out (`inside`)."""
    return open_regular(inside(path, folder))


def read_inside(path: Path, most: int, folder: Path | None = None) -> bytes:
    """All of `path`. OSError as in `open_inside`, and where it has more than `most` bytes."""
    return read_regular(inside(path, folder), most)


def open_new(path: Path) -> BinaryIO:
    """`path`, new and empty, open for writing bytes; a file or link in its place is removed, and never followed."""
    path.unlink(missing_ok=True)
    return path.open("xb")


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, atomically. OSError names `path`."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.writing")
    with naming(path):
        try:
            with open_new(beside) as file:
                file.write(data)
                sync(file)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within it, an OSError names `path`: a full disk names nothing, and else it is the file beside `path`."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def own(path: Path) -> Path:
    """The path of a run's own file, to be written: what stands there and is no file, as a link, is removed."""
    if path.is_symlink() or is_stream(path):
        path.unlink()
    return path


def is_stream(path: Path) -> bool:
    """Whether it is there and neither a file nor a folder: a pipe, a terminal, a device."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def writer_is_gone(path: Path) -> bool:
    """Whether the process that `write_bytes` wrote this `.NAME.PID.writing` in has ended; False if unknown."""
    number = path.name.split(".")[-2]
    if os.name != "posix" or not number.isdigit() or not path.is_file():
        return False
    try:
        os.kill(int(number), 0)  # asks, and sends nothing
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return False


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as JSON, atomically. A non-finite number becomes null."""
    write_bytes(path, (dumps(value) + "\n").encode())


def read_json(path: Path, folder: Path | None = None) -> Any:
    """What `path` holds. RunError where it is missing or no JSON, or leads out of `folder` (`inside`)."""
    try:
        return parse_json(read_inside(path, MOST_JSON, folder))
    except FileNotFoundError:
        raise RunError(f"{path} is missing; is {path.parent} a run's folder?") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged ({error}); restore it from a copy") from None


def parse_json(data: bytes) -> Any:
    """What the UTF-8 JSON `data` says. ValueError that names what a crash leaves; RecursionError."""
    if not data.strip(b"\0"):
        raise ValueError("it holds zeros only" if data else "it is empty")
    return json.loads(data.decode())


def dumps(value: Any, indent: int | None = 2) -> str:
    """Strict JSON: NaN and the infinities, which JSON has not, become null."""
    text = json.dumps(finite(value), indent=indent, allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()  # a byte of a file's name that is no UTF-8 is escaped


def finite(value: Any) -> Any:
    """`value` with every non-finite float, at any depth, replaced by None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


def sync(file: IO[Any]) -> None:
    """Have what was written reach the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have renames in `folder` reach the disk, where the system knows how."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def locked(path: Path, busy: str) -> Iterator[IO[bytes]]:
    """Hold `path` as a lock. RunError(busy) where another process holds it; the system frees it when a process dies.

    Gives the open file.
    """
    with append_regular(path) as file:
        if fcntl is not None:
            for patience in (0.01, 0.05, 0.2, None):  # `held` holds it for an instant, in whoever asks
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if patience is None:
                        raise RunError(busy) from None
                    time.sleep(patience)
                except OSError as error:
                    raise RunError(
                        f"{path} cannot be locked ({error.strerror or error}): its file system has no locks, as some "
                        f"network file systems; keep runs on a local disk: --runs-dir DIR"
                    ) from None
        yield file


class Place:
    """The path of an open file, to see whether it is still there. A training asks at each step: it is one system call.

    While the file is open the system gives its identity to no other.
    """

    def __init__(self, file: IO[Any], path: Path) -> None:
        self._identity, self._path = os.fstat(file.fileno()), os.fspath(path)

    def is_kept(self) -> bool:
        """Whether the path is that very file, neither removed nor replaced since."""
        try:
            return os.path.samestat(self._identity, os.stat(self._path))
        except OSError:
            return False


def held(path: Path) -> bool:
    """Whether a process holds `path` as a lock now."""
    if fcntl is None:
        return False
    try:
        with open_inside(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # not there, or no file
        return False
    return False
