"""A run as a notebook shows it: its figures, its curve, and the advice."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from downstroke import display
from downstroke.errors import DownstrokeError, counted

if TYPE_CHECKING:
    from downstroke.runs.run import Run


def shown_run(run: Run) -> str:
    """HTML. Of a run that cannot be read it says what is wrong: a notebook would show a traceback instead."""
    from downstroke.runs.run import damage

    name = display.element("b", run.name)
    try:
        return display.html(display.element("p", name, *_line(run)), *run.history.elements(), *_advice(run))
    except Exception as error:
        return display.html(display.element("p", name, f": {damage(error)}"))


def _line(run: Run) -> list[str]:
    recipe, told = run.recipe, run.summary()
    parts = [f"recipe {recipe.name}", f"{recipe.model}, {recipe.optimizer}", run.state]
    return [
        " · " + " · ".join([*parts, counted(told["epochs"], "epoch"), f"{told['train_seconds']:.1f} s of training"])
    ]


def _advice(run: Run) -> list[Element]:
    try:
        return run.advice().elements()
    except DownstrokeError as error:
        return [display.element("p", f"no advice: {error}")]
