"""The libraries that downstroke is timed against: each that is installed trains the same model, and learns."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from downstroke.bench import peers
from downstroke.bench.peers import PEERS, Task, measure, run_in_turn
from downstroke.errors import to_install
from downstroke.recipe import Recipe

SMALL = {"optimizer": "adam", "lr": 0.002, "batch_size": 32, "val_size": 50}


@pytest.mark.filterwarnings("ignore")  # of the libraries about themselves
@pytest.mark.parametrize(
    ("name", "model"), [(name, model) for name, (_, _, able) in PEERS.items() for model in able if name != "downstroke"]
)
def test_a_peer_trains_the_same_model_and_learns(tiny: Path, tmp_path: Path, name: str, model: str) -> None:
    package = PEERS[name][0]
    if package and find_spec(package) is None:
        pytest.skip(f'{package} is not installed: pip install ".[peers]" in the clone')
    task = Task.of(Recipe(model=model, data=str(tiny), epochs=4, **SMALL), tmp_path)
    figures = run_in_turn(task, ["downstroke", name], 3, lambda said: None)
    assert figures["downstroke"]["ratio"] == 1
    for found in figures.values():
        assert len(found["seconds"]) == 3
        assert min(found["seconds"]) > 0
        assert found["val_accuracy"] > 0.6  # of 50 images, after 4 passes over 600


def test_a_peer_that_is_not_installed_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = ("no_such_package", PEERS["plain PyTorch"][1], ("mlp",))
    monkeypatch.setattr(peers, "PEERS", {"downstroke": PEERS["downstroke"], "Nobody": absent})
    monkeypatch.setattr(peers, "import_seconds", lambda name: 0.0)
    said: list[str] = []
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    figures = measure(names=["mlp"], steps=2, rounds=1, out=tmp_path / "peers.json", say=said.append)
    assert f"Nobody is not installed, and left out; to have it: {to_install('peers')}" in said
    assert figures["missing"] == ["Nobody"]
    assert list(figures["mlp"]) == ["downstroke"]
    assert before is None or os.sched_getaffinity(0) == before
