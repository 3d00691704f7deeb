"""The locator of `learning/locator.py` in NumPy: convolutions as matrix products, a band of rows at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
STEP = 16  # pixels: sides are padded to multiples of it
_BAND = 1 << 17  # numbers of a band: what stays in the processor's cache


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
        fine = self._joined(self._joined(at_16, at_8, "up_8"), at_4, "up_4")
        half = np.maximum(_doubled(self._conv(fine, "to_2")) + at_2, 0)
        ink = self._conv(half, "ink").reshape(rows, columns, 2, 2).transpose(0, 2, 1, 3).reshape(2 * rows, 2 * columns)
        heat, boxes = _sigmoid(self._conv(fine, "heat")), self._conv(fine, "box")
        return Said(heat, boxes, _sigmoid(ink)[:height, :width])

    def _relu(self, x: Floats, name: str) -> Floats:
        return self._conv(x, name, relu=True)

    def _conv(self, x: Floats, name: str, *, relu: bool = False) -> Floats:
        layer = self._layers[name]
        if layer.size == 1:
            found: Floats = x @ layer.kernel + layer.bias
            return found
        return _convolved(x, layer, None, relu=relu)

    def _joined(self, coarse: Floats, fine: Floats, name: str) -> Floats:
        """The convolution of `coarse` [H/2,W/2,C], doubled, and `fine` [H,W,D] behind it, with its ReLU.

        Of three rows of what was doubled two are the same, so that four products of its pixels do instead of nine.
        """
        layer = self._layers[name]
        kernel = layer.kernel.reshape(3, 3, -1, layer.kernel.shape[1])
        channels = coarse.shape[2]
        height, width = coarse.shape[:2]
        made = np.empty((*fine.shape[:2], kernel.shape[3]), np.float32)
        padded = np.pad(coarse, ((1, 1), (1, 1), (0, 0)))
        for below in (0, 1):
            rows = _twice(kernel[:, :, :channels], below)
            for right in (0, 1):
                four = _twice(rows.swapaxes(0, 1), right).swapaxes(0, 1)
                part = Layer(four.reshape(-1, kernel.shape[3]), np.zeros(1, np.float32), 2, 1)
                made[below::2, right::2] = _products(
                    padded[below : below + height + 1, right : right + width + 1], part, None, relu=False
                )
        rest = Layer(kernel[:, :, channels:].reshape(-1, kernel.shape[3]), layer.bias, 3, 1)
        return _convolved(fine, rest, made, relu=True)


def _twice(kernel: Floats, odd: int) -> Floats:
    """Three rows of a kernel, [3,...], as the two, [2,...], that they are on rows that stand twice."""
    return np.stack([kernel[0] + kernel[1], kernel[2]] if odd else [kernel[0], kernel[1] + kernel[2]])


def _convolved(x: Floats, layer: Layer, summand: Floats | None, *, relu: bool) -> Floats:
    """[H,W,I] -> [h,w,O], with a border of zeros; the rest as in `_products`."""
    return _products(np.pad(x, ((1, 1), (1, 1), (0, 0))), layer, summand, relu=relu)


def _products(x: Floats, layer: Layer, summand: Floats | None, *, relu: bool) -> Floats:
    """The convolution of [H,W,I] where all of the kernel lies within, plus its bias and `summand` [h,w,O]."""
    size, stride = layer.size, layer.stride
    height, width, channels = x.shape
    rows, columns = (height - size) // stride + 1, (width - size) // stride + 1
    made = np.empty((rows, columns, layer.kernel.shape[1]), np.float32)
    by_row = layer.kernel.reshape(size, size * channels, -1)
    deep = max(1, _BAND // (columns * size * channels) // stride)
    for top in range(0, rows, deep):
        count = min(deep, rows - top)
        part = x[top * stride : (top + count - 1) * stride + size]
        beside = np.empty((len(part), columns, size, channels), np.float32)
        for place in range(size):
            beside[:, :, place] = part[:, place : place + stride * (columns - 1) + 1 : stride]
        flat = beside.reshape(len(part), columns, size * channels)
        band = made[top : top + count]
        np.matmul(flat[: (count - 1) * stride + 1 : stride], by_row[0], out=band)
        for row in range(1, size):
            band += flat[row : (count - 1) * stride + row + 1 : stride] @ by_row[row]
        band += layer.bias
        if summand is not None:
            band += summand[top : top + count]
        if relu:
            np.maximum(band, 0, out=band)
    return made


def _doubled(x: Floats) -> Floats:
    """Nearest-neighbour upsampling: [H,W,C] -> [2H,2W,C]."""
    return x.repeat(2, axis=0).repeat(2, axis=1)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))), np.float32)
