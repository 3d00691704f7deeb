"""Advice: the verdicts, what they rest on, and the rules that they are measured against."""

import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import downstroke.advice
from downstroke.advice.curve import Curve, lr_ahead
from downstroke.advice.verdict import OPERATING_POINTS, advise, advise_every
from downstroke.bench import advice as bench
from downstroke.bench import histories, hull
from downstroke.errors import DownstrokeError

NOISE = 0.01


def noisy(trend, seed=0, noise=NOISE):
    return trend * np.exp(noise * np.random.default_rng(seed).standard_normal(len(trend)))


def curve(val_loss, loss=None, lr=None, **more):
    return Curve(np.arange(1.0, len(val_loss) + 1), np.asarray(val_loss, float), loss, lr, **more)


def epochs(count):
    return np.arange(1.0, count + 1)


def falling(count, **more):
    t = epochs(count)
    return curve(noisy(0.1 + t**-0.8), noisy(0.08 + t**-0.8, 1), np.full(count, 0.01), **more)


def overfitted(count, best=9, scale=1.0):
    t = epochs(count)
    trend = 0.2 + 0.6 * np.exp(-t / 3) + 0.012 * np.maximum(t - best, 0)
    return curve(scale * noisy(trend), scale * 0.7 * np.exp(-t / 5), np.full(count, 0.01))


def flat(count):
    t = epochs(count)
    return curve(noisy(0.3 + 0.5 * np.exp(-t / 2), noise=0.003), np.full(count, 0.3), np.full(count, 0.01))


def test_a_curve_that_falls_is_continued_and_the_reason_has_its_numbers():
    said = advise(falling(12), run="runs/calm-otter")
    assert said.verdict == "continue"
    assert not said.stop
    assert "still falls" in said.reason
    assert "in 5 epochs" in said.reason.partition("Forecast: ")[2]
    assert said.command == "downstroke continue runs/calm-otter --epochs 5"


def test_overfitting_is_told_with_its_best_epoch_and_stays_told():
    walk = advise_every(overfitted(30), run="mine")
    first = next(said for said in walk if said.stop)
    assert first.verdict == "overfitting"
    assert abs(first.best_epoch - 9) <= 3
    assert f"since epoch {first.best_epoch}" in first.reason
    assert first.epoch <= 9 + 8
    assert first.command == "downstroke test mine"
    assert all(said.verdict == "overfitting" for said in walk[20:])


@pytest.mark.parametrize("seed", range(3))
def test_a_val_loss_that_stays_is_no_overfitting_however_far_training_loss_falls(seed):
    t = epochs(30)
    said = advise_every(curve(noisy(0.3 + 0.5 * np.exp(-t / 2), seed), 0.8 * np.exp(-t / 4)))
    assert said[-1].verdict == "plateau"
    assert "overfitting" not in {advice.verdict for advice in said}


def test_a_flat_curve_is_a_plateau():
    said = advise(flat(50))
    assert said.verdict == "plateau"
    assert "Forecast: the best gets" in said.reason


@pytest.mark.parametrize("point", OPERATING_POINTS)
def test_no_training_is_stopped_that_has_just_got_better(point):
    calm = flat(50).val_loss
    for rows in (1, 2):  # ago
        better = curve(np.append(calm[:-rows], [0.28, 0.285][:rows]))
        assert advise(better, operating_point=point).verdict == "continue"
        lucky = curve(np.append(calm[:-rows], [0.9995 * calm.min(), 0.3][:rows]))
        assert advise(lucky, operating_point=point).verdict == "plateau", "within the noise it is no better"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_no_number_is_unstable_names_lr_and_suggests_one(bad):
    said = advise(curve([2.0, 1.5, bad], lr=np.full(3, 0.6)))
    assert (said.verdict, said.best_epoch, said.best_val_loss) == ("unstable", 2, 1.5)
    assert said.stop
    assert "epoch 3" in said.reason
    assert "lr 0.6 is too large: try 0.06" in said.reason
    assert said.forecast == ()


def test_divergence_in_the_first_epoch_is_unstable_and_has_no_best():
    said = advise(curve([np.nan], loss=np.array([np.nan])))
    assert (said.verdict, said.best_epoch, said.best_val_loss) == ("unstable", None, None)


def test_a_loss_that_climbs_with_the_training_loss_is_unstable():
    val_loss = noisy(np.concatenate([np.linspace(2, 1, 8), np.geomspace(1.5, 40, 12)]))
    said = advise(curve(val_loss, val_loss, np.full(20, 3.0)))
    assert said.verdict == "unstable"
    assert "lr 3 is too large: try 1" in said.reason


def test_a_loss_that_swings_is_told_so():
    val_loss = 2 * np.exp(0.5 * np.random.default_rng(0).standard_normal(12))
    reason = advise(curve(val_loss, val_loss, np.full(12, 3.0))).reason
    assert "swings: " in reason
    assert "lr 3 is too large: try 1" in reason


def test_too_early_says_how_many_epochs_are_missing():
    said = advise(falling(1), run="mine")
    assert said.verdict == "too-early"
    assert "2 epochs more are needed" in said.reason
    assert said.command == "downstroke continue mine --epochs 2"


