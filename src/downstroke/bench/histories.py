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

from downstroke.recipe import Recipe

FILE = Path(__file__).with_name("histories.jsonl.gz")
HALVES = ("develop", "report")
_NOT_CONFIGURATION = ("name", "seed", "split_seed")


@dataclass(frozen=True)
class Recorded:
    """One run of the corpus: float64 columns by name, [E] each, NaN where nothing was measured or it was no number."""

    recipe: Recipe
    half: str
    columns: dict[str, NDArray[np.float64]]


def configuration(recipe: Recipe) -> tuple[str, str]:
    """What a recipe is called, seeds apart, and the half that it belongs to: a function of the recipe alone."""
    held = {key: value for key, value in recipe.to_dict().items() if key not in _NOT_CONFIGURATION}
    name = hashlib.blake2b(json.dumps(held, sort_keys=True).encode(), digest_size=8).hexdigest()
    return name, HALVES[int(name, 16) % 2]


def load(half: str, file: Path = FILE) -> list[Recorded]:
    """The histories of `half`: develop or report."""
    return [recorded for recorded in _read(file) if recorded.half == half]


def _read(file: Path) -> Iterator[Recorded]:
    for line in gzip.decompress(file.read_bytes()).decode().splitlines():
        held = json.loads(line)
        recipe = Recipe.from_dict(held["recipe"])
        header, *rows = csv.reader(io.StringIO(held["csv"]))
        values = np.array([[float(field) if field else np.nan for field in row] for row in rows])
        yield Recorded(recipe, configuration(recipe)[1], dict(zip(header, values.T, strict=True)))
