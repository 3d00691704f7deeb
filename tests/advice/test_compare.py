"""Two runs on the same val images: exact where it can be, honest about chance, and refused where val differs."""

import itertools
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import downstroke
from downstroke.advice.compare import compare, mcnemar
from downstroke.cli import main
from downstroke.errors import RunError
from downstroke.recipe import Recipe
from downstroke.runs import checkpoint
from downstroke.runs.training import Training

SMALL: dict[str, Any] = {"model": "mlp", "batch_size": 64, "val_size": 50, "lr": 0.02, "epochs": 2}


def test_a_run_whose_w_gives_no_numbers_is_named_by_every_command(tiny: Path, tmp_path: Path) -> None:
    home = ["--runs-dir", str(tmp_path)]
    first = ["train", "textbook", "--data", str(tiny), "--model", "mlp", "--batch-size", "5000", "--val-size", "50"]
    for name, lr in (("calm", "0.01"), ("lost", "1e16")):
        one = [*first, "--optimizer", "sgd", "--epochs", "1", "--lr", lr, "--name", name, *home]
        assert CliRunner().invoke(main, one).exit_code == 0
    told = CliRunner().invoke(main, ["advise", "lost", *home]).output
    assert "val loss is no number at epoch 1" in told
    assert "too large" in told
    assert "it diverged" in CliRunner().invoke(main, ["runs", *home]).output
    picture = tmp_path / "one.png"
    page = np.full((28, 28), 255, np.uint8)
    page[5:23, 12:16] = 0
    Image.fromarray(page).save(picture)
    for command in (["test", "lost"], ["compare", "calm", "lost"], ["read", str(picture), "--run", "lost", "--digit"]):
        found = CliRunner().invoke(main, [*command, *home])
        assert found.exit_code != 0, command
        assert "diverged" in found.output, command
        assert "nan" not in found.output, command
        assert "unexpected" not in found.output, command
        assert "Error:" not in found.output, command


def test_a_finished_sprint_is_complete(tiny: Path, tmp_path: Path) -> None:
    home = ["--runs-dir", str(tmp_path)]
    told = CliRunner().invoke(
        main, ["train", "sprint", "--data", str(tiny), "--batch-size", "64", "--name", "one", *home]
    )
    assert "the run is complete" in told.output
    assert "Too early" not in CliRunner().invoke(main, ["advise", "one", *home]).output


def test_a_loss_beyond_all_measure_is_told_in_three_digits(tiny: Path, tmp_path: Path) -> None:
    """It was 93226557893593008.0000."""
    home = ["--runs-dir", str(tmp_path)]
    first = ["train", "textbook", "--data", str(tiny), "--model", "cnn", "--val-size", "50", "--optimizer", "sgd"]
    for name, lr in (("calm", "0.01"), ("wild", "1e8")):
        done = CliRunner().invoke(main, [*first, "--epochs", "1", "--lr", lr, "--name", name, *home])
        assert done.exit_code == 0, done.output
    for command in (["compare", "calm", "wild"], ["runs"], ["test", "wild"]):
        done = CliRunner().invoke(main, [*command, *home])
        assert re.search(r"\de\+\d\d", done.stdout), command
        assert not re.search(r"\d{6}", done.stdout.partition(":")[0] + done.stdout), command


# ---- the statistics --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), [(0, 0), (0, 1), (3, 3), (1, 5), (9, 2), (0, 11)])
def test_mcnemar_counts_the_splits_that_are_at_least_as_uneven(one: int, other: int) -> None:
    splits = [sum(sides) for sides in itertools.product((0, 1), repeat=one + other)]
    uneven = [abs(2 * ones - one - other) >= abs(one - other) for ones in splits]
    assert mcnemar(one, other) == pytest.approx(sum(uneven) / len(uneven))


def test_mcnemar_of_thousands_is_the_normal_approximation() -> None:
    z = (abs(5200 - 4800) - 1) / math.sqrt(10_000)
    assert mcnemar(4800, 5200) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=0.01)


def test_what_is_hard_for_both_falls_out_of_the_difference() -> None:
    rng = np.random.default_rng(0)
    hard = rng.lognormal(-3, 2, 1000)
    found = compare((hard, hard + 0.01 * rng.normal(1, 1, 1000)), both_right(1000))
    assert found.difference == pytest.approx(0.01, rel=0.1)
    assert found.standard_error == pytest.approx(0.01 / math.sqrt(1000), rel=0.1)
    assert found.standard_error < 0.01 * hard.std() / math.sqrt(1000)