def test_without_a_run_there_is_no_command():
    assert all(said.command is None for said in advise_every(falling(5)))


def test_each_advice_is_made_from_its_prefix_alone():
    whole = overfitted(25)
    for rows, said in enumerate(advise_every(whole), start=1):
        assert said == advise(whole.first(rows))


@pytest.mark.parametrize("scale", [0.004, 250.0])
def test_only_ratios_of_losses_count(scale):
    for one, other in zip(advise_every(overfitted(20)), advise_every(overfitted(20, scale=scale)), strict=True):
        assert one.verdict == other.verdict
        for a, b in zip(one.forecast, other.forecast, strict=True):
            assert b.val_loss == pytest.approx(scale * a.val_loss, rel=1e-6)


def test_the_json_has_the_keys_of_the_design():
    told = json.loads(json.dumps(advise(falling(9)).to_dict()))
    keys = {"epoch", "verdict", "best_epoch", "best_val_loss", "forecast", "reason", "command", "likely_better", "step"}
    assert set(told) == keys
    assert 0 <= told["likely_better"] <= 1
    assert [f["epochs"] for f in told["forecast"]] == [1, 5, 10]
    assert all(set(f) == {"epochs", "val_loss", "low", "high"} for f in told["forecast"])
    assert all(f["low"] < f["val_loss"] < f["high"] for f in told["forecast"])


def test_wrong_data_is_said():
    gap = falling(8, val_images=50)
    gap.epoch[4:] += 3
    reason = advise(gap).reason
    assert "The history has gaps: 1, the largest of 3 epochs." in reason
    assert "Val has 50 images only" in reason


def test_a_history_without_val_loss_is_refused_in_words():
    with pytest.raises(DownstrokeError, match="no val_loss"):
        advise(curve([np.nan] * 4, loss=np.ones(4)))
    with pytest.raises(DownstrokeError, match="no epoch yet"):
        advise(curve([]))


def test_an_unknown_operating_point_is_refused_with_those_there_are():
    with pytest.raises(DownstrokeError, match="quick, balanced, thorough"):
        advise(falling(5), operating_point="hasty")


def test_a_history_without_lr_and_training_loss_gets_advice_too():
    t = epochs(40)
    assert advise(curve(noisy(0.2 + 0.6 * np.exp(-t / 3) + 0.012 * np.maximum(t - 9, 0)))).verdict == "overfitting"


@pytest.mark.parametrize(
    "odd", [np.zeros(12), np.full(12, 2.3), np.linspace(0.5, -0.5, 12)], ids=["zero", "same", "<0"]
)
def test_odd_losses_get_finite_advice(odd):
    for said in advise_every(curve(odd, loss=odd)):
        assert all(np.isfinite([f.low, f.val_loss, f.high]).all() for f in said.forecast)


def test_patience_is_shorter_where_epochs_are_dear():
    price = [OPERATING_POINTS[name] for name in ("thorough", "balanced", "quick")]
    assert price == sorted(price)
    stops = [
        bench.first_stop(advise_every(overfitted(40), operating_point=name))
        for name in ("thorough", "balanced", "quick")
    ]
    assert stops == sorted(stops, reverse=True)


def test_intervals_of_80_percent_hold_about_80_percent_of_what_comes():
    held = []
    for seed, (power, floor) in enumerate(itertools.product((0.4, 0.8, 1.5), (0.05, 0.2, 0.5))):
        whole = curve(noisy(floor + epochs(45) ** -power, seed, 0.02))
        for rows in (8, 14, 22, 34):
            told = advise(whole.first(rows)).forecast
            held += [f.low <= whole.val_loss[rows + f.epochs - 1] <= f.high for f in told]
    assert 0.65 <= np.mean(held) <= 0.95


def test_a_long_history_is_thinned_keeps_its_best_and_says_so():
    t = epochs(160_000)
    long = curve(
        noisy(0.2 + 0.6 * np.exp(-t / 8_000), noise=0.02), noisy(0.1 + np.exp(-t / 8_000), 1), np.full(len(t), 0.01)
    )
    said = advise(long)
    assert said.verdict == "plateau"
    assert said.best_epoch == np.argmin(long.val_loss) + 1
    assert "The 160,000 rows are judged in blocks of 1,334." in said.reason
    assert advise(long.first(9_000)).verdict == "continue"
    assert "blocks" not in advise(falling(60)).reason


def test_a_falling_lr_is_continued_as_its_schedule_says():
    t = epochs(20)
    for name, share in (("line", 1 - t / 60), ("half cosine", (1 + np.cos(np.pi * t / 60)) / 2)):
        coming = lr_ahead(t, np.round(0.013 * share, 6), 40)
        assert coming.ends == pytest.approx(60, abs=1), name
    assert lr_ahead(t, 0.1 * 0.9**t, 10).lr[-1] == pytest.approx(0.1 * 0.9**30)
    stepped = np.where(t < 15, 0.1, 0.01)
    assert np.all(lr_ahead(t, stepped, 10).lr == 0.01)


