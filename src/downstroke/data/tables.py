"""Images in tables: `.npz` archives of arrays, and CSV with a row an image."""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from downstroke.data.raw import Found, Raw
from downstroke.errors import DataError, counted

_NPZ = (  # train and, where there are, val and test: the names in common use, in lower case
    tuple((f"x_{part}", f"y_{part}") for part in ("train", "val", "test")),
    tuple((f"{part}_images", f"{part}_labels") for part in ("train", "val", "test")),
    (("images", "labels"),),
    (("x_val", "y_val"),),  # alone, as --val-data
    (("val_images", "val_labels"),),
)
_CSV = re.compile(r"(?P<set>.*?)(?P<part>train|val|test)\.csv(\.gz)?", re.IGNORECASE)
_LABELS = ("label", "class")
_ROWS = 4096  # read at a time, so that a table of 42,000 x 785 never stands in memory as floats


def read_npz(file: Path) -> Found:
    """`x_train, y_train` with `_val` and `_test`, `train_images, train_labels`, or `images, labels`; raises DataError.

    Arrays of Python objects are refused: loading them could run code.
    """
    if not zipfile.is_zipfile(file):
        raise DataError(f"{file}: not an .npz archive, or cut short; expected what numpy.savez writes")
    arrays: dict[str, NDArray[Any]] = {}
    with np.load(file, allow_pickle=False) as archive:
        found = {key.lower(): key for key in archive.files}
        form = next((pairs for pairs in _NPZ if found.keys() >= set(pairs[0])), None)
        if form is None:
            held = sorted(archive.files)
            raise DataError(
                f"{file}: the arrays are {', '.join(held[:8]) or 'none'}{', ...' if len(held) > 8 else ''}; "
                f"expected x_train, y_train, x_test, y_test, or images, labels"
            )
        pairs = {
            key: pair for key, pair in zip(("train", "val", "test"), form, strict=False) if found.keys() >= set(pair)
        }
        wanted = {part: (found[pair[0]], found[pair[1]]) for part, pair in pairs.items()}
        used = {key for pair in wanted.values() for key in pair}
        for key in sorted(used):
            try:
                array = archive[key]
            except ValueError:
                raise DataError(
                    f"{file}: {key} holds Python objects, which could run code (often images of mixed sizes); "
                    f"expected an array of numbers, all images of one size"
                ) from None
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
                raise DataError(f"{file}: {key} is damaged ({error}); save or download it again") from None
            if not isinstance(array, np.ndarray) or array.ndim == 0:
                raise DataError(f"{file}: {key} is no array; expected one entry an image")
            arrays[key] = array
    parts = {part: Raw(arrays[x], arrays[y], f"{file}, {x}") for part, (x, y) in wanted.items()}
    unused = sorted(set(archive.files) - used)
    notices = (f"{file}: left out {', '.join(unused[:8])}{', ...' if len(unused) > 8 else ''}",) if unused else ()
    return Found(parts["train"], parts.get("test"), parts.get("val"), notices=notices)


def is_train_csv(name: str) -> bool:
    """Whether a file of this name is the train part of a set of CSV files, such as train.csv or mnist_train.csv."""
    match = _CSV.fullmatch(name)
    return match is not None and match["part"].lower() == "train"


def read_csv_folder(folder: Path) -> Found:
    """`train.csv` with `val.csv` and `test.csv`, also after a common beginning such as `mnist_`; raises DataError.

    A test part without labels, such as that of Kaggle's competition, is left out.
    """
    paths = sorted((path for path in folder.iterdir() if path.is_file()), reverse=True)  # x.csv comes after x.csv.gz
    sets: dict[str, dict[str, Path]] = {}
    for path in paths:
        if match := _CSV.fullmatch(path.name):
            sets.setdefault(match["set"], {})[match["part"].lower()] = path
    trained = [name for name, files in sets.items() if "train" in files]
    if len(trained) != 1:
        held = ", ".join(sorted(sets[name]["train"].name for name in trained))
        raise DataError(f"{folder}: {len(trained)} sets of CSV files ({held}); give the path of the one that is meant")
    files = sets[trained[0]]
    notices = []
    if "test" in files and _lacks_labels(files["test"]):
        notices.append(f"{files['test']} has no labels and was left out: a test part was set apart of train")
        del files["test"]
    used = {path.name.removesuffix(".gz") for path in sets[trained[0]].values()}
    if others := [p.name for p in paths if p.name.removesuffix(".gz") not in used and ".csv" in p.suffixes]:
        notices.append(f"{folder}: left out {', '.join(others[:8])}{', ...' if len(others) > 8 else ''}")
    parts = {part: read_csv(path) for part, path in files.items()}
    return Found(parts["train"], parts.get("test"), parts.get("val"), notices=tuple(notices))


def _lacks_labels(file: Path) -> bool:
    """Whether a CSV has a header of pixels alone."""
    try:
        with _open_text(file) as text:
            header = _fields(line := text.readline(), _delimiter(line))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error):
        return False  # why it cannot be read is said by whoever reads it
    names = [name.lower() for name in header]
    return bool(names) and names[0].startswith("pixel") and not set(names) & set(_LABELS)


def _delimiter(line: str) -> str:
    """Of comma, semicolon and tab the one that the first line holds most of."""
    return max(",;\t", key=line.count)


def _fields(line: str, delimiter: str) -> list[str]:
    return [name.strip().strip('"') for name in line.rstrip("\r\n").split(delimiter)]


