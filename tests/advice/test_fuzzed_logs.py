"""Every reader of logs, given logs that were damaged at random: LogError is all that comes out, in one line."""

import gzip
import json
import math
import os
import random
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from downstroke.advice import logs
from downstroke.advice.logs import curves, delimited, files, json_files
from downstroke.errors import LogError
from downstroke.history import EPOCH_COLUMNS
from wounds import damaged

VAL = [round(0.3 + 0.9 * math.exp(-row / 3), 4) for row in range(8)]
ROWS = [{"i": i, "n": i + 1, "t": round(v - 0.1, 4), "v": v} for i, v in enumerate(VAL)]


def lines(form: str, head: str = "") -> str:
    """A line an epoch: {i} counts from 0, {n} from 1, {t} and {v} are training and val loss."""
    return head + "".join(form.format(**row) + "\n" for row in ROWS)


def a_field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def a_record(event: bytes) -> bytes:
    return struct.pack("<QI", len(event), 0) + event + bytes(4)


def events() -> bytes:
    """TensorBoard's, of a plain number, a tensor of a float and one of an integer."""
    found = a_record(a_field(3, b"brain.Event:2"))
    for step in range(1, 9):
        number = struct.pack("<f", 1 / step)
        values = [
            a_field(1, b"loss") + bytes([2 << 3 | 5]) + number,
            a_field(1, b"val_loss") + a_field(8, bytes([1 << 3, 1]) + a_field(4, number)),
            a_field(1, b"epoch") + a_field(8, bytes([1 << 3, 3]) + a_field(7, bytes([step]))),
        ]
        found += a_record(bytes([2 << 3, step]) + b"".join(a_field(5, a_field(1, value)) for value in values))
    return found


def epochs_of(**columns: str) -> list[dict[str, Any]]:
    return [{name: row[of] for name, of in columns.items()} for row in ROWS]


