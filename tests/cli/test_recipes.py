"""`downstroke recipes`, and the defaults in the help of `train`."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from downstroke.cli import main
from downstroke.reading.shipped import shipped
from downstroke.recipe import ABOUT, RECIPES, STANDARD

FIGURES = (Path(__file__).parents[2] / "docs" / "figures.md").read_text(encoding="utf-8")


def test_each_recipe_says_what_it_is_for_and_json_has_its_fields() -> None:
    said = CliRunner().invoke(main, ["recipes"]).stdout
    assert all(f"{name}  {ABOUT[name].purpose}" in said for name in RECIPES)
    rows = json.loads(CliRunner().invoke(main, ["recipes", "--json"]).stdout)
    assert {row["name"]: row["fields"] for row in rows} == {name: one.to_dict() for name, one in RECIPES.items()}


def test_the_figures_are_those_of_the_docs() -> None:
    for name, about in ABOUT.items():
        if about.test_accuracy is not None:
            (line,) = [line for line in FIGURES.splitlines() if line.startswith(f"| `{name}`, ")]
            assert f"{about.seeds} seeds" in line
            shown = line.split("|")[2].partition(" (")[0].strip()  # without the range
            assert shown == f"{about.test_accuracy:.2%}, {about.epochs_of_r:g} R"


def test_the_shipped_reader_has_one_val_accuracy() -> None:
    (row,) = json.loads(CliRunner().invoke(main, ["recipes", "reader", "--json"]).stdout)
    assert row["val_accuracy"] == shipped().record["val"]["accuracy"]
    assert f"val accuracy {row['val_accuracy']:.2%}" in CliRunner().invoke(main, ["recipes", "reader"]).stdout
    card = (Path(__file__).parents[2] / "docs" / "reader-card.md").read_text(encoding="utf-8")
    assert f"| MNIST val | 5,000 | {row['val_accuracy']:.2%} (" in card


def test_the_help_of_train_shows_what_the_default_recipe_has() -> None:
    said = " ".join(CliRunner().invoke(main, ["train", "--help"]).stdout.split())
    assert f"[standard: {STANDARD.lr}]" in said
    assert f"[standard: {STANDARD.optimizer}]" in said
