"""The reader that travels in the package: whole, small, made as its record says, and it reads and refuses."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from numpy.typing import NDArray

from downstroke.augment import negatives, variation
from downstroke.data.dataset import Dataset, split
from downstroke.errors import CheckpointError
from downstroke.learning.evaluate import read_logits
from downstroke.reading import numpy_network, refusal, shipped
from downstroke.reading.batch_norm_folding import folded, logits_by_torch
from downstroke.recipe import RECIPES, Recipe


@pytest.fixture(scope="module")
def val(mnist: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    part = mnist.train.take(split(mnist.train.labels, 1 / 12, 0)[1][:1000])
    return torch.from_numpy(part.images), torch.from_numpy(part.labels)


def test_the_weights_are_those_of_the_record_and_small() -> None:
    data = (shipped.HOME / shipped.WEIGHTS).read_bytes()
    record = json.loads((shipped.HOME / shipped.RECORD).read_text())
    assert hashlib.sha256(data).hexdigest() == record["sha256"]
    assert len(data) == record["bytes"] <= 3_000_000


def test_the_recipe_of_the_record_is_the_one_that_its_command_trains() -> None:
    record = shipped.shipped().record
    assert record["command"] == f"downstroke train reader --seed {record['seed']}"
    assert Recipe.from_dict(record["recipe"]) == RECIPES["reader"].replace(seed=record["seed"])


def test_the_shipped_reader_reads_val_and_accepts_99_of_100_of_its_digits(
    val: tuple[torch.Tensor, torch.Tensor],
) -> None:
    reader, (images, labels) = shipped.shipped(), val
    logits = read_logits(reader.network, images)
    assert (logits.argmax(1) == labels).float().mean() >= 0.99
    assert (refusal.score(logits.numpy()) >= reader.threshold).mean() >= 0.98


def test_the_shipped_reader_refuses_scribbles(val: tuple[torch.Tensor, torch.Tensor]) -> None:
    reader, (images, labels) = shipped.shipped(), val
    digits = images.float() / 255
    numbers = variation.draw(9, 9, 1000, negatives.NUMBERS)
    made, kinds = negatives.draw(digits, labels, digits.roll(7, 0), labels.roll(7, 0), numbers)
    scores = refusal.score(read_logits(reader.network, made[kinds == 10]).numpy())
    assert (scores >= reader.threshold).mean() <= 0.15


def test_without_torch_it_gives_the_same_probabilities(mnist: Dataset) -> None:
    """Real digits, other numbers of them at once, and pictures of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 28, 28), np.uint8)
    glyphs = np.concatenate([mnist.train.images[:500], noise])
    one = shipped.shipped()
    own, torchs = light_logits(one), logits_by_torch(folded(one.network))
    for some in (glyphs, glyphs[:1], glyphs[-3:]):
        np.testing.assert_allclose(refusal.softmax(own(some)), refusal.softmax(torchs(some)), rtol=0, atol=1e-5)
        np.testing.assert_allclose(refusal.score(own(some)), refusal.score(torchs(some)), rtol=0, atol=1e-4)


def light_logits(one: shipped.Shipped) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    assert one.record["recipe"]["model"] == numpy_network.MODEL, (
        "the reader has another network: write it in numpy_network.py, too"
    )
    return numpy_network.logits_by_numpy(safetensors.numpy.load(one.weights))


def test_a_reader_that_was_changed_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "shipped"
    shutil.copytree(shipped.HOME, folder)
    weights = folder / shipped.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(CheckpointError, match=r"has the SHA-256 .*; install downstroke again"):
        shipped.load(folder)
    weights.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        shipped.load(folder)


def test_the_threshold_accepts_the_share_it_was_fitted_for() -> None:
    logits = np.random.default_rng(0).normal(size=(1000, 10))
    threshold = refusal.fit_threshold(logits, 0.9)
    assert int((refusal.score(logits) >= threshold).sum()) == 900


def test_of_many_looks_the_mean_says_which_digit_and_the_second_best_whether_it_is_one() -> None:
    looks = np.random.default_rng(0).normal(0, 3, (7, 10))
    found = refusal.of_looks(looks)
    assert found.argmax() == looks.mean(axis=0).argmax()
    np.testing.assert_allclose(refusal.softmax(found[None]), refusal.softmax(looks.mean(axis=0)[None]))
    assert refusal.score(found[None])[0] == pytest.approx(np.sort(refusal.score(looks))[-2])
    for few in (1, 2):
        np.testing.assert_array_equal(refusal.of_looks(looks[:few]), looks[:few].mean(axis=0))


def test_a_higher_threshold_accepts_less_of_everything() -> None:
    digits, others = np.array([3.0, 4.0, 5.0, 6.0]), np.array([0.0, 1.0, 4.5])
    thresholds, of_digits, of_strays = refusal.curve(digits, others)
    assert (of_digits[0], of_strays[0]) == (1, 1)
    assert (of_digits[-1], of_strays[-1]) == (0.25, 0)
    assert (np.diff(thresholds) > 0).all()
    assert (np.diff(of_digits) <= 0).all()
    assert (np.diff(of_strays) <= 0).all()