def read_csv(file: Path) -> Raw:
    """The images of a CSV in Kaggle's form: `label,pixel0,...,pixel783`, a row an image, gzipped or not.

    The header may be missing where the label is first. Images: [N, pixels] uint8, or float32 where some are no whole
    numbers of 0..255. Raises DataError.
    """
    try:
        with _open_text(file) as text:
            return _read_rows(file, text)
    except UnicodeDecodeError:
        raise DataError(f"{file}: not a text file; expected CSV with the columns label,pixel0,pixel1,...") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{file}: the gzip file is damaged or cut short ({error}); download it again") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None


def _open_text(file: Path) -> TextIO:
    if file.name.endswith(".gz"):
        return io.TextIOWrapper(gzip.open(file), encoding="utf-8-sig")
    return file.open(encoding="utf-8-sig")


def _read_rows(file: Path, text: TextIO) -> Raw:
    first_line = text.readline()
    if not first_line.strip():
        raise DataError(f"{file}: the file is empty; expected the columns label,pixel0,pixel1,...")
    delimiter = _delimiter(first_line)
    header = _fields(first_line, delimiter)
    if has_header := not _is_number(header[0]):
        label, pixels = _columns(file, header)
    else:
        label, pixels = 0, list(range(1, len(header)))
        _check_square(file, len(pixels), f"{counted(len(header), 'column')} and no header")
        text.seek(0)
    labels, images = [], []
    row = 1 + has_header  # of the file, from 1
    # The text is read a block of lines at a time, which also tells where a line cannot be parsed.
    while lines := [line for _, line in zip(range(_ROWS), text, strict=False)]:
        block = _parse(file, lines, row, header, has_header, delimiter)
        row += len(lines)
        if len(block):
            labels.append(block[:, label])
            images.append(_compact(block[:, pixels]))
    if not labels:
        raise DataError(f"{file}: a header and no rows; expected a row an image")
    all_labels = np.concatenate(labels)
    if not np.isfinite(all_labels).all():
        raise DataError(f"{file}: a label is NaN or infinite; expected a whole number in every row")
    return Raw(np.concatenate(images), all_labels, str(file))


def _parse(
    file: Path, lines: list[str], first_row: int, header: list[str], has_header: bool, delimiter: str
) -> NDArray[Any]:
    """The numbers of `lines`, [rows, columns]; blank lines are left out."""
    lines_with_text = [line for line in lines if line.strip()]
    if not lines_with_text:
        return np.empty((0, len(header)), np.float32)
    # Whole numbers are what nearly every table holds, and are parsed eight times as fast as floats.
    for dtype in (np.int32, np.float32):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # NumPy would cut 0.5 to 0 and only warn of it
                block = np.loadtxt(lines_with_text, dtype, delimiter=delimiter, comments=None, quotechar='"', ndmin=2)
        except (ValueError, Warning):
            continue  # which line and which field it was is found out below, in our own words
        if block.shape[1] == len(header):
            return block
    for row, line in enumerate(lines, first_row):
        if not line.strip():
            continue
        fields = line.rstrip("\r\n").split(delimiter)
        if len(fields) != len(header):
            raise DataError(
                f"{file}, line {row}: {counted(len(fields), 'field')}; expected {len(header)}, as in the first line"
            )
        for column, field in enumerate(fields):
            if not _is_number(field.strip().strip('"')):
                name = header[column] if has_header else f"field {column + 1}"
                raise DataError(f"{file}, line {row}: {name} is {field[:40]!r}; expected a number")
    raise DataError(f"{file}, lines {first_row} to {first_row + len(lines) - 1}: cannot be read as numbers")


def _compact(pixels: NDArray[Any]) -> NDArray[Any]:
    """The pixels as bytes where that loses nothing."""
    with np.errstate(invalid="ignore"):  # NaN and 300 are no bytes; they stay floats and are named later
        as_bytes = pixels.astype(np.uint8)
    return as_bytes if np.array_equal(as_bytes, pixels) else pixels


def _columns(file: Path, header: list[str]) -> tuple[int, list[int]]:
    """(the label's column, the pixels' columns in order)."""
    lowered = [name.lower() for name in header]
    labels = [column for column, name in enumerate(lowered) if name in _LABELS]
    if len(labels) != 1:
        names = ", ".join(name[:20] for name in header[:4]) + (", ..." if len(header) > 4 else "")
        raise DataError(
            f"{file}: {'more than one' if labels else 'no'} column 'label' among {names}; "
            f"expected label,pixel0,pixel1,... (a Kaggle test.csv has no labels and cannot be learned from)"
        )
    label = labels[0]
    others = [column for column in range(len(header)) if column != label]
    numbers = {int(match[1]): column for column in others if (match := re.fullmatch(r"pixel_?(\d+)", lowered[column]))}
    if not numbers:  # other names, such as 1x1, 1x2, ...: taken in the order they have
        _check_square(file, len(others), f"{counted(len(others), 'column')} beside the label")
        return label, others
    if strangers := [header[column] for column in others if column not in numbers.values()]:
        raise DataError(
            f"{file}: column {strangers[0]!r} is unknown; expected label,pixel0,pixel1,... alone: take it out"
        )
    start = min(numbers)
    side = int(np.ceil(len(numbers) ** 0.5))
    missing = [n for n in range(min(start, 1), min(start, 1) + side * side) if n not in numbers]
    if missing:
        raise DataError(
            f"{file}: column 'pixel{missing[0]}' is missing ({len(numbers)} pixel columns); "
            f"expected {side * side} of them for images of {side}x{side}"
        )
    return label, [numbers[number] for number in sorted(numbers)]


def _check_square(file: Path, count: int, found: str) -> None:
    side = round(count**0.5)
    if side < 2 or side * side != count:
        raise DataError(f"{file}: {found}; expected a label and a square of pixels, such as 784 (28x28)")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
