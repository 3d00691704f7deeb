"""The locator of `learning/locator.py` in NumPy: convolutions as matrix products, a band of rows at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
STEP = 16  # pixels: sides are padded to multiples of it
_BAND = 1 << 18  # numbers of a band's patches: what stays in the processor's cache


@dataclass(frozen=True)
class Layer:
    """A convolution: `kernel` [k*k*I,O], `bias` [O]; how far it moves."""

    kernel: Floats
    bias: Floats
    stride: int


@dataclass(frozen=True)
class LocatorOutput:
    """The locator's output for a picture [H,W], as in `learning/locator.py`, with probabilities in place of logits."""

    heat: Floats  # [H/4,W/4,16]
    boxes: Floats  # [H/4,W/4,4]
    ink: Floats  # [H,W]


class Locator(ABC):
    """What computes the locator's output."""

    def __call__(self, x: Floats) -> LocatorOutput:
        """[H,W] as `glyphs.locator_input.normalised` gives it, of any size: padded with zeros, and cut again."""
        height, width = x.shape
        said = self.padded(np.pad(x, ((0, -height % STEP), (0, -width % STEP))))
        return replace(said, ink=said.ink[:height, :width])

    @abstractmethod
    def padded(self, x: Floats) -> LocatorOutput:
        """The same for sides that are multiples of STEP."""


class NumpyLocator(Locator):
    """The locator with the weights that `learning.locator.arrays` gives."""

    def __init__(self, arrays: Mapping[str, NDArray[np.float16]]) -> None:
        self._layers: dict[str, Layer] = {}
        for name in arrays:
            if name.endswith(".kernel"):
                stem = name.removesuffix(".kernel")
                kernel = arrays[name].astype(np.float32)
                stride = 2 if stem in ("at_4.0", "at_8.0", "at_16.0") else 1
                flat = kernel.reshape(-1, kernel.shape[-1])
                self._layers[stem] = Layer(flat, arrays[f"{stem}.bias"].astype(np.float32), stride)

    def padded(self, x: Floats) -> LocatorOutput:
        rows, columns = x.shape[0] // 2, x.shape[1] // 2
        x = np.ascontiguousarray(x.reshape(rows, 2, columns, 2).transpose(0, 2, 1, 3)).reshape(rows, columns, 4)
        at_2 = self._relu("at_2", x)
        at_4 = self._relu("at_4.1", self._relu("at_4.0", at_2))
        at_8 = self._relu("at_8.1", self._relu("at_8.0", at_4))
        at_16 = self._relu("at_16.2", self._relu("at_16.1", self._relu("at_16.0", at_8)))
        up_8 = self._relu("up_8", _doubled(at_16), at_8)
        fine = self._relu("up_4", _doubled(up_8), at_4)
        half = _doubled(self._of_each(fine, "to_2"))
        half += at_2
        ink = self._conv("ink", np.maximum(half, 0, out=half))
        ink = ink.reshape(rows, columns, 2, 2).transpose(0, 2, 1, 3).reshape(2 * rows, 2 * columns)
        heat, boxes = _sigmoid(self._of_each(fine, "heat")), self._of_each(fine, "box")
        return LocatorOutput(heat, boxes, _sigmoid(ink))

    def _of_each(self, x: Floats, name: str) -> Floats:
        """A kernel of one pixel."""
        layer = self._layers[name]
        found: Floats = x @ layer.kernel + layer.bias
        return found

    def _relu(self, name: str, *parts: Floats) -> Floats:
        return self._conv(name, *parts, least=0.0)

    def _conv(self, name: str, *parts: Floats, least: float | None = None) -> Floats:
        """A kernel of 3 pixels a side over the channels of all parts [H,W,C]; what is below `least` becomes it."""
        layer = self._layers[name]
        x = _bordered(parts)
        width, channels = x.shape[1:]
        rows, columns = (x.shape[0] - 3) // layer.stride + 1, (width - 3) // layer.stride + 1
        # Three neighbours in a row lie one after the other in memory: a row of patches is copied in long stretches.
        down, right, each = x.strides
        shape, strides = (3, rows, columns, 3 * channels), (down, layer.stride * down, layer.stride * right, each)
        patches = np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)
        made = np.empty((rows, columns, layer.kernel.shape[1]), np.float32)
        deep = min(rows, max(1, _BAND // (columns * len(layer.kernel))))
        copied = np.empty((deep, columns, 3, 3 * channels), np.float32)
        for top in range(0, rows, deep):
            count = min(deep, rows - top)
            for row in range(3):
                copied[:count, :, row] = patches[row, top : top + count]
            band = made[top : top + count].reshape(-1, made.shape[2])
            np.matmul(copied[:count].reshape(count * columns, -1), layer.kernel, out=band)
            band += layer.bias
            if least is not None:
                np.maximum(band, np.float32(least), out=band)
        return made


def _bordered(parts: tuple[Floats, ...]) -> Floats:
    """The channels of all [H,W,C] side by side, with a border of zeros one pixel wide."""
    height, width = parts[0].shape[:2]
    made = np.zeros((height + 2, width + 2, sum(part.shape[2] for part in parts)), np.float32)
    start = 0
    for part in parts:
        made[1:-1, 1:-1, start : start + part.shape[2]] = part
        start += part.shape[2]
    return made


def _doubled(x: Floats) -> Floats:
    """Nearest-neighbour upsampling: [H,W,C] -> [2H,2W,C]."""
    height, width, channels = x.shape
    made = np.empty((height, 2, width, 2, channels), np.float32)
    made[:] = x[:, None, :, None]
    return made.reshape(2 * height, 2 * width, channels)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))), np.float32)
