"""Images in tables: `.npz` archives of arrays, and CSV with a row an image."""

from __future__ import annotations

import gzip
import io
import math
import re
import sys
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from downstroke.data.raw import MOST_IMAGES, PARTS, Found, Raw, check_classes, check_images, check_labels
from downstroke.errors import DataError, counted, shown

_KINDS = {
    "images": ("x", "images", "image", "imgs", "img", "data"),
    "labels": ("y", "labels", "label", "targets", "target"),
}
_NAMES = {  # what an array's name tells: its part, "" where it names none, and what it holds; the usual names first
    "".join(name): (part, kind)
    for kind, words in _KINDS.items()
    for word in words
    for part, parts in {"": ("",), **PARTS}.items()
    for known in parts
    for name in ((known, word), (word, known))
}
_READ = (("test", "images"), ("", "images"), ("val", "images"), ("train", "images"))  # where labels are not asked for
TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_TABLE = re.compile(r"(?P<set>.*?)(?P<part>train|val|test)\.[ct]sv(\.gz)?", re.IGNORECASE)
_LABELS = ("label", "labels", "class", "target", "digit", "y")
#: Rows and numbers read at a time, so that a table of 42,000 x 785 never stands in memory as floats.
_ROWS, _NUMBERS = 4096, 4_000_000
_MOST_COLUMNS = 1024 * 1024 + 1  # of images of 1024x1024, and a label
_LONGEST_FIELD = 40  # characters of a column's name or a number, as a rule
_MOST_TEXT = 16_000_000  # characters read at a time
_MOST_HEADER = 10_000  # bytes of the header of an array, as NumPy has it


def _usual(archive: Any) -> dict[tuple[str, str], str]:
    """The arrays of an .npz by what their names tell: x_train, trainX, TestImages and y_valid are such names.

    Of two that tell the same the more usual one.
    """
    plain = {re.sub(r"[\W_]", "", name.lower()): name for name in reversed(archive.files)}
    found: dict[tuple[str, str], str] = {}
    for name, told in _NAMES.items():
        if name in plain:
            found.setdefault(told, plain[name])
    return found


def read_npz(file: Path) -> Found:
    """`x_train, y_train` with `x_val, y_val` and `x_test, y_test`, or `images, labels`; raises DataError.

    Other usual names do as well, such as train_images, X_train, trainX, or X, y. Arrays of Python objects are refused:
    loading them could run code.
    """
    arrays: dict[str, NDArray[Any]] = {}
    with _archive(file) as archive:
        found = _usual(archive)
        whole = {part: (found[part, "images"], found[part, "labels"]) for part, _ in found if _is_whole(found, part)}
        # Val images may be alone, as --val-data.
        train = next((part for part in ("train", "", "val") if part in whole), None)
        if train is None:
            held = [shown(name) for name in sorted(archive.files)]
            raise DataError(
                f"{file}: the arrays are {', '.join(held[:8]) or 'none'}{', ...' if len(held) > 8 else ''}; "
                f"expected x_train, y_train, x_test, y_test, or images, labels"
            )
        wanted = {"train": whole[train]} | {p: whole[p] for p in ("val", "test") if p in whole and train != "val"}
        used = {key for pair in wanted.values() for key in pair}
        for x, y in wanted.values():
            images, labels = _promised(file, archive, x), _promised(file, archive, y)
            check_images(*images, f"{file}, {x}")
            check_labels(*labels, images[0][0], f"{file}, {x}")
            arrays[y] = _array(file, archive, y)  # they are small, and may tell that the images are of no use
            if x == wanted["train"][0]:
                check_classes(arrays[y], f"{file}, {y}")
            arrays[x] = _array(file, archive, x)
    parts = {part: Raw(arrays[x], arrays[y], f"{file}, {x}") for part, (x, y) in wanted.items()}
    unused = [shown(name) for name in sorted(set(archive.files) - used)]
    notices = (f"{file}: left out {', '.join(unused[:8])}{', ...' if len(unused) > 8 else ''}",) if unused else ()
    return Found(parts["train"], parts.get("test"), parts.get("val"), notices=notices)


def _is_whole(found: dict[tuple[str, str], str], part: str) -> bool:
    """Whether a part has images and labels."""
    return (part, "images") in found and (part, "labels") in found


