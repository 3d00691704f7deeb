"""Any framework's log of training as a curve, by its columns' names; with numpy alone.

Read are the files of downstroke (a run's folder, `metrics.csv`), Keras, Lightning and fastai (`CSVLogger`), Hugging
Face (`trainer_state.json`), skorch (`history.json`) and TensorBoard (event files); JSON lines, a saved History.history
of Keras, MLflow's metrics, and text whose lines name a val loss. All come down to rows of named
numbers in the order of time. A row with a val loss closes a stretch of training: its training loss is the mean of what
was logged in the stretch, its lr the last. What a program did not measure (an empty cell, `NA`) is no row; what it
measured as NaN or infinite is one.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import itertools
import json
import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstroke.advice import text_logs, tfevents
from downstroke.advice.curve import Curve
from downstroke.advice.text_logs import Table
from downstroke.errors import LogError, RunError, counted
from downstroke.history import EPOCH_COLUMNS, ValLosses
from downstroke.regular import read_regular

MOST_ENVIRONMENT = 64_000_000  # bytes of environment.json
Say = Callable[[str], None]

#: What stands in a cell for a value that was not measured; Keras writes NA.
_NOTHING = {"", "na", "n/a", "none", "null"}
_DECIMAL_COMMA = re.compile(r"^(-?\d+),(\d+(?:[eE][-+]?\d+)?)$")
_VAL = {"val", "valid", "validation", "eval", "evaluation", "dev"}
_TRAIN = {"train", "training"}
DIGITS = 10
MOST_BYTES = 256 << 20  # of an unpacked log
#: Words in the name of a score: higher is better, and advice is drawn from losses.
_SCORES = {
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
MANY = 3  # evaluations an epoch from which they are counted instead of epochs
JUMP = 1.1  # the loss of a new run is so many times the last of the one before
#: The files that are looked for in a folder, in this order.
_FILES = ("metrics.csv", "history.json", "trainer_state.json", "history.csv")


def read(
    path: str | Path, loss: str | None = None, val_loss: str | None = None, *, say: Say = lambda line: None
) -> Curve:
    """The curve that a log holds; `path` is a file or a folder, also of a run that is being written.

    `loss` and `val_loss` name the columns, where their own names do not tell. `say` is given a line for each choice
    that a person should know of. Raises LogError where there is no val loss to be read.
    """
    path = Path(path)
    if path.is_dir() and (path / "metrics.csv").is_file() and (path / "recipe.json").is_file():
        return _with_val_losses(path, _curve(_table(path / "metrics.csv"), loss, val_loss, say), say)
    return _curve(_folder(path, say) if path.is_dir() else _table(path), loss, val_loss, say)


def _classes(table: Table) -> int | None:
    """Among how many classes a run of downstroke chooses, digits where nothing else is said; None for other logs."""
    if tuple(table.names) != EPOCH_COLUMNS:
        return None
    try:
        environment = read_regular(table.file.parent / "environment.json", MOST_ENVIRONMENT)
        return len(json.loads(environment)["data"]["classes"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return DIGITS


# ---- files to tables -------------------------------------------------------------------------------------


def _table(path: Path) -> Table:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LogError(f"{path}: {error.strerror or error}; expected a log of training, or a run") from None
    if data[:2] == b"\x1f\x8b":
        data = _unzipped(path, data)
    if not data.strip():
        raise LogError(f"{path} is empty; expected a row for each epoch")
    if data.startswith(b"version https://git-lfs"):
        raise LogError(f"{path} is a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`")
    if tfevents.is_event_file(data):
        return _events(path, {"": path})
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    if b"\0" in data and not wide:
        raise LogError(f"{path} is a binary file; expected CSV, JSON or a TensorBoard event file")
    text = data.decode("utf-16" if wide else "utf-8-sig", errors="replace")
    if text.lstrip()[0] in "[{":
        return _json(path, text)
    return text_logs.metric(path, text) or text_logs.lines(path, text) or _csv(path, text)


def _unzipped(path: Path, data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            found = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise LogError(f"{path} is a damaged gz file ({error})") from None
    if len(found) > MOST_BYTES:
        raise LogError(f"{path} unpacks to more than {MOST_BYTES >> 20} MB; expected a log of training")
    return found


def _folder(folder: Path, say: Say) -> Table:
    for name in _FILES:
        if (folder / name).is_file():
            say(f"reading {folder / name}")
            return _table(folder / name)
    checkpoints = [path for path in folder.glob("checkpoint-*/trainer_state.json") if path.is_file()]
    if checkpoints:
        newest = max(checkpoints, key=lambda path: int("0" + "".join(re.findall(r"\d+", path.parent.name)[-1:])))
        say(f"reading {newest}, the newest of {counted(len(checkpoints), 'checkpoint')}")
        return _table(newest)
    metrics = _metrics(folder)
    if metrics:
        return metrics
    found: dict[str, Path] = {}
    events = (path for path in folder.rglob("*tfevents*") if path.is_file() and path.suffix != ".profile-empty")
    for path in sorted(events, key=lambda path: (path.stat().st_mtime_ns, path.name)):
        place = path.parent.relative_to(folder).as_posix()
        if place in found:
            say(f"{path.parent} holds several event files; reading the newest, {path.name}")
        found[place] = path
    if not found:
        raise LogError(f"{folder} holds no log; looked for {', '.join(_FILES)} and TensorBoard event files")
    return _events(folder, {"" if place == "." else f"{place}/": path for place, path in found.items()})


def _metrics(folder: Path) -> Table | None:
    """MLflow's folder of metrics: a file each, joined by their steps; None where the folder is none."""
    rows: dict[int, dict[str, Any]] = {}
    names = []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.suffix or path.stat().st_size > MOST_BYTES:
            continue
        told = text_logs.metric(path, path.read_text(errors="replace"))
        if told:
            names.append(path.name)
            for row in told.rows:
                rows.setdefault(int(row[text_logs.STEP]), {})[path.name] = row[path.name]
    if not names:
        return None
    return Table(folder, [rows[step] for step in sorted(rows)], [f"step {step}" for step in sorted(rows)], names)


