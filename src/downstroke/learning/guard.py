"""A loss or gradient that is not a number must not reach W.

On a CPU the numbers are at hand, and the step is refused before it is made. On a GPU, looking would make every step
wait for the device; there the update is undone on the device itself, and the error is raised when the numbers are next
read. Either way W keeps the values it had before the step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from downstroke.errors import NonFiniteError
from downstroke.history import StepRow


@dataclass(frozen=True)
class Pending:
    """A step whose numbers may still be on the device."""

    epoch: int
    batch: int
    images: int
    step: int
    lr: float
    loss: Tensor
    norm: Tensor
    stop: Tensor | float  # how many processes were asked to stop


class Guard:
    """Looks at every step before it is made."""

    def __init__(self) -> None:
        self._rows: list[tuple[Pending, StepRow]] = []
        self._stopping = False

    def admit(self, step: Pending) -> None:
        """Called with dL/dW known and W untouched. Raises NonFiniteError."""
        self._look(step, step.loss.item(), step.norm.item(), float(step.stop))

    def confirm(self) -> None:
        """Called after the update."""

    @property
    def due(self) -> bool:
        """Whether the numbers should be read now."""
        return True

    def read(self) -> tuple[list[tuple[Pending, StepRow]], bool]:
        """The steps since the last read, with their numbers, and whether any process wants to stop. NonFiniteError."""
        rows, self._rows = self._rows, []
        return rows, self._stopping

    def _look(self, step: Pending, loss: float, norm: float, stop: float) -> None:
        for quantity, value in (("loss", loss), ("gradient", norm)):
            if not math.isfinite(value):
                raise NonFiniteError(quantity, step.epoch, step.step, step.lr)
        self._rows.append((step, StepRow(step.step, step.lr, loss, norm)))
        self._stopping = self._stopping or stop > 0


class DeferredGuard(Guard):
    """Lets the device go on; undoes there what should not have been done. `weights` are updated in place."""

    EVERY = 50  # steps between reads: rare enough to keep the device busy, often enough for a live curve

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__()
        self.weights = list(weights)
        self._pending: list[Pending] = []
        self._before = [w.detach().clone() for w in weights]
        self._finite = torch.ones((), dtype=torch.bool, device=weights[0].device)

    def admit(self, step: Pending) -> None:
        self._pending.append(step)
        # Once a step was refused, all that follow are refused too, until the error is raised.
        self._finite &= torch.isfinite(step.loss) & torch.isfinite(step.norm)
        torch._foreach_copy_(self._before, self.weights)

    def confirm(self) -> None:
        with torch.no_grad():
            for weight, before in zip(self.weights, self._before, strict=True):
                weight.copy_(torch.where(self._finite, weight, before))

    @property
    def due(self) -> bool:
        return len(self._pending) >= self.EVERY

    def read(self) -> tuple[list[tuple[Pending, StepRow]], bool]:
        numbers = torch.stack([torch.stack([p.loss.float(), p.norm]) for p in self._pending]).tolist()
        for step, (loss, norm) in zip(self._pending, numbers, strict=True):
            self._look(step, loss, norm, float(step.stop))
        self._pending.clear()
        return super().read()