def read_unlabelled_npz(file: Path, notices: list[str]) -> NDArray[Any]:
    """The images of an .npz, [N, ...]: those of test, else of another part, else its only array. DataError."""
    with _archive(file) as archive:
        found = _usual(archive)
        wanted = next((found[told] for told in _READ if told in found), None)
        if wanted is None and len(archive.files) == 1:
            wanted = archive.files[0]
        if wanted is None:
            held = ", ".join(shown(name) for name in sorted(archive.files)[:8]) or "none"
            raise DataError(f"{file}: the arrays are {held}; expected one of x_test, images, x_val and x_train")
        if others := [shown(name) for name in sorted(set(archive.files) - {wanted})]:
            left_out = f"{', '.join(others[:8])}{', ...' * (len(others) > 8)}"
            notices.append(f"{file}: {shown(wanted)} is read; left out {left_out}")
        check_images(*_promised(file, archive, wanted), f"{file}, {wanted}")
        return _array(file, archive, wanted)


@contextmanager
def _archive(file: Path) -> Iterator[Any]:
    """An .npz, open. DataError where it is none or damaged."""
    if not zipfile.is_zipfile(file):
        raise DataError(f"{file}: not an .npz archive, or cut short; expected what numpy.savez writes")
    with ExitStack() as opened:
        try:
            archive = opened.enter_context(np.load(opened.enter_context(file.open("rb")), allow_pickle=False))
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
            text = shown(" ".join(str(error).split()))[:200]
            raise DataError(f"{file}: the archive is damaged ({text}); save or download it again") from None
        yield archive


@contextmanager
def _damage_named(file: Path, key: str) -> Iterator[None]:
    """What goes wrong in reading a member of an .npz, as DataError."""
    try:
        yield
    except DataError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, LookupError) as error:
        text = shown(" ".join(str(error).split()))[:200]
        raise DataError(f"{file}: {key} is damaged or locked ({text}); save or download it again") from None


