"""The learning room against independent oracles: the notes' formula, finite differences, torch's own numbers."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from downstroke.augment import negatives, variation
from downstroke.data.dataset import Dataset, Part
from downstroke.errors import NonFiniteError, RecipeError
from downstroke.learning import criteria, evaluate, models, optimizers, schedules
from downstroke.learning.events import EpochDone, Event, StepDone, Stopped, StopReason
from downstroke.learning.learner import Images, Learner
from downstroke.learning.loop import Variation, learn
from downstroke.learning.machine import Machine, choose
from downstroke.learning.muon import MOMENTUM, STEPS, orthogonal
from downstroke.learning.temperature import fit_temperature
from downstroke.learning.whitening import whiten
from downstroke.recipe import Recipe


def small_parts(mnist: Dataset) -> tuple[Images, Images]:
    """300 training images (with batches of 64, the last of five is short) and 100 for val."""
    train = Part(mnist.train.images[:300], mnist.train.labels[:300])
    val = Part(mnist.train.images[300:400], mnist.train.labels[300:400])
    return Images(train, "cpu"), Images(val, "cpu")


@pytest.fixture
def parts(mnist: Dataset) -> tuple[Images, Images]:
    return small_parts(mnist)


def taught(recipe: Recipe, parts: tuple[Images, Images]) -> tuple[Learner, list[Event]]:
    learner = Learner(recipe, 10, device="cpu")
    learner.begin(parts[0].images)
    return learner, list(learn(learner, *parts))


# -- f(W, x)


@pytest.mark.parametrize("name", models.MODELS)
@pytest.mark.parametrize("classes", [2, 10, 47])
def test_probabilities_sum_to_one_for_any_images(name: str, classes: int) -> None:
    network = models.build(Recipe(model=name), classes)
    images = torch.randint(0, 256, (5, 28, 28), dtype=torch.uint8)
    y = network.probabilities(images)
    assert y.shape == (5, classes)
    torch.testing.assert_close(y.sum(1), torch.ones(5))
    torch.testing.assert_close(network.probabilities(images.float() / 255), y)
    torch.testing.assert_close(network.probabilities(images[:, None]), y)
    assert network.training, "asking for probabilities must not change the mode"


@pytest.mark.parametrize("name", models.MODELS)
def test_the_first_w_is_a_function_of_the_seed_alone(name: str) -> None:
    before = torch.get_rng_state()
    first, again, other = (models.build(Recipe(model=name, seed=seed), 10).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["cnn", "coarse"])
def test_whitening_filters_are_pairs_of_opposite_sign_whose_outputs_are_unrelated(name: str, mnist: Dataset) -> None:
    network = models.build(Recipe(model=name), 10)
    images = torch.from_numpy(mnist.train.images[:1000])
    network.measure(images)
    whiten(network, images)
    first = network.net[0]
    assert isinstance(first, nn.Conv2d)
    half = first.out_channels // 2
    assert torch.equal(first.weight[half:], -first.weight[:half])
    seen = first(images.float().unsqueeze(1) / 255 * network.scale + network.shift).detach()
    moments = torch.einsum("bchw,bdhw->cd", seen[:, :half], seen[:, :half])
    spread = moments.diagonal().sqrt()
    related = (moments / spread[:, None] / spread).fill_diagonal_(0).abs()
    assert related.max() < 0.01
    assert (spread[:-1] >= spread[1:]).all(), "the directions with most to say come first"


def test_a_first_layer_that_cannot_be_whitened_is_refused(parts: tuple[Images, Images]) -> None:
    with pytest.raises(RecipeError, match="has no first convolution"):
        taught(Recipe(model="mlp", first_layer="whitening"), parts)


def test_where_a_patch_has_few_directions_the_other_filters_stay_random(parts: tuple[Images, Images]) -> None:
    network = models.Network(nn.Sequential(nn.Conv2d(1, 12, 2), nn.Flatten(), nn.Linear(12 * 27 * 27, 10)), 10)
    before = network.net[0].weight.clone()
    whiten(network, parts[0].images)
    assert torch.equal(network.net[0].weight[8:], before[8:])
    assert not torch.isclose(network.net[0].weight[:8], before[:8]).all(1).any()


def test_whitening_blank_images_gives_finite_filters() -> None:
    network = models.build(Recipe(), 10)
    whiten(network, torch.zeros(10, 28, 28, dtype=torch.uint8))
    assert network.net[0].weight.isfinite().all()


def small_net(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, classes))


def not_a_net(classes: int) -> str:
    return "a net"


def net_of_three(classes: int) -> nn.Module:
    return small_net(3)


class OwnNet(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(784, 10))


@pytest.mark.parametrize("name", ["small_net", "OwnNet"])
def test_a_model_of_ones_own_learns(name: str, parts: tuple[Images, Images]) -> None:
    _, events = taught(Recipe(model=f"{__name__}:{name}", lr=0.1, epochs=2), parts)
    assert [e.row.accuracy for e in events if isinstance(e, EpochDone)][-1] > 0.5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nosuch", "no model 'nosuch'; there are linear"),
        ("nosuch:thing", "cannot be imported"),
        (f"{__name__}:missing", "cannot be imported"),
        (f"{__name__}:math", "expected a callable"),
        (f"{__name__}:not_a_net", "expected a torch.nn.Module"),
        (f"{__name__}:net_of_three", "logits of shape [2, 3]"),
        (f"{__name__}:wrong_shape", "failed on images"),
    ],
)
def test_a_model_that_cannot_be_used_is_told_in_one_line(name: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        models.build(Recipe(model=name), 10)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def wrong_shape(classes: int) -> nn.Module:
    return nn.Linear(3, classes)


# -- the criterion


def test_the_notes_criterion_has_the_gradient_of_cross_entropy_on_logits() -> None:
    labels = torch.tensor([0, 3, 9, 9])
    gradients, losses = [], []
    for name in ("cross-entropy", "nll"):
        logits = torch.linspace(-3, 3, 40, dtype=torch.float64).reshape(4, 10).requires_grad_()
        loss = criteria.build(Recipe(criterion=name), 10)(logits, labels)
        loss.backward()
        gradients.append(logits.grad)
        losses.append(loss)
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("name", criteria.CRITERIA)
def test_the_gradient_of_a_criterion_is_its_slope(name: str) -> None:
    criterion = criteria.build(Recipe(criterion=name), 10)
    logits = torch.linspace(-1, 1, 30, dtype=torch.float64).reshape(3, 10).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: criterion(x, torch.tensor([1, 5, 9])), (logits,))


def test_label_smoothing_takes_its_share_from_the_label() -> None:
    logits, label = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0])
    log_y = logits.log_softmax(1)[0]
    expected = -(0.7 * log_y[0] + 0.3 * log_y.mean())
    smoothed = criteria.build(Recipe(label_smoothing=0.3), 3)(logits, label)
    torch.testing.assert_close(smoothed, expected)


def test_brier_is_the_squared_distance_to_the_truth() -> None:
    y = torch.tensor([[0.5, 0.25, 0.25]])
    assert criteria.build(Recipe(criterion="brier"), 3)(y.log(), torch.tensor([0])).item() == pytest.approx(0.375)


def one_an_image(logits: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits, labels, reduction="none")


def no_gradient(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.detach().sum()


def too_many_numbers(logits: Tensor, labels: Tensor) -> Tensor:
    return logits * 2


def test_a_criterion_of_ones_own_may_give_one_number_an_image() -> None:
    logits, labels = torch.randn(4, 10), torch.tensor([1, 2, 3, 4])
    own = criteria.build(Recipe(criterion=f"{__name__}:one_an_image"), 10)(logits, labels)
    torch.testing.assert_close(own, criteria.build(Recipe(), 10)(logits, labels))


@pytest.mark.parametrize("name", ["no_gradient", "too_many_numbers", "math"])
def test_a_criterion_that_cannot_be_used_is_told_in_one_line(name: str) -> None:
    with pytest.raises(RecipeError, match="criterion") as caught:
        criteria.build(Recipe(criterion=f"{__name__}:{name}"), 10)
    assert "\n" not in str(caught.value)


# -- the update


def two_steps(recipe: Recipe, update: Callable[[Tensor, Tensor, dict[str, Tensor]], Tensor]) -> None:
    """Three steps of the recipe's optimizer on a quadratic against `update`, written out."""
    layer = nn.Linear(3, 2, bias=False)
    optimizer = optimizers.build(recipe, layer)
    w, memory = layer.weight.detach().clone(), dict[str, Tensor]()
    for _ in range(3):
        layer.weight.grad = 2 * layer.weight.detach()
        optimizer.step()
        w = update(w, 2 * w, memory)
        torch.testing.assert_close(layer.weight.detach(), w)