def _csv(path: Path, text: str) -> Table:
    lines = [line for line in text.splitlines() if not line.startswith("#")] or [""]
    separator = max(",;\t", key=lines[0].count)
    reader = csv.reader(lines, delimiter=separator)
    names = [name.strip() for name in next(reader)]
    own = tuple(names) == EPOCH_COLUMNS
    rows, places = [], []
    for cells in reader:
        if not cells:
            continue
        place = f"line {reader.line_num}"
        if len(cells) != len(names):
            if len(names) == 1:
                raise LogError(
                    f"{path} is no log that is known: its first line is {lines[0][:60]!r}; "
                    f"expected the names of columns, such as epoch,loss,val_loss"
                )
            if reader.line_num == len(lines) and not text.endswith("\n"):
                break  # still being written
            raise LogError(
                f"{path}, {place}: {counted(len(cells), 'field')}; expected {len(names)}, as in the first line"
            )
        row = {name: cell.strip() for name, cell in zip(names, cells, strict=True)}
        if separator == ";":
            row = {name: _DECIMAL_COMMA.sub(r"\1.\2", cell) for name, cell in row.items()}
        rows.append({name: cell for name, cell in row.items() if own or cell.lower() not in _NOTHING})
        places.append(place)
    if own:
        _tell_nan_from_nothing(rows)
    else:
        _refuse_runs(path, rows, names)
    return Table(path, rows, places, names)


def _refuse_runs(path: Path, rows: list[dict[str, Any]], names: Sequence[str]) -> None:
    """A table of runs has a name in each row, and each is another."""
    for name in names:
        if name.lower() in ("name", "run", "run_name", "id") and len(rows) > 1:
            held = [row.get(name, "") for row in rows]
            if len(set(held)) == len(rows) and not any(cell.replace(".", "").isdigit() for cell in held):
                raise LogError(
                    f"{path} is a table of runs, one a row ({held[0]}, {held[1]}); expected the epochs of one"
                )


