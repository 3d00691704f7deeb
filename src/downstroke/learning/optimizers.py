"""W = W - lr * dL/dW, and its better-known descendants: torch's own classes, by name, and Muon.

To add one: a function of (groups, recipe), and a line in `OPTIMIZERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import unwrap
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from downstroke.learning.lookup import look_up
from downstroke.learning.muon import Muon
from downstroke.recipe import Recipe

# torch wraps the methods of its optimizers for its compiler, and the wrapping imports the compiler at the first step:
# more than a second, at each start, for what is not used here. `build` therefore calls `step` as it was written, and
# these are told to run as they are. Should torch change its wrapping, the import comes back and nothing else.
for _method in vars(Optimizer).values():
    if hasattr(_method, "__wrapped__"):
        _method.__wrapped__.__dynamo_disable = _method.__wrapped__

Groups = list[dict[str, Any]]


def sgd(groups: Groups, recipe: Recipe) -> Optimizer:
    """The notes' formula and nothing else: W = W - lr * dL/dW."""
    return SGD(groups, lr=_lr(recipe), fused=True)


def momentum(groups: Groups, recipe: Recipe) -> Optimizer:
    """Polyak 1964: V = momentum * V + dL/dW; W = W - lr * V."""
    return SGD(groups, lr=_lr(recipe), momentum=recipe.momentum, fused=True)


def nesterov(groups: Groups, recipe: Recipe) -> Optimizer:
    """Nesterov 1983, in the form of Sutskever et al. 2013: V as above; W = W - lr * (dL/dW + momentum * V)."""
    return SGD(groups, lr=_lr(recipe), momentum=recipe.momentum, nesterov=True, fused=True)


def adam(groups: Groups, recipe: Recipe) -> Optimizer:
    """Kingma & Ba 2015: the step is scaled, weight by weight, by running means of dL/dW and of its square."""
    return Adam(groups, lr=_lr(recipe), betas=(recipe.momentum, recipe.beta2), fused=True)


def adamw(groups: Groups, recipe: Recipe) -> Optimizer:
    """Loshchilov & Hutter 2019: Adam with the weight decay taken from W itself, not through the gradient."""
    return AdamW(groups, lr=_lr(recipe), betas=(recipe.momentum, recipe.beta2), fused=True)


def rmsprop(groups: Groups, recipe: Recipe) -> Optimizer:
    """Tieleman & Hinton 2012: the gradient over the root of its running mean square, here with momentum."""
    return RMSprop(groups, lr=_lr(recipe), alpha=0.99, momentum=recipe.momentum)


def muon(groups: Groups, recipe: Recipe) -> Optimizer:
    """Jordan et al. 2024: the updates of inner convolutions made orthogonal; all else is as nesterov."""
    matrices = [p for group in groups for p in group["params"] if p.dim() == 4 and p.shape[1] > 1]
    return Muon(groups, matrices, lr=_lr(recipe), momentum=recipe.momentum)


OPTIMIZERS: dict[str, Callable[[Groups, Recipe], Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adam": adam,
    "adamw": adamw,
    "rmsprop": rmsprop,
    "muon": muon,
}


def build(recipe: Recipe, network: nn.Module) -> Optimizer:
    """The recipe's optimizer over all of W. Raises RecipeError for an unknown name.

    Weight decay is for weights that multiply inputs; biases and normalisation scales are left alone.
    """
    make = look_up("optimizer", recipe.optimizer, OPTIMIZERS)
    weights = [p for p in network.parameters() if p.requires_grad]
    groups: Groups = [
        {"params": [p for p in weights if p.dim() >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in weights if p.dim() < 2], "weight_decay": 0.0},
    ]
    if not recipe.weight_decay:  # one group, in the same order, is one call per step
        groups = [{"params": [p for group in groups for p in group["params"]], "weight_decay": 0.0}]
    optimizer: Optimizer = make([g for g in groups if g["params"]], recipe)
    optimizer.step = MethodType(torch.no_grad()(unwrap(type(optimizer).step)), optimizer)  # type: ignore[method-assign]
    optimizer.zero_grad = MethodType(_zero_grad, optimizer)  # type: ignore[method-assign]
    return optimizer


def _zero_grad(optimizer: Optimizer) -> None:
    """As torch's with `set_to_none`, without what it tells its profiler at each step."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.grad = None


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Use `lr` in the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def _lr(recipe: Recipe) -> float:
    assert recipe.lr is not None  # a recipe without one took its optimizer's default when it was made
    return recipe.lr


def gradient_norm(weights: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of dL/dW over all weights, one float32 number."""
    norms = torch._foreach_norm([w.grad for w in weights if w.grad is not None])
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm
