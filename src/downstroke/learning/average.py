"""A running average of W: the noise of single batches averaged away, without lowering the learning rate for it.

Averaging goes back to Polyak & Juditsky 1992; the weights here are the polynomial ones of Shamir & Zhang 2013. They
look at no horizon and yet grow with the run: after t steps the average spans about the last t / (k + 1) of them,
whatever t is. So a run that is judged by its average can be continued as if it had never stopped.
"""

from __future__ import annotations

import copy

import torch

from downstroke.learning.models import Network


class Average:
    """`network` holds the average A of the network that learns, its batch statistics included.

    After step t (from 1): A = A + (W - A) * (k + 1) / (t + k). The larger k, the sooner the early W are forgotten.
    """

    def __init__(self, learning: Network, k: float) -> None:
        self.k = k
        self.network = copy.deepcopy(learning).eval().requires_grad_(False)
        theirs = learning.state_dict()
        # The temperature is fitted to the average itself.
        pairs = [(mine, theirs[name]) for name, mine in self.network.state_dict().items() if name != "temperature"]
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._averages, self._sources = [mine for mine, _ in floats], [other for _, other in floats]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    def update(self, step: int) -> None:
        """Take in W after `step` steps (from 1)."""
        torch._foreach_lerp_(self._averages, self._sources, (self.k + 1) / (step + self.k))
        for mine, other in self._counts:
            mine.copy_(other)
