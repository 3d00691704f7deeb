"""Advice for a loop of one's own: give it the losses of each epoch, ask whether to stop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from downstroke.advice.curve import Curve, Floats
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
        if operating_point not in OPERATING_POINTS:
            raise DownstrokeError(f"no operating point {operating_point!r}; there are {', '.join(OPERATING_POINTS)}")
        self.operating_point = operating_point
        self.advice: Advice | None = None
        self.improved = False
        self._held: dict[str, list[float]] = {name: [] for name in _COLUMNS}

    def __len__(self) -> int:
        return len(self._held["val_loss"])

    def update(self, val_loss: float, *, loss: float | None = None, lr: float | None = None) -> Advice:
        """What to do after one more epoch; `.stop` is True where training should end.

        `val_loss` may be nan or infinite, which is told as unstable. `loss` (of training) and `lr` make the advice
        better; leave them out where they are not known.
        """
        before = [value for value in self._held["val_loss"] if math.isfinite(value)]
        value = float(val_loss)
        self.improved = math.isfinite(value) and value < min(before, default=math.inf)
        for name, given in zip(_COLUMNS, (value, loss, lr), strict=True):
            self._held[name].append(math.nan if given is None else float(given))
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
        """Go on from a `state_dict()`. DownstrokeError for a dict that is none."""
        if not all(isinstance(state.get(name), list) for name in _COLUMNS):
            raise DownstrokeError(f"the state has {', '.join(state) or 'nothing'}; expected what state_dict() gave")
        self.operating_point = str(state.get("operating_point", self.operating_point))
        self._held = {name: [float(value) for value in state[name]] for name in _COLUMNS}
        self.advice = advise(self.curve, operating_point=self.operating_point) if len(self) else None
