"""A network of this house as an ONNX model in memory: a millisecond, and neither torch nor the package `onnx`.

For a reader and its locator, and for `downstroke export --onnx`: the layers of `learning/models.py`, in the few
messages of ONNX that they need. See https://github.com/onnx/onnx/blob/main/onnx/onnx.proto for the fields' numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count, product
from string import ascii_letters, digits
from typing import Any

import numpy as np
from numpy.typing import NDArray

INPUT, LOGITS, PROBABILITIES, ACCEPT = "images", "logits", "probabilities", "accept"
HEAT, BOXES, INK = "heat", "boxes", "ink"
OPSET = 20
_IR_VERSION = 10
_FLOAT, _UINT8, _INT8, _INT64, _BOOL = 1, 2, 3, 7, 9  # ONNX's data types
_KINDS = {"f4": _FLOAT, "u1": _UINT8, "i1": _INT8, "i8": _INT64}  # NumPy's
_INT, _INTS = 2, 7  # of attributes
_LETTERS = digits + ascii_letters
_WEIGHED = ("Conv", "Gemm")
_MOVING = ("MaxPool", "Transpose", "Flatten")  # of which no result is larger than what went in


@dataclass(frozen=True)
class Layer:
    """One ONNX operator: its name, its weights in order, and its attributes, whole numbers or several."""

    operator: str
    weights: tuple[NDArray[Any], ...] = ()
    attributes: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Scales:
    """What is around the layers: a pixel becomes pixel * scale + shift, and logits are divided by the temperature."""

    scale: float
    shift: float
    temperature: float


def reader(layers: Iterable[Layer], classes: int, scales: Scales) -> bytes:
    """uint8 [N,28,28] -> `logits` and `probabilities`, float32 [N,classes], serialized.

    `layers` take [N,1,28,28] to [N,classes]; the last of them is a Gemm with a bias.
    """
    graph = _Graph()
    at = graph.add(Layer("Cast", attributes={"to": _FLOAT}), INPUT)
    at = graph.add(Layer("Unsqueeze", (np.array([1], np.int64),)), at)
    *others, last = _scaled(list(layers), scales)
    for layer in others:
        at = graph.add(layer, at)
    graph.add(last, at, made=LOGITS)
    graph.add(Layer("Softmax"), LOGITS, made=PROBABILITIES)
    made = [_value(name, _FLOAT, classes) for name in (LOGITS, PROBABILITIES)]
    return graph.serialized(_value(INPUT, _UINT8, 28, 28), made)


def exported(
    layers: Iterable[Layer],
    classes: int,
    scales: Scales,
    *,
    threshold: float,
    facts: Mapping[str, str],
    ranges: Sequence[tuple[float, float]] | None = None,
) -> bytes:
    """float32 [N,1,28,28] -> `probabilities`, float32 [N,classes], and `accept`, bool [N], serialized with `facts`.

    What is accepted has log(sum(exp(logits))) of at least `threshold`. `ranges`: of the values that go into each
    convolution and each product, the least and the largest; where they are given, these values and the weights have 8
    bits: weights a scale for each output, and values a scale and a zero point.
    """
    graph, at = _Graph(), INPUT
    left = list(ranges) if ranges is not None else []
    row = list(layers)
    scaled = _scaled(row, scales)
    if left and len(scaled) == len(row):  # the first weights take pixels as they come
        left[0] = ((left[0][0] - scales.shift) / scales.scale, (left[0][1] - scales.shift) / scales.scale)
    rounded_values = False
    for index, layer in enumerate(scaled):
        weighed = layer.operator in _WEIGHED
        if left and not rounded_values and _goes_into_weights(scaled[index:]):
            at, rounded_values = graph.in_8_bits(at, *left.pop(0)), True
        at = graph.add_in_8_bits(layer, at) if weighed and ranges is not None else graph.add(layer, at)
        rounded_values = rounded_values and not weighed
    graph.add(Layer("Softmax"), at, made=PROBABILITIES)
    score = graph.add(Layer("ReduceLogSumExp", (np.array([1], np.int64),), {"keepdims": 0}), at)
    graph.add(Layer("GreaterOrEqual", (np.array(threshold, np.float32),)), score, made=ACCEPT)
    made = [_value(PROBABILITIES, _FLOAT, classes), _value(ACCEPT, _BOOL)]
    return graph.serialized(_value(INPUT, _FLOAT, 1, 28, 28), made, facts)


Weights = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]


def locator(weights: Weights) -> bytes:
    """float32 [H,W], multiples of 16, -> `heat` [1,H/4,W/4,C], `boxes` [1,H/4,W/4,4] and `ink` [1,1,H,W], serialized.

    `weights`: by the names in `learning/locator.py`, a kernel [O,I,k,k] and a bias [O]. Heat and ink are probabilities.
    """
    graph = _Graph()
    last = {"perm": (0, 2, 3, 1)}

    def conv(name: str, given: str, stride: int = 1) -> str:
        kernel, bias = weights[name]
        border = kernel.shape[-1] // 2
        attributes = {"pads": (border,) * 4, "strides": (stride, stride)}
        return graph.add(Layer("Conv", (kernel, bias), attributes), given)

    def relu(name: str, *given: str, stride: int = 1) -> str:
        joined = given[0] if len(given) == 1 else graph.add(Layer("Concat", attributes={"axis": 1}), *given)
        return graph.add(Layer("Relu"), conv(name, joined, stride))

    def doubled(given: str) -> str:
        return graph.add(Layer("Resize", (np.array([1, 1, 2, 2], np.float32),)), given, "")

    x = graph.add(Layer("Unsqueeze", (np.array([0, 1], np.int64),)), INPUT)
    at_2 = relu("at_2", graph.add(Layer("SpaceToDepth", attributes={"blocksize": 2}), x))
    at_4 = relu("at_4.1", relu("at_4.0", at_2, stride=2))
    at_8 = relu("at_8.1", relu("at_8.0", at_4, stride=2))
    at_16 = relu("at_16.2", relu("at_16.1", relu("at_16.0", at_8, stride=2)))
    fine = relu("up_4", doubled(relu("up_8", doubled(at_16), at_8)), at_4)
    graph.add(Layer("Transpose", attributes=last), graph.add(Layer("Sigmoid"), conv("heat", fine)), made=HEAT)
    graph.add(Layer("Transpose", attributes=last), conv("box", fine), made=BOXES)
    half = graph.add(Layer("Add"), doubled(conv("to_2", fine)), at_2)
    ink = conv("ink", graph.add(Layer("Relu"), half))
    graph.add(Layer("Sigmoid"), graph.add(Layer("DepthToSpace", attributes={"blocksize": 2}), ink), made=INK)
    classes = len(weights["heat"][1])
    made = [
        _value(HEAT, _FLOAT, "h", "w", classes),
        _value(BOXES, _FLOAT, "h", "w", 4),
        _value(INK, _FLOAT, 1, "H", "W"),
    ]
    return graph.serialized(_value(INPUT, _FLOAT, "W", first="H"), made)


class _Graph:
    """A graph to which nodes are added. What has no name of its own gets the shortest one that is left."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._tensors: list[bytes] = []
        self._names = map("".join, chain.from_iterable(product(_LETTERS, repeat=length) for length in count(1)))

    def add(self, layer: Layer, *given: str, made: str | None = None) -> str:
        """A node that takes what is called `given`, then its weights; returns what its result is called."""
        made = made or next(self._names)
        names = [*given, *(self._tensor(array) for array in layer.weights)]
        attributes = (_bytes(5, _attribute(name, value)) for name, value in layer.attributes.items())
        parts = [*(_text(1, name) for name in names), _text(2, made), _text(4, layer.operator), *attributes]
        self._nodes.append(b"".join(parts))
        return made

    def in_8_bits(self, given: str, low: float, high: float) -> str:
        """The values called `given`, of `low` to `high`, rounded to 8 bits and back: QDQ, as ONNX Runtime calls it."""
        low, high = min(0.0, low), max(0.0, high)  # 0 is kept exactly: it is the border
        step = np.array(max(high - low, 1e-12) / 255, np.float32)
        grid = [self._tensor(array) for array in (step, np.array(round(-low / float(step)), np.uint8))]
        return self.add(Layer("DequantizeLinear"), self.add(Layer("QuantizeLinear"), given, *grid), *grid)

    def add_in_8_bits(self, layer: Layer, given: str) -> str:
        """As `add`, the first of the weights in 8 bits."""
        weight, *others = layer.weights
        name = self.add(Layer("DequantizeLinear", rounded(weight), {"axis": 0}))
        return self.add(replace(layer, weights=tuple(others)), given, name)

    def serialized(self, given: bytes, made: Sequence[bytes], facts: Mapping[str, str] | None = None) -> bytes:
        parts = [_bytes(1, node) for node in self._nodes] + [_text(2, "downstroke")]
        parts += [_bytes(5, tensor) for tensor in self._tensors]
        parts += [_bytes(11, given), *(_bytes(12, one) for one in made)]
        told = b"".join(_bytes(14, _text(1, name) + _text(2, value)) for name, value in (facts or {}).items())
        opset = _bytes(8, _text(1, "") + _whole(2, OPSET))
        return _whole(1, _IR_VERSION) + _text(2, "downstroke") + _bytes(7, b"".join(parts)) + opset + told

    def _tensor(self, array: NDArray[Any]) -> str:
        name, little = next(self._names), np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        dims = b"".join(_whole(1, size) for size in array.shape)
        kind = _KINDS[array.dtype.str[1:]]
        self._tensors.append(dims + _whole(2, kind) + _text(8, name) + _bytes(9, little.tobytes()))
        return name


