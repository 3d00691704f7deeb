"""Which column of a log is which, told by the words in their names."""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from downstroke.advice.logs.table import Say, Table
from downstroke.errors import LogError, NoValLossYetError, shown

VAL = {"val", "vali", "valid", "validation", "eval", "evaluation", "dev"}
_TRAIN = {"train", "training"}
#: Words in the name of a score: higher is better, and advice is drawn from losses.
SCORES = {
    "acc",
    "acc1",
    "acc5",
    "accuracy",
    "auc",
    "f1",
    "dice",
    "map",
    "map50",
    "iou",
    "precision",
    "recall",
    "bleu",
    "r2",
}
#: Words of other languages, and what they are here.
_MEANS = {
    "verlust": "loss",
    "validierung": "val",
    "epoche": "epoch",
    "lernrate": "lr",
    "val_loss": "val loss",
    "validierungsverlust": "val loss",
    "trainingsverlust": "train loss",
    "valloss": "val loss",
    "trainloss": "train loss",
}


def numbers(table: Table, name: str) -> list[float | None]:
    """A column, row by row; None where it was not measured. LogError for what is not a number."""
    with suppress(TypeError, ValueError, OverflowError):  # nearly always; what is wrong where is found out below
        return [None if (value := row.get(name)) is None else float(value) for row in table.rows]
    return [_number(table, place, name, row.get(name)) for row, place in zip(table.rows, table.places, strict=True)]


def _number(table: Table, place: str, name: str, value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # an integer in JSON, as 1e999 is there
    except (TypeError, ValueError):
        raise LogError(
            f"{table.file}, {place}: {column_name(name)} is {reprlib.repr(value)}; expected a number"
        ) from None


def if_numbers(table: Table, name: str) -> list[float | None] | None:
    """A column that advice can do without, row by row; None where something in it is no number."""
    try:
        return numbers(table, name)
    except LogError:
        return None


def words_of(name: str) -> list[str]:
    """The words of a column's name, small: valLoss has two."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    found = re.findall(r"[a-z0-9]+", apart.lower())
    return " ".join(_MEANS.get(word, word) for word in found).split()


def score_in(name: str) -> str | None:
    """The word that tells that a column holds a score: higher is better. None where there is none."""
    return min(SCORES & set(words_of(name)), default=None)


def asked(table: Table, name: str) -> str:
    """The column that was asked for by name. LogError where there is none, or where it holds a score."""
    if name in table.names:
        if score := score_in(name):
            raise LogError(
                f"{table.file}: {column_name(name)} is a score by its name ({score}), not a loss; name a loss"
            )
        return name
    near = difflib.get_close_matches(name, table.names, 1)
    hint = f"did you mean {column_name(near[0])}?" if near else f"there are {listed(table.names)}"
    raise LogError(f"{table.file} has no column {column_name(name)!r}; {hint}")


def val_column(table: Table, say: Say) -> str:
    if not any(table.names):
        raise LogError(f"{table.file} has no val loss: no number stands under a name; expected a row for each epoch")
    metrics = _metrics(table)
    names = list(metrics)
    found = _plainest(metrics, lambda words: "loss" in words and bool(VAL & words), {"epoch", "total", "combined"})
    if not found:
        found = _plainest(metrics, lambda words: "loss" in words and "test" in words, {"epoch"})
        if len(found) == 1:
            say(f"{column_name(found[0])} is taken for the val loss")
    if not found:
        scores = [name for name in names if score_in(name)]
        others = [name for name in names if not score_in(name)]
        left = sorted(others, key=lambda name: "loss" not in words_of(name))
        if scores and not any("loss" in words_of(name) for name in left):
            raise LogError(
                f"{table.file} has scores ({listed(scores)}) and no val loss; advice needs a loss: log it, too"
            )
        raise NoValLossYetError(
            f"{table.file} has no val loss: no column is named like one; there are {listed(left)}: "
            f"name it with --val-loss, or log one"
        )
    if len(found) > 1:
        parts = [name for name in names if re.fullmatch(r"val/\w+_loss", name)]
        if set(found) <= set(parts):
            return _sum(table, parts, "val loss", say)
        raise LogError(f"{table.file}: {listed(found)} could each be the val loss; name one with --val-loss")
    return found[0]


def _sum(table: Table, parts: Sequence[str], name: str, say: Say) -> str:
    """A column that is the sum of others, in the table under `name`: ultralytics logs the parts of its loss alone."""
    for row, place in zip(table.rows, table.places, strict=True):
        if all(part in row for part in parts):
            values = [_number(table, place, part, row[part]) for part in parts]
            row[name] = sum(value for value in values if value is not None)
    say(f"the {name} is the sum of {listed(parts)}")
    return name


def train_column(table: Table, say: Say) -> str | None:
    found = _plainest(
        _metrics(table),
        lambda words: "loss" in words and not (VAL | {"test"}) & words,
        {"epoch", "total", "combined", *_TRAIN},
    )
    parts = [name for name in table.names if re.fullmatch(r"train/\w+_loss", name)]
    if len(found) > 1 and set(found) <= set(parts):
        return _sum(table, parts, "training loss", say)
    if len(found) > 1:
        say(f"{listed(found)} could each be the training loss: it is left out, unless --loss names one")
    return found[0] if len(found) == 1 else None


def lr_column(table: Table) -> str | None:
    """Of several groups of weights, each with an lr, the first: they rise and fall together.

    Of ultralytics' the last: pg0 may be that of the biases, which warms up from above.
    """
    groups = [name for name in table.names if re.fullmatch(r"lr/pg\d|x/lr\d", name)]
    if groups:
        return groups[-1]
    found = _plainest(_metrics(table), lambda words: "lr" in words or {"learning", "rate"} <= words, {"epoch", *_TRAIN})
    return found[0] if found else None


def _metrics(table: Table) -> dict[str, str]:
    """The columns, each with the metric that it names.

    W&B's export of a chart writes the run before it, `eval-run - train/loss`, and has two more columns for each, of its
    lowest and highest.
    """
    bounds = ("__MIN", "__MAX")
    of_runs = any(name.endswith(bounds) for name in table.names)
    plain = [name for name in table.names if not name.endswith(bounds)]
    return {name: name.rpartition(" - ")[2] if of_runs else name for name in plain}


def _plainest(metrics: Mapping[str, str], fits: Callable[[set[str]], bool], neutral: set[str]) -> list[str]:
    """The columns that fit and have the fewest words besides `neutral` ones; among equals, the fewest words at all."""
    names = list(metrics)
    ranked = sorted(
        (len([word for word in words if word not in neutral]), len(words), index)
        for index, words in enumerate(map(words_of, metrics.values()))
        if fits(set(words))
    )
    return [names[index] for *rank, index in ranked if rank == list(ranked[0][:2])]


def column_name(name: str) -> str:
    """A column's name as it may stand in a line."""
    return shown(name[:80])


def listed(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(map(column_name, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")