def _tell_nan_from_nothing(rows: list[dict[str, Any]]) -> None:
    """downstroke writes NaN as an empty cell, and measures a column at every epoch or never.

    A loss that was NaN at every epoch is told by the accuracy beside it, which is a number whenever it is measured.
    """
    for name in EPOCH_COLUMNS:
        beside = name.replace("loss", "accuracy") if name in ("loss", "val_loss") else name
        measured = any(row[name] or row[beside] for row in rows)
        for row in rows:
            if not row[name]:
                row[name] = "nan"
            if not measured:
                del row[name]


def _json(path: Path, text: str) -> Table:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        found = text_logs.json_lines(text)
        if found is None:
            raise LogError(f"{path} is no JSON ({' '.join(str(error).split())}); is it still being written?") from None
    rows = found.get("log_history", text_logs.columns(found)) if isinstance(found, dict) else found
    done = (isinstance(found, dict) and "log_history" in found) or not _numbered_from_0(rows)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise LogError(
            f"{path} is no log that is known; expected the trainer_state.json of Hugging Face, skorch's history.json, "
            f"Keras' History.history, or a line of JSON for each epoch"
        )
    names = list(dict.fromkeys(name for row in rows for name in row))
    # Lists are skorch's batches, true and false its marks for a best so far.
    kept = [
        {name: value for name, value in row.items() if value is not None and not isinstance(value, bool | list | dict)}
        for row in rows
    ]
    names = [name for name in names if any(name in row for row in kept)]
    return Table(path, kept, [f"entry {number}" for number in range(1, len(rows) + 1)], names, epochs_done=done)


def _numbered_from_0(rows: Any) -> bool:
    """Whether whole epochs are counted from 0, as in JSON lines."""
    held = [row["epoch"] for row in rows if isinstance(row, dict) and "epoch" in row] if isinstance(rows, list) else []
    return bool(held) and held[0] == 0 and all(isinstance(epoch, int) for epoch in held)


def _events(source: Path, files: Mapping[str, Path]) -> Table:
    """One table of the event files in `source`; the tags of each begin with its prefix."""
    steps: dict[int, dict[str, Any]] = {}
    names: dict[str, None] = {}
    for prefix, path in files.items():
        try:
            for step, tag, value in tfevents.scalars(path.read_bytes()):
                names[prefix + tag] = None
                steps.setdefault(step, {})[prefix + tag] = value
        except ValueError as error:
            raise LogError(f"{path} is a damaged event file ({error})") from None
    if not names:
        raise LogError(f"{source}: the event file holds no scalars; expected a val loss among them")
    rows = [steps[step] for step in sorted(steps)]
    return Table(source, rows, [f"step {step}" for step in sorted(steps)], list(names))


# ---- tables to curves ------------------------------------------------------------------------------------


def _curve(table: Table, loss: str | None, val_loss: str | None, say: Say) -> Curve:
    val_name = _asked(table, val_loss) if val_loss else _val_column(table, say)
    loss_name = _asked(table, loss) if loss else _train_column(table, say)
    table = _last_run(table, val_name, loss_name, say)
    val = _numbers(table, val_name)
    closing = [i for i, value in enumerate(val) if value is not None]
    if not closing:
        raise LogError(f"{table.file}: no val loss was measured, column {val_name} is empty; advice is drawn from val")
    at, unit = _epochs(table, closing, say), "epoch"
    closing = [i for i in closing if at[i] > 0] or closing  # Hugging Face may measure W before it has learned
    if _within_epochs(at[closing]):
        span = counted(math.ceil(at.max()), "epoch")
        times = counted(len(closing), "time")
        say(f"{val_name} was measured {times} in {span}; evaluations are counted")
        unit = "evaluation"
        before = np.zeros(len(at))
        before[[i + 1 for i in closing if i + 1 < len(at)]] = 1
        at = 1 + np.cumsum(before)
    epoch, last = np.unique(at[closing][::-1], return_index=True)  # of several in one epoch, its last
    if len(epoch) < len(closing):
        say(f"{val_name} was measured several times an epoch; the last of each is taken")
    stretch = np.searchsorted(epoch, at)
    kept = [closing[len(closing) - 1 - i] for i in last]
    _tell_of_scores(table, kept, [val[i] for i in kept], say)
    return Curve(
        epoch=epoch,
        val_loss=np.array([val[i] for i in kept], dtype=np.float64),
        loss=_by_stretch(table, loss_name, stretch, len(epoch), np.mean),
        lr=_by_stretch(table, _lr_column(table), stretch, len(epoch), lambda values: values[-1]),
        classes=_classes(table),
        unit=unit,
        step=_steps(table, kept),
    )


