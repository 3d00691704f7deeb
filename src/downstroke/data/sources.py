"""Where images and labels come from: the packed MNIST, or a path whose form is found out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downstroke.data import folders, idx, packed, raw, tables
from downstroke.data.dataset import Dataset, Part, cut, split
from downstroke.errors import DataError, counted

_MIXED = 12_000  # images of an epoch, at least, where own digits are mixed with MNIST's
_LOOKED_AT = 1_000  # own digits at most that are learned in all their looks; of more, one each is variety enough
_LEAST_VAL = 5  # own digits set apart as val; where they would be fewer, all are learned from
_FORMS = (
    "a folder of IDX files, an .npz, a .csv (label,pixel0,...), "
    "or a folder with a sub-folder of pictures for each class"
)


def load(
    data: str | Path = "mnist", split_seed: int = 0, *, val_data: str | Path | None = None, transpose: bool = False
) -> Dataset:
    """The data set called "mnist", or the one at a path: IDX files, .npz, .csv, or a folder of pictures by class.

    Every form becomes uint8 [N, 28, 28] images, ink high on zero, and int64 [N] labels 0..classes-1. Images of 28x28
    whose ink is high are taken as they are, others become glyphs. Data without a test part gets one, a stratified 1/7
    fixed by `split_seed`. `val_data`: the path of images that are val, of any of these forms. `transpose`: the files
    hold each image with rows and columns exchanged. Raises DataError, in one line, for anything that cannot be learned
    from.
    """
    if data == "mnist" and val_data is None and not transpose:
        return _mnist()
    name, found = ("mnist", _found_mnist()) if data == "mnist" else _find(data, or_else="mnist, ")
    if val_data is not None:
        found = raw.with_val(found, _find(val_data)[1], transpose=transpose)
    return raw.assemble(name, found, split_seed, transpose=transpose)


def load_mixed(
    data: str | Path,
    share: float,
    val_size: float,
    split_seed: int = 0,
    *,
    transpose: bool = False,
    looks: bool = False,
) -> Dataset:
    """The digits at a path mixed with MNIST's, so that a network learns both.

    `share`: that of MNIST's images in train, above 0 and below 1. There are 12,000 images in train, or more where the
    path has more: the digits at the path are repeated until they are the rest. Val is MNIST's own by `val_size` and
    `split_seed`, and beside it the same share of the digits at the path, where that is 5 or more. Test is MNIST's. The
    classes at the path are some of 0 to 9; what it holds apart as val or test is left alone. `looks`: of a folder's
    pictures learn all that a reader looks at, cut out in several ways and through windows. Raises DataError.
    """
    mnist = _mnist()
    name, found = _find(data, or_else="mnist, ", least=1, with_looks=looks and not transpose)
    own, notices = raw.part_of(found, mnist.classes, transpose=transpose)
    train, val = (mnist.train.take(index) for index in split(mnist.train.labels, val_size, split_seed))
    apart = val_size if val_size < 1 else val_size / len(mnist.train)
    kept = np.arange(len(own))
    if apart * len(own) >= _LEAST_VAL:
        kept, held = split(own.labels, apart, split_seed)
        val = _joined(val, own.take(held))
    own, ways = own.take(kept), ""
    if found.train.looks and len(kept) <= _LOOKED_AT:
        own = _looked_at(own, [found.train.looks[index] for index in kept])
        ways = f" in {len(own):,} looks"
    size = max(_MIXED, len(own) / (1 - share))
    beside = min(len(train), max(len(mnist.classes), round(size * share)))
    times = max(1, round(size * (1 - share) / len(own)))
    train = _joined(train.take(cut(train.labels, beside, split_seed)), own.take(np.tile(np.arange(len(own)), times)))
    notices.append(
        f"an epoch is {beside:,} of MNIST's images and {counted(len(kept), 'image')} of {data}{ways}, each {times}x"
    )
    return Dataset(f"{name} and mnist", train, mnist.test, mnist.classes, True, val or None, tuple(notices))


def _looked_at(part: Part, looks: list[NDArray[np.uint8]]) -> Part:
    """Each image in all the ways that its picture is looked at."""
    return Part(np.concatenate(looks), np.repeat(part.labels, [len(each) for each in looks]))


def _joined(one: Part, other: Part) -> Part:
    return Part(np.concatenate([one.images, other.images]), np.concatenate([one.labels, other.labels]))


def _find(data: str | Path, *, or_else: str = "", least: int = 2, with_looks: bool = False) -> tuple[str, raw.Found]:
    """The name of the data set at a path, and what is there. DataError; `or_else`: what it could have been as well.

    `least`: the classes that a folder of pictures must have; `with_looks`: see `raw.Raw.looks`.
    """
    path = Path(data).expanduser()
    try:
        if path.is_dir():
            return _find_in_folder(path, least, with_looks)
        if path.is_file():
            return _find_in_file(path)
    except PermissionError as error:
        raise DataError(f"{error.filename or path}: cannot be read; check its permissions") from None
    except MemoryError:
        raise DataError(f"{path}: does not fit into memory; use fewer or smaller images") from None
    if path.exists():
        raise DataError(f"{path}: neither a file nor a folder; expected {_FORMS}")
    raise DataError(f"{path}: no such file or folder; expected {or_else}{_FORMS}")


def _found_mnist() -> raw.Found:
    train_images, train_labels, test_images, test_labels = packed.unpack()
    return raw.Found(raw.Raw(train_images, train_labels, "mnist"), raw.Raw(test_images, test_labels, "mnist"))


def _mnist() -> Dataset:
    train_images, train_labels, test_images, test_labels = packed.unpack()
    return Dataset(
        name="mnist",
        train=Part(train_images, train_labels.astype(np.int64)),
        test=Part(test_images, test_labels.astype(np.int64)),
        classes=tuple("0123456789"),
        own_test=True,
    )


def _find_in_folder(folder: Path, least: int, with_looks: bool) -> tuple[str, raw.Found]:
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
    if folders.subfolders(folder):
        return name, folders.read_class_folders(folder, least, with_looks=with_looks)
    if folders.pictures(folder):
        raise DataError(f"{folder}: pictures without classes; expected a sub-folder for each class, named after it")
    found = ", ".join(sorted(path.name for path in files)[:4])
    raise DataError(f"{folder}: holds {found}{', ...' if len(files) > 4 else ''}; expected {_FORMS}")


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
    if name.endswith((".csv", ".csv.gz")):
        return file.name.split(".")[0], raw.Found(tables.read_csv(file))
    if idx.is_idx_name(file.name):
        return file.name, idx.read_file(file)
    raise DataError(f"{file}: unknown data format; expected {_FORMS}")
