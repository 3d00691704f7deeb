"""Advice as a Lightning callback."""

from __future__ import annotations

from typing import Any

import lightning

from downstroke.callbacks.stopper import AdviceStopper, loss_named
from downstroke.errors import DownstrokeError


class LightningAdvice(lightning.Callback):  # type: ignore[misc]
    """Stops `Trainer.fit` when the advice is to stop; a checkpoint of the trainer holds its state.

    `Trainer(callbacks=[LightningAdvice(), ModelCheckpoint(monitor="val_loss")])`: the second keeps the best weights.
    `monitor` and `train` name what the module logs with `self.log`; `train` may be missing. It asks at the end of each
    epoch in which val was measured. A new training begins anew.
    """

    def __init__(self, monitor: str = "val_loss", train: str = "train_loss", operating_point: str = "balanced") -> None:
        super().__init__()
        self.monitor, self.train = loss_named(monitor), train
        self.stopper = AdviceStopper(operating_point)
        self._measured = False  # val, since it was last asked

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Forget another training; a checkpoint to go on from is loaded after this."""
        if stage == "fit" and not trainer.current_epoch:
            self.stopper = AdviceStopper(self.stopper.operating_point)
        self._measured = False

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Val was measured."""
        self._measured = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Ask, where val was measured in this epoch; DownstrokeError where `monitor` was not logged."""
        if trainer.fast_dev_run or (trainer.enable_validation and not self._measured):
            return
        self._measured = False
        logged = trainer.callback_metrics
        if self.monitor not in logged:
            raise DownstrokeError(
                f"the module logged {', '.join(logged) or 'nothing'}; expected {self.monitor}: log it in "
                f"validation_step, and give fit a loader of val"
            )
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
