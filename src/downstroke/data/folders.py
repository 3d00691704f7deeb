"""A folder of pictures with a sub-folder for each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downstroke.data.raw import PARTS, Found, Raw, elected, to_glyph, vote
from downstroke.errors import DataError, PictureError, counted
from downstroke.glyphs.glyph import SIZE, looks
from downstroke.glyphs.ink import Polarity
from downstroke.glyphs.picture import SUFFIXES, read_picture
from downstroke.glyphs.window import seen

Bad = dict[Path, str]  # a picture that cannot be read, and what is wrong with it
_LITTER = ("thumbs.db", "desktop.ini")


def subfolders(folder: Path) -> list[Path]:
    """The sub-folders that are not hidden, numbers in the order of numbers and before names."""
    return sorted((p for p in folder.iterdir() if p.is_dir() and not is_litter(p)), key=_by_name)


def is_litter(path: Path) -> bool:
    """Whether a path is what systems leave behind in folders."""
    return path.name.startswith((".", "__")) or path.name.lower() in _LITTER


def is_part(path: Path) -> bool:
    """Whether a folder's name tells that it holds the train, val or test part."""
    return any(path.name.lower() in names for names in PARTS.values())


def pictures(folder: Path) -> list[Path]:
    """The files of a folder whose names end as those of pictures do, in the order of their names."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def read_class_folders(folder: Path, least: int = 2) -> Found:
    """`<class>/<picture>`, or `train/<class>/...` with `val/<class>/...` and `test/<class>/...`; `least` classes.

    The images are uint8 [N, 28, 28], ink high: pictures of 28x28 with their ink high are taken as they are, others
    become glyphs; labels are positions in the class names. Raises DataError.
    """
    below = subfolders(folder)
    homes = {part: p for part, names in PARTS.items() for p in below if p.name.lower() in names}
    if "train" not in homes:
        if "test" in homes and not pictures(homes["test"]):
            raise DataError(f"{folder}: {homes['test'].name} without train; expected train/<class>/... beside it")
        homes = {"train": folder}
    elif strangers := [p.name for p in below if p not in homes.values()]:
        raise DataError(
            f"{folder}: {strangers[0]} beside {homes['train'].name}; expected train, val and test alone "
            f"(move its pictures to one of them)"
        )
    notices: list[str] = []
    for home in dict.fromkeys([folder, *homes.values()]):
        if beside := [path.name for path in pictures(home)]:
            notices.append(f"{home}: left out {_some('picture', beside)}; move them to the folders of their classes")
    files = {
        part: _files_by_class(home, notices, least=least if part == "train" else 1) for part, home in homes.items()
    }
    names = tuple(files["train"])
    parts: dict[str, Raw] = {}
    polarities: dict[str, Polarity] = {}
    for part, home in homes.items():
        if unknown := [name for name in files[part] if name not in names]:
            raise DataError(f"{home}: class {unknown[0]} is not in {homes['train']}; expected {', '.join(names[:12])}")
        polarities[part] = _polarity(home, [path for paths in files[part].values() for path in paths], notices)
        if turned := polarities[part] != polarities["train"]:
            notices.append(f"the ink of the {part} images is the other level than in train: they were turned over")
        parts[part] = _read_part(home, files[part], names, polarities["train"], notices, turned=turned)
    return Found(parts["train"], parts.get("test"), parts.get("val"), names, tuple(notices))


def _by_name(path: Path) -> tuple[bool, int, str]:
    numeric = path.name.isascii() and path.name.isdigit()
    return (not numeric, int(path.name) if numeric else 0, path.name)


def _files_by_class(folder: Path, notices: list[str], least: int) -> dict[str, list[Path]]:
    files = {}
    for path in subfolders(folder):
        files[path.name] = pictures(path)
        _say_what_is_left_out(path, notices)
        if not files[path.name]:
            raise DataError(
                f"{path}: no pictures in this class ({', '.join(s[1:] for s in SUFFIXES)}); "
                f"add some, or remove the folder"
            )
    if len(files) < least:
        found = f"only the class {next(iter(files))}" if files else "no sub-folders"
        raise DataError(
            f"{folder}: {found}; expected a sub-folder of pictures for each of at least "
            f"{counted(least, 'class', 'classes')}"
        )
    return files


def _say_what_is_left_out(folder: Path, notices: list[str]) -> None:
    """Add a line for what a class's folder holds beside pictures."""
    others = [p for p in sorted(folder.iterdir()) if not is_litter(p)]
    if inner := [p.name for p in others if p.is_dir()]:
        notices.append(f"{folder}: left out its {_some('sub-folder', inner)}; move the pictures up to read them")
    if files := [p.name for p in others if p.is_file() and p.suffix.lower() not in SUFFIXES]:
        notices.append(f"{folder}: left out {_some('file', files)}; save pictures as PNG or JPEG to read them")


