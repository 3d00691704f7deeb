"""A look inside a run: the W of `last/`, its filters and gradients, and what it makes of single val images.

It reads and never writes, so it works while the run is being trained; `last/` changes with each epoch.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import torch

from downstroke.data.batches import steps_per_epoch
from downstroke.errors import CheckpointError, DataError
from downstroke.learning import inspect
from downstroke.learning.learner import Images, Learner
from downstroke.learning.loop import Variation
from downstroke.learning.models import Network
from downstroke.runs import checkpoint, files
from downstroke.runs.loading import load_run_data
from downstroke.runs.parts import Parts
from downstroke.runs.run import Run, Weights
from downstroke.runs.trust import refuse_foreign_code

#: Training images that the noise of a batch is measured on, evenly spaced: they stand for all.
NOISE_IMAGES = 2048
BATCH_SIZES = (8, 32, 128, 512)  # and the recipe's own
#: Four to a decade, as far as any lr in use goes both ways.
LRS = [float(f"{lr:.3g}") for lr in np.geomspace(1e-5, 10, 25)]
SEARCHED = 1000  # val images, for one that W is uncertain of
DIGITS = 4  # of a pixel: what an eye can see, in a quarter of the JSON


class Inside:
    """A run opened for looking inside. It loads the images once, 50 MB for MNIST, and reads W anew for every look.

    Raises RunError where the data is not the run's, CheckpointError where no whole checkpoint is left.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def _parts(self) -> Parts:
        return Parts(load_run_data(self.run), self.run.recipe)

    def look(self) -> dict[str, Any]:
        """The W that the gradient moves (not its average, where there is one): `{epoch, step, filters, layers, noise}`.

        `noise` is measured on at most 2,048 training images, varied as the recipe varies them in this epoch. All is
        computed on the CPU.
        """
        recipe, train = self.run.recipe, Images(self._parts.train, "cpu")
        with torch.random.fork_rng(devices=[]):
            learner = self._learner()
            layers = inspect.sizes(learner, train)
            sample = torch.linspace(0, len(train) - 1, min(NOISE_IMAGES, len(train))).round().long()
            images, labels = Variation(learner, train, learner.at.epoch + 1)(sample)
            batch_sizes = sorted({*BATCH_SIZES, recipe.batch_size})
            noise = inspect.noise(learner.network, learner.criterion, images, labels, batch_sizes, recipe.seed)
        pictures = inspect.filters(learner.network)
        return _json(
            epoch=learner.at.epoch,
            step=learner.at.step,
            filters=[{"pixels": picture.astype(float).round(DIGITS).tolist()} for picture in pictures],
            layers=[asdict(layer) for layer in layers],
            noise=[asdict(entry) for entry in noise],
        )

    def image(self, index: int | None = None) -> dict[str, Any]:
        """One val image and what the judged W makes of it, the W that val is measured with and digits are read with.

        Without an index it is one worth looking at: of the first 1,000, the one that this W is least certain of.

        `{index, image, label, classes, probabilities, before, loss}`: `before` are the probabilities at the epoch's
        start, of the epoch under way or else of the one just done; None where no checkpoint of it was kept, as after
        an interruption. `loss` is -log of the label's probability.
        """
        weights = self.run.weights("last")
        if index is None:
            some = torch.from_numpy(self._parts.val.images[:SEARCHED])
            index = int(weights.network.probabilities(some).amax(1).argmin()) if len(some) else 0
        image, label = self._val(index)
        start = self._epoch_start(weights)
        probabilities, loss = inspect.of_image(weights.network, image, label)
        before = inspect.of_image(start, image, label)[0].tolist() if start else None
        return _json(
            index=index,
            image=image.tolist(),
            label=label,
            classes=list(self.run.classes),
            probabilities=probabilities.tolist(),
            before=before,
            loss=loss,
        )

    def step(self, index: int) -> dict[str, Any]:
        """The loss of one val image after one step of the notes' formula on it alone, by lr; of the judged W.

        `{lrs, losses, loss, lr}`: `loss` is that before the step, `lr` that of the last epoch's last step.
        """
        image, label = self._val(index)
        weights = self.run.weights("last")
        loss, losses = inspect.step_effect(weights.network, image, label, LRS)
        history = self.run.history
        lr = history[-1].lr if len(history) else self.run.recipe.lr
        return _json(lrs=LRS, losses=losses, loss=loss, lr=lr)

    def _val(self, index: int) -> tuple[torch.Tensor, int]:
        val = self._parts.val
        if not len(val):
            raise DataError(f"{self.run.name} has no val images to look at: it was trained without")
        if not 0 <= index < len(val):
            raise DataError(f"no val image {index} in {self.run.name}; there are {len(val):,}, counted from 0")
        return torch.from_numpy(val.images[index]), int(val.labels[index])

    def _learner(self) -> Learner:
        """The learner as `last/` keeps it. Sets torch's random state."""
        run = self.run
        refuse_foreign_code(run)
        learner = Learner(run.recipe, len(run.classes), device="cpu", precision=run.environment["precision"])
        found = checkpoint.load(run.folder, "last")
        try:
            learner.restore(found.tensors, found.state)
        except checkpoint.MISFIT as error:  # a model of one's own that was changed since
            text = " ".join(str(error).split())
            raise CheckpointError(f"the weights of {run.folder / 'last'} do not fit the run's recipe: {text}") from None
        return learner

    def _epoch_start(self, last: Weights) -> Network | None:
        """The judged W at the start of the epoch that `last` is in or has just ended, from a checkpoint still kept."""
        recipe, images = self.run.recipe, self.run.environment["data"]["train"]
        per_epoch = steps_per_epoch(recipe, images)
        epoch = last.epoch if last.step > last.epoch * per_epoch else last.epoch - 1
        for kept in ("last.previous", "best", "best.previous"):
            try:
                weights = self.run.weights(kept)
            except CheckpointError:
                continue
            if (weights.epoch, weights.step) == (epoch, epoch * per_epoch):
                return weights.network
        return None


def _json(**found: Any) -> dict[str, Any]:
    """Ready for JSON: a non-finite number is None."""
    return {key: files.finite(value) for key, value in found.items()}
