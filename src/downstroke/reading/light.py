"""The network `wide` of `learning/models.py` in NumPy, for a process that has not loaded torch.

Loading torch takes many times as long as reading a picture; see docs/decisions/2026-11-22-reading.md for the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]
MODEL = "wide"
_EPSILON = 1e-5  # what torch adds to a variance before it divides by its root


def logits_by_numpy(weights: Mapping[str, Floats]) -> Callable[[NDArray[np.uint8]], Floats]:
    """uint8 [N,28,28] -> logits, float32 [N,C], as torch gives them to 1e-4; `weights` is the network's state dict."""
    first, second, third = _kernel(weights, 0), _kernel(weights, 2), _kernel(weights, 6)
    norms = _norm(weights, 4), _norm(weights, 7)
    last, bias = weights["net.10.weight"].T, weights["net.10.bias"]

    def logits(glyphs: NDArray[np.uint8]) -> Floats:
        x = glyphs[..., None] * (weights["scale"] / np.float32(255)) + weights["shift"]
        x = np.maximum(_convolved(x, first, 2) + weights["net.0.bias"], 0)
        x = _convolved(x, second)
        x = np.maximum(np.maximum(x[:, ::2], x[:, 1::2])[:, :, ::2], np.maximum(x[:, ::2], x[:, 1::2])[:, :, 1::2])
        x = np.maximum(x * norms[0][0] + norms[0][1], 0)
        x = np.maximum(_convolved(x, third) * norms[1][0] + norms[1][1], 0)
        found: Floats = (x.reshape(len(x), -1) @ last + bias) / weights["temperature"]
        return found

    return logits


def _kernel(weights: Mapping[str, Floats], layer: int) -> Floats:
    """[O,I,k,k] -> [k,k,I,O]."""
    return np.ascontiguousarray(weights[f"net.{layer}.weight"].transpose(2, 3, 1, 0))


def _norm(weights: Mapping[str, Floats], layer: int) -> tuple[Floats, Floats]:
    """Batch normalisation by the statistics that were learned: (factor, summand), each [C]."""
    mean, variance = weights[f"net.{layer}.running_mean"], weights[f"net.{layer}.running_var"]
    factor: Floats = weights[f"net.{layer}.weight"] / np.sqrt(variance + np.float32(_EPSILON))
    return factor, weights[f"net.{layer}.bias"] - mean * factor


def _convolved(x: Floats, kernel: Floats, stride: int = 1) -> Floats:
    """[N,H,W,I] with [k,k,I,O] -> [N,h,w,O], as one product of matrices."""
    size, out = kernel.shape[0], kernel.shape[3]
    patches = sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)
    found: Floats = patches.reshape(-1, kernel.size // out) @ kernel.reshape(-1, out)
    return found.reshape(*patches.shape[:3], out)
