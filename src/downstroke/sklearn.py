"""downstroke as a scikit-learn classifier: `from downstroke.sklearn import DigitClassifier`.

>>> from downstroke.sklearn import DigitClassifier              # doctest: +SKIP
>>> DigitClassifier(recipe="sprint").fit(X, y).score(X_test, y_test)    # doctest: +SKIP
0.9905
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from downstroke.errors import MissingPackageError, RecipeError, missing, to_install

try:
    import torch
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets, unique_labels
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ImportError as error:
    if error.name == "torch":
        raise MissingPackageError(missing(error), name="torch") from None
    raise MissingPackageError(
        f"downstroke.sklearn needs scikit-learn 1.6 or newer: {to_install('sklearn')}", name="sklearn"
    ) from None

from downstroke.data.batches import steps_per_epoch
from downstroke.data.dataset import Part, split
from downstroke.glyphs.glyph import SIZE
from downstroke.history import History
from downstroke.learning import schedules
from downstroke.learning.events import EpochDone
from downstroke.learning.learner import Images, Learner
from downstroke.learning.loop import learn
from downstroke.recipe import STANDARD, Recipe, named

PIXELS = SIZE * SIZE
LEVELS, SHARES = (0.0, 255.0), (0.0, 1.0)  # the ranges of pixels as images have them
_ROUGHLY_SHARES = 2.0  # what turns and resizes images may leave pixels of 0..1 a little above 1
_MANY = 0.05  # of the pixels: images of digits have ink in more
LEAST_STEPS = 100  # of a fit whose epochs were not given: a few hundred images make few steps an epoch
_AT_ONCE = 256  # images; fewer are filled up, so that what is said of an image does not depend on those beside it


class DigitClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Images of digits, or of other classes, learned by a recipe of downstroke.

    `X`: [N, 784] or [N, 28, 28], ink high on zero: uint8 0..255, or numbers of 0..1 or 0..255. The range that `fit` saw
    is kept, as `pixel_range_`, and what lies outside it in `predict` is clipped; uint8 is 0..255 also where `fit` saw
    0..1. Features of any other number are laid out as a square, in order, and their least and largest value are the
    range; unless said otherwise they are learned by the model `mlp` without augmentation, and by adam where the recipe
    has muon. `y`: [N], any labels that scikit-learn takes.

    `recipe`: a name, the path of a recipe file, or a Recipe; `epochs` to `augment` change its fields where they are
    not None. `epochs` left out are the recipe's, or more where they would be below 100 steps. `val_size`: a share below
    1, or a number of images, that are set apart for `history_`. `random_state`: the seed; an int makes it repeatable.
    `threads`: left out, torch's.

    Fitted: `classes_`, `n_features_in_`, `history_` (a `History`: the losses of each epoch), `pixel_range_` (the
    values of `X` that are paper and full ink), `recipe_`, `network_`.
    """

    def __init__(
        self,
        recipe: str | Recipe = "standard",
        *,
        epochs: int | None = None,
        model: str | None = None,
        optimizer: str | None = None,
        lr: float | None = None,
        batch_size: int | None = None,
        augment: str | None = None,
        val_size: float = 0.0,
        random_state: Any = None,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.recipe = recipe
        self.epochs = epochs
        self.model = model
        self.optimizer = optimizer
        self.lr = lr
        self.batch_size = batch_size
        self.augment = augment
        self.val_size = val_size
        self.random_state = random_state
        self.device = device
        self.threads = threads

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn anew. Raises ValueError for data that cannot be learned from, RecipeError for a parameter."""
        X, y = self._checked(X, y, reset=True)
        self._begin(X, unique_labels(y))
        images, labels = self._images(X), np.searchsorted(self.classes_, y)
        self._train(images, labels, self._learner.at.leg.last_epoch)
        return self

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """One epoch more, on these images. `classes`: all that there will be; only the first call needs them."""
        first = not hasattr(self, "_learner")
        X, y = self._checked(X, y, reset=first)
        if first:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit")
            self._begin(X, unique_labels(classes))
        elif classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise ValueError(f"`classes={classes}` are not those of the first call to partial_fit: {self.classes_}")
        if len(unknown := np.setdiff1d(y, self.classes_)):
            raise ValueError(f"label {unknown[0]} is not among the classes {self.classes_}")
        self._train(self._images(X), np.searchsorted(self.classes_, y), self._learner.at.epoch + 1)
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities, float64 [N, C], in the order of `classes_`; each row sums to 1.

        Warns where `X` looks as if it were 0..1 and `fit` saw 0..255, or the other way round.
        """
        check_is_fitted(self)
        images = self._images(self._checked_images(X))
        parts = []
        for start in range(0, len(images), _AT_ONCE):
            block = images[start : start + _AT_ONCE]
            filled = np.zeros((_AT_ONCE, SIZE, SIZE), np.uint8)
            filled[: len(block)] = block
            with torch.inference_mode():
                device = self.network_.scale.device
                logits = self.network_(torch.from_numpy(filled).to(device)).cpu().numpy()[: len(block)]
            parts.append(np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True)))
        y = np.concatenate(parts)
        probabilities: NDArray[np.float64] = y / y.sum(1, keepdims=True)
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each image, [N]."""
        check_is_fitted(self)
        found: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(1)]
        return found

    def _begin(self, X: NDArray[Any], classes: NDArray[Any]) -> None:
        if len(classes) < 2:
            raise ValueError(f"y holds one class, {classes[0]!r}; expected at least 2 classes to tell apart")
        self.classes_, self.history_ = classes, History()
        self.pixel_range_ = _range(X)
        self.recipe_ = self._decided(len(X), X.shape[1])
        threads = self.threads or torch.get_num_threads()
        self._learner = Learner(self.recipe_, len(classes), device=self.device, precision="float32", threads=threads)
        with torch.random.fork_rng():
            self._learner.begin(torch.from_numpy(self._images(X)))
        self.network_ = self._learner.judged

    def _decided(self, images: int, features: int) -> Recipe:
        """The recipe with what was asked for, for so many images."""
        base = self.recipe if isinstance(self.recipe, Recipe) else named(self.recipe)
        names = ("epochs", "model", "optimizer", "lr", "batch_size", "augment")
        asked = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if features != PIXELS:  # what they are is not known: no picture that could be shifted
            plain = {"model": "mlp", "augment": "none", "first_layer": "random", "negatives": 0.0, "uncertain": 1.0}
            if base.optimizer == "muon":  # its steps are as long as its own network bears: the mlp diverges
                plain |= {name: getattr(STANDARD, name) for name in ("optimizer", "lr", "momentum", "beta2")}
            asked = {**plain, **asked}
        seed = int(check_random_state(self.random_state).randint(2**31))
        decided = base.replace(val_size=self.val_size, seed=seed, **asked)
        if decided.start_from is not None:
            raise RecipeError("DigitClassifier begins with random weights; leave start_from out")
        if self.epochs is None:
            per_epoch = steps_per_epoch(decided, images)
            decided = decided.replace(epochs=max(decided.epochs, math.ceil(LEAST_STEPS / per_epoch)))
        return decided

    def _train(self, images: NDArray[np.uint8], labels: NDArray[np.int64], last_epoch: int) -> None:
        learner, recipe = self._learner, self.recipe_
        train = Part(images, labels.astype(np.int64))
        val = train.take(np.arange(0))
        if recipe.val_size:
            kept, apart = split(train.labels, recipe.val_size, recipe.split_seed)
            train, val = train.take(kept), train.take(apart)
        if last_epoch > learner.at.leg.last_epoch and schedules.SCHEDULES[recipe.schedule].horizon:
            learner.start_leg(last_epoch - learner.at.epoch, {})
        learner.at.leg.last_epoch = last_epoch
        device = learner.machine.device
        before = torch.get_num_threads()
        torch.set_num_threads(learner.machine.threads)
        try:
            with torch.random.fork_rng():
                torch.manual_seed(recipe.seed + learner.at.step)  # of dropout
                for event in learn(learner, Images(train, device), Images(val, device)):
                    if isinstance(event, EpochDone):
                        self.history_.rows.append(event.row)
        finally:
            torch.set_num_threads(before)
        learner.judged.eval()

    def _checked(self, X: ArrayLike, y: ArrayLike, *, reset: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        rows, labels = validate_data(self, _rows(X), y, reset=reset)
        check_classification_targets(labels)
        return rows, column_or_1d(labels, warn=True)

    def _checked_images(self, X: ArrayLike) -> NDArray[Any]:
        found: NDArray[Any] = validate_data(self, _rows(X), reset=False)
        return found

    def _images(self, X: NDArray[Any]) -> NDArray[np.uint8]:
        """[N, features] as uint8 [N, 28, 28]."""
        self._warn_of_another_range(X)
        low, high = self._range_of(X)
        if X.dtype != np.uint8 or (low, high) != LEVELS:
            X = np.rint((X.astype(np.float64) - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
        if X.shape[1] == PIXELS:
            return np.ascontiguousarray(X).reshape(-1, SIZE, SIZE)
        side = math.isqrt(X.shape[1] - 1) + 1
        filled = np.zeros((len(X), side * side), np.uint8)
        filled[:, : X.shape[1]] = X
        square = filled.reshape(-1, side, side)
        if side > SIZE:
            import cv2

            return np.stack([cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for image in square])
        place = np.arange(SIZE) * side // SIZE
        return np.ascontiguousarray(square[:, place][:, :, place])

    def _range_of(self, X: NDArray[Any]) -> tuple[float, float]:
        """The range that `fit` saw: what is said of an image must not depend on those beside it."""
        return LEVELS if X.dtype == np.uint8 and self.pixel_range_ == SHARES else self.pixel_range_

    def _warn_of_another_range(self, X: NDArray[Any]) -> None:
        if X.shape[1] != PIXELS:
            return
        known, high = self._range_of(X), float(X.max())
        # Of images scaled pixel by pixel (MinMaxScaler) a pixel here and there is far above 1.
        if known == SHARES and float((X > _ROUGHLY_SHARES).mean()) > _MANY:
            seen = f"up to {high:g}, and fit saw 0..1: what is above 1 is clipped; divide by 255"
        elif known == LEVELS and X.dtype != np.uint8 and 0 < high <= 1:
            seen = f"at most {high:g}, and fit saw 0..255: nearly all is paper; multiply by 255"
        else:
            return
        warnings.warn(f"the pixels are {seen}, or fit on pixels of this range", stacklevel=3)

    def __getstate__(self) -> dict[str, Any]:
        """What pickle keeps: of the learner, the state that a checkpoint would hold."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "_learner" in state:
            state["_learner"] = state["_learner"].state()
            del state["network_"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        held = state.pop("_learner", None)
        super().__setstate__(state)
        if held:
            threads = self.threads or torch.get_num_threads()
            count = len(self.classes_)
            self._learner = Learner(self.recipe_, count, device=self.device, precision="float32", threads=threads)
            with torch.random.fork_rng():
                self._learner.restore(*held)
            self.network_ = self._learner.judged.eval()


def _rows(X: ArrayLike) -> ArrayLike:
    """Images [N, 28, 28] as [N, 784]; all else as it is."""
    if getattr(X, "ndim", 2) == 3:
        return np.asarray(X).reshape(len(X), -1)  # type: ignore[arg-type]
    return X


def _range(X: NDArray[Any]) -> tuple[float, float]:
    """The values that become 0 and 255."""
    low, high, pixels = float(X.min()), float(X.max()), X.shape[1] == PIXELS
    if X.dtype == np.uint8 or (pixels and low >= 0 and _ROUGHLY_SHARES < high <= LEVELS[1]):
        return LEVELS
    if low >= 0 and high <= (_ROUGHLY_SHARES if pixels else 1):
        return SHARES
    return low, high if high > low else low + 255
