"""A look at the test set, with its two pictures in the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from downstroke.errors import DownstrokeError
from downstroke.runs.examine import examine
from downstroke.runs.files import own
from downstroke.runs.run import Run
from downstroke.show.report import confusion_picture, misread_picture


def look(
    run: Run, source: str | None = None, data: str | Path | None = None, val_data: str | Path | None = None
) -> dict[str, Any]:
    """Take it, as `runs.examine.examine` does, and draw it; returns the JSON of `downstroke test`.

    A look is recorded and cannot be taken back: it is returned also where a picture cannot be written. Then that is
    null in `pictures`, and `undrawn` says why.
    """
    taken, evaluation, held = examine(run, source, data, val_data)
    wrong = ~evaluation.right
    misread = (
        held.test.images[wrong],
        evaluation.labels[wrong],
        evaluation.predictions[wrong],
        evaluation.probabilities.max(1)[wrong],
        held.classes,
    )
    draws: dict[str, Callable[[Path], Path]] = {
        "confusion": lambda path: confusion_picture(evaluation.confusion, held.classes, path),
        "misread": lambda path: misread_picture(*misread, path),
    }
    pictures: dict[str, str | None] = {}
    undrawn = []
    for name, draw in draws.items():
        try:
            pictures[name] = str(draw(own(run.folder / f"{name}.png")))
        except DownstrokeError as error:
            pictures[name] = None
            undrawn.append(str(error))
    return {
        "run": str(run.folder),
        **{key: value for key, value in taken.items() if key not in ("look", "at")},
        "looks": taken["look"],
        "pictures": pictures,
        "undrawn": undrawn,
    }
