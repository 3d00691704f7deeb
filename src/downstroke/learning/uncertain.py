"""dL/dW from part of each batch: the images about whose label the network is least certain.

All images go forward; those with the largest p (1 - p), p being the label's probability, go forward again and backward.
What is read well teaches little any more, and what is read otherwise with certainty often has a wrong label: p (1 - p)
is small for both. Chang, Learned-Miller and McCallum 2017, "Active bias", weigh by it; Jiang et al. 2019, "Accelerating
deep learning by focusing on the biggest losers", choose by a forward pass what goes backward.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from downstroke.learning.distributed import World
from downstroke.learning.learner import Learner
from downstroke.recipe import Recipe

#: A training begins with so many steps on whole batches: a network that cannot read yet is certain of nothing.
WHOLE_STEPS = 50
_LEAST = 2  # images: batch statistics are of more than one


def due(learner: Learner) -> bool:
    """Whether the next step is to be made on part of its batch."""
    return learner.recipe.uncertain < 1 and learner.at.step >= WHOLE_STEPS


def choose(
    learner: Learner, images: Tensor, labels: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """The least certain of `images` [B,28,28], their labels, the weight of their mean loss, and the loss of all B.

    Certainty is measured as in reading: nothing is dropped, and batch statistics are the running ones.

    Of several processes each takes those of the least certain of the whole batch that are in its part, at least two.
    `weight`: of this process' part of the batch in the whole one, None for 1.
    """
    world, share = learner.world, learner.recipe.uncertain
    net = learner.network.net  # the network around it stays in training: reading divides logits by the temperature
    net.eval()
    with torch.no_grad(), learner.machine.precise():
        logits = learner.network(images)
    net.train()
    of_all = learner.criterion(logits.requires_grad_(), labels).detach()  # one of one's own may look at the gradient
    doubt = _doubt(logits.detach(), labels, learner.recipe)
    count = max(round(share * len(labels)), min(_LEAST, len(labels)))
    if world.size > 1:
        counts = _counts(world, doubt if weight is None or weight else doubt[:0], share)
        count, weight = max(1, int(counts[world.rank])), counts[world.rank] * world.size / counts.sum()
    chosen = doubt.topk(count).indices
    return images.index_select(0, chosen), labels.index_select(0, chosen), weight, of_all


def _doubt(logits: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """-|log(p / (1 - p))|, float32 [B]: it has the order of p (1 - p), and tells p apart near 1 as well as near 0."""
    if recipe.negatives:
        logits = F.pad(logits, (0, 1))  # the class of what is no digit, whose logit is 0
    label = labels[:, None]
    others = logits.scatter(1, label, -torch.inf).logsumexp(1)
    return (logits.gather(1, label).squeeze(1) - others).abs().neg()


def _counts(world: World, doubt: Tensor, share: float) -> Tensor:
    """How many of the least certain of the whole batch each process has, int64 [processes].

    `doubt` [N] is that of this process' own part.
    """
    every = world.gather(doubt)
    sizes = torch.tensor([len(part) for part in every], device=doubt.device)
    whole = torch.cat(every)
    process = torch.arange(world.size, device=doubt.device).repeat_interleave(sizes)
    of_process = process[whole.topk(round(share * len(whole))).indices].bincount(minlength=world.size)
    return of_process.maximum(sizes.clamp(max=_LEAST))
