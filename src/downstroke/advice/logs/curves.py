"""From a log's table to the curve that advice is drawn from."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstroke.advice.curve import Curve
from downstroke.advice.logs import columns
from downstroke.advice.logs.columns import column_name
from downstroke.advice.logs.table import Say, Table
from downstroke.errors import LogError, NoValLossYetError, counted
from downstroke.history import EPOCH_COLUMNS
from downstroke.regular import read_regular

MOST_ENVIRONMENT = 64_000_000  # bytes of environment.json
MOST_COLUMNS = 100_000
DIGITS = 10
MANY = 3  # evaluations per epoch from which they are counted instead of epochs
JUMP = 1.1  # the loss of a new run is so many times the last of the one before


def curve_of(table: Table, loss: str | None, val_loss: str | None, say: Say) -> Curve:
    """The rows that hold a val loss, each with what was logged since the one before; LogError where none does."""
    if len(table.names) > MOST_COLUMNS:
        raise LogError(f"{table.file} has {counted(len(table.names), 'column')}; expected {MOST_COLUMNS:,} at most")
    val_name = columns.asked(table, val_loss) if val_loss else columns.val_column(table, say)
    loss_name = columns.asked(table, loss) if loss else columns.train_column(table, say)
    table = _last_run(table, val_name, loss_name, say)
    val = columns.numbers(table, val_name)
    closing = [i for i, value in enumerate(val) if value is not None]
    if not closing:
        raise NoValLossYetError(
            f"{table.file}: no val loss was measured, column {column_name(val_name)} is empty; advice needs a val loss"
        )
    at, unit = _epochs(table, closing, say), table.unit
    closing = [i for i in closing if at[i] > 0] or closing  # Hugging Face may measure W before it has learned
    if _within_epochs(at[closing]):
        span = counted(math.ceil(at.max()), "epoch")
        times = counted(len(closing), "time")
        say(f"{column_name(val_name)} was measured {times} in {span}; evaluations are counted")
        unit = "evaluation"
        before = np.zeros(len(at))
        before[[i + 1 for i in closing if i + 1 < len(at)]] = 1
        at = 1 + np.cumsum(before)
    epoch, last = np.unique(at[closing][::-1], return_index=True)  # of several in one epoch, its last
    if len(epoch) < len(closing):
        say(f"{column_name(val_name)} was measured several times an epoch; the last of each is taken")
    stretch = np.searchsorted(epoch, at)
    kept = [closing[len(closing) - 1 - i] for i in last]
    _tell_of_scores(table, kept, [val[i] for i in kept], say)
    loss_held = None if loss_name is None else columns.numbers(table, loss_name)
    lr_name = columns.lr_column(table)
    lr_held = None if lr_name is None else columns.if_numbers(table, lr_name)
    if lr_name is not None and lr_held is None:
        say(f"{column_name(lr_name)} is not a number in every row; it is left out")
    return Curve(
        epoch=epoch,
        val_loss=np.array([val[i] for i in kept], dtype=np.float64),
        loss=_by_stretch(loss_held, stretch, len(epoch), np.mean),
        lr=_by_stretch(lr_held, stretch, len(epoch), lambda values: values[-1]),
        classes=_classes(table),
        unit=unit,
        step=_steps(table, kept),
    )


def _classes(table: Table) -> int | None:
    """Among how many classes a run of downstroke chooses, digits where nothing else is said; None for other logs."""
    if tuple(table.names) != EPOCH_COLUMNS:
        return None
    try:
        environment = read_regular(table.file.parent / "environment.json", MOST_ENVIRONMENT)
        return len(json.loads(environment)["data"]["classes"]) or DIGITS
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return DIGITS


def _within_epochs(at: NDArray[np.float64]) -> bool:
    """Whether val was measured several times per epoch, all along: then evaluations tell more than epochs."""
    if len(at) < 3:
        return False
    spaced = np.any(at % 1 != 0) and np.median(np.diff(at)) < 1 / MANY
    return bool(spaced or len(at) >= MANY * len(np.unique(at)))


def _steps(table: Table, kept: Sequence[int]) -> NDArray[np.float64] | None:
    """The step of each row that is kept; None where the log has none."""
    name = next(
        (name for name in table.names if columns.words_of(name)[-1:] in (["step"], ["steps"], ["iter"], ["iteration"])),
        None,
    )
    if name is not None:
        held = columns.if_numbers(table, name)
        found = [] if held is None else [held[i] for i in kept]
        return None if held is None or None in found else np.array(found, dtype=np.float64)
    if table.places and table.places[0].startswith("step"):
        return np.array([float(table.places[i].removeprefix("step ")) for i in kept])
    return None


def _last_run(table: Table, val_name: str, loss_name: str | None, say: Say) -> Table:
    """Of several runs in one file the last: each begins where the epoch is back at the start and a loss jumps up."""
    name = _epoch_column(table)
    if name is None:
        return table
    epochs = columns.numbers(table, name)
    watched = [columns.numbers(table, column) for column in (val_name, loss_name) if column]
    begin = 0
    held = [i for i, epoch in enumerate(epochs) if epoch is not None]
    for before, i in itertools.pairwise(held):
        first, now, last = epochs[held[0]], epochs[i], epochs[before]
        if first is None or now is None or last is None or not now <= first < last:
            continue
        jumps = [(values[before], values[i]) for values in watched]
        if any(a is not None and b is not None and b > a + (JUMP - 1) * abs(a) for a, b in jumps):
            begin = i
    if not begin:
        return table
    back = f"{column_name(name)} is back at {epochs[begin]:g} and the loss jumps"
    say(f"{table.file}, {table.places[begin]}: {back}: a new run; the last is judged")
    return replace(table, rows=table.rows[begin:], places=table.places[begin:])


def _tell_of_scores(table: Table, kept: Sequence[int], val: Sequence[float | None], say: Say) -> None:
    """That a score of val still rises where its loss does not."""
    if len(kept) < 3 or int(np.argmin([math.inf if v is None else v for v in val])) > len(kept) - 3:
        return
    for name in table.names:
        words = set(columns.words_of(name))
        # A name that one row lacks is passed over at once: each row of JSON lines may bring names of its own.
        if columns.VAL & words and columns.score_in(name) and all(name in table.rows[i] for i in kept):
            column = columns.if_numbers(table, name)
            held = [] if column is None else [value for value in (column[i] for i in kept) if value is not None]
            if len(held) == len(kept) and max(held[-2:]) > max(held[:-2]):
                said = (
                    f"{column_name(name)} still rises (at most {max(held):g} so far), though the val loss does not fall"
                )
                say(f"{said}; advice is drawn from the loss")
                return


def _by_stretch(
    held: list[float | None] | None, stretch: NDArray[np.int64], count: int, of: Callable[[list[float]], Any]
) -> NDArray[np.float64] | None:
    """`of` what a column holds in each stretch, [count]; NaN where it holds nothing. None where it never does."""
    if held is None:
        return None
    found: list[list[float]] = [[] for _ in range(count + 1)]  # the last: after the last val loss
    for where, value in zip(stretch.tolist(), held, strict=True):
        if value is not None:
            found[where].append(value)
    if not any(found[:count]):
        return None
    single = (values[0] if len(values) == 1 else of(values) if values else math.nan for values in found[:count])
    return np.fromiter(single, np.float64, count)


def _epochs(table: Table, closing: Sequence[int], say: Say) -> NDArray[np.float64]:
    """The epoch of every row, never falling; where the log has none that can be used, val losses are counted."""
    name = _epoch_column(table)
    if name:
        known = [math.nan if value is None else value for value in columns.numbers(table, name)]
        at = _filled(np.array(known))
        highest = np.maximum.accumulate(at[closing[0] :])  # NaN from the first on that is one
        back = next((i for i in closing[1:] if at[i] < highest[i - closing[0] - 1]), None)
        if back is None and np.isfinite(at).all():
            return _from_one(np.maximum.accumulate(at), table, say)
        if back is not None:
            say(
                f"{table.file}, {table.places[back]}: {column_name(name)} goes back to {at[back]:g}, "
                f"after {at[:back].max():g}; epochs are counted through instead"
            )
    elif table.places[0].startswith("step"):
        steps = np.array([float(place.removeprefix("step ")) for place in table.places])
        if np.diff(steps[list(closing)]).min(initial=math.inf) == 1:
            return _from_one(steps, table, say)
    before = np.zeros(len(table.rows))
    before[[i + 1 for i in closing if i + 1 < len(before)]] = 1
    counted: NDArray[np.float64] = 1 + np.cumsum(before)
    return counted


def _epoch_column(table: Table) -> str | None:
    return next(
        (name for name in table.names if columns.words_of(name) in (["epoch"], ["train", "epoch"], ["epochs"])), None
    )


def _from_one(at: NDArray[np.float64], table: Table, say: Say) -> NDArray[np.float64]:
    """Epochs as they are counted here: the first is 1."""
    if at.min() != 0 or table.epochs_done:
        return at
    say(f"{table.file} counts epochs from 0; here its first is epoch 1")
    return at + 1


def _filled(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaps (NaN) filled with what follows them, the last with what was before: Lightning logs lr ahead of an epoch."""
    known = np.flatnonzero(~np.isnan(at))
    if not len(known):
        return at
    return at[known[np.minimum(np.searchsorted(known, np.arange(len(at))), len(known) - 1)]]
