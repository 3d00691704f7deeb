"""From which score on a reader accepts a glyph. NumPy alone: a process that reads need not load torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ACCEPTED = 0.99  # the share of val's digits to accept


def least_score(scores: NDArray[np.floating[Any]], share: float = ACCEPTED) -> float:
    """The score that just `share` of these reach: log(sum(exp(logits))) of val images, [N], N > 0."""
    return float(np.sort(scores)[round((1 - share) * len(scores))])
