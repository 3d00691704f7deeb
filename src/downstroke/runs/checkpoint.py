"""Checkpoints: W, the optimizer's state and the place in training, as a folder that is whole or not there.

A checkpoint `last/` is written as `.last.writing/`, flushed, and renamed; the one before it stays as `last.previous/`
until the next is whole. `state.json` holds a checksum of every file and of itself, so that a damaged checkpoint is
noticed, named, and the one before it used. Weights are safetensors and state is JSON: opening them runs no code.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
from numpy.typing import NDArray

from downstroke.errors import CheckpointError, shown
from downstroke.recipe import Recipe, renamed
from downstroke.runs import files
from downstroke.runs.run import refuse_absurd

if TYPE_CHECKING:
    from torch import Tensor

    Tensors = dict[str, dict[str, Tensor]]

FORMAT = 1
MOST_BYTES = 8_000_000_000  # of a file of tensors
LOOK_AGAIN_S = 0.02
_FILE = re.compile(r"[a-z]{1,40}\.safetensors")
#: Fields of the recipe that may change between checkpoint and run: its name, the path of the data (the run has its
#: fingerprint), and the first goal (the position has the present one).
NOT_COMPARED = ("name", "data", "val_data", "epochs")
#: What torch and the learner raise where tensors and a state do not fit a recipe or its network.
MISFIT = (RuntimeError, LookupError, TypeError, ValueError, AttributeError, OverflowError)
OPTIMIZER = "optimizer"  # the tensors that only training goes on with
VAL = "val"  # of `best`, beside the weights: how they read the val images, `losses` and `right`, [N] each


@dataclass(frozen=True)
class Checkpoint:
    """What a folder held: tensors by file name without `.safetensors`, and the state."""

    tensors: Tensors
    state: dict[str, Any]
    damage: str | None = None  # one line, where a newer checkpoint was damaged and this is the one before it


def save(run: Path, name: str, tensors: Tensors, state: dict[str, Any]) -> None:
    """Write checkpoint `name` of the run's folder. OSError where the disk refuses; what was there before is kept."""
    import safetensors.torch as torch_format

    writing = run / f".{name}.writing"
    try:
        shutil.rmtree(writing, ignore_errors=True)
        writing.mkdir()
        checksums = {}
        for file, values in tensors.items():
            data = torch_format.save(values)
            checksums[f"{file}.safetensors"] = hashlib.sha256(data).hexdigest()
            with (writing / f"{file}.safetensors").open("wb") as handle:
                handle.write(data)
                files.sync(handle)
        body = files.finite({"format": FORMAT, **state, "checksums": checksums})
        files.write_json(writing / "state.json", {**body, "checksum": _checksum(body)})
        files.sync_folder(writing)
        _put_in_place(run, name, writing)
    except OSError:
        shutil.rmtree(writing, ignore_errors=True)
        raise


def _put_in_place(run: Path, name: str, writing: Path) -> None:
    current, previous = run / name, run / f"{name}.previous"
    # At every moment between these lines at least one of the two is whole.
    if current.exists():
        shutil.rmtree(previous, ignore_errors=True)
        current.replace(previous)
    writing.replace(current)
    files.sync_folder(run)


def recorded_recipe(recipe: Recipe) -> dict[str, Any]:
    """What a checkpoint's state records of its recipe: `{sha256, fields}`."""
    held = {key: value for key, value in recipe.to_dict().items() if key not in NOT_COMPARED}
    return {"sha256": hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest(), "fields": held}


def changed_fields(state: dict[str, Any], recipe: Recipe) -> dict[str, tuple[Any, Any]]:
    """The fields in which `recipe` differs from the one `state` was made with: then and now, by name.

    Nothing for a state of a version that did not record its recipe; a field of a newer version counts from then on.
    """
    made, now = state.get("recipe"), recorded_recipe(recipe)
    if not made or made.get("sha256") == now["sha256"]:
        return {}
    then = renamed(made.get("fields", {}))
    return {
        key: (then[key], value)
        for key, value in now["fields"].items()
        if key in then and json.dumps(then[key]) != json.dumps(value)
    }


def exists(run: Path, name: str) -> bool:
    """Whether there is a checkpoint `name`, or the one before it."""
    return (run / name).exists() or (run / f"{name}.previous").exists()


