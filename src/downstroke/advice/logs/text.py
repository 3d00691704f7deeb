"""Logs of lines that a program printed, where they name a val loss and its value."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any

from downstroke.advice.logs.table import STEP, Table

# A repeat that can end in one place only is possessive (`*+`): tried again from each of its characters, a line of
# 240,000 blanks would take minutes.
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf"
# Megatron: lm loss value: 2.3; fairseq's JSON: "valid_loss": "2.3"; the epoch of `loss after epoch 3` is taken out.
_IS = r"(?: (?:value|is|was|after|at|in))?['\"]?\s*+[:=]?\s*+['\"]?"
_VAL = r"(?:vali?|valid|validation|eval|evaluation|dev)"
_TRAIN = r"(?:train(?:ing)?|trn)"
_MEAN = r"(?:average|avg|mean|epoch)"
#: Where a name may begin: at a word, also where avg_ and its like stand before it.
_BEGIN = r"(?:\b|(?<=avg_)|(?<=mean_)|(?<=average_)|(?<=epoch_))"


def _loss_of(kind: str, *, needed: bool = True) -> str:
    """`val loss`, `val_loss`, `Val. Loss`, `Test set: Average loss`; the other way round `loss/val`, `loss (val)`."""
    before = rf"(?:{kind}(?: set)?[\s_.:-]*+(?:{_MEAN}[\s_]*+)?)"
    return rf"{_BEGIN}(?:{before}{'' if needed else '?'}loss|loss(?:[_/.-]|\s?\(){kind}\b\)?){_IS}({_NUMBER})"


#: What a line may name, in the order in which it is looked for; what is found is taken out of the line.
_FOUND = {
    "epoch": re.compile(r"\bep(?:och|\.)['\"]?\s*+[:=#\[]?\s*+['\"]?(\d+(?:\.\d+)?)", re.IGNORECASE),
    "val_loss": re.compile(_loss_of(_VAL), re.IGNORECASE),
    "test_loss": re.compile(_loss_of("test(?:ing)?"), re.IGNORECASE),
    "loss": re.compile(_loss_of(_TRAIN, needed=False), re.IGNORECASE),
    "step": re.compile(r"\b(?:step|iter|iteration|up\.)\s*+[:=#\[]?\s*+(\d+)", re.IGNORECASE),
    "lr": re.compile(rf"(?:\b|(?<=train_))(?:lr|learning[ _]rate){_IS}({_NUMBER})", re.IGNORECASE),
}
#: A line about val that names its loss further on: fairseq's `| valid | epoch 001 | loss 9.6`, Marian's cross-entropy.
_OF_VAL = re.compile(
    rf"(?P<val>\b{_VAL}(?![a-z]))|(?P<train>train)|\b(?:loss|cross-entropy){_IS}(?P<loss>{_NUMBER})", re.IGNORECASE
)
#: The best so far is told again in later lines.
_BEST = re.compile(
    rf"\b(?:best|lowest|min(?:imum)?)[\s_.-]*+(?:\w*+(?<=loss)|\w++[\s.-][\s_.-]*+loss\b)[^\d\n]*(?:{_NUMBER})?",
    re.IGNORECASE,
)


def table_of(path: Path, text: str) -> Table | None:
    """The lines that name a loss, and what they name besides; None where none names a val loss.

    An epoch that a line of its own names counts for the lines after it.
    """
    rows: list[dict[str, Any]] = []
    places: list[str] = []
    epoch = None
    for number, line in enumerate(text.splitlines(), start=1):
        row = _row(line)
        epoch = row.get("epoch", epoch)
        if {"val_loss", "loss"} <= row.keys():
            while rows and rows[-1].keys().isdisjoint({"val_loss", "test_loss"}):  # a progress bar's: of a part
                rows.pop()
                places.pop()
        if {"val_loss", "test_loss", "loss"} & row.keys():
            rows.append(row if epoch is None else {**row, "epoch": epoch})
            places.append(f"line {number}")
    held = {name for row in rows for name in row}
    if not held & {"val_loss", "test_loss"}:
        return None
    names = [name for name in ("epoch", STEP, "loss", "val_loss", "test_loss", "lr") if name in held]
    partly = any("." in row.get("epoch", "") for row in rows)  # as Hugging Face counts: the epochs that were done
    return Table(path, rows, places, names, epochs_done=partly)


def of_training_alone(text: str) -> bool:
    """Whether a few lines name a training loss; asked where none names a val loss."""
    naming = (line for line in text.splitlines() if "loss" in _row(line))
    return len(list(islice(naming, 2))) == 2


def _row(line: str) -> dict[str, Any]:
    """What a line names."""
    row: dict[str, Any] = {}
    small = line.lower()
    if "loss" not in small and "cross-entropy" not in small:  # most lines of most logs; here only the epoch may count
        match = _FOUND["epoch"].search(line) if "ep" in small else None
        return {"epoch": match[1]} if match else row
    left = _BEST.sub("", line)
    for name, pattern in _FOUND.items():
        if match := pattern.search(left):
            row[name] = match[1]
            left = left[: match.start()] + left[match.end() :]
        elif name == "val_loss" and (match := _loss_of_val(left)):
            row[name] = match["loss"]
            left = left[: match.start("loss")] + left[match.end() :]
    return row


def _loss_of_val(line: str) -> re.Match[str] | None:
    """The first loss that a word of val stands before, without `train` between them."""
    of_val = False
    for match in _OF_VAL.finditer(line):
        if match["loss"] and of_val:
            return match
        if match["val"] or match["train"]:
            of_val = bool(match["val"])
    return None
