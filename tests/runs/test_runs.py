"""Runs: nothing is lost, nothing is overwritten, and continuing is the same as having trained longer."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import downstroke
from downstroke.api import Run
from downstroke.bench.core import differences, in_the_middle
from downstroke.cli import main
from downstroke.errors import CheckpointError, DownstrokeError, NonFiniteError, RunError
from downstroke.history import ValLosses
from downstroke.learning.events import EpochDone, StepDone, StopReason
from downstroke.recipe import Recipe
from downstroke.runs import checkpoint, files, outputs
from downstroke.runs.training import Training

SMALL: dict[str, Any] = {"model": "mlp", "batch_size": 64, "val_size": 50, "lr": 0.01}
#: One recipe with everything that carries state: momentum, average, batch statistics, dropout, augmentation, schedule.
FULL: dict[str, Any] = {
    "model": "cnn",
    "batch_size": 64,
    "val_size": 50,
    "lr": 0.005,
    "dropout": 0.3,
    "augment": "affine",
    "average": 3,
    "schedule": "exponential",
}


def train(tiny: Path, home: Path, name: str, **fields: Any) -> Run:
    return downstroke.train(Recipe(data=str(tiny), **{**SMALL, **fields}), runs_dir=home, name=name)


def assert_same(one: Run, other: Run) -> None:
    """Bit for bit: W, its average, the optimizer's state, and all that was recorded but for times."""
    assert differences(one, other) == []


def test_a_difference_between_two_runs_is_found(tiny: Path, tmp_path: Path) -> None:
    one, other = (train(tiny, tmp_path, f"seed{seed}", epochs=1, seed=seed) for seed in (0, 1))
    found = differences(one, other)
    assert {"last/model.safetensors", "last/optimizer.safetensors", "best/state.json"} <= set(found)
    assert {"metrics.csv", "steps.csv", "val_losses.npy"} <= set(found)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "muon"])
def test_continuing_equals_training_longer_with_every_optimizer(tiny: Path, tmp_path: Path, optimizer: str) -> None:
    fields = {**FULL, "optimizer": optimizer, "lr": 0.002}
    whole = train(tiny, tmp_path, "whole", epochs=3, **fields)
    parts = train(tiny, tmp_path, "parts", epochs=1, **fields)
    parts.extend(epochs=1)
    assert_same(Run.open(parts.folder).extend(epochs=1), whole)


@pytest.mark.parametrize("schedule", ["constant", "exponential", "step", "inverse-time", "plateau"])
def test_continuing_equals_training_longer_with_every_schedule_without_a_horizon(
    tiny: Path, tmp_path: Path, schedule: str
) -> None:
    fields = {"schedule": schedule, "warmup_steps": 15, "lr_decay": 0.5, "lr_decay_epochs": 1, "lr": 0.3}
    whole = train(tiny, tmp_path, "whole", epochs=4, **fields)
    parts = train(tiny, tmp_path, "parts", epochs=2, **fields)
    assert_same(parts.extend(epochs=2), whole)


def test_a_schedule_with_a_horizon_starts_a_new_leg_and_says_so(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=2, schedule="linear")
    run.extend(epochs=2)
    assert "a new leg of 2 begins" in run.notices[0]
    rates = [row.lr for row in run.steps]
    assert rates[20] == rates[0]
    assert rates[39] == pytest.approx(rates[0] / 20)


def test_continue_with_another_lr_or_schedule_is_a_new_leg(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=1)
    run.extend(epochs=1, lr=0.001).extend(epochs=1).extend(epochs=1, schedule="cosine")
    rates = [row.lr for row in run.steps]
    assert (rates[0], rates[10], rates[20], rates[30]) == (0.01, 0.001, 0.001, 0.001)
    assert rates[39] < 0.0001
    with pytest.raises(RunError, match="how long: --epochs N"):
        run.extend(lr=0.1)
    with pytest.raises(DownstrokeError, match="no schedule 'nosuch'"):
        run.extend(epochs=1, schedule="nosuch")
    assert run.summary()["epochs"] == 4


def test_a_finished_run_has_nothing_left_to_do(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=1)
    before = (run.folder / "steps.csv").read_bytes()
    assert run.extend().stopped is StopReason.FINISHED
    assert (run.folder / "steps.csv").read_bytes() == before


