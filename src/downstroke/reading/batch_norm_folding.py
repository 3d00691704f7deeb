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

from downstroke.learning.models import Network


def logits_by_torch(network: Network) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """uint8 [N,28,28] -> logits, float32 [N,C], as `network` gives them, computed by the folded network."""
    made = folded(network)

    def logits(glyphs: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = made(torch.from_numpy(glyphs)).numpy()
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
