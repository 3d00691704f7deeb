"""Logs in JSON: Hugging Face's, skorch's, Keras' History.history, JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from downstroke.advice.logs import boosting, catboost, text
from downstroke.advice.logs.table import MOST_ROWS, Say, Table, bytes_of, joined
from downstroke.errors import LogError, NoValLossYetError

_EPOCH = re.compile(r"metrics_epoch_([0-9]{1,15})\.json")


def table_of(path: Path, held: str, say: Say) -> Table:
    """The rows of a log in JSON; LogError where it is none."""
    try:
        return _table_of(path, held, say)
    except RecursionError:
        raise LogError(f"{path} is nested too deeply for a log of training; expected rows of numbers") from None


def _table_of(path: Path, held: str, say: Say) -> Table:
    try:
        found = json.loads(held)
    except (ValueError, RecursionError) as error:
        found = _lines(held)
        if found is None and (told := text.table_of(path, held)):
            return told  # Hugging Face prints its rows as Python's dicts
        if found is None:
            found = _of_python(held)
        if found is None:
            raise NoValLossYetError(
                f"{path} is not valid JSON ({' '.join(str(error).split())}); is it still being written?"
            ) from None
    if catboost.is_training(found):
        return catboost.training(path, found, say)
    found = _by_number(found)
    if trees := boosting.evaluated(path, found, say):
        return trees
    rows = found.get("log_history", _columns(_flat(found))) if isinstance(found, dict) else found
    done = (isinstance(found, dict) and "log_history" in found) or not _numbered_from_0(rows)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise LogError(
            f"{path} is not a known kind of log; expected the trainer_state.json of Hugging Face, skorch's "
            f"history.json, Keras' History.history, or a line of JSON for each epoch"
        )
    if len(rows) > MOST_ROWS:
        raise LogError(f"{path} has {len(rows):,} entries; expected at most {MOST_ROWS:,}")
    rows = [_of_its_mode(_flat(row)) for row in rows]
    # Lists are skorch's batches, true and false its marks for a best so far.
    kept = [
        {name: value for name, value in row.items() if value is not None and not isinstance(value, bool | list)}
        for row in rows
    ]
    names = list(dict.fromkeys(name for row in kept for name in row))
    return Table(path, kept, [f"entry {number}" for number in range(1, len(rows) + 1)], names, epochs_done=done)


def of_epochs(folder: Path) -> Table | None:
    """AllenNLP's `metrics_epoch_0.json`, `metrics_epoch_1.json` and so on in a folder; None where there are none."""
    found = {int(told[1]): path for path in folder.iterdir() if (told := _EPOCH.fullmatch(path.name))}
    rows = []
    for epoch, path in sorted(found.items()):
        data = bytes_of(path)
        try:
            held = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise LogError(f"{path} is not valid JSON ({error}); expected the metrics of an epoch") from None
        if not isinstance(held, dict):
            raise LogError(f"{path} does not hold a JSON object; expected the metrics of an epoch by their names")
        rows.append({"epoch": epoch} | {name: v for name, v in held.items() if isinstance(v, int | float)})
    names = list(dict.fromkeys(name for row in rows for name in row if name.startswith(("epoch", "training", "valid"))))
    return Table(folder, rows, [found[epoch].name for epoch in sorted(found)], names) if rows else None


def _by_number(found: Any) -> Any:
    """pandas' `to_json` of a table: the values of a column under the numbers of their rows."""
    if not isinstance(found, dict) or not all(isinstance(held, dict) and held for held in found.values()):
        return found
    if not all(key.isdigit() for held in found.values() for key in held):
        return found
    return {name: list(held.values()) for name, held in found.items()}


def _numbered_from_0(rows: Any) -> bool:
    """Whether whole epochs are counted from 0, as in JSON lines."""
    held = [row["epoch"] for row in rows if isinstance(row, dict) and "epoch" in row] if isinstance(rows, list) else []
    return bool(held) and held[0] == 0 and all(isinstance(epoch, int) for epoch in held)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with what its dicts hold under their names: timm's `validation: {loss, top1}`, Ludwig's three deep."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        inner = _flat(value) if isinstance(value, dict) else None
        flat.update({name: value} if inner is None else {joined(name, key): held for key, held in inner.items()})
    return flat


def _of_its_mode(row: dict[str, Any]) -> dict[str, Any]:
    """A row of mmdetection, whose mode says whether its losses are of train or of val."""
    if row.get("mode") != "val":
        return row
    return {joined("val", name) if "loss" in name else name: value for name, value in row.items()}


def _of_python(text: str) -> Any:
    """What Python printed, such as str(history.history) of Keras; None where it is something else."""
    if not re.match(r"\s*[\[{]\s*[{']", text):
        return None
    plain = re.sub(r"\bnan\b", "NaN", re.sub(r"\binf\b", "Infinity", text.replace("'", '"')))
    try:
        return json.loads(plain)
    except (ValueError, RecursionError):
        return None


def _lines(text: str) -> list[dict[str, Any]] | None:
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


def _columns(found: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The rows of a dict of columns, as Keras' History.history is, or the first line of JSON lines; None for others."""
    named = {name: values for name, values in found.items() if isinstance(values, list)}
    if not named and any("loss" in name.lower() for name in found):
        return [found]
    if not named or len({len(values) for values in named.values()}) != 1:
        return None
    return [dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True)]
