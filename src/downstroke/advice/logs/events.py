"""TensorBoard's event files as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from downstroke.advice.logs import tfevents
from downstroke.advice.logs.table import Table
from downstroke.errors import LogError


def table_of(source: Path, files: Mapping[str, Path]) -> Table:
    """One table of the event files in `source`; the tags of each begin with its prefix."""
    steps: dict[int, dict[str, Any]] = {}
    names: dict[str, None] = {}
    for prefix, path in files.items():
        try:
            for step, tag, value in tfevents.scalars(path.read_bytes()):
                names[prefix + tag] = None
                steps.setdefault(step, {})[prefix + tag] = value
        except ValueError as error:
            raise LogError(f"{path} is a damaged event file ({error})") from None
    if not names:
        raise LogError(f"{source}: the event file holds no scalars; expected a val loss among them")
    rows = [steps[step] for step in sorted(steps)]
    return Table(source, rows, [f"step {step}" for step in sorted(steps)], list(names))