def _within_epochs(at: NDArray[np.float64]) -> bool:
    """Whether val was measured several times an epoch, all along: then evaluations tell more than epochs."""
    if len(at) < 3:
        return False
    spaced = np.any(at % 1 != 0) and np.median(np.diff(at)) < 1 / MANY
    return bool(spaced or len(at) >= MANY * len(np.unique(at)))


def _steps(table: Table, kept: Sequence[int]) -> NDArray[np.float64] | None:
    """The step of each row that is kept; None where the log has none."""
    name = next(
        (name for name in table.names if _words(name)[-1:] in (["step"], ["steps"], ["iter"], ["iteration"])), None
    )
    if name is not None:
        held = _numbers(table, name)
        found = [held[i] for i in kept]
        return None if None in found else np.array(found, dtype=np.float64)
    if table.places and table.places[0].startswith("step"):
        return np.array([float(table.places[i].removeprefix("step ")) for i in kept])
    return None


def _last_run(table: Table, val_name: str, loss_name: str | None, say: Say) -> Table:
    """Of several runs in one file the last: each begins where the epoch is back at the start and a loss jumps up."""
    name = _epoch_column(table)
    if name is None:
        return table
    epochs = _numbers(table, name)
    watched = [_numbers(table, column) for column in (val_name, loss_name) if column]
    begin = 0
    held = [i for i, epoch in enumerate(epochs) if epoch is not None]
    for before, i in itertools.pairwise(held):
        first, now, last = epochs[held[0]], epochs[i], epochs[before]
        if first is None or now is None or last is None or not now <= first < last:
            continue
        jumps = [(values[before], values[i]) for values in watched]
        if any(a is not None and b is not None and b > a + (JUMP - 1) * abs(a) for a, b in jumps):
            begin = i
    if not begin:
        return table
    back = f"{name} is back at {epochs[begin]:g} and the loss jumps"
    say(f"{table.file}, {table.places[begin]}: {back}: a new run; the last is judged")
    return replace(table, rows=table.rows[begin:], places=table.places[begin:])


def _tell_of_scores(table: Table, kept: Sequence[int], val: Sequence[float | None], say: Say) -> None:
    """That a score of val still rises where its loss does not."""
    if len(kept) < 3 or int(np.argmin([math.inf if v is None else v for v in val])) > len(kept) - 3:
        return
    for name in table.names:
        words = set(_words(name))
        if _SCORES & words and (_VAL & words):
            held = [value for value in (_numbers(table, name)[i] for i in kept) if value is not None]
            if len(held) == len(kept) and max(held[-2:]) > max(held[:-2]):
                said = f"{name} still rises (at most {max(held):g} so far), though the val loss does not fall"
                say(f"{said}; advice is drawn from the loss")
                return


def _by_stretch(
    table: Table, name: str | None, stretch: NDArray[np.int64], count: int, of: Callable[[list[float]], Any]
) -> NDArray[np.float64] | None:
    """`of` what column `name` holds in each stretch, [count]; NaN where it holds nothing. None where it never does."""
    if name is None:
        return None
    found: list[list[float]] = [[] for _ in range(count + 1)]  # the last: after the last val loss
    for where, value in zip(stretch.tolist(), _numbers(table, name), strict=True):
        if value is not None:
            found[where].append(value)
    if not any(found[:count]):
        return None
    return np.array([of(values) if values else math.nan for values in found[:count]], dtype=np.float64)


