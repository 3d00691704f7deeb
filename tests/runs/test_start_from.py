"""Starting from a W that was learned before, and learning one's own digits without forgetting MNIST's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import downstroke
from downstroke.api import Run
from downstroke.data import sources
from downstroke.data.dataset import Dataset, split
from downstroke.errors import DataError, RecipeError, RunError
from downstroke.reading.reader import Reader
from downstroke.reading.shipped import shipped
from downstroke.recipe import RECIPES, Recipe

SMALL: dict[str, Any] = {"model": "linear", "batch_size": 64, "val_size": 50, "optimizer": "sgd", "lr": 1e-9}


def train(tiny: Path, home: Path, name: str, **fields: Any) -> Run:
    # By `replace`, as the command line does it.
    return downstroke.train(Recipe(data=str(tiny)), runs_dir=home, name=name, **{**SMALL, "epochs": 1, **fields})


def pictures(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        home = folder / str(label)
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(home / f"{index}.png")
    return folder


def test_a_run_starts_from_the_w_of_another(tiny: Path, tmp_path: Path) -> None:
    first = train(tiny, tmp_path, "first", lr=0.1)
    second = train(tiny, tmp_path, "second", start_from="first", seed=5)
    assert second.recipe.start_from == str(first.folder)
    before, after = (run.weights("best").network.state_dict() for run in (first, second))
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=0, atol=1e-5)  # lr is next to nothing
    assert second.extend(epochs=1).history[-1].epoch == 2


def test_every_recipe_that_fits_starts_from_the_shipped_reader(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "run", model="deeper", start_from="reader", mix=0.0)
    assert run.history[0].val_accuracy > 0.95
    shipped_scale = shipped().network.scale
    assert run.weights().network.scale == shipped_scale  # its own measure of images, not that of these


def test_a_tensor_that_does_not_fit_is_named(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"the weights of reader do not fit: their tensor net\.1\.weight is \[32, 4, 3, 3\]"
    ):
        train(tiny, tmp_path, "run", start_from="reader", mix=0.0)
    assert not (tmp_path / "run").exists()
    with pytest.raises(RunError, match="no run 'nobody'"):
        train(tiny, tmp_path, "run", start_from="nobody")


def test_a_sweep_of_lr_does_not_claim_to_start_from_a_w(tiny: Path) -> None:
    with pytest.raises(RecipeError, match="leave start_from out"):
        downstroke.find_lr(data=str(tiny), **SMALL, start_from="reader", mix=0.0)


def test_what_starts_from_a_w_takes_few_epochs_and_a_lower_lr_unless_told_otherwise() -> None:
    reader = RECIPES["reader"]
    taught = reader.replace(start_from="reader", data="mine")
    assert (taught.epochs, taught.mix) == (4, 0.75)
    assert taught.lr is not None
    assert reader.lr is not None
    assert taught.lr < reader.lr
    told = reader.replace(start_from="reader", data="mine", epochs=9, lr=0.5, mix=0.2)
    assert (told.epochs, told.lr, told.mix) == (9, 0.5, 0.2)
    assert reader.replace(start_from="reader").mix == 0


def test_own_digits_are_mixed_with_mnist_by_the_share(mnist: Dataset, tmp_path: Path) -> None:
    own = pictures(tmp_path / "own", mnist.test.images[:100], mnist.test.labels[:100])
    mixed = sources.load_mixed(own, 0.25, 1 / 12)
    assert mixed.classes == mnist.classes
    seen = {image.tobytes() for image in mnist.test.images[:100]}
    are_own = np.array([image.tobytes() in seen for image in mixed.train.images])
    assert abs(are_own.mean() - 0.75) < 0.01
    assert mixed.val is not None
    val = mnist.train.images[split(mnist.train.labels, 1 / 12, 0)[1]]
    assert (mixed.val.images[: len(val)] == val).all()
    assert len(mixed.val) == len(val) + 8
    held = {image.tobytes() for image in mixed.val.images}
    assert not any(image.tobytes() in held for image in mixed.train.images)
    assert mixed.test is mnist.test or (mixed.test.images == mnist.test.images).all()


def test_a_single_correction_is_enough(mnist: Dataset, tmp_path: Path) -> None:
    own = pictures(tmp_path / "digits", mnist.test.images[:1], mnist.test.labels[:1])
    mixed = sources.load_mixed(own, 0.5, 1 / 12)
    assert (mixed.train.images[-100:] == mnist.test.images[0]).all()
    assert (mixed.train.labels[-100:] == mnist.test.labels[0]).all()
    assert len(mixed.train) == 12_000  # all others are MNIST's: one digit that fills an epoch makes them forgotten


def test_classes_that_are_no_digits_are_not_mixed(mnist: Dataset, tmp_path: Path) -> None:
    own = pictures(tmp_path / "own", mnist.test.images[:2], np.array(["a", "b"]))
    with pytest.raises(DataError, match="class a; expected 0, 1, 2"):
        sources.load_mixed(own, 0.5, 1 / 12)
    with pytest.raises(RecipeError, match=r"mix is 0\.5, but data is mnist"):
        Recipe(mix=0.5)


def test_own_pictures_are_learned_in_all_the_ways_that_a_reader_looks_at_them(mnist: Dataset, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    digits = np.kron(mnist.test.images[:2], np.ones((4, 4)))
    paper = np.clip(200 - 0.6 * digits + rng.normal(0, 6, digits.shape), 0, 255).astype(np.uint8)
    own = pictures(tmp_path / "own", paper, mnist.test.labels[:2])
    looked = sources.load_mixed(own, 0.5, 1 / 12, looks=True)
    reader = Reader.shipped()
    asked = [reader.prepare(image, digit=True).glyphs for image in paper]
    seen = np.unique(looked.train.images[-100 * sum(map(len, asked)) :].reshape(-1, 784), axis=0)
    assert {image.tobytes() for image in seen} == {look.tobytes() for looks in asked for look in looks}
    assert len(seen) > 2
    assert f"2 images of {own} in {sum(map(len, asked))} looks" in looked.notices[-1]
