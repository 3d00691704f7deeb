"""A recipe is whole, validated and survives JSON and TOML."""

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from downstroke.errors import RecipeError
from downstroke.recipe import DEFAULT_LR, RECIPES, Recipe, named


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name: str) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(named(name).to_dict()))) == named(name)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lr": 0}, "lr is 0"),
        ({"lr": -0.1}, "lr is -0.1"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"lr": "fast"}, "lr is 'fast'"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"epochs": -1}, "epochs is -1"),
        ({"epochs": True}, "epochs is True"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"momentum": 1}, "momentum is 1"),
        ({"label_noise": 1.2}, "label_noise is 1.2"),
        ({"dropout": 1}, "dropout is 1"),
        ({"average": -1}, "average is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"model": 3}, "model is 3"),
        ({"model": ""}, "model is ''"),
        ({"epochs": None}, "epochs is missing"),
        ({"transpose": 1}, "transpose is 1; expected true or false"),
        ({"val_data": "v.npz", "val_size": 0}, "val_data gives val images, but val_size 0 asks for none"),
        ({"optimizer": "nesterov", "momentum": 0}, "momentum is 0 with nesterov"),
        ({"criterion": "brier", "label_smoothing": 0.1}, "label_smoothing goes with cross-entropy only"),
        ({"schedule": "exponential", "lr_decay": 2}, "lr_decay is 2"),
        ({"learning_rate": 0.1}, "no field 'learning_rate'"),
        ({"optimiser": "adam"}, "did you mean optimizer?"),
    ],
)
def test_a_field_that_cannot_be_used_is_named_in_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        named("standard").replace(**changes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_of_before_val_data_and_transpose_is_as_it_was() -> None:
    values = named("standard").to_dict()
    del values["val_data"], values["transpose"]
    assert Recipe.from_dict(values) == named("standard")


def test_the_names_of_earlier_versions_are_still_read(tmp_path: Path) -> None:
    old = {("strays" if key == "negatives" else key): value for key, value in RECIPES["reader"].to_dict().items()}
    assert Recipe.from_dict({**old, "augment": "pen"}) == RECIPES["reader"]
    path = tmp_path / "mine.json"
    path.write_text('{"base": "reader", "strays": 0.25, "augment": "pen"}')
    assert named(str(path)) == RECIPES["reader"].replace(name="mine", strays=0.25)
    assert named(str(path)).negatives == 0.25
    with pytest.raises(RecipeError, match="strays is the earlier name of negatives"):
        Recipe().replace(strays=0.5, negatives=0.5)


def test_a_new_optimizer_brings_its_own_lr_unless_one_is_given() -> None:
    assert named("standard").replace(optimizer="adamw").lr == DEFAULT_LR["adamw"]
    assert named("standard").replace(optimizer="adamw", lr=0.02).lr == 0.02
    assert Recipe(optimizer="rmsprop").lr == DEFAULT_LR["rmsprop"]


def test_a_new_criterion_leaves_label_smoothing_behind_unless_it_is_given() -> None:
    assert named("standard").replace(criterion="brier").label_smoothing == 0
    assert named("standard").replace(batch_size=64).label_smoothing > 0
    with pytest.raises(RecipeError, match="label_smoothing goes with"):
        named("standard").replace(criterion="brier", label_smoothing=0.1)


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_a_file_changes_the_recipe_that_it_names(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_text(
        '{"base": "textbook", "batch-size": 64}' if suffix == ".json" else 'base = "textbook"\nbatch-size = 64\n'
    )
    assert named(str(path)) == named("textbook").replace(name="mine", batch_size=64)


@pytest.mark.parametrize(
    "text", ["[1, 2]", "[" * 100_000, '{"base": 3}', "{", '{"base": "nosuch"}', '{"epochs": "many"}', "\xff"]
)
def test_a_recipe_file_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(RecipeError) as caught:
        named(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_is_answered_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="did you mean textbook"):
        named("textbok")
    with pytest.raises(RecipeError, match="there are standard"):
        named("zzz")


def test_every_field_says_what_it_does() -> None:
    assert all(f.metadata["note"] for f in fields(Recipe))


@pytest.mark.parametrize("field", [{"seed": 10**400}, {"name": "\ud800"}, {"data": "a\0b"}, {"model": "x" * 10**6}])
def test_what_no_one_would_write_is_refused_in_one_short_line(field: dict[str, object]) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe(**field)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("base", ["[]", "{}", "3", '"nosuch"', '["standard"]'])
def test_a_base_that_is_no_recipes_name_is_refused_in_a_line(tmp_path: Path, base: str) -> None:
    (tmp_path / "r.json").write_text(f'{{"base": {base}}}')
    with pytest.raises(RecipeError, match=r"base is .*; expected one of standard, "):
        Recipe.read(tmp_path / "r.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="it has no FIFOs")
@pytest.mark.parametrize("name", ["r.json", "r.toml"])
def test_a_recipe_file_that_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(RecipeError, match="it is not a regular file"):
        named(str(tmp_path / name))


def test_a_number_that_python_cannot_write_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(f"model = [0x{'f' * 5000}]")
    with pytest.raises(RecipeError, match="model is a value of more than 4,300 digits; expected a word"):
        Recipe.read(tmp_path / "r.toml")
