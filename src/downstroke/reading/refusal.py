"""When to say "I am not sure": a score for each glyph, and the least score that is accepted.

The score is log(sum(exp(logits))), the negative free energy (Liu et al. 2020, "Energy-based Out-of-distribution
Detection"): high where any digit fits the glyph. A network that was taught with strays has learned it as the log odds
that the glyph is a digit (see `learning/criteria.py`); one that was not has it too, but it tells less.
"""

from __future__ import annotations

import torch
from torch import Tensor

ACCEPTED = 0.99  # the share of val's digits that the threshold accepts


def score(logits: Tensor) -> Tensor:
    """How much each glyph is like a digit: float32 [N] from logits [N,C]. A glyph is accepted from the threshold on."""
    return logits.logsumexp(1)


def pooled(logits: Tensor) -> Tensor:
    """The logits [C] of one glyph that was looked at in several ways, [N,C]: those of the mean of what they say.

    With "no digit", whose logit is 0, each look has C + 1 probabilities, and it is these that are averaged.
    """
    if len(logits) == 1:
        return logits[0]
    y = torch.nn.functional.pad(logits.double(), (0, 1)).softmax(1).mean(0).clamp_min(1e-30)
    return (y[:-1] / y[-1]).log().float()


def fit_threshold(logits: Tensor, share: float = ACCEPTED) -> float:
    """The score that just `share` of these digits reach, logits [N,C] of val images, N > 0."""
    scores = score(logits).sort().values
    return float(scores[round((1 - share) * len(scores))])


def curve(digits: Tensor, strays: Tensor, points: int = 400) -> tuple[Tensor, Tensor, Tensor]:
    """What each threshold accepts: (thresholds, share of digits, share of strays), each [points], falling.

    `digits`, `strays`: scores, [N] and [M].
    """
    every = torch.cat([digits, strays])
    thresholds = torch.linspace(float(every.min()), float(every.max()), points)
    of_digits, of_strays = ((scores[:, None] >= thresholds).float().mean(0) for scores in (digits, strays))
    return thresholds, of_digits, of_strays
