"""What is at a path: IDX files, an `.npz`, a `.csv`, or a folder of pictures by class; its form is found out."""

from __future__ import annotations

from pathlib import Path

from downstroke.data import folders, idx, raw, tables, typed
from downstroke.errors import DataError

_FORMS = (
    "a folder of IDX files, an .npz, a .csv or .tsv (label,pixel0,...), "
    "or a folder with a sub-folder of pictures for each class"
)


def find(data: str | Path, *, or_else: str = "", least: int = 2) -> tuple[str, raw.Found]:
    """The name of the data set at a path, and what is there. DataError; `or_else`: what it could have been as well.

    `least`: the classes that a folder of pictures must have.
    """
    path = typed.expanded(data)
    try:
        if path.is_dir():
            return _find_in_folder(path, least)
        if path.is_file():
            return _find_in_file(path)
        if path.exists():
            raise DataError(f"{path}: neither a file nor a folder; expected {_FORMS}")
    except PermissionError as error:
        raise DataError(f"{error.filename or path}: cannot be read; check its permissions") from None
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from None
    except MemoryError:
        raise DataError(f"{path}: does not fit into memory; use fewer or smaller images") from None
    raise DataError(f"{path}: no such file or folder; expected {or_else}{_FORMS}")


def _find_in_folder(folder: Path, least: int) -> tuple[str, raw.Found]:
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if not files:
        raise DataError(f"{folder}: the folder is empty; expected {_FORMS}")
    name = folder.resolve().name
    if any(idx.is_idx_name(path.name) for path in files):
        return name, idx.read_folder(folder)
    if any(tables.is_train_csv(path.name) for path in files):
        return name, tables.read_csv_folder(folder)
    if below := _raw_folders(folder):
        if len(below) > 1:
            held = ", ".join(str(path.relative_to(folder)) for path in below)
            raise DataError(f"{folder}: {len(below)} data sets ({held}); give the path of one of them")
        return below[0].parent.name, idx.read_folder(below[0])
    if inner := _only_holds(files):
        return _find_in_folder(inner, least) if inner.is_dir() else _find_in_file(inner)
    if folders.subfolders(folder):
        return name, folders.read_class_folders(folder, least)
    if folders.pictures(folder):
        raise DataError(f"{folder}: pictures without classes; expected a sub-folder for each class, named after it")
    found = ", ".join(sorted(path.name for path in files)[:4])
    raise DataError(f"{folder}: holds {found}{', ...' if len(files) > 4 else ''}; expected {_FORMS}")


def _only_holds(files: list[Path]) -> Path | None:
    """What a folder holds alone, as unpacking leaves it: a data file, or a folder that is no class of pictures."""
    kept = [path for path in files if not folders.is_litter(path)]
    if len(kept) != 1:
        return None
    if kept[0].is_dir():
        return None if folders.pictures(kept[0]) or folders.is_part(kept[0]) else kept[0]
    return kept[0] if kept[0].name.lower().endswith((".npz", *tables.TABLES)) else None


def _raw_folders(folder: Path) -> list[Path]:
    """The folders of IDX files below `folder` where torchvision puts them: raw, or <data set>/raw."""
    below = sorted([*folder.glob("raw"), *folder.glob("*/raw")])
    return [path for path in below if path.is_dir() and any(idx.is_idx_name(inner.name) for inner in path.iterdir())]


def _find_in_file(file: Path) -> tuple[str, raw.Found]:
    name = file.name.lower()
    if file.stat().st_size == 0:
        raise DataError(f"{file}: the file is empty (0 bytes); expected {_FORMS}")
    if name.endswith(".npz"):
        return file.stem, tables.read_npz(file)
    if name.endswith(tables.TABLES):
        return file.name.split(".")[0], raw.Found(tables.read_csv(file))
    if idx.is_idx_name(file.name):
        return file.name, idx.read_file(file)
    raise DataError(f"{file}: unknown data format; expected {_FORMS}")
