"""The benches' tables: three significant digits, words to the left, numbers to the right."""

import math

from downstroke.bench.table import aligned, listed, markdown


def test_a_table_is_aligned_and_shows_three_significant_digits() -> None:
    rows = [("mlp", 0.123456, 12), ("a longer one", 1234.5, 3)]
    assert aligned(("name", "s", "n"), rows).splitlines() == [
        "name              s   n",
        "mlp           0.123  12",
        "a longer one   1230   3",
    ]
    assert markdown(("name", "s"), [("mlp", math.nan)]).splitlines() == ["| name | s |", "|---|---|", "| mlp | - |"]


def test_figures_are_a_line_each_and_nested_ones_too() -> None:
    lines = listed({"speed": 1.23456, "standard": {"seconds": [1.0, 2.5], "steps": 1234}}).splitlines()
    assert [line.split(maxsplit=1) for line in lines[:1]] == [["speed", "1.23"]]
    assert lines[1].startswith("standard seconds ")
    assert lines[1].endswith(" 1, 2.5")
    assert lines[2].endswith(" 1234")
