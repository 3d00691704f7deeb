"""`--until-done`: train until the advice is to stop."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import downstroke
import downstroke.runs.run
from downstroke.advice import logs, verdict
from downstroke.api import Run
from downstroke.bench.core import differences
from downstroke.cli import main
from downstroke.errors import RecipeError, RunError
from downstroke.learning.events import EpochDone, Event, Note, StepDone, StopReason
from downstroke.learning.learner import Learner
from downstroke.recipe import Recipe
from downstroke.runs.training import Training
from downstroke.runs.until_done import COOL_DOWN, MOST_EPOCHS, begin_until_done, longest

#: Overfits within a few epochs: 300 images and a large lr.
FIELDS: dict[str, Any] = {"model": "mlp", "batch_size": 32, "val_size": 100, "optimizer": "adam", "lr": 0.01}


def train(tiny: Path, home: Path, name: str, **more: Any) -> Run:
    asked = {key: more.pop(key, None) for key in ("watch", "max_epochs")}
    recipe = Recipe(data=str(tiny), **{**FIELDS, **more})
    return downstroke.train(recipe, runs_dir=home, name=name, until_done=True, **asked)


def test_it_stops_at_the_first_advice_to_stop(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run")
    assert run.stopped is StopReason.FINISHED
    assert 3 < len(run.history) < MOST_EPOCHS
    first = next(said for said in verdict.advise_every(logs.read(run.folder)) if said.stop)
    # Which stop it is hangs on the last bits of W, and they on the processor: after a plateau lr falls for some epochs.
    fall = max(1, round(COOL_DOWN * first.epoch)) if first.verdict == "plateau" else 0
    assert len(run.history) == first.epoch + fall


@pytest.mark.parametrize("stop", ["overfitting", "unstable"])
def test_it_stops_at_once_where_more_epochs_would_not_help(
    tiny: Path, tmp_path: Path, stop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = verdict.Advice(2, stop, 1, 0.1, (), f"Stop: {stop}.", None)
    on = verdict.Advice(1, "continue", 1, 0.1, (), "Continue.", None)
    monkeypatch.setattr(downstroke.runs.run.Run, "advice", lambda run: ended if len(run.history) >= 2 else on)
    assert len(train(tiny, tmp_path, "run").history) == 2


def test_on_a_plateau_lr_falls_to_zero_once(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = verdict.Advice(10, "plateau", 10, 0.1, (), "Stop: plateau.", None)
    on = verdict.Advice(1, "continue", 1, 0.1, (), "Continue.", None)
    monkeypatch.setattr(downstroke.runs.run.Run, "advice", lambda run: flat if len(run.history) >= 10 else on)
    run = train(tiny, tmp_path, "run", epochs=3)
    assert len(run.history) == 10 + round(10 * COOL_DOWN)
    rates = [row.lr for row in run.history]
    assert rates[:10] == [0.01] * 10
    assert rates[-1] < 0.001
    assert run.extend().history == run.history, "nothing is left to do"


def test_interrupted_it_goes_on_until_done_as_if_it_had_never_stopped(tiny: Path, tmp_path: Path) -> None:
    def interrupt(training: Training, event: Event) -> None:
        if isinstance(event, StepDone) and event.row.step == 13:
            training.learner.stop()

    unbroken = train(tiny, tmp_path, "unbroken")
    broken = train(tiny, tmp_path, "broken", watch=interrupt)
    assert broken.stopped is StopReason.INTERRUPTED
    assert differences(Run.open(broken.folder).extend(), unbroken) == []


def test_continuing_until_done_trains_one_epoch_at_least(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run")
    before = len(run.history)
    run.extend(until_done=True)
    assert len(run.history) > before
    assert run.advice().stop


def test_epochs_after_until_done_are_counted_again(tiny: Path, tmp_path: Path) -> None:
    seen: list[int] = []

    def watch(training: Training, event: Event) -> None:
        if isinstance(event, EpochDone):
            seen.append(event.row.epoch)

    run = train(tiny, tmp_path, "run")
    run.extend(epochs=2, watch=watch)
    assert len(seen) == 2


def test_what_has_a_known_end_or_no_val_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the cosine schedule must know its end"):
        train(tiny, tmp_path, "run", schedule="cosine")
    with pytest.raises(RecipeError, match="there are no val images"):
        train(tiny, tmp_path, "run", val_size=0)
    assert list(tmp_path.iterdir()) == []
    run = downstroke.train(Recipe(data=str(tiny), **FIELDS, epochs=1), runs_dir=tmp_path)
    with pytest.raises(RunError, match="exclude each other"):
        run.extend(epochs=2, until_done=True)
    with pytest.raises(RecipeError, match="must know its end"):
        run.extend(until_done=True, schedule="linear")


FLAT = verdict.Advice(9, "plateau", 9, 0.1, (), "Stop: plateau.", None)
ON = verdict.Advice(1, "continue", 1, 0.1, (), "Continue.", None)


@pytest.fixture
def flat_from(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets the advice be `plateau` from that epoch on."""

    def set_to(epoch: int) -> None:
        monkeypatch.setattr(
            downstroke.runs.run.Run, "advice", lambda run: FLAT if run.history[-1].epoch >= epoch else ON
        )

    return set_to


def fall(run: Run, epoch: int) -> tuple[float, list[float]]:
    """The lr of the last step of `epoch`, and those of the steps after it."""
    last = run.history[epoch - 1].step
    return run.steps[last - 1].lr, [row.lr for row in run.steps[last:]]


