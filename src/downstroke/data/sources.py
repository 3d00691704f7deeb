"""Where images and labels come from: the packed MNIST, or a path whose form is found out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from downstroke.data import folders, idx, packed, raw, tables
from downstroke.data.dataset import Dataset, Part
from downstroke.errors import DataError

_FORMS = (
    "a folder of IDX files, an .npz, a .csv (label,pixel0,...), "
    "or a folder with a sub-folder of pictures for each class"
)


def load(data: str | Path = "mnist", split_seed: int = 0) -> Dataset:
    """The data set called "mnist", or the one at a path: IDX files, .npz, .csv, or a folder of pictures by class.

    Every form becomes uint8 [N, 28, 28] images, ink high on zero, and int64 [N] labels 0..classes-1. Images of 28x28
    whose ink is high are taken as they are, others become glyphs. Data without a test part gets one, a stratified 1/7
    fixed by `split_seed`. Raises DataError, in one line, for anything that cannot be learned from.
    """
    if data == "mnist":
        return _mnist()
    path = Path(data).expanduser()
    try:
        if path.is_dir():
            return _load_folder(path, split_seed)
        if path.is_file():
            return _load_file(path, split_seed)
    except PermissionError as error:
        raise DataError(f"{error.filename or path}: may not be read; check its permissions") from None
    except MemoryError:
        raise DataError(f"{path}: does not fit into memory; use fewer or smaller images") from None
    if path.exists():
        raise DataError(f"{path}: neither a file nor a folder; expected {_FORMS}")
    raise DataError(f"{path}: no such file or folder; expected mnist, {_FORMS}")


def _mnist() -> Dataset:
    train_images, train_labels, test_images, test_labels = packed.unpack()
    return Dataset(
        name="mnist",
        train=Part(train_images, train_labels.astype(np.int64)),
        test=Part(test_images, test_labels.astype(np.int64)),
        classes=tuple("0123456789"),
        own_test=True,
    )


def _load_folder(folder: Path, split_seed: int) -> Dataset:
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if not files:
        raise DataError(f"{folder}: the folder is empty; expected {_FORMS}")
    name = folder.resolve().name
    if any(idx.is_idx_name(path.name) for path in files):
        return raw.assemble(name, raw.Found(*idx.read_folder(folder)), split_seed)
    if any(tables.is_train_csv(path.name) for path in files):
        return raw.assemble(name, tables.read_csv_folder(folder), split_seed)
    if below := _raw_folders(folder):
        if len(below) > 1:
            held = ", ".join(str(path.relative_to(folder)) for path in below)
            raise DataError(f"{folder}: {len(below)} data sets ({held}); give the path of one of them")
        return raw.assemble(below[0].parent.name, raw.Found(*idx.read_folder(below[0])), split_seed)
    if folders.subfolders(folder):
        return raw.assemble(name, folders.read_class_folders(folder), split_seed)
    if folders.pictures(folder):
        raise DataError(f"{folder}: pictures without classes; expected a sub-folder for each class, named after it")
    found = ", ".join(sorted(path.name for path in files)[:4])
    raise DataError(f"{folder}: holds {found}{', ...' if len(files) > 4 else ''}; expected {_FORMS}")


def _raw_folders(folder: Path) -> list[Path]:
    """The folders of IDX files below `folder` where torchvision puts them: raw, or <data set>/raw."""
    below = sorted([*folder.glob("raw"), *folder.glob("*/raw")])
    return [path for path in below if path.is_dir() and any(idx.is_idx_name(inner.name) for inner in path.iterdir())]


def _load_file(file: Path, split_seed: int) -> Dataset:
    name = file.name.lower()
    if file.stat().st_size == 0:
        raise DataError(f"{file}: the file is empty (0 bytes); expected {_FORMS}")
    if name.endswith(".npz"):
        return raw.assemble(file.stem, tables.read_npz(file), split_seed)
    if name.endswith((".csv", ".csv.gz")):
        return raw.assemble(file.name.split(".")[0], raw.Found(tables.read_csv(file)), split_seed)
    if idx.is_idx_name(file.name):
        return raw.assemble(file.name, raw.Found(*idx.read_file(file)), split_seed)
    raise DataError(f"{file}: not a form of data that can be read; expected {_FORMS}")
