"""How the benches print their figures: one rule for numbers, one for columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def brief(value: Any) -> str:
    """A figure as text: 3 significant digits of what was measured, and what was counted as it is.

    >>> brief(0.123456), brief(1234), brief(float("nan")), brief({"a": 2.0})
    ('0.123', '1234', '-', 'a 2')
    """
    if isinstance(value, float):
        return f"{float(f'{value:.3g}'):g}" if math.isfinite(value) else "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {brief(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(brief(one) for one in value)
    return str(value)


def listed(figures: Mapping[str, Any]) -> str:
    """A line a figure, of nested figures a line each."""
    lines = []
    for name, value in figures.items():
        for key, number in value.items() if isinstance(value, Mapping) else [("", value)]:
            lines.append(f"{f'{name} {key}'.strip():40} {brief(number)}")
    return "\n".join(lines)


def aligned(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of text: words to the left, numbers to the right, each column as wide as it needs."""
    body = list(rows)
    cells = [list(columns), *([brief(value) for value in row] for row in body)]
    columns_of_text = []
    for i in range(len(columns)):
        column = [row[i] for row in cells]
        words = any(cell and not cell[0].isdigit() and cell != "-" for cell in column[1:])
        width = max(map(len, column))
        columns_of_text.append([cell.ljust(width) if words else cell.rjust(width) for cell in column])
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns_of_text, strict=True))


def markdown(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The same table for the docs."""
    head = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return "\n".join([*head, *(f"| {' | '.join(brief(value) for value in row)} |" for row in rows)])
