"""Refusal: a score for each glyph, and the threshold from which it is accepted.

The score is log(sum(exp(logits))), the negative free energy (Liu et al. 2020, "Energy-based Out-of-distribution
Detection"): high where any digit fits the glyph. In a network trained with negatives it is the log odds that the glyph
is a digit (see `learning/criteria.py`); without them it is a weaker sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstroke.learning.acceptance import ACCEPTED, least_score

Floats = NDArray[np.floating[Any]]


def score(logits: Floats) -> Floats:
    """How much each glyph is like a digit: [N] from logits [N,C]. A glyph is accepted from the threshold on."""
    scores: Floats = np.logaddexp.reduce(logits, axis=1)
    return scores


def sure(logits: Floats) -> Floats:
    """The probability that each glyph is a digit: [N] from logits [N,C], of a network trained with negatives."""
    probability: Floats = 1 / (1 + np.exp(-score(logits)))
    return probability


def softmax(logits: Floats) -> Floats:
    """Probabilities [N,C] of logits [N,C]; each row sums to 1."""
    y: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    y /= y.sum(axis=1, keepdims=True)
    return y


def pooled(logits: Floats) -> Floats:
    """The logits [C] of one glyph that was looked at in several ways, [N,C]: those of the mean of what they say.

    With "no digit", whose logit is 0, each look has C + 1 probabilities, and it is these that are averaged.
    """
    if len(logits) == 1:
        found: Floats = logits[0]
        return found
    y = softmax(np.pad(logits.astype(np.float64), ((0, 0), (0, 1)))).mean(axis=0).clip(1e-30)
    mean: Floats = np.log(y[:-1] / y[-1]).astype(np.float32)
    return mean


def fit_threshold(logits: Floats, share: float = ACCEPTED) -> float:
    """The score that just `share` of these digits reach, logits [N,C] of val images, N > 0."""
    return least_score(score(logits), share)


def curve(digits: Floats, negatives: Floats, points: int = 400) -> tuple[Floats, Floats, Floats]:
    """What each threshold accepts: (thresholds, share of digits, share of negatives), each [points], falling.

    `digits`, `negatives`: scores, [N] and [M].
    """
    every = np.concatenate([digits, negatives])
    thresholds = np.linspace(every.min(), every.max(), points)
    of_digits, of_negatives = ((scores[:, None] >= thresholds).mean(axis=0) for scores in (digits, negatives))
    return thresholds, of_digits, of_negatives