def test_sgd_is_the_notes_formula() -> None:
    two_steps(Recipe(optimizer="sgd", lr=0.1), lambda w, gradient, _: w - 0.1 * gradient)


def test_momentum_and_nesterov_are_their_formulas() -> None:
    def polyak(w: Tensor, gradient: Tensor, memory: dict[str, Tensor]) -> Tensor:
        memory["v"] = 0.8 * memory.get("v", torch.zeros_like(w)) + gradient
        return w - 0.1 * memory["v"]

    def nesterov(w: Tensor, gradient: Tensor, memory: dict[str, Tensor]) -> Tensor:
        memory["v"] = 0.8 * memory.get("v", torch.zeros_like(w)) + gradient
        return w - 0.1 * (gradient + 0.8 * memory["v"])

    two_steps(Recipe(optimizer="momentum", lr=0.1, momentum=0.8), polyak)
    two_steps(Recipe(optimizer="nesterov", lr=0.1, momentum=0.8), nesterov)


def test_adam_is_its_formula() -> None:
    def adam(w: Tensor, gradient: Tensor, memory: dict[str, Tensor]) -> Tensor:
        zero = torch.zeros_like(w)
        t = memory["t"] = memory.get("t", torch.tensor(0.0)) + 1
        m = memory["m"] = 0.9 * memory.get("m", zero) + 0.1 * gradient
        v = memory["v"] = 0.999 * memory.get("v", zero) + 0.001 * gradient**2
        return w - 0.01 * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)

    two_steps(Recipe(optimizer="adam", lr=0.01), adam)


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_every_optimizer_brings_the_loss_down(name: str, parts: tuple[Images, Images]) -> None:
    _, events = taught(Recipe(model="cnn" if name == "muon" else "mlp", optimizer=name, epochs=4, batch_size=32), parts)
    losses = [e.row.loss for e in events if isinstance(e, EpochDone)]
    assert losses[-1] < 0.6 * losses[0]


