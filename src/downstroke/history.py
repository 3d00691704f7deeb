"""The record of losses: one row per epoch, one row per step; plain numbers, CSV in and out.

`metrics.csv` holds the epochs, `steps.csv` the steps. Floats are written with `repr`, so that what is read back is
the very number that was written. A value that was not measured is an empty field in the file and NaN here.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from downstroke import display
from downstroke.errors import DownstrokeError, RunError, counted, shown
from downstroke.regular import open_regular, read_regular

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import numpy as np
    import pandas as pd
    import polars as pl
    from numpy.typing import NDArray


@dataclass(frozen=True)
class EpochRow:
    """One epoch. `loss` and `accuracy` are of a fixed sample of the training images, in evaluation mode."""

    epoch: int  # from 1
    step: int  # updates of W so far
    elapsed_s: float  # seconds of training so far, without loading and saving
    lr: float  # of the epoch's last step
    batch_loss: float  # mean over the epoch's images of the criterion, as they came, while W was moving
    loss: float  # mean cross-entropy, nats
    accuracy: float  # 0..1
    val_loss: float  # mean cross-entropy on the val images, nats
    val_accuracy: float  # 0..1


@dataclass(frozen=True)
class StepRow:
    """One update of W."""

    step: int  # from 1
    lr: float
    batch_loss: float  # mean of the criterion over the batch
    gradient_norm: float  # Euclidean norm of dL/dW over all weights


MOST_VAL_LOSSES = 1_000_000_000  # bytes
EPOCH_COLUMNS = tuple(f.name for f in fields(EpochRow))
STEP_COLUMNS = tuple(f.name for f in fields(StepRow))


def to_fields(row: EpochRow | StepRow) -> list[str]:
    """The row as CSV fields: `repr` of every number, an empty field for NaN (not measured)."""
    values = (getattr(row, name) for name in row.__dataclass_fields__)
    return ["" if isinstance(v, float) and math.isnan(v) else repr(v) for v in values]


@dataclass
class History:
    """The epochs of a run, in order.

    >>> history = History.read("runs/calm-otter/metrics.csv")   # doctest: +SKIP
    >>> history.column("val_loss")                              # doctest: +SKIP
    [0.0712, 0.0529, 0.0467]
    """

    rows: list[EpochRow] = field(default_factory=list)

    def __repr__(self) -> str:
        best = self.best
        told = f", best val loss {best.val_loss:.4g} at epoch {best.epoch}" if best else ""
        return f"History({counted(len(self), 'epoch')}{told})"

    def _repr_html_(self) -> str:
        return display.html(*self.elements())

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[EpochRow]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> EpochRow:
        return self.rows[index]

    def column(self, name: str) -> list[float]:
        """One column as a list of floats; NaN where nothing was measured. Raises KeyError for an unknown name."""
        if name not in EPOCH_COLUMNS:
            raise KeyError(f"no column {name!r}; there are {', '.join(EPOCH_COLUMNS)}")
        return [float(getattr(row, name)) for row in self.rows]

    @property
    def best(self) -> EpochRow | None:
        """The row with the lowest val loss (the earliest of equals); None where val was never measured."""
        measured = [row for row in self.rows if math.isfinite(row.val_loss)]
        return min(measured, key=lambda row: row.val_loss) if measured else None

    @property
    def lost(self) -> bool:
        """Whether val was measured, and its loss was a number at no epoch: the training diverged."""
        return self.best is None and any(math.isfinite(row.val_accuracy) for row in self.rows)

    def to_pandas(self) -> pd.DataFrame:
        """A row an epoch, the columns of `metrics.csv`; NaN where nothing was measured. Needs pandas."""
        return _pandas(self.rows, EPOCH_COLUMNS)

    def to_polars(self) -> pl.DataFrame:
        """A row an epoch, the columns of `metrics.csv`; null where nothing was measured. Needs polars."""
        return _polars(self.rows, EPOCH_COLUMNS, whole=2)

    def elements(self, batches: Sequence[tuple[float, float]] = ()) -> list[Element]:
        """What a notebook shows: the best epoch and the last, and the curve.

        `batches`: (epoch, batch loss) of single steps; without them, one value per epoch.
        """
        if not self.rows and not batches:
            return [display.element("p", "no epoch is finished yet")]
        best = self.best
        last = self.rows[-1] if self.rows else None
        named = {"best": best, "last": last} if best != last else {"best, last": best}
        lines = [
            display.Line("batch", batches or [(r.epoch, r.batch_loss) for r in self.rows], display.BATCH, thin=True),
            display.Line("train", [(r.epoch, r.loss) for r in self.rows], display.TRAIN, dashed=True),
            display.Line("val", [(r.epoch, r.val_loss) for r in self.rows], display.VAL),
        ]
        curve = display.curve(lines, (best.epoch, best.val_loss) if best else None)
        return [display.table(_FIGURES, [[name, *_figures(row)] for name, row in named.items() if row]), curve]

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read `metrics.csv`. A last line still being written (no newline yet) is left out.

        Raises RunError where the columns are not the ones above or a field is not a number.
        """
        return cls([EpochRow(int(v[0]), int(v[1]), *v[2:]) for v in _read(path, EPOCH_COLUMNS, whole=2)])


