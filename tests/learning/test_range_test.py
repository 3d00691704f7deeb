"""find-lr: one lr, the same each time, and nothing changed by looking for it."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import downstroke
from downstroke.bench import find_lr as bench
from downstroke.cli import main
from downstroke.data import sources
from downstroke.data.sources import load as sources_load
from downstroke.errors import DataError, DownstrokeError
from downstroke.learning import range_test as range_room
from downstroke.learning.events import StepDone
from downstroke.learning.learner import Images, Learner
from downstroke.learning.loop import learn
from downstroke.learning.range_test import HIGHEST, LOWEST, STEPS, RangeTest, range_test, remembered, smooth, suggest
from downstroke.recipe import Recipe
from downstroke.runs.parts import Parts
from downstroke.show.range_plot import range_plot

SMALL: dict[str, Any] = {"model": "mlp", "batch_size": 64, "val_size": 50}
#: All that carries state: momentum, an average of W, batch statistics, dropout, augmentation, a temperature.
FULL: dict[str, Any] = {
    "model": "cnn",
    "batch_size": 64,
    "val_size": 50,
    "dropout": 0.3,
    "average": 3,
    "augment": "affine",
    "label_smoothing": 0.1,
}


def begun(tiny: Path, recipe: Recipe) -> tuple[Learner, Images]:
    data = sources.load(str(tiny), recipe.split_seed)
    learner = Learner(recipe, 10, device="cpu", precision="float32")
    train = Images(Parts(data, recipe).train, "cpu")
    learner.begin(train.images)
    return learner, train


def bits(learner: Learner) -> dict[str, bytes]:
    """All of a learner's state and of torch's random state, as bytes."""
    tensors, state = learner.state()
    found = {f"{file}.{name}": t.numpy().tobytes() for file, group in tensors.items() for name, t in group.items()}
    return {**found, "state": json.dumps(state).encode(), "random": torch.get_rng_state().numpy().tobytes()}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep of so few steps that the lr leaps: what it must leave alone is the same."""
    monkeypatch.setattr(range_room, "STEPS", 60)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("optimizer", ["nesterov", "adam", "rmsprop", "muon"])
def test_w_the_optimizer_and_the_random_state_stay_bit_for_bit_as_they_were(tiny: Path, optimizer: str) -> None:
    learner, train = begun(tiny, Recipe(optimizer=optimizer, **FULL))
    steps = learn(learner, train, train.take(torch.arange(0)))
    for _ in range(3):
        next(steps)
    before = bits(learner)
    assert len([name for name in before if name.startswith("optimizer.")]) > 0
    range_test(learner, train)
    assert bits(learner) == before
    after = next(steps)
    assert isinstance(after, StepDone)
    assert after.row.step == 4


@pytest.mark.usefixtures("short")
def test_training_goes_on_as_if_nothing_had_been_tried(tiny: Path) -> None:
    losses = []
    for look in (False, True):
        learner, train = begun(tiny, Recipe(optimizer="adam", **FULL))
        steps = learn(learner, train, train.take(torch.arange(0)))
        found = [next(steps) for _ in range(2)]
        if look:
            range_test(learner, train)
        found += [next(steps) for _ in range(3)]
        losses.append([event.row.batch_loss for event in found if isinstance(event, StepDone)])
    assert losses[0] == losses[1]


