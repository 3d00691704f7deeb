"""Muon on the convolutions' matrices, Nesterov momentum on the rest of W."""

from __future__ import annotations

from inspect import unwrap
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD

MOMENTUM = 0.6  # of the matrices: their step has one length whatever the gradient's, and needs less memory of it
STEPS = 2  # of Newton and Schulz; three or five change nothing that val can see


def orthogonal(matrix: Tensor, steps: int = STEPS) -> Tensor:
    """The matrix [m,n] with its singular values all brought near 1, the singular vectors kept.

    Newton-Schulz iteration with the quintic of Jordan et al. 2024 (Muon): the values end between about 0.7 and 1.2
    after five steps, the smallest ones lower after two.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    turned = len(x) > x.shape[1]  # the products below are smaller on the shorter side
    x = x.T if turned else x
    for _ in range(steps):
        squared = x @ x.T
        x = torch.addmm(x, torch.addmm(squared, squared, squared, beta=b, alpha=c), x, beta=a)
    result: Tensor = x.T if turned else x
    return result


class Muon(SGD):
    """For a W of the matrices, seen as [outputs, inputs]: V = 0.6 V + dL/dW; W = W - lr * orthogonal(dL/dW + 0.6 V).

    Before each step such a W is scaled to norm sqrt(outputs): behind a batch normalisation only its direction counts,
    and at a fixed norm a step of fixed length always turns it by the same angle. All other weights take the step of
    `SGD` with Nesterov momentum.
    """

    def __init__(self, groups: list[dict[str, Any]], matrices: list[Tensor], *, lr: float, momentum: float) -> None:
        super().__init__(groups, lr=lr, momentum=momentum, nesterov=True, fused=True)
        self.matrices = matrices

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update W from the gradients at hand."""
        lr = self.param_groups[0]["lr"]
        for weight in self.matrices:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(weight)
            memory = state["momentum_buffer"].mul_(MOMENTUM).add_(weight.grad)
            update = weight.grad.add(memory, alpha=MOMENTUM)
            weight.mul_(len(weight) ** 0.5 / weight.norm())
            weight.sub_(orthogonal(update.flatten(1)).view_as(weight), alpha=lr)
            weight.grad = None  # SGD passes over what has no gradient
        unwrap(SGD.step)(self)
