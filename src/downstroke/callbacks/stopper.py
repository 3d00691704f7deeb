"""Advice for a loop of one's own: give it the losses of each epoch, ask whether to stop."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from downstroke.advice.curve import Curve, Floats
from downstroke.advice.logs.columns import score_in
from downstroke.advice.verdict import OPERATING_POINTS, Advice, advise
from downstroke.errors import DownstrokeError

_COLUMNS = ("val_loss", "loss", "lr")


class AdviceStopper:
    """Advice that is told one epoch at a time.

        stopper = AdviceStopper()
        for epoch in range(1000):
            ...
            if stopper.update(val_loss, loss=train_loss, lr=lr).stop:
                break

    After an update `improved` says whether its val loss is the lowest so far: the weights to keep. `advice` is what was
    said last, None before the first update.
    """

    def __init__(self, operating_point: str = "balanced") -> None:
        """`operating_point`: quick, balanced or thorough; DownstrokeError for another."""
        self.operating_point = _point(operating_point)
        self.advice: Advice | None = None
        self._held: dict[str, list[float]] = {name: [] for name in _COLUMNS}

    def __len__(self) -> int:
        return len(self._held["val_loss"])

    @property
    def improved(self) -> bool:
        """Whether the last val loss is lower than all before."""
        *before, last = self._held["val_loss"] or [math.nan]
        return math.isfinite(last) and last < min(filter(math.isfinite, before), default=math.inf)

    def update(self, val_loss: float, *, loss: float | None = None, lr: float | None = None) -> Advice:
        """What to do after one more epoch; `.stop` is True where training should end.

        `val_loss` may be nan or infinite, which is told as unstable. `loss` (of training) and `lr` make the advice
        better; leave them out where they are not known. DownstrokeError for what is no number; it leaves no trace.
        """
        given = {"val_loss": val_loss, "loss": loss, "lr": lr}
        row = {
            name: math.nan if value is None and name != "val_loss" else _number(name, value)
            for name, value in given.items()
        }
        for name, value in row.items():
            self._held[name].append(value)
        self.advice = advise(self.curve, operating_point=self.operating_point)
        return self.advice

    @property
    def curve(self) -> Curve:
        """The history so far."""

        def column(name: str) -> Floats | None:
            values = np.array(self._held[name], dtype=np.float64)
            return None if np.isnan(values).all() and name != "val_loss" else values

        val_loss = np.array(self._held["val_loss"], dtype=np.float64)
        # A nan was measured here; beside a training loss that is a number, nothing but nan would be taken for no val.
        loss = None if np.isnan(val_loss).all() else column("loss")
        return Curve(np.arange(1.0, len(val_loss) + 1), val_loss, loss, column("lr"))

    def state_dict(self) -> dict[str, Any]:
        """All that an unbroken training would remember; a dict of lists of numbers."""
        return {"operating_point": self.operating_point, **{name: list(values) for name, values in self._held.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict()`. DownstrokeError for what is none; it leaves no trace."""
        if not isinstance(state, Mapping) or not all(isinstance(state.get(name), list) for name in _COLUMNS):
            raise DownstrokeError(f"the state is {reprlib.repr(state)}; expected what state_dict() gave")
        lengths = sorted({len(state[name]) for name in _COLUMNS})
        if len(lengths) > 1:
            raise DownstrokeError(
                f"the state has lists of {', '.join(map(str, lengths))} numbers; expected what state_dict() gave"
            )
        held = {name: [_number(name, value) for value in state[name]] for name in _COLUMNS}
        self.operating_point = _point(state.get("operating_point", self.operating_point))
        self._held = held
        self.advice = advise(self.curve, operating_point=self.operating_point) if len(self) else None


def loss_named(monitor: str) -> str:
    """`monitor`, where it may name a loss. DownstrokeError where it names a score, of which the highest is the best."""
    if score := score_in(monitor):
        raise DownstrokeError(f"{monitor} is a score by its name ({score}), not a loss; monitor a loss")
    return monitor


def _point(operating_point: Any) -> str:
    if operating_point not in OPERATING_POINTS:
        raise DownstrokeError(f"no operating point {operating_point!r}; there are {', '.join(OPERATING_POINTS)}")
    return str(operating_point)


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last of a tensor of several numbers
        raise DownstrokeError(f"{name} is {reprlib.repr(value)}; expected a number") from None
