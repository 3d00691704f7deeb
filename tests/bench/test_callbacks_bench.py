"""The bench of the callbacks: each framework that is installed is stopped by advice, and by its own early stopping."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from downstroke.bench import callbacks
from downstroke.bench.callbacks import FRAMEWORKS, MOST, Task, table


@pytest.mark.filterwarnings("ignore")  # of the frameworks about themselves
@pytest.mark.parametrize("name", list(FRAMEWORKS))
def test_a_framework_is_stopped_by_advice_and_by_patience(name: str, tmp_path: Path) -> None:
    packages, train = FRAMEWORKS[name]
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    chance = np.random.default_rng(0)
    x, y = chance.standard_normal((80, 8)).astype(np.float32), chance.integers(0, 2, 80)
    task = Task(x[:40], y[:40], x[40:], y[40:], outputs=2, classes=True, lr=0.01)  # nothing to learn: it overfits
    advised, patient = train(task, None, tmp_path / "a"), train(task, 3, tmp_path / "b")
    assert 3 <= len(advised) < MOST
    assert 3 < len(patient) < MOST
    assert np.allclose(advised[:4], patient[:4], rtol=1e-4), "the same training, from the same seed"


def test_a_framework_that_is_not_installed_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "FRAMEWORKS", {"Nobody": (("no_such_package",), FRAMEWORKS["Keras"][1])})
    monkeypatch.setattr(callbacks, "find_spec", lambda name: None if name == "no_such_package" else object())
    said: list[str] = []
    figures = callbacks.measure(names=(), out=tmp_path / "out.json", say=said.append)
    assert said == ["Nobody is not installed, and left out; it needs no_such_package"]
    assert figures["missing"] == ["Nobody"]


def test_a_line_a_training_tells_epochs_and_val_loss() -> None:
    found = {name: {"epochs": 12, "val_loss": 0.25} for name in ("advice", "patience 3", "patience 5", "patience 10")}
    lines = table({"trainings": {"Keras": {"digits": found}}}).splitlines()
    assert lines[1].split() == ["Keras", "digits", *["12:", "0.2500"] * 4]
