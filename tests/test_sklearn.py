"""The scikit-learn classifier: its own checks in full, and real digits in its pipelines."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from downstroke.data.dataset import Dataset

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_blobs
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler
from sklearn.utils.estimator_checks import check_estimator

from downstroke.recipe import RECIPES
from downstroke.sklearn import DigitClassifier

FEW: dict[str, Any] = {"model": "linear", "augment": "none", "epochs": 3, "batch_size": 64, "random_state": 0}


@pytest.fixture(scope="module")
def digits(mnist: Dataset) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return mnist.train.images[:400], mnist.train.labels[:400]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")  # pandas, the array API: not installed here
@pytest.mark.parametrize("recipe", ["standard", "sprint"])
def test_scikit_learns_own_checks_pass_in_full(recipe: str) -> None:
    results = check_estimator(DigitClassifier(recipe, threads=1))
    assert {result["status"] for result in results} <= {"passed", "skipped"}


def test_digits_are_learned_and_labels_of_any_kind_come_back(
    digits: tuple[NDArray[np.uint8], NDArray[np.int64]],
) -> None:
    images, labels = digits
    names = np.array([f"digit {label}" for label in labels])
    taught = DigitClassifier("textbook", epochs=4, batch_size=32, random_state=0).fit(images[:300], names[:300])
    assert taught.score(images[300:], names[300:]) > 0.7
    assert taught.classes_.tolist() == [f"digit {label}" for label in range(10)]
    assert len(taught.history_) == 4
    assert taught.history_[-1].batch_loss < taught.history_[0].batch_loss


def test_the_form_of_the_images_does_not_matter(digits: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
    images, labels = digits
    flat = images.reshape(len(images), -1)
    forms: list[NDArray[Any]] = [images, flat, flat / 255, flat.astype(np.float32)]
    fitted = [DigitClassifier(**FEW).fit(form, labels) for form in forms]
    y = [one.predict_proba(form) for one, form in zip(fitted, forms, strict=True)]
    for one, of_own in zip(fitted, y, strict=True):
        np.testing.assert_array_equal(y[0], of_own)
        np.testing.assert_array_equal(y[0], one.predict_proba(images))  # uint8 is 0..255, whatever `fit` saw
    np.testing.assert_allclose(y[0].sum(1), 1)
    alone = DigitClassifier(**FEW).fit(images, labels).predict_proba(images[:1])
    np.testing.assert_allclose(alone, y[0][:1], rtol=0, atol=1e-7)


@pytest.mark.parametrize("shares", [True, False], ids=["0..1", "0..255"])
def test_an_image_is_read_alike_whatever_lies_beside_it(
    digits: tuple[NDArray[np.uint8], NDArray[np.int64]], shares: bool
) -> None:
    images, labels = digits
    full = 1.0 if shares else 255.0
    X = images.reshape(len(images), -1) / 255 * full
    one = DigitClassifier(**FEW).fit(X, labels)
    assert one.pixel_range_ == (0.0, full)
    y = one.predict_proba(X)
    above = X.copy()
    above[0, 0] *= 1.0001
    above[1] *= 1.27  # as turning with a cubic spline leaves it
    above[2] -= 0.1 * full
    np.testing.assert_array_equal(one.predict_proba(above)[3:], y[3:])
    np.testing.assert_array_equal(one.predict_proba(above)[1], one.predict_proba(above[1:2].clip(0, full))[0])
    for index in (0, 1, 2):
        np.testing.assert_allclose(one.predict_proba(above)[index], one.predict_proba(above[index : index + 1])[0])
    with pytest.warns(UserWarning, match=r"the pixels are .*, and fit saw 0\.\."):
        one.predict(X * 255 if shares else X / 255)


def test_pixels_a_little_above_1_are_learned_as_shares(digits: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
    images, labels = digits
    one = DigitClassifier(**FEW).fit(images * (1.27 / 255), labels)
    assert one.pixel_range_ == (0.0, 1.0)
    assert one.score(images, labels) > 0.7


def test_a_pipeline_scales_its_test_images_as_those_it_was_taught_on(
    digits: tuple[NDArray[np.uint8], NDArray[np.int64]], mnist: Dataset
) -> None:
    images, labels = (part.reshape(400, -1) for part in digits)
    test, expected = mnist.test.images[:200].reshape(200, -1), mnist.test.labels[:200]
    piped = make_pipeline(MinMaxScaler(), DigitClassifier(**FEW)).fit(images, labels.ravel())
    assert piped.score(test, expected) > 0.5


@pytest.mark.parametrize("recipe", RECIPES)
def test_features_that_are_no_picture_are_learned_by_every_recipe(recipe: str) -> None:
    X, y = make_blobs(n_samples=30, centers=3, random_state=0, cluster_std=0.1)
    assert DigitClassifier(recipe, threads=1, random_state=0).fit(X, y).score(X, y) == 1


def test_partial_fit_is_an_epoch_more_also_after_pickling(
    digits: tuple[NDArray[np.uint8], NDArray[np.int64]],
) -> None:
    images, labels = digits
    once = DigitClassifier(**FEW).fit(images, labels)
    more = DigitClassifier(**{**FEW, "epochs": 2}).fit(images, labels)
    before = more.predict_proba(images)
    more = pickle.loads(pickle.dumps(more))
    np.testing.assert_array_equal(more.predict_proba(images), before)
    more.partial_fit(images, labels)
    np.testing.assert_array_equal(more.predict_proba(images), once.predict_proba(images))
    assert len(more.history_) == 3
    with pytest.raises(ValueError, match="label 11 is not among the classes"):
        more.partial_fit(images[:2], [3, 11])
    first = DigitClassifier(**FEW).partial_fit(images[:50], labels[:50], classes=range(10))
    assert first.classes_.tolist() == list(range(10))
    assert len(first.history_) == 1


def test_a_part_can_be_set_aside_and_is_in_the_history(digits: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
    images, labels = digits
    taught = DigitClassifier(**FEW, val_size=100).fit(images, labels)
    assert taught.history_.best is not None
    assert DigitClassifier(**FEW).fit(images, labels).history_.best is None


def test_it_works_in_scikit_learns_own_tools(digits: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
    images, labels = digits
    flat = images.reshape(len(images), -1)
    one = DigitClassifier(**FEW)
    assert clone(one).get_params() == one.get_params()
    assert cross_val_score(one, flat, labels, cv=2).mean() > 0.5
    piped = make_pipeline(FunctionTransformer(lambda X: X / 255), DigitClassifier(**FEW)).fit(flat, labels)
    assert piped.score(flat, labels) > 0.5
    search = GridSearchCV(DigitClassifier(**FEW), {"lr": [1e-5, 3e-3]}, cv=2).fit(flat, labels)
    assert search.best_params_ == {"lr": 3e-3}
    calibrated = CalibratedClassifierCV(DigitClassifier(**FEW), cv=2).fit(flat, labels)
    assert calibrated.predict_proba(flat).shape == (len(flat), 10)


def test_torchs_random_state_and_threads_stay_as_they_were(
    digits: tuple[NDArray[np.uint8], NDArray[np.int64]],
) -> None:
    import torch

    before, threads = torch.get_rng_state(), torch.get_num_threads()
    DigitClassifier(**FEW, threads=1).fit(*digits)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_one_class_is_refused(digits: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
    with pytest.raises(ValueError, match="one class"):
        DigitClassifier(**FEW).fit(digits[0], np.zeros(400, int))
