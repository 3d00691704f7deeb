"""A network of this house as an ONNX model in memory: a millisecond, and neither torch nor the package `onnx`.

`downstroke export --onnx` lets torch's own exporter write a file, which takes seconds and knows every layer there is.
Here are the layers of `learning/models.py`, which a reader opens with, in the few messages of ONNX that they need: see
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto for the numbers of the fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

INPUT, LOGITS, PROBABILITIES = "images", "logits", "probabilities"
_IR_VERSION, _OPSET = 10, 20
_FLOAT, _UINT8, _INT64 = 1, 2, 7  # ONNX's data types
_INT, _INTS = 2, 7  # of attributes


@dataclass(frozen=True)
class Layer:
    """One ONNX operator: its name, its weights in order, and its attributes, whole numbers or several."""

    operator: str
    weights: tuple[NDArray[Any], ...] = ()
    attributes: dict[str, int | tuple[int, ...]] = field(default_factory=dict)


def model(layers: Iterable[Layer], classes: int, *, scale: float, shift: float, temperature: float) -> bytes:
    """uint8 [N,28,28] -> `logits` and `probabilities`, float32 [N,classes], serialized.

    A pixel p of 0..255 becomes p * scale + shift; `layers` take [N,1,28,28] from there to [N,classes], which is divided
    by the temperature. The last of them is a Gemm with a bias.
    """
    made = [
        Layer("Cast", attributes={"to": _FLOAT}),
        Layer("Unsqueeze", (np.array([1], np.int64),)),
        *_of_pixels(list(layers), np.float32(scale), np.float32(shift)),
        Layer("Softmax", attributes={"axis": 1}),
    ]
    weight, bias = made[-2].weights
    cooled = weight / np.float32(temperature), bias / np.float32(temperature)
    made[-2] = replace(made[-2], weights=cooled)
    names = [INPUT, *(f"{index}" for index in range(len(made) - 2)), LOGITS, PROBABILITIES]
    nodes, tensors = [], []
    for index, layer in enumerate(made):
        weights = [f"{index}.{place}" for place in range(len(layer.weights))]
        tensors += [_tensor(name, array) for name, array in zip(weights, layer.weights, strict=True)]
        nodes.append(_node(layer, [names[index], *weights], names[index + 1]))
    graph = [_bytes(1, node) for node in nodes] + [_text(2, "reader")] + [_bytes(5, tensor) for tensor in tensors]
    graph.append(_bytes(11, _value(INPUT, _UINT8, (28, 28))))
    graph += [_bytes(12, _value(name, _FLOAT, (classes,))) for name in (LOGITS, PROBABILITIES)]
    return _whole(1, _IR_VERSION) + _bytes(7, b"".join(graph)) + _bytes(8, _text(1, "") + _whole(2, _OPSET))


def _of_pixels(layers: list[Layer], scale: np.float32, shift: np.float32) -> list[Layer]:
    """The layers for pixels as they come: what pixels become is in the first weights, where these see no border."""
    place = next(index for index, layer in enumerate(layers) if layer.weights)
    first = layers[place]
    if first.operator not in ("Conv", "Gemm") or len(first.weights) < 2 or np.any(first.attributes.get("pads", 0)):
        return [Layer("Mul", (np.array(scale),)), Layer("Add", (np.array(shift),)), *layers]
    weight, bias = first.weights
    sums = weight.reshape(len(weight), -1).sum(1)
    return [*layers[:place], replace(first, weights=(weight * scale, bias + shift * sums)), *layers[place + 1 :]]


def _node(layer: Layer, given: Sequence[str], made: str) -> bytes:
    attributes = (_bytes(5, _attribute(name, value)) for name, value in layer.attributes.items())
    return b"".join([*(_text(1, name) for name in given), _text(2, made), _text(4, layer.operator), *attributes])


def _attribute(name: str, value: int | tuple[int, ...]) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _whole(3, value) + _whole(20, _INT)
    return _text(1, name) + b"".join(_whole(8, one) for one in value) + _whole(20, _INTS)


def _tensor(name: str, array: NDArray[Any]) -> bytes:
    kind = _INT64 if array.dtype == np.int64 else _FLOAT
    dims = b"".join(_whole(1, size) for size in array.shape)
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return dims + _whole(2, kind) + _text(8, name) + _bytes(9, little.tobytes())


def _value(name: str, kind: int, shape: Sequence[int]) -> bytes:
    """The first dimension, before those of `shape`, is as long as one likes."""
    sizes = _bytes(1, _text(2, "N")) + b"".join(_bytes(1, _whole(1, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _whole(1, kind) + _bytes(2, sizes)))


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _whole(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """A whole number from 0, seven bits a byte, the lowest first (Protocol Buffers)."""
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])
