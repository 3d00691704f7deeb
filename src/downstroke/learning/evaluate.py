"""How good a W is: the loss and the reading of every image, and the figures drawn from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from downstroke.learning.models import Network

#: 95% of a normal distribution lies within this many standard deviations.
Z95 = 1.959963984540054
#: Images that are read in one batch: what a layer writes of so many stays in the processor's cache.
AT_ONCE = 500
BINS = 15  # of the calibration error


@dataclass(frozen=True)
class Evaluation:
    """One W on N images."""

    losses: NDArray[np.float32]  # [N] cross-entropy of each image, nats
    probabilities: NDArray[np.float32]  # [N, C], each row sums to 1
    labels: NDArray[np.int64]  # [N]
    scores: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))  # [N] log(sum(exp(logits)))

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> Self:
        """From logits, float32 [N,C], and labels, int64 [N], on one device."""
        losses = F.cross_entropy(logits, labels, reduction="none")
        y, scores = logits.softmax(1), logits.logsumexp(1)
        return cls(losses.cpu().numpy(), y.cpu().numpy(), labels.cpu().numpy(), scores.cpu().numpy())

    @property
    def predictions(self) -> NDArray[np.int64]:
        """The most probable class of each image, [N]."""
        predictions: NDArray[np.int64] = self.probabilities.argmax(1)
        return predictions

    @property
    def loss(self) -> float:
        """Mean cross-entropy over the images, nats: the notes' loss, and the NLL of a test."""
        return float(self.losses.mean(dtype=np.float64)) if len(self.losses) else math.nan

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each image is read right, [N]."""
        right: NDArray[np.bool_] = self.predictions == self.labels
        return right

    @property
    def lost(self) -> int:
        """Images whose loss is not a number, or infinite: W is too large to be computed with."""
        return int((~np.isfinite(self.losses)).sum())

    @property
    def errors(self) -> int:
        """Misread images."""
        return int((~self.right).sum())

    @property
    def accuracy(self) -> float:
        """Share of the images read right, 0..1."""
        total = len(self.labels)
        return (total - self.errors) / total if total else math.nan

    @property
    def confusion(self) -> NDArray[np.int64]:
        """[C, C] counts: row, the true class; column, what it was taken for."""
        classes = self.probabilities.shape[1]
        return np.bincount(self.labels * classes + self.predictions, minlength=classes**2).reshape(classes, classes)

    def kept(self) -> dict[str, Tensor]:
        """What a checkpoint keeps of it: `losses` and `right`, [N] each."""
        return {"losses": torch.from_numpy(self.losses), "right": torch.from_numpy(self.right)}


def read_logits(network: Network, images: Tensor, *, bfloat16: bool = False) -> Tensor:
    """Logits, float32 [N,C], of uint8 [N,28,28] images in evaluation mode (no dropout, fixed batch statistics).

    Leaves the network's mode as it was.
    """
    training = network.training
    network.eval()
    logits = [torch.zeros(0, network.classes, device=images.device)]
    with torch.inference_mode(), torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
        for start in range(0, len(images), AT_ONCE):
            logits.append(network(images[start : start + AT_ONCE]))
    network.train(training)
    return torch.cat(logits)


def wilson(right: int, total: int) -> tuple[float, float]:
    """Wilson's 1927 interval for a share `right / total`: at 95%, honest near 0 and 1 where the normal one is not."""
    if total == 0:
        return 0.0, 1.0
    share, spread = right / total, Z95 * Z95 / total
    centre = share + spread / 2
    half = Z95 * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, (centre - half) / (1 + spread)), min(1.0, (centre + half) / (1 + spread))


def calibration_error(evaluation: Evaluation) -> float:
    """Expected calibration error, 0..1 (Guo et al. 2017): mean |confidence - accuracy| over bins of equal width."""
    confidence = evaluation.probabilities.max(1).astype(np.float64)
    which = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(which, evaluation.right - confidence, BINS)
    return float(np.abs(gaps).sum() / len(confidence)) if len(confidence) else math.nan


def recall(confusion: NDArray[np.int64]) -> list[float]:
    """Of each class's images, the share read right; NaN for a class without images."""
    totals = confusion.sum(1)
    return [
        float(right / total) if total else math.nan for right, total in zip(confusion.diagonal(), totals, strict=True)
    ]
