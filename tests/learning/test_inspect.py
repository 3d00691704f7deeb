"""A look inside W shows what training does, measured against training itself, and leaves everything as it was."""

import copy
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import downstroke
from downstroke.api import Run
from downstroke.data import sources
from downstroke.data.dataset import Dataset
from downstroke.errors import CheckpointError, DownstrokeError
from downstroke.learning import criteria, inspect, models, optimizers
from downstroke.learning.events import EpochDone, StepDone
from downstroke.learning.learner import Images, Learner
from downstroke.learning.loop import learn
from downstroke.recipe import Recipe
from downstroke.runs.inside import Inside
from downstroke.runs.parts import Parts
from downstroke.runs.training import Training

#: All that carries state: momentum, an average of W, batch statistics, dropout, augmentation, a schedule, decay.
FULL: dict[str, Any] = {
    "model": "cnn",
    "batch_size": 64,
    "val_size": 50,
    "lr": 0.002,
    "dropout": 0.3,
    "augment": "affine",
    "average": 3,
    "schedule": "exponential",
    "label_smoothing": 0.1,
    "weight_decay": 0.01,
}
SMALL: dict[str, Any] = {"model": "mlp", "batch_size": 64, "val_size": 50, "lr": 0.01}


def begun(tiny: Path, steps: int, **fields: Any) -> tuple[Learner, Images]:
    """A learner `steps` into its first epoch of ten steps."""
    recipe = Recipe(**{**FULL, **fields})
    train = Images(Parts(sources.load(str(tiny), 0), recipe).train, "cpu")
    learner = Learner(recipe, 10, device="cpu", precision="float32")
    learner.begin(train.images)
    events = learn(learner, train, train.take(torch.arange(0)))
    for _ in range(steps):
        next(events)
    return learner, train


def bits(learner: Learner) -> dict[str, bytes]:
    """All of a learner's state, and torch's random state and threads."""
    tensors, state = learner.state()
    found = {f"{file}.{name}": t.numpy().tobytes() for file, group in tensors.items() for name, t in group.items()}
    return {**found, "state": json.dumps(state).encode(), "threads": bytes([torch.get_num_threads()])}


def root_mean_square(layer: nn.Module) -> float:
    """Of a layer's own weights, in numpy."""
    weights = [weight.detach().numpy().ravel() for weight in layer.parameters(recurse=False)]
    return float(np.sqrt(np.mean(np.concatenate(weights).astype(np.float64) ** 2)))


def subtract(network: models.Network, other: models.Network) -> models.Network:
    """A network whose every weight is the difference of two."""
    difference = copy.deepcopy(network)
    with torch.no_grad():
        for weight, old in zip(difference.parameters(), other.parameters(), strict=True):
            weight.sub_(old)
    return difference


def assert_sizes(layers: list[inspect.Layer], before: models.Network, after: models.Network, norm: float) -> None:
    """`layers` tells of the step from `before` to `after`, of a gradient of this norm."""
    update = subtract(after, before)
    with_weights = [name for name, layer in before.net.named_modules() if list(layer.parameters(recurse=False))]
    assert [layer.name.split(" ")[0] for layer in layers] == with_weights
    squares = 0.0
    for layer, name in zip(layers, with_weights, strict=True):
        one, other = before.net.get_submodule(name), update.net.get_submodule(name)
        assert layer.name.split(" ")[1] == type(one).__name__
        assert layer.weights == pytest.approx(root_mean_square(one), rel=1e-5)
        assert layer.update == pytest.approx(root_mean_square(other), rel=1e-5)
        assert layer.update > 0
        squares += layer.gradient**2 * sum(weight.numel() for weight in one.parameters(recurse=False))
    assert math.sqrt(squares) == pytest.approx(norm, rel=1e-5)


# -- filters


