"""What is left of a network whose weights are whole numbers of 8 bits, a scale for each output."""

from __future__ import annotations

import torch
from torch import Tensor

from downstroke.learning.models import Network
from downstroke.reading.batch_norm_folding import folded


def in_eight_bits(network: Network) -> tuple[Network, int]:
    """A folded copy with each weight of two dimensions or more rounded to one of 255 levels, and its size in bytes.

    The size is that of the weights in 8 bits, of their scales and of the biases in 32, without names.
    """
    made, size = folded(network), 0
    for weight in made.net.parameters():
        if weight.dim() < 2:
            size += 4 * weight.numel()
            continue
        weight.data = rounded(weight.data)
        size += weight.numel() + 4 * len(weight)
    return made, size


def rounded(weight: Tensor) -> Tensor:
    """Of each output (the first dimension), the nearest of 255 levels, evenly spaced, from -max to max."""
    largest = weight.abs().amax(tuple(range(1, weight.dim())), keepdim=True).clamp_min(1e-12)
    return torch.round(weight / largest * 127) / 127 * largest
