"""Any framework's log of training as a curve, by its columns' names; with numpy alone.

A file here for each kind of log: `delimited` (downstroke's `metrics.csv`, the CSV of Keras, Lightning, fastai, timm,
ultralytics, W&B), `json_files` (Hugging Face, skorch, Keras' History, mmdetection, JSON lines), `text` (what a program
printed), `tfevents` and `events` (TensorBoard), `mlflow`, `catboost`. `files` tells which one a path is, `columns`
which column is which, `curves` makes the rows a curve.

All come down to rows of named numbers in the order of time. A row with a val loss closes a stretch of training: its
training loss is the mean of what was logged in the stretch, its lr the last. What a program did not measure (an empty
cell, `NA`) is not a row; what it measured as NaN or infinite is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downstroke.advice.curve import Curve
from downstroke.advice.logs import curves, files, val_images
from downstroke.advice.logs.table import Say
from downstroke.errors import LogError


def read(
    path: str | Path, loss: str | None = None, val_loss: str | None = None, *, say: Say = lambda line: None
) -> Curve:
    """The curve that a log holds; `path` is a file or a folder, also of a run that is being written.

    `loss` and `val_loss` name the columns, where their own names do not tell. `say` is given a line for each choice
    that a person should know of. Raises LogError where there is no val loss to be read.
    """
    path = Path(path)
    try:
        return _read(path, loss, val_loss, say)
    except OSError as error:  # of a folder that may not be looked into
        raise LogError(f"{error.filename or path}: {error.strerror or error}; expected a log of training") from None
    except MemoryError:
        raise LogError(f"{path} does not fit into memory; expected a log of training") from None


def _read(path: Path, loss: str | None, val_loss: str | None, say: Say) -> Curve:
    if not path.is_dir():
        return curves.curve_of(files.table_of(path, say), loss, val_loss, say)
    if (path / "metrics.csv").is_file() and (path / "recipe.json").is_file():
        table = files.table_of(path / "metrics.csv", say)
        return val_images.with_val_losses(path, curves.curve_of(table, loss, val_loss, say), say)
    return curves.curve_of(files.folder_of(path, say), loss, val_loss, say)


def val_losses(folder: Path) -> Mapping[int, NDArray[np.floating]]:
    """Epoch -> loss of each val image [N], nats, of the last epochs of the run in `folder`; empty where it has none."""
    try:
        return read(folder).val_losses or {}
    except LogError:
        return {}
