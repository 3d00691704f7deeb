"""Images without labels, to be read by a run: a CSV, an .npz, an IDX file, or a folder of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downstroke.data import folders, idx, raw, tables, typed
from downstroke.errors import DataError

_FORMS = "a .csv (pixel0,pixel1,...), an .npz of images, an IDX file of images, or a folder of pictures"


@dataclass(frozen=True)
class Unlabelled:
    """`images`: uint8 [N, 28, 28], ink high on zero. `names`: of pictures in a folder, the path of each in it."""

    images: NDArray[np.uint8]
    names: tuple[str, ...] | None
    notices: tuple[str, ...]
    errors: tuple[str, ...] = ()  # a line for each picture in a folder that could not be read, and was left out


def load_images(data: str | Path, *, transpose: bool = False) -> Unlabelled:
    """The images at a path, made into glyphs as those of a data set are. Labels that are there are left out.

    A CSV has a row an image, with a header of pixels, as Kaggle's test.csv, or none. Of an .npz it is x_test, images or
    another usual name, or its only array. A folder holds pictures of one digit each, in sub-folders, too. `transpose`:
    the file holds each image with rows and columns swapped. Raises DataError.
    """
    path = typed.expanded(data)
    notices: list[str] = []
    try:
        if path.is_dir():
            images, names, errors = folders.read_unlabelled(path, notices)
            return Unlabelled(images, names, tuple(notices), errors)
        if not path.is_file():
            raise DataError(f"{path}: no such file or folder; expected {_FORMS}")
        name = path.name.lower()
        if name.endswith(tables.TABLES):
            found = tables.read_unlabelled_csv(path, notices)
        elif name.endswith(".npz"):
            found = tables.read_unlabelled_npz(path, notices)
        elif "idx3" in name:
            found = idx.read_array(path, 3)
        else:
            raise DataError(f"{path}: unknown data format; expected {_FORMS}")
    except PermissionError as error:
        raise DataError(f"{error.filename or path}: cannot be read; check its permissions") from None
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from None
    except MemoryError:
        raise DataError(f"{path}: does not fit into memory; use fewer or smaller images") from None
    if not len(found):
        raise DataError(f"{path}: no images; expected one at least")
    return Unlabelled(raw.glyphs_of(found, str(path), notices, transpose=transpose), None, tuple(notices))
