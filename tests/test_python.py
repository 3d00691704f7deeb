"""downstroke from Python: what a run is called by, and errors of one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import downstroke


@pytest.fixture(scope="module")
def home(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    fields: dict[str, Any] = {"data": str(tiny), "model": "mlp", "epochs": 1, "progress": False}
    for name, seed in (("mine", 0), ("other", 1)):
        downstroke.train(**fields, seed=seed, runs_dir=folder, name=name)
    return folder


def test_plot_takes_runs_folders_and_names(home: Path, tmp_path: Path) -> None:
    drawn = []
    for number, runs in enumerate(
        (
            [downstroke.Run.open(name, home) for name in ("mine", "other")],
            [str(home / "mine"), home / "other"],
            ["mine", "other"],
        )
    ):
        path = downstroke.plot(runs, tmp_path / f"{number}.png", runs_dir=home)
        drawn.append(path.read_bytes())
    assert len(set(drawn)) == 1
    with Image.open(downstroke.plot("mine", tmp_path / "one.png", runs_dir=home)) as picture:
        assert picture.width > 0


@pytest.mark.parametrize(
    ("runs", "said"), [(["mine", "nobody"], "no run 'nobody'"), ("nobody", "no run 'nobody'"), ([], "no run to draw")]
)
def test_runs_that_cannot_be_drawn_are_one_line(home: Path, tmp_path: Path, runs: Any, said: str) -> None:
    with pytest.raises(downstroke.DownstrokeError, match=said):
        downstroke.plot(runs, tmp_path / "o.png", runs_dir=home)


def test_a_run_is_made_of_its_folder_also_as_text(home: Path) -> None:
    assert downstroke.Run(str(home / "mine")).folder == downstroke.Run(home / "mine").folder
    with pytest.raises(downstroke.RunError, match=r"recipe\.json is missing"):
        print(downstroke.Run(str(home / "nobody")).recipe)


def test_export_from_python_names_its_arguments(home: Path) -> None:
    for call in ({}, {"page": "p.html", "int8": True}):
        with pytest.raises(downstroke.DownstrokeError) as caught:
            downstroke.export("mine", runs_dir=home, **call)
        assert "--" not in str(caught.value)