@pytest.mark.parametrize(
    "fields",
    [
        {"schedule": "constant", "warmup_steps": 30},
        {"schedule": "exponential", "lr_decay": 0.5},
        {"schedule": "step", "lr_decay": 0.1, "lr_decay_epochs": 2},
        {"schedule": "inverse-time"},
        {"schedule": "plateau", "lr_decay": 0.1, "lr_decay_epochs": 1},
    ],
    ids=lambda fields: fields["schedule"],
)
def test_the_fall_begins_at_the_lr_that_the_run_has(
    tiny: Path, tmp_path: Path, flat_from: Callable[[int], None], fields: dict[str, Any]
) -> None:
    flat_from(5)
    run = train(tiny, tmp_path, "run", **fields)
    had, falling = fall(run, 5)
    assert falling[0] == had
    assert all(later < earlier for earlier, later in pairwise(falling))
    assert falling[-1] == pytest.approx(had / len(falling))


def test_after_continuing_too_the_fall_begins_at_the_lr_that_the_run_has(
    tiny: Path, tmp_path: Path, flat_from: Callable[[int], None]
) -> None:
    flat_from(4)
    run = train(tiny, tmp_path, "run", schedule="exponential", lr_decay=0.5)
    before, _ = fall(run, 4)
    done = len(run.history)
    assert done == 5

    flat_from(7)
    run.extend(until_done=True)
    assert "the linear schedule brings lr to 0 and ends" in run.notices[0]
    assert run.steps[run.history[done - 1].step].lr == pytest.approx(before), "the fall is over: on from before it"
    had, falling = fall(run, 7)
    assert had < 0.3 * before
    assert falling[0] == had
    assert falling[-1] == pytest.approx(had / len(falling))

    flat_from(9)
    run.extend(until_done=True, lr=0.002)
    had, falling = fall(run, 9)
    assert had < 0.002
    assert falling[0] == had


@pytest.mark.parametrize("most", [1, 2, 3, 6, 12])
def test_max_epochs_is_the_most_it_trains_and_lr_falls_to_zero_within_them(
    tiny: Path, tmp_path: Path, flat_from: Callable[[int], None], most: int
) -> None:
    flat_from(100)
    run = train(tiny, tmp_path, "run", max_epochs=most)
    assert len(run.history) == most
    if most > 1:
        assert run.steps[-1].lr < 0.1 * run.steps[0].lr
    run.extend(until_done=True, max_epochs=2)
    assert len(run.history) == most + 2


def test_interrupted_it_keeps_its_bound(tiny: Path, tmp_path: Path, flat_from: Callable[[int], None]) -> None:
    def interrupt(training: Training, event: Event) -> None:
        if isinstance(event, StepDone) and event.row.step == 13:
            training.learner.stop()

    flat_from(100)
    run = train(tiny, tmp_path, "run", watch=interrupt, max_epochs=4)
    assert run.stopped is StopReason.INTERRUPTED
    assert len(run.extend().history) == 4


def test_the_bound_the_outlook_and_the_fall_are_said(
    tiny: Path, tmp_path: Path, flat_from: Callable[[int], None]
) -> None:
    said: list[tuple[int, str]] = []

    def watch(training: Training, event: Event) -> None:
        if isinstance(event, Note):
            said.append((training.learner.at.epoch, event.text))

    flat_from(11)
    run = train(tiny, tmp_path, "run", watch=watch, lr=0.0003)
    assert [epoch for epoch, _ in said] == [1, 5, 10, 11]
    lines = [text for _, text in said]
    assert re.fullmatch(r"until done: at most 999 epochs more, .*minutes? at [\d.]+ s an epoch", lines[0])
    best = min(run.history[:10], key=lambda row: row.val_loss)
    so_far = f"the best val loss so far is {best.val_loss:.4f} at epoch {best.epoch}"
    assert f"after epoch 10: {so_far}; with more epochs one lower by more than" in lines[2]
    assert re.search(r"1% is (less than |more than )?\d+% likely, and [\d.]+% lower is expected", lines[2])
    assert lines[3] == "val loss is on a plateau: lr falls from 0.0003 to 0 over 2 epochs, and training ends"


@pytest.mark.parametrize(
    ("epoch_s", "said"), [(0.0123, "0.012 s"), (9.96, "10 s"), (123.4, "123 s"), (4321, "4,321 s")]
)
def test_the_time_of_an_epoch_is_said_in_plain_digits(epoch_s: float, said: str) -> None:
    learner = Learner(Recipe(**FIELDS), 10, device="cpu")
    begin_until_done(learner, 10)
    (line,) = longest(learner, epoch_s)
    assert line.endswith(f" at {said} an epoch")


def test_max_epochs_without_until_done_is_refused_in_a_line(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="--max-epochs 3 bounds --until-done; give both, or --epochs 3"):
        downstroke.train(Recipe(data=str(tiny), **FIELDS), runs_dir=tmp_path, max_epochs=3)
    with pytest.raises(RunError, match="max_epochs is 0; expected a whole number from 1"):
        train(tiny, tmp_path, "run", max_epochs=0)
    assert list(tmp_path.iterdir()) == []
    for command in ("train", "continue"):
        refused = CliRunner().invoke(main, [command, "--max-epochs", "3"])
        assert refused.exit_code == 2
        assert "--max-epochs bounds --until-done" in refused.output
