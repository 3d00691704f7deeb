"""A look inside W: its filters, the sizes of W, dL/dW and the update, the noise of a batch, and what a step does.

Nothing that these functions are given is changed: what has to move is a copy.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from downstroke.errors import NonFiniteError
from downstroke.learning.criteria import Criterion
from downstroke.learning.learner import Images, Learner
from downstroke.learning.loop import learn
from downstroke.learning.models import Network

Floats = NDArray[np.float32]

FILTERS = 64  # pictures at most
NOISE_BATCHES = 8  # of each size, at most: the median of so many is steady, and a look stays short
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


@dataclass(frozen=True)
class Layer:
    """Root mean squares over all weights of one layer, its biases and scales included."""

    name: str  # its place in the network, and its kind: "2 Conv2d"
    weights: float  # of W
    gradient: float  # of dL/dW on the next batch
    update: float  # of W after the next step less W before it; NaN where that step is refused as not finite


@dataclass(frozen=True)
class Noise:
    """How far the gradients of batches of one size are from the gradient over all images: medians over batches."""

    batch_size: int
    relative_error: float  # ||g_B - g|| / ||g||
    cosine: float  # of the angle between g_B and g


def filters(network: Network) -> list[Floats]:
    """The first layer's weights as pictures, float32 [h,w] each, zero where the weight is zero.

    A convolution's filters, or the rows of a linear layer of 784 inputs, as 28x28; of a first layer of another kind
    there are none. The first 64 are shown: neurons have no order, so these are as good as any, and the same ones are
    seen epoch after epoch. All are divided by the largest weight among them, so that they fill -1..1 together and a
    faint filter looks faint.
    """
    first = next((layer for layer in network.net.modules() if list(layer.parameters(recurse=False))), None)
    if isinstance(first, nn.Conv2d):
        pictures = first.weight.detach()[:FILTERS, 0]  # pixels have one channel
    elif isinstance(first, nn.Linear) and first.in_features == 28 * 28:
        pictures = first.weight.detach()[:FILTERS].view(-1, 28, 28)
    else:
        return []
    largest = pictures.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    return list((pictures / largest).cpu().numpy())


def sizes(learner: Learner, train: Images) -> list[Layer]:
    """Layer by layer, how large W, dL/dW and the update of the next step are.

    The step is not computed here: `loop.learn` makes it, with a copy of the learner, its optimizer's state included, on
    the batch of `train` that comes next. After a leg's last step, that is the first one of another epoch. The learner
    must be on the CPU, where every step is looked at by itself.
    """
    assert not learner.machine.deferred, learner.machine
    with torch.random.fork_rng(devices=[]):
        copied = Learner(learner.recipe, learner.network.classes, **asdict(learner.machine))
        copied.restore(*learner.state())
        _one_epoch_more(copied)
        before = [weight.detach().clone() for weight in copied.weights]
        gradients = [torch.full_like(weight, math.nan) for weight in before]
        for weight, gradient in zip(copied.weights, gradients, strict=True):
            # Muon's step forgets its gradients.
            weight.register_post_accumulate_grad_hook(_keep(gradient))  # type: ignore[no-untyped-call]
        try:
            next(learn(copied, train, train.take(torch.arange(0))))
            updates = [weight.detach() - old for weight, old in zip(copied.weights, before, strict=True)]
        except NonFiniteError:
            updates = [torch.full_like(weight, math.nan) for weight in before]
    measured = dict(zip(copied.weights, zip(before, gradients, updates, strict=True), strict=True))
    layers = []
    for name, layer in copied.network.net.named_modules():
        own = [measured[weight] for weight in layer.parameters(recurse=False) if weight in measured]
        if own:
            label = f"{name} {type(layer).__name__}".strip()
            layers.append(Layer(label, *(_root_mean_square(kind) for kind in zip(*own, strict=True))))
    return layers


def _keep(gradient: Tensor) -> Callable[[Tensor], None]:
    def hook(weight: Tensor) -> None:
        assert weight.grad is not None
        gradient.copy_(weight.grad)

    return hook


def _one_epoch_more(learner: Learner) -> None:
    """Where the leg is complete, go on for an epoch as `downstroke continue` does."""
    at = learner.at
    if at.epoch < at.leg.last_epoch:
        return
    if learner.schedule.horizon:
        learner.start_leg(1, {})
    else:
        at.leg.last_epoch = at.epoch + 1


def _root_mean_square(tensors: Sequence[Tensor]) -> float:
    return float(torch.cat([tensor.flatten() for tensor in tensors]).double().square().mean().sqrt())


def noise(
    network: Network, criterion: Criterion, images: Tensor, labels: Tensor, batch_sizes: Sequence[int], seed: int
) -> list[Noise]:
    """How far the gradient of a batch is from the gradient over all the `images` given, by batch size.

    `images`: [N,28,28], uint8 or float32 in 0..1; `labels`: int64 [N]. Each size has at most 8 batches, cut one after
    another from one order of the images that is a function of `seed`; sizes above N are left out. Gradients are of
    whole batches, as in training with the batch's own statistics in batch normalisation, but without dropout, which has
    a noise of its own.

    A mean of B drawn from N without replacement is off by sqrt((1/B - 1/N) * N/(N-1)) standard deviations (Cochran
    1977, "Sampling Techniques", theorem 2.2): about 1/sqrt(B) while B is small, 0 for a batch of all N.
    """
    network = copy.deepcopy(network).train()
    for layer in network.modules():
        if isinstance(layer, DROPOUTS):
            layer.eval()
    whole = _gradient(network, criterion, images, labels)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).to(images.device)
    measured = []
    for size in batch_sizes:
        if size > len(images):
            continue
        batches = order[: min(NOISE_BATCHES, len(order) // size) * size].view(-1, size)
        gradients = [_gradient(network, criterion, images[batch], labels[batch]) for batch in batches]
        errors = [float((gradient - whole).norm() / whole.norm()) for gradient in gradients]
        cosines = [float(F.cosine_similarity(gradient, whole, dim=0)) for gradient in gradients]
        measured.append(Noise(size, float(np.median(errors)), float(np.median(cosines))))
    return measured


def of_image(network: Network, image: Tensor, label: int) -> tuple[Floats, float]:
    """The notes' y of one image [28,28], float32 [C], and its loss: the cross-entropy -log y[label], nats.

    In evaluation mode, as val is measured.
    """
    network = copy.deepcopy(network).eval()
    with torch.inference_mode():
        logits = network(image[None])
        return logits.softmax(1)[0].cpu().numpy(), _cross_entropy(logits, label).item()


def step_effect(network: Network, image: Tensor, label: int, lrs: Sequence[float]) -> tuple[float, list[float]]:
    """The loss of one image [28,28] now, and after one step W - lr * dL/dW, for each of `lrs`, all from the same W.

    L is that image's loss as `of_image` gives it, and dL/dW the gradient of that image alone, in evaluation mode: the
    notes' formula itself, without an optimizer's memory. A loss that a large lr drives out of range is not finite.
    """
    network = copy.deepcopy(network).eval()
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    before = [weight.detach().clone() for weight in weights]
    loss = _cross_entropy(network(image[None]), label)
    gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
    losses = []
    with torch.no_grad():
        for lr in lrs:
            for weight, old, gradient in zip(weights, before, gradients, strict=True):
                weight.copy_(old - lr * gradient)
            losses.append(_cross_entropy(network(image[None]), label).item())
    return loss.item(), losses


def _cross_entropy(logits: Tensor, label: int) -> Tensor:
    # The loss of an image that is well known is so small that its change by a step would be lost in float32.
    return F.cross_entropy(logits.double(), torch.tensor([label], device=logits.device))


def _gradient(network: Network, criterion: Criterion, images: Tensor, labels: Tensor) -> Tensor:
    """dL/dW in one row, float32 [weights]."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(criterion(network(images), labels), weights, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients])
