"""What a person asked to be written, at the path that they named: refused before the work, written at its end."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Set
from pathlib import Path
from typing import Any

from downstroke.errors import DownstrokeError
from downstroke.runs.files import dumps, is_stream, naming, write_bytes


def refuse_output(path: Path, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """DownstrokeError where `path` lies in no folder, is one, or is the same file as one of `inputs`.

    To be asked before the work of which the output is the end.
    """
    refuse_missing_folder(path)
    if path.is_dir():
        raise DownstrokeError(f"{path} is a folder; give the name of a file")
    refuse_replaced(path, identities(inputs))


def refuse_missing_folder(path: Path) -> None:
    """DownstrokeError where `path` lies in no folder."""
    if not Path(os.path.realpath(path)).parent.is_dir():
        raise DownstrokeError(f"{path}: there is no folder {path.parent}; make it first")


def refuse_replaced(path: Path, inputs: Set[Hashable]) -> None:
    """DownstrokeError where `path` is one of the files of which `inputs` are the `identities`."""
    if identity(path) in inputs:
        raise DownstrokeError(f"{path} is what is read, and would be replaced; give another name for the output")


def identities(paths: Iterable[str | os.PathLike[str]]) -> set[Hashable]:
    """The `identity` of each path; made once, thousands of outputs can be asked about thousands of inputs."""
    return {identity(path) for path in paths}


def identity(path: str | os.PathLike[str]) -> Hashable:
    """The same for all names of one file or folder; one that is not there yet is known by its path."""
    try:
        made = os.stat(path)
        return made.st_dev, made.st_ino
    except OSError:
        return os.path.realpath(path)


def write_output(path: Path, data: bytes) -> None:
    """Write a file that a person named: one that is there is replaced atomically, and so is what a link leads to.

    A device or pipe, and the file that this process' stdout goes to, is written to as it is. OSError names `path`.
    """
    with naming(path):
        if is_stream(path) or goes_to(path, 1) or goes_to(path, 2):
            with path.open("ab") as file:
                file.write(data)
        else:
            write_bytes(Path(os.path.realpath(path)), data)


def output_json(path: Path, value: Any) -> None:
    """`value` as `write_json` has it, into a file that a person named: see `write_output`."""
    write_output(path, (dumps(value) + "\n").encode())


def goes_to(path: Path, handle: int) -> bool:
    """Whether our stdout (1) or stderr (2) goes to that very file or pipe, as to /dev/stdout."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except OSError:
        return False
