"""From a path to the table that it holds: which kind of log a file or a folder is."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from pathlib import Path

from downstroke.advice.logs import boosting, catboost, delimited, events, json_files, mlflow, text, tfevents
from downstroke.advice.logs.columns import listed
from downstroke.advice.logs.table import MOST_BYTES, Say, Table, bytes_of, opened, refuse_pointer
from downstroke.errors import LogError, NoValLossYetError, counted

#: The files that are looked for in a folder, in this order.
_FILES = (
    "metrics.csv",
    "history.json",
    "trainer_state.json",
    "history.csv",
    "results.csv",
    "summary.csv",
    catboost.TRAINING,
    catboost.ERRORS[0],
)
#: Endings of files that may be logs, though their names do not tell.
_LIKELY = {".csv", ".tsv", ".json", ".jsonl", ".log", ".txt", ".gz"}
#: What is parsed at most; event files are read record by record, and are not bounded.
MOST_JSON, MOST_LINES, MOST_LINE = 64_000_000, 5_000_000, 1_000_000
_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # of lines, as str.splitlines has them

_JSON = re.compile(r"\s*(?:\{|\[\s*(?:[\[{\"\]]|-?[\d.]+\s*,))")  # not `[12]` or `[2026-11-26`, as lines begin


def table_of(path: Path, say: Say) -> Table:
    """The table in a file; LogError where it is none."""
    with opened(path) as file:
        if tfevents.is_event_file(file.read(tfevents.HEAD)):
            return events.table_of(path, {"": path})
    data = bytes_of(path)
    if data[:2] == b"\x1f\x8b":
        data = _unzipped(path, data)
    if not data.strip():
        raise NoValLossYetError(f"{path} is empty; expected a row for each epoch")
    refuse_pointer(path, data)
    if tfevents.is_event_file(data):
        return events.table_of(path, {"": path}, io.BytesIO(data))
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    if b"\0" in data and not wide:
        raise LogError(f"{path} is a binary file; expected CSV, JSON or a TensorBoard event file")
    held = data.decode("utf-16" if wide else "utf-8-sig", errors="replace")
    del data  # as large as the text
    _bound(path, sum(map(held.count, _ENDS)), MOST_LINES, "lines")
    if _JSON.match(held):
        _bound(path, len(held), MOST_JSON, "characters of JSON")
        return json_files.table_of(path, held, say)
    _bound(path, max(map(len, held.splitlines()), default=0), MOST_LINE, "characters in a line")
    if path.name in catboost.ERRORS:
        return catboost.errors(path, held, say)
    lines = mlflow.table_of(path, held) or boosting.table_of(path, held, say) or text.table_of(path, held)
    if not lines and text.of_training_alone(held):
        raise NoValLossYetError(f"{path} names a training loss and no val loss; advice needs a val loss: log it, too")
    return lines or delimited.table_of(path, held, say)


def _bound(path: Path, count: int, most: int, what: str) -> None:
    """LogError for more than a log of training has: parsed, it would take many times the memory of its text."""
    if count > most:
        raise LogError(f"{path} has more than {most:,} {what}; expected a log of training")


def _unzipped(path: Path, data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            found = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise LogError(f"{path} is a damaged gz file ({error})") from None
    if len(found) > MOST_BYTES:
        raise LogError(f"{path} unpacks to more than {MOST_BYTES // 10**6} MB; expected a log of training")
    return found


def folder_of(folder: Path, say: Say) -> Table:
    """The table in a folder: of the file that is looked for first, or of all its metrics together."""
    for name in _FILES:
        if (folder / name).is_file():
            say(f"reading {folder / name}")
            return table_of(folder / name, say)
    checkpoints = [path for path in folder.glob("checkpoint-*/trainer_state.json") if path.is_file()]
    if checkpoints:
        newest = max(checkpoints, key=lambda path: int("0" + "".join(re.findall(r"\d+", path.parent.name)[-1:])))
        say(f"reading {newest}, the newest of {counted(len(checkpoints), 'checkpoint')}")
        return table_of(newest, say)
    epochs = json_files.of_epochs(folder)
    if epochs:
        say(f"reading the {counted(len(epochs.rows), 'file')} metrics_epoch_*.json of AllenNLP")
        return epochs
    metrics = mlflow.folder_of(folder / "metrics" if (folder / "metrics").is_dir() else folder)
    if metrics:
        return metrics
    found: dict[str, Path] = {}
    written = (path for path in folder.rglob("*tfevents*") if path.is_file() and path.suffix != ".profile-empty")
    for path in sorted(written, key=lambda path: (path.stat().st_mtime_ns, path.name)):
        place = path.parent.relative_to(folder).as_posix()
        if place in found:
            say(f"{path.parent} holds several event files; reading the newest, {path.name}")
        found[place] = path
    if not found:
        likely = _likely(folder)
        hint = f"; it has {listed(likely, 3)}: name one" if likely else ""
        raise NoValLossYetError(
            f"{folder} holds no log; looked for {', '.join(_FILES)}, checkpoint-* and TensorBoard event files{hint}"
        )
    return events.table_of(folder, {"" if place == "." else f"{place}/": path for place, path in found.items()})


def _likely(folder: Path) -> list[str]:
    """What may be a log in a folder that holds none by the names looked for, or in a folder in it."""
    here = (path for path in folder.iterdir() if path.suffix in _LIKELY and path.is_file())
    below = (path for name in _FILES for path in folder.glob(f"*/{name}") if path.is_file())
    saved = {path.parent for path in folder.glob("*/checkpoint-*")}
    return [path.relative_to(folder).as_posix() for path in (*sorted(here), *sorted(below), *sorted(saved))]
