"""Make the corpus of histories that `downstroke bench advice` measures on.

    python tools/make_histories.py make FOLDER        # a CSV a run; an hour on one core; goes on where it was stopped
    python tools/make_histories.py pack FOLDER        # into the file that travels inside the package

Run number i is a function of i alone, and the numbers alternate models, optimizers and sizes, so that any first part of
the corpus is spread like the whole. A run that diverges ends with a row of `nan`; an empty field was not measured.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
import sys
from dataclasses import astuple
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from downstroke.bench.histories import FILE, configuration
from downstroke.data import sources
from downstroke.errors import NonFiniteError
from downstroke.history import EPOCH_COLUMNS, EpochRow
from downstroke.learning.events import EpochDone
from downstroke.learning.learner import Images, Learner
from downstroke.learning.loop import learn
from downstroke.recipe import DEFAULT_LR, Recipe
from downstroke.runs.parts import Parts

RUNS, EPOCHS = 140, 60
MODELS = ("mlp", "linear", "cnn", "mlp", "linear")
OPTIMIZERS = tuple(DEFAULT_LR)
SCHEDULES = (
    *("constant",) * 10,
    *("exponential", "exponential", "step", "step", "inverse-time", "plateau", "cosine", "cosine", "linear"),
    "one-cycle",
)


def recipe_of(index: int) -> Recipe:
    """Run `index` of the corpus, from 0."""
    chance = np.random.Generator(np.random.PCG64([20261122, index]))
    model, optimizer = MODELS[index % len(MODELS)], OPTIMIZERS[index % len(OPTIMIZERS)]

    def log_between(low: float, high: float) -> float:
        return float(math.exp(chance.uniform(math.log(low), math.log(high))))

    def one_of(*values: float | str) -> float | str:
        return values[chance.integers(len(values))]

    size = log_between(500, 20_000)
    if model == "cnn" and chance.random() < 0.85:  # the dear ones are mostly small
        size = log_between(500, 4_000)
    schedule = one_of(*SCHEDULES)
    plain = chance.random() < 0.8
    smoothing = 0.0 if plain else one_of(0.0, 0.05, 0.1)
    return Recipe(
        name=f"history-{index:03d}",
        model=model,
        optimizer=optimizer,
        # From a hundredth of the usual lr to thirty times; one in twelve another thirty times that.
        lr=float(f"{DEFAULT_LR[optimizer] * log_between(0.01, 30) * (30 if chance.random() < 1 / 12 else 1):.3g}"),
        train_size=int(float(f"{size:.2g}")),
        val_size=one_of(200, 500, 1000, 2000) if model == "cnn" else one_of(200, 500, 1000, 2000, 5000),
        label_noise=one_of(0.0, 0.0, 0.1, 0.2),
        dropout=one_of(0.0, 0.0, 0.2, 0.5),
        weight_decay=one_of(0.0, 0.0, 1e-4, 1e-2),
        batch_size=one_of(64, 128, 128, 256),
        schedule=schedule,
        lr_decay=one_of(0.1, 0.3, 0.5) if schedule in ("step", "plateau") else one_of(0.85, 0.9, 0.95, 0.98),
        lr_decay_epochs=one_of(8, 15, 25) if schedule == "step" else 5,
        label_smoothing=smoothing,
        augment="none" if plain else one_of("none", "shift", "affine"),
        average=0.0 if plain else one_of(0.0, 2.0, 6.0),
        criterion="cross-entropy" if smoothing or chance.random() < 0.9 else "brier",
        epochs=EPOCHS,
        seed=index,
        split_seed=index % 10,
    )


def make(folder: Path) -> None:
    """Train every run that `folder` does not hold yet; a file appears when its run is over."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    loaded = sources.load()
    for index in range(RUNS):
        target = folder / f"{index:03d}.csv"
        if target.exists():
            continue
        recipe = recipe_of(index)
        rows, ended = train(recipe, Parts(loaded, recipe))
        write(target, rows)
        said = f"{rows[-1].elapsed_s:.0f} s" if ended is None else ended
        print(f"{index:03d} {recipe.model} {recipe.optimizer} lr {recipe.lr:g}: {len(rows)} epochs, {said}", flush=True)


def train(recipe: Recipe, parts: Parts) -> tuple[list[EpochRow], str | None]:
    """The epochs of one run, and how it ended where it diverged."""
    learner = Learner(recipe, 10, device="cpu", precision="float32", threads=1)
    train, val = Images(parts.train, "cpu"), Images(parts.val, "cpu")
    learner.begin(train.images)
    rows: list[EpochRow] = []
    try:
        rows.extend(event.row for event in learn(learner, train, val) if isinstance(event, EpochDone))
    except NonFiniteError as error:
        lost = math.nan
        rows.append(EpochRow(error.epoch, error.step, lost, error.lr, lost, lost, lost, lost, lost))
        return rows, str(error)
    return rows, None


def write(target: Path, rows: list[EpochRow]) -> None:
    """As metrics.csv, in six digits, without the times: they are of no use, and differ each time."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(EPOCH_COLUMNS)
    for row in rows:
        writer.writerow(
            ["" if name == "elapsed_s" else f"{v:.6g}" for name, v in zip(EPOCH_COLUMNS, astuple(row), strict=True)]
        )
    part = target.with_suffix(".part")
    part.write_text(text.getvalue())
    part.rename(target)


def pack(folder: Path) -> None:
    """Write the corpus: a JSON line for each run with its recipe, its half and its CSV. No clock goes into it."""
    lines = []
    for path in sorted(folder.glob("*.csv")):
        recipe = recipe_of(int(path.stem))
        name = configuration(recipe)
        lines.append(json.dumps({"configuration": name, "recipe": recipe.to_dict(), "csv": path.read_text()}))
    FILE.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0))
    print(f"{FILE}: {len(lines)} histories, {FILE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("make", "pack"):
        sys.exit(__doc__)
    {"make": make, "pack": pack}[sys.argv[1]](Path(sys.argv[2]))