def _epochs(table: Table, closing: Sequence[int], say: Say) -> NDArray[np.float64]:
    """The epoch of every row, never falling; where the log has none that can be used, val losses are counted."""
    name = _epoch_column(table)
    if name:
        known = [math.nan if value is None else value for value in _numbers(table, name)]
        at = _filled(np.array(known))
        back = next((i for i in closing[1:] if at[i] < at[closing[0] : i].max()), None)
        if back is None and np.isfinite(at).all():
            return _from_one(np.maximum.accumulate(at), table, say)
        if back is not None:
            say(
                f"{table.file}, {table.places[back]}: {name} goes back to {at[back]:g}, after {at[:back].max():g}; "
                f"epochs are counted through instead"
            )
    elif table.places[0].startswith("step"):
        steps = np.array([float(place.removeprefix("step ")) for place in table.places])
        if np.diff(steps[list(closing)]).min(initial=math.inf) == 1:
            return _from_one(steps, table, say)
    before = np.zeros(len(table.rows))
    before[[i + 1 for i in closing if i + 1 < len(before)]] = 1
    counted: NDArray[np.float64] = 1 + np.cumsum(before)
    return counted


def _epoch_column(table: Table) -> str | None:
    return next((name for name in table.names if _words(name) in (["epoch"], ["train", "epoch"], ["epochs"])), None)


def _from_one(at: NDArray[np.float64], table: Table, say: Say) -> NDArray[np.float64]:
    """Epochs as they are counted here: the first is 1."""
    if at.min() != 0 or table.epochs_done:
        return at
    say(f"{table.file} counts epochs from 0; here its first is epoch 1")
    return at + 1


