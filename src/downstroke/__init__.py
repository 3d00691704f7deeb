"""downstroke teaches a network to read handwritten digits, and shows every step of that learning.

`import downstroke` is light; torch is loaded when something needs it.
"""

from __future__ import annotations

from downstroke.errors import (
    CheckpointError,
    DataError,
    DownstrokeError,
    LogError,
    NonFiniteError,
    PictureError,
    RecipeError,
    RunError,
)

# Nothing more is imported before the command hears Ctrl-C (see __main__.py): `typing` alone would take as long again.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from downstroke.api import Run, advise, compare, export, find_lr, plot, train
    from downstroke.history import History
    from downstroke.learning.events import EpochDone, Note, StepDone, Stopped, StopReason
    from downstroke.reading.reader import Reader
    from downstroke.recipe import RECIPES, Recipe

__all__ = [
    "RECIPES",
    "CheckpointError",
    "DataError",
    "DownstrokeError",
    "EpochDone",
    "History",
    "LogError",
    "NonFiniteError",
    "Note",
    "PictureError",
    "Reader",
    "Recipe",
    "RecipeError",
    "Run",
    "RunError",
    "StepDone",
    "StopReason",
    "Stopped",
    "advise",
    "compare",
    "export",
    "find_lr",
    "plot",
    "train",
]

_HOME = {
    "EpochDone": "downstroke.learning.events",
    "Note": "downstroke.learning.events",
    "RECIPES": "downstroke.recipe",
    "StepDone": "downstroke.learning.events",
    "StopReason": "downstroke.learning.events",
    "Stopped": "downstroke.learning.events",
    "History": "downstroke.history",
    "Reader": "downstroke.reading.reader",
    "Recipe": "downstroke.recipe",
    "Run": "downstroke.api",
    "advise": "downstroke.api",
    "compare": "downstroke.api",
    "export": "downstroke.api",
    "find_lr": "downstroke.api",
    "plot": "downstroke.api",
    "train": "downstroke.api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("downstroke")
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'downstroke' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
