"""Advice as a callback of the Trainer of Hugging Face."""

from __future__ import annotations

from typing import Any

import transformers
from transformers.trainer_callback import ExportableState

from downstroke.callbacks.stopper import AdviceStopper


class TransformersAdvice(transformers.TrainerCallback, ExportableState):  # type: ignore[misc]
    """Stops `Trainer.train` when the advice is to stop; each evaluation counts as an epoch.

    `Trainer(..., args=TrainingArguments(eval_strategy="epoch", load_best_model_at_end=True, ...),
    callbacks=[TransformersAdvice()])`; the trainer keeps the best weights, and with its
    `restore_callback_states_from_checkpoint` this callback's state.
    """

    def __init__(self, operating_point: str = "balanced", monitor: str = "eval_loss") -> None:
        self.operating_point, self.monitor = operating_point, monitor
        self.stopper = AdviceStopper(operating_point)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask, where the evaluation measured `monitor`."""
        metrics = kwargs.get("metrics") or {}
        if self.monitor not in metrics:
            return
        logged = [row for row in state.log_history if "loss" in row]
        latest = logged[-1] if logged else {}
        advice = self.stopper.update(metrics[self.monitor], loss=latest.get("loss"), lr=latest.get("learning_rate"))
        if advice.stop:
            control.should_training_stop = True

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
