"""Runs compared on the same val images, each with its best weights.

The images are read anew rather than taken from `val_losses.npy`: that holds losses alone, in half precision, and of the
last epochs only, among which the best need not be.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from downstroke.advice import compare as paired
from downstroke.data.dataset import Dataset, split
from downstroke.errors import DownstrokeError, RunError, counted
from downstroke.learning import machine
from downstroke.learning.evaluate import Evaluation, read_logits
from downstroke.recipe import Recipe
from downstroke.runs.place import load_of
from downstroke.runs.run import Run, Weights, refuse_diverged


class Comparison(dict[str, Any]):
    """The JSON of `downstroke compare` for two runs; a notebook shows its figures and its sentences."""

    def _repr_html_(self) -> str:
        return paired.shown_pair(self, [Path(folder).name for folder in self["runs"]])


def compare_runs(runs: Sequence[Run]) -> list[Comparison]:
    """The JSON of `downstroke compare` for every pair of the runs, in order. `runs`: two at least. RunError."""
    read = zip(names_of(runs), runs, read_val(runs), strict=True)
    return [_pair(one, other) for one, other in itertools.combinations(read, 2)]


def names_of(runs: Sequence[Run]) -> list[str]:
    """The name of each run; its folder, where two have one name."""
    short = [run.name for run in runs]
    return [name if short.count(name) == 1 else run.typed for name, run in zip(short, runs, strict=True)]


def _pair(*pair: tuple[str, Run, tuple[Weights, Evaluation]]) -> Comparison:
    """Two runs, each with its name, its weights and how they read the val images."""
    (one, first, (weights, read)), (other, second, (other_weights, other_read)) = pair
    right = read.predictions == read.labels, other_read.predictions == other_read.labels
    found = paired.compare((read.losses, other_read.losses), right)
    what = "digits" if all(name.isdigit() for name in first.classes) else "images"
    used = weights.epoch, other_weights.epoch
    told = {
        "runs": [str(first.folder), str(second.folder)],
        "epochs": list(used),
        **found.to_dict(),
        "digits": found.digits(one, other, what),
        "losses": found.losses(one, other),
        "lengths": paired.lengths((one, other), (first.summary()["epochs"], second.summary()["epochs"]), used),
        "damage": weights.damage or other_weights.damage,
    }
    return Comparison(told)


def read_val(runs: Sequence[Run]) -> list[tuple[Weights, Evaluation]]:
    """Each run's weights, its best where there are any, and how they read the val images, in one order.

    `runs`: one at least. Raises RunError where they do not have the same val images, or none, or where weights give no
    numbers.
    """
    first, *others = runs
    for other in others:
        _refuse_different_val(first, other)
    data = _data(runs)
    recipe = first.recipe
    val = data.val or data.train.take(split(data.train.labels, recipe.val_size, recipe.split_seed)[1])
    device = machine.choose().device
    images, labels = torch.from_numpy(val.images).to(device), torch.from_numpy(val.labels).to(device)

    def read(run: Run) -> tuple[Weights, Evaluation]:
        weights = run.weights()
        evaluation = Evaluation.of(read_logits(weights.network.to(device), images), labels)
        refuse_diverged(run, weights, evaluation.lost, len(labels))
        return weights, evaluation

    return [read(run) for run in runs]


def _data(runs: Sequence[Run]) -> Dataset:
    """The images of all of them, from the place of the first run whose place still has them."""
    for run in runs[:-1]:
        try:
            return load_of(run)
        except DownstrokeError:
            continue
    return load_of(runs[-1])


def _refuse_different_val(first: Run, second: Run) -> None:
    (data, seed, size), (other_data, other_seed, other_size) = first.val, second.val
    for run, images in ((first, size), (second, other_size)):
        if not images:
            raise RunError(f"{run.name} has no val images: it was trained without; compare runs that have")
    if data != other_data:
        why = f"their data differ ({_named(first.recipe)} and {_named(second.recipe)})"
    elif seed != other_seed:
        why = f"split_seed is {seed} for one and {other_seed} for the other"
    elif size != other_size:
        why = f"val has {counted(size, 'image')} for one and {other_size:,} for the other"
    else:
        return
    raise RunError(
        f"{first.name} and {second.name} do not have the same val images: {why}. A paired comparison needs the same; "
        f"train one of them again with the other's data, split_seed and val_size"
    )


def _named(recipe: Recipe) -> str:
    return recipe.data if recipe.val_data is None else f"{recipe.data} with val {recipe.val_data}"
