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
