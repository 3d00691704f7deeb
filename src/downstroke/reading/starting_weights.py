"""The weights that a recipe starts from: the shipped reader's, or a run's."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors.torch import load
from torch import Tensor

from downstroke.reading.shipped import shipped
from downstroke.recipe import SHIPPED, Recipe
from downstroke.runs import checkpoint
from downstroke.runs.run import Run


def starting_weights(recipe: Recipe, runs_dir: Path) -> tuple[Recipe, dict[str, Tensor] | None]:
    """(the recipe, with the run's folder in full, the weights, tensors by name); None where it starts at random.

    Of a run they are the best, or the last where there is no best. Raises RunError, CheckpointError.
    """
    if recipe.start_from is None:
        return recipe, None
    if recipe.start_from == SHIPPED:
        return recipe, load(shipped().weights)
    run = Run.open(recipe.start_from, runs_dir)
    name = "best" if checkpoint.exists(run.folder, "best") else "last"
    tensors = checkpoint.load(run.folder, name).tensors["model"]
    return recipe.replace(start_from=os.fspath(run.folder.resolve())), tensors
