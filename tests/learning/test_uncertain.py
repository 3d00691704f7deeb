"""dL/dW from the part of each batch whose labels are least certain."""

from dataclasses import asdict
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from downstroke.data.dataset import Dataset, Part
from downstroke.errors import RecipeError
from downstroke.learning import uncertain
from downstroke.learning.events import StepDone
from downstroke.learning.learner import Images, Learner
from downstroke.learning.loop import learn
from downstroke.recipe import RECIPES, Recipe


def learner_of(mnist: Dataset, **fields: object) -> tuple[Learner, Images]:
    train = Images(Part(mnist.train.images[:200], mnist.train.labels[:200]), "cpu")
    learner = Learner(Recipe(**{"model": "cnn", "uncertain": 0.25, **fields}), 10, device="cpu")  # type: ignore[arg-type]
    learner.begin(train.images)
    return learner, train


def steps(learner: Learner, train: Images) -> list[tuple[float, float]]:
    """The loss and the norm of dL/dW of each step."""
    events = learn(learner, train, train.take(torch.arange(0)))
    return [(e.row.batch_loss, e.row.gradient_norm) for e in events if isinstance(e, StepDone)]


def one_number(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels)


def of_the_gradient(logits: Tensor, labels: Tensor) -> Tensor:
    """One that cannot do without a gradient, as those that make it small cannot."""
    loss = F.cross_entropy(logits, labels)
    (gradient,) = torch.autograd.grad(loss, logits, create_graph=True)
    return loss + gradient.square().sum()


@pytest.mark.parametrize("fields", [{}, {"criterion": "brier"}, {"label_smoothing": 0.3}, {"dropout": 0.9}])
def test_the_uncertain_are_those_whose_label_is_neither_sure_nor_surely_wrong(
    mnist: Dataset, fields: dict[str, Any]
) -> None:
    learner, train = learner_of(mnist, **fields)
    list(learn(learner, train, train))  # so that batch statistics, and what is sure and what is not, mean something
    learner.network.temperature.fill_(1.0)
    read = learner.network.probabilities(train.images)
    images, labels, of_all = uncertain.choose(learner, train.images, train.labels)
    p = read[torch.arange(200), train.labels]
    chosen = [int((train.images == image).flatten(1).all(1).nonzero()[0, 0]) for image in images]
    assert set(chosen) == set((p * (1 - p)).argsort()[-50:].tolist())
    assert torch.equal(labels, train.labels[chosen])
    assert len(images) == len(labels) == 50
    with torch.no_grad():
        assert float(of_all) == float(learner.criterion(learner.network.eval()(train.images), train.labels))


def test_choosing_changes_nothing_but_what_is_learned_from(mnist: Dataset) -> None:
    learner, train = learner_of(mnist, dropout=0.5)
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    random = torch.get_rng_state()
    uncertain.choose(learner, train.images, train.labels)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in learner.network.state_dict().items())
    assert all(module.training for module in learner.network.modules())


@pytest.mark.parametrize(("batch", "kept"), [(1, 1), (2, 2), (3, 2), (9, 2), (10, 2), (100, 25)])
def test_never_fewer_than_two_where_there_are_two(mnist: Dataset, batch: int, kept: int) -> None:
    learner, train = learner_of(mnist)
    images, *_ = uncertain.choose(learner, train.images[:batch], train.labels[:batch])
    assert len(images) == kept


def test_training_begins_with_whole_batches(mnist: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncertain, "WHOLE_STEPS", 3)
    part, whole = (steps(*learner_of(mnist, uncertain=share, batch_size=40)) for share in (0.25, 1))
    assert part[:3] == whole[:3]
    assert all(mine != theirs for mine, theirs in zip(part[3:], whole[3:], strict=True))
    assert part[3][1] > whole[3][1]  # the same W, and those from which there is more to learn