def test_muon_is_torchs_muon_where_torch_has_one() -> None:
    """torch's takes matrices only, works in bfloat16 and does not fix the norm; the direction of a step is the same."""
    torch.manual_seed(0)
    mine, theirs = (nn.Conv2d(16, 16, 1, bias=False) for _ in range(2))
    matrix = nn.Parameter(theirs.weight.detach().flatten(1))
    oracle = torch.optim.Muon([matrix], lr=0.1, momentum=MOMENTUM, weight_decay=0, ns_steps=STEPS)
    optimizer = optimizers.build(Recipe(optimizer="muon", lr=0.1), mine)
    for _ in range(3):
        gradient = torch.randn(16, 16)
        nn.init.orthogonal_(mine.weight[:, :, 0, 0])  # of norm sqrt(16), which Muon here keeps it at
        before, matrix_before = mine.weight.detach().clone(), matrix.detach().clone()
        mine.weight.grad, matrix.grad = gradient[:, :, None, None].clone(), gradient.clone()
        optimizer.step()
        oracle.step()
        step, expected = (before - mine.weight.detach()).flatten(1), matrix_before - matrix.detach()
        assert nn.functional.cosine_similarity(step.flatten(), expected.flatten(), dim=0) > 0.999
        torch.testing.assert_close(step.norm(), expected.norm(), rtol=0.02, atol=0)