def test_an_interrupted_run_goes_on_from_the_very_step(tiny: Path, tmp_path: Path) -> None:
    whole = train(tiny, tmp_path, "whole", epochs=2, **FULL)
    with Training.start(Recipe(data=str(tiny), epochs=2, **FULL), runs_dir=tmp_path, name="parts") as training:
        for event in training:
            if isinstance(event, StepDone) and event.row.step == 4:
                training.learner.stop()
    parts = Run.open(training.run.folder)
    assert len(parts.steps) == 4
    assert_same(parts.extend(), whole)


def test_best_is_never_replaced_by_a_worse_w(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=4, lr=0.05)
    best = (run.folder / "best/model.safetensors").read_bytes()
    best_loss = run.summary()["val_loss"]
    run.extend(epochs=2, lr=0.2)  # ruins W
    assert run.history[-1].val_loss > best_loss
    assert (run.folder / "best/model.safetensors").read_bytes() == best
    assert run.summary()["val_loss"] == best_loss


def test_a_run_is_never_overwritten(tiny: Path, tmp_path: Path) -> None:
    train(tiny, tmp_path, "run", epochs=1)
    with pytest.raises(RunError, match="never overwritten"):
        train(tiny, tmp_path, "run", epochs=1)


@pytest.mark.parametrize("name", ["../run", "a/b", "", ".hidden", "run.", "x" * 65, "a b", "-x"])
def test_a_name_that_could_leave_the_folder_is_refused(tiny: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="expected letters"):
        train(tiny, tmp_path / "runs", name, epochs=1)
    assert not (tmp_path / "runs").exists()


def test_two_processes_on_one_run_the_second_is_refused(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=1)
    with files.locked(run.folder / ".lock", "busy"), pytest.raises(RunError, match="by another process"):
        run.extend(epochs=1)
    assert run.extend(epochs=1).summary()["epochs"] == 2


@pytest.mark.parametrize("victim", ["last/model.safetensors", "last/state.json", "last/optimizer.safetensors"])
@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    tiny: Path, tmp_path: Path, victim: str, harm: str
) -> None:
    whole = train(tiny, tmp_path, "whole", epochs=3)
    run = train(tiny, tmp_path, "run", epochs=3)
    path = run.folder / victim
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(bytes(data) if harm == "flip" else bytes(data[:100]))
    run.extend()
    assert "last" in run.notices[0]
    assert "damaged" in run.notices[0]
    assert "before it is used" in run.notices[0]
    assert_same(run, whole)


@pytest.mark.parametrize("victims", [["best"], ["best", "best.previous"]])
def test_training_goes_on_without_a_best_that_was_damaged(tiny: Path, tmp_path: Path, victims: list[str]) -> None:
    run = train(tiny, tmp_path, "run", epochs=3)
    for name in victims:
        (run.folder / name / "model.safetensors").write_bytes(b"nothing")
    run.extend(epochs=1)
    assert "best" in run.notices[0]
    assert "damaged" in run.notices[0]
    assert run.weights().source == "best"
    assert run.weights().epoch == 4, "the loss still fell"


def test_two_damaged_checkpoints_are_an_error_that_names_them(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=2)
    for name in ("last", "last.previous"):
        (run.folder / name / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"last.model.*last.previous.model.*no whole checkpoint"):
        run.extend(epochs=1)


