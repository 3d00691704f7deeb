"""IDX files, the format of MNIST and of what was made after it: Fashion-MNIST, Kuzushiji-MNIST, EMNIST."""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstroke.data.raw import Found, Raw, check_classes, check_images, check_labels
from downstroke.errors import DataError, counted
from downstroke.regular import open_regular

# train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-letters-test-images-idx3-ubyte
_NAME = re.compile(
    r"(?P<set>.*?)(?P<part>train|val|t10k|test)[-_.](?P<kind>images|labels)[-_.]idx[13][-_.]ubyte(\.gz)?", re.IGNORECASE
)

_MOST_PACKED = 1040  # deflate makes no byte stand for more
_PIECE = 1 << 20  # bytes unpacked at a time


def is_idx_name(name: str) -> bool:
    """Whether a file of this name is one of a set of IDX files."""
    return _NAME.fullmatch(name) is not None


def read_folder(folder: Path, only: str | None = None) -> Found:
    """What a folder of IDX files holds, gzipped or not; raises DataError.

    `only`: of several sets in the folder, the one whose files start with this.
    """
    sets: dict[str, dict[tuple[str, str], Path]] = {}
    paths = sorted(folder.iterdir(), reverse=True)  # a file comes after its .gz, and so takes its place
    # Kaggle unpacks each file into a folder of its name; where both are there, the file itself comes last and counts.
    inside = [inner for path in paths if path.is_dir() and is_idx_name(path.name) for inner in sorted(path.iterdir())]
    for path in [*inside, *paths]:
        if (match := _NAME.fullmatch(path.name)) and path.is_file():
            part = match["part"].lower().replace("t10k", "test")
            sets.setdefault(match["set"], {})[part, match["kind"].lower()] = path
    if only is not None:
        sets = {name: files for name, files in sets.items() if name == only}
    if len(sets) > 1:
        names = ", ".join(sorted(name.rstrip("-_.") or "(no prefix)" for name in sets))
        raise DataError(
            f"{folder}: {len(sets)} sets of IDX files ({names}); expected one: "
            f"give the path of the train images of the one to use"
        )
    if not sets:
        raise DataError(f"{folder}: no IDX files, only folders named like them; expected train-images-idx3-ubyte")
    ((name, files),) = sets.items()
    train = _read_part(folder, files, name, "train")
    val, test = (
        _read_part(folder, files, name, part) if any(held == part for held, _ in files) else None
        for part in ("val", "test")
    )
    # EMNIST's files hold each image mirrored at its diagonal.
    return Found(train, test, val, transposed=name.lower().startswith("emnist"))


def read_file(file: Path) -> Found:
    """As `read_folder`, of the set in the file's folder that this file is one of."""
    match = _NAME.fullmatch(file.name)
    assert match is not None
    return read_folder(file.parent, match["set"])


def _read_part(folder: Path, files: dict[tuple[str, str], Path], name: str, part: str) -> Raw:
    for kind, dimensions in (("images", 3), ("labels", 1)):
        if (part, kind) not in files:
            expected = f"{name}{'t10k' if part == 'test' else part}-{kind}-idx{dimensions}-ubyte"
            found = ", ".join(sorted(path.name for path in files.values()))
            raise DataError(f"{folder}: no {part} {kind}; expected {expected} (or .gz) beside {found}")
    path = files[part, "images"]
    # Both heads first: labels that are not one an image are not unpacked.
    with _opened(path, 3) as (_, images), _opened(files[part, "labels"], 1) as (_, shape):
        check_labels(shape, np.dtype(np.uint8), images[0], str(path))
    labels = read_array(files[part, "labels"], 1)
    if part == "train":
        check_classes(labels, str(path))
    return Raw(read_array(path, 3), labels, str(path))


def read_array(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """One IDX file of bytes, gzipped or not, as uint8 [N, ...] of `dimensions` axes.

    Format: "THE IDX FILE FORMAT" in LeCun's page of MNIST. Raises DataError for another format or length, before more
    is unpacked than the head promises.
    """
    with _opened(path, dimensions) as (file, shape):
        return _read(path, file, shape)


@contextmanager
def _opened(path: Path, dimensions: int) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """An IDX file behind its head, and the shape that this promises. DataError, also for more than the file holds."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if zipped:
                with gzip.open(file) as unzipped:
                    yield unzipped, _head(path, unzipped, dimensions, size * _MOST_PACKED)
            else:
                yield file, _head(path, file, dimensions, size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip file is damaged or cut short ({error}); download it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _head(path: Path, file: Any, dimensions: int, most: int) -> tuple[int, ...]:
    """The shape that the head of an IDX file of bytes promises, which cannot hold more than `most`."""
    what = "images" if dimensions == 3 else "labels"
    content = file.read(4 + 4 * dimensions)
    if len(content) < 4 + 4 * dimensions:
        raise DataError(f"{path}: {counted(len(content), 'byte')}, too short for an IDX header; download it again")
    if content[:4] != bytes([0, 0, 8, dimensions]):
        raise DataError(
            f"{path}: starts with {content[:4].hex(' ')}; expected 00 00 08 {dimensions:02x}, an IDX file of {what}"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:])
    if (promised := math.prod(shape)) > most:
        size, most_told = " x ".join(map(str, shape)), counted(most, "byte")
        raise DataError(f"{path}: {most_told} of {what} at most; expected {promised} ({size}): it is cut short")
    if dimensions == 3:
        check_images(shape, np.dtype(np.uint8), str(path))
    return shape


def _read(path: Path, file: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The array of so many bytes in `file`."""
    what = "images" if len(shape) == 3 else "labels"
    size, promised = " x ".join(map(str, shape)), math.prod(shape)
    array = np.empty(promised, np.uint8)
    held = 0
    while piece := file.read(min(_PIECE, promised - held + 1)):  # a byte more tells that the file is too long
        if held + len(piece) > promised:
            told = counted(promised, "byte")
            raise DataError(f"{path}: more than {told} of {what} ({size}): it is too long, download it again")
        array[held : held + len(piece)] = np.frombuffer(piece, np.uint8)
        held += len(piece)
    if held < promised:
        raise DataError(
            f"{path}: {counted(held, 'byte')} of {what}; expected {promised} ({size}): "
            f"it is cut short, download it again"
        )
    return array.reshape(shape)