def test_a_drop_of_lr_begins_a_new_leg_and_a_fast_decay_does_not():
    t = epochs(20)
    assert curve(t, lr=np.where(t < 15, 0.1, 0.01)).drops.tolist() == [15]
    assert len(curve(t, lr=0.5**t).drops) <= 1


def test_a_drop_of_lr_is_not_taken_for_a_fall_that_goes_on():
    t = epochs(30)
    lr = np.where(t < 26, 0.1, 0.01)
    val_loss = noisy(np.where(t < 26, 0.5, 0.3), noise=0.005)
    ahead = advise(curve(val_loss, val_loss, lr)).forecast[2]
    assert ahead.low > 0.2


def test_no_epoch_is_asked_for_after_lr_has_reached_0():
    t = epochs(30)
    said = advise(curve(noisy(0.1 + t**-0.8), noisy(0.1 + t**-0.8, 1), 0.1 * np.maximum(1 - t / 30, 1e-6)))
    assert said.verdict == "plateau"
    assert "brought lr to its end" in said.reason


def test_advice_needs_numpy_and_not_torch():
    code = "import downstroke.advice.verdict, sys; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "scipy", "matplotlib", "cv2"} & set(said.stdout.split()) == set()


def test_no_two_files_of_advice_import_each_other_not_even_for_types():
    room = Path(downstroke.advice.__file__).parent
    arrows = {path.stem: set(re.findall(r"downstroke\.advice(?: import |\.)(\w+)", path.read_text()))
              for path in room.glob("*.py")}  # fmt: skip
    assert "words" in arrows["verdict"]
    assert [(a, b) for a in arrows for b in arrows[a] if a in arrows.get(b, ())] == []


def test_regret_and_cost_are_as_defined():
    losses = np.array([1.0, 0.5, 0.404, 0.45, 0.4, 0.41])
    assert hull.regret(losses, 2) == pytest.approx(0.25)
    assert hull.needed(losses) == 3
    assert hull.cost(losses, 6) == 2


def test_patience_stops_where_it_should():
    losses = np.array([1.0, 0.5, 0.6, 0.55, 0.4995, 0.7, 0.7])
    assert hull.patience_stop(losses, 2, 0.0) == 4
    assert hull.patience_stop(losses, 3, 0.0) == 7
    assert hull.patience_stop(losses, 3, 0.01) == 5
    assert hull.patience_stop(losses, None, 0.0) == 7


def test_the_hull_lies_below_every_rule():
    chance = np.random.default_rng(0)
    points = [hull.Point("", *pair) for pair in chance.random((40, 2))]
    corners = hull.lower_hull(points)
    for point in points:
        beneath = hull.cost_at(corners, point.regret)
        assert not beneath > point.cost + 1e-12
    assert hull.regret_at(corners, corners[0].cost) == pytest.approx(corners[0].regret)


def test_the_corpus_is_large_and_spread_as_asked():
    every = [history for half in histories.HALVES for history in histories.load(half)]
    assert len(every) >= 120
    for field, least in (("model", 3), ("optimizer", 7), ("label_noise", 3), ("schedule", 6)):
        assert len(Counter(getattr(history.recipe, field) for history in every)) >= least, field
    assert any(history.recipe.dropout for history in every)
    assert min(h.recipe.train_size for h in every) < 600
    assert max(h.recipe.train_size for h in every) > 18_000
    for history in every:
        lost = not np.isfinite(history.columns["val_loss"][-1])
        assert lost or len(history.columns["epoch"]) >= 60


def test_the_halves_share_no_configuration():
    names = [{h.configuration for h in histories.load(half)} for half in histories.HALVES]
    assert names[0].isdisjoint(names[1])
    assert all(len(half) >= 50 for half in names)


def test_the_bench_scores_a_walk_by_what_was_said_when():
    seen = bench.of(histories.load("develop")[0])
    walk = bench.walk(seen, "balanced")
    figures = bench.score([seen], [walk])
    stop = bench.first_stop(walk)
    assert figures["regret"] == hull.regret(seen.val_loss, stop)
    assert figures["cost"] == hull.cost(seen.val_loss, stop)
    assert figures["diverged_told_unstable"] is None


def test_public_logs_are_of_many_repositories_and_name_them():
    every = histories.others(histories.PUBLIC)
    assert len(every) >= 280
    named = [other.made["repo"] for other in every if other.made["repo"]]
    assert len(named) >= 200
    assert len(set(named)) >= 190
    assert all(np.isfinite(other.curve.val_loss).all() and len(other.curve) >= 12 for other in every)
    assert {other.curve.loss is None for other in every} == {True, False}
    assert [len(curve) for curve in bench.corpus("public")] == [len(other.curve) for other in every]


def test_the_histories_of_other_programs_are_of_many_data_sets_and_schedules():
    every = histories.others()
    assert len(every) >= 300
    assert len({other.data for other in every}) >= 8
    assert len({other.made["schedule"] for other in every}) >= 6
    assert 0.3 < np.mean([other.curve.lr is not None for other in every]) < 0.7
