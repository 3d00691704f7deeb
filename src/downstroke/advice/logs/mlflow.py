"""MLflow's metrics: a file each, with a time, a value and a step on each line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from downstroke.advice.logs.table import MOST_BYTES, STEP, Table, bytes_of

_LINE = re.compile(r"\s*+[0-9]{12,}+\s++(\S++)\s++([0-9]{1,18})\s*+")


def folder_of(folder: Path) -> Table | None:
    """MLflow's folder of metrics: a file each, joined by their steps; None where the folder is none."""
    rows: dict[int, dict[str, Any]] = {}
    names = []
    # The metric val/loss is the file loss in the folder val; below another folder anything may lie.
    for path in sorted(folder.rglob("*") if folder.name == "metrics" else folder.iterdir()):
        if not path.is_file() or path.suffix or path.stat().st_size > MOST_BYTES:
            continue
        told = table_of(path, bytes_of(path).decode(errors="replace"))
        if told:
            name = path.relative_to(folder).as_posix()
            names.append(name)
            for row in told.rows:
                rows.setdefault(int(row[STEP]), {})[name] = row[path.name]
    if not names:
        return None
    return Table(folder, [rows[step] for step in sorted(rows)], [f"step {step}" for step in sorted(rows)], names)


def table_of(path: Path, text: str) -> Table | None:
    """A file of MLflow's metrics folder: a time, a value and a step on each line; None where it is none."""
    rows: list[dict[str, Any]] = []
    for line in text.splitlines():
        if told := _LINE.fullmatch(line):
            rows.append({path.name: told[1], STEP: told[2]})
        elif line.strip():
            return None
    if not rows:
        return None
    return Table(path, rows, [f"line {number}" for number in range(1, len(rows) + 1)], [path.name, STEP])