def _promised(file: Path, archive: Any, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array of an .npz, by its header. DataError where the file cannot hold them."""
    with _damage_named(file, key):
        with archive.zip.open(f"{key}.npy") as member:
            shape, dtype = _header(member)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject:
            raise DataError(
                f"{file}: {key} holds Python objects, which could run code (often images of mixed sizes); "
                f"expected an array of numbers, all images of one size"
            )
        if not shape:
            raise DataError(f"{file}: {key} is no array; expected one entry an image")
        if not 0 <= size <= archive.zip.getinfo(f"{key}.npy").file_size:
            raise DataError(f"{file}: {key} is damaged: it promises {counted(size, 'byte')}; save or download it again")
    return shape, dtype


def _array(file: Path, archive: Any, key: str) -> NDArray[Any]:
    """An array of an .npz, of the shape and type that it promised."""
    with _damage_named(file, key):
        array: NDArray[Any] = archive[key]
        if array.dtype.kind == "U" and array.size:
            native = array.astype(array.dtype.newbyteorder("="), copy=False)
            if np.ascontiguousarray(native).view(np.uint32).max() > sys.maxunicode:
                raise ValueError("a name holds what is no character")
    return array


def _header(member: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that a .npy promises. ValueError."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    told = member.read(2 if version == (1, 0) else 4)
    if (length := int.from_bytes(told, "little")) > _MOST_HEADER:  # NumPy would read it all, and refuse it then
        raise ValueError(f"its header has {counted(length, 'byte')}")
    shape, _, dtype = read(io.BytesIO(told + member.read(length)))
    return shape, dtype


def is_train_csv(name: str) -> bool:
    """Whether a file of this name is the train part of a set of CSV files, such as train.csv or mnist_train.csv."""
    match = _TABLE.fullmatch(name)
    return match is not None and match["part"].lower() == "train"


def read_csv_folder(folder: Path) -> Found:
    """`train.csv` with `val.csv` and `test.csv`, also after a common beginning such as `mnist_`; raises DataError.

    A test part without labels, such as that of Kaggle's competition, is left out.
    """
    paths = sorted((path for path in folder.iterdir() if path.is_file()), reverse=True)  # x.csv comes after x.csv.gz
    sets: dict[str, dict[str, Path]] = {}
    for path in paths:
        if match := _TABLE.fullmatch(path.name):
            sets.setdefault(match["set"], {})[match["part"].lower()] = path
    trained = [name for name, files in sets.items() if "train" in files]
    if len(trained) != 1:
        held = ", ".join(sorted(sets[name]["train"].name for name in trained))
        raise DataError(f"{folder}: {len(trained)} sets of CSV files ({held}); give the path of the one to use")
    files = sets[trained[0]]
    used = {path.name.removesuffix(".gz") for path in files.values()}
    notices: list[str] = []
    if "test" in files and _lacks_labels(files["test"]):
        notices.append(f"{files['test']} has no labels and was left out: a test part was set apart of train")
        del files["test"]
    if others := [p.name for p in paths if p.name.removesuffix(".gz") not in used and p.name.lower().endswith(TABLES)]:
        notices.append(f"{folder}: left out {', '.join(others[:8])}{', ...' if len(others) > 8 else ''}")
    parts = {part: read_csv(path) for part, path in files.items()}
    return Found(parts["train"], parts.get("test"), parts.get("val"), notices=tuple(notices))


def _lacks_labels(file: Path) -> bool:
    """Whether a CSV has a header that names pixels and no label."""
    try:
        with _open_text(file) as text:
            header = _fields(line := _first_line(file, text), _delimiter(line))
    except (DataError, OSError, EOFError, UnicodeDecodeError, zlib.error):
        return False  # why it cannot be read is said by whoever reads it
    names = [name.lower() for name in header]
    return any(name.startswith("pixel") for name in names) and not set(names) & set(_LABELS)


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
    with _named_errors(file), _open_text(file) as text:
        return _read_rows(file, text)


def read_unlabelled_csv(file: Path, notices: list[str]) -> NDArray[Any]:
    """As `read_csv`, the images alone: [N, pixels]. The column of labels may be missing, and is left out. DataError."""
    with _named_errors(file), _open_text(file) as text:
        first_line = _first_line(file, text)
        header = _fields(first_line, _delimiter(first_line))
        named = not _is_number(header[0])
        side = math.isqrt(len(header))
        labelled = any(name.lower() in _LABELS for name in header) if named else side * side != len(header)
        if labelled:
            notices.append(f"{file}: has labels, which are left out")
        text.seek(0)
        return _read_rows(file, text, labelled=labelled).images


@contextmanager
def _named_errors(file: Path) -> Iterator[None]:
    """What goes wrong in reading a text file, as DataError."""
    try:
        yield
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


def _lines(file: Path, text: TextIO, most: int, columns: int) -> list[str]:
    """The next `most` lines at most, fewer where they are long; DataError for one longer than so many columns make."""
    longest = columns * _LONGEST_FIELD + 1000
    lines: list[str] = []
    held = 0
    while len(lines) < most and held < _MOST_TEXT and (line := text.readline(longest)):
        if len(line) == longest:
            raise DataError(f"{file}: a line of more than {longest:,} characters; expected a row an image")
        lines.append(line)
        held += len(line)
    return lines


def _first_line(file: Path, text: TextIO) -> str:
    """The first line, "" where there is none; DataError where it has too many columns."""
    line = "".join(_lines(file, text, 1, _MOST_COLUMNS))
    if (columns := line.count(_delimiter(line)) + 1) > _MOST_COLUMNS:
        raise DataError(f"{file}: {counted(columns, 'column')}; expected at most {_MOST_COLUMNS:,}")
    return line


def _read_rows(file: Path, text: TextIO, *, labelled: bool = True) -> Raw:
    """The images and labels; the labels are all 0 where the table has none."""
    first_line = _first_line(file, text)
    if not first_line.strip():
        raise DataError(f"{file}: the file is empty; expected the columns label,pixel0,pixel1,...")
    delimiter = _delimiter(first_line)
    header = _fields(first_line, delimiter)
    if has_header := not _is_number(header[0]):
        label, pixels = _columns(file, header, labelled=labelled)
    else:
        label, pixels = (0, list(range(1, len(header)))) if labelled else (None, list(range(len(header))))
        _check_square(file, len(pixels), f"{counted(len(header), 'column')} and no header")
        text.seek(0)
    labels, images = [], _Rows(len(pixels))
    row = 1 + has_header  # of the file, from 1
    # The text is read a block of lines at a time, which also tells where a line cannot be parsed.
    while lines := _lines(file, text, max(1, min(_ROWS, _NUMBERS // len(header))), len(header)):
        block = _parse(file, lines, row, header, has_header, delimiter)
        row += len(lines)
        if row > MOST_IMAGES:
            raise DataError(f"{file}: more than {MOST_IMAGES:,} lines; expected a row an image")
        if len(block):
            # Floats are exact up to 2^53.
            labels.append(np.zeros(len(block)) if label is None else block[:, label].astype(np.float64))
            images.add(_compact(block[:, pixels]))
    if not labels:
        raise DataError(f"{file}: a header and no rows; expected a row an image")
    all_labels = np.concatenate(labels)
    if not np.isfinite(all_labels).all():
        raise DataError(f"{file}: a label is NaN or infinite; expected a whole number in every row")
    table = images.all()
    if labelled and not has_header and np.ptp(all_labels) == 0 and np.ptp(table[:, -1]):
        raise DataError(
            f"{file}: without a header the first column is the label, and it is {all_labels[0]:g} in every row; "
            f"if the last one is, name the columns in a first line: pixel0,pixel1,...,label"
        )
    return Raw(table, all_labels, str(file))


class _Rows:
    """Rows of `width` numbers that grow in place: joined at the end, they would need their memory twice."""

    def __init__(self, width: int) -> None:
        self._held: NDArray[Any] = np.empty((0, width), np.uint8)
        self._count = 0

    def add(self, block: NDArray[Any]) -> None:
        """Append rows of uint8, or of float32: from then on all are."""
        if block.dtype not in (self._held.dtype, np.uint8):
            self._held = self._held.astype(block.dtype)
        needed = self._count + len(block)
        if needed > len(self._held):
            self._held.resize((max(needed, len(self._held) * 5 // 4), self._held.shape[1]), refcheck=False)
        self._held[self._count : needed] = block
        self._count = needed

    def all(self) -> NDArray[Any]:
        self._held.resize((self._count, self._held.shape[1]), refcheck=False)
        return self._held


def _parse(
    file: Path, lines: list[str], first_row: int, header: list[str], has_header: bool, delimiter: str
) -> NDArray[Any]:
    """The numbers of `lines`, [rows, columns]; blank lines are left out."""
    lines_with_text = [line for line in lines if line.strip()]
    if not lines_with_text:
        return np.empty((0, len(header)), np.float32)
    # Whole numbers are what nearly every table holds, and are parsed eight times as fast as floats.
    for dtype in (np.int32, np.float64):
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
    """The pixels as bytes where that loses nothing, else as float32."""
    with np.errstate(invalid="ignore"):  # NaN and 300 are no bytes; they stay floats and are named later
        as_bytes = pixels.astype(np.uint8)
    return as_bytes if np.array_equal(as_bytes, pixels) else pixels.astype(np.float32)


def _columns(file: Path, header: list[str], *, labelled: bool = True) -> tuple[int | None, list[int]]:
    """(the label's column, None where the table has none; the pixels' columns in order)."""
    lowered = [name.lower() for name in header]
    labels = [column for column, name in enumerate(lowered) if name in _LABELS]
    if len(labels) != labelled:
        names = ", ".join(name[:20] for name in header[:4]) + (", ..." if len(header) > 4 else "")
        raise DataError(
            f"{file}: {'more than one' if labels else 'no'} column 'label' among {names}; "
            f"expected label,pixel0,pixel1,... (a Kaggle test.csv has no labels: `downstroke predict` reads it)"
        )
    label = labels[0] if labelled else None
    others = [column for column in range(len(header)) if column != label]
    numbers = {
        int(match[1]): column for column in others if (match := re.fullmatch(r"pixel_?(\d{1,9})", lowered[column]))
    }
    if not numbers:  # other names, such as 1x1, 1x2, ...: taken in the order they have
        _check_square(file, len(others), f"{counted(len(others), 'column')}{' beside the label' if labelled else ''}")
        return label, others
    known = set(numbers.values())
    if strangers := [header[column] for column in others if column not in known]:
        raise DataError(
            f"{file}: column {strangers[0][:40]!r} is unknown; expected only label,pixel0,pixel1,...: remove it"
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