def test_the_loss_told_is_that_of_the_whole_batch(mnist: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of `linear`, which reads in training as it always does: so it is the loss of a step on all."""
    monkeypatch.setattr(uncertain, "WHOLE_STEPS", 0)
    part, whole = (steps(*learner_of(mnist, uncertain=share, model="linear"))[0] for share in (0.25, 1))
    assert part[0] == whole[0]
    assert part[1] != whole[1]


def test_of_drawn_non_digits_it_is_the_certainty_that_they_are_none(mnist: Dataset) -> None:
    learner, train = learner_of(mnist, negatives=0.5)
    learner.network.net[-1].bias.data -= 2.0  # it takes much for no digit, and not all: p is about 0.3
    labels = torch.where(torch.arange(200) < 30, 10, train.labels)
    _, chosen, *_ = uncertain.choose(learner, train.images, labels)
    with torch.no_grad():
        odds = learner.network.eval()(train.images).exp()
    p = torch.cat([odds, torch.ones(200, 1)], 1)[torch.arange(200), labels] / (1 + odds.sum(1))
    expected = labels[(p * (1 - p)).argsort(descending=True)[:50]]
    assert chosen.tolist() == expected.tolist()
    assert 0 < (chosen == 10).sum() < 50


def test_a_criterion_of_ones_own_needs_no_loss_an_image(mnist: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncertain, "WHOLE_STEPS", 0)
    own, usual = (steps(*learner_of(mnist, criterion=name)) for name in (f"{__name__}:one_number", "cross-entropy"))
    assert own == usual


def test_a_criterion_of_ones_own_may_look_at_the_gradient(mnist: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncertain, "WHOLE_STEPS", 0)
    assert len(steps(*learner_of(mnist, criterion=f"{__name__}:of_the_gradient"))) == 6


def test_certainly_right_and_certainly_wrong_come_last_in_the_same_way(mnist: Dataset) -> None:
    """Also where p is 1 in float32: here log(p / (1 - p)) is 39.7, -40 and -41 for the labels 3, 4 and 5."""
    learner, train = learner_of(mnist, model="linear")
    layer = learner.network.net[-1]
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(-100.0)
        layer.bias[3:6] = torch.tensor([40.0, 0.0, -1.0])
    labels = torch.tensor([3] * 50 + [4] * 50 + [5] * 100)
    _, chosen, *_ = uncertain.choose(learner, train.images, labels)
    assert chosen.tolist() == [3] * 50


def test_a_stopped_training_goes_on_bit_for_bit(mnist: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncertain, "WHOLE_STEPS", 2)
    fields = {"batch_size": 40, "epochs": 2, "optimizer": "adam", "average": 6, "dropout": 0.2}
    whole, train = learner_of(mnist, **fields)
    steps(whole, train)
    for stop in (1, 2, 4):  # before whole batches end, as they end, and after
        learner, _ = learner_of(mnist, **fields)
        for event in learn(learner, train, train.take(torch.arange(0))):
            if isinstance(event, StepDone) and event.row.step == stop:
                learner.stop()
        saved = learner.state()
        again, _ = learner_of(mnist, **fields)
        again.restore(*saved)
        steps(again, train)
        assert again.at.step == 10
        for mine, theirs in zip(whole.state()[0].values(), again.state()[0].values(), strict=True):
            assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_what_it_leaves_unsure_the_temperature_makes_up_for(mnist: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cross-entropy is the lowest there, and a probability too low on the whole: T is below 1."""
    monkeypatch.setattr(uncertain, "WHOLE_STEPS", 20)
    learner, train = learner_of(mnist, model="linear", optimizer="adam", lr=0.01, batch_size=20, epochs=4)
    list(learn(learner, train, train))
    fitted = float(learner.judged.temperature)
    assert fitted < 1
    losses = []
    for temperature in (fitted, fitted * 0.9, fitted * 1.1):
        learner.judged.temperature.fill_(temperature)
        with torch.no_grad():
            losses.append(float(F.cross_entropy(learner.judged.eval()(train.images), train.labels)))
    assert losses[0] == min(losses)


@pytest.mark.parametrize("share", [0, -0.5, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(RecipeError, match=r"uncertain is .*; expected a number above 0 to 1"):
        Recipe(uncertain=share)


def test_a_recipe_of_an_earlier_version_has_whole_batches() -> None:
    held = asdict(RECIPES["standard"])
    del held["uncertain"]
    assert Recipe.from_dict(held).uncertain == 1
