"""A recipe: everything that decides W. Frozen, validated when it is made, JSON and TOML in, JSON out.

What a recipe does not hold (device, precision, threads) is the run's environment. Names of models, criteria,
optimizers and schedules are looked up in the `learning` room, which lies above this one and knows them.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from downstroke.errors import RecipeError
from downstroke.regular import read_regular

MOST_BYTES = 1_000_000  # of a recipe file
_LONGEST = 1000  # letters of a word: a path may be long


def _note(default: Any, note: str, low: float = -math.inf, high: float = math.inf, *, open_low: bool = False) -> Any:
    """A field with its range: low <= value <= high, or low < value where `open_low`."""
    return field(default=default, metadata={"note": note, "low": low, "high": high, "open_low": open_low})


#: lr where the recipe names an optimizer and no lr: starting points in common use, not chosen by measurement.
DEFAULT_LR = {"sgd": 0.1, "momentum": 0.03, "nesterov": 0.03, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 5e-4, "muon": 0.1}


#: Training that starts from trained weights takes at most so many epochs, and this share of the recipe's lr.
STARTED_EPOCHS, STARTED_LR = 4, 1 / 3
SHIPPED = "reader"  # what `start_from` calls the weights that come with downstroke


#: What earlier versions called a field, and a value of one: recipe files and checkpoints of theirs are still read.
RENAMED = {"strays": "negatives"}
RENAMED_VALUES = {"augment": {"pen": "handwriting"}}


def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a recipe under today's names. RecipeError where a field is given under both its names."""
    for old, new in RENAMED.items():
        if old in values and new in values:
            raise RecipeError(f"{old} is the earlier name of {new}, and both were given; leave {old} out")
    found = {RENAMED.get(key, key): value for key, value in values.items()}
    for key, words in RENAMED_VALUES.items():
        if isinstance(found.get(key), str):
            found[key] = words.get(found[key], found[key])
    return found


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides W.

    Raises RecipeError, in one line, for a value of the wrong type or outside its range.
    """

    name: str = _note("standard", "what this recipe is called")

    data: str = _note("mnist", "`mnist`, or a path: a folder of IDX files or of pictures by class, an .npz, or a .csv")
    val_data: str | None = _note(None, "take the val images from this path, in the same formats as `data`")
    transpose: bool = _note(False, "the files store each image with rows and columns swapped, as EMNIST does")
    train_size: float | None = _note(
        None, "train on some of the training images only: a share below 1, or a count from 1", 0, open_low=True
    )
    mix: float = _note(
        0.0, "mix MNIST into your own digits: the share of MNIST's images in an epoch; 0 for none", 0, 0.95
    )
    label_noise: float = _note(0.0, "share of the training labels replaced by a wrong one", 0, 1)
    val_size: float = _note(
        1 / 12, "val images taken from the training images: a share below 1, or a count from 1; 0 for none", 0
    )
    split_seed: int = _note(0, "decides which images are val (and which labels are spoiled)", 0, 2**32 - 1)

    model: str = _note(
        "cnn", "f(W, x): linear, mlp, cnn, coarse, tiny, wide, fine, deep, deeper, or package.module:callable"
    )
    start_from: str | None = _note(
        None, "the weights to start with: `reader` for the shipped reader, or a run; left out, random ones"
    )
    first_layer: str = _note("random", "how its filters start: random, or whitening (computed from the images)")
    dropout: float = _note(0.0, "share of the last hidden layer's values set to 0 in training", 0, 0.95)

    criterion: str = _note("cross-entropy", "the loss: cross-entropy, nll, brier, mse, or package.module:callable")
    label_smoothing: float = _note(0.0, "share of the label's probability spread over all classes", 0, 0.9)

    optimizer: str = _note("nesterov", "the update: sgd, momentum, nesterov, adam, adamw, rmsprop or muon")
    lr: float | None = _note(None, "the learning rate; every optimizer has its own default", 0, open_low=True)
    momentum: float = _note(0.9, "for momentum, nesterov, rmsprop and muon; beta1 for adam and adamw", 0, 0.9999)
    beta2: float = _note(
        0.999, "for adam and adamw: how slowly their average of squared gradients changes", 0, 0.999999
    )
    weight_decay: float = _note(0.0, "applies to weights with two or more dimensions, not to biases and scales", 0)

    schedule: str = _note(
        "constant", "how lr moves: constant, exponential, step, inverse-time, plateau, cosine, one-cycle or linear"
    )
    lr_decay: float = _note(
        0.9, "exponential: factor an epoch; step, plateau: factor a drop; inverse-time: rate an epoch", 0, 100
    )
    lr_decay_epochs: int = _note(5, "step: epochs between drops; plateau: epochs of patience", 1)
    warmup_steps: int = _note(0, "steps over which lr rises to its value", 0)

    batch_size: int = _note(128, "images in one step", 1)
    late_batch_size: int | None = _note(None, "images in one step in the second half of each epoch", 1)
    epochs: int = _note(3, "passes over the training images", 1)
    uncertain: float = _note(
        1.0,
        "share of each batch that dL/dW is computed from: the images whose label is least certain; 1 is all",
        0,
        1,
        open_low=True,
    )
    augment: str = _note("none", "how each training image is varied: none, shift, affine, elastic or handwriting")
    negatives: float = _note(
        0.0, "drawn non-digits added to each batch, as a share of its images, to learn to refuse them", 0, 1
    )
    windows: float = _note(
        0.0, "windows of drawn pages added to each batch, as a share of its images: digits among others, or none", 0, 1
    )
    average: float = _note(
        0.0,
        "k: judge and read with a running average of the weights over about the last 1/(k+1) of the steps; 0 is none",
        0,
        1e6,
    )
    seed: int = _note(
        0, "decides the initial weights, the order of the batches, augmentation and dropout", 0, 2**32 - 1
    )

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, _checked(f, getattr(self, f.name)))
        object.__setattr__(self, "augment", RENAMED_VALUES["augment"].get(self.augment, self.augment))
        if self.lr is None:
            object.__setattr__(self, "lr", DEFAULT_LR.get(self.optimizer, 0.01))
        if self.optimizer in ("nesterov", "muon") and self.momentum == 0:
            raise RecipeError(f"momentum is 0 with {self.optimizer}; give more than 0 (0.9), or --optimizer sgd")
        if self.train_size is not None and self.train_size > 1 and self.train_size != int(self.train_size):
            raise RecipeError(f"train_size is {self.train_size:g}; expected a share below 1, or a whole number")
        if self.val_data is not None and not self.val_size:
            raise RecipeError("val_data gives val images, but val_size 0 asks for none; leave one out")
        if self.mix and self.data == "mnist":
            raise RecipeError(f"mix is {self.mix:g}, but data is mnist; give your own digits with --data")
        if self.mix and self.val_data is not None:
            raise RecipeError("val_data and mix exclude each other; leave one out")
        if self.first_layer not in ("random", "whitening"):
            raise RecipeError(f"first_layer is {self.first_layer!r}; expected random or whitening")
        if self.label_smoothing and self.criterion != "cross-entropy":
            raise RecipeError(f"label_smoothing goes with cross-entropy only, not {self.criterion}; leave it at 0")
        if self.negatives and self.criterion != "cross-entropy":
            raise RecipeError(f"negatives go with cross-entropy only, not {self.criterion}; leave them at 0")
        if self.windows and not self.negatives:
            raise RecipeError(f"windows is {self.windows:g}, and some of them show no digit; give negatives too (0.5)")
        if self.schedule in ("exponential", "step", "plateau") and not 0 < self.lr_decay <= 1:
            raise RecipeError(f"lr_decay is {self.lr_decay:g}; the {self.schedule} schedule needs 0 < lr_decay <= 1")

    def replace(self, **changes: Any) -> Self:
        """A recipe with these fields changed.

        A new optimizer without an lr gets that optimizer's default lr; a new criterion without smoothing gets none, and
        no negatives; without negatives there are no windows. With `start_from`, epochs and lr become lower, and own
        data for the shipped reader is mixed with MNIST, so that it forgets none.
        """
        changes = renamed(changes)
        self._refuse_unknown(changes)
        if changes.get("criterion", self.criterion) != self.criterion:
            changes.setdefault("label_smoothing", 0.0)
            changes.setdefault("negatives", 0.0)
        if changes.get("negatives") == 0:
            changes.setdefault("windows", 0.0)
        if changes.get("start_from") is not None and self.start_from is None:
            changes.setdefault("epochs", min(self.epochs, STARTED_EPOCHS))
            if "optimizer" not in changes and self.lr:
                changes.setdefault("lr", self.lr * STARTED_LR)
            if changes["start_from"] == SHIPPED and changes.get("data", self.data) != "mnist":
                changes.setdefault("mix", 0.75)
        if changes.get("optimizer", self.optimizer) != self.optimizer and changes.get("lr") is None:
            changes["lr"] = None
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Field by field, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The recipe of these fields; what is left out has its default. RecipeError for an unknown field."""
        values = renamed(values)
        cls._refuse_unknown(values)
        return cls(**values)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a .json or .toml file of fields; a field `base` names the recipe the others change."""
        path = Path(path)
        try:
            text = read_regular(path, MOST_BYTES).decode()
            values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        except FileNotFoundError:
            raise RecipeError(f"{path}: no such recipe file") from None
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            text = " ".join((reason or str(error)).split())
            raise RecipeError(f"{path}: cannot be read as a recipe ({text})") from None
        if not isinstance(values, dict):
            raise RecipeError(f"{path}: expected an object of fields, found a {type(values).__name__}")
        values = {key.replace("-", "_"): value for key, value in values.items()}
        base = values.pop("base", None)
        if base is not None and not (isinstance(base, str) and base in RECIPES):
            raise RecipeError(f"{path}: base is {_short(base)}; expected one of {', '.join(RECIPES)}")
        values.setdefault("name", path.stem)
        try:
            start = named(base).to_dict() if base is not None else {}
            return cls.from_dict({**start, **renamed(values)})
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}") from None

    @classmethod
    def _refuse_unknown(cls, values: Mapping[str, Any]) -> None:
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                raise RecipeError(f"a recipe has no field {key!r}; {hint}")


def _short(value: Any) -> str:
    """`value` as it may stand in one line."""
    try:
        text = ascii(value) if not isinstance(value, int) or abs(value) < 10**30 else "a number of more than 30 digits"
    except ValueError:  # TOML's hexadecimal numbers have no bound, and Python writes none of more than 4,300 digits
        text = "a value of more than 4,300 digits"
    return text if len(text) <= 100 else f"{text[:97]}..."


def _checked(f: dataclasses.Field[Any], value: Any) -> Any:
    """`value` as the field's type, or RecipeError."""
    kind = str(f.type)
    if value is None:
        if "None" in kind:
            return None
        raise RecipeError(f"{f.name} is missing; expected {kind}")
    if "str" in kind:
        if not isinstance(value, str) or not value:
            raise RecipeError(f"{f.name} is {_short(value)}; expected a word: {f.metadata['note']}")
        if not value.isprintable() or len(value) > _LONGEST:
            raise RecipeError(f"{f.name} is {_short(value)}; expected at most {_LONGEST} printable characters")
        return value
    if kind == "bool":
        if not isinstance(value, bool):
            raise RecipeError(f"{f.name} is {_short(value)}; expected true or false: {f.metadata['note']}")
        return value
    whole = "int" in kind
    try:
        number = float(value) if not isinstance(value, bool | str) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    low, high = f.metadata["low"], f.metadata["high"]
    below = number <= low if f.metadata["open_low"] else number < low
    if not math.isfinite(number) or below or number > high or (whole and number != int(number)):
        raise RecipeError(f"{f.name} is {_short(value)}; expected {_range(whole, f.metadata)} ({f.metadata['note']})")
    counts = f.name in ("train_size", "val_size") and number >= 1 and number == int(number)
    return int(number) if whole or counts else number


