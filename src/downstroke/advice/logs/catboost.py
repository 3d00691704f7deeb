"""CatBoost's own logs, in its folder `catboost_info`: a row an iteration, each a tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from downstroke.advice.logs.columns import column_name
from downstroke.advice.logs.table import Say, Table, bytes_of
from downstroke.errors import LogError

TRAINING = "catboost_training.json"
ERRORS = ("test_error.tsv", "learn_error.tsv")
#: Metrics of which the highest is the best, where no JSON beside the columns says so.
_SCORES = ("auc", "accuracy", "f1", "precision", "recall", "r2", "map", "ndcg", "mcc", "kappa", "mrr", "hitrate")


def is_training(found: Any) -> bool:
    """Whether a JSON is `catboost_training.json`."""
    return isinstance(found, dict) and isinstance(found.get("meta"), dict) and isinstance(found.get("iterations"), list)


def training(path: Path, found: dict[str, Any], say: Say) -> Table:
    """The first metric of the test set that is to fall is the val loss; its like of the learn set the training loss."""
    try:
        meta = found["meta"]
        test, learn = ([str(metric["name"])[:100] for metric in meta[of]] for of in ("test_metrics", "learn_metrics"))
        best = [metric["best_value"] for metric in meta["test_metrics"]]
        falling = [name for name, value in zip(test, best, strict=True) if value == "Min"]
        rows = [
            {
                **{f"test {name}": value for name, value in zip(test, row.get("test", ()), strict=False)},
                **{f"learn {name}": value for name, value in zip(learn, row.get("learn", ()), strict=False)},
            }
            for row in found["iterations"]
        ]
    except (KeyError, TypeError, AttributeError):
        raise LogError(f"{path} is not a complete {TRAINING}; expected meta and iterations") from None
    return _named(path, rows, falling, say)


def errors(path: Path, text: str, say: Say) -> Table:
    """`test_error.tsv`, with `learn_error.tsv` beside it where there is one."""
    header, *lines = [line.split("\t") for line in text.splitlines() if line] or [[""]]
    if path.name != ERRORS[0] or header[0] != "iter":
        raise LogError(f"{path} has the errors of the learn set alone; advice needs {ERRORS[0]}, beside it")
    beside = path.with_name(ERRORS[1])
    held = bytes_of(beside).decode(errors="replace").splitlines() if beside.is_file() else []
    learn = [line.split("\t") for line in held or ["iter"]]
    rows: list[dict[str, Any]] = [{} for line in lines if len(line) == len(header)]
    for of, names, values in (("test", header, lines), ("learn", learn[0], learn[1:])):
        for row, line in zip(rows, values, strict=False):
            if len(line) == len(names):
                row.update({f"{of} {name[:100]}": value for name, value in zip(names[1:], line[1:], strict=True)})
    falling = [name[:100] for name in header[1:] if not name.lower().startswith(_SCORES)]
    return _named(path, rows, falling, say)


def _named(path: Path, rows: list[dict[str, Any]], falling: list[str], say: Say) -> Table:
    """The table, with the columns of its losses beside those of all metrics."""
    if not falling:
        raise LogError(f"{path} has scores of the test set and no loss; advice needs a loss: give eval_metric")
    metric = falling[0]
    say(f"{column_name(metric)} of the test set is taken for the val loss")
    for row in rows:
        for name, of in (("val_loss", "test"), ("loss", "learn")):
            if f"{of} {metric}" in row:
                row[name] = row[f"{of} {metric}"]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Table(path, rows, [f"iteration {number}" for number in range(1, len(rows) + 1)], names, unit="iteration")
