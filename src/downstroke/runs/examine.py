"""The sealed test: every look at it is recorded, and of the last one how each image was read."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from downstroke.data import packed
from downstroke.data.dataset import Dataset
from downstroke.errors import RunError
from downstroke.learning import machine
from downstroke.learning.evaluate import Evaluation, calibration_error, read_logits, recall, wilson
from downstroke.runs import files
from downstroke.runs.loading import load_run_data
from downstroke.runs.record import add_look
from downstroke.runs.run import READINGS, Run, refuse_diverged

MOST_READINGS = 1_000_000_000  # bytes, unpacked


def examine(
    run: Run,
    source: str | None = None,
    data: str | Path | None = None,
    val_data: str | Path | None = None,
) -> tuple[dict[str, Any], Evaluation, Dataset]:
    """Read the test images with the run's weights and record the look: (what is recorded, the evaluation, the data).

    `source`: best or last; left out, best where there is one. `data`, `val_data`: where the data is now, if it
    was moved.
    Raises RunError where the data is not the run's, and where the weights give no numbers; neither is recorded.
    """
    held = load_run_data(run, data, val_data)
    weights = run.weights(source)
    if not weights.step:
        raise RunError(f"{run.name} has learned nothing yet; a look at the test set would be wasted on it")
    device = machine.choose().device
    network = weights.network.to(device)
    images = torch.from_numpy(held.test.images).to(device)
    evaluation = Evaluation.of(read_logits(network, images), torch.from_numpy(held.test.labels).to(device))
    total = len(held.test)
    refuse_diverged(run, weights, evaluation.lost, total)
    confusion = evaluation.confusion
    look = {
        "weights": weights.source,
        "epoch": weights.epoch,
        "accuracy": evaluation.accuracy,
        "accuracy_interval": list(wilson(total - evaluation.errors, total)),
        "nll": evaluation.loss,
        "ece": calibration_error(evaluation),
        "errors": evaluation.errors,
        "images": total,
        **_without_disputed(evaluation, held),
        "recall": dict(zip(held.classes, recall(confusion), strict=True)),
        "confusion": confusion.tolist(),
        "damage": weights.damage,
    }
    return add_look(run, look, evaluation.probabilities), evaluation, held


def _without_disputed(evaluation: Evaluation, held: Dataset) -> dict[str, float]:
    """Of MNIST, the accuracy on the test images of which nobody says another digit than the label."""
    if held.known != packed.FINGERPRINT:
        return {}
    return {"accuracy_undisputed": float(np.delete(evaluation.right, packed.DISPUTED).mean())}


def last_readings(run: Run) -> tuple[NDArray[np.float32], Dataset] | None:
    """Of the last look, without a new one: the probabilities of every test image, float32 [N,C], and the data.

    None where they were not kept. Raises RunError where the data is not the run's any more.
    """
    taken = run.looks
    kept = _kept_readings(run)
    if not taken or kept is None or kept[0] != taken[-1]["look"]:
        return None
    data, probabilities = load_run_data(run), kept[1]
    return (probabilities, data) if probabilities.shape == (len(data.test), len(data.classes)) else None


def _kept_readings(run: Run) -> tuple[int, NDArray[np.float32]] | None:
    """The number of a look, and its probabilities; None where none are kept, or they are damaged."""
    try:
        with files.open_inside(run.folder / READINGS) as file, np.load(file, allow_pickle=False) as kept:
            if sum(member.file_size for member in kept.zip.infolist()) > MOST_READINGS:
                return None
            look, probabilities = int(kept["look"]), kept["probabilities"]
    except (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, SyntaxError, MemoryError):
        return None
    except (RuntimeError, zipfile.BadZipFile, zlib.error):  # what is encrypted, or packed in a way that is not known
        return None
    return (look, probabilities) if probabilities.dtype == np.float32 else None
