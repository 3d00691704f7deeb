"""What is left of a network whose weights are whole numbers of 8 bits, a scale for each output."""

from __future__ import annotations

import torch

from downstroke.learning.models import Network
from downstroke.reading.batch_norm_folding import folded
from downstroke.reading.onnx_graph import rounded


def in_eight_bits(network: Network) -> tuple[Network, int]:
    """A folded copy with each weight of two dimensions or more rounded to one of 255 levels, and its size in bytes.

    The size is that of the weights in 8 bits, of their scales and of the biases in 32, without names.
    """
    made, size = folded(network), 0
    for weight in made.net.parameters():
        if weight.dim() < 2:
            size += 4 * weight.numel()
            continue
        levels, step = rounded(weight.numpy())
        weight.data = torch.from_numpy(levels * step.reshape(-1, *[1] * (weight.dim() - 1)))
        size += weight.numel() + 4 * len(weight)
    return made, size
