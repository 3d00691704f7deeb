"""L = criterion(y, labels): how wrong the network is, as one number to bring down.

A criterion here takes logits, float32 [B,C], and labels, int64 [B], and returns the mean over the batch. The notes'
criterion takes probabilities; cross-entropy on logits is the same number, computed without ever taking the logarithm
of a probability that was rounded to 0. `nll` is the literal form, and a test shows that both have one gradient.

To add one: a function of the recipe that returns the criterion, and a line in `CRITERIA`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from downstroke.errors import RecipeError
from downstroke.learning.lookup import look_up
from downstroke.recipe import Recipe

Criterion = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(recipe: Recipe) -> Criterion:
    """-log y[label], from logits; with label smoothing s the label's share is 1 - s and s is spread over all.

    With negatives there is one more class: see `of_all_classes`.
    """

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(of_all_classes(recipe, logits), labels, label_smoothing=recipe.label_smoothing)

    return criterion


def of_all_classes(recipe: Recipe, logits: Tensor) -> Tensor:
    """The logits, [B,C], of all classes that labels name: with negatives [B,C+1], the last for what is no digit.

    That class has no weights: its logit is 0. So log(sum(exp(logits))) becomes the log odds that an image is a digit at
    all, and the other logits keep their meaning.
    """
    return F.pad(logits, (0, 1)) if recipe.negatives else logits


def nll(recipe: Recipe) -> Criterion:
    """The notes word for word: probabilities first, then the negative log of the label's."""

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        probabilities = logits.softmax(1)
        return F.nll_loss(probabilities.log(), labels)

    return criterion


def brier(recipe: Recipe) -> Criterion:
    """Brier 1950: the squared distance, summed over the classes, between y and certainty of the label. 0..2."""

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        truth = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
        return (logits.softmax(1) - truth).square().sum(1).mean()

    return criterion


CRITERIA: dict[str, Callable[[Recipe], Criterion]] = {
    "cross-entropy": cross_entropy,
    "nll": nll,
    "brier": brier,
    "mse": brier,  # the mean squared error of probabilities, under the name that many know it by
}


def build(recipe: Recipe, classes: int) -> Criterion:
    """The recipe's criterion. Your own callable takes (logits, labels) and returns one number, or one per image.

    Raises RecipeError where it does neither, or where its result has no gradient.
    """
    found = look_up("criterion", recipe.criterion, CRITERIA)
    if recipe.criterion in CRITERIA:
        made: Criterion = found(recipe)
        return made

    def own(logits: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = found(logits, labels)
        return loss.mean() if loss.dim() else loss

    logits = torch.zeros(2, classes, requires_grad=True)
    try:
        shape = tuple(found(logits, torch.tensor([0, 1])).shape)
        own(logits, torch.tensor([0, 1])).backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # the user's code may raise anything; report it in one line
        text = " ".join(str(error).split()) or type(error).__name__
        raise RecipeError(f"criterion {recipe.criterion!r} failed on logits [2,{classes}]: {text}") from error
    if shape not in ((), (2,)):
        raise RecipeError(
            f"criterion {recipe.criterion!r} gave shape {list(shape)} for 2 images; expected one number or two"
        )
    return own