@pytest.mark.parametrize("shape", [(16, 144), (64, 32), (32, 32)])
def test_orthogonal_brings_singular_values_near_one_and_keeps_the_vectors(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    near = orthogonal(matrix, steps=5)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    values = (left.T @ near @ right.T).diagonal()
    assert values.min() > 0.3
    assert values.max() < 1.3
    torch.testing.assert_close(near, left @ values.diag() @ right, atol=1e-3, rtol=0)


def test_weight_decay_leaves_biases_alone() -> None:
    layer = nn.Linear(3, 2)
    nn.init.ones_(layer.bias)
    before = layer.weight.detach().clone()
    optimizer = optimizers.build(Recipe(optimizer="sgd", lr=0.1, weight_decay=0.5), layer)
    layer.weight.grad, layer.bias.grad = torch.zeros_like(layer.weight), torch.zeros_like(layer.bias)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), before * (1 - 0.1 * 0.5))
    assert torch.equal(layer.bias.detach(), torch.ones(2))


# -- the learning rate

LR = {"optimizer": "sgd", "lr": 0.1}


def lr_at(step: int, total: int = 100, val_losses: Any = (), **fields: Any) -> float:
    recipe = Recipe(**LR, **fields)
    return schedules.build(recipe).lr(schedules.Moment(step, 10, total, val_losses), recipe)


def test_schedules_are_their_formulas() -> None:
    assert lr_at(57, schedule="constant") == 0.1
    assert lr_at(25, schedule="exponential", lr_decay=0.5) == pytest.approx(0.1 * 0.5**2.5)
    assert lr_at(49, schedule="step", lr_decay=0.5, lr_decay_epochs=2) == pytest.approx(0.1 * 0.5**2)
    assert lr_at(20, schedule="inverse-time", lr_decay=1.0) == pytest.approx(0.1 / 3)
    assert lr_at(50, schedule="cosine") == pytest.approx(0.05)
    assert lr_at(75, schedule="linear") == pytest.approx(0.025)
    assert lr_at(0, schedule="one-cycle") == pytest.approx(0.1 / 25)
    assert lr_at(30, schedule="one-cycle") == pytest.approx(0.1)


@pytest.mark.parametrize("name", [name for name, s in schedules.SCHEDULES.items() if s.horizon])
def test_a_schedule_with_a_horizon_ends_at_zero_with_it(name: str) -> None:
    assert lr_at(100, schedule=name) == pytest.approx(0, abs=1e-12)
    assert 0 < lr_at(99, schedule=name) < 0.01


@pytest.mark.parametrize("name", [name for name, s in schedules.SCHEDULES.items() if not s.horizon])
def test_a_schedule_without_a_horizon_does_not_look_at_the_end(name: str) -> None:
    assert lr_at(33, total=50, schedule=name) == lr_at(33, total=5000, schedule=name)


def test_plateau_lowers_lr_when_val_stops_falling() -> None:
    falling, stuck = [0.5, 0.4, 0.3], [0.5, 0.4, 0.4, 0.41, 0.42]
    assert lr_at(30, val_losses=falling, schedule="plateau", lr_decay_epochs=2) == 0.1
    assert lr_at(50, val_losses=stuck, schedule="plateau", lr_decay_epochs=2, lr_decay=0.5) == pytest.approx(0.05)
    with pytest.raises(RecipeError, match="watches val"):
        schedules.build(Recipe(schedule="plateau", val_size=0))


@pytest.mark.parametrize("name", schedules.SCHEDULES)
def test_a_warm_up_rises_to_the_schedule(name: str) -> None:
    rates = [lr_at(step, schedule=name, warmup_steps=9) for step in range(12)]
    assert rates[0] == pytest.approx(lr_at(0, schedule=name) / 10)
    assert rates[11] == pytest.approx(lr_at(11, schedule=name))


def test_the_lr_of_every_step_is_recorded(parts: tuple[Images, Images]) -> None:
    _, events = taught(Recipe(model="linear", schedule="linear", lr=0.1, epochs=2, batch_size=100), parts)
    assert [e.row.lr for e in events if isinstance(e, StepDone)] == pytest.approx([0.1 * (1 - k / 6) for k in range(6)])