def _filled(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaps (NaN) filled with what follows them, the last with what was before: Lightning logs lr ahead of an epoch."""
    known = np.flatnonzero(~np.isnan(at))
    if not len(known):
        return at
    return at[known[np.minimum(np.searchsorted(known, np.arange(len(at))), len(known) - 1)]]


def _numbers(table: Table, name: str) -> list[float | None]:
    """A column, row by row; None where it was not measured. LogError for what is no number."""
    numbers: list[float | None] = []
    for row, place in zip(table.rows, table.places, strict=True):
        value = row.get(name)
        try:
            numbers.append(None if value is None else float(value))
        except (TypeError, ValueError):
            raise LogError(f"{table.file}, {place}: {name} is {value!r}; expected a number") from None
    return numbers


# ---- which column ----------------------------------------------------------------------------------------


def _words(name: str) -> list[str]:
    """The words of a column's name, small: valLoss has two."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    found = re.findall(r"[a-z0-9]+", apart.lower())
    return " ".join(_MEANS.get(word, word) for word in found).split()


def _asked(table: Table, name: str) -> str:
    if name in table.names:
        scores = _SCORES & set(_words(name))
        if scores:
            raise LogError(f"{table.file}: {name} is a score by its name ({min(scores)}), not a loss; name a loss")
        return name
    near = difflib.get_close_matches(name, table.names, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {_listed(table.names)}"
    raise LogError(f"{table.file} has no column {name!r}; {hint}")


def _val_column(table: Table, say: Say) -> str:
    names = [name for name in table.names if not name.endswith(("__MIN", "__MAX"))]
    found = _plainest(names, lambda words: "loss" in words and bool(_VAL & words), {"epoch"})
    if not found:
        found = _plainest(names, lambda words: "loss" in words and "test" in words, {"epoch"})
        if len(found) == 1:
            say(f"{found[0]} is taken for the val loss")
    if not found:
        scores = [name for name in names if _SCORES & set(_words(name))]
        if scores:
            raise LogError(
                f"{table.file} has scores ({_listed(scores)}) and no val loss; advice is drawn from a loss: log one, "
                f"or name its column with --val-loss; there are {_listed(names)}"
            )
        raise LogError(
            f"{table.file} has no val loss that can be told by its name; there are {_listed(names)}: "
            f"name it with --val-loss"
        )
    if len(found) > 1:
        parts = [name for name in names if re.fullmatch(r"val/\w+_loss", name)]
        if set(found) <= set(parts):
            return _sum(table, parts, "val loss", say)
        raise LogError(f"{table.file}: {_listed(found)} could each be the val loss; name one with --val-loss")
    return found[0]


def _sum(table: Table, parts: Sequence[str], name: str, say: Say) -> str:
    """A column that is the sum of others, in the table under `name`: ultralytics logs the parts of its loss alone."""
    columns = [_numbers(table, part) for part in parts]
    for row, values in zip(table.rows, zip(*columns, strict=True), strict=True):
        if None not in values:
            row[name] = sum(value for value in values if value is not None)
    say(f"the {name} is the sum of {_listed(parts)}")
    return name


def _train_column(table: Table, say: Say) -> str | None:
    found = _plainest(table.names, lambda words: "loss" in words and not (_VAL | {"test"}) & words, {"epoch", *_TRAIN})
    parts = [name for name in table.names if re.fullmatch(r"train/\w+_loss", name)]
    if len(found) > 1 and set(found) <= set(parts):
        return _sum(table, parts, "training loss", say)
    if len(found) > 1:
        say(f"{_listed(found)} could each be the training loss: it is left out, unless --loss names one")
    return found[0] if len(found) == 1 else None


def _lr_column(table: Table) -> str | None:
    """Of several groups of weights, each with an lr, the first: they rise and fall together.

    Of ultralytics' the last: pg0 may be that of the biases, which warms up from above.
    """
    groups = [name for name in table.names if re.fullmatch(r"lr/pg\d", name)]
    if groups:
        return groups[-1]
    found = _plainest(table.names, lambda words: "lr" in words or {"learning", "rate"} <= words, {"epoch", *_TRAIN})
    return found[0] if found else None


def _plainest(names: Sequence[str], fits: Callable[[set[str]], bool], neutral: set[str]) -> list[str]:
    """The names that fit and have the fewest words besides `neutral` ones; among equals, the fewest words at all."""
    ranked = sorted(
        (len([word for word in words if word not in neutral]), len(words), index)
        for index, words in enumerate(map(_words, names))
        if fits(set(words))
    )
    return [names[index] for *rank, index in ranked if rank == list(ranked[0][:2])]


def _listed(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


# ---- the losses of every val image -----------------------------------------------------------------------


def val_losses(folder: Path) -> Mapping[int, NDArray[np.floating]]:
    """Epoch -> loss of each val image [N], nats, of the last epochs of the run in `folder`; empty where it has none."""
    try:
        return read(folder).val_losses or {}
    except LogError:
        return {}


def _with_val_losses(folder: Path, curve: Curve, say: Say) -> Curve:
    """The curve of a run, with the losses of its val images in the last epochs."""
    try:
        found = ValLosses.read(folder / "val_losses.npy")
    except RunError as error:
        say(f"{error}; the noise is estimated without it")
        return curve
    if found is None or not found.losses.size:
        return curve
    kept = found.losses
    epochs = _epochs_of(kept, curve) if found.epochs is None else found.epochs.tolist()
    if epochs is None or not _fits(kept, epochs, curve):
        say(f"{folder / 'val_losses.npy'} does not fit metrics.csv; it is left out, and the noise estimated without it")
        return curve
    rows = zip(epochs, kept.astype(np.float64), strict=True)
    by_epoch = {epoch: losses for epoch, losses in rows if epoch in curve.epoch}
    return replace(curve, val_images=kept.shape[1], val_losses=by_epoch)


def _fits(kept: NDArray[np.float16], epochs: Sequence[int], curve: Curve) -> bool:
    """Whether the means of `kept`, a row for each of `epochs`, are the curve's val losses where it has those epochs."""
    measured = dict(zip(curve.epoch.tolist(), curve.val_loss.tolist(), strict=True))
    val = np.array([measured.get(epoch, np.nan) for epoch in epochs])
    plain = np.isfinite(val) & (val < 1000)  # float16 ends at 65504: the losses of a diverging run are cut there
    return bool(np.allclose(kept.astype(np.float64).mean(1)[plain], val[plain], rtol=1e-3, atol=1e-6))


def _epochs_of(kept: NDArray[np.float16], curve: Curve) -> list[int] | None:
    """The epoch of each row of `kept`; None where their means are not the curve's val losses.

    The rows are of the last epochs, but while a run is being written metrics.csv may be a row ahead.
    """
    for ahead in (0, 1):
        end = len(curve.epoch) - ahead
        epochs = [int(epoch) for epoch in curve.epoch[max(0, end - len(kept)) : max(0, end)]]
        if len(epochs) == len(kept) and _fits(kept, epochs, curve):
            return epochs
    return None
