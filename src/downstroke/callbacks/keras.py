"""Advice as a Keras callback."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras

from downstroke.callbacks.stopper import AdviceStopper, loss_named
from downstroke.errors import DownstrokeError


class KerasAdvice(keras.callbacks.Callback):  # type: ignore[misc]
    """Stops `fit` when the advice is to stop, and puts the weights of the best epoch back.

    `model.fit(..., validation_data=..., callbacks=[KerasAdvice()])`. A `stopper` that is given keeps what it knows:
    hand in one whose state was loaded to resume a training; else each `fit` begins anew. Weights are no part of that
    state: of a training that was resumed, those of its later epochs alone can come back.
    `validation_freq` is what `fit` is given, where it is given.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        operating_point: str = "balanced",
        *,
        restore_best_weights: bool = True,
        verbose: int = 0,
        stopper: AdviceStopper | None = None,
        validation_freq: int | Collection[int] = 1,
    ) -> None:
        super().__init__()
        self.validation_freq = validation_freq
        self.monitor, self.restore_best_weights, self.verbose = loss_named(monitor), restore_best_weights, verbose
        self._given = stopper
        self.stopper = stopper or AdviceStopper(operating_point)
        self.best_weights: list[Any] | None = None
        self.stopped_epoch = 0  # from 0, as in keras.callbacks.EarlyStopping

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget the last `fit`, unless the stopper was given."""
        if self._given is None:
            self.stopper = AdviceStopper(self.stopper.operating_point)
        self.best_weights, self.stopped_epoch = None, 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ask, where val was to be measured; DownstrokeError where `monitor` was not."""
        logs, every = logs or {}, self.validation_freq
        if self.monitor not in logs:
            if (epoch + 1) % every if isinstance(every, int) else epoch + 1 not in every:
                return
            raise DownstrokeError(
                f"Keras logged {', '.join(logs) or 'nothing'}; expected {self.monitor}: give validation_data, and "
                f"KerasAdvice the validation_freq of fit, if it has one"
            )
        rate = logs.get("learning_rate", getattr(self.model.optimizer, "learning_rate", None))
        advice = self.stopper.update(
            logs[self.monitor], loss=logs.get("loss"), lr=None if rate is None else float(rate)
        )
        if self.stopper.improved and self.restore_best_weights:
            self.best_weights = self.model.get_weights()
        if advice.stop:
            self.stopped_epoch = epoch
            self.model.stop_training = True
            if self.verbose:
                print(f"epoch {epoch + 1}: {advice.reason}")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """The best weights back, where there was a stop or not."""
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
