"""`downstroke bench until-done`: training until the advice is to stop, against a cosine that knew its length.

Long: every training is a run of its own in a folder that stays, and the same command goes on where it was stopped.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from downstroke.api import Run, train
from downstroke.bench import table as tables
from downstroke.bench.timing import Say, completed, machine
from downstroke.errors import counted
from downstroke.runs.outputs import output_json


def measure(
    *, seeds: int, max_epochs: int | None, train_size: float | None, runs_dir: Path, out: Path, say: Say
) -> dict[str, Any]:
    """The default recipe until it is done, with seeds 0..`seeds`-1, and as many epochs of a cosine from the first on.

    The cosine judges W itself, not an average. Both keep their best epoch. `max_epochs` bounds the first, so that its
    fall of lr lies within; `train_size`, left out, is all images. Saved to `out`, and returned.
    """
    figures: dict[str, Any] = {**machine(), "max_epochs": max_epochs, "train_size": train_size, "seeds": []}
    fields = {} if train_size is None else {"train_size": train_size}
    for seed in range(seeds):
        free = _run(runs_dir, f"until-done-{seed}", seed=seed, until_done=True, max_epochs=max_epochs, **fields)
        epochs = free.summary()["epochs"]
        known = _run(runs_dir, f"cosine-{seed}", seed=seed, epochs=epochs, schedule="cosine", average=0, **fields)
        losses = [run.summary()["val_loss"] for run in (free, known)]
        found = {"seed": seed, "epochs": epochs, "until_done": losses[0], "cosine": losses[1]}
        figures["seeds"].append(found | {"gap": losses[0] / losses[1] - 1})
        say(f"seed {seed}: {counted(epochs, 'epoch')}, val loss {losses[0]:.4f}; cosine {losses[1]:.4f}")
        means = {name: statistics.mean(row[name] for row in figures["seeds"]) for name in ("until_done", "cosine")}
        figures |= {"mean": means, "gap": means["until_done"] / means["cosine"] - 1}
        output_json(out, figures)
    return figures


def table(figures: dict[str, Any]) -> str:
    """A line a seed: epochs, the two val losses, and by how much the first is higher; the means below."""
    names = ("epochs", "until_done", "cosine", "gap")
    rows = [(str(row["seed"]), *(row[name] for name in names)) for row in figures["seeds"]]
    epochs = statistics.mean(row["epochs"] for row in figures["seeds"])
    rows.append(("mean", epochs, figures["mean"]["until_done"], figures["mean"]["cosine"], figures["gap"]))
    return tables.aligned(("seed", *names), rows)


def _run(runs_dir: Path, name: str, **training: Any) -> Run:
    """The run of that name, trained to its end from where it stands."""
    if not (runs_dir / name).exists():
        return completed(train(progress=False, runs_dir=runs_dir, name=name, **training))
    run = Run.open(name, runs_dir)
    return completed(run.extend(progress=False)) if run.state != "finished" else run
