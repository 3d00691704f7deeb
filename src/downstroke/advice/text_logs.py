"""Logs that are lines of text: what a program printed, MLflow's metrics, JSON lines, the columns of a JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf"
_IS = r"\s*[:=]?\s*"
_VAL = r"(?:val|valid|validation|eval|dev)"
STEP = "step"
#: What a line may name, in the order in which it is looked for; what is found is taken out of the line.
_FOUND = {
    "val_loss": re.compile(rf"\b{_VAL}[\s_.-]*loss{_IS}({_NUMBER})", re.IGNORECASE),
    "loss": re.compile(rf"\b(?:train(?:ing)?[\s_.-]*)?loss{_IS}({_NUMBER})", re.IGNORECASE),
    "epoch": re.compile(r"\bepoch\s*[:=#\[]?\s*(\d+)", re.IGNORECASE),
    "step": re.compile(r"\b(?:step|iter|iteration)\s*[:=#\[]?\s*(\d+)", re.IGNORECASE),
    "lr": re.compile(rf"\b(?:lr|learning[ _]rate){_IS}({_NUMBER})", re.IGNORECASE),
}


@dataclass(frozen=True)
class Table:
    """Rows in the order of time; a value that was not measured is missing from its row."""

    file: Path
    rows: list[dict[str, Any]]
    places: list[str]  # where each row stands in the file, in words
    names: list[str]  # the columns
    #: Whether `epoch` is how many epochs were done, so that 0 is the W before training; else 0 is the first epoch.
    epochs_done: bool = False


def lines(path: Path, text: str) -> Table | None:
    """The lines that name a val loss and its value, and what they name besides; None where none does."""
    rows: list[dict[str, Any]] = []
    places = []
    for number, line in enumerate(text.splitlines(), start=1):
        row: dict[str, Any] = {}
        left = line
        for name, pattern in _FOUND.items():
            match = pattern.search(left)
            if match:
                row[name] = match[1]
                left = left[: match.start()] + left[match.end() :]
        if "val_loss" in row:
            rows.append(row)
            places.append(f"line {number}")
    if not rows:
        return None
    return Table(path, rows, places, [name for name in ("epoch", "step", "loss", "val_loss", "lr") if name in rows[0]])


def metric(path: Path, text: str) -> Table | None:
    """A file of MLflow's metrics folder: a time, a value and a step on each line; None where it is none."""
    cells = [line.split() for line in text.splitlines() if line.strip()]
    if not cells or any(len(row) != 3 or not re.fullmatch(r"\d{12,}", row[0]) for row in cells):
        return None
    if not all(row[2].isdigit() for row in cells):
        return None
    rows: list[dict[str, Any]] = [{path.name: value, STEP: step} for _, value, step in cells]
    return Table(path, rows, [f"line {number}" for number in range(1, len(rows) + 1)], [path.name, STEP])


def json_lines(text: str) -> list[dict[str, Any]] | None:
    """A JSON object on each line, the last perhaps still being written; None where they are none."""
    found: list[dict[str, Any]] = []
    held = [line for line in text.splitlines() if line.strip()]
    for number, line in enumerate(held, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(held) and found:
                return found
            return None
        if not isinstance(row, dict):
            return None
        found.append(row)
    return found


def columns(found: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The rows of a dict of columns, as Keras' History.history is; None where it is none."""
    named = {name: values for name, values in found.items() if isinstance(values, list)}
    if not named or len({len(values) for values in named.values()}) != 1:
        return None
    return [dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True)]
