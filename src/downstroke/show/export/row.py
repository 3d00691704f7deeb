"""A network as a row of plain steps, each from one array to the next: what the page and the NumPy form compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from downstroke.errors import DownstrokeError
from downstroke.learning.models import Rows
from downstroke.show.export.subject import Subject


@dataclass(frozen=True)
class Step:
    """One layer: what `kind` of step, its whole `numbers`, and its weights, float32, by name."""

    kind: str
    place: str  # in the model: "0", "3", "block.1"
    numbers: dict[str, int] = field(default_factory=dict)
    weights: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def row_of(subject: Subject) -> list[Step]:
    """The steps of its network, from normalised images [N,1,28,28] to logits before the temperature.

    Raises DownstrokeError that names the layer, where the network is not a row of the layers below.
    """
    return list(_steps(subject.network.net, "", subject.recipe.model))


def _steps(layer: nn.Module, place: str, model: str) -> Iterator[Step]:
    if isinstance(layer, nn.Sequential):
        for name, inner in layer.named_children():
            yield from _steps(inner, f"{place}.{name}" if place else name, model)
        return
    make = _KINDS.get(type(layer))
    step = make(layer) if make else None
    if step is None:
        described = " ".join(repr(layer).split())
        at = f"layer {place} ({described if len(described) < 100 else type(layer).__name__})" if place else "the model"
        known = ", ".join(kind.__name__ for kind in _KINDS)
        inside = ", ".join(f"{name} ({type(inner).__name__})" for name, inner in layer.named_children())
        own = "" if place else f": it is {type(layer).__name__}, with a forward of its own over {inside or 'no layers'}"
        raise DownstrokeError(
            f"model {model!r} cannot be exported in this form: {at} is none of {known} in an nn.Sequential, with one "
            f"size each way, zeros around it and no dilation or groups{own}; --onnx takes more"
        )
    kind, numbers, weights = step
    if kind:
        arrays = {name: value.detach().float().contiguous().numpy() for name, value in weights.items()}
        yield Step(kind, place or "net", numbers, arrays)


Made = tuple[str, dict[str, int], dict[str, torch.Tensor]] | None


def _one(value: Any) -> int | None:
    """A size that is the same both ways."""
    found = set(value) if isinstance(value, tuple) else {value}
    return int(found.pop()) if len(found) == 1 and not isinstance(value, str) else None


def _convolution(layer: nn.Conv2d) -> Made:
    stride, padding = _one(layer.stride), _one(layer.padding)
    plain = layer.groups == 1 and _one(layer.dilation) == 1 and layer.padding_mode == "zeros"
    if stride is None or padding is None or not plain:
        return None
    bias = layer.bias if layer.bias is not None else torch.zeros(layer.out_channels)
    return "convolve", {"stride": stride, "padding": padding}, {"weight": layer.weight, "bias": bias}


def _linear(layer: nn.Linear) -> Made:
    bias = layer.bias if layer.bias is not None else torch.zeros(layer.out_features)
    return "multiply", {}, {"weight": layer.weight, "bias": bias}


def _pooling(layer: nn.MaxPool2d) -> Made:
    size, stride = _one(layer.kernel_size), _one(layer.stride)
    plain = _one(layer.padding) == 0 and _one(layer.dilation) == 1 and not layer.ceil_mode
    return ("pool", {"size": size}, {}) if size is not None and size == stride and plain else None


def _scaling(layer: nn.BatchNorm2d) -> Made:
    """Batch normalisation that no convolution before it could take up."""
    if layer.running_var is None or layer.running_mean is None:
        return None
    factor = (layer.running_var + layer.eps).rsqrt() * (layer.weight if layer.affine else 1)
    return "scale", {}, {"factor": factor, "shift": (layer.bias if layer.affine else 0) - layer.running_mean * factor}


def _flat(layer: nn.Flatten) -> Made:
    return ("flatten", {}, {}) if (layer.start_dim, layer.end_dim) == (1, -1) else None


def _nothing(layer: nn.Module) -> Made:
    return "", {}, {}


_KINDS: dict[type[nn.Module], Callable[[Any], Made]] = {
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    nn.ReLU: lambda layer: ("relu", {}, {}),
    nn.MaxPool2d: _pooling,
    nn.BatchNorm2d: _scaling,
    nn.PixelUnshuffle: lambda layer: ("unshuffle", {"size": layer.downscale_factor}, {}),
    nn.Flatten: _flat,
    Rows: lambda layer: ("rows", {}, {}),
    nn.Dropout: _nothing,
    nn.Identity: _nothing,
}