def test_filters_are_the_first_convolutions_weights_on_one_scale(tiny: Path) -> None:
    learner, _ = begun(tiny, 1)
    weight = learner.network.net[0].weight.detach().numpy()
    pictures = inspect.filters(learner.network)
    assert [picture.shape for picture in pictures] == [(5, 5)] * 16
    assert max(np.abs(picture).max() for picture in pictures) == pytest.approx(1)
    np.testing.assert_allclose(np.stack(pictures) * np.abs(weight).max(), weight[:, 0], rtol=1e-5)


@pytest.mark.parametrize(("model", "count"), [("linear", 10), ("mlp", 64)])
def test_the_rows_of_a_linear_first_layer_are_pictures_of_28_by_28(model: str, count: int) -> None:
    network = models.build(Recipe(model=model), 10)
    pictures = inspect.filters(network)
    assert [picture.shape for picture in pictures] == [(28, 28)] * count
    first = next(layer for layer in network.net if isinstance(layer, nn.Linear)).weight.detach().numpy()
    shown = pictures[-1].ravel() / np.abs(pictures[-1]).max()
    np.testing.assert_allclose(shown, first[count - 1] / np.abs(first[count - 1]).max(), rtol=1e-5)


def test_filters_of_nothing_are_nothing() -> None:
    other = models.Network(nn.Sequential(nn.Flatten(), nn.LayerNorm(784), nn.Linear(784, 10)), 10)
    assert inspect.filters(other) == []
    blank = models.build(Recipe(), 10)
    nn.init.zeros_(blank.net[0].weight)
    assert np.array_equal(np.stack(inspect.filters(blank)), np.zeros((16, 5, 5)))


# -- the sizes of W, dL/dW and the update


@pytest.mark.parametrize("optimizer", optimizers.OPTIMIZERS)
def test_the_update_is_that_of_the_next_step_of_the_loop_with_every_optimizer(tiny: Path, optimizer: str) -> None:
    learner, train = begun(tiny, 3, optimizer=optimizer)
    before = copy.deepcopy(learner.network)
    layers = inspect.sizes(learner, train)
    event = next(learn(learner, train, train.take(torch.arange(0))))
    assert isinstance(event, StepDone)
    assert event.row.step == 4
    assert_sizes(layers, before, learner.network, event.row.gradient_norm)


@pytest.mark.parametrize("optimizer", optimizers.OPTIMIZERS)
def test_looking_changes_neither_w_nor_the_optimizer_nor_the_random_state(tiny: Path, optimizer: str) -> None:
    learner, train = begun(tiny, 2, optimizer=optimizer)
    before, images = bits(learner), train.images.clone()
    first = inspect.sizes(learner, train)
    inspect.noise(learner.network, learner.criterion, train.images, train.labels, [8], 0)
    inspect.filters(learner.network)
    inspect.of_image(learner.network, train.images[0], 3)
    inspect.step_effect(learner.network, train.images[0], 3, [0.1, 1e9])
    assert bits(learner) == before
    assert learner.network.training
    assert torch.equal(train.images, images)
    assert inspect.sizes(learner, train) == first


@pytest.mark.parametrize(("schedule", "lr"), [("constant", 0.01), ("linear", 0.01), ("exponential", 0.005)])
def test_after_a_complete_leg_the_next_step_is_that_of_continue(tiny: Path, schedule: str, lr: float) -> None:
    fields = {"model": "mlp", "optimizer": "sgd", "schedule": schedule, "lr": 0.01, "lr_decay": 0.5, "epochs": 1}
    learner, train = begun(tiny, 0, **fields, average=0, weight_decay=0)
    list(learn(learner, train, train.take(torch.arange(0))))
    assert learner.at.epoch == learner.at.leg.last_epoch == 1
    for layer in inspect.sizes(learner, train):
        assert layer.update == pytest.approx(lr * layer.gradient, rel=1e-4)
    assert learner.at.leg.last_epoch == 1


def test_a_step_that_would_be_refused_has_no_update(tiny: Path) -> None:
    learner, train = begun(tiny, 1)
    with torch.no_grad():
        learner.network.net[-1].weight.fill_(math.inf)
    layers = inspect.sizes(learner, train)
    assert all(math.isnan(layer.update) for layer in layers)
    assert math.isfinite(layers[0].weights)
    assert not math.isfinite(layers[-1].gradient)


