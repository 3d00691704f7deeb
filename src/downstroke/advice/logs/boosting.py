"""Boosted trees: what XGBoost, LightGBM and CatBoost print after each tree, and the dicts of what they evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from downstroke.advice.logs.columns import SCORES, listed, words_of
from downstroke.advice.logs.table import Say, Table, joined
from downstroke.errors import LogError

#: `[12]\teval-logloss:0.3` of XGBoost, `[12]\tvalid_0's l2: 0.3` of LightGBM, `12:\tlearn: 0.4\ttest: 0.5` of CatBoost.
_TREE = re.compile(r"^(?:\[\w+\]\s+)?\[(\d{1,15})\]\s++(.*:.*)$|^(\d{1,15}):\s++(learn: .*)$")
# Possessive and of a bounded length, so that a line of any length is searched in linear time.
_NUMBER = r"[-+]?(?:\d++(?:\.\d*+)?+(?:[eE][-+]?\d++)?+|nan|inf)"
_VALUE = re.compile(rf"([A-Za-z][\w'@ -]{{0,100}}+)\s*+:\s*+({_NUMBER})(?=\s|\+|$)")
_TRAIN = ("train", "training", "learn")
_TOLD = ("best", "total", "remaining")  # of CatBoost's line: no set
_HIGHER = {*SCORES, "ndcg", "aucpr", "average_precision", "pre"}


def table_of(path: Path, text: str, say: Say) -> Table | None:
    """The lines that tell of a tree; None where there are none."""
    told = [(number, match) for number, line in enumerate(text.splitlines(), 1) if (match := _TREE.match(line.strip()))]
    found = [[(name.rstrip(), value) for name, value in _VALUE.findall(match[2] or match[4])] for _, match in told]
    rows = [{name: value for name, value in row if name not in _TOLD} for row in found]
    if not rows or not all(rows):
        return None
    trees = [int(match[1] or match[3]) for _, match in told]
    return _judged(path, rows, trees, [f"line {number}" for number, _ in told], say)


def evaluated(path: Path, found: Any, say: Say) -> Table | None:
    """A dict of sets, each a dict of metrics, each a list, a number for every tree; None for others.

    None of these programs calls a metric `loss` (`logloss` is another word): what does is the history of a network.
    """
    if not isinstance(found, Mapping) or not found:
        return None
    if any("loss" in words_of(str(name)) for held in found.values() if isinstance(held, Mapping) for name in held):
        return None
    columns = {
        joined(place, name, "-"): values
        for place, held in found.items()
        for name, values in (held.items() if isinstance(held, Mapping) else [("", None)])
    }
    lists = [values for values in columns.values() if isinstance(values, list)]
    if len(lists) != len(columns) or len({len(values) for values in lists}) != 1 or not lists[0]:
        return None
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)]
    return _judged(path, rows, list(range(len(rows))), [f"entry {at}" for at in range(1, len(rows) + 1)], say)


def _judged(path: Path, rows: Sequence[Mapping[str, Any]], trees: Sequence[int], places: list[str], say: Say) -> Table:
    """The last set is val, as these programs stop early by it; of its metrics, the first that falls."""
    names = list(rows[0])
    falls = [name for name in names if not _HIGHER & {word.split("@")[0] for word in (*words_of(name), _metric(name))}]
    if not falls:
        raise LogError(f"{path} has scores ({listed(names)}) and no val loss; advice needs a loss: log it, too")
    val_set = _set(falls[-1])
    val = next(name for name in falls if _set(name) == val_set)
    train = next((name for name in falls if _set(name) != val_set and _metric(name) == _metric(val)), None)
    if val_set in _TRAIN:
        raise LogError(f"{path} has the loss of the training set alone ({listed(names)}); evaluate a val set, too")
    say(
        f"{listed([val])} is taken for the val loss"
        + ("" if train is None else f", {listed([train])} for the training loss")
    )
    say("an epoch is a tree")
    kept = [
        {"epoch": tree, "val_loss": row[val], **({} if train is None else {"loss": row.get(train)})}
        for tree, row in zip(trees, rows, strict=True)
        if val in row
    ]
    numbered = [place for place, row in zip(places, rows, strict=True) if val in row]
    return Table(path, kept, numbered, ["epoch", "val_loss", *([] if train is None else ["loss"])])


def _set(name: str) -> str:
    return re.split(r"'s |-", name, maxsplit=1)[0]


def _metric(name: str) -> str:
    return re.split(r"'s |-", name, maxsplit=1)[-1] if name not in (*_TRAIN, "test") else ""
