"""`--until-done`: train until the advice is to stop."""

from pathlib import Path
from typing import Any

import pytest

import downstroke
import downstroke.runs.run
from downstroke.advice import logs, verdict
from downstroke.api import Run
from downstroke.bench.core import differences
from downstroke.errors import RecipeError, RunError
from downstroke.learning.events import EpochDone, Event, StepDone, StopReason
from downstroke.recipe import Recipe
from downstroke.runs.training import COOL_DOWN, MOST_EPOCHS, Training

#: Overfits within a few epochs: 300 images and a large lr.
FIELDS: dict[str, Any] = {"model": "mlp", "batch_size": 32, "val_size": 100, "optimizer": "adam", "lr": 0.01}


def train(tiny: Path, home: Path, name: str, **more: Any) -> Run:
    watch = more.pop("watch", None)
    recipe = Recipe(data=str(tiny), **{**FIELDS, **more})
    return downstroke.train(recipe, runs_dir=home, name=name, until_done=True, watch=watch)


def test_it_stops_at_the_first_advice_to_stop(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run")
    assert run.stopped is StopReason.FINISHED
    assert 3 < len(run.history) < MOST_EPOCHS
    said = verdict.advise_every(logs.read(run.folder))
    assert said[-1].verdict == "overfitting"
    assert [advice.stop for advice in said] == [False] * (len(said) - 1) + [True]


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
    with pytest.raises(RecipeError, match="there is no val"):
        train(tiny, tmp_path, "run", val_size=0)
    assert list(tmp_path.iterdir()) == []
    run = downstroke.train(Recipe(data=str(tiny), **FIELDS, epochs=1), runs_dir=tmp_path)
    with pytest.raises(RunError, match="exclude each other"):
        run.extend(epochs=2, until_done=True)
    with pytest.raises(RecipeError, match="must know its end"):
        run.extend(until_done=True, schedule="linear")