def test_the_interval_holds_the_truth_19_times_in_20() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(500):
        first = rng.lognormal(-3, 0.5, 400)
        second = first * rng.lognormal(0, 0.5, 400) + 0.002
        low, high = compare((first, second), both_right(400)).interval
        truth = math.exp(-3 + 0.125) * (math.exp(0.125) - 1) + 0.002
        inside += low <= truth <= high
    assert 0.92 <= inside / 500 <= 0.98


def both_right(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(count, bool), np.ones(count, bool)


def readings(only_first: int, only_second: int, both: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [only_first, only_second, both, neither]
    return np.repeat([True, False, True, False], counts), np.repeat([False, True, True, False], counts)


def words(right: tuple[np.ndarray, np.ndarray]) -> str:
    losses = np.zeros(len(right[0]))
    return compare((losses, losses), right).digits("calm-otter", "brisk-heron")


def test_an_interval_that_leaves_0_out_is_not_told_as_if_it_began_there() -> None:
    noise = np.random.default_rng(0).standard_normal(1000)
    second = noise - noise.mean()
    second = 0.1 + second / second.std(ddof=1) * np.sqrt(1000) * 0.001  # standard error 0.001
    told = compare((second, np.full(1000, 0.1) - 0.00198), (np.ones(1000, bool), np.ones(1000, bool)))
    low = -told.interval[1]
    assert 0 < low < 0.00005
    said = told.losses("the first", "the second")
    assert "more than chance" in said
    assert f"(95% interval {low:.5f} to" in said
    assert f"{low:.5f}" != "0.00000"


def test_the_readings_are_said_in_words() -> None:
    assert words(readings(30, 42, 4900, 28)) == (
        "brisk-heron reads 12 more of 5,000 digits than calm-otter; the difference is within chance (p = 0.19)"
    )
    assert words(readings(42, 10, 4900, 48)) == (
        "calm-otter reads 32 more of 5,000 digits than brisk-heron; the difference is more than chance (p < 0.001)"
    )
    assert words(readings(5, 5, 90, 0)) == "both read 95 of 100 digits"


def test_the_losses_are_said_in_words_the_better_one_first() -> None:
    first, second = np.full(400, 0.5), np.full(400, 0.4) + np.tile([-0.01, 0.01], 200)
    said = "the val loss of b, 0.4000, is lower than that of a by 0.1000 (95% interval 0.0990 to 0.1010); "
    assert compare((first, second), both_right(400)).losses("a", "b") == f"{said}the difference is more than chance"
    assert compare((second, first), both_right(400)).losses("b", "a") == f"{said}the difference is more than chance"
    noise = np.tile([-1.0, 1.01], 200)
    assert compare((first, first + noise), both_right(400)).losses("a", "b").endswith("the difference is within chance")
    assert compare((first, first), both_right(400)).losses("a", "b") == "the val losses are equal, 0.5000"


def test_of_few_images_it_is_said_that_they_tell_little() -> None:
    rng = np.random.default_rng(0)
    for count, said in ((50, True), (500, False)):
        found = compare((rng.random(count), rng.random(count) + 1), both_right(count)).losses("a", "b")
        assert found.endswith(f"more than chance, as far as {count} images can tell") == said


def test_one_image_has_no_standard_error_and_proves_nothing() -> None:
    found = compare((np.array([0.1]), np.array([0.2])), readings(1, 0, 0, 0))
    assert math.isnan(found.standard_error)
    assert found.p == 1
    assert "within chance" in found.losses("a", "b")


# ---- runs ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one recipe: two seeds, another split, another val size, no val, other data."""
    home = tmp_path_factory.mktemp("runs")
    spoilt = home / "other.npz"
    with np.load(tiny) as arrays:
        np.savez(spoilt, **{**arrays, "y_train": arrays["y_train"][::-1].copy()})
    for name, changes in {
        "one": {},
        "two": {"seed": 1, "train_size": 300, "label_noise": 0.2},
        "split": {"split_seed": 1},
        "size": {"val_size": 60},
        "without": {"val_size": 0},
        "data": {"data": str(spoilt)},
    }.items():
        recipe = Recipe(**{"data": str(tiny), **SMALL, **changes})
        with Training.start(recipe, runs_dir=home, name=name) as training:
            if name in ("one", "two"):
                list(training)
    return home


def test_two_runs_are_compared_by_their_best_w_on_the_same_val_images(home: Path) -> None:
    found = downstroke.compare("one", "two", runs_dir=home)
    assert found["images"] == 50
    for side, name in enumerate(("one", "two")):
        best = downstroke.Run.open(name, home).history.best
        assert best
        assert found["epochs"][side] == best.epoch
        assert found["val_loss"][side] == pytest.approx(best.val_loss, rel=1e-5)
        assert found["accuracy"][side] == pytest.approx(best.val_accuracy)
    only, errors = found["only_right"], found["errors"]
    assert only[0] - only[1] == errors[1] - errors[0]
    assert found["val_loss_difference"] == pytest.approx(found["val_loss"][1] - found["val_loss"][0])
    assert found["p"] == mcnemar(*only)


def test_what_is_kept_says_what_reading_the_images_anew_says(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = downstroke.compare("one", "two", runs_dir=home)
    assert all(checkpoint.val_readings(home / name) for name in ("one", "two"))
    monkeypatch.setattr(checkpoint, "val_readings", lambda folder: None)
    assert downstroke.compare("one", "two", runs_dir=home) == kept


def test_readings_of_a_damaged_checkpoint_are_not_used(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "one", tmp_path / "one")
    weights = tmp_path / "one" / "best" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert checkpoint.val_readings(tmp_path / "one") is None
    assert downstroke.compare(tmp_path / "one", home / "two")["damage"]


def test_a_run_is_equal_to_itself(home: Path) -> None:
    found = downstroke.compare("one", "one", runs_dir=home)
    assert found["p"] == 1
    assert found["val_loss_difference"] == found["val_loss_standard_error"] == 0


def test_the_order_only_turns_the_sign(home: Path) -> None:
    one, other = (downstroke.compare(*pair, runs_dir=home) for pair in (("one", "two"), ("two", "one")))
    assert one["val_loss_difference"] == -other["val_loss_difference"]
    assert one["p"] == other["p"]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ("split", "split_seed is 0 for one and 1 for the other"),
        ("size", "val has 50 images for one and 60 for the other"),
        ("data", "their data differ"),
        ("without", "without has no val images"),
    ],
)
def test_runs_with_other_val_images_are_refused_in_words(home: Path, other: str, why: str) -> None:
    for pair in (("one", other), (other, "one")):
        with pytest.raises(RunError) as caught:
            downstroke.compare(*pair, runs_dir=home)
        assert "\n" not in str(caught.value)
        assert other in str(caught.value)
    with pytest.raises(RunError, match=why):
        downstroke.compare("one", other, runs_dir=home)


def test_the_command_says_two_sentences_or_one_json_value(home: Path) -> None:
    said = CliRunner().invoke(main, ["compare", "one", "two", "--runs-dir", str(home)])
    assert said.exit_code == 0, said.output
    assert len(said.stdout.splitlines()) == 2
    assert "of 50 digits" in said.stdout
    found = json.loads(CliRunner().invoke(main, ["compare", "one", "two", "--runs-dir", str(home), "--json"]).stdout)
    assert found == json.loads(json.dumps(downstroke.compare("one", "two", runs_dir=home)))
    refused = CliRunner().invoke(main, ["compare", "one", "split", "--runs-dir", str(home)])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: one and split do not have the same val images")
    assert CliRunner().invoke(main, ["compare", "one"]).exit_code == 2


def test_of_three_runs_every_pair_is_compared_and_different_epochs_are_said(home: Path) -> None:
    changed = downstroke.Run.open("one", home).recipe.replace(epochs=1, seed=5)
    downstroke.train(changed, runs_dir=home, name="short", progress=False)
    where = ["--runs-dir", str(home)]
    said = CliRunner().invoke(main, ["compare", "one", "two", "short", *where])
    assert said.exit_code == 0, said.output
    pairs = said.stdout.strip().split("\n\n")
    assert [len(pair.splitlines()) for pair in pairs] == [2, 3, 3]
    assert "the runs' epochs differ: one for 2 epochs (weights of epoch " in pairs[1]
    assert "and short for 1 epoch (weights of epoch 1); some" in pairs[1]
    found = json.loads(CliRunner().invoke(main, ["compare", "one", "two", "short", *where, "--json"]).stdout)
    for pair, names in zip(found, itertools.combinations(("one", "two", "short"), 2), strict=True):
        assert [Path(run).name for run in pair["runs"]] == list(names)
        assert pair == json.loads(json.dumps(downstroke.compare(*names, runs_dir=home)))
    assert [pair["lengths"] is None for pair in found] == [True, False, False]
    refused = CliRunner().invoke(main, ["compare", "one", "two", "size", *where])
    assert refused.stderr.startswith("error: one and size do not have the same val images")
