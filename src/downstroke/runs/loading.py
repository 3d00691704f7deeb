"""Load the data of a recipe or of a run, from where it is now: where the recipe says, or where it was moved to."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from downstroke.data import sources, user_paths
from downstroke.data.dataset import Dataset
from downstroke.errors import RunError, counted
from downstroke.recipe import Recipe
from downstroke.runs.run import Run

_KEYS = {"data": "place", "val_data": "val_place"}  # fields of the recipe, and where the run keeps their new places


def load_data(recipe: Recipe) -> Dataset:
    """The data of a recipe. Raises DataError."""
    if recipe.mix:
        return sources.load_mixed(
            recipe.data,
            recipe.mix,
            recipe.val_size,
            recipe.split_seed,
            transpose=recipe.transpose,
            looks=recipe.windows > 0,
        )
    return sources.load(recipe.data, recipe.split_seed, val_data=recipe.val_data, transpose=recipe.transpose)


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """The recipe with absolute paths to its data, so that it can be used from any folder."""
    given = {"data": None if recipe.data == "mnist" else recipe.data, "val_data": recipe.val_data}
    return recipe.replace(**{field: user_paths.absolute(path) for field, path in given.items() if path is not None})


def located_recipe(run: Run) -> Recipe:
    """The run's recipe with the paths where its data was last found, or its own where that place is gone."""
    kept, recipe = run.environment["data"], run.recipe
    moved = {field: kept[key] for field, key in _KEYS.items() if kept.get(key) and Path(kept[key]).exists()}
    return recipe.replace(**moved)


def description(run: Run) -> str | None:
    """One line on what the run's data holds: its path, classes and images; None for MNIST as it is shipped."""
    recipe, data = located_recipe(run), run.environment["data"]
    if recipe.data == "mnist" and recipe.val_data is None:
        return None
    classes = data["classes"]
    names = ", ".join(classes if len(classes) <= 10 else [*classes[:9], "...", classes[-1]])
    parts = ", ".join(f"{data[part]:,} {part}" for part in ("train", "val", "test") if part in data)
    apart = "" if data.get("own_test", True) else "; the test images were held out from the rest"
    of = recipe.data if recipe.val_data is None else f"{recipe.data}, val {recipe.val_data}"
    return f"data: {of}: {counted(len(classes), 'class', 'classes')} ({names}); {parts} images{apart}"


def load_run_data(run: Run, place: str | Path | None = None, val_place: str | Path | None = None) -> Dataset:
    """The data that a run was trained on; `place` and `val_place`: where it and its val images are now, if moved.

    A new place is recorded in the run and used from then on. Raises DataError, and
    RunError where the images are not the run's.
    """
    from downstroke.learning.distributed import world  # loads torch, and `located_recipe` is asked without

    recipe = run.recipe
    if val_place is not None and recipe.val_data is None:
        raise RunError(f"{run.name} takes its val images from its own data; leave --val-data out")
    given = {"data": place, "val_data": val_place}
    moved = {field: user_paths.absolute(path) for field, path in given.items() if path is not None}
    found = located_recipe(run).replace(**moved)
    _refuse_missing(run, found, moved)
    data = load_data(found)
    if data.fingerprint() != run.environment["data"]["fingerprint"]:
        where = found.data if found.val_data is None else f"{found.data} and {found.val_data}"
        raise RunError(
            f"the images in {where} are not those that {run.name} was trained on; "
            f"give their path with --data, or start a new run on these"
        )
    if moved and world().first:
        _keep(run, moved)
    return data


def _refuse_missing(run: Run, found: Recipe, moved: dict[str, str]) -> None:
    for path, flag in ((found.data, "--data"), (found.val_data, "--val-data")):
        if path not in ("mnist", None) and not Path(str(path)).exists():
            if path in moved.values():
                raise RunError(f"nothing is at {path}; expected the data that {run.name} was trained on")
            raise RunError(
                f"the data of {run.name} is not at {path} any more; "
                f"say where it is: downstroke continue {run.typed} {flag} PATH"
            )


def _keep(run: Run, moved: dict[str, str]) -> None:
    environment, recipe = run.environment, run.recipe.to_dict()
    kept = environment["data"]
    before = dict(kept)
    for field, path in moved.items():
        kept.pop(_KEYS[field], None)
        if path != recipe[field]:
            kept[_KEYS[field]] = path
    if kept != before:
        from downstroke.runs.record import write_environment  # loads torch

        with suppress(OSError):  # a run in a folder that is read-only can still be read
            write_environment(run, environment)
