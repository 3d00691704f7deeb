"""Turn a run of `downstroke train reader` into the reader that is shipped: `python tools/ship_reader.py RUN`.

The temperature is set on val, half of it as it is and half varied as the recipe varies its images; the threshold of
refusal on val as it is. What is recorded is the recipe as it is named now: a run that was stopped early is that of
fewer epochs.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import torch
from safetensors.torch import save

from downstroke.augment import variation
from downstroke.data import sources
from downstroke.errors import RunError
from downstroke.learning.evaluate import Evaluation, calibration_error, read_logits
from downstroke.learning.models import Network
from downstroke.learning.temperature import fit_temperature
from downstroke.reading import refusal, shipped
from downstroke.recipe import RECIPES, Recipe
from downstroke.runs.parts import Parts
from downstroke.runs.run import Run


def set_temperature(network: Network, images: torch.Tensor, labels: torch.Tensor, recipe: Recipe) -> None:
    """The temperature for every other val image as it is, and the rest varied: what is read is rarely as clean."""
    chosen = variation.augmentation(recipe.augment)
    varied = images[1::2].float() / 255
    if chosen:
        varied = chosen.vary(varied, variation.draw(recipe.seed, 0, len(varied), chosen.numbers))
    network.temperature.fill_(1.0)
    logits = torch.cat([read_logits(network, images[::2]), read_logits(network, varied)])
    network.temperature.fill_(fit_temperature(logits, torch.cat([labels[::2], labels[1::2]])))


def ship(run: Run) -> dict[str, Any]:
    """Write the reader's two files into the package, and return the record."""
    weights = run.weights()
    recipe = run.recipe.replace(epochs=RECIPES[run.recipe.name].epochs)
    if weights.epoch > recipe.epochs:
        raise RunError(f"the best W of {run.name} is of epoch {weights.epoch}; the recipe has {recipe.epochs} epochs")
    network = weights.network
    val = Parts(sources.load(recipe.data, recipe.split_seed), recipe).val
    images, labels = torch.from_numpy(val.images), torch.from_numpy(val.labels)
    set_temperature(network, images, labels, recipe)
    logits = read_logits(network, images)
    on_val = Evaluation.of(logits, labels)
    data = save({name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()})
    record = {
        "command": f"downstroke train {recipe.name} --seed {recipe.seed}",
        "seed": recipe.seed,
        "recipe": recipe.to_dict(),
        "epoch": weights.epoch,
        "step": weights.step,
        "torch": run.environment["torch"],
        "processor": run.environment["processor"],
        "precision": run.environment["precision"],
        "threads": run.environment["threads"],
        "classes": list(run.classes),
        "val": {
            "images": len(labels),
            "accuracy": on_val.accuracy,
            "errors": on_val.errors,
            "loss": on_val.loss,
            "ece": calibration_error(on_val),
        },
        "temperature": float(network.temperature),
        "threshold": refusal.fit_threshold(logits.numpy()),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    shipped.HOME.mkdir(exist_ok=True)
    (shipped.HOME / shipped.WEIGHTS).write_bytes(data)
    (shipped.HOME / shipped.RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(ship(Run.open(sys.argv[1])), indent=2))
