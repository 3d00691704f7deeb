"""The record of losses: one row an epoch, one row a step; plain numbers, CSV in and out.

`metrics.csv` holds the epochs, `steps.csv` the steps. Floats are written with `repr`, so that what is read back is
the very number that was written. A value that was not measured is an empty field in the file and NaN here.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from downstroke.errors import RunError, counted, shown
from downstroke.regular import open_regular, read_regular

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class EpochRow:
    """One epoch. `loss` and `accuracy` are of a fixed sample of the training images, in evaluation mode."""

    epoch: int  # from 1
    step: int  # updates of W so far
    elapsed_s: float  # seconds of training so far, without loading and saving
    lr: float  # of the epoch's last step
    batch_loss: float  # mean over the epoch's images of the criterion, as they were trained on
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
    return ["" if isinstance(v, float) and math.isnan(v) else repr(v) for v in astuple(row)]


@dataclass
class History:
    """The epochs of a run, in order.

    >>> history = History.read("runs/calm-otter/metrics.csv")   # doctest: +SKIP
    >>> history.column("val_loss")                              # doctest: +SKIP
    [0.0712, 0.0529, 0.0467]
    """

    rows: list[EpochRow] = field(default_factory=list)

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

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read `metrics.csv`. A last line still being written (no newline yet) is left out.

        Raises RunError where the columns are not the ones above or a field is no number.
        """
        return cls([EpochRow(int(v[0]), int(v[1]), *v[2:]) for v in _read(path, EPOCH_COLUMNS, whole=2)])


def read_steps(path: str | Path) -> list[StepRow]:
    """Read `steps.csv`; as `History.read`."""
    return [StepRow(int(v[0]), *v[1:]) for v in _read(path, STEP_COLUMNS, whole=1)]


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
            raise RunError(f"{path} is damaged ({text}); it can be done without, and is made anew") from None
        if losses.ndim != 2 or losses.dtype != np.float16 or _misfit(losses, epochs):
            raise RunError(f"{path} is damaged (it holds no losses by epoch and image); it can be done without")
        return cls(losses, epochs)


def _misfit(losses: NDArray[Any], epochs: NDArray[Any] | None) -> bool:
    return epochs is not None and (epochs.shape != losses.shape[:1] or epochs.dtype.kind != "i")


def _read(path: str | Path, columns: tuple[str, ...], whole: int) -> Iterator[list[float]]:
    """The rows of `path`, of which the first `whole` columns are whole numbers. RunError."""
    number = 1
    try:
        # A byte that is no UTF-8 becomes a character that is no number.
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
