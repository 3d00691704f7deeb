"""What is exported: the weights of a run, or those that come with downstroke, and what is to be known about them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from downstroke.data import sources
from downstroke.data.dataset import Part
from downstroke.errors import DownstrokeError, RunError
from downstroke.learning.models import Network
from downstroke.reading.batch_norm_folding import folded
from downstroke.reading.shipped import shipped
from downstroke.recipe import SHIPPED, Recipe
from downstroke.runs.files import dumps
from downstroke.runs.parts import Parts
from downstroke.runs.place import load_of
from downstroke.runs.run import Run

#: What a glyph must be for the figures of val to hold, for whoever makes the images elsewhere.
CONTRACT = (
    "one digit an image, 0 paper and 1 ink (white on black), not normalised; its longer side 20 pixels, proportions "
    "and grey levels kept, its centre of mass on pixel (14, 14), from 0"
)
CHECKED = 1000  # images on which an exported file is compared with torch
TOLERANCE = 1e-3  # of a probability: what differs by more is no rounding
Images = NDArray[np.float32]


class Answers(nn.Module):
    """The interface of all exports: float32 [N,1,28,28] in 0..1 -> (probabilities [N,C], accept, bool [N])."""

    def __init__(self, network: Network, threshold: float) -> None:
        super().__init__()
        self.network, self.threshold = network, threshold

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(images)
        return logits.softmax(1), logits.logsumexp(1) >= self.threshold


@dataclass(frozen=True)
class Subject:
    """What leaves. `network`: folded, in evaluation mode, on the CPU."""

    name: str  # of the run, or `reader`
    network: Network
    classes: tuple[str, ...]
    threshold: float  # the least log(sum(exp(logits))) that is accepted; -inf where the run has no val
    recipe: Recipe
    epoch: int
    val: dict[str, Any] | None  # images, accuracy (0..1) and loss of these weights; None without val
    run: Run | None  # None: the shipped reader

    @classmethod
    def of(cls, run: Run | None) -> Self:
        """The best weights of a run, or the last where there are none; of None, the shipped reader.

        Raises RunError, CheckpointError.
        """
        if run is None:
            one = shipped()
            recipe, record = Recipe.from_dict(one.record["recipe"]), one.record
            told = {key: record["val"][key] for key in ("images", "accuracy", "loss")}
            return cls(SHIPPED, folded(one.network), one.classes, one.threshold, recipe, record["epoch"], told, None)
        weights = run.weights()
        if not weights.step:
            raise RunError(f"{run.name} has learned nothing yet; train it for an epoch before it is exported")
        threshold = -math.inf if weights.least_score is None else weights.least_score
        row = next((row for row in run.history if row.epoch == weights.epoch), None)
        known = row is not None and row.val_loss is not None and math.isfinite(row.val_loss)
        val = {"images": run.val[2], "accuracy": row.val_accuracy, "loss": row.val_loss} if row and known else None
        network = folded(weights.network)
        return cls(run.name, network, run.classes, threshold, run.recipe, weights.epoch, val, run)

    def answers(self) -> Answers:
        """The network as it is exported."""
        return Answers(self.network, self.threshold).eval()

    def facts(self) -> dict[str, Any]:
        """What a file says about itself; of the recipe, which fields have another value than a recipe has by itself.

        Of places on this machine it tells the last part alone.
        """
        usual = Recipe().to_dict()
        recipe = {key: value for key, value in self.recipe.to_dict().items() if value != usual[key] or key == "name"}
        for field in ("data", "val_data", "start_from"):
            if recipe.get(field):
                recipe[field] = Path(recipe[field]).name
        return {
            "made_by": f"downstroke {version('downstroke')}",
            "name": self.name,
            "classes": list(self.classes),
            "recipe": recipe,
            "epoch": self.epoch,
            "val": self.val,
            "glyph": CONTRACT,
            "accept": "log(sum(exp(logits))) >= threshold, as of 99% of val",
            "threshold": self.threshold,
            "temperature": float(self.network.temperature),
        }

    def parts(self, data: str | None = None, val_data: str | None = None) -> tuple[Part, Part]:
        """(train, val) as they were trained on and judged by; `data`, `val_data`: where they are, if they were moved.

        Raises DataError, and RunError where the images are not the run's.
        """
        found = sources.load(self.recipe.data) if self.run is None else load_of(self.run, data, val_data)
        parts = Parts(found, self.recipe)
        return parts.train, parts.val

    def differs(self, probabilities: NDArray[np.float32], accept: NDArray[np.bool_]) -> tuple[float, int]:
        """(the largest difference, how many are accepted by one alone) from torch, of answers to `checked_images()`."""
        with torch.inference_mode():
            own, own_accept = self.answers()(torch.from_numpy(checked_images()))
        return float(np.abs(own.numpy() - probabilities).max()), int((own_accept.numpy() != accept).sum())


def checked_images() -> Images:
    """1,000 of MNIST's training images, as exports take them: float32 [1000,1,28,28], 0..1."""
    return as_images(sources.load("mnist").train.images[:CHECKED])


def as_images(glyphs: NDArray[np.uint8]) -> Images:
    """uint8 [N,28,28] -> float32 [N,1,28,28], 0..1."""
    return np.asarray(glyphs[:, None], np.float32) / np.float32(255)


def refuse_other_answers(path: Path, difference: float) -> None:
    """DownstrokeError where it does not answer as torch does."""
    if not difference <= TOLERANCE:
        raise DownstrokeError(
            f"{path} would answer otherwise than the network (a probability by {difference:.2g}), so it was not "
            f"written; please report this, with the recipe"
        )


def as_text(facts: dict[str, Any]) -> dict[str, str]:
    """Facts as strings, for formats whose metadata are strings; what is none is JSON."""
    return {key: value if isinstance(value, str) else dumps(value, indent=None) for key, value in facts.items()}
