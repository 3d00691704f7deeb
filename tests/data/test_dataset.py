"""The seeded ways to divide data: val set apart, train cut short, labels spoilt, the order of an epoch."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downstroke.data.batches import batches, order, shuffled, starts, steps_per_epoch
from downstroke.data.dataset import Dataset, Part, cut, set_test_apart, split, spoil
from downstroke.errors import DataError, RecipeError
from downstroke.recipe import Recipe

label_lists = st.lists(st.integers(0, 6), min_size=1, max_size=80).map(lambda v: np.array(v, np.int64))
seeds = st.integers(0, 2**40)


def one_line(error):
    return "\n" not in str(error.value) and len(str(error.value)) > 20


@given(label_lists, seeds, st.data())
@settings(max_examples=80, deadline=None)
def test_a_split_is_disjoint_complete_exact_stratified_and_leaves_every_class_to_train_on(labels, seed, data):
    most = len(labels) - len(np.unique(labels))
    count = data.draw(st.integers(0, most))
    train, val = split(labels, count, seed)
    assert len(val) == count
    np.testing.assert_array_equal(np.sort(np.concatenate([train, val])), np.arange(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(val) > 0).all()
    np.testing.assert_array_equal(np.unique(labels[train]), np.unique(labels))
    if np.bincount(labels)[np.unique(labels)].min() * (len(labels) - count) >= 2 * len(labels):
        share = np.bincount(labels) * count / len(labels)  # where no class is at its last image
        assert np.abs(np.bincount(labels[val], minlength=len(share)) - share).max() < 1
    again = split(labels, count, seed)
    np.testing.assert_array_equal(again[1], val)


def test_the_default_share_takes_exactly_five_thousand_of_sixty_thousand():
    labels = np.arange(60_000, dtype=np.int64) % 10
    train, val = split(labels, 1 / 12, 0)
    assert (len(train), len(val)) == (55_000, 5_000)
    assert np.bincount(labels[val]).tolist() == [500] * 10


def test_another_split_seed_gives_another_val_part():
    labels = np.arange(1000, dtype=np.int64) % 10
    assert not np.array_equal(split(labels, 100, 0)[1], split(labels, 100, 1)[1])


def test_a_val_size_of_zero_sets_nothing_apart():
    train, val = split(np.array([0, 1, 1]), 0, 0)
    assert train.tolist() == [0, 1, 2]
    assert val.tolist() == []


@pytest.mark.parametrize(
    ("size", "error", "named"),
    [
        (6, DataError, "takes 6 of the 6"),
        (5, DataError, "at most 4 can go"),
        (0.99, DataError, "0.99"),
        (-1, RecipeError, "-1"),
        (float("nan"), RecipeError, "nan"),
        (float("inf"), RecipeError, "inf"),
        (2.5, RecipeError, "2.5"),
    ],
)
def test_an_impossible_val_size_is_named_in_one_line(size, error, named):
    with pytest.raises(error, match=named) as caught:
        split(np.array([0, 0, 0, 1, 1, 1]), size, 0)
    assert one_line(caught)


def test_the_split_is_the_same_as_ever():
    labels = np.arange(40, dtype=np.int64) % 4
    assert split(labels, 6, 0)[1].tolist() == [4, 6, 9, 13, 16, 27]
    assert order(0, 1, 8).tolist() == [3, 6, 5, 7, 4, 1, 2, 0]


@given(label_lists, seeds, st.data())
@settings(max_examples=50, deadline=None)
def test_a_cut_has_exactly_the_size_asked_for_and_every_class(labels, seed, data):
    size = data.draw(st.integers(len(np.unique(labels)), len(labels)))
    indices = cut(labels, size, seed)
    assert len(indices) == size
    assert (np.diff(indices) > 0).all()
    np.testing.assert_array_equal(np.unique(labels[indices]), np.unique(labels))


@pytest.mark.parametrize("size", [0, 1, 7, -3])
def test_a_train_size_that_cannot_be_had_is_named_in_one_line(size):
    with pytest.raises(RecipeError, match=f"train size of {size} ") as caught:
        cut(np.array([0, 0, 0, 1, 1, 1]), size, 0)
    assert one_line(caught)


@given(label_lists, st.floats(0, 1), seeds)
@settings(max_examples=50, deadline=None)
def test_spoiling_replaces_exactly_the_share_asked_for_by_other_classes(labels, rate, seed):
    before = labels.copy()
    spoilt = spoil(labels, rate, 7, seed)
    np.testing.assert_array_equal(labels, before)
    assert (spoilt != labels).sum() == round(rate * len(labels))
    assert ((spoilt >= 0) & (spoilt < 7)).all()
    np.testing.assert_array_equal(spoil(labels, rate, 7, seed), spoilt)


def test_each_other_class_is_equally_likely_under_label_noise():
    spoilt = spoil(np.full(30_000, 3, np.int64), 1.0, 4, 0)
    counts = np.bincount(spoilt, minlength=4)
    assert counts[3] == 0
    assert np.abs(counts[:3] - 10_000).max() < 400  # five standard deviations


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_label_noise_that_is_no_share_is_named_in_one_line(rate):
    with pytest.raises(RecipeError, match=f"{rate:g}") as caught:
        spoil(np.array([0, 1]), rate, 2, 0)
    assert one_line(caught)


def test_a_test_part_of_a_seventh_is_set_apart():
    labels = np.arange(70_000, dtype=np.int64) % 10
    train, test = set_test_apart(labels, 0)
    assert (len(train), len(test)) == (60_000, 10_000)
    with pytest.raises(DataError, match="2 images of 2 classes are too few"):
        set_test_apart(np.array([0, 1]), 0)


@given(seeds, st.integers(1, 10_000), st.integers(0, 300))
@settings(max_examples=80, deadline=None)
def test_the_order_of_an_epoch_is_a_permutation_that_depends_on_its_arguments_alone(seed, epoch, n):
    first = order(seed, epoch, n)
    np.testing.assert_array_equal(np.sort(first), np.arange(n))
    np.testing.assert_array_equal(first, order(seed, epoch, n))


def test_each_epoch_and_each_seed_has_its_own_order():
    orders = {tuple(order(seed, epoch, 50).tolist()) for seed in range(10) for epoch in range(1, 11)}
    assert len(orders) == 100


def test_every_place_in_the_order_is_equally_likely():
    places = np.array([np.flatnonzero(shuffled(5, 9, seed) == 0)[0] for seed in range(2000)])
    assert np.abs(np.bincount(places, minlength=5) - 400).max() < 90  # five standard deviations


@given(st.integers(1, 200), st.integers(1, 70), st.none() | st.integers(1, 150))
@settings(max_examples=50, deadline=None)
def test_batches_are_the_order_in_slices_and_can_start_in_the_middle(n, batch_size, late):
    whole = list(batches(0, 3, n, batch_size, late_batch_size=late))
    np.testing.assert_array_equal(np.concatenate(whole), order(0, 3, n))
    firsts = [*chain(*starts(n, batch_size, late))]
    sizes = [batch_size if late is None or 2 * first < n else late for first in firsts]
    assert [len(batch) for batch in whole[:-1]] == sizes[:-1]
    assert len(whole) == len(firsts) == steps_per_epoch(Recipe(batch_size=batch_size, late_batch_size=late), n)
    start = len(whole) // 2
    rest = list(batches(0, 3, n, batch_size, start, late))
    assert [batch.tolist() for batch in rest] == [batch.tolist() for batch in whole[start:]]


@pytest.mark.parametrize("call", [lambda: order(-1, 1, 5), lambda: list(batches(0, 1, 5, 0))])
def test_a_negative_seed_or_an_empty_batch_is_refused_in_one_line(call):
    with pytest.raises(RecipeError) as caught:
        call()
    assert one_line(caught)


def small(images=None, labels=(0, 1), classes=("0", "1")):
    images = np.zeros((2, 28, 28), np.uint8) if images is None else images
    part = Part(images, np.array(labels, np.int64))
    return Dataset("small", part, part, classes, own_test=True)


def test_a_fingerprint_changes_with_any_image_label_or_class_name():
    changed = np.zeros((2, 28, 28), np.uint8)
    changed[1, 27, 27] = 1
    others = [small(changed), small(labels=(1, 0)), small(classes=("0", "2"))]
    assert small().fingerprint() == small().fingerprint()
    assert len({small().fingerprint(), *(other.fingerprint() for other in others)}) == 4
