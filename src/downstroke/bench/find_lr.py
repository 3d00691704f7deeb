"""`downstroke bench find-lr`: three epochs at the lr that find-lr suggests, against a grid of nine lrs.

Every sweep and every training is a line of a JSON lines file as soon as it is done: the bench goes on where it was
stopped. A sweep is kept as it was measured, and the suggestion is drawn from it anew each time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from downstroke.bench import table as tables
from downstroke.bench.timing import Say
from downstroke.errors import NonFiniteError
from downstroke.learning.evaluate import Evaluation, read_logits
from downstroke.learning.learner import Images, Learner
from downstroke.learning.loop import learn
from downstroke.learning.range_test import planned, range_test, remembered, suggest
from downstroke.recipe import DEFAULT_LR, Recipe
from downstroke.runs.outputs import output_json
from downstroke.runs.parts import Parts
from downstroke.runs.place import load

MODELS = ("linear", "mlp", "cnn")
EPOCHS = 3
#: The grid: the optimizer's default lr times these, two a decade.
FACTORS = tuple(10 ** (power / 2) for power in range(-4, 5))
NEAR = 0.10  # a val loss higher than the grid's best by this share is as good


@dataclass(frozen=True)
class Case:
    """One model under one optimizer, with one seed."""

    model: str
    optimizer: str
    seed: int
    train_size: float | None

    @property
    def recipe(self) -> Recipe:
        fields: dict[str, Any] = {
            "model": self.model,
            "optimizer": self.optimizer,
            "seed": self.seed,
            "train_size": self.train_size,
        }
        return Recipe(**fields, epochs=EPOCHS)

    @property
    def grid(self) -> list[float]:
        return [float(f"{DEFAULT_LR[self.optimizer] * factor:.3g}") for factor in FACTORS]


def measure(
    *,
    models: Sequence[str],
    optimizers: Sequence[str],
    seeds: int,
    train_size: float | None,
    lines: Path,
    out: Path,
    say: Say,
) -> dict[str, Any]:
    """Measure what `lines` does not hold yet; save the figures to `out`, and return them. Empty sequences are all."""
    recorded = _Lines(lines)
    first = Case(MODELS[0], "sgd", 0, train_size).recipe  # all cases have the same images
    data = load(first)
    parts = Parts(data, first)
    images = Images(parts.train, "cpu"), Images(parts.val, "cpu")
    rows = []
    for seed in range(seeds):
        for model in models or MODELS:
            for optimizer in optimizers or tuple(DEFAULT_LR):
                rows.append(_measured(Case(model, optimizer, seed, train_size), images, len(data.classes), recorded))
                row = rows[-1]
                say(
                    f"{model}, {optimizer}, seed {seed}: lr {row['lr']:g}, val loss {row['val_loss']:.4f}; the grid's "
                    f"best {row['best']:.4f} at lr {row['best_lr']:g}"
                )
                near = float(np.mean([row["near"] for row in rows]))
                figures = {"train_size": train_size, "epochs": EPOCHS, "cases": rows, "near_the_best": near}
                output_json(out, figures)
    return figures


def table(figures: dict[str, Any]) -> str:
    """A line a case in Markdown, and the share within NEAR of the grid's best."""
    columns = ("model", "optimizer", "seed", "suggested lr", "val loss", "best of nine", "at lr", "over it")
    rows = [
        (
            *(row[key] for key in ("model", "optimizer", "seed", "lr")),
            f"{row['val_loss']:.4f}",
            f"{row['best']:.4f}",
            row["best_lr"],
            f"{row['val_loss'] / row['best'] - 1:+.0%}",
        )
        for row in figures["cases"]
    ]
    share = f"{figures['near_the_best']:.0%} of {len(rows)} cases within {NEAR:.0%} of the best of nine"
    return f"{tables.markdown(columns, rows)}\n\n{share}"


def _measured(case: Case, images: tuple[Images, Images], classes: int, recorded: _Lines) -> dict[str, Any]:
    train, val = images

    def learner(recipe: Recipe) -> Learner:
        made = Learner(recipe, classes, device="cpu", precision="float32", threads=1)
        made.machine.use()
        made.begin(train.images)
        return made

    def sweep() -> dict[str, Any]:
        found = range_test(learner(case.recipe), train)
        return {"lr": found.lr.tolist(), "loss": found.loss.tolist()}

    def train_at(lr: float) -> float:
        """Val loss after the epochs; infinite where training ran away."""

        def trained() -> float | None:
            made = learner(case.recipe.replace(lr=lr))
            try:
                for _ in learn(made, train, train.take(torch.arange(0))):
                    pass
            except NonFiniteError:
                return None
            loss = Evaluation.of(read_logits(made.judged, val.images), val.labels).loss
            return loss if math.isfinite(loss) else None

        loss = recorded.get(case, f"{lr:g}", trained)
        return math.inf if loss is None else float(loss)

    swept = recorded.get(case, "sweep", sweep)
    steps = planned(case.recipe, len(train))
    lr = suggest(np.array(swept["lr"]), np.array(swept["loss"]), steps, remembered(case.recipe))
    grid = [train_at(rate) for rate in case.grid]
    reached, best = train_at(lr), min(grid)
    return {
        "model": case.model,
        "optimizer": case.optimizer,
        "seed": case.seed,
        "lr": lr,
        "val_loss": reached,
        "best": best,
        "best_lr": case.grid[grid.index(best)],
        "near": reached <= (1 + NEAR) * best,
    }


class _Lines:
    """What was measured before, and what is measured now, a JSON line each; a line that was cut short is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, Any] = {}
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        for line in text.splitlines():
            try:
                held = json.loads(line)
                self._known[held["key"]] = held["value"]
            except (ValueError, KeyError, TypeError):
                continue
        if text and not text.endswith("\n"):
            self._append("")

    def get(self, case: Case, what: str, make: Callable[[], Any]) -> Any:
        """The value of that name; made, and written down, where it is not there yet."""
        key = f"{case.model} {case.optimizer} {case.seed} {case.train_size} {what}"
        if key not in self._known:
            self._known[key] = make()
            self._append(json.dumps({"key": key, "value": self._known[key]}))
        return self._known[key]

    def _append(self, line: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
