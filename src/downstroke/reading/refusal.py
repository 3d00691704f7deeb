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
_MANY = 3  # looks: of so many, the second best is told from the best and the worst


def score(logits: Floats) -> Floats:
    """How much each glyph is like a digit: [N] from logits [N,C]. A glyph is accepted from the threshold on."""
    scores: Floats = np.logaddexp.reduce(logits, axis=1)
    return scores


def digit_probability(logits: Floats) -> Floats:
    """The probability that each glyph is a digit: [N] from logits [N,C], of a network trained with negatives."""
    probability: Floats = 1 / (1 + np.exp(-score(logits)))
    return probability


def softmax(logits: Floats) -> Floats:
    """Probabilities [N,C] of logits [N,C]; each row sums to 1."""
    y: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    y /= y.sum(axis=1, keepdims=True)
    return y


def pooled(logits: Floats) -> Floats:
    """The logits [C] of one glyph that was looked at in several ways, [N,C]: their mean.

    With "no digit", whose logit is 0, that is the geometric mean of what the looks say, of C + 1 probabilities each.
    """
    mean: Floats = logits.mean(axis=0)
    return mean


def of_looks(logits: Floats) -> Floats:
    """The logits [C] of a picture of one digit that was looked at in several ways, [N,C].

    Which digit it is, their mean says. Whether it is one at all, the look that is second most like a digit, of three
    and more: most may be spoilt by what stands beside it, and one may be good by chance.
    """
    mean = pooled(logits)
    if len(logits) < _MANY:
        return mean
    shifted: Floats = mean + (np.sort(score(logits))[-2] - score(mean[None])[0])
    return shifted


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
