"""docs/events.md: the example runs, and the loggers get what it says."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import downstroke
from downstroke import StopReason
from downstroke.errors import DownstrokeError
from downstroke.watchers import loggers

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")


def train(tiny: Path, home: Path, **given: Any) -> downstroke.Run:
    return downstroke.train(data=str(tiny), model="linear", epochs=1, runs_dir=home, progress=False, **given)


def test_the_example_runs_and_prints_each_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    session: dict[str, Any] = {}
    exec(compile(code, "docs/events.md", "exec"), session)
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"epoch 1: train [\d.]+, val [\d.]+ \*; 500 val images", said[0]), said
    assert said[-1] == "watched finished after 8 steps"
    assert session["batches"] == [step.batch_loss for step in session["run"].steps]


def test_the_page_names_every_logger() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| `pip", PAGE, re.M)) == set(loggers.LOGGERS)


def test_a_watcher_may_stop_the_training(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, watch=lambda training, event: training.learner.stop())
    assert run.stopped is StopReason.INTERRUPTED
    assert len(run.steps) == 1


@pytest.mark.parametrize("name", sorted(loggers.LOGGERS))
def test_a_missing_package_is_one_line_before_a_run_is_made(
    name: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DownstrokeError, match=rf"^--log-to {name} needs {name}: pip install '{name}\S+"):
        train(tiny, tmp_path / "runs", log_to=name)
    assert not (tmp_path / "runs").exists()


def test_an_unknown_logger_is_one_line(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(DownstrokeError, match="no logger 'comet'; there are mlflow, wandb, tensorboard"):
        train(tiny, tmp_path, log_to=["comet"])


class Kept(loggers.Logger):
    """A logger that keeps what it is given, and fails at a step, if told so."""

    name, modules = "kept", ()

    def __init__(self, fails_at: int = 0) -> None:
        super().__init__()
        self.fails_at, self.rows, self.ended = fails_at, list[Any](), ""

    def begin(self, run: Any) -> None:
        self.rows.append(run.name)

    def log(self, kind: str, row: Any, at: int) -> None:
        if at == self.fails_at:
            raise OSError("no space left\non device")
        self.rows.append((kind, at))

    def end(self, how: str) -> None:
        self.ended = how


def test_a_logger_gets_every_step_and_epoch_and_how_it_ended(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept()
    monkeypatch.setattr(loggers, "LOGGERS", {"kept": lambda: kept})
    run = train(tiny, tmp_path, log_to="kept")
    assert kept.rows == [run.name, *(("step", step.step) for step in run.steps), ("epoch", 1)]
    assert kept.ended == "finished"


def test_a_logger_that_fails_is_left_out_and_training_goes_on(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Kept(fails_at=2)
    monkeypatch.setattr(loggers, "LOGGERS", {"kept": lambda: kept})
    run = train(tiny, tmp_path, log_to="kept")
    assert run.stopped is StopReason.FINISHED
    assert len(kept.rows) == 2
    assert capsys.readouterr().err == "note: logging to kept ended: OSError: no space left on device\n"


def test_a_training_that_raises_is_logged_as_failed(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept()
    monkeypatch.setattr(loggers, "LOGGERS", {"kept": lambda: kept})

    def watch(training: Any, event: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError):
        train(tiny, tmp_path, log_to="kept", watch=watch)
    assert kept.ended == "failed"


#: Trains an epoch, continues for one more, and prints what the logger kept. In a process of its own: the packages warn.
BOTH = """
import sys, downstroke
given = dict(data={data!r}, model="linear", epochs=1, name="a", runs_dir={home!r}, progress=False, log_to={name!r})
downstroke.train(**given).extend(epochs=1, progress=False, log_to={name!r})
{look}
"""
MLFLOW = """
from mlflow import MlflowClient
client = MlflowClient()
(run,) = client.search_runs([client.get_experiment_by_name("downstroke").experiment_id])
losses = [metric.value for metric in client.get_metric_history(run.info.run_id, "epoch/val_loss")]
print(run.info.status, run.data.params["model"], *losses, len(client.get_metric_history(run.info.run_id, "step/lr")))
"""
# W&B's file: blocks of 32 KiB with records of LevelDB's log, each a checksum, a length, and whole (1) or part (2-4).
WANDB = """
import json, pathlib, struct
from wandb.proto import wandb_internal_pb2

def records(content):
    at, kept = 7, b""
    while at + 7 <= len(content):
        if (rest := 32768 - at % 32768) < 7:
            at += rest
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        kept += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield wandb_internal_pb2.Record.FromString(kept)
            kept = b""

losses, steps, ids = [], 0, set()
for path in sorted(pathlib.Path({home!r}).glob("a/wandb/offline-run-*/*.wandb")):
    ids.add(path.stem)
    for record in records(path.read_bytes()):
        row = {{(item.key or item.nested_key[0]): json.loads(item.value_json) for item in record.history.item}}
        steps += "step/lr" in row
        losses += [row["epoch/val_loss"]] if "epoch/val_loss" in row else []
print(len(ids), "-", *losses, steps)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "look"), [("mlflow", MLFLOW), ("wandb", WANDB)])
def test_the_figures_reach_the_package_itself(
    name: str, look: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    home = str(tmp_path / "runs")
    code = BOTH.format(data=str(tiny), home=home, name=name, look=look.format(home=home))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()[-1].split()
    assert told[:2] == {"mlflow": ["FINISHED", "linear"], "wandb": ["1", "-"]}[name], done.stdout
    losses = downstroke.Run.open("a", home).history.column("val_loss")
    assert [float(value) for value in told[2:4]] == pytest.approx(losses)
    assert told[4] == str(len(downstroke.Run.open("a", home).steps))
