"""The commands: one JSON value on stdout, one line for an error, and the exit codes of the design."""

import io
import itertools
import json
import math
import os
import pty
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from rich.console import Console

import downstroke
from downstroke.cli import main
from downstroke.cli.printing import print_figures
from downstroke.data.dataset import Dataset
from downstroke.errors import RecipeError, RunError, shown
from downstroke.history import EpochRow, StepRow
from downstroke.learning import criteria, models, optimizers, schedules
from downstroke.learning.events import EpochDone, StepDone
from downstroke.reading import reader
from downstroke.recipe import RECIPES, Recipe
from downstroke.runs.training import Training
from downstroke.watchers.progress import COLUMNS, LiveProgress, cells

HOME = Path(downstroke.__file__).parent
SMALL = ["--model", "mlp", "--batch-size", "64", "--val-size", "50", "--lr", "0.02", "--optimizer", "nesterov"]


def run(*args: Any) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def one_line(result: Result) -> str:
    """The error that a person sees."""
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture(scope="module")
def home(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with one trained run, `mine`."""
    home = tmp_path_factory.mktemp("runs")
    result = run("train", "--data", tiny, *SMALL, "--epochs", 8, "--name", "mine", "--runs-dir", home)
    assert result.exit_code == 0, result.output
    return home


@pytest.mark.pictures
def test_train_continue_test_and_plot_answer_in_json(tiny: Path, tmp_path: Path) -> None:
    where = ("--runs-dir", tmp_path, "--json")
    trained = json.loads(run("train", "--data", tiny, *SMALL, "--epochs", 2, "--name", "a", *where).stdout)
    assert trained["run"] == str(tmp_path / "a")
    assert (trained["recipe"], trained["epochs"], trained["steps"]) == ("standard", 2, 20)
    assert 0 < trained["train_seconds"] < 60
    assert trained["val_loss"] > 0
    assert 0 < trained["val_accuracy"] <= 1
    assert trained["peak_rss_mb"] > 100
    assert "advice" in trained
    continued = json.loads(run("continue", "a", "--epochs", 1, *where).stdout)
    assert (continued["epochs"], continued["steps"]) == (3, 30)
    tested = json.loads(run("test", "a", *where).stdout)
    assert {"run", "accuracy", "accuracy_interval", "nll", "ece", "errors", "images", "looks"} <= tested.keys()
    assert (tested["images"], tested["looks"]) == (200, 1)
    plotted = json.loads(run("plot", "a", *where).stdout)
    assert Path(plotted["plot"]).read_bytes().startswith(b"\x89PNG")
    listed = json.loads(run("runs", *where).stdout)
    assert [row["run"] for row in listed] == [str(tmp_path / "a")]
    folder = {path.name for path in (tmp_path / "a").iterdir()}
    assert {"recipe.json", "environment.json", "metrics.csv", "steps.csv", "val_losses.npy", "loss.png"} <= folder
    assert {"best", "last", "test.json"} <= folder


def test_json_has_no_number_that_json_has_not(tiny: Path, tmp_path: Path) -> None:
    args = ("--data", tiny, "--model", "linear", "--no-val", "--epochs", 1, "--runs-dir", tmp_path, "--json")
    trained = json.loads(run("train", *args).stdout, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert trained["val_loss"] is None


def test_what_is_printed_names_the_next_command(tiny: Path, tmp_path: Path) -> None:
    trained = run("train", "--data", tiny, *SMALL, "--epochs", 1, "--name", "a", "--runs-dir", tmp_path)
    assert f"downstroke continue {tmp_path}/a --epochs" in trained.stdout
    assert "val accuracy" in trained.stdout
    assert "epoch 1" in trained.stderr, "a line an epoch, where there is no terminal"
    finished = run("continue", "a", "--runs-dir", tmp_path)
    assert finished.exit_code == 0
    assert "nothing was left to do" in finished.stdout
    tested = run("test", "--runs-dir", tmp_path)
    assert "look 1" in tested.stdout
    assert "with its best weights" in tested.stdout
    assert "look 2" in run("test", "--runs-dir", tmp_path).stdout


def test_several_runs_are_plotted_in_one_picture(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "both.svg"
    assert run("plot", home / "mine", "mine", "--out", out, "--runs-dir", home).exit_code == 0
    assert "mine" in out.read_text()


def test_plot_writes_where_its_help_says(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = " ".join(run("plot", "--help").stdout.split())
    assert "loss.png in the run's folder, or of several runs losses.png in the current folder" in told
    monkeypatch.chdir(tmp_path)
    assert run("plot", "mine", "mine", "--runs-dir", home).stdout.split() == [str(tmp_path / "losses.png")]
    assert (tmp_path / "losses.png").is_file()
    assert run("plot", "mine", "--runs-dir", home).stdout.split() == [str((home / "mine" / "loss.png").resolve())]


def test_tensorboard_gets_the_same_figures(tiny: Path, tmp_path: Path) -> None:
    args = ("--data", tiny, *SMALL, "--epochs", 1, "--name", "a", "--runs-dir", tmp_path, "--tensorboard")
    # In another process, because tensorboard's libraries raise warnings.
    code = (
        "import sys; from downstroke.cli import main; main(sys.argv[2:], standalone_mode=False);"
        "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator as E;"
        "e = E(sys.argv[1]); e.Reload(); print(e.Scalars('epoch/val_loss')[-1].value, len(e.Scalars('step/lr')))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a/tensorboard"), "train", *map(str, args)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    loss, steps = said.stdout.splitlines()[-1].split()
    rows = (tmp_path / "a/metrics.csv").read_text().splitlines()
    assert float(loss) == pytest.approx(float(rows[1].split(",")[7]), rel=1e-6)
    assert int(steps) == 10


@pytest.mark.parametrize(("given", "kept"), [(None, "1"), ("3", "3")])
def test_numpy_of_a_command_has_one_thread_unless_told_otherwise(given: str | None, kept: str) -> None:
    code = (
        "import atexit, os, sys; atexit.register(lambda: print(os.environ['OPENBLAS_NUM_THREADS']))\n"
        "sys.argv = ['downstroke', '--version']; from downstroke.__main__ import run; run()"
    )
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_NUM_THREADS"}
    if given:
        environment["OPENBLAS_NUM_THREADS"] = given
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert said.stdout.splitlines()[-1] == kept


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["train", "nosuch"], 2, "no recipe 'nosuch'"),
        (["train", "nosuch.toml"], 2, "no such recipe file"),
        (["train", "--lr", "-1"], 2, "lr is -1"),
        (["train", "--model", "nosuch"], 2, "no model 'nosuch'"),
        (["train", "--optimizer", "nosuch"], 2, "no optimizer 'nosuch'"),
        (["train", "--criterion", "nosuch"], 2, "no criterion 'nosuch'"),
        (["train", "--schedule", "nosuch"], 2, "no schedule 'nosuch'"),
        (["train", "--augment", "nosuch"], 2, "no augmentation 'nosuch'"),
        (["train", "--device", "nosuch"], 2, "no device 'nosuch'"),
        (["train", "--precision", "nosuch"], 2, "no precision 'nosuch'"),
        (["train", "--threads", "0"], 2, "threads is 0"),
        (["train", "--threads", "100000"], 2, "threads is 100000"),
        (["train", "--name", "../x"], 1, "run name '../x'"),
        (["train", "--data", "nosuch.npz"], 1, "nosuch.npz"),
        (["train", "--data", "."], 1, "expected"),
        (["continue"], 1, "no run in"),
        (["continue", "nosuch"], 1, "no run 'nosuch'"),
        (["test"], 1, "no run in"),
        (["plot", "."], 1, "holds no log"),
        (["read", "x.png", "--run", "none"], 1, "no run 'none'"),
    ],
)
def test_an_error_is_one_line_and_leaves_nothing(
    args: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*args)
    assert said in one_line(result)
    assert result.exit_code == code
    assert list(tmp_path.rglob("recipe.json")) == []


@pytest.mark.parametrize(
    "args", [["train", "--no-such-flag"], ["nosuch"], ["read"], ["train", "--no-val", "--val-size", "5"]]
)
def test_wrong_usage_exits_2(args: list[str]) -> None:
    assert run(*args).exit_code == 2


def test_debug_shows_where(tmp_path: Path) -> None:
    result = run("continue", "nosuch", "--runs-dir", tmp_path, "--debug")
    assert type(result.exception).__name__ == "RunError"


def test_the_help_of_train_knows_every_name() -> None:
    text = "".join(run("train", "--help").output.split())  # lines break at hyphens, too
    for names in (RECIPES, models.MODELS, criteria.CRITERIA, optimizers.OPTIMIZERS, schedules.SCHEDULES):
        assert [name for name in names if name not in text] == []


def test_every_command_has_help_and_json() -> None:
    for name, command in main.commands.items():
        assert run(name, "--help").exit_code == 0
        if not isinstance(command, click.Group):
            assert any("--json" in p.opts for p in command.params), name


def test_a_ctrl_c_prints_the_command_that_continues_and_exits_130(tiny: Path, tmp_path: Path) -> None:
    args = ["--data", str(tiny), *SMALL, "--epochs", "5000", "--name", "a", "--runs-dir", "there"]
    command = [sys.executable, "-m", "downstroke", "train", *args]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("data: ")
        assert "epoch 1" in process.stderr.readline()
        os.kill(process.pid, 2)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1].endswith("downstroke continue there/a")


def picture(image: np.ndarray[Any, Any], path: Path) -> Path:
    Image.fromarray(image).save(path)
    return path


def test_read_reads_what_it_can_and_says_what_it_cannot(home: Path, mnist: Dataset, tmp_path: Path) -> None:
    """Dark on light and twice as large, as a JPEG, a digit is read alike; bad pictures do not stop the rest."""
    digit = mnist.test.images[0]
    good = picture(digit, tmp_path / "good.png")
    dark = picture(255 - np.kron(np.pad(digit, 8), np.ones((2, 2), np.uint8)), tmp_path / "dark.jpg")
    blank = picture(np.full((40, 30), 200, np.uint8), tmp_path / "blank.png")
    text = tmp_path / "text.png"
    text.write_text("no picture")
    empty = tmp_path / "empty.png"
    empty.touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    given = [good, text, blank, tmp_path / "missing.png", empty, folder, dark]
    result = run("read", *given, "--json", "--runs-dir", home)
    assert result.exit_code == 1
    readings = json.loads(result.stdout)
    assert [Path(r["file"]) for r in readings] == given
    assert [r["error"] is None for r in readings] == [True, False, False, False, False, False, True]
    for reading in readings:
        if reading["error"]:
            assert reading["lines"] == []
            assert reading["file"] in reading["error"]
            assert "\n" not in reading["error"]
    first, last = readings[0]["lines"][0], readings[-1]["lines"][0]
    assert first["text"] == last["text"] == "7"
    found = first["digits"][0]
    assert found["digit"] == 7
    assert found["probability"] == max(found["probabilities"])
    assert math.fsum(found["probabilities"]) == pytest.approx(1)
    assert found["accepted"] is True
    x, y, width, height = last["digits"][0]["box"]
    assert 16 < x < 16 + 2 * 28 - width
    assert y > 16
    assert abs(max(width, height) - 40) <= 4


def test_hostile_files_get_a_line_each_and_the_rest_are_read(mnist: Dataset, tmp_path: Path) -> None:
    good = picture(mnist.test.images[0], tmp_path / "good.png")
    odd = tmp_path / "a\nb\x1b[31m.png"
    odd.write_bytes(good.read_bytes())
    whole = good.read_bytes()
    bad = {
        "cut.png": whole[: len(whole) // 2],
        "huge.png": whole[:16] + b"\x7f\xff\xff\xff" * 2 + whole[24:],
        "a\nletter.png": b"hello",
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    picture(np.zeros((1, 1), np.uint8), tmp_path / "dot.png")
    picture(np.zeros((1, 100_000), np.uint8), tmp_path / "long.png")
    Image.fromarray(np.full((9, 9), np.nan, np.float32)).save(tmp_path / "nan.tif")
    os.mkfifo(tmp_path / "fifo")
    names = [*bad, "dot.png", "long.png", "nan.tif", "fifo"]
    result = run("read", *(tmp_path / name for name in names), good, odd)
    assert result.exit_code == 1
    said = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert [line.split(": ")[1] for line in said] == [str(tmp_path / name).replace("\n", "\\n") for name in names]
    assert len(said) == len(result.stderr.splitlines()) - 1, "and one that says what is read with"
    assert f"{good}: 7" in result.stdout
    assert f"{tmp_path}/a\\nb\\x1b[31m.png: 7" in result.stdout


def test_a_name_that_is_no_text_is_still_json(mnist: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "\udcff.png"
    path.write_bytes(picture(mnist.test.images[0], tmp_path / "good.png").read_bytes())
    result = run("read", path, "--json")
    assert [reading["file"] for reading in json.loads(result.stdout_bytes)] == [str(path)]


def test_what_cannot_be_drawn_is_said_and_the_rest_are_read(mnist: Dataset, tmp_path: Path) -> None:
    good = picture(mnist.test.images[0], tmp_path / "good.png")
    result = run("read", good, good, "--json", "--show", tmp_path / "missing" / "out.png")
    assert result.exit_code == 1
    assert [reading["lines"][0]["text"] for reading in json.loads(result.stdout)] == ["7", "7"]
    assert len([line for line in result.stderr.splitlines() if line.startswith("error: ")]) == 2


def test_one_failure_that_nobody_foresaw_does_not_stop_the_rest(
    mnist: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = picture(mnist.test.images[0], tmp_path / "good.png")
    worse = picture(mnist.test.images[1], tmp_path / "worse.png")
    read = reader.read_picture

    def fail(path: Path, name: str) -> Any:
        if "worse" in name:
            raise MemoryError("no memory\nat all")
        return read(path, name)

    monkeypatch.setattr(reader, "read_picture", fail)
    result = run("read", worse, good)
    assert result.exit_code == 1
    assert f"error: {worse}: reading it failed: MemoryError: no memory at all" in result.stderr
    assert f"{good}: 7" in result.stdout


def test_many_pictures_are_read_one_by_one_in_the_same_memory(mnist: Dataset, tmp_path: Path) -> None:
    """The first is read before the second is asked for, and 250 leave nothing behind."""
    path = str(picture(mnist.test.images[0], tmp_path / "good.png"))
    asked = []

    def pictures() -> Iterator[str]:
        for index in range(250):
            asked.append(index)
            yield path

    readings = reader.Reader.shipped().read_all(pictures(), digit=True)
    next(readings)
    assert asked == [0]
    for _ in range(100):
        next(readings)
    tracemalloc.start()
    try:
        for _ in readings:
            pass
        assert tracemalloc.get_traced_memory()[0] < 200_000
    finally:
        tracemalloc.stop()
    assert len(asked) == 250


def test_on_a_terminal_a_bar_moves_and_the_json_goes_where_it_was_sent(mnist: Dataset, tmp_path: Path) -> None:
    path = str(picture(mnist.test.images[0], tmp_path / "good.png"))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "downstroke", "read", "--json", "--digit", *[path] * 25]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, env=os.environ | {"TERM": "xterm"}
    ) as process:
        os.close(theirs)
        drawn = b""
        with suppress(OSError):  # the terminal is gone when the process is
            while more := os.read(ours, 4096):
                drawn += more
        assert process.stdout is not None
        assert len(json.loads(process.stdout.read())) == 25
    os.close(ours)
    assert b"100%" in drawn


def test_read_takes_stdin_and_draws_bars(home: Path, mnist: Dataset, tmp_path: Path) -> None:
    data = picture(mnist.test.images[0], tmp_path / "a.png").read_bytes()
    result = CliRunner().invoke(main, ["read", "-", "--runs-dir", str(home)], input=data)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("-: 7 (")
    assert len(lines) == 11
    assert "█" in lines[8]


def test_reading_with_a_run_by_name(home: Path, mnist: Dataset, tmp_path: Path) -> None:
    path = picture(mnist.test.images[0], tmp_path / "a.png")
    assert run("read", path, "--run", home / "mine").exit_code == 0
    assert "reading with the best weights of mine" in run("read", path, "--run", "mine", "--runs-dir", home).stderr


class Terminal(io.StringIO):
    """What a person sees of a terminal: the text that was written, as it stands."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_the_live_progress_fits_the_width_and_cuts_no_number(width: int) -> None:
    console = Console(file=Terminal(), width=width, force_terminal=True, color_system=None, legacy_windows=False)
    live = LiveProgress(console)
    row = EpochRow(999, 428_571, 3600.0, 0.0125, 0.5512, 0.0213, 0.9951, 0.0287, 0.9933)
    step = StepDone(StepRow(428_700, 0.0125, 0.5498, 1.0), 1000, 129, 430, 128, 1000)
    live(EpochDone(row, None, improved=True))
    live(step)
    table, status = (drawn(part, width) for part in (live.table(), live.status(step)))
    live.close()
    for line in [*table, *status]:
        assert len(line) <= width
        assert "…" not in line
    heads, values = re.split(r" {2,}", table[0].strip()), re.split(r" {2,}", table[2].strip())
    whole = {**dict(zip(COLUMNS, cells(row, 0), strict=True)), "val loss": "0.0287 *"}
    assert len(heads) == len(values)
    assert {"epoch", "val loss", "val accuracy"} <= set(heads)
    assert all(value == whole[head] for head, value in zip(heads, values, strict=True) if head != "images/s")
    assert len(status) == 1, "one line below the table"
    assert "epoch 1000 of 1000" in status[0]
    assert width < 200 or (set(heads) == set(COLUMNS) and "step 428,700" in status[0])


def drawn(part: Any, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(part)
    return [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()]  # type: ignore[attr-defined]


def test_from_python_training_says_what_the_data_holds_and_shows_progress(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fields: dict[str, Any] = {"data": str(tiny), "model": "linear", "val_size": 50, "runs_dir": tmp_path}
    trained = downstroke.train(epochs=1, **fields)
    out, said = capfd.readouterr()
    first, *epochs = said.splitlines()
    data = trained.environment["data"]
    assert first.startswith(f"data: {tiny.resolve()}: 10 classes (0, 1, ")
    assert f"{data['train']:,} train, 50 val, {data['test']:,} test images" in first
    assert len(epochs) == 1
    assert epochs[0].startswith("epoch 1  ")
    assert out == ""
    trained.extend(epochs=1)
    assert "epoch 2  " in capfd.readouterr().err
    trained.extend(epochs=1, progress=False)
    downstroke.train(epochs=1, progress=False, **fields)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["train", "nosuch"], 2),
        (["train", "--epochs", "0"], 2),
        (["train", "--epochs", "many"], 2),
        (["train", "--no-such-flag"], 2),
        (["continue"], 1),
        (["advise", "nope.csv"], 1),
        (["test"], 1),
        (["plot"], 1),
        (["compare", "a", "b"], 1),
        (["read", "x.png", "--run", "none"], 1),
        (["find-lr", "nosuch"], 2),
    ],
)
def test_an_error_under_json_is_one_json_value_and_its_line_on_stderr(
    args: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for given in ([args[0], "--json", *args[1:]], [*args, "--json"]):
        result = run(*given)
        said = json.loads(result.stdout)
        assert list(said) == ["error"]
        assert said["error"] in result.stderr
        assert result.exit_code == code


def test_a_list_that_has_begun_ends_as_one_json_value_whatever_happens(
    home: Path, mnist: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [picture(mnist.test.images[i], tmp_path / f"{i}.png") for i in range(3)]
    whole = reader.Reader.read_all
    for error, code, line in ((ValueError("odd"), 1, "ValueError: odd"), (KeyboardInterrupt(), 130, "interrupted")):
        for after in (0, 2):

            def broken(self: Any, *args: Any, after: int = after, error: Any = error, **options: Any) -> Iterator[Any]:
                yield from itertools.islice(whole(self, *args, **options), after)
                raise error

            monkeypatch.setattr(reader.Reader, "read_all", broken)
            result = run("read", "--json", *paths)
            said = json.loads(result.stdout)
            assert result.exit_code == code
            assert line in result.stderr
            *readings, last = said if after else [said]
            assert [reading["error"] for reading in readings] == [None] * after
            assert list(last) == ["error"]
            assert line in last["error"]


def test_a_ctrl_c_under_json_is_one_json_value(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    for command, name in ((["train"], "train"), (["find-lr"], "find_lr"), (["compare", "a", "b"], "compare")):
        monkeypatch.setattr(downstroke.api, name, interrupted)
        result = run(*command, "--json", "--data" if command[0] != "compare" else "--runs-dir", tiny)
        assert (json.loads(result.stdout), result.exit_code) == ({"error": "interrupted"}, 130)


def test_training_for_no_epochs_is_refused_in_one_line(tiny: Path, tmp_path: Path) -> None:
    why = r"epochs is 0; expected a whole number from 1"
    with pytest.raises(RecipeError, match=why):
        downstroke.train(data=str(tiny), epochs=0, runs_dir=tmp_path / "runs")
    (tmp_path / "none.toml").write_text("epochs = 0\n")
    with pytest.raises(RecipeError, match=f"none.toml: {why}"):
        downstroke.train(str(tmp_path / "none.toml"), runs_dir=tmp_path / "runs")
    with pytest.raises(RunError, match=why):
        downstroke.train(data=str(tiny), epochs=1, model="mlp", runs_dir=tmp_path, progress=False).extend(epochs=0)
    assert not (tmp_path / "runs").exists()


def test_runs_tells_in_which_state_each_is(tiny: Path, tmp_path: Path) -> None:
    recipe = Recipe(data=str(tiny), model="mlp", batch_size=64, val_size=50, epochs=2)

    def states() -> dict[str, str]:
        printed = run("runs", "--runs-dir", tmp_path).stdout.splitlines()
        listed = json.loads(run("runs", "--json", "--runs-dir", tmp_path).stdout)
        assert [[Path(row["run"]).name, row["state"]] for row in listed] == [line.split()[::2][:2] for line in printed]
        return {Path(row["run"]).name: row["state"] for row in listed}

    with Training.start(recipe, runs_dir=tmp_path, name="empty"):
        assert states() == {"empty": "training"}
    for name, steps in (("cut", 3), ("between", 10)):
        with Training.start(recipe, runs_dir=tmp_path, name=name) as training:
            for event in training:
                if isinstance(event, StepDone) and event.row.step == steps:
                    training.learner.stop()
    downstroke.train(recipe, runs_dir=tmp_path, name="whole", progress=False)
    assert states() == {"whole": "finished", "between": "interrupted", "cut": "interrupted", "empty": "empty"}
    for name in ("empty", "cut", "between"):
        run("continue", name, "--runs-dir", tmp_path)
    assert set(states().values()) == {"finished"}


def test_bench_tables_print_three_significant_digits(capsys: pytest.CaptureFixture[str]) -> None:
    print_figures({"a": 0.123456, "b": {"c": 1234.567, "n": 12345}, "d": {"e": [0.98765, 2]}}, as_json=False)
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["0.123", "1230", "12345", "2"]


@pytest.mark.parametrize("odd", ["\x1b]0;title\x07", "two\nlines", "\u202eabc", "\x1b[31m", "\x7f"])
def test_names_of_classes_and_runs_reach_the_terminal_escaped(
    odd: str, mnist: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    few = {name: mnist.train.images[mnist.train.labels == digit][:30] for digit, name in enumerate((odd, "plain"))}
    labels = np.repeat(list(few), 30)
    np.savez(tmp_path / "own.npz", images=np.concatenate(list(few.values())), labels=labels)
    path = picture(few[odd][0], tmp_path / "a.png")
    recipe = Recipe(data=str(tmp_path / "own.npz"), model="linear", epochs=1)
    downstroke.train(recipe, runs_dir=tmp_path / "runs", name="a")
    folder = (tmp_path / "runs" / "a").rename(tmp_path / "runs" / f"run{odd}")
    monkeypatch.chdir(tmp_path)
    said = capfd.readouterr().err
    for args in (["runs"], ["test"], ["read", path, "--run", folder], ["read", "--explain", path, "--run", folder]):
        result = run(*args)
        assert result.exit_code == 0, result.stderr
        said += result.output
    assert all(line.isprintable() for line in said.split("\n")), "each line prints, and nothing but lines"
    assert {f"run{shown(odd)}", shown(odd)} <= set(re.split(r"[ ,:(]+", said.replace("'", "").replace("\n", " ")))


@pytest.mark.parametrize("odd", ["\x1b[31mred", "a\nb", "\x1b]0;title\x07", "\u202eabc", "-\x1b"])
def test_what_click_says_of_wrong_usage_is_escaped(odd: str, tmp_path: Path) -> None:
    for args in (
        [odd],
        [f"--{odd}"],
        ["train", f"--{odd}"],
        ["train", "--epochs", odd],
        ["train", "standard", odd],
        ["find-lr", "--lr-" + odd],
        ["continue", "--max-epochs", odd],
        ["read", "--box", odd, "x.png"],
        ["studio", "--port", odd],
        ["train", "--epochs", odd, "--json"],
    ):
        said = run(*args)
        assert said.exit_code == 2, (args, said.output)
        assert all(line.isprintable() for line in said.output.split("\n")), (args, said.output)
        assert said.stderr.startswith("Usage: "), "and the usage as ever"
        assert "Error: " in said.stderr


def test_what_people_read_is_printed_in_one_place_which_escapes() -> None:
    for file in (HOME / "cli").glob("*.py"):
        assert file.name == "printing.py" or not re.search(r"click\.s?echo\(|\bprint\(", file.read_text()), file
