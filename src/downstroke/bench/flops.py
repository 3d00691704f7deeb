"""Floating-point operations: how many a network needs, and how many the machine can do."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn


def multiplications(net: nn.Module) -> int:
    """Multiply-adds of one image's forward pass, in convolutions and linear layers; the rest is small beside them."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        total += output.numel() * weight[0].numel()

    handles = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    training = net.training
    with torch.inference_mode():
        net.eval()(torch.zeros(1, 1, 28, 28))
    net.train(training)
    for handle in handles:
        handle.remove()
    return total


def training_flops(net: nn.Module) -> int:
    """Of one image in training: forward, and twice as much backward (to W and to the layer's input)."""
    return 2 * 3 * multiplications(net)


def peak_flops(size: int = 1024, rounds: int = 9) -> float:
    """Floating-point operations a second of a float32 matrix product of this size on this machine, now; the median."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / statistics.median(seconds)
