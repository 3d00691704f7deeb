"""Looks at the sealed test set with what was misread in them, image by image."""

from __future__ import annotations

from typing import Any

import numpy as np

from downstroke.api import Run
from downstroke.runs.examine import last_readings
from downstroke.studio.errors import Refused

MOST_MISREAD = 2000  # images in one answer


def look(run: Run) -> dict[str, Any]:
    """A new look, recorded: the JSON of `downstroke test`, and what was misread. Raises DownstrokeError."""
    return {**run.test(), **_misread(run)}


def last(run: Run) -> dict[str, Any]:
    """The last look again. Nothing is read again. Refused(404) where there was none."""
    taken = run.looks
    if not taken:
        raise Refused(404, f"nobody has looked at the test set with {run.name} yet")
    shown = {key: value for key, value in taken[-1].items() if key not in ("look", "at")}
    paths = {name: run.folder / f"{name}.png" for name in ("confusion", "misread")}
    pictures = {name: str(path) if path.is_file() else None for name, path in paths.items()}
    told = {"looks": taken[-1]["look"], "pictures": pictures, "undrawn": []}  # why they were not drawn is not recorded
    return {"run": str(run.folder), **shown, **told, **_misread(run)}


def _misread(run: Run) -> dict[str, Any]:
    """The classes, and the misread images, the most certain first; none where how they were read was not kept."""
    readings = last_readings(run)
    misread: list[dict[str, Any]] = []
    if readings is not None:
        probabilities, data = readings
        predictions, labels = probabilities.argmax(1), data.test.labels
        wrong = np.flatnonzero(predictions != labels)
        order = wrong[np.argsort(-probabilities[wrong].max(1), kind="stable")]
        misread = [
            {
                "index": int(index),
                "label": int(labels[index]),
                "prediction": int(predictions[index]),
                "probabilities": probabilities[index].tolist(),
                "image": data.test.images[index].tolist(),
            }
            for index in order[:MOST_MISREAD]
        ]
    return {"classes": list(run.classes), "misread": misread}