class Steps(list[StepRow]):
    """The steps of a run, in order."""

    def __repr__(self) -> str:
        return f"Steps({counted(len(self), 'step')})"

    def to_pandas(self) -> pd.DataFrame:
        """A row per step, the columns of `steps.csv`; NaN where nothing was measured. Needs pandas."""
        return _pandas(self, STEP_COLUMNS)

    def to_polars(self) -> pl.DataFrame:
        """A row per step, the columns of `steps.csv`; null where nothing was measured. Needs polars."""
        return _polars(self, STEP_COLUMNS, whole=1)


def read_steps(path: str | Path) -> Steps:
    """Read `steps.csv`; as `History.read`."""
    return Steps(StepRow(int(v[0]), *v[1:]) for v in _read(path, STEP_COLUMNS, whole=1))


def _pandas(rows: Sequence[EpochRow | StepRow], columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError:
        raise DownstrokeError("to_pandas needs pandas: pip install pandas") from None
    return pd.DataFrame({name: [getattr(row, name) for row in rows] for name in columns})


def _polars(rows: Sequence[EpochRow | StepRow], columns: tuple[str, ...], whole: int) -> pl.DataFrame:
    try:
        import polars as pl
    except ImportError:
        raise DownstrokeError("to_polars needs polars: pip install polars") from None
    types = [pl.Int64] * whole + [pl.Float64] * (len(columns) - whole)
    frame = pl.DataFrame([astuple(row) for row in rows], schema=dict(zip(columns, types, strict=True)), orient="row")
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


_FIGURES = ("", "epoch", "step", "batch loss", "train loss", "val loss", "train accuracy", "val accuracy", "lr")


def four_decimals(value: float) -> str:
    """A loss with four decimals; three digits of one so large that these would only be in the way."""
    return f"{value:.3g}" if 1e5 <= abs(value) < math.inf else f"{value:.4f}"


def _figures(row: EpochRow) -> list[str]:
    """An epoch as text; a dash for what was not measured."""
    told = (f"{row.epoch}", f"{row.step:,}", *map(four_decimals, (row.batch_loss, row.loss, row.val_loss)))
    shares = (f"{100 * share:.2f}%" for share in (row.accuracy, row.val_accuracy))
    return ["–" if text.startswith("nan") else text for text in (*told, *shares, f"{row.lr:.3g}")]


@dataclass(frozen=True)
class ValLosses:
    """The loss of every val image in the last epochs, as `val_losses.npy` holds it."""

    losses: NDArray[np.float16]  # [epochs, images], nats
    epochs: NDArray[np.int32] | None  # [epochs]; None in a file of a version that did not write them

    def to_bytes(self) -> bytes:
        """One file of two arrays, so that no row is ever without its epoch: `np.load` alone gives the losses."""
        import numpy as np

        buffer = io.BytesIO()
        np.save(buffer, self.losses)
        if self.epochs is not None:
            np.save(buffer, self.epochs)
        return buffer.getvalue()

    @classmethod
    def read(cls, path: str | Path) -> Self | None:
        """What `path` holds; None where it is missing. RunError where it is damaged."""
        import numpy as np

        def array(file: Any) -> NDArray[Any]:
            return np.lib.format.read_array(file, allow_pickle=False, max_header_size=1000)

        try:
            buffer = io.BytesIO(read_regular(Path(path), MOST_VAL_LOSSES))
            losses = array(buffer)
            epochs = array(buffer) if buffer.read(1) and buffer.seek(-1, io.SEEK_CUR) else None
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, SyntaxError, MemoryError, OverflowError) as error:
            text = " ".join(str(error).split())
            raise RunError(f"{path} is damaged ({text}); it is not needed, and is written again") from None
        if losses.ndim != 2 or losses.dtype != np.float16 or _misfit(losses, epochs):
            raise RunError(f"{path} is damaged (expected the losses by epoch and image); it is not needed")
        return cls(losses, epochs)


def _misfit(losses: NDArray[Any], epochs: NDArray[Any] | None) -> bool:
    return epochs is not None and (epochs.shape != losses.shape[:1] or epochs.dtype.kind != "i")


def _read(path: str | Path, columns: tuple[str, ...], whole: int) -> Iterator[list[float]]:
    """The rows of `path`, of which the first `whole` columns are whole numbers. RunError."""
    number = 1
    try:
        # A byte that is no UTF-8 becomes a character that is not a number.
        with io.TextIOWrapper(open_regular(path), newline="", encoding="utf-8", errors="replace") as file:
            whole_lines = (line for line in file if line.endswith("\n"))
            reader = csv.reader(whole_lines)
            header = next(reader, [])
            if tuple(header) != columns:
                found = shown(",".join(header))[:200] or "missing"
                raise RunError(f"{path}: the columns are {found}; expected {','.join(columns)}")
            for number, values in enumerate(reader, start=2):
                if len(values) != len(columns):
                    raise ValueError(f"{counted(len(values), 'field')}")
                row = [float(v) if v else math.nan for v in values]
                if not all(number.is_integer() for number in row[:whole]):
                    raise ValueError(f"{values[:whole]} are not whole numbers")
                yield row
    except (ValueError, csv.Error) as error:
        text = shown(str(error))[:200]
        raise RunError(f"{path}, line {number}: {text}; expected {len(columns)} numbers") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or error})") from None
