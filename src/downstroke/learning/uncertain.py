"""dL/dW from part of each batch: the images about whose label the network is least certain.

All images go forward; those with the largest p (1 - p), p being the label's probability, go forward again and backward.
What is read well teaches little any more, and what is read otherwise with certainty often has a wrong label: p (1 - p)
is small for both. Chang, Learned-Miller and McCallum 2017, "Active bias", weigh by it; Jiang et al. 2019, "Accelerating
deep learning by focusing on the biggest losers", choose by a forward pass what goes backward.
"""

from __future__ import annotations

import torch
from torch import Tensor

from downstroke.learning.criteria import of_all_classes
from downstroke.learning.learner import Learner
from downstroke.recipe import Recipe

#: A training begins with so many steps on whole batches: what it then misread with certainty would never be unlearned.
WHOLE_STEPS = 50
_LEAST = 2  # images: batch statistics are of more than one


def due(recipe: Recipe, step: int) -> bool:
    """Whether the step after `step` others is to be made on part of its batch."""
    return recipe.uncertain < 1 and step >= WHOLE_STEPS


def choose(learner: Learner, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The least certain of `images` [B,28,28], their labels, and the criterion over all B.

    Certainty is measured as in reading: nothing is dropped, and batch statistics are the running ones. Of several
    processes each chooses from its own part of the batch: to choose from the whole, each would wait for the others.
    """
    net = learner.network.net  # the network around it stays in training: reading divides logits by the temperature
    net.eval()
    with torch.no_grad(), learner.machine.precise():
        logits = learner.network(images)
    net.train()
    of_all = learner.criterion(logits.requires_grad_(), labels).detach()  # one of one's own may look at the gradient
    count = max(round(learner.recipe.uncertain * len(labels)), min(_LEAST, len(labels)))
    chosen = _doubt(of_all_classes(learner.recipe, logits.detach()), labels).topk(count).indices
    return images.index_select(0, chosen), labels.index_select(0, chosen), of_all


def _doubt(logits: Tensor, labels: Tensor) -> Tensor:
    """-|log(p / (1 - p))|, float32 [B]: it has the order of p (1 - p), and tells p apart near 1 as well as near 0."""
    label = labels[:, None]
    others = logits.scatter(1, label, -torch.inf).logsumexp(1)
    return (logits.gather(1, label).squeeze(1) - others).abs().neg()
