"""The bench of training until done: a cosine over as many epochs beside it, and nothing is trained twice."""

from pathlib import Path
from typing import Any

import pytest

from downstroke.bench import until_done


def test_both_are_trained_as_long_and_a_second_call_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    fields: dict[str, Any] = {"seeds": 1, "max_epochs": 4, "train_size": 128.0, "runs_dir": tmp_path / "runs"}
    figures = until_done.measure(**fields, out=tmp_path / "out.json", say=said.append)
    (row,) = figures["seeds"]
    assert row["epochs"] == 4
    assert row["gap"] == pytest.approx(row["until_done"] / row["cosine"] - 1)
    assert until_done.table(figures).splitlines()[-1].split()[:2] == ["mean", "4"]
    monkeypatch.setattr(until_done, "train", lambda **_: pytest.fail("a finished run was trained again"))
    again = until_done.measure(**fields, out=tmp_path / "out.json", say=said.append)
    assert again["seeds"] == figures["seeds"]
