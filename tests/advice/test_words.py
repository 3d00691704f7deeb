"""What advice says is true: what it quotes of the past was measured, what it expects is named a forecast."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from downstroke.advice import logs
from downstroke.advice.curve import Curve
from downstroke.advice.verdict import Advice, advise, advise_every
from downstroke.bench import advice as bench
from downstroke.bench import histories

NUMBER = r"\d+(?:\.\d+)?(?:e[+-]\d+)?"
LR = rf"lr {NUMBER} is too large: try {NUMBER}\.|try a (?:third|tenth) of it"
STEP = 9  # every so many rows of each history: the whole would take minutes


def curve(val_loss: list[float], loss: list[float] | None = None, **more: object) -> Curve:
    at = np.arange(1.0, len(val_loss) + 1)
    return Curve(at, np.array(val_loss), None if loss is None else np.array(loss), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def prefixes() -> list[tuple[Curve, Advice]]:
    """The beginnings of many histories, and what is said of each."""
    found = []
    for half in histories.HALVES:
        for number, history in enumerate(histories.load(half)):
            whole = bench.of(history)
            for rows in range(1 + number % STEP, len(whole) + 1, STEP):
                found.append((whole.first(rows), advise(whole.first(rows))))
    return found


def same(told: str, measured: float) -> bool:
    """Whether `told` is what `measured` is when it is rounded to as many digits."""
    if "e" in told:
        return float(told) == float(f"{measured:.2e}")
    places = len(told.partition(".")[2])
    return abs(float(told) - measured) <= 0.5000001 * 10.0**-places


def untold(seen: Curve, reason: str) -> str:
    """`reason` without its forecast, and without each number that was found to be true; fails at one that is not."""
    past = " ".join(part for part in re.split(r"(?<=[.:]) (?=[A-Z])", reason.replace("Forecast: ", "Forecast= "))
                    if not part.startswith("Forecast="))  # fmt: skip

    def at_epoch(found: re.Match[str]) -> str:
        row = seen.epoch.tolist().index(float(found[2]))
        assert same(found[1], seen.val_loss[row]), found[0]
        return ""

    def moved(found: re.Match[str]) -> str:
        first = seen.epoch.tolist().index(seen.epoch[-1] - float(found[4]))
        assert same(found[2], seen.val_loss[first]), found[0]
        assert same(found[3], seen.val_loss[-1]), found[0]
        if found[1] == "still falls":
            assert np.all(np.diff(seen.val_loss[first:]) < 0), found[0]
            assert float(found[2]) > float(found[3]), found[0]
        return ""

    def training(found: re.Match[str]) -> str:
        assert seen.loss is not None
        best = int(np.argmin(seen.val_loss))
        assert same(found[2], seen.loss[best]), found[0]
        assert same(found[3], seen.loss[-1]), found[0]
        assert (seen.loss[-1] < seen.loss[best]) == (found[1] == "went on falling ("), found[0]
        return ""

    def noise(found: re.Match[str]) -> str:
        assert seen.noise is not None
        assert found[1] == f"{seen.noise:.2g}"
        return ""

    def best_epoch(found: re.Match[str]) -> str:
        assert float(found[1]) == seen.epoch[int(np.nanargmin(seen.val_loss))], found[0]
        return ""

    past = re.sub(LR, "", past)
    past = re.sub(rf"raining loss (went on falling \(|from )({NUMBER}) (?:->|to) ({NUMBER})", training, past)
    past = re.sub(rf"({NUMBER}) at epoch ({NUMBER})", at_epoch, past)
    past = re.sub(rf"(still falls|epoch): ({NUMBER}) -> ({NUMBER}) over the last (\d+) epochs", moved, past)
    past = re.sub(rf"±({NUMBER})", noise, past)
    past = re.sub(rf"(?:overfitting since epoch|The best weights are those of epoch) ({NUMBER})", best_epoch, past)
    return re.sub(rf"is (?:no number|infinite)(?: \(it was one again later\))? at epoch {NUMBER}", "", past)


def test_every_number_said_of_the_past_is_a_measured_one_and_falls_means_it(
    prefixes: list[tuple[Curve, Advice]],
) -> None:
    for seen, said in prefixes:
        if said.verdict == "too-early":
            continue
        left = untold(seen, said.reason)
        assert not re.search(r"\d", left), (said.reason, left)
        assert "falls" not in left, (said.reason, left)


def test_what_is_expected_stands_in_a_sentence_that_begins_with_forecast(prefixes: list[tuple[Curve, Advice]]) -> None:
    for seen, said in prefixes:
        if said.verdict != "continue":
            continue
        past, named, forecast = said.reason.partition("Forecast: ")
        assert named
        assert "likely" in forecast
        assert "in 5 epochs" in forecast
        assert "will" not in past
        lower = float(re.findall(r"gets (\S+)% lower", forecast)[0])
        assert 0 <= lower < 100, said.reason
        assert seen.epoch[-1] == said.epoch


def test_continue_is_the_first_word_only_where_a_better_val_loss_is_likely(
    prefixes: list[tuple[Curve, Advice]],
) -> None:
    for _, said in prefixes:
        if said.verdict == "continue":
            likely = float(re.findall(r"(?:than )?([\d.]+)% likely", said.reason)[0])
            assert said.reason.startswith("Continue.") == (likely >= 50), said.reason


def test_the_noise_does_not_jump_from_one_epoch_to_the_next() -> None:
    for half in histories.HALVES:
        for history in histories.load(half):
            whole = bench.of(history)
            assert whole.first(7).noise is None
            told = [whole.first(rows).noise for rows in range(1, len(whole) + 1)]
            known = np.array([noise for noise in told if noise is not None])
            ratios = known[1:] / known[:-1]
            assert np.all((ratios < 8) & (ratios > 1 / 8)), history.recipe


def test_a_val_loss_of_0_cannot_get_lower() -> None:
    for said in advise_every(curve([0.02, 0.0004, 0.0, 3.58e-07, 0.0], [0.01, 0.0001, 0, 0, 0]))[2:]:
        assert said.verdict == "plateau"
        assert "0 at epoch 3" in said.reason
        assert "cannot get lower than 0" in said.reason
        assert "likely" not in said.reason


@pytest.mark.parametrize("classes", [None, 10])
def test_a_run_stuck_at_guessing_is_told_so(classes: int | None) -> None:
    said = advise(curve([2.302585, 2.302586, 2.302585, 2.302584], classes=classes), run="mine")
    assert said.verdict == "plateau"
    assert "stuck at guessing" in said.reason
    assert "2.3026 at epoch 4" in said.reason
    assert said.command is None


def test_a_slow_start_is_not_taken_for_guessing() -> None:
    said = advise(curve([2.3026, 2.2981, 2.2935, 2.2893], classes=10))
    assert said.verdict == "continue"
    assert "guessing" not in said.reason


@pytest.mark.parametrize("losses", [[5e10], [7e10, 5e10], [9e10, 7e10, 5e10], [9e10, 8e10, 7e10, 6e10, 5e10]])
def test_a_run_far_above_guessing_is_unstable_from_its_first_epoch(losses: list[float]) -> None:
    said = advise(curve(losses, losses, lr=np.full(len(losses), 1e4), classes=10), run="mine")
    assert said.verdict == "unstable"
    assert f"5e+10 at epoch {len(losses)}" in said.reason
    assert "lr 1e+04 is too large" in said.reason
    assert said.command is None


def test_a_log_that_climbs_a_hundredfold_above_its_first_epoch_is_unstable() -> None:
    said = advise(curve([2.0, 1.5, 1.2, 5e10]))
    assert said.verdict == "unstable"
    assert "5e+10 at epoch 4" in said.reason
    assert "The best weights are those of epoch 3." in said.reason


def test_a_run_whose_schedule_ended_is_complete_however_short() -> None:
    for rows in (1, 2, 3, 5):
        fallen = curve([0.5 / 2**row for row in range(rows)])
        said = advise(replace(fallen, horizon=float(rows)), run="mine")
        assert said.verdict == "plateau"
        assert "complete" in said.reason
        assert f"Its schedule ended at epoch {rows}, as planned" in said.reason
        assert said.command == "downstroke test mine"
        if rows > 1:
            assert "complete" not in advise(replace(fallen, horizon=rows + 1.0)).reason


def test_a_loss_that_was_no_number_throughout_is_told_from_one_that_was_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    header = "epoch,step,elapsed_s,lr,batch_loss,loss,accuracy,val_loss,val_accuracy"
    path.write_text(f"{header}\n1,8,1.0,10000.0,,,0.1,,0.098\n2,16,2.0,10000.0,,,0.1,,0.098\n")
    said = advise(logs.read(path))
    assert said.verdict == "unstable"
    assert "is no number at epoch 1" in said.reason
    shutil.copy(path, tmp_path / "unmeasured.csv")
    path.write_text(f"{header}\n1,8,1.0,0.1,2.0,2.0,0.1,,\n")
    with pytest.raises(logs.LogError, match="no val loss was measured"):
        logs.read(path)


def test_a_small_rise_is_no_swing() -> None:
    falling = [0.02, 0.018, 0.0171, 0.0135, 0.0128, 0.0124, 0.0082, 0.0084, 0.0081]  # steps down of unequal size
    seen = curve([3 * loss for loss in falling], lr=np.full(len(falling), 0.03))
    assert seen.noise is not None
    assert "swings" not in advise(seen).reason
    assert "too large" not in advise(seen).reason


def test_a_loss_that_climbs_in_small_steps_is_said_to_have_gone_up() -> None:
    climbs = [175 * 1.04**epoch for epoch in range(15)]
    for said in advise_every(curve(climbs, climbs, lr=np.full(15, 0.006))):
        if said.verdict == "unstable":
            assert "swings" not in said.reason
