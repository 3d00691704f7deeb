"""Runs compared on the same val images, each with its best weights.

How those weights read val is kept beside them, in `best/`. A run of an earlier version, or of bfloat16, has not kept
it, and its weights read the images anew: `val_losses.npy` holds losses alone, in half precision, and of the last epochs
only, among which the best need not be.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from downstroke.advice import compare as paired
from downstroke.errors import DownstrokeError, RunError, counted
from downstroke.recipe import Recipe
from downstroke.runs import checkpoint
from downstroke.runs.run import Run

if TYPE_CHECKING:
    from torch import Tensor

    from downstroke.data.dataset import Dataset


@dataclass(frozen=True)
class Readings:
    """How a run's weights read the N val images."""

    epoch: int  # of the weights
    losses: NDArray[np.float32]  # [N] cross-entropy of each image, nats
    right: NDArray[np.bool_]  # [N]
    damage: str | None = None  # one line, where a damaged checkpoint was passed over


class Comparison(dict[str, Any]):
    """The JSON of `downstroke compare` for two runs; a notebook shows its figures and its sentences."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # IPython would write a dict over many lines

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


def _pair(*pair: tuple[str, Run, Readings]) -> Comparison:
    """Two runs, each with its name and how it reads the val images."""
    (one, first, read), (other, second, other_read) = pair
    found = paired.compare((read.losses, other_read.losses), (read.right, other_read.right))
    what = "digits" if all(name.isdigit() for name in first.classes) else "images"
    used = read.epoch, other_read.epoch
    told = {
        "runs": [str(first.folder), str(second.folder)],
        "epochs": list(used),
        **found.to_dict(),
        "digits": found.digits(one, other, what),
        "losses": found.losses(one, other),
        "lengths": paired.lengths((one, other), (first.summary()["epochs"], second.summary()["epochs"]), used),
        "damage": read.damage or other_read.damage,
    }
    return Comparison(told)


def read_val(runs: Sequence[Run]) -> list[Readings]:
    """How each run's weights, its best where there are any, read the val images, in one order.

    `runs`: one at least. Raises RunError where they do not have the same val images, or none, or where weights give no
    numbers.
    """
    first, *others = runs
    for other in others:
        _refuse_different_val(first, other)
    kept = [_kept(run) for run in runs]
    images = None if all(kept) else _val_images(runs)
    return [found or _read_anew(run, *images) for run, found in zip(runs, kept, strict=True)]  # type: ignore[misc]


def _kept(run: Run) -> Readings | None:
    """What the run has kept; None where it has to be read again."""
    found = checkpoint.val_readings(run.folder)
    if found is None:
        return None
    readings, state = found
    losses, right = readings["losses"], readings["right"]
    whole = len(losses) == run.val[2] and bool(np.isfinite(losses).all())
    return Readings(state["position"]["epoch"], losses, right) if whole else None


def _read_anew(run: Run, images: Tensor, labels: Tensor) -> Readings:
    from downstroke.learning.evaluate import Evaluation, read_logits
    from downstroke.runs.run import refuse_diverged

    weights = run.weights()
    read = Evaluation.of(read_logits(weights.network.to(images.device), images), labels)
    refuse_diverged(run, weights, read.lost, len(labels))
    return Readings(weights.epoch, read.losses, read.right, weights.damage)


def _val_images(runs: Sequence[Run]) -> tuple[Tensor, Tensor]:
    """Images [N,28,28] and labels [N] of val, which all of them share."""
    import torch

    from downstroke.data.dataset import split
    from downstroke.learning import machine

    data, recipe = _data(runs), runs[0].recipe
    val = data.val or data.train.take(split(data.train.labels, recipe.val_size, recipe.split_seed)[1])
    device = machine.choose().device
    return torch.from_numpy(val.images).to(device), torch.from_numpy(val.labels).to(device)


def _data(runs: Sequence[Run]) -> Dataset:
    """The images of all of them, from the place of the first run whose place still has them."""
    from downstroke.runs.loading import load_run_data

    for run in runs[:-1]:
        try:
            return load_run_data(run)
        except DownstrokeError:
            continue
    return load_run_data(runs[-1])


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
