"""Runs read the same val images, each with its best W.

The images are read anew rather than taken from `val_losses.npy`: that holds losses alone, in half precision, and of the
last epochs only, among which the best need not be.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from downstroke.data import sources
from downstroke.data.dataset import split
from downstroke.errors import RunError, counted
from downstroke.learning import machine
from downstroke.learning.evaluate import Evaluation, read_logits
from downstroke.runs.run import Run, Weights, refuse_diverged


def read_val(runs: Sequence[Run]) -> list[tuple[Weights, Evaluation]]:
    """Each run's W, its best where there is one, and how that W reads their val images, in one order.

    `runs`: one at least. Raises RunError where they have not the same val images, or none, or where a W gives no
    numbers.
    """
    first, *others = runs
    for other in others:
        _refuse_different_val(first, other)
    recipe = first.recipe
    data = sources.load(recipe.data, recipe.split_seed)
    if data.fingerprint() != first.environment["data"]["fingerprint"]:
        raise RunError(f"the images in {recipe.data} are not those that {first.name} was trained on")
    val = data.val or data.train.take(split(data.train.labels, recipe.val_size, recipe.split_seed)[1])
    device = machine.choose().device
    images, labels = torch.from_numpy(val.images).to(device), torch.from_numpy(val.labels).to(device)

    def read(run: Run) -> tuple[Weights, Evaluation]:
        weights = run.weights()
        evaluation = Evaluation.of(read_logits(weights.network.to(device), images), labels)
        refuse_diverged(run, weights, evaluation.lost, len(labels))
        return weights, evaluation

    return [read(run) for run in runs]


def _refuse_different_val(first: Run, second: Run) -> None:
    (data, seed, size), (other_data, other_seed, other_size) = first.val, second.val
    for run, images in ((first, size), (second, other_size)):
        if not images:
            raise RunError(f"{run.name} has no val images: it was trained without; compare runs that have")
    if data != other_data:
        why = f"their data differ ({first.recipe.data} and {second.recipe.data})"
    elif seed != other_seed:
        why = f"split_seed is {seed} for one and {other_seed} for the other"
    elif size != other_size:
        why = f"val has {counted(size, 'image')} for one and {other_size:,} for the other"
    else:
        return
    raise RunError(
        f"{first.name} and {second.name} have not the same val images: {why}. A paired comparison needs the same; "
        f"train one of them again with the other's data, split_seed and val_size"
    )