def _goes_into_weights(layers: Sequence[Layer]) -> bool:
    """Whether the first of the layers that computes has weights: values are rounded before they are moved, once.

    ONNX Runtime computes in whole numbers where a layer's values are rounded as they leave it.
    """
    return next((layer.operator in _WEIGHED for layer in layers if layer.operator not in _MOVING), False)


def rounded(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(levels, int8 -127..127, shaped as the weight; the step of each output, [outputs]): levels * step is nearest."""
    rows = weight.reshape(len(weight), -1)
    step = np.maximum(np.abs(rows).max(1), 1e-12).astype(np.float32) / np.float32(127)
    return np.rint(rows / step[:, None]).astype(np.int8).reshape(weight.shape), step


def _scaled(layers: list[Layer], scales: Scales) -> list[Layer]:
    """The layers with what is around them: in as many layers where it can be, in the first and the last weights."""
    weight, bias = layers[-1].weights
    cold = np.float32(scales.temperature)
    layers = [*layers[:-1], replace(layers[-1], weights=(weight / cold, bias / cold))]
    return _of_pixels(layers, np.float32(scales.scale), np.float32(scales.shift))


def _of_pixels(layers: list[Layer], scale: np.float32, shift: np.float32) -> list[Layer]:
    """The layers for pixels as they come: what pixels become is in the first weights, where these see no border."""
    place = next(index for index, layer in enumerate(layers) if layer.weights)
    first = layers[place]
    if first.operator not in _WEIGHED or len(first.weights) < 2 or np.any(first.attributes.get("pads", 0)):
        return [Layer("Mul", (np.array(scale),)), Layer("Add", (np.array(shift),)), *layers]
    weight, bias = first.weights
    sums = weight.reshape(len(weight), -1).sum(1)
    return [*layers[:place], replace(first, weights=(weight * scale, bias + shift * sums)), *layers[place + 1 :]]


def _attribute(name: str, value: int | tuple[int, ...]) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _whole(3, value) + _whole(20, _INT)
    return _text(1, name) + b"".join(_whole(8, one) for one in value) + _whole(20, _INTS)


def _value(name: str, kind: int, *shape: int | str, first: str = "N") -> bytes:
    """A dimension that has a name, as the `first` has, is as long as one likes."""
    sizes = b"".join(_bytes(1, _text(2, one) if isinstance(one, str) else _whole(1, one)) for one in (first, *shape))
    return _text(1, name) + _bytes(2, _bytes(1, _whole(1, kind) + _bytes(2, sizes)))


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _whole(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """A whole number from 0, seven bits per byte, the lowest first (Protocol Buffers)."""
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])
