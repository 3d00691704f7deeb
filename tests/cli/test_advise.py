"""`advise` as a command: of a run, of another program's log, after each epoch; quick, and without torch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import downstroke
from downstroke.cli import main
from downstroke.recipe import Recipe
from downstroke.runs.training import Training

LOGS = Path(__file__).parents[1] / "advice" / "logs"
KEYS = {"epoch", "verdict", "best_epoch", "best_val_loss", "forecast", "reason", "command"}
VERDICTS = {"continue", "plateau", "overfitting", "unstable", "too-early"}


def run(*args: Any) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def home(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with one run of six epochs, `mine`."""
    home = tmp_path_factory.mktemp("runs")
    recipe = Recipe(data=str(tiny), model="mlp", batch_size=64, val_size=50, lr=0.02, epochs=6)
    with Training.start(recipe, runs_dir=home, name="mine") as training:
        list(training)
    return home


def test_advice_on_a_run_has_the_keys_of_the_design(home: Path) -> None:
    found = json.loads(run("advise", "mine", "--runs-dir", home, "--json").stdout)
    assert found.keys() >= KEYS
    assert found["epoch"] == 6
    assert found["verdict"] in VERDICTS
    best = downstroke.Run.open("mine", home).history.best
    assert best
    assert (found["best_epoch"], found["best_val_loss"]) == (best.epoch, best.val_loss)
    assert [ahead["epochs"] for ahead in found["forecast"]] == [1, 5, 10]
    assert all(ahead["low"] <= ahead["val_loss"] <= ahead["high"] for ahead in found["forecast"])
    assert found["command"] is None or str(home / "mine") in found["command"]
    assert run("advise", "--runs-dir", home, "--json").stdout == run("advise", home / "mine", "--json").stdout
    assert downstroke.Run.open("mine", home).advice().to_dict()["verdict"] == found["verdict"]


def test_every_is_what_was_said_after_each_epoch_from_that_prefix_alone(home: Path, tmp_path: Path) -> None:
    log = home / "mine" / "metrics.csv"
    lines = log.read_text().splitlines(keepends=True)
    every = json.loads(run("advise", log, "--every", "--json").stdout)["verdicts"]
    assert [advice["epoch"] for advice in every] == [1, 2, 3, 4, 5, 6]
    for epochs in (1, 4, 6):
        (tmp_path / "part.csv").write_text("".join(lines[: epochs + 1]))
        assert json.loads(run("advise", tmp_path / "part.csv", "--json").stdout) == every[epochs - 1]
    assert len(run("advise", log, "--every").stdout.splitlines()) == 6


def test_advice_on_another_programs_log_is_said_in_words() -> None:
    said = run("advise", LOGS / "keras.csv")
    assert said.exit_code == 0
    assert len(said.stdout.splitlines()) == 1, "no next command: it is not our run"
    assert "counts epochs from 0" in said.stderr


def test_the_verdict_is_bold_and_the_next_command_stands_alone(home: Path) -> None:
    said = CliRunner().invoke(main, ["advise", "mine", "--runs-dir", str(home)], color=True).stdout.splitlines()
    assert said[0].startswith("\x1b[1m")
    assert said[0].index(".\x1b[0m ") < 60
    assert said[1].startswith("downstroke ")


def test_a_loss_that_is_no_number_is_unstable_and_no_error(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("epoch,loss,val_loss\n" + "".join(f"{e},{1 / e},{1 / e}\n" for e in range(1, 9)) + "9,nan,nan\n")
    found = run("advise", log, "--json")
    assert found.exit_code == 0
    assert json.loads(found.stdout)["verdict"] == "unstable"


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["nosuch"], "no run 'nosuch'"),
        (["nope.csv"], "no such file: nope.csv"),
        (["there/nope"], "no such file: there/nope"),
        ([LOGS / "keras.csv", "--val-loss", "vall_loss"], "no column 'vall_loss'; did you mean val_loss?"),
        ([LOGS / "keras.csv", "--operating-point", "much"], "no operating point 'much'"),
    ],
)
def test_what_cannot_be_advised_on_is_one_line(args: list[Any], line: str, tmp_path: Path) -> None:
    refused = run("advise", *args, "--runs-dir", tmp_path)
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert line in refused.stderr.splitlines()[-1]


def test_a_log_that_is_not_there_is_told_alike_by_plot(tmp_path: Path) -> None:
    refused = run("plot", "nope.csv", "--runs-dir", tmp_path)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "no such file: nope.csv" in refused.stderr.splitlines()[-1]


def test_a_log_is_watched_to_its_stop_and_drawn(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("epoch,loss,val_loss\n" + "".join(f"{i},{0.9**i},{0.3 + 0.01 * i}\n" for i in range(1, 30)))
    watched = run("advise", log, "--watch")
    assert watched.exit_code == 0
    assert "overfitting" in watched.stdout.splitlines()[-1]
    assert json.loads(run("advise", log, "--watch", "--json").stdout)["verdict"] == "overfitting"
    assert run("advise", log, "--watch", "--every").exit_code == 2
    drawn = json.loads(run("plot", log, "--out", tmp_path / "loss.svg", "--json").stdout)
    assert Path(drawn["plot"]).read_text().startswith("<?xml")
    assert drawn["notes"] == []
    log.write_text(log.read_text().replace("\n1,", "\n0,"))
    [note] = json.loads(run("plot", log, "--out", tmp_path / "loss.svg", "--json").stdout)["notes"]
    assert "counts epochs from 0" in note


def test_train_ends_with_advice(tiny: Path, tmp_path: Path) -> None:
    args = ["train", "--data", tiny, "--model", "linear", "--val-size", 50, "--epochs", 1, "--runs-dir", tmp_path]
    found = json.loads(run(*args, "--json").stdout)["advice"]
    assert found["verdict"] == "too-early"


def test_advising_loads_neither_torch_nor_matplotlib(home: Path) -> None:
    for log in (str(home / "mine"), str(LOGS / "lightning.tfevents")):
        code = (
            f"import sys; from downstroke.cli import main\ntry: main(['advise', {log!r}, '--json'])\n"
            "except SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert json.loads(said.stdout)["verdict"] in VERDICTS
        heavy = {"torch", "matplotlib", "pandas", "tensorboard", "rich", "cv2", "scipy"}
        assert heavy.isdisjoint(said.stderr.splitlines()[-1].split())
