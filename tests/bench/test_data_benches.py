"""What is drawn for `bench few-labels` and `bench corruptions`, on a few images."""

from pathlib import Path

import numpy as np
import pytest

from downstroke.bench import corruptions, few_labels
from downstroke.bench.corruptions import CORRUPTIONS, corrupted
from downstroke.bench.eight_bits import in_eight_bits
from downstroke.data import packed
from downstroke.data.dataset import Dataset
from downstroke.learning import models
from downstroke.learning.evaluate import Evaluation
from downstroke.reading.batch_norm_folding import folded
from downstroke.reading.reader import Reader
from downstroke.recipe import Recipe
from downstroke.runs.examine import _without_disputed


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_changes_each_image_and_is_the_same_each_time(name: str, mnist: Dataset) -> None:
    glyphs = mnist.test.images[:20]
    one, again = (corrupted(glyphs, CORRUPTIONS[name], 3) for _ in range(2))
    assert one.dtype == np.uint8
    assert one.shape == glyphs.shape
    assert np.array_equal(one, again)
    assert (one != glyphs).any((1, 2)).all()


def test_corruptions_are_measured_beside_the_images_as_they_are(tmp_path: Path, mnist: Dataset) -> None:
    right = {glyph.tobytes(): label for glyph, label in zip(mnist.test.images[:30], mnist.test.labels, strict=False)}

    def logits(glyphs: np.ndarray) -> np.ndarray:
        """Knows the images as they are, and says 0 of all others."""
        return np.eye(10, dtype=np.float32)[[right.get(glyph.tobytes(), 0) for glyph in glyphs]]

    reader = Reader(logits, tuple("0123456789"), "a memory")
    found = corruptions.measure(reader=reader, images=30, out=tmp_path / "figures.json", say=lambda line: None)
    assert found["as they are"] == 1
    zeros = float((mnist.test.labels[:30] == 0).mean())
    assert set(found["corruptions"].values()) == {zeros}
    assert found["mean"] == pytest.approx(zeros)
    assert (tmp_path / "figures.json").exists()


def test_a_draw_has_as_many_of_each_class_and_another_draw_has_others(mnist: Dataset) -> None:
    one, again, other = (few_labels.drawn(mnist.train.labels, 10, draw) for draw in (0, 0, 1))
    assert np.bincount(mnist.train.labels[one]).tolist() == [10] * 10
    assert np.array_equal(one, again)
    assert len(set(one) & set(other)) < 10


def test_the_few_are_repeated_to_an_epoch_beside_all_test_images(
    tmp_path: Path, mnist: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(few_labels, "EPOCH", 60)
    with np.load(few_labels.few(mnist, 2, 0, tmp_path / "few.npz")) as arrays:
        assert arrays["x_train"].shape == (60, 28, 28)
        assert len(np.unique(arrays["x_train"], axis=0)) == 20
        assert np.array_equal(arrays["y_test"], mnist.test.labels)


def test_weights_in_eight_bits_are_near_and_counted() -> None:
    network = models.build(Recipe(model="tiny"), 10)
    made, size = in_eight_bits(network)
    for weight, near in zip(folded(network).net.parameters(), made.net.parameters(), strict=True):
        assert (weight - near).abs().max() <= weight.abs().max() / 254 * 1.001
        if weight.dim() > 1:
            assert len(near[0].unique()) <= 255
    assert sum(weight.numel() for weight in network.parameters()) < 10_000
    assert 9_000 < size < 12_000


def test_disputed_images_are_left_out_of_mnist_alone(mnist: Dataset) -> None:
    labels = mnist.test.labels
    y = np.eye(10, dtype=np.float32)[labels]
    y[list(packed.DISPUTED)] = np.roll(y[list(packed.DISPUTED)], 1, axis=1)
    read = Evaluation(np.zeros(len(labels), np.float32), y, labels)
    assert read.errors == 15
    assert _without_disputed(read, mnist) == {"accuracy_undisputed": 1.0}
    other = Dataset("other", mnist.train, mnist.test, mnist.classes, own_test=True)
    assert _without_disputed(read, other) == {}