def _range(whole: bool, metadata: Mapping[str, Any]) -> str:
    low, high = metadata["low"], metadata["high"]
    text = "a whole number" if whole else "a number"
    if math.isfinite(low):
        text += f" {'above' if metadata['open_low'] else 'from'} {low:g}"
    if math.isfinite(high):
        text += f" to {high:g}" if high < 2**31 else f" to {high}"
    return text


_ADAM = Recipe(
    optimizer="adam",
    lr=0.003,
    momentum=0.8,
    beta2=0.95,
    average=6,
    augment="affine",
    label_smoothing=0.05,
)

STANDARD = _ADAM.replace(name="standard", lr=0.004, batch_size=256, uncertain=0.25, epochs=8)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        STANDARD,
        Recipe(
            name="sprint",
            model="coarse",
            first_layer="whitening",
            optimizer="muon",
            lr=0.15,
            momentum=0.85,
            schedule="linear",
            augment="shift",
            label_smoothing=0.05,
            train_size=0.5,
            late_batch_size=256,
            epochs=1,
        ),
        _ADAM.replace(
            name="reader",
            model="deeper",
            schedule="cosine",
            augment="handwriting",
            negatives=0.5,
            windows=0.5,
            epochs=24,
        ),
        _ADAM.replace(name="best", model="fine", dropout=0.3, augment="elastic", epochs=16),
        _ADAM.replace(
            name="tiny",
            model="tiny",
            lr=0.01,
            momentum=0.9,
            beta2=0.99,
            schedule="one-cycle",
            average=0.0,
            label_smoothing=0.0,
            epochs=30,
        ),
        Recipe(name="textbook", schedule="exponential", lr_decay=0.8, epochs=5),
    )
}


