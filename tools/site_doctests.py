"""Doctests in docstrings as blocks of Python: Markdown takes their `>>>` for quotations."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.M)


class Doctests(griffe.Extension):
    """Changes each docstring that holds a doctest."""

    def on_object(self, *, obj: Any, **given: Any) -> None:
        if obj.docstring:
            text = re.sub(r" +# doctest: \+SKIP", "", obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", text)
