"""The range test of a recipe: what a run of it would begin with, and no run."""

from __future__ import annotations

import torch

from downstroke.learning.learner import Images, Learner
from downstroke.learning.range_test import RangeTest, range_test
from downstroke.learning.threads import free_threads, given_threads
from downstroke.recipe import Recipe
from downstroke.runs.loading import load_data
from downstroke.runs.parts import Parts


def sweep(recipe: Recipe, *, device: str = "auto", precision: str = "auto", threads: int | None = None) -> RangeTest:
    """The range test from the recipe's first W, on its training images; val is set apart and not looked at.

    Torch's random state and its number of threads are afterwards as they were. Raises DownstrokeError.
    """
    data = load_data(recipe)
    before = torch.get_num_threads()
    try:
        with torch.random.fork_rng():
            given = given_threads(threads)
            settled = free_threads() if given is None else given
            learner = Learner(recipe, len(data.classes), device=device, precision=precision, threads=settled)
            learner.machine.use()
            train = Images(Parts(data, recipe).train, learner.machine.device)
            learner.begin(train.images)
            return range_test(learner, train)
    finally:
        torch.set_num_threads(before)