@dataclass(frozen=True)
class About:
    """What a recipe is for, and what was measured of it: docs/figures.md says how, on which machine."""

    purpose: str
    test_accuracy: float | None = None  # 0..1, the mean over `seeds`; None where it was not measured
    seeds: int = 0
    epochs_of_r: float | None = None  # its time, in epochs of the yardstick R
    val_accuracy: float | None = None  # 0..1, of the one training that is shipped: told by its record


ABOUT = {
    "standard": About(
        "the default: Adam at a constant lr on the least certain quarter of each batch, an average of the weights; "
        "can be continued",
        0.9951,
        5,
        1.3,
    ),
    "sprint": About("half an epoch of a coarser network, lr falling to 0: about 99% in seconds", 0.9903, 10, 0.14),
    "reader": About("the shipped reader: varied handwriting, and drawn shapes that are no digits, to refuse such"),
    "best": About("full resolution, elastic bends and dropout, sixteen epochs: the most accurate", 0.9972, 3, 17.5),
    "tiny": About("a network of 9,218 weights, 10 kB in 8 bits, for small machines", 0.9955, 5, 16),
    "textbook": About("the plain one: Nesterov momentum, batches of 128, lr falling exponentially"),
}


def named(name: str) -> Recipe:
    """The recipe of that name, or that a .json or .toml file holds. Raises RecipeError."""
    if name in RECIPES:
        return RECIPES[name]
    if Path(name).suffix in (".json", ".toml"):
        return Recipe.read(name)
    near = difflib.get_close_matches(name, RECIPES, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(RECIPES)}, or a .json or .toml file"
    raise RecipeError(f"no recipe {name!r}; {hint}")
