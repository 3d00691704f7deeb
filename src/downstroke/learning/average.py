"""A running average of W: the noise of single batches averaged away, without lowering the learning rate for it.

Polyak & Juditsky 1992; the exponential form of it, with batch statistics averaged alongside. It looks at no horizon, so
a run that is judged by its average can be continued as if it had never stopped.
"""

from __future__ import annotations

import copy

import torch

from downstroke.learning.models import Network


class Average:
    """`network` holds the average of the network that learns: A = share * A + (1 - share) * W, after every step.

    `share` is reached gradually, min(share, (1 + t) / (10 + t)) after t steps, so that the first W is soon forgotten.
    """

    def __init__(self, learning: Network, share: float) -> None:
        self.share = share
        self.network = copy.deepcopy(learning).eval().requires_grad_(False)
        pairs = list(zip(self.network.state_dict().values(), learning.state_dict().values(), strict=True))
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._averages = [mine for mine, _ in self._floats]
        self._sources = [theirs for _, theirs in self._floats]

    def update(self, step: int) -> None:
        """Take in W after `step` steps (from 1)."""
        share = min(self.share, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, self._sources, 1 - share)
        for mine, theirs in self._counts:
            mine.copy_(theirs)
