"""A folder of pictures with a sub-folder for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downstroke.data.glyph import SIZE
from downstroke.data.ink import Polarity
from downstroke.data.picture import SUFFIXES, open_picture
from downstroke.data.raw import Raw, to_glyph, vote
from downstroke.errors import DataError, PictureError

_TRAIN, _TEST = ("train", "training"), ("test", "testing")


def subfolders(folder: Path) -> list[Path]:
    """The sub-folders that are not hidden, numbers in the order of numbers and before names."""
    return sorted((p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__"))), key=_by_name)


def pictures(folder: Path) -> list[Path]:
    """The files of a folder whose names end as those of pictures do, in the order of their names."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def read_class_folders(folder: Path) -> tuple[Raw, Raw | None, tuple[str, ...]]:
    """(train, test or None, class names) of `<class>/<picture>`, or `train/<class>/...` and `test/<class>/...`.

    The images are uint8 [N, 28, 28], ink high: pictures of 28x28 with their ink high are taken as they are, others
    become glyphs; labels are positions in the class names. Raises DataError.
    """
    parts = {path.name.lower(): path for path in subfolders(folder)}
    train_folder = next((parts[name] for name in _TRAIN if name in parts), None)
    test_folder = next((parts[name] for name in _TEST if name in parts), None)
    if train_folder is None:
        if test_folder is not None and not pictures(test_folder):
            raise DataError(f"{folder}: {test_folder.name} without train; expected train/<class>/... beside it")
        train_folder, test_folder = folder, None
    elif strangers := [p.name for p in parts.values() if p not in (train_folder, test_folder)]:
        raise DataError(
            f"{folder}: {strangers[0]} beside {train_folder.name}; expected train and test alone "
            f"(the val part comes out of train: move its pictures there)"
        )
    files = _files_by_class(train_folder)
    names = tuple(files)
    test_files = _files_by_class(test_folder) if test_folder else {}
    if unknown := [name for name in test_files if name not in files]:
        raise DataError(f"{test_folder}: class {unknown[0]} is not in {train_folder}; expected {', '.join(names[:12])}")
    polarity = _polarity([path for paths in files.values() for path in paths])
    train = _read_part(train_folder, files, names, polarity)
    return train, _read_part(test_folder, test_files, names, polarity) if test_folder else None, names


def _by_name(path: Path) -> tuple[bool, int, str]:
    numeric = path.name.isascii() and path.name.isdigit()
    return (not numeric, int(path.name) if numeric else 0, path.name)


def _files_by_class(folder: Path) -> dict[str, list[Path]]:
    files = {}
    for path in subfolders(folder):
        files[path.name] = pictures(path)
        if not files[path.name]:
            raise DataError(
                f"{path}: no pictures in this class ({', '.join(s[1:] for s in SUFFIXES)}); "
                f"add some, or take the folder away"
            )
    if len(files) < 2:
        found = f"only the class {next(iter(files))}" if files else "no sub-folders"
        raise DataError(f"{folder}: {found}; expected a sub-folder of pictures for each of at least 2 classes")
    return files


def _open(path: Path) -> NDArray[np.uint8]:
    try:
        return open_picture(path)
    except PictureError as error:
        raise DataError(str(error)) from None


def _polarity(files: list[Path]) -> Polarity:
    """The polarity of the whole data set, from about 200 pictures spread over it."""
    sample = files[:: max(1, len(files) // 200)]
    return "ink-high" if sum(vote(_open(path)) for path in sample) >= 0 else "ink-low"


def _read_part(folder: Path, files: dict[str, list[Path]], names: tuple[str, ...], polarity: Polarity) -> Raw:
    paths = [path for name in files for path in files[name]]
    labels = np.repeat([names.index(name) for name in files], [len(files[name]) for name in files])
    images = np.empty((len(paths), SIZE, SIZE), np.uint8)
    as_they_are = []
    for index, picture in enumerate(_open(path) for path in paths):
        if picture.shape == (SIZE, SIZE) and polarity == "ink-high":
            images[index] = picture
            as_they_are.append(index)
        else:
            images[index] = to_glyph(picture, polarity, str(paths[index]))
    if len(as_they_are) < len(paths):  # of mixed sizes: all are brought into one form
        for index in as_they_are:
            images[index] = to_glyph(images[index], polarity, str(paths[index]))
    return Raw(images, labels, str(folder))