# -- the loop


def test_the_loss_of_an_epoch_is_the_mean_over_images(parts: tuple[Images, Images]) -> None:
    """With lr next to 0 W stands still, so the epoch's loss must be the loss over all images, short batch and all."""
    recipe = Recipe(model="linear", optimizer="sgd", lr=1e-30, epochs=1, batch_size=128)
    learner, events = taught(recipe, parts)
    row = next(e.row for e in events if isinstance(e, EpochDone))
    whole = evaluate.Evaluation.of(evaluate.read_logits(learner.network, parts[0].images), parts[0].labels).loss
    assert row.batch_loss == pytest.approx(whole, rel=1e-5)
    batch_means = [e.row.batch_loss for e in events if isinstance(e, StepDone)]
    assert np.mean(batch_means) != pytest.approx(whole, rel=1e-5), "the mean of batch means is another number here"


def test_training_is_repeatable_and_follows_the_seed(parts: tuple[Images, Images]) -> None:
    recipe = Recipe(model="cnn", epochs=1, batch_size=64, augment="affine", average=3, dropout=0.2)
    first, again = (taught(recipe, parts)[0].judged.state_dict() for _ in range(2))
    other = taught(recipe.replace(seed=1), parts)[0].judged.state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["net.0.weight"], other["net.0.weight"])


def test_the_average_is_the_running_mean_of_w(parts: tuple[Images, Images]) -> None:
    recipe = Recipe(model="linear", epochs=1, batch_size=64, average=2)
    learner = Learner(recipe, 10, device="cpu")
    learner.begin(parts[0].images)
    expected = learner.weights[0].detach().clone()
    for event in learn(learner, *parts):
        if isinstance(event, StepDone):
            share = 3 / (event.row.step + 2)
            expected = (1 - share) * expected + share * learner.weights[0].detach()
    torch.testing.assert_close(next(learner.judged.parameters()), expected)


