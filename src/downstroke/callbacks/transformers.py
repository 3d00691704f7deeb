"""Advice as a callback of the Trainer of Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import transformers
from transformers.trainer_callback import ExportableState

from downstroke.advice.verdict import Advice
from downstroke.callbacks.stopper import AdviceStopper, loss_named
from downstroke.errors import DownstrokeError


class TransformersAdvice(transformers.TrainerCallback, ExportableState):  # type: ignore[misc]
    """Stops `Trainer.train` when the advice is to stop; each evaluation counts as an epoch.

    `Trainer(..., args=TrainingArguments(eval_strategy="epoch", load_best_model_at_end=True, ...),
    callbacks=[TransformersAdvice()])`; the trainer keeps the best weights. A training that is resumed goes on from what
    its log holds. As the trainer has it, `eval_` may be left out of `monitor`.
    """

    def __init__(self, operating_point: str = "balanced", monitor: str = "eval_loss") -> None:
        self.operating_point = operating_point
        self.monitor = loss_named(f"eval_{monitor.removeprefix('eval_')}")
        self.stopper = AdviceStopper(operating_point)
        self._missed: dict[str, None] = {}  # what evaluations measured in place of `monitor`
        self._asks = True

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin with what the trainer's log holds. DownstrokeError where nothing will be evaluated."""
        if args.eval_strategy == "no":
            raise DownstrokeError("eval_strategy is 'no'; advice needs a val loss: set it to 'epoch' or 'steps'")
        self._asks, self._missed = bool(state.global_step), {}  # not of the W before training
        if not state.global_step:
            self.stopper = AdviceStopper(self.operating_point)
        if not len(self.stopper):
            latest: dict[str, Any] = {}
            for row in state.log_history:
                latest = row if "loss" in row else latest
                if self.monitor in row:
                    self._ask(row, latest)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An evaluation after training is no part of it."""
        self._asks = False

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Something is learned now. DownstrokeError where evaluations measured other things than `monitor`."""
        self._asks = True
        if self._missed and not len(self.stopper):
            raise DownstrokeError(f"the evaluation measured {', '.join(self._missed)}; expected {self.monitor}")

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask, where the evaluation measured `monitor`."""
        metrics = kwargs.get("metrics") or {}
        if not self._asks:
            return
        if self.monitor not in metrics:  # of several sets of val, each is told by itself
            self._missed |= dict.fromkeys(name for name in metrics if name.startswith("eval_"))
            return
        logged = [row for row in state.log_history if "loss" in row]
        if self._ask(metrics, logged[-1] if logged else {}).stop:
            control.should_training_stop = True

    def _ask(self, metrics: Mapping[str, Any], logged: Mapping[str, Any]) -> Advice:
        """`logged`: the row of the log with the latest training loss."""
        return self.stopper.update(metrics[self.monitor], loss=logged.get("loss"), lr=logged.get("learning_rate"))

    @property
    def held(self) -> dict[str, Any]:
        """The stopper's state, as the trainer's checkpoint keeps it."""
        return self.stopper.state_dict()

    @held.setter
    def held(self, state: dict[str, Any]) -> None:
        self.stopper.load_state_dict(state)

    def state(self) -> dict[str, Any]:
        """As ExportableState has it."""
        return {
            "args": {"operating_point": self.operating_point, "monitor": self.monitor},
            "attributes": {"held": self.held},
        }
