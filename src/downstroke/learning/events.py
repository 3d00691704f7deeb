"""The events of a training, for the progress bar, the CSV writer or a notebook. Training knows none of its readers."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from downstroke.history import EpochRow, StepRow

if TYPE_CHECKING:
    from downstroke.learning.evaluate import Evaluation


@dataclass(frozen=True)
class StepDone:
    """W was updated once."""

    row: StepRow
    epoch: int  # the epoch under way, from 1
    batch: int  # batches of it done, from 1
    batches: int  # batches in an epoch
    images: int  # in this batch
    last_epoch: int  # the last epoch planned so far; --until-done moves it


@dataclass(frozen=True)
class EpochDone:
    """All training images were seen once more, and W was measured."""

    row: EpochRow
    val: Evaluation | None  # None without val
    improved: bool  # the lowest val loss so far


class StopReason(enum.Enum):
    """Why training ended. An error is an exception; these are not errors."""

    FINISHED = "finished"  # all the epochs that were asked for
    INTERRUPTED = "interrupted"  # somebody asked it to stop


@dataclass(frozen=True)
class Stopped:
    """The last event."""

    reason: StopReason


@dataclass(frozen=True)
class Note:
    """A message for the user during training."""

    text: str  # one line


Event = StepDone | EpochDone | Stopped | Note