@pytest.mark.parametrize("deferred", [False, True], ids=["cpu", "as on a GPU"])
def test_a_loss_that_is_no_number_never_reaches_w(
    deferred: bool, parts: tuple[Images, Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Machine, "deferred", property(lambda self: deferred))
    learner = Learner(Recipe(model="linear", epochs=2, batch_size=64), 10, device="cpu")
    learner.begin(parts[0].images)
    healthy, step = learner.criterion, 0
    w_before: list[Tensor] = []

    def breaks_at_step_8(logits: Tensor, labels: Tensor) -> Tensor:
        nonlocal step
        step += 1
        if step == 8:
            w_before.extend(w.detach().clone() for w in learner.weights)
        return healthy(logits, labels) * (math.nan if step == 8 else 1.0)

    learner.criterion = breaks_at_step_8
    with pytest.raises(
        NonFiniteError, match=r"loss is not finite at epoch 2, step 8 \(lr 0.03\).*smaller lr"
    ) as caught:
        list(learn(learner, *parts))
    assert (caught.value.epoch, caught.value.step, caught.value.lr) == (2, 8, 0.03)
    assert w_before
    assert all(torch.equal(w.detach(), before) for w, before in zip(learner.weights, w_before, strict=True))


def test_a_diverging_lr_is_stopped_and_named(parts: tuple[Images, Images]) -> None:
    with pytest.raises(NonFiniteError, match="lr 1e\\+30"):
        taught(Recipe(model="mlp", optimizer="sgd", lr=1e30, epochs=5), parts)


def test_stopping_is_a_reason_and_not_an_exception(parts: tuple[Images, Images]) -> None:
    learner = Learner(Recipe(model="linear", epochs=2, batch_size=64), 10, device="cpu")
    learner.begin(parts[0].images)
    seen = []
    for event in learn(learner, *parts):
        seen.append(event)
        if isinstance(event, StepDone) and event.row.step == 3:
            learner.stop()
    assert [e.row.step for e in seen if isinstance(e, StepDone)] == [1, 2, 3, 4][: learner.at.step]
    assert seen[-1] == Stopped(StopReason.INTERRUPTED)


def test_no_augmentation_moves_ink_out_of_range_and_each_is_replayable() -> None:
    images = torch.rand(16, 28, 28)
    for name, augmentation in variation.AUGMENTATIONS.items():
        if augmentation:
            vary, count = augmentation
            numbers = variation.draw(3, 7, 16, count)
            assert torch.equal(numbers, variation.draw(3, 7, 16, count))
            assert not torch.equal(numbers, variation.draw(3, 8, 16, count))
            varied = vary(images, numbers)
            assert varied.shape == images.shape, name
            assert varied.min() >= 0, name
            assert varied.max() <= 1 + 1e-6, name
            # Image by image: a batch of one gives what the batch of all gave, so a process can do its part alone.
            torch.testing.assert_close(vary(images[5:6], numbers[5:6]), varied[5:6])


def test_shift_moves_by_whole_pixels() -> None:
    image = torch.zeros(1, 28, 28)
    image[0, 10, 10] = 1
    numbers = torch.zeros(1, variation.NUMBERS)
    assert torch.equal(variation.shift(image, numbers), image)
    numbers[0, :2] = torch.tensor([0.99, -0.99])
    assert variation.shift(image, numbers)[0, 9, 11] == 1


def test_strays_are_replayable_and_in_range_and_each_is_of_its_own_numbers() -> None:
    digits, labels = torch.rand(256, 28, 28), torch.arange(256) % 10
    numbers = variation.draw(0, 1, 256, negatives.NUMBERS)
    made, made_labels = negatives.draw(digits, labels, digits.roll(1, 0), labels.roll(1, 0), numbers)
    assert made.shape == digits.shape
    assert made.min() >= 0
    assert made.max() <= 1
    alone, label = negatives.draw(digits[9:10], labels[9:10], digits[8:9], labels[8:9], numbers[9:10])
    torch.testing.assert_close(alone[0], made[9])
    assert label[0] == made_labels[9]
    assert (made.sum((1, 2)) > 0).all()  # none is an empty page
    assert set(made_labels.tolist()) == set(range(11))  # every digit, and no digit


def test_with_strays_the_loss_is_cross_entropy_with_one_more_class_whose_logit_is_zero() -> None:
    criterion = criteria.build(Recipe(negatives=0.5), 3)
    logits = torch.tensor([[2.0, 0.0, 1.0], [-3.0, -2.0, -5.0]])
    odds = logits.exp()
    digit = odds[0, 0] / (1 + odds[0].sum())
    stray = 1 / (1 + odds[1].sum())
    torch.testing.assert_close(criterion(logits, torch.tensor([0, 3])), -(digit.log() + stray.log()) / 2)


def test_a_batch_with_strays_holds_the_digits_first_and_is_the_same_wherever_it_is_made() -> None:
    digits = Part(np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8), np.arange(40) % 10)
    learner = Learner(Recipe(negatives=0.25, augment="handwriting", epochs=1), 10, device="cpu")
    images, labels = Variation(learner, Images(digits, "cpu"), 1)(torch.arange(8, 16))
    assert images.shape == (10, 28, 28)
    assert labels[:8].tolist() == [8, 9, 0, 1, 2, 3, 4, 5]
    assert set(labels[8:].tolist()) <= {1, 2, 5, 7, 10}
    again, _ = Variation(learner, Images(digits, "cpu"), 1)(torch.arange(8, 12))
    torch.testing.assert_close(torch.cat([again[:4], again[4:]]), torch.cat([images[:4], images[8:9]]))


@pytest.mark.parametrize("fields", [{"negatives": 0.5}, {"negatives": 0.001}, {"negatives": 0.5, "windows": 0.5}])
def test_a_batch_of_one_image_has_one_of_what_is_added(fields: dict[str, float]) -> None:
    digits = Part(np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8), np.arange(40) % 10)
    learner = Learner(Recipe(augment="shift", epochs=1, **fields), 10, device="cpu")  # type: ignore[arg-type]
    images, labels = Variation(learner, Images(digits, "cpu"), 1)(torch.arange(7, 8))
    assert len(images) == len(labels) == 1 + len(fields)


