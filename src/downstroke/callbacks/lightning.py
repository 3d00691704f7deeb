"""Advice as a Lightning callback."""

from __future__ import annotations

from typing import Any

import lightning

from downstroke.callbacks.stopper import AdviceStopper
from downstroke.errors import DownstrokeError


class LightningAdvice(lightning.Callback):  # type: ignore[misc]
    """Stops `Trainer.fit` when the advice is to stop; a checkpoint of the trainer holds its state.

    `Trainer(callbacks=[LightningAdvice(), ModelCheckpoint(monitor="val_loss")])`: the second keeps the best weights.
    `monitor` and `train` name what the module logs with `self.log`; `train` may be missing.
    """

    def __init__(self, monitor: str = "val_loss", train: str = "train_loss", operating_point: str = "balanced") -> None:
        super().__init__()
        self.monitor, self.train = monitor, train
        self.stopper = AdviceStopper(operating_point)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Ask, where val was measured in this epoch; DownstrokeError where `monitor` was not logged."""
        if (
            trainer.fast_dev_run
            or trainer.sanity_checking
            or (trainer.current_epoch + 1) % trainer.check_val_every_n_epoch
        ):
            return
        logged = trainer.callback_metrics
        if self.monitor not in logged:
            raise DownstrokeError(f"the module logged {', '.join(logged) or 'nothing'}; expected {self.monitor}")
        loss = logged.get(self.train)
        lr = trainer.optimizers[0].param_groups[0]["lr"] if trainer.optimizers else None
        advice = self.stopper.update(
            float(logged[self.monitor]),
            loss=None if loss is None else float(loss),
            lr=None if lr is None else float(lr),
        )
        trainer.should_stop = trainer.should_stop or advice.stop

    def state_dict(self) -> dict[str, Any]:
        """What the trainer's checkpoint keeps."""
        return self.stopper.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.stopper.load_state_dict(state_dict)
