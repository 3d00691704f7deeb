"""The locator of `learning/locator.py` in NumPy: convolutions as matrix products, a band of rows at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
STEP = 16  # pixels: sides are padded to multiples of it
_BAND = 1 << 18  # numbers of a band's patches: what stays in the processor's cache


@dataclass(frozen=True)
class Layer:
    """A convolution: `kernel` [k*k*I,O], `bias` [O]; how wide the kernel is, and how far it moves."""

    kernel: Floats
    bias: Floats
    size: int
    stride: int


@dataclass(frozen=True)
class Said:
    """The locator's output for a picture [H,W], as in `learning/locator.py`, with probabilities in place of logits."""

    heat: Floats  # [H/4,W/4,15]
    boxes: Floats  # [H/4,W/4,4]
    ink: Floats  # [H,W]


class NumpyLocator:
    """The locator with the weights that `learning.locator.arrays` gives."""

    def __init__(self, arrays: Mapping[str, NDArray[np.float16]]) -> None:
        self._layers: dict[str, Layer] = {}
        for name in arrays:
            if name.endswith(".kernel"):
                stem = name.removesuffix(".kernel")
                kernel = arrays[name].astype(np.float32)
                stride = 2 if stem in ("at_4.0", "at_8.0", "at_16.0") else 1
                flat = kernel.reshape(-1, kernel.shape[-1])
                self._layers[stem] = Layer(flat, arrays[f"{stem}.bias"].astype(np.float32), len(kernel), stride)

    def __call__(self, x: Floats) -> Said:
        """[H,W] as `glyphs.normal.normalised` gives it, of any size: padded with zeros, and cut again."""
        height, width = x.shape
        x = np.pad(x, ((0, -height % STEP), (0, -width % STEP)))
        rows, columns = x.shape[0] // 2, x.shape[1] // 2
        x = np.ascontiguousarray(x.reshape(rows, 2, columns, 2).transpose(0, 2, 1, 3)).reshape(rows, columns, 4)
        at_2 = self._relu(x, "at_2")
        at_4 = self._relu(self._relu(at_2, "at_4.0"), "at_4.1")
        at_8 = self._relu(self._relu(at_4, "at_8.0"), "at_8.1")
        at_16 = self._relu(self._relu(self._relu(at_8, "at_16.0"), "at_16.1"), "at_16.2")
        up_8 = self._relu(np.concatenate([_doubled(at_16), at_8], axis=2), "up_8")
        fine = self._relu(np.concatenate([_doubled(up_8), at_4], axis=2), "up_4")
        half = np.maximum(_doubled(self._conv(fine, "to_2")) + at_2, 0)
        ink = self._conv(half, "ink").reshape(rows, columns, 2, 2).transpose(0, 2, 1, 3).reshape(2 * rows, 2 * columns)
        heat, boxes = _sigmoid(self._conv(fine, "heat")), self._conv(fine, "box")
        return Said(heat, boxes, _sigmoid(ink)[:height, :width])

    def _relu(self, x: Floats, name: str) -> Floats:
        found = self._conv(x, name)
        return np.maximum(found, 0, out=found)

    def _conv(self, x: Floats, name: str) -> Floats:
        layer = self._layers[name]
        size, stride = layer.size, layer.stride
        if size == 1:
            found: Floats = x @ layer.kernel + layer.bias
            return found
        x = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        height, width, channels = x.shape
        rows, columns = (height - 3) // stride + 1, (width - 3) // stride + 1
        made = np.empty((rows, columns, layer.kernel.shape[1]), np.float32)
        deep = max(1, _BAND // (columns * len(layer.kernel)))
        for top in range(0, rows, deep):
            count = min(deep, rows - top)
            patches = np.empty((count, columns, 9, channels), np.float32)
            for place in range(9):
                y, start = top * stride + place // 3, place % 3
                patches[:, :, place] = x[y : y + stride * count : stride, start : start + stride * columns : stride]
            band = made[top : top + count].reshape(-1, made.shape[2])
            np.matmul(patches.reshape(count * columns, -1), layer.kernel, out=band)
        made += layer.bias
        return made


def _doubled(x: Floats) -> Floats:
    """Nearest-neighbour upsampling: [H,W,C] -> [2H,2W,C]."""
    return x.repeat(2, axis=0).repeat(2, axis=1)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))), np.float32)
