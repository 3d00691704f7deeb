"""Files that are whole or not there: written beside, flushed to the disk, then renamed into place."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from downstroke.errors import RunError
from downstroke.regular import read_regular

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

MOST_JSON = 64_000_000  # bytes


CAN_LOCK = fcntl is not None


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, atomically."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.writing")
    try:
        with beside.open("wb") as file:
            file.write(data)
            sync(file)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


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


def read_json(path: Path) -> Any:
    """What `path` holds. RunError where it is missing or no JSON."""
    try:
        return json.loads(read_regular(path, MOST_JSON).decode())
    except FileNotFoundError:
        raise RunError(f"{path} is missing; is {path.parent} a run's folder?") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read ({error})") from None


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

    Gives the open file: while it is open the system gives its identity to no other (`still_at`).
    """
    with path.open("a+b") as file:
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


def still_at(file: IO[bytes], path: Path) -> bool:
    """Whether `path` is the very file that is open as `file`, neither removed nor replaced since."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def held(path: Path) -> bool:
    """Whether a process holds `path` as a lock now."""
    if fcntl is None:
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # not there, or no file
        return False
    return False
