"""Batch-norm folding: each batch normalisation becomes part of the convolution before it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from downstroke.learning.models import Network, Rows
from downstroke.reading.onnx_graph import Layer


def logits_by_torch(network: Network) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """uint8 [N,28,28] -> logits, float32 [N,C], of a network as `folded` makes it."""

    def logits(glyphs: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = network(torch.from_numpy(glyphs)).numpy()
        return found

    return logits


def folded(network: Network) -> Network:
    """A copy for reading, in evaluation mode: the same logits to float rounding. `network` is left as it was.

    In evaluation mode batch normalisation is a scale and a shift per channel; both go into the weights of
    the convolution before it (Jacob et al. 2018, section 3.2). A network that is no `nn.Sequential` is only copied.
    """
    made = copy.deepcopy(network).eval().requires_grad_(False)
    if isinstance(made.net, nn.Sequential):
        made.net = nn.Sequential(*_folded(list(made.net)))
    return made


def onnx_layers(network: Network) -> list[Layer] | None:
    """The layers of a folded network as ONNX operators; None where one of them is not known here."""
    made: list[Layer] = []
    for layer in network.net if isinstance(network.net, nn.Sequential) else [network.net]:
        match layer:
            case nn.Conv2d(padding_mode="zeros") if not isinstance(layer.padding, str) and set(layer.dilation) == {1}:
                pads = (*layer.padding, *layer.padding)
                given = (("strides", layer.stride, (1, 1)), ("pads", pads, (0,) * 4), ("group", layer.groups, 1))
                attributes = {name: value for name, value, usual in given if value != usual}
                made.append(Layer("Conv", _arrays(layer.weight, layer.bias), attributes))
            case nn.BatchNorm2d() if _fixed(layer):  # a pooling keeps it from the convolution before it
                one = fuse_conv_bn_eval(_unchanging(layer.num_features), layer)
                weight, bias = (array.reshape(-1, 1, 1) for array in _arrays(one.weight, one.bias))
                made += [Layer("Mul", (weight,)), Layer("Add", (bias,))]
            case nn.ReLU():
                made.append(Layer("Relu"))
            case nn.MaxPool2d(padding=0, dilation=1, ceil_mode=False) if layer.stride == layer.kernel_size:
                size = layer.kernel_size
                pair = (size, size) if isinstance(size, int) else tuple(size)
                made.append(Layer("MaxPool", attributes={"kernel_shape": pair, "strides": pair}))
            case nn.PixelUnshuffle() if not made:  # of one map ONNX has the same order of channels
                made.append(Layer("SpaceToDepth", attributes={"blocksize": layer.downscale_factor}))
            case nn.Linear() if layer.bias is not None:
                made.append(Layer("Gemm", _arrays(layer.weight, layer.bias), {"transB": 1}))
            case nn.Flatten(start_dim=1, end_dim=-1):
                made.append(Layer("Flatten"))
            case Rows():
                made += [Layer("Transpose", attributes={"perm": (0, 2, 3, 1)}), Layer("Flatten")]
            case nn.Dropout():
                pass
            case _:
                return None
    return made if made and made[-1].operator == "Gemm" else None


def _unchanging(channels: int) -> nn.Conv2d:
    """A convolution that gives what it takes, to be folded with."""
    made = nn.Conv2d(channels, channels, 1, groups=channels, bias=False).eval()
    nn.init.ones_(made.weight)
    return made


def _arrays(*tensors: Tensor | None) -> tuple[NDArray[np.float32], ...]:
    return tuple(tensor.detach().numpy() for tensor in tensors if tensor is not None)


def _folded(layers: list[nn.Module]) -> Iterator[nn.Module]:
    while layers:
        layer, *layers = layers
        if type(layer) is nn.Conv2d and layers and _fixed(layers[0]):
            layer, layers = fuse_conv_bn_eval(layer, layers[0]), layers[1:]
        elif type(layer) is nn.Conv2d and len(layers) > 1 and _fixed(layers[1]) and _commute(*layers[:2]):
            layer, layers = fuse_conv_bn_eval(layer, layers[1]), [layers[0], *layers[2:]]
        elif isinstance(layer, nn.ReLU):
            layer = nn.ReLU(inplace=True)  # what a layer of a row wrote is read by the next one alone
        yield layer


def _fixed(layer: nn.Module) -> TypeGuard[nn.BatchNorm2d]:
    """Whether it is batch normalisation by running statistics, not by those of the batch."""
    return isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None


def _commute(pool: nn.Module, norm: nn.Module) -> bool:
    """Whether `norm` may move to before `pool`: with a negative scale the maximum would become the minimum."""
    return isinstance(pool, nn.MaxPool2d) and (not isinstance(norm.weight, Tensor) or bool((norm.weight > 0).all()))