JSON: dict[str, Any] = {
    "trainer_state.json": {"log_history": epochs_of(epoch="n", step="n", eval_loss="v"), "epoch": 8},
    "history.json": [{**row, "batches": [{"train_loss": 1.0}]} for row in epochs_of(epoch="n", valid_loss="v")],
    "columns.json": {"loss": [row["t"] for row in ROWS], "val_loss": VAL},
    "pandas.json": {"loss": {str(i): v for i, v in enumerate(VAL)}, "val_loss": {str(i): v for i, v in enumerate(VAL)}},
    "ludwig.json": {"training": {"combined": {"loss": VAL}}, "validation": {"combined": {"loss": VAL}}},
    "evals.json": {"train": {"logloss": VAL}, "eval": {"auc": VAL, "logloss": VAL}},
    "catboost_training.json": {
        "meta": {
            "test_metrics": [{"best_value": "Max", "name": "AUC"}, {"best_value": "Min", "name": "Logloss"}],
            "learn_metrics": [{"best_value": "Min", "name": "Logloss"}],
        },
        "iterations": [{"learn": [v], "test": [1 - v, v]} for v in VAL],
    },
}
#: By the name of a log: its files.
LOGS: dict[str, dict[str, bytes]] = {
    **{name: {name: json.dumps(held).encode()} for name, held in JSON.items()},
    **{
        name: {name: text.encode()}
        for name, text in {
            "keras.csv": lines("{i},0.5,{t},0.1,{v}", "epoch,accuracy,loss,lr,val_loss\n"),
            "commas.csv": lines("{i};{v}", "epoch;val_loss\n").replace(".", ","),
            "metrics.csv": lines("{n},{n},1.0,0.1,{t},{t},0.5,{v},0.5", ",".join(EPOCH_COLUMNS) + "\n"),
            "ultralytics.csv": lines("{n},{v},{v},{v},0.1", "epoch,train/box_loss,val/box_loss,val/cls_loss,lr/pg0\n"),
            "fastai.txt": lines("{i}  {t}  {v}  00:12", "epoch  train_loss  valid_loss  time\n"),
            "card.md": lines("| {n} | {t} | {v} |", "| Epoch | Training Loss | Validation Loss |\n|:-:|---:|---|\n"),
            "rows.jsonl": lines('{{"epoch": {n}, "mode": "val", "loss": {v}, "lr": 0.1}}'),
            "printed.log": lines("{{'eval_loss': {v}, 'epoch': {n}.0}}"),
            "progress.log": lines("Epoch {n}/8\n9/9 [===] - loss: {t} - val_loss: {v} - val_acc: 0.5 (best loss 0.3)"),
            "fairseq.log": lines("| valid | epoch {n} | loss {v} | num_updates {n} | lr 0.1"),
            "xgboost.log": lines("[{i}]\ttrain-logloss:{t}\teval-logloss:{v}"),
            "catboost.log": lines("{i}:\tlearn: {t}\ttest: {v}\tbest: {v} ({i})\ttotal: 3ms"),
            "val_loss": lines("169140974{i}901 {v} {i}"),
        }.items()
    },
    "rows.jsonl.gz": {"rows.jsonl.gz": gzip.compress(lines('{{"epoch": {n}, "val_loss": {v}}}').encode(), mtime=0)},
    "utf-16.csv": {"utf-16.csv": lines("{n},{v}", "epoch,val_loss\n").encode("utf-16")},
    "events": {"events.out.tfevents.1.host": events()},
    "a folder of events": {"train/events.out.tfevents.1": events(), "val/events.out.tfevents.2": events()},
    "a folder of MLflow": {
        "metrics/loss": lines("169140974{i}901 {t} {i}").encode(),
        "metrics/val_loss": lines("169140974{i}901 {v} {i}").encode(),
    },
    "a folder of AllenNLP": {
        f"metrics_epoch_{row['i']}.json": json.dumps({"validation_loss": row["v"]}).encode() for row in ROWS
    },
    "test_error.tsv": {  # and what is beside it
        "test_error.tsv": lines("{i}\t{v}", "iter\tLogloss\n").encode(),
        "learn_error.tsv": lines("{i}\t{t}", "iter\tLogloss\n").encode(),
    },
}
LONG = b"9" * 401
TOKENS = [
    *(b"1e999", b"NaN", b"-1", b"null", b"true", b"[", b"]", b"{}", b"[1]", b'"', b'""', b",", b";", b"\t", b"|", b"#"),
    *(b"\0", b"\xff", b"\r", b"\r\n\r\n", b"\xe2\x80\xa8", b"\x1b[2J", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1f\x8b"),
    *("²".encode(), "٣".encode(), LONG, b"1" * 5000, b"1e400", b"0x1", b"1_0", b"--", b"val_loss", b"epoch", b"loss "),
]
STRANGE: list[Any] = [
    *(None, True, -1, 0, 10**400, -(10**400), 1e308, math.nan, math.inf, "", "²", "9" * 5000, "x\ny\x1b", "1e9"),
    *([], {}, [[]], [None], {"loss": {}}, {"": 1}, {"epoch": []}, {"²": 0}, "NaN", [1, "2"], {"x" * 500: {"y": 1}}),
]


def token(found: bytearray, at: int, chance: random.Random) -> None:
    """What means much in a log, in the place of a few bytes."""
    found[at : at + chance.randint(0, 4)] = chance.choice(TOKENS)


def changed(held: Any, chance: random.Random) -> Any:
    """`held` with something strange in one place of it, or under another name."""
    if chance.random() < 0.15 or not isinstance(held, dict | list) or not held:
        return chance.choice(STRANGE)
    if isinstance(held, list):
        at = chance.randrange(len(held))
        return [*held[:at], changed(held[at], chance), *held[at + 1 :]]
    name = chance.choice(list(held))
    new = name if chance.random() < 0.8 else chance.choice(["", "²", "step", "val_loss", "x\ny", "n" * 1000])
    return {**{key: value for key, value in held.items() if key != name}, new: changed(held[name], chance)}


def answers(path: Path, what: str) -> None:
    """Whether a log is read or refused in a line."""
    said: list[str] = []
    try:
        curve = logs.read(path, say=said.append)
    except LogError as error:
        line = str(error).replace(str(path), "")
        assert "\n" not in line, (what, line)
        assert len(line) < 1500, (what, line)
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    else:
        assert len(curve) == len(curve.val_loss) > 0, what
        assert np.isfinite(curve.epoch).all(), what
    assert all(len(line) < 2000 for line in said), what


def written(log: str, folder: Path) -> Path:
    """Where to read a log that is written into `folder`."""
    for name, data in LOGS[log].items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return folder / log if log in LOGS[log] else folder


def wound(log: str, folder: Path, numbers: Iterable[int]) -> None:
    """Damage one of the files of a log again and again, and read it."""
    files, place = LOGS[log], written(log, folder)
    for number in numbers:
        chance = random.Random(number)
        name = chance.choice(list(files))
        path = folder / name
        if log in JSON and number % 2:
            path.write_text(json.dumps(changed(JSON[log], chance)))
        else:
            path.write_bytes(damaged(files[name], chance, [token] * 3))
        answers(path if number % 3 else place, f"{log}, damage {number}")
        path.write_bytes(files[name])


@pytest.mark.parametrize("log", LOGS)
def test_each_kind_of_log_is_read_while_it_is_whole(tmp_path: Path, log: str) -> None:
    assert len(logs.read(written(log, tmp_path))) == len(VAL)


@pytest.mark.parametrize("log", LOGS)
def test_a_log_damaged_at_random_is_read_or_refused_in_a_line(tmp_path: Path, log: str) -> None:
    wound(log, tmp_path, range(40))


@pytest.mark.slow
@pytest.mark.parametrize("log", LOGS)
def test_many_logs_damaged_at_random_are_read_or_refused_in_a_line(tmp_path: Path, log: str) -> None:
    wound(log, tmp_path, range(3000))


DIGITS = "9" * 5000
FOUND: dict[str, tuple[str, bytes, str]] = {
    "a list for an epoch": ("metrics_epoch_0.json", b"[1, 2]", "does not hold a JSON object"),
    "an epoch of 100,000 brackets": ("metrics_epoch_0.json", b"[" * 100_000, "is not valid JSON"),
    "an epoch of no number": ("metrics_epoch_x9.json", b"{}", "holds no log"),
    "an epoch of a raised number": ("metrics_epoch_\u00b29.json", b"{}", "holds no log"),
    "an epoch of 200 digits": (f"metrics_epoch_{'9' * 200}.json", b"{}", "holds no log"),
    "a field of 200,000 characters": ("history.csv", b"epoch,val_loss\n1," + b"5" * 200_000, "line 2: field larger"),
    "a line of names of 200,000 characters": ("history.csv", b"e" * 200_000 + b",val_loss\n1,2\n", "field larger"),
    "a line of 2 million characters": (
        "history.csv",
        b"epoch,val_loss\n" + b"1" * 2_000_000,
        "1,000,000 characters in",
    ),
    "a raised step of MLflow": ("metrics/val_loss", "1691409740901 0.5 \u00b2\n".encode(), "holds no log"),
    "a step of MLflow of 5,000 digits": ("metrics/val_loss", f"1691409740901 0.5 {DIGITS}".encode(), "holds no log"),
    "a tree of 5,000 digits": ("history.csv", f"[{DIGITS}]\teval-logloss:0.5\n".encode(), "no val loss"),
    "no trees": ("history.json", b'{"eval": {"logloss": []}}', "no val loss"),
    "a table without rows": ("history.csv", b"|---|\n|---|\n", "not a known kind of log"),
    "a mark and no text": ("history.csv", b"\xef\xbb\xbf", "not a known kind of log"),
    "CatBoost's iterations that are lists": (
        "catboost_training.json",
        b'{"meta": {"test_metrics": [], "learn_metrics": []}, "iterations": [[1]]}',
        "is not a complete catboost_training.json",
    ),
    "an integer of no bytes in events": (
        "events.out.tfevents.1",
        a_record(a_field(3, b"brain.Event:2"))
        + a_record(a_field(5, a_field(1, a_field(1, b"loss") + a_field(8, bytes([1 << 3, 3]) + a_field(7, b""))))),
        "is a damaged event file",
    ),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_once_was_more_than_a_line_is_one(tmp_path: Path, what: str) -> None:
    name, data, line = FOUND[what]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(LogError, match=line) as caught:
        logs.read(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_json_is_read_or_refused_however_deep_it_is(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    for depth in (*range(900, 1000, 5), 100_000):
        path.write_text('{"val_loss":' * depth + "1" + "}" * depth)
        answers(path, f"{depth} deep")


def test_an_integer_too_large_for_a_float_is_infinite_as_1e999_is(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    for large in ("9" * 401, "1e999"):
        path.write_text(f'[{{"epoch": 1, "val_loss": 0.5}}, {{"epoch": 2, "val_loss": {large}}}]')
        assert logs.read(path).val_loss.tolist() == [0.5, math.inf]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
@pytest.mark.parametrize("name", ["metrics_epoch_0.json", "checkpoint-1/trainer_state.json", "metrics/val_loss"])
def test_a_fifo_in_the_place_of_a_log_keeps_nobody_waiting(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(LogError, match=r"not a regular file|holds no log") as caught:
        logs.read(tmp_path)
    assert str(caught.value).count(str(tmp_path)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "val ",
        "loss ",
        "loss" + " " * 999,
        "val loss:",
        "epoch" + "\t" * 999,
        "best_",
        "best ",
        "min" + "." * 999,
        "[1] a ",
    ],
    ids=repr,
)
def test_a_line_of_any_length_is_searched_in_time_in_line_with_it(tmp_path: Path, line: str) -> None:
    """A pattern that is tried again from each character never came to an end with 60,000 words of `val`."""
    path = tmp_path / "printed.log"
    path.write_text(line * (240_000 // len(line)) + "\n" + lines("epoch {n}: val loss {v}"))
    assert len(logs.read(path)) == len(VAL)


def test_more_than_a_log_of_training_has_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sparse.csv"
    with path.open("wb") as file:
        file.truncate(60_000_000_000)
    with pytest.raises(LogError, match="it has more than 256 MB"):
        logs.read(path)
    for bound, name, said in (
        (files, "MOST_JSON", "40 characters of JSON"),
        (files, "MOST_LINES", "40 lines"),
        (json_files, "MOST_ROWS", "expected at most 40"),
        (delimited, "MOST_CELLS", "40 cells"),
        (curves, "MOST_COLUMNS", "expected 40 at most"),
    ):
        monkeypatch.setattr(bound, name, 40)
        path.write_text(MANY[name])
        with pytest.raises(LogError, match=said):
            logs.read(path)
        monkeypatch.undo()
        logs.read(path)


MANY = {
    "MOST_JSON": json.dumps({"val_loss": VAL}),
    "MOST_ROWS": json.dumps([{"val_loss": 0.5}] * 60),
    "MOST_LINES": "val_loss\n" + "0.5\n" * 60,
    "MOST_CELLS": "epoch,val_loss\n" + "".join(f"{n},0.5\n" for n in range(60)),
    "MOST_COLUMNS": ",".join(["epoch", "val_loss", *(f"x{n}" for n in range(60))]) + "\n" + ",".join(["1"] * 62) + "\n",
}


def calls_of(path: Path) -> int:
    """How many functions are called, Python's and C's, while a log is read."""
    count = 0

    def counting(frame: Any, event: str, of: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counting)
    try:
        logs.read(path)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "form", ["a score of val", "names of its own in each row", "parts of a loss", "epochs that fall"]
)
def test_a_log_takes_work_in_line_with_its_rows(tmp_path: Path, form: str) -> None:
    """A column that was parsed once for each row kept 8,000 rows for 16 s, and 160,000 for hours."""
    taken = []
    for rows in (200, 400):
        path = tmp_path / f"{rows}.log"
        if form == "a score of val":
            text = "epoch,val_loss,val_acc,val_f1\n" + "".join(f"{n},{1 + n / rows},0.5,0.5\n" for n in range(rows))
        elif form == "names of its own in each row":
            text = "".join(f'{{"epoch": {n}, "val_loss": {1 + n / rows}, "val_acc_x{n}": 1}}\n' for n in range(rows))
        elif form == "parts of a loss":
            text = "".join(f'{{"epoch": {n}, "val/x{n}_loss": 1}}\n' for n in range(rows))
            text += json.dumps({"epoch": rows, **{f"val/x{n}_loss": 1 for n in range(rows)}}) + "\n"
        else:
            text = "epoch,val_loss\n" + "".join(f"{rows - n},0.5\n" for n in range(rows))
        path.write_text(text)
        taken.append(calls_of(path))
    assert taken[1] < 2.2 * taken[0]
