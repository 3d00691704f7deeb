"""The network `deeper` of `learning/models.py` in NumPy, for a process that has not loaded torch.

Loading torch takes many times as long as reading a picture; see docs/decisions/2026-11-22-reading.md for the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]
MODEL = "deeper"
#: Where in the network its convolutions stand, whether a border of one pixel goes before, and pooling behind.
LAYERS = ((1, True, False), (4, True, True), (8, True, False), (11, True, False), (14, False, False))
LAST = 18
_FEW = 64  # glyphs: the patches of so many stay in the processor's cache
_EPSILON = 1e-5  # what torch adds to a variance before it divides by its root


def logits_by_numpy(weights: Mapping[str, Floats]) -> Callable[[NDArray[np.uint8]], Floats]:
    """uint8 [N,28,28] -> logits, float32 [N,C], as torch gives them to 1e-4; `weights` is the network's state dict."""
    layers = [(*batch_norm_folded(weights, place), border, pool) for place, border, pool in LAYERS]
    last, bias = weights[f"net.{LAST}.weight"].T, weights[f"net.{LAST}.bias"]

    def few(glyphs: NDArray[np.uint8]) -> Floats:
        x = _by_fours(glyphs) * (weights["scale"] / np.float32(255)) + weights["shift"]
        for kernel, summand, border, pool in layers:
            x = _convolved(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))) if border else x, kernel)
            x = np.maximum(_pooled(x) if pool else x, -summand) + summand
        found: Floats = (x.reshape(len(x), -1) @ last + bias) / weights["temperature"]
        return found

    def logits(glyphs: NDArray[np.uint8]) -> Floats:
        return np.concatenate([few(glyphs[start : start + _FEW]) for start in range(0, len(glyphs), _FEW)])

    return logits


def batch_norm_folded(weights: Mapping[str, Floats], place: int) -> tuple[Floats, Floats]:
    """(the kernel [k,k,I,O] with the batch normalisation behind it in it, what is added: [O])."""
    mean, variance = weights[f"net.{place + 1}.running_mean"], weights[f"net.{place + 1}.running_var"]
    factor = weights[f"net.{place + 1}.weight"] / np.sqrt(variance + np.float32(_EPSILON))
    kernel = np.ascontiguousarray(weights[f"net.{place}.weight"].transpose(2, 3, 1, 0) * factor)
    return kernel, weights[f"net.{place + 1}.bias"] - mean * factor


def _convolved(x: Floats, kernel: Floats) -> Floats:
    """[N,H,W,I] with [k,k,I,O] -> [N,h,w,O], as one product of matrices."""
    size, out = kernel.shape[0], kernel.shape[3]
    patches = sliding_window_view(x, (size, size), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    found: Floats = patches.reshape(-1, kernel.size // out) @ kernel.reshape(-1, out)
    return found.reshape(*patches.shape[:3], out)


def _by_fours(glyphs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The four pixels of each 2x2 as channels, in torch's order: [N,28,28] -> [N,14,14,4]."""
    count, height, width = glyphs.shape
    cells = glyphs.reshape(count, height // 2, 2, width // 2, 2).transpose(0, 1, 3, 2, 4)
    return cells.reshape(count, height // 2, width // 2, 4)


def _pooled(x: Floats) -> Floats:
    """The largest of each 2x2: [N,H,W,C] -> [N,H/2,W/2,C]."""
    rows = np.maximum(x[:, ::2], x[:, 1::2])
    found: Floats = np.maximum(rows[:, :, ::2], rows[:, :, 1::2])
    return found