def _some(what: str, names: list[str]) -> str:
    plural = "" if len(names) == 1 else "s"
    return f"{len(names):,} {what}{plural} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def _open(path: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """As `read_picture`."""
    try:
        return read_picture(path)
    except PictureError as error:
        raise DataError(str(error)) from None


@contextmanager
def _noted(bad: Bad | None, path: Path) -> Iterator[None]:
    """What is wrong with a picture is put down in `bad`; DataError where that is None."""
    try:
        yield
    except DataError as error:
        if bad is None:
            raise
        bad[path] = str(error)


def _polarity(folder: Path, files: list[Path], notices: list[str], bad: Bad | None = None) -> Polarity:
    """The polarity of the whole data set, from about 200 pictures spread over it. `bad`: as for `_read_pictures`."""
    votes = []
    for path in files[:: max(1, len(files) // 200)]:
        with _noted(bad, path):
            votes.append(vote(_open(path)[0]))
    return elected(votes, str(folder), notices)


def _looks(path: Path, glyph: NDArray[np.uint8], polarity: Polarity, *, turned: bool) -> NDArray[np.uint8]:
    """The ways in which `read --digit` looks at a picture, uint8 [M,28,28]; only its glyph where that is all it is."""
    picture, _ = _open(path)
    if picture.shape == (SIZE, SIZE):
        return glyph[None]
    picture = 255 - picture if turned else picture
    return seen(picture, looks(picture, polarity))


def _read_part(
    folder: Path,
    files: dict[str, list[Path]],
    names: tuple[str, ...],
    polarity: Polarity,
    notices: list[str],
    *,
    turned: bool,
) -> Raw:
    """The pictures of a part; what is to be said of them is added to `notices`."""
    paths = [path for name in files for path in files[name]]
    labels = np.repeat([names.index(name) for name in files], [len(files[name]) for name in files])
    images = _read_pictures(folder, paths, polarity, notices, turned=turned)

    def look(index: int) -> NDArray[np.uint8]:
        return _looks(paths[index], images[index], polarity, turned=turned)

    return Raw(images, labels, str(folder), look, are_glyphs=True)


def read_unlabelled(folder: Path, notices: list[str]) -> tuple[NDArray[np.uint8], tuple[str, ...], tuple[str, ...]]:
    """(all pictures in a folder and its sub-folders as glyphs, uint8 [N, 28, 28]; their paths in it; errors).

    A picture that cannot be read is left out, with a line among the errors. DataError where there is none, or none can.
    """
    inner = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    names = sorted(path for path in inner if not any(part.startswith(".") for part in path.parts))
    if not names:
        raise DataError(f"{folder}: no pictures ({', '.join(suffix[1:] for suffix in SUFFIXES)})")
    paths, bad = [folder / name for name in names], Bad()
    polarity = _polarity(folder, paths, notices, bad)
    whole = [path for path in paths if path not in bad]
    images = _read_pictures(folder, whole, polarity, notices, turned=False, bad=bad)
    kept = [index for index, path in enumerate(whole) if path not in bad]
    errors = [bad[path] for path in paths if path in bad]
    if not kept:
        raise DataError(f"{errors[0]} (and {len(errors) - 1:,} more)" if len(errors) > 1 else errors[0])
    read = tuple(whole[index].relative_to(folder).as_posix() for index in kept)
    return images[kept] if errors else images, read, tuple(errors)


def _read_pictures(
    folder: Path, paths: list[Path], polarity: Polarity, notices: list[str], *, turned: bool, bad: Bad | None = None
) -> NDArray[np.uint8]:
    """The pictures as glyphs, uint8 [N, 28, 28]; what is to be said of them is added to `notices`.

    `bad`: is given what is wrong with those that cannot be read, whose glyphs say nothing; without it, DataError.
    """
    images = np.empty((len(paths), SIZE, SIZE), np.uint8)
    as_they_are = []
    said: Counter[str] = Counter()
    for index, path in enumerate(paths):
        with _noted(bad, path):
            picture, notes = _open(path)
            said.update(notes)
            picture = 255 - picture if turned else picture
            if picture.shape == (SIZE, SIZE) and polarity == "ink-high":
                images[index] = picture
                as_they_are.append(index)
            else:
                images[index] = to_glyph(picture, polarity, str(path))
    if len(as_they_are) < sum(path not in (bad or {}) for path in paths):  # of mixed sizes: all are given one form
        for index in as_they_are:
            with _noted(bad, paths[index]):
                images[index] = to_glyph(images[index], polarity, str(paths[index]))
    notices += [f"{folder}: {count:,} of {counted(len(paths), 'picture')}: {note}" for note, count in said.items()]
    return images
