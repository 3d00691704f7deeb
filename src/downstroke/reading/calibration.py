"""Whether a reading is to be relied on: a score for each glyph, and the threshold that the reader carries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Every glyph is accepted: the threshold of a reader whose own was not set on val.
ACCEPT_ALL = 0.0


def score(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much like one clear digit each glyph is, 0..1: the probability of its class. [N,C] -> [N]."""
    highest: NDArray[np.float32] = probabilities.max(axis=1)
    return highest
