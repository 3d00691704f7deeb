"""A run that is damaged is named in a line, and hides no other run; a stranger's run neither hangs nor runs code."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import downstroke
from downstroke.cli import main
from downstroke.recipe import Recipe

FIELDS: dict[str, Any] = {"model": "linear", "batch_size": 64, "val_size": 50, "train_size": 64, "epochs": 2}


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, `whole` and `hurt`; each test gets a copy."""
    home = tmp_path_factory.mktemp("made")
    for name in ("whole", "hurt"):
        downstroke.train(Recipe(data=str(tiny), **FIELDS), runs_dir=home, name=name, progress=False).test()
    return home


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "runs", symlinks=True))


def _zip_magic(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + bytes(100))


def _huge_header(path: Path) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": (10**9, 10**6)})


def _long_field(path: Path) -> None:
    path.write_text(path.read_text() + "9" * 200_000 + "\n")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _list(path: Path) -> None:
    path.write_text("[1]\n")


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


SPOILT = [
    ("val_losses.npy", _zip_magic),
    ("val_losses.npy", _huge_header),
    ("metrics.csv", _long_field),
    ("metrics.csv", _folder),
    ("metrics.csv", _fifo),
    ("steps.csv", _fifo),
    ("environment.json", _list),
    ("environment.json", _fifo),
    ("recipe.json", _list),
    ("last/state.json", _list),
    ("last/state.json", _fifo),
    ("test.json", _fifo),
]


def _said(arguments: list[str]) -> str:
    """What a command prints, where it ends in a line at the worst."""
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code in (0, 1), found.output
    assert "unexpected" not in found.output
    assert "Traceback" not in found.output
    assert all(len(line) < 600 for line in found.stderr.splitlines())
    return found.output


@pytest.mark.parametrize(("file", "spoil"), SPOILT)
def test_one_spoilt_file_hides_no_other_run(runs: Path, file: str, spoil: Any) -> None:
    spoil(runs / "hurt" / file)
    rows = json.loads(_said(["runs", "--json", "--runs-dir", str(runs)]))
    assert [row["error"] for row in rows if row["run"].endswith("whole")] == [None]
    assert len(rows) == 2
    listed = _said(["runs", "--runs-dir", str(runs)])
    assert "whole " in listed
    assert "hurt " in listed
    if file in ("metrics.csv", "recipe.json", "environment.json"):
        assert Path(file).name in str([row["error"] for row in rows if row["run"].endswith("hurt")])


def test_the_studio_lists_every_run_whatever_one_of_them_is(runs: Path) -> None:
    pytest.importorskip("fastapi")
    from downstroke.studio.jobs import Jobs
    from downstroke.studio.schemas import Runs
    from downstroke.studio.views import Views

    for file, spoil in SPOILT:
        name = f"{file.replace('/', '-')}-{spoil.__name__}"
        shutil.copytree(runs / "whole", runs / name)
        spoil(runs / name / file)
    path = runs / "hurt" / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "made": [1]}))
    listed = Runs.model_validate(Views(Jobs(runs)).runs())
    assert len(listed.runs) == len(SPOILT) + 2
    by_name = {run.name: run for run in listed.runs}
    assert by_name["whole"].error is None
    assert by_name["whole"].val_loss
    for name in ("hurt", "metrics.csv-_long_field", "metrics.csv-_fifo", "recipe.json-_list"):
        assert by_name[name].state == "failed"
        assert by_name[name].error
