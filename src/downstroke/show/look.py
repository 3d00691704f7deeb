"""A look at the test set, with its two pictures in the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from downstroke.runs.examine import examine
from downstroke.runs.files import own
from downstroke.runs.run import Run
from downstroke.show.report import confusion_picture, misread_picture


def look(
    run: Run, source: str | None = None, data: str | Path | None = None, val_data: str | Path | None = None
) -> dict[str, Any]:
    """Take it, as `runs.examine.examine` does, and draw it; returns the JSON of `downstroke test`."""
    taken, evaluation, held = examine(run, source, data, val_data)
    wrong = ~evaluation.right
    confusion = confusion_picture(evaluation.confusion, held.classes, own(run.folder / "confusion.png"))
    misread = misread_picture(
        held.test.images[wrong],
        evaluation.labels[wrong],
        evaluation.predictions[wrong],
        evaluation.probabilities.max(1)[wrong],
        held.classes,
        own(run.folder / "misread.png"),
    )
    return {
        "run": str(run.folder),
        **{key: value for key, value in taken.items() if key not in ("look", "at")},
        "looks": taken["look"],
        "pictures": {"confusion": str(confusion), "misread": str(misread)},
    }
