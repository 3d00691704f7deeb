"""What the reader learns from beside MNIST's images: windows of drawn pages, and the words on those."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from downstroke.augment import words
from downstroke.augment.letters import ALIKE
from downstroke.augment.windows import NONE, windows
from downstroke.data import sources
from downstroke.data.dataset import Part
from downstroke.errors import RecipeError
from downstroke.learning.events import Event, Note, Stopped, StopReason
from downstroke.learning.learner import Images, Learner
from downstroke.learning.loop import Variation, learn
from downstroke.recipe import RECIPES, Recipe


@pytest.fixture(scope="module")
def train() -> Part:
    return sources.load("mnist", 0).train.take(np.arange(200))


def test_windows_are_a_function_of_the_digits_and_the_seed(train: Part) -> None:
    drawn = [windows(train.images, train.labels, 60, seed) for seed in (0, 0, 1)]
    assert all(drawn)
    (images, labels), (again, _), (others, _) = (one for one in drawn if one)
    assert images.shape == (60, 28, 28)
    assert images.dtype == np.uint8
    assert np.array_equal(images, again)
    assert not np.array_equal(images, others)
    assert set(labels) <= set(range(NONE + 1))
    assert 0 < (labels == NONE).mean() < 0.6


def test_a_batch_ends_with_its_windows(train: Part) -> None:
    learner = Learner(RECIPES["reader"].replace(epochs=1, windows=0.25), 10, device="cpu")
    images, labels = Variation(learner, Images(train, "cpu"), 0)(torch.arange(40))
    bare = Learner(RECIPES["reader"].replace(epochs=1, windows=0.0), 10, device="cpu")
    before, _ = Variation(bare, Images(train, "cpu"), 0)(torch.arange(40))
    assert len(images) == len(labels) == 40 + 20 + 10
    assert (images[:60] == before).all()
    assert images[60:].amax() > 0.5


def test_asked_to_stop_while_windows_are_drawn_it_stops_before_the_first_step(train: Part) -> None:
    learner = Learner(RECIPES["reader"].replace(epochs=1), 10, device="cpu")
    learner.begin(torch.from_numpy(train.images))
    first, *rest = _events(learner, Images(train, "cpu"))
    assert isinstance(first, Note)
    assert first.text == "Before the first step 17 windows of pages are drawn, a thousand a second."
    assert rest == [Stopped(StopReason.INTERRUPTED)]
    assert learner.at.step == 0


def _events(learner: Learner, train: Images) -> Iterator[Event]:
    for event in learn(learner, train, train):
        yield event
        learner.stop()


def test_windows_need_negatives_because_some_show_no_digit() -> None:
    with pytest.raises(RecipeError, match="give negatives too"):
        Recipe(windows=0.5)
    assert RECIPES["reader"].replace(negatives=0.0).windows == 0


def test_words_have_no_letter_like_a_digit_unless_told_to() -> None:
    rng = np.random.default_rng(0)
    written = [words.word(rng, 8, alike=False) for _ in range(50)]
    assert all(not ALIKE & set(word) and word for word in written)
    assert ALIKE & set("".join(words.word(rng, 8, alike=True) for _ in range(50)))


@pytest.mark.parametrize("thin", [False, True])
def test_letters_have_the_sizes_that_they_have_in_words(thin: bool) -> None:
    capital, low, tail = (words.letter("DejaVuSans", char, thin=thin) for char in "Hxp")
    assert capital.height == pytest.approx(1)
    assert low.height < 0.85
    assert capital.sinks == pytest.approx(0, abs=0.02)
    assert tail.sinks > 0.2