# -- the noise of a batch


def some(mnist: Dataset, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(mnist.train.images[:count]), torch.from_numpy(mnist.train.labels[:count])


def gradient_by_hand(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """The mean of single images' gradients, each by its own backward pass."""
    rows = []
    for image, label in zip(images, labels, strict=True):
        network.zero_grad()
        nn.functional.cross_entropy(network(image[None]), label[None]).backward()
        rows.append(np.concatenate([weight.grad.numpy().ravel() for weight in network.parameters()]))
    return np.mean(rows, axis=0, dtype=np.float64)


def test_the_noise_of_a_batch_is_its_distance_from_the_mean_of_all_images_gradients(mnist: Dataset) -> None:
    network = models.build(Recipe(model="linear"), 10)
    images, labels = some(mnist, 24)
    found = inspect.noise(network, criteria.build(Recipe(), 10), images, labels, [8], seed=5)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(5))
    whole = gradient_by_hand(network, images, labels)
    errors, cosines = [], []
    for batch in order.view(3, 8):
        one = gradient_by_hand(network, images[batch], labels[batch])
        errors.append(np.linalg.norm(one - whole) / np.linalg.norm(whole))
        cosines.append(one @ whole / np.linalg.norm(one) / np.linalg.norm(whole))
    assert found[0].relative_error == pytest.approx(np.median(errors), rel=1e-4)
    assert found[0].cosine == pytest.approx(np.median(cosines), rel=1e-4)


def test_a_batch_is_normalised_by_its_own_statistics_as_in_training(mnist: Dataset) -> None:
    network, (images, labels) = models.build(Recipe(model="cnn"), 10), some(mnist, 32)
    found = inspect.noise(network, criteria.build(Recipe(), 10), images, labels, [32, 16], seed=5)[1]
    order = torch.randperm(32, generator=torch.Generator().manual_seed(5))
    rows = []
    for batch in (order, *order.view(2, 16)):
        network.zero_grad()
        nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
        rows.append(torch.cat([weight.grad.flatten() for weight in network.parameters()]))
    errors = [((row - rows[0]).norm() / rows[0].norm()).item() for row in rows[1:]]
    assert found.relative_error == pytest.approx(sum(errors) / 2, rel=1e-3)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_a_batch_of_all_the_images_has_no_noise(mnist: Dataset, model: str) -> None:
    network = models.build(Recipe(model=model, dropout=0.5), 10)
    found = inspect.noise(network, criteria.build(Recipe(), 10), *some(mnist, 64), [16, 64, 128], 0)
    assert [entry.batch_size for entry in found] == [16, 64], "there is no batch of more images than there are"
    assert found[0].relative_error > 0.1
    assert found[1].relative_error < 1e-4
    assert found[1].cosine == pytest.approx(1, abs=1e-5)


def test_noise_falls_as_the_root_of_the_batch_size(mnist: Dataset) -> None:
    network = models.build(Recipe(model="mlp"), 10)
    found = inspect.noise(network, criteria.build(Recipe(), 10), *some(mnist, 2048), [8, 32, 128, 512], 0)
    deviations = [entry.relative_error / math.sqrt(1 / entry.batch_size - 1 / 2048) for entry in found]
    assert max(deviations) / min(deviations) < 1.25
    cosines = [entry.cosine for entry in found]
    assert cosines == sorted(cosines)


def test_noise_is_a_function_of_the_seed(mnist: Dataset) -> None:
    network, images = models.build(Recipe(), 10), some(mnist, 100)
    one, again, other = (inspect.noise(network, criteria.build(Recipe(), 10), *images, [8], s) for s in (1, 1, 2))
    assert one == again
    assert one != other


# -- one image, and a step on it alone


def test_y_and_the_loss_of_an_image_are_those_that_val_is_measured_with(tiny: Path) -> None:
    learner, train = begun(tiny, 3)
    learner.network.temperature.fill_(0.8)
    y, loss = inspect.of_image(learner.network, train.images[7], 4)
    expected = learner.network.probabilities(train.images[7:8])[0].numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    assert loss == pytest.approx(-math.log(expected[4]), rel=1e-5)


@pytest.mark.parametrize("model", ["linear", "cnn"])
def test_a_step_on_an_image_is_that_of_torchs_sgd(tiny: Path, model: str) -> None:
    learner, train = begun(tiny, 3, model=model, augment="none")
    image, label = train.images[:1], train.labels[:1]
    lrs = [0.0, 1e-3, 0.03, 1.0]
    loss, losses = inspect.step_effect(learner.network, image[0], int(label), lrs)
    for lr, after in zip(lrs, losses, strict=True):
        network = copy.deepcopy(learner.network).eval()
        optimizer = optimizers.build(Recipe(optimizer="sgd"), network)
        optimizers.set_lr(optimizer, lr)
        before = nn.functional.cross_entropy(network(image), label)
        before.backward()
        optimizer.step()
        assert loss == pytest.approx(before.item(), rel=1e-5)
        assert after == pytest.approx(nn.functional.cross_entropy(network(image), label).item(), rel=1e-3, abs=1e-6)
    assert losses[0] == loss


def test_for_a_small_lr_the_loss_falls_by_lr_times_the_square_of_the_gradient(tiny: Path) -> None:
    learner, train = begun(tiny, 0, model="mlp")
    loss, losses = inspect.step_effect(learner.network, train.images[0], int(train.labels[0]), [1e-4])
    gradient = gradient_by_hand(learner.network.eval(), train.images[:1], train.labels[:1])
    assert (loss - losses[0]) / 1e-4 == pytest.approx(gradient @ gradient, rel=0.02)


def test_an_lr_out_of_range_gives_a_loss_that_says_so(tiny: Path) -> None:
    learner, train = begun(tiny, 3)
    loss, losses = inspect.step_effect(learner.network, train.images[0], int(train.labels[0]), [1e30])
    assert math.isfinite(loss)
    assert not math.isfinite(losses[0]) or losses[0] > loss


# -- a run's folder


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs."""
    home = tmp_path_factory.mktemp("inside")
    return downstroke.train(Recipe(data=str(tiny), epochs=2, **FULL), runs_dir=home, name="run").folder


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_looked_into_and_left_as_it_was(trained: Path) -> None:
    before, random = folder_bytes(trained), torch.manual_seed(123).get_state()
    inside = Inside(Run.open(trained))
    look, image, step = inside.look(), inside.image(7), inside.step(7)
    assert folder_bytes(trained) == before
    assert torch.equal(torch.get_rng_state(), random)
    for found in (look, image, step):
        assert json.loads(json.dumps(found, allow_nan=False)) == found

    assert sorted(look) == ["epoch", "filters", "layers", "noise", "step"]
    assert (look["epoch"], look["step"]) == (2, 20)
    assert np.shape([entry["pixels"] for entry in look["filters"]]) == (16, 5, 5)
    assert sorted(look["layers"][0]) == ["gradient", "name", "update", "weights"]
    assert [entry["batch_size"] for entry in look["noise"]] == [8, 32, 64, 128, 512], "the recipe's 64 is among them"
    assert sorted(look["noise"][0]) == ["batch_size", "cosine", "relative_error"]

    assert sorted(image) == ["before", "classes", "image", "index", "label", "loss", "probabilities"]
    assert np.shape(image["image"]) == (28, 28)
    assert sum(image["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert image["loss"] == pytest.approx(-math.log(image["probabilities"][image["label"]]), rel=1e-4)

    assert sorted(step) == ["loss", "losses", "lr", "lrs"]
    assert step["loss"] == image["loss"]
    assert len(step["lrs"]) == len(step["losses"]) == 25
    assert np.diff(np.log(step["lrs"])) == pytest.approx(math.log(10) / 4, abs=0.01)
    assert step["lr"] == Run.open(trained).history[-1].lr


def test_the_image_shown_first_is_the_one_that_w_is_least_certain_of(trained: Path) -> None:
    inside = Inside(Run.open(trained))
    certain = [max(inside.image(index)["probabilities"]) for index in range(50)]
    first = inside.image()
    assert first == inside.image(int(np.argmin(certain)))
    assert max(first["probabilities"]) < np.median(certain)


def test_the_update_shown_is_the_one_that_continuing_makes(trained: Path, tmp_path: Path) -> None:
    run = Run.open(shutil.copytree(trained, tmp_path / "run"))
    layers = [inspect.Layer(**layer) for layer in Inside(run).look()["layers"]]
    with Training.resume(run, epochs=1) as training:
        before = copy.deepcopy(training.learner.network)
        event = next(iter(training))
        assert isinstance(event, StepDone)
        assert_sizes(layers, before, training.learner.network, event.row.gradient_norm)


def test_before_is_y_at_the_start_of_the_epoch_while_the_run_is_being_written(tiny: Path, tmp_path: Path) -> None:
    with Training.start(Recipe(data=str(tiny), epochs=4, **SMALL), runs_dir=tmp_path, name="run") as training:
        inside = Inside(training.run)
        first = inside.image(3)
        assert first["before"] is None
        assert inside.look()["step"] == 0
        seen = [first["probabilities"]]
        for event in training:
            if isinstance(event, EpochDone):
                now = inside.image(3)
                assert now["before"] == seen[-1], "also in the first epoch, where it is the W drawn at random"
                assert now["probabilities"] != seen[-1]
                seen.append(now["probabilities"])
            elif isinstance(event, StepDone) and event.row.step == 33:
                training.learner.stop()
    assert inside.look()["step"] == 33
    assert inside.image(3)["before"] == seen[3], "of the epoch under way"
    Run.open(training.run.folder).extend()
    assert inside.image(3)["before"] in (seen[3], None)


def test_where_no_w_of_the_epochs_start_was_kept_there_is_no_before(trained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained, tmp_path / "run")
    inside = Inside(Run.open(folder))
    before = inside.image(0)["before"]
    assert before is not None
    shutil.rmtree(folder / "last.previous")
    assert [row.val_loss for row in inside.run.history] == sorted(
        (row.val_loss for row in inside.run.history), reverse=True
    )
    assert inside.image(0)["before"] == before, "the best W was the one of the epoch's start, and is still kept"
    shutil.rmtree(folder / "best.previous")
    assert inside.image(0)["before"] is None


def test_what_cannot_be_looked_at_is_told_in_one_line(trained: Path, tiny: Path, tmp_path: Path) -> None:
    inside = Inside(Run.open(trained))
    for index in (-1, 50):
        with pytest.raises(DownstrokeError, match=f"no val image {index} in run; there are 50"):
            inside.image(index)
    with Training.start(Recipe(data=str(tiny), **{**SMALL, "val_size": 0}), runs_dir=tmp_path, name="bare") as training:
        bare = training.run
    assert Inside(bare).look()["layers"]
    with pytest.raises(DownstrokeError, match="no val images to look at"):
        Inside(bare).step(0)

    folder = shutil.copytree(trained, tmp_path / "other")
    recipe = json.loads((folder / "recipe.json").read_text())
    (folder / "recipe.json").write_text(json.dumps({**recipe, "model": "mlp"}))
    with pytest.raises(CheckpointError, match="do not fit"):
        Inside(Run.open(folder)).look()
    with pytest.raises(CheckpointError, match="do not fit"):
        Inside(Run.open(folder)).image(0)
    (folder / "recipe.json").write_text(json.dumps({**recipe, "data": "mnist"}))
    with pytest.raises(DownstrokeError, match="not those that other was trained on"):
        Inside(Run.open(folder)).look()
