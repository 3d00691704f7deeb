"""The committed corpus of histories, and its two halves: one to develop advice on, one to report it on."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downstroke.advice.curve import Curve
from downstroke.recipe import Recipe

FILE = Path(__file__).with_name("histories.jsonl.gz")
#: Made by other programs: tools/make_other_histories.py.
OTHERS = Path(__file__).with_name("others.jsonl.gz")
#: The losses of logs in public repositories, each with its repository and path, empty where a search by text did not
#: tell them; of a long log the first 150 rows.
PUBLIC = Path(__file__).with_name("public.jsonl.gz")
HALVES = ("develop", "report")
_NOT_CONFIGURATION = ("name", "seed", "split_seed")


@dataclass(frozen=True)
class Recorded:
    """One run of the corpus: float64 columns by name, [E] each, NaN where nothing was measured or it was no number."""

    recipe: Recipe
    configuration: str
    columns: dict[str, NDArray[np.float64]]

    @property
    def half(self) -> str:
        """A function of the configuration alone, so that no configuration is in both."""
        return HALVES[int(self.configuration, 16) % 2]


def configuration(recipe: Recipe) -> str:
    """What a recipe is called in the corpus, seeds apart.

    It is recorded with the history: a recipe that gets further fields would be called otherwise.
    """
    held = {key: value for key, value in recipe.to_dict().items() if key not in _NOT_CONFIGURATION}
    return hashlib.blake2b(json.dumps(held, sort_keys=True).encode(), digest_size=8).hexdigest()


def load(half: str, file: Path = FILE) -> list[Recorded]:
    """The histories of `half`: develop or report."""
    return [recorded for recorded in _read(file) if recorded.half == half]


def _read(file: Path) -> Iterator[Recorded]:
    for line in gzip.decompress(file.read_bytes()).decode().splitlines():
        held = json.loads(line)
        header, *rows = csv.reader(io.StringIO(held["csv"]))
        values = np.array([[float(field) if field else np.nan for field in row] for row in rows])
        recipe = Recipe.from_dict(held["recipe"])
        yield Recorded(recipe, held["configuration"], dict(zip(header, values.T, strict=True)))


@dataclass(frozen=True)
class Other:
    """One run of another program."""

    data: str  # the data set; of public logs the part of them that is held out together
    made: dict[str, str]  # program, schedule, optimizer; repo, path
    curve: Curve


def others(file: Path = OTHERS) -> list[Other]:
    """The histories that other programs made, or those of `PUBLIC`; training loss and lr where the run logged them."""
    found = []
    for line in gzip.decompress(file.read_bytes()).decode().splitlines():
        held = json.loads(line)
        epoch, loss, val_loss, lr = np.array(held["rows"], dtype=np.float64).T
        made = {name: held[name] for name in ("program", "schedule", "optimizer", "repo", "path") if name in held}
        logged = (None if np.isnan(loss).all() else loss), (lr if held["logs_lr"] else None)
        found.append(Other(held["set"], made, Curve(epoch, val_loss, *logged)))
    return found