def test_strays_are_refused_where_they_make_no_sense() -> None:
    with pytest.raises(RecipeError, match="the data has 26 classes"):
        Learner(Recipe(negatives=0.2), 26)
    with pytest.raises(RecipeError, match="negatives go with cross-entropy only"):
        Recipe(negatives=0.2, criterion="brier")


# -- evaluation


def test_evaluation_counts_what_was_misread() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)
    labels = np.array([0, 1, 1, 1])
    losses = -np.log(probabilities[np.arange(4), labels])
    measured = evaluate.Evaluation(losses, probabilities, labels)
    assert (measured.errors, measured.accuracy) == (1, 0.75)
    assert measured.confusion.tolist() == [[1, 0], [1, 2]]
    assert evaluate.recall(measured.confusion) == [1.0, pytest.approx(2 / 3)]
    # Four bins hold one image each: |0.9 - 1|, |0.8 - 1|, |0.6 - 0|, |0.7 - 1|, a quarter of each.
    assert evaluate.calibration_error(measured) == pytest.approx(0.3, abs=1e-6)


def test_the_temperature_is_where_cross_entropy_is_lowest() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 10, (400,))
    logits = torch.randn(400, 10) + 1.5 * nn.functional.one_hot(labels, 10)
    for sharper in (0.5, 1.0, 3.0):
        fitted = fit_temperature(logits * sharper, labels)
        around = torch.arange(0.3, 4, 0.01)
        losses = torch.stack([nn.functional.cross_entropy(logits * sharper / t, labels) for t in around])
        assert fitted == pytest.approx(around[losses.argmin()].item(), abs=0.011)
    assert fit_temperature(100.0 * nn.functional.one_hot(labels, 10), labels) >= 0.25


def test_smoothed_labels_leave_honest_probabilities(parts: tuple[Images, Images]) -> None:
    recipe = Recipe(model="mlp", epochs=12, batch_size=32, label_smoothing=0.3, average=2)
    learner, events = taught(recipe, parts)
    row = [e.row for e in events if isinstance(e, EpochDone)][-1]
    assert learner.judged.temperature < 0.9
    assert learner.network.temperature == 1, "training itself goes on as if there were no temperature"
    logits = evaluate.read_logits(learner.judged, parts[1].images)
    assert row.val_loss == pytest.approx(evaluate.Evaluation.of(logits, parts[1].labels).loss, rel=1e-5)
    raw = evaluate.Evaluation.of(logits * learner.judged.temperature, parts[1].labels)
    assert row.val_loss < raw.loss


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert evaluate.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert evaluate.wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert evaluate.wilson(20, 20)[1] == 1


@pytest.mark.parametrize(
    ("device", "said"), [("nosuch", "no device"), ("cuda:99", "not on this machine"), ("cpu:1", "not on this machine")]
)
def test_a_device_that_is_not_there_is_named(device: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        choose(device)


GOLDEN = Recipe(model="cnn", lr=0.003, epochs=2, batch_size=64, augment="shift", average=3)


def golden_run(parts: tuple[Images, Images]) -> list[float]:
    """Three losses an epoch."""
    _, events = taught(GOLDEN, parts)
    rows = [e.row for e in events if isinstance(e, EpochDone)]
    return [value for row in rows for value in (row.batch_loss, row.loss, row.val_loss)]


def test_golden_losses(parts: tuple[Images, Images]) -> None:
    """A refactor must give these losses. They are of float32 on a CPU; another processor may round differently."""
    golden = Path(__file__).parent / "golden_losses.txt"
    assert golden_run(parts) == pytest.approx([float(line) for line in golden.read_text().split()], rel=2e-3)


def test_pixels_are_scaled_as_in_one_product_and_one_sum_rounded_once() -> None:
    images, scale, shift = torch.arange(256.0).repeat(9, 1), torch.tensor(3.246 / 255), torch.tensor(-0.4242)
    expected = torch.addcmul(shift, images, scale)
    assert torch.equal(models._scaled(images, scale, shift, None), expected)
    assert torch.equal(models._scaled(images, scale, shift, images), expected)
