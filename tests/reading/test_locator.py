"""The locator: drawn pages are replayable, NumPy and torch agree, and an interrupted training ends the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from downstroke.augment.pages import MARKS, SIDE, Characters, draw_pages
from downstroke.data import sources
from downstroke.learning import locator
from downstroke.reading import locate
from downstroke.reading.locator_network import NumpyLocator
from downstroke.reading.shipped import HOME


@pytest.fixture(scope="module")
def characters() -> Characters:
    train = sources.load("mnist", 0).train
    return Characters(train.images[:200], train.labels[:200])


def test_pages_are_a_function_of_their_generator_and_their_boxes_lie_in_them(characters: Characters) -> None:
    for seed in range(12):
        once, again = (draw_pages(np.random.default_rng(seed), characters) for _ in range(2))
        for (page, x, y), (same, *at) in zip(once, again, strict=True):
            assert np.array_equal(page.image, same.image)
            assert at == [x, y]
            height, width = page.image.shape
            assert x + width <= SIDE
            assert y + height <= SIDE
            left, top, wide, high = page.boxes.T
            assert (left >= 0).all()
            assert (top >= 0).all()
            assert (left + wide <= width).all()
            assert (top + high <= height).all()


def test_numpy_says_what_torch_says() -> None:
    torch.manual_seed(0)
    network = locator.Locator()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -1, 1)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
    network.eval()
    x = np.random.default_rng(0).normal(size=(80, 112)).astype(np.float32)
    said = NumpyLocator(locator.arrays(network.state_dict()))(x)
    with torch.inference_mode():
        heat, boxes, ink = network(torch.from_numpy(x)[None, None])
    # The kernels are kept in 16 bits.
    assert np.allclose(said.heat, heat.sigmoid()[0].permute(1, 2, 0).numpy(), atol=2e-3)
    assert np.allclose(said.boxes, boxes[0].permute(1, 2, 0).numpy(), atol=2e-2)
    assert np.allclose(said.ink, ink.sigmoid()[0, 0].numpy(), atol=2e-3)


def test_an_interrupted_training_ends_as_an_unbroken_one(
    characters: Characters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locator, "_SAVE_EVERY", 2)
    plan = locator.Plan(steps=4, batch_size=1, bfloat16=False)

    def interrupt(step: int, loss: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        locator.train(plan, characters, tmp_path / "broken.pt", interrupt)
    steps: list[int] = []
    broken = locator.train(plan, characters, tmp_path / "broken.pt", lambda step, loss: steps.append(step))
    unbroken = locator.train(plan, characters, tmp_path / "unbroken.pt", lambda step, loss: None)
    assert steps == [3, 4]
    assert all(torch.equal(broken[name], tensor) for name, tensor in unbroken.items())


def test_the_marks_that_are_read_are_those_that_were_learned() -> None:
    assert locate.MARKS == MARKS


def test_the_shipped_files_stay_under_3_mb() -> None:
    assert sum(file.stat().st_size for file in HOME.iterdir()) < 3e6


def test_of_places_that_share_most_of_their_boxes_the_surest_is_kept_whatever_their_sizes() -> None:
    rng = np.random.default_rng(0)
    sides = 4 * 2.0 ** rng.uniform(0, 6, (400, 2))
    corners, scores = rng.uniform(-20, 500, (400, 2)), rng.uniform(0.1, 1, 400)
    classes = rng.uniform(0, 1, (400, 16)).astype(np.float32)
    places = [
        locate.Place(*corner, *side, float(score), own)
        for corner, side, score, own in zip(corners, sides, scores, classes, strict=True)
    ]

    def same(one: locate.Place, other: locate.Place) -> bool:
        wide = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
        high = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
        sizes = (one.width * one.height, other.width * other.height)
        size = min(sizes) if one.is_digit == other.is_digit else max(sizes)
        return max(wide, 0) * max(high, 0) > locate._SAME * size

    kept: list[locate.Place] = []
    for place in sorted(places, key=lambda place: -place.score):
        if not any(same(place, other) for other in kept):
            kept.append(place)
    assert 20 < len(kept) < 380
    assert [id(place) for place in locate.distinct(places)] == [id(place) for place in kept]


def test_a_huge_picture_is_seen_as_it_is_seen_when_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    page = np.full((200, 700), 235, np.uint8)
    digits = sources.load("mnist", 0).train.images[:12].reshape(2, 6, 28, 28)
    for row in range(2):
        for column in range(6):
            y, x = 20 + 90 * row, 30 + 110 * column
            page[y : y + 56, x : x + 56] -= (digits[row, column] * 0.8).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    usual = locate.locate(page)
    assert len(usual) >= 12
    monkeypatch.setattr(locate, "_LONGEST", 700)
    huge = page.repeat(3, axis=0).repeat(3, axis=1)
    assert locate._times_less(huge.shape) == 1
    whole = locate.locate(huge)
    monkeypatch.setattr(locate, "_ENOUGH", 1)
    assert locate._times_less(huge.shape) == 3
    less = locate.locate(huge)
    for seen in (whole, less):
        boxes = np.array([(p.x, p.y, p.width, p.height) for p in seen if p.digit_heat > 0.5])
        for place in (place for place in usual if place.digit_heat > 0.7):
            off = np.abs(boxes - 3 * np.array([place.x, place.y, place.width, place.height])).max(axis=1)
            assert off.min() < 12