@pytest.mark.usefixtures("short")
def test_the_same_recipe_gives_the_same_lr_and_leaves_torchs_random_state(tiny: Path) -> None:
    torch.manual_seed(123)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    one = downstroke.find_lr(data=str(tiny), **SMALL, dropout=0.2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    torch.rand(7)
    other = downstroke.find_lr(data=str(tiny), **SMALL, dropout=0.2, lr=7.0, schedule="cosine", warmup_steps=50)
    assert one.loss.tolist() == other.loss.tolist(), "the recipe's own lr, schedule and warm-up do not matter"
    assert one.suggestion == other.suggestion


def test_the_lr_that_is_found_learns(tiny: Path) -> None:
    for optimizer in ("sgd", "adam"):
        recipe = Recipe(optimizer=optimizer, data=str(tiny), **SMALL)
        lr = downstroke.find_lr(recipe).suggestion
        reached = {}
        for factor in (0.03, 1, 100):
            learner, train = begun(tiny, recipe.replace(lr=factor * lr, epochs=3))
            events = learn(learner, train, train.take(torch.arange(0)))
            try:
                reached[factor] = [event.row.batch_loss for event in events if isinstance(event, StepDone)][-1]
            except DownstrokeError:
                reached[factor] = math.inf
        assert reached[1] < min(reached[0.03], reached[100]), (optimizer, lr, reached)


def test_lr_rises_by_one_factor_and_the_sweep_ends_when_the_loss_explodes(tiny: Path) -> None:
    found = downstroke.find_lr(data=str(tiny), optimizer="sgd", **SMALL)
    assert found.lr[0] == LOWEST
    assert np.diff(np.log(found.lr)) == pytest.approx(math.log(HIGHEST / LOWEST) / (STEPS - 1))
    assert len(found.lr) < STEPS
    assert found.smoothed[-1] > 4 * found.smoothed.min()
    assert found.suggestion <= found.falls_to < found.lr[-1]


def test_smoothing_keeps_a_straight_line_and_quiets_noise() -> None:
    line = np.linspace(3, 1, 100)
    assert smooth(line)[30:70] == pytest.approx(line[30:70])
    noise = np.random.default_rng(0).normal(0, 1, 1000)
    assert smooth(noise).std() < 0.3
    assert smooth(np.full(7, 2.0)) == pytest.approx(2.0)


LR = np.geomspace(1e-6, 10, 300)
X = np.log10(LR)


def noisy(loss: np.ndarray, scale: float, seed: int) -> np.ndarray:
    return loss + np.random.default_rng(seed).normal(0, scale, len(loss))


@pytest.mark.parametrize("seed", range(5))
def test_the_suggestion_lies_on_the_way_down_before_the_first_rise_beyond_noise(seed: int) -> None:
    """The loss falls to 0.01, rises to a peak at 0.1, and then falls lower than ever."""
    loss = noisy(np.interp(X, [-6, -4, -2, -1, 0.5, 1], [2.3, 2.3, 0.8, 1.5, 0.5, 5]), 0.1, seed)
    lr = suggest(LR, loss, 1000)
    assert 1e-4 < lr < 0.013
    smoothed = smooth(loss)
    assert smoothed[LR.searchsorted(lr) - 10] > smoothed[LR.searchsorted(lr)]


def test_a_rise_within_the_noise_does_not_end_the_way_down() -> None:
    loss = noisy(np.interp(X, [-6, -4, -1, 0, 1], [2.3, 2.3, 0.8, 1.5, 5]), 0.3, 0)
    assert 0.01 < suggest(LR, loss, 1000) < 0.1


def test_a_rise_before_the_first_fall_is_none() -> None:
    loss = np.interp(X, [-6, -5, -4, -1, 0, 1], [2.3, 2.3, 2.6, 0.8, 1.5, 5])
    assert 0.01 < suggest(LR, loss, 1000) < 0.1


def test_the_longer_the_optimizer_remembers_the_smaller_the_lr() -> None:
    loss = np.interp(X, [-6, -4, -1, 0, 1], [2.3, 2.3, 0.8, 1.5, 5])
    lrs = [suggest(LR, loss, 1000, remembered(Recipe(optimizer="momentum", momentum=m))) for m in (0, 0.8, 0.9, 0.95)]
    assert lrs == sorted(set(lrs), reverse=True)
    assert lrs[0] == suggest(LR, loss, 1000, remembered(Recipe(optimizer="sgd")))
    assert lrs[0] == float(f"{lrs[0]:.1e}")


def test_the_longer_the_training_the_smaller_the_lr(tiny: Path) -> None:
    loss = np.interp(X, [-6, -4, -1, 0, 1], [2.3, 2.3, 0.8, 1.5, 5])
    few, more, many = (suggest(LR, loss, steps) for steps in (1000, 4000, 16_000))
    assert few == pytest.approx(2 * more, rel=0.05)
    assert more == pytest.approx(2 * many, rel=0.05)
    recipe = Recipe(optimizer="sgd", data=str(tiny), **SMALL, epochs=7)
    assert downstroke.find_lr(recipe).steps == 70, "of 600 images, in batches of 64, the last one short"
    assert downstroke.find_lr(recipe, late_batch_size=128).steps == 56


@pytest.mark.parametrize("loss", [np.linspace(2, 9, 300), np.full(300, 2.0), np.zeros(0)])
def test_a_loss_that_never_falls_is_an_error_in_words(loss: np.ndarray) -> None:
    with pytest.raises(DataError, match="does not fall at any lr"):
        suggest(np.geomspace(1e-6, 10, 300)[: len(loss)], loss, 1000)


# ---- the command and the picture -------------------------------------------------------------------------


def test_the_command_suggests_one_lr_and_the_next_command_and_leaves_no_run(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    args = ["find-lr", "textbook", "--data", str(tiny), "--val-size", "50", "--model", "mlp", "--batch-size", "64"]
    said = CliRunner().invoke(main, args)
    assert said.exit_code == 0, said.output
    assert list(tmp_path.iterdir()) == []
    found = json.loads(CliRunner().invoke(main, [*args, "--plot", "lr.svg", "--json"]).stdout)
    assert said.stdout.startswith(f"lr {found['lr']:g}. ")
    command = f"downstroke train textbook --data {tiny} --val-size 50 --model mlp --batch-size 64 --lr {found['lr']:g}"
    assert found["command"] == said.stdout.splitlines()[1] == command
    assert len(found["curve"]["lr"]) == len(found["curve"]["loss"]) == len(found["curve"]["smoothed"])
    assert f"suggested: {found['lr']:g}" in (tmp_path / "lr.svg").read_text()
    assert found["plot"] == str(tmp_path / "lr.svg")


def test_a_picture_of_another_kind_is_refused_before_the_sweep(tmp_path: Path) -> None:
    refused = CliRunner().invoke(main, ["find-lr", "--data", "nowhere", "--plot", str(tmp_path / "lr.pdf")])
    assert refused.exit_code == 1
    assert "expected .png or .svg" in refused.stderr


def test_the_axis_of_lr_is_in_plain_numbers(tmp_path: Path) -> None:
    lr = np.geomspace(1e-6, 10, 300)
    loss = 2.3 - np.clip(np.log10(lr) + 4, 0, 2)
    text = range_plot(RangeTest(lr, loss, smooth(loss), 0.01, 1000), tmp_path / "lr.svg").read_text()
    assert "mathdefault" not in text
    assert ">0.001<" in text


def test_options_that_mean_nothing_to_a_sweep_are_not_offered() -> None:
    offered = CliRunner().invoke(main, ["find-lr", "--help"]).output
    for flag in ("--lr ", "--schedule", "--lr-decay", "--warmup-steps", "--epochs", "--average", "--until-done"):
        assert flag not in offered
        assert CliRunner().invoke(main, ["find-lr", flag.strip(), "1"]).exit_code == 2
    assert "--batch-size" in offered


def test_the_bench_goes_on_where_it_was_stopped(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_room, "STEPS", 60)
    monkeypatch.setattr(bench, "FACTORS", (0.1, 1.0))
    monkeypatch.setattr(bench, "load_data", lambda *_: sources_load(str(tiny), 0))
    asked: dict[str, Any] = {"models": ["linear"], "optimizers": ["sgd", "adam"], "seeds": 1, "train_size": 300}
    files = {"lines": tmp_path / "lines.jsonl", "out": tmp_path / "figures.json"}
    whole = bench.measure(**asked, **files, say=lambda line: None)
    lines = files["lines"].read_text()
    files["lines"].write_text(lines[: len(lines) // 2])
    said: list[str] = []
    assert bench.measure(**asked, **files, say=said.append) == whole
    assert len(said) == 2
    grown = files["lines"].read_text()
    assert len(grown.splitlines()) in (len(lines.splitlines()), len(lines.splitlines()) + 1), "one was cut short"
    bench.measure(**asked, **files, say=lambda line: None)
    assert files["lines"].read_text() == grown, "nothing is measured twice"
    assert f"{whole['near_the_best']:.0%} of 2 cases within 10% of the best of nine" in bench.table(whole)


def test_the_picture_begins_where_something_happens(tmp_path: Path) -> None:
    lr = np.geomspace(1e-6, 10, 300)
    loss = 2.3 - np.clip(np.log10(lr) + 2, 0, 2)  # nothing happens below 0.01
    text = range_plot(RangeTest(lr, loss, smooth(loss), 0.1, 1000), tmp_path / "lr.svg").read_text()
    assert ">0.01<" in text
    assert ">1e-4<" not in text
