"""TensorBoard's event files as a table."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from downstroke.advice.logs import tfevents
from downstroke.advice.logs.table import Table, opened, refuse_pointer
from downstroke.errors import LogError, NoValLossYetError


def table_of(source: Path, files: Mapping[str, Path], unzipped: BinaryIO | None = None) -> Table:
    """One table of the event files in `source`; the tags of each begin with its prefix.

    `unzipped`: what the only file holds, where it is gzipped.
    """
    steps: dict[int, dict[str, Any]] = {}
    names: dict[str, None] = {}
    for prefix, path in files.items():
        with opened(path) if unzipped is None else nullcontext(unzipped) as file:
            refuse_pointer(path, file.read(tfevents.HEAD))
            file.seek(0)
            try:
                for step, tag, value in tfevents.scalars(file):
                    names[prefix + tag] = None
                    steps.setdefault(step, {})[prefix + tag] = value
            except ValueError as error:
                raise LogError(f"{path} is a damaged event file ({error})") from None
    if not names:
        raise NoValLossYetError(f"{source}: the event file holds no scalars; expected a val loss among them")
    rows = [steps[step] for step in sorted(steps)]
    return Table(source, rows, [f"step {step}" for step in sorted(steps)], list(names))