def load(run: Path, name: str, *, to_train: bool = True) -> Checkpoint:
    """Read checkpoint `name`, or the one before it where that is damaged. CheckpointError where neither is whole.

    With `to_train` False without what only training needs, the optimizer's state: damage there does not matter then.
    """
    complaints: list[str] = []
    # Between two renames, `last` of a run that is being written is missing for an instant: look again.
    if not (run / name).exists():
        time.sleep(LOOK_AGAIN_S)
    for candidate in (run / name, run / f"{name}.previous", run / name):
        try:
            tensors, state = _read(candidate, (VAL,) if to_train else (VAL, OPTIMIZER))
        except FileNotFoundError:
            if candidate.name == name and not complaints:
                complaints.append(f"{candidate} is missing")
            continue
        except CheckpointError as error:
            complaints.append(str(error))
            continue
        older = complaints and candidate.name != name
        damage = f"{complaints[0]}; the checkpoint before it is used" if older else None
        return Checkpoint(tensors, state, damage)
    if exists(run, name):
        raise CheckpointError(f"{'; '.join(dict.fromkeys(complaints))}; no whole checkpoint {name!r} is left in {run}")
    raise CheckpointError(f"{run} has no checkpoint {name!r}")


def set_aside(run: Path, name: str) -> None:
    """Move a damaged checkpoint out of the way, so that it never takes the place of the good one before it."""
    damaged = run / f"{name}.damaged"
    shutil.rmtree(damaged, ignore_errors=True)
    if (run / name).exists():
        (run / name).replace(damaged)


def val_readings(run: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """How the weights in `best/` read the val images, and the state beside them; read without torch.

    `losses`, float32 [N], cross-entropy in nats; `right`, bool [N]. None where they were not kept, or where anything in
    `best/` is not whole: then `load` says what.
    """
    from safetensors.numpy import load as arrays

    try:
        held, state = _verified(run / "best", (OPTIMIZER,))
        found = arrays(held[VAL])
        losses, right = found["losses"], found["right"]
    except (FileNotFoundError, CheckpointError, KeyError, safetensors.SafetensorError):
        return None
    whole = losses.ndim == 1 and losses.shape == right.shape and losses.dtype == np.float32 and right.dtype == np.bool_
    return (found, state) if whole else None


def _read(folder: Path, without: Collection[str]) -> tuple[Tensors, dict[str, Any]]:
    import safetensors.torch as torch_format

    held, state = _verified(folder, without)
    try:
        return {name: torch_format.load(data) for name, data in held.items()}, state
    except (ValueError, TypeError, AttributeError, LookupError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{folder} is damaged ({' '.join(str(error).split())})") from None


def _verified(folder: Path, without: Collection[str] = ()) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The bytes of each file by its name without `.safetensors`, but for those `without`, and the state.

    The checksum of each fits.
    """
    path = folder / "state.json"
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    try:
        state = files.parse_json(_held(folder, "state.json", files.MOST_JSON))
        if state.get("format") != FORMAT:
            raise CheckpointError(f"{path} has format {state.get('format')!r}; this downstroke reads {FORMAT}")
        if state.pop("checksum", None) != _checksum(state):
            raise CheckpointError(f"{path} is damaged (its checksum does not fit)")
        found = {}
        for file, expected in state["checksums"].items():
            if not _FILE.fullmatch(file):
                raise CheckpointError(
                    f"{path} names {shown(file)[:100]!r}; expected the name of a .safetensors file here"
                )
            if (tensors := file.removesuffix(".safetensors")) in without:
                continue
            data = _held(folder, file, MOST_BYTES)
            if hashlib.sha256(data).hexdigest() != expected:
                raise CheckpointError(f"{folder / file} is damaged (its checksum does not fit)")
            found[tensors] = data
        refuse_absurd(state)
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise
        raise CheckpointError(f"{folder} is damaged ({Path(error.filename).name} is missing)") from None
    except OSError as error:
        raise CheckpointError(
            f"{folder} is damaged ({Path(error.filename or folder).name}: {error.strerror or error})"
        ) from None
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise CheckpointError(f"{folder} is damaged ({' '.join(str(error).split())})") from None
    return found, state


def _held(folder: Path, file: str, most: int) -> bytes:
    """What a file of the checkpoint in `folder` holds, where no link leads out of the run's folder."""
    return files.read_inside(folder / file, most, folder.parent)


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
