"""The events of a training as TensorBoard shows them."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from downstroke.errors import RunError
from downstroke.learning.events import EpochDone, Event, StepDone


def summary_writer() -> Any:
    """The class that writes TensorBoard's files; RunError where tensorboard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise RunError("--tensorboard needs tensorboard: pip install '.[tensorboard]' in the clone") from None
    return SummaryWriter


class TensorBoard:
    """Writes each event into `folder`, under the names of the CSV columns."""

    def __init__(self, folder: Path) -> None:
        self._writer = summary_writer()(str(folder))

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepDone):
            for name in ("lr", "batch_loss", "gradient_norm"):
                self._writer.add_scalar(f"step/{name}", getattr(event.row, name), event.row.step)
        elif isinstance(event, EpochDone):
            for name, value in asdict(event.row).items():
                if name not in ("epoch", "step") and not math.isnan(value):
                    self._writer.add_scalar(f"epoch/{name}", value, event.row.epoch)
            self._writer.flush()

    def close(self) -> None:
        self._writer.close()
