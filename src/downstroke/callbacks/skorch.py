"""Advice as a skorch callback."""

from __future__ import annotations

import copy
from typing import Any

import skorch.callbacks

from downstroke.callbacks.stopper import AdviceStopper, loss_named
from downstroke.errors import DownstrokeError


class SkorchAdvice(skorch.callbacks.Callback):  # type: ignore[misc]
    """Stops `net.fit` when the advice is to stop, and loads the weights of the best epoch.

    `NeuralNetClassifier(..., callbacks=[SkorchAdvice()])`.
    """

    def __init__(
        self, monitor: str = "valid_loss", operating_point: str = "balanced", load_best: bool = True, sink: Any = print
    ) -> None:
        self.monitor, self.operating_point, self.load_best, self.sink = monitor, operating_point, load_best, sink

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin with what the net's history holds, as `partial_fit` goes on. DownstrokeError for a score."""
        loss_named(self.monitor)
        self.stopper_ = AdviceStopper(self.operating_point)
        self.best_weights_: dict[str, Any] | None = None
        for row in net.history:
            if self.monitor in row:
                self.stopper_.update(row[self.monitor], loss=row.get("train_loss"))

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Ask; DownstrokeError where `monitor` was not measured."""
        row = net.history[-1]
        if self.monitor not in row:
            measured = ", ".join(name for name, value in row.items() if isinstance(value, float)) or "nothing"
            raise DownstrokeError(f"skorch measured {measured}; expected {self.monitor}: it needs a train_split")
        lr = net.optimizer_.param_groups[0]["lr"]
        advice = self.stopper_.update(row[self.monitor], loss=row.get("train_loss"), lr=float(lr))
        if self.stopper_.improved and self.load_best:
            self.best_weights_ = copy.deepcopy(net.module_.state_dict())
        if advice.stop:
            if net.verbose:
                self.sink(f"epoch {advice.epoch}: {advice.reason}")
            raise KeyboardInterrupt  # skorch's own way to end a fit

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """The best weights back."""
        if self.best_weights_ is not None:
            net.module_.load_state_dict(self.best_weights_)
