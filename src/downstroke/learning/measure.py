"""An epoch's end: W is measured on val, and on as many training images, always the same ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from downstroke.history import EpochRow
from downstroke.learning.evaluate import Evaluation, read_logits
from downstroke.learning.events import EpochDone
from downstroke.learning.learner import Images, Learner
from downstroke.learning.temperature import fit_temperature

#: Training images that an epoch is measured on where there is no val to be compared with.
NO_VAL_SAMPLE = 1000


class Measure:
    """Measures a learner's judged W on val, and on a fixed sample of train as large: losses that are like for like."""

    def __init__(self, learner: Learner, train: Images, val: Images) -> None:
        self.learner, self.val = learner, val
        size = len(val) or NO_VAL_SAMPLE
        index = torch.linspace(0, len(train) - 1, min(size, len(train))).round().long()
        self.sample = train.take(index)

    def close_epoch(self, elapsed_s: Callable[[], float]) -> EpochDone:
        """Write the epoch's row, and note whether it is the best so far. `elapsed_s` is asked when all is measured."""
        at, world = self.learner.at, self.learner.world
        world.average_buffers(self.learner.network)
        if self.learner.average:
            world.average_buffers(self.learner.average.network)
        self._set_temperature()
        measured = self._measure(self.sample)
        on_val = self._measure(self.val) if len(self.val) else None
        at.epoch, at.batch = at.epoch + 1, 0
        val_loss = on_val.loss if on_val else math.nan
        at.val_losses.append(val_loss if math.isfinite(val_loss) else None)
        improved = math.isfinite(val_loss) and (at.best_val_loss is None or val_loss < at.best_val_loss)
        if improved:
            at.best_epoch, at.best_val_loss = at.epoch, val_loss
        row = EpochRow(
            epoch=at.epoch,
            step=at.step,
            elapsed_s=elapsed_s(),
            lr=at.last_lr,
            batch_loss=at.loss_sum / at.images,
            loss=measured.loss,
            accuracy=measured.accuracy,
            val_loss=val_loss,
            val_accuracy=on_val.accuracy if on_val else math.nan,
        )
        at.loss_sum, at.images = 0.0, 0
        return EpochDone(row, on_val, improved)

    def _set_temperature(self) -> None:
        """Where training makes W less sure than it should be, undo that: on val, or on the sample without one."""
        recipe = self.learner.recipe
        if not recipe.label_smoothing and recipe.uncertain == 1:
            return
        network, images = self.learner.judged, self.val if len(self.val) else self.sample
        network.temperature.fill_(1.0)
        network.temperature.fill_(fit_temperature(self._logits(images), images.labels))

    def _measure(self, images: Images) -> Evaluation:
        return Evaluation.of(self._logits(images), images.labels)

    def _logits(self, images: Images) -> Tensor:
        """Of each image, [N,C]. Each of several processes reads its part; all know the whole."""
        learner = self.learner
        part = learner.world.part(len(images))
        mine = read_logits(learner.judged, images.images[part], bfloat16=learner.machine.bfloat16)
        if learner.world.size == 1:
            return mine
        every = torch.zeros(len(images), mine.shape[1], device=mine.device)
        every[part] = mine
        return learner.world.sum(every)