def test_a_full_disk_is_an_error_and_the_last_good_checkpoint_stays(tiny: Path, tmp_path: Path) -> None:
    """The system refuses to write more than 100 kB into any file: as a full disk does, in the middle of one."""
    run = train(tiny, tmp_path, "run", epochs=1)
    before = checkpoint.load(run.folder, "last").tensors["model"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(RunError, match=r"cannot be written.*Make room, then: downstroke continue"):
            run.extend(epochs=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    after = checkpoint.load(run.folder, "last").tensors["model"]
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert_same(run.extend(epochs=1), train(tiny, tmp_path, "whole", epochs=2))


def test_diverging_leaves_the_last_good_checkpoint(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=1)
    with pytest.raises(NonFiniteError):
        run.extend(epochs=3, lr=1e30)
    tensors = checkpoint.load(run.folder, "last").tensors["model"]
    assert all(torch.isfinite(t).all() for t in tensors.values())


def test_changed_data_is_noticed(tiny: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    shutil.copy(tiny, data)
    run = train(data, tmp_path, "run", epochs=1)
    arrays = dict(np.load(tiny))
    arrays["y_train"][0] = (arrays["y_train"][0] + 1) % 10
    np.savez(data, **arrays)
    with pytest.raises(RunError, match="not those that run was trained on"):
        run.extend(epochs=1)
    with pytest.raises(RunError, match="not those that run was trained on"):
        run.test()


def test_another_machine_is_said_aloud(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=1)
    path = run.folder / "environment.json"
    environment = json.loads(path.read_text())
    path.write_text(json.dumps({**environment, "torch": "1.0", "device": "cuda:7"}))
    run.extend(epochs=1)
    assert any("device cuda:7 is not available here" in notice for notice in run.notices)
    assert any("torch was 1.0" in notice for notice in run.notices)


def test_a_run_can_be_read_at_every_moment_of_its_training(tiny: Path, tmp_path: Path) -> None:
    with Training.start(Recipe(data=str(tiny), epochs=2, **SMALL), runs_dir=tmp_path, name="run") as training:
        for event in training:
            run = Run.open(tmp_path / "run")
            if isinstance(event, EpochDone):
                assert run.history[-1] == event.row
                assert run.reader().classes == tuple(range(10))
            elif isinstance(event, StepDone):
                assert run.steps[-1] == event.row


@pytest.mark.pictures
def test_every_look_at_the_test_set_is_recorded(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=3)
    first, second = run.test(), run.test("last")
    assert (first["looks"], second["looks"]) == (1, 2)
    assert (first["weights"], second["weights"]) == ("best", "last")
    looks = json.loads((run.folder / "test.json").read_text())["looks"]
    assert [look["look"] for look in looks] == [1, 2]
    assert looks[0]["accuracy"] == first["accuracy"]
    assert first["errors"] == round((1 - first["accuracy"]) * first["images"])
    low, high = first["accuracy_interval"]
    assert 0 <= low < first["accuracy"] < high <= 1
    assert sum(map(sum, first["confusion"])) == first["images"] == 200
    assert all(Path(path).stat().st_size > 1000 for path in first["pictures"].values())


def test_without_val_all_images_are_learned_from_and_the_last_w_is_used(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=1, val_size=0)
    assert not (run.folder / "best").exists()
    assert run.summary()["val_loss"] is None
    assert run.environment["data"]["train"] == 650
    assert run.test()["weights"] == "last"


def test_the_split_follows_the_split_seed_and_not_the_seed(tiny: Path, tmp_path: Path) -> None:
    runs = [
        train(tiny, tmp_path, f"run{i}", epochs=1, model="linear", optimizer="sgd", lr=1e-30, **seeds)
        for i, seeds in enumerate([{"seed": 1}, {"seed": 1}, {"seed": 1, "split_seed": 5}])
    ]
    losses = [np.load(run.folder / "val_losses.npy") for run in runs]
    assert np.array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])


def test_label_noise_spoils_train_and_leaves_val_and_test(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=40, label_noise=0.6, lr=0.03)
    last = run.history[-1]
    assert last.accuracy > 0.9, "an mlp learns a few hundred wrong labels by heart"
    assert last.val_accuracy < 0.8


def test_a_user_sees_their_own_class_names(tmp_path: Path, tiny: Path) -> None:
    arrays = dict(np.load(tiny))
    words = np.array(["nil", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    data = tmp_path / "words.npz"
    np.savez(data, **{key: words[v] if key.startswith("y") else v for key, v in arrays.items()})
    run = train(data, tmp_path, "run", epochs=4)
    digit = run.reader().read(arrays["x_test"][0]).lines[0].digits[0]
    assert digit.digit in words
    assert set(run.classes) == set(words)


KILLED = """
import sys, downstroke
downstroke.train({recipe}, runs_dir={home!r}, name="killed")
"""


def spawn(tiny: Path, home: Path, **fields: Any) -> subprocess.Popen[bytes]:
    recipe = f"downstroke.Recipe(**{ {'data': str(tiny), **FULL, **fields}!r})"
    return subprocess.Popen(
        [sys.executable, "-c", KILLED.format(recipe=recipe, home=str(home))], stderr=subprocess.DEVNULL
    )


def wait_for(path: Path, lines: int) -> None:
    """Until another process has written so many lines."""
    end = time.monotonic() + 60
    while not path.exists() or path.read_text().count("\n") < lines:
        assert time.monotonic() < end, f"{path} never got {lines} lines"
        time.sleep(0.002)


@pytest.mark.parametrize("line", [3, 14, 21])
def test_killed_at_any_moment_it_ends_where_the_unbroken_run_ends(tiny: Path, tmp_path: Path, line: int) -> None:
    process = spawn(tiny, tmp_path, epochs=3)
    wait_for(tmp_path / "killed/steps.csv", line)
    process.kill()
    process.wait()
    assert_same(Run.open(tmp_path / "killed").extend(), train(tiny, tmp_path, "whole", epochs=3, **FULL))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_saves_the_exact_state(tiny: Path, tmp_path: Path, number: int) -> None:
    process = spawn(tiny, tmp_path, epochs=50)
    wait_for(tmp_path / "killed/steps.csv", 4)
    os.kill(process.pid, number)
    assert process.wait(60) == 0
    state = json.loads((tmp_path / "killed/last/state.json").read_text())["position"]
    run = Run.open(tmp_path / "killed")
    assert len(run.steps) == state["step"] > 0
    run.extend(epochs=1)
    whole = train(tiny, tmp_path, "whole", epochs=run.summary()["epochs"], **FULL)
    assert run.steps == whole.steps


@pytest.mark.parametrize("made", ["missing", "empty", "no recipe"])
def test_a_folder_that_is_no_run_is_told(tmp_path: Path, made: str) -> None:
    folder = tmp_path / "there"
    if made != "missing":
        folder.mkdir()
    if made == "no recipe":
        (folder / "metrics.csv").write_text("epoch\n1\n")
    with pytest.raises(RunError, match=r"no run|is not a run"):
        Run.open(folder)


def test_the_newest_run_is_the_one_meant(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run in .* yet"):
        Run.open(None, tmp_path)
    for name in ("b", "a"):
        train(tiny, tmp_path, name, epochs=1, model="linear")
    assert Run.open(None, tmp_path).name == "a"
    assert Run.open("b", tmp_path).name == "b"
    with pytest.raises(RunError, match=r"no run 'c'; the newest in .* are a, b"):
        Run.open("c", tmp_path)


def test_a_run_without_its_last_checkpoint_keeps_what_it_recorded(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=2)
    before = (run.folder / "metrics.csv").read_bytes()
    for name in ("last", "last.previous"):
        shutil.rmtree(run.folder / name)
    with pytest.raises(CheckpointError, match=r"last/ is missing. Nothing was changed"):
        run.extend(epochs=1)
    assert (run.folder / "metrics.csv").read_bytes() == before


def test_a_record_that_was_cut_is_said(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=2)
    path = run.folder / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-20])
    (run.folder / "val_losses.npy").write_bytes(b"no array")
    run.extend(epochs=1)
    assert "metrics.csv lacks epoch 2 of 2" in run.notices[0]
    assert [row.epoch for row in run.history] == [1, 3]


@pytest.mark.parametrize("harm", ["\xff", "1,,0,0,0,0,0,0,0\n", "1,2\n"])
def test_a_damaged_record_is_named(tiny: Path, tmp_path: Path, harm: str) -> None:
    run = train(tiny, tmp_path, "run", epochs=1)
    path = run.folder / "metrics.csv"
    path.write_bytes(path.read_bytes() + harm.encode("latin-1") + b"\n")
    with pytest.raises(RunError, match=r"metrics.csv, line 3") as caught:
        _ = run.history
    assert "\n" not in str(caught.value)


def test_a_w_that_has_learned_nothing_spends_no_look(tiny: Path, tmp_path: Path) -> None:
    with Training.start(Recipe(data=str(tiny), **SMALL), runs_dir=tmp_path) as training:
        run = Run(training.run.folder)
    with pytest.raises(RunError, match="learned nothing yet"):
        run.test()
    assert not (run.folder / "test.json").exists()


def test_a_lower_goal_is_said(tiny: Path, tmp_path: Path) -> None:
    with Training.start(Recipe(data=str(tiny), epochs=9, **SMALL), runs_dir=tmp_path, name="run") as training:
        for event in training:
            if isinstance(event, EpochDone):
                training.learner.stop()
    run = Run.open("run", tmp_path).extend(epochs=1)
    assert "the goal was epoch 9 and is now epoch 2" in run.notices


def test_a_run_reads_with_its_last_w_where_no_best_is_whole(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", epochs=2)
    for name in ("best", "best.previous"):
        (run.folder / name / "model.safetensors").write_bytes(b"nothing")
    weights = run.weights()
    assert weights.source == "last"
    assert "the last one is used" in str(weights.damage)


LINEAR: dict[str, Any] = {**SMALL, "model": "linear", "train_size": 64, "epochs": 3}


def test_losses_of_val_carry_their_epochs_so_that_a_kill_before_they_are_written_loses_no_row(
    tiny: Path, tmp_path: Path
) -> None:
    whole = train(tiny, tmp_path, "whole", **LINEAR)
    killed = train(tiny, tmp_path, "killed", **{**LINEAR, "epochs": 2})
    older = (killed.folder / "val_losses.npy").read_bytes()
    checkpoints = {name: shutil.copytree(killed.folder / name, tmp_path / name) for name in ("last", "best")}
    killed.extend(epochs=1)
    (killed.folder / "val_losses.npy").write_bytes(older)  # the row of epoch 3 is in metrics.csv alone
    for name, copy in checkpoints.items():
        shutil.rmtree(killed.folder / name)
        shutil.copytree(copy, killed.folder / name)
    assert_same(Run.open(killed.folder).extend(epochs=1), whole)


def test_a_run_whose_val_losses_do_not_name_their_epochs_goes_on(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", **LINEAR)
    path = run.folder / "val_losses.npy"
    np.save(path, np.load(path))
    run.extend(epochs=1)
    assert ValLosses.read(path).epochs.tolist() == [1, 2, 3, 4]  # type: ignore[union-attr]
    assert np.load(path).shape == (4, 50)


@pytest.mark.parametrize("harm", ["empty", "zeros", "cut"])
@pytest.mark.parametrize("file", ["val_losses.npy", "metrics.csv", "steps.csv"])
def test_a_damaged_record_is_named_in_a_line_and_training_goes_on(
    tiny: Path, tmp_path: Path, file: str, harm: str
) -> None:
    run = train(tiny, tmp_path, "run", **LINEAR)
    path = run.folder / file
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "zeros": bytes(len(data)), "cut": data[: len(data) // 3]}[harm])
    if file == "val_losses.npy":
        assert run.advice().epoch == 3
    run.extend(epochs=1)
    if file != "steps.csv" or harm != "cut":  # a last line that was cut is as a line still being written
        assert any(file in notice for notice in run.notices)
    assert all("\n" not in notice and len(notice) < 300 for notice in run.notices)
    assert run.history[-1].epoch == 4
    assert run.weights().epoch >= 1


@pytest.mark.parametrize("harm", [b"", bytes(200), b'{"mod'])
@pytest.mark.parametrize("file", ["recipe.json", "environment.json"])
def test_a_run_that_lost_what_it_was_made_of_says_which_file(
    tiny: Path, tmp_path: Path, file: str, harm: bytes
) -> None:
    run = train(tiny, tmp_path, "run", **LINEAR)
    (run.folder / file).write_bytes(harm)
    with pytest.raises(RunError, match=file) as caught:
        Run.open(run.folder).extend(epochs=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("then", ["removed", "replaced"])
def test_a_training_whose_folder_is_gone_ends_in_a_line_and_leaves_another_run_alone(
    tiny: Path, tmp_path: Path, then: str
) -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    recipe = Recipe(data=str(tiny), **LINEAR)
    before: dict[str, bytes] = {}

    def go() -> None:
        with Training.start(recipe, runs_dir=tmp_path, name="run") as training:
            for event in training:
                if isinstance(event, EpochDone) and event.row.epoch == 1:
                    shutil.rmtree(training.run.folder)
                    if then == "replaced":
                        train(tiny, tmp_path, "run", **{**LINEAR, "seed": 5})
                        before.update(contents(training.run.folder))

    with pytest.raises(RunError, match="was removed or replaced") as caught:
        go()
    assert "\n" not in str(caught.value)
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize("file", ["metrics.csv", "steps.csv"])
@pytest.mark.parametrize("then", ["removed", "replaced"])
def test_rows_are_never_appended_to_a_file_that_was_removed_or_replaced(
    tiny: Path, tmp_path: Path, file: str, then: str
) -> None:
    def go() -> None:
        with Training.start(Recipe(data=str(tiny), **LINEAR), runs_dir=tmp_path, name="run") as training:
            for event in training:
                if isinstance(event, EpochDone) and event.row.epoch == 2:
                    path = training.run.folder / file
                    if then == "replaced":  # as an editor does that saves it
                        shutil.copy(path, tmp_path / "copy")
                        (tmp_path / "copy").replace(path)
                    else:
                        path.unlink()

    with pytest.raises(RunError, match=rf"{file} was removed or replaced.*downstroke continue .*run$") as caught:
        go()
    assert "\n" not in str(caught.value)
    assert Run.open("run", tmp_path).extend().history[-1].epoch == 3


def test_a_disk_that_refuses_at_continue_names_the_run_what_is_kept_and_what_to_type(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(tiny, tmp_path, "run", **LINEAR)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_bytes", full)
        with pytest.raises(RunError, match=r"run cannot be written \(No space.*checkpoint is kept.*run --epochs 1$"):
            run.extend(epochs=1)
        with pytest.raises(RunError, match=r"run --until-done --max-epochs 9 --lr 0.5$"):
            run.extend(until_done=True, max_epochs=9, lr=0.5)
    assert run.extend(epochs=1).history[-1].epoch == 4


def test_a_full_disk_costs_the_picture_of_a_training_and_not_its_report(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise DownstrokeError("cannot write loss.png: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("downstroke.show.losses.draw", full)
        run = train(tiny, tmp_path, "run", **LINEAR)
        assert run.stopped is StopReason.FINISHED
        assert run.picture is None
        assert "loss.png: No space left on device; to draw the losses later: downstroke plot " in run.notices[-1]
        assert "note: cannot write loss.png" in capsys.readouterr().err
    assert run.extend(epochs=1).picture == run.folder / "loss.png"


def test_a_look_that_cannot_be_recorded_is_not_shown_and_one_that_is_recorded_is(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(tiny, tmp_path, "run", **LINEAR)
    write, full = files.write_bytes, [""]

    def refuse(path: Path, data: bytes) -> None:
        if path.name in full:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data)

    def undrawn(*_: object) -> None:
        raise DownstrokeError("cannot write confusion.png: No space left on device")

    monkeypatch.setattr(files, "write_bytes", refuse)
    full[:] = ["test.json"]
    with pytest.raises(RunError, match=r"test.json cannot be written \(No space.*not recorded is not shown"):
        run.test()
    assert run.looks == []
    full[:] = ["examined.npz"]
    monkeypatch.setattr("downstroke.show.look.confusion_picture", undrawn)
    look = run.test()
    assert look["looks"] == len(run.looks) == 1
    assert look["pictures"] == {"confusion": None, "misread": str(run.folder / "misread.png")}
    assert look["undrawn"] == ["cannot write confusion.png: No space left on device"]
    said = CliRunner().invoke(main, ["test", str(run.folder)])
    assert said.exit_code == 0
    assert "note: cannot write confusion.png" in said.stderr
    assert "accuracy  " in said.stdout
    assert "confusion" not in said.stdout


def test_an_error_of_writing_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write to a full disk: it names nothing

    monkeypatch.setattr(files, "sync", full)
    for write in (files.write_bytes, outputs.write_output):
        with pytest.raises(OSError, match="No space") as caught:
            write(tmp_path / "out", b"-")
        assert caught.value.filename == str(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["optimizer", "val"])
def test_damage_to_what_only_training_or_compare_needs_costs_no_weights(tiny: Path, tmp_path: Path, file: str) -> None:
    run = train(tiny, tmp_path, "run", **{**LINEAR, "optimizer": "adam"})
    best = run.weights()
    other = train(tiny, tmp_path, "other", **{**LINEAR, "seed": 1, "epochs": 1})
    compared = downstroke.compare(run, other)
    (run.folder / "best" / f"{file}.safetensors").write_bytes(b"")
    weights = run.weights()
    assert (weights.epoch, weights.damage) == (best.epoch, None)
    assert downstroke.compare(run, other) == compared
    run.extend(epochs=1, lr=1e-9)
    assert "damaged" not in " ".join(run.notices)


def test_a_hole_in_the_record_is_said_in_a_few_words(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", **{**LINEAR, "epochs": 9})
    path = run.folder / "metrics.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[1], lines[3], lines[7]]))
    run.extend(epochs=1)
    assert "metrics.csv lacks epoch 2, 4 to 6, 8 to 9 of 9" in run.notices[0]


def edit_recipe(run: Run, **fields: Any) -> None:
    path = run.folder / "recipe.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("fields", [{"lr": 0.5}, {"optimizer": "adam"}, {"model": "mlp", "seed": 3, "dropout": 0.5}])
def test_a_recipe_that_was_changed_since_is_refused_field_by_field_unless_it_is_accepted(
    tiny: Path, tmp_path: Path, fields: dict[str, Any]
) -> None:
    run = train(tiny, tmp_path, "run", **LINEAR)
    edit_recipe(run, **fields)
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match="--accept-recipe") as caught:
        run.extend(epochs=1)
    for name, value in fields.items():
        assert f"{name} was {({**Recipe(**LINEAR).to_dict()})[name]} and is {value}" in str(caught.value)
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before
    if "model" in fields:
        return
    run.extend(epochs=1, accept_recipe=True)
    assert "continuing with a changed recipe" in run.notices[0]
    assert run.extend(epochs=1).history[-1].epoch == 5, "the new recipe is the checkpoint's now"


def test_a_run_of_a_version_that_called_negatives_strays_goes_on(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", **LINEAR)
    held = json.loads((run.folder / "recipe.json").read_text())
    held["strays"], held["augment"] = held.pop("negatives"), "pen"
    old = {"recipe": {"sha256": "of other names", "fields": held}}
    assert checkpoint.changed_fields(old, run.recipe) == {"augment": ("handwriting", "none")}
    held["augment"] = "none"
    (run.folder / "recipe.json").write_text(json.dumps(held))
    assert run.extend(epochs=1).position["epoch"] == 4


def test_a_run_of_a_version_that_did_not_record_its_recipe_in_the_checkpoint_goes_on(
    tiny: Path, tmp_path: Path
) -> None:
    run = train(tiny, tmp_path, "run", **LINEAR)
    found = checkpoint.load(run.folder, "last")
    state = {key: value for key, value in found.state.items() if key not in ("recipe", "checksums", "format")}
    checkpoint.save(run.folder, "last", found.tensors, state)
    edit_recipe(run, name="other")
    assert run.extend(epochs=1).history[-1].epoch == 4


def test_a_last_checkpoint_that_is_missing_is_said_and_the_one_before_it_used(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", **LINEAR)
    shutil.rmtree(run.folder / "last")
    run.extend()
    assert "last is missing; the checkpoint before it is used" in run.notices[0]
    assert_same(run, train(tiny, tmp_path, "whole", **LINEAR))


def test_a_file_system_without_locks_is_named_with_the_remedy_and_the_name_stays_free(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patched:
        patched.setattr("fcntl.flock", refused)
        with pytest.raises(RunError, match=r"run/.lock cannot be locked \(No locks available\).*--runs-dir"):
            train(tiny, tmp_path, "run", **LINEAR)
    assert not (tmp_path / "run").exists()
    assert train(tiny, tmp_path, "run", **LINEAR).history[-1].epoch == 3


def test_a_start_that_was_killed_does_not_block_its_name(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", **{**LINEAR, "epochs": 1})
    shutil.copytree(run.folder, tmp_path / "killed")
    for file in ("recipe.json", "val_losses.npy", "loss.png"):
        (tmp_path / "killed" / file).unlink()
    shutil.rmtree(tmp_path / "killed" / "best")
    shutil.rmtree(tmp_path / "killed" / "last.previous")
    with pytest.raises(RunError, match="never overwritten"):
        train(tiny, tmp_path, "killed", **LINEAR)
    steps = tmp_path / "killed" / "steps.csv"
    steps.write_text(steps.read_text().splitlines()[0] + "\n")  # no step was made
    (tmp_path / "killed" / ".recipe.json.1.writing").write_text("{")
    assert train(tiny, tmp_path, "killed", **LINEAR).history[-1].epoch == 3


def test_a_disk_that_is_full_at_the_start_leaves_nothing_and_tells_nobody_to_continue(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(RunError, match=r"no run can be made in .* \(No space left on device\)") as caught:
        train(tiny, tmp_path, "run", **LINEAR)
    assert "continue" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_what_a_kill_left_half_written_is_removed_at_the_next_start(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", **LINEAR)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    for name in ("test.json", "loss.png", "environment.json", "metrics.csv"):
        (run.folder / f".{name}.{ended.pid}.writing").write_text("{")
    (run.folder / f".test.json.{os.getpid()}.writing").write_text("of a process that is writing it now")
    run.extend(epochs=1)
    assert [path.name for path in run.folder.glob(".*.writing")] == [f".test.json.{os.getpid()}.writing"]


def test_only_kills_between_the_first_step_and_the_last_count() -> None:
    assert [in_the_middle(steps, 3) for steps in (0, 1, 2, 3)] == [False, True, True, False]


#: What Python reports of every touch of the disk by which a run is written (https://docs.python.org/3/library/audit_events.html).
TOUCHES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}


def die_at(k: int, folder: Path, work: Callable[[], object]) -> int:
    """Do `work` in a child that dies at its k-th touch of the disk in `folder`: its exit status, 9 where it died."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = k

    def count(path: object) -> None:
        nonlocal left
        if str(path).startswith(str(folder)):
            left -= 1
            if left < 0:
                os._exit(9)  # nothing is cleaned up, no buffer flushed: as by kill -9

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in TOUCHES or writes:
            count(folder if event in ("os.remove", "os.rmdir") else arguments[0])

    sync = os.fsync

    def fsync(handle: int) -> None:
        count(folder)
        sync(handle)

    try:
        os.fsync = fsync
        sys.addaudithook(audit)
        work()
    except BaseException:
        os._exit(1)
    os._exit(0)


def go_on(folder: Path, **how: Any) -> None:
    with Training.resume(Run.open(folder), **how) as training:
        for _ in training:
            pass


@pytest.mark.slow
@pytest.mark.parametrize("how", ["train", "continue", "until done", "interrupted"])
def test_killed_at_every_touch_of_the_disk_it_ends_where_the_unbroken_run_ends(
    tiny: Path, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downstroke.runs.until_done.MOST_EPOCHS", 2)  # an epoch of falling lr follows
    epochs = 1 if how == "continue" else 2
    recipe = Recipe(data=str(tiny), **{**LINEAR, "epochs": epochs})

    def work(home: Path) -> None:
        if how == "continue":
            go_on(home / "run", epochs=1)
            return
        with Training.start(recipe, runs_dir=home, name="run", until_done=how == "until done") as training:
            for event in training:
                if how == "interrupted" and isinstance(event, StepDone):
                    training.learner.stop()

    whole = recipe.replace(epochs=2)
    with Training.start(whole, runs_dir=tmp_path, name="whole", until_done=how == "until done") as training:
        list(training)
    with Training.start(recipe.replace(epochs=1), runs_dir=tmp_path, name="begun") as training:
        list(training)
    k, status = 0, 9
    while status == 9:
        home = tmp_path / "trials" / str(k)
        home.mkdir(parents=True)
        if how == "continue":
            shutil.copytree(tmp_path / "begun", home / "run")
        status = die_at(k, home, lambda home=home: work(home))  # type: ignore[misc]
        k += 1
        if not (home / "run" / "recipe.json").exists():
            continue  # not a run yet: nothing was learned
        run = Run.open(home / "run")
        if how == "continue" and run.position["leg"]["last_epoch"] < 2:
            go_on(run.folder, epochs=1)  # killed before it took up its goal
        else:
            go_on(run.folder)
        assert differences(run, Run.open(tmp_path / "whole")) == [], f"touch {k}"
        assert list(run.folder.glob(".*.writing")) == [], f"touch {k}"
    assert status == 0
    assert k > 20


KILLED_AT_LOADING = """
import os, sys
from downstroke.cli import main
from downstroke.runs import loading
loading.load_run_data = lambda *_: os._exit(9)
main(sys.argv[1:])
"""


def test_a_continue_that_was_killed_before_its_goal_was_kept_is_said_the_next_time(tiny: Path, tmp_path: Path) -> None:
    run = downstroke.train(
        "textbook", data=str(tiny), val_size=50, epochs=1, runs_dir=tmp_path, name="a", progress=False
    )
    for flags, said in (
        (["--epochs", "5"], "continue --epochs 5 was killed before it began"),
        (["--until-done"], "--until-done"),
    ):
        command = ["continue", str(run.folder), *flags]
        killed = subprocess.run([sys.executable, "-c", KILLED_AT_LOADING, *command], capture_output=True, check=False)
        assert killed.returncode == 9
        again = CliRunner().invoke(main, ["continue", str(run.folder)])
        assert again.exit_code == 0, again.output
        assert said in again.stderr
        assert "0 of 5 epochs done" in again.stderr or flags == ["--until-done"]
        quiet = CliRunner().invoke(main, ["continue", str(run.folder)])
        assert "was killed before it began" not in quiet.stderr, "it is said once"
    refused = CliRunner().invoke(main, ["continue", str(run.folder), "--epochs", "0"])
    assert refused.exit_code != 0
    assert not (run.folder / "asked.json").exists()
