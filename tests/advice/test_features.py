"""What a history looks like in numbers, and the weights that go with them."""

import numpy as np
import pytest

from downstroke.advice.curve import Curve, lr_ahead
from downstroke.advice.features import ROWS, blocks, features, shift
from downstroke.advice.fitted import fitted
from downstroke.advice.verdict import AHEAD, OPERATING_POINTS, advise


def curve(rows: int, scale: float = 1.0, lr: np.ndarray | None = None) -> Curve:
    t = np.arange(1.0, rows + 1)
    chance = np.random.default_rng(0)
    val_loss = scale * (0.2 + 1 / t) * np.exp(0.02 * chance.standard_normal(rows))
    return Curve(t, val_loss, scale * (0.1 + 1 / t), lr)


def test_the_weights_that_travel_are_for_these_features() -> None:
    models = fitted()
    assert list(models.names) == list(features(curve(20)))
    assert set(models.stop) == set(OPERATING_POINTS)
    assert set(models.ahead) == set(AHEAD)
    wide = len(models.names) + 1
    every = [
        *models.stop.values(),
        models.better,
        models.lower,
        models.risen,
        *(m for m, _, _ in models.ahead.values()),
    ]
    assert all(weights.shape == (wide,) and np.isfinite(weights).all() for weights in every)
    assert all(low < middle < high for _, _, (low, middle, high) in models.ahead.values())


@pytest.mark.parametrize("rows", [3, 4, 8, 40, ROWS])
def test_every_feature_is_a_number_or_unknown_and_only_ratios_count(rows: int) -> None:
    one, other = features(curve(rows)), features(curve(rows, scale=250.0))
    for name, value in one.items():
        assert not np.isinf(value), name
        assert other[name] == pytest.approx(value, abs=1e-6, nan_ok=True), name


def test_a_bare_history_without_training_loss_and_lr_is_judged_as_one_of_which_they_are_not_known() -> None:
    t = np.arange(1.0, 11)
    told = features(Curve(t, 1 / t))
    assert (told["has_train"], told["has_lr"]) == (0, 0)
    assert np.isfinite(fitted().standard(told)).all()


def test_blocks_are_of_equal_length_and_end_with_the_last_row() -> None:
    long = curve(1000)
    seen = blocks(long)
    assert len(seen) <= ROWS
    assert seen.epoch[-1] == 1000
    assert len(set(np.diff(seen.epoch))) == 1
    assert blocks(curve(ROWS)).epoch.tolist() == curve(ROWS).epoch.tolist()


def test_losses_below_0_are_shifted_above_it() -> None:
    values = np.array([-3.0, -1.0, 2.0])
    assert shift(values) + values.min() > 0
    assert shift(np.array([0.0, 1.0])) == 0
    assert shift(np.full(3, -2.0)) > 2


def test_an_lr_of_0_at_the_end_is_the_end_of_the_schedule() -> None:
    lr = np.linspace(1, 0, 20)
    said = advise(curve(20, lr=lr))
    assert said.verdict == "plateau"
    assert "brought lr to its end" in said.reason
    assert advise(curve(10, lr=lr[:10])).verdict == "continue"


@pytest.mark.parametrize("floor", [0.01, 0.1])
def test_a_half_cosine_to_a_floor_is_continued_to_it(floor: float) -> None:
    t = np.arange(1.0, 31)
    lr = 0.02 * (floor + (1 - floor) * (1 + np.cos(np.pi * t / 50)) / 2)
    coming = lr_ahead(t, lr, 40)
    assert coming.ends == pytest.approx(50, abs=2)
    assert coming.lr[-1] == pytest.approx(0.02 * floor, rel=0.15)
