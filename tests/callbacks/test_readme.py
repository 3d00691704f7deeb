"""The README's lines for each callback run as they stand, where the framework is installed."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = {
    found[1]: block
    for block in re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)
    if (found := re.match(r"from downstroke\.callbacks import (\w+)", block))
}


Noise = tuple[np.ndarray, np.ndarray]
Layers = Callable[[], Any]


@pytest.fixture
def of_my_own() -> dict[str, Any]:
    return {"val_loss": float("nan"), "train_loss": 0.5, "lr": 0.1}


@pytest.fixture
def with_keras(noise: Noise) -> dict[str, Any]:
    keras = pytest.importorskip("keras")
    x, y = noise
    model = keras.Sequential([keras.layers.Dense(32, activation="relu"), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return {"model": model, "x": x[:40], "y": y[:40], "x_val": x[40:], "y_val": y[40:]}


@pytest.fixture
def with_lightning(lightning_module: Any, loaders: Callable[[int], list[Any]]) -> dict[str, Any]:
    lightning = pytest.importorskip("lightning")
    from lightning.pytorch.callbacks import ModelCheckpoint

    train, val = loaders(20)
    held = {"ModelCheckpoint": ModelCheckpoint, "Trainer": lightning.Trainer, "module": lightning_module}
    return {**held, "train_loader": train, "val_loader": val}


@pytest.fixture
def with_skorch(noise: Noise, layers: Layers) -> dict[str, Any]:
    skorch = pytest.importorskip("skorch")
    import torch

    class Module(torch.nn.Sequential):
        def __init__(self) -> None:
            super().__init__(layers(), torch.nn.Softmax(1))

    x, y = noise
    return {"NeuralNetClassifier": skorch.NeuralNetClassifier, "Module": Module, "x": x, "y": y}


@pytest.fixture
def with_transformers(noise: Noise, layers: Layers) -> dict[str, Any]:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    import torch

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = layers()

        def forward(self, inputs: Any, labels: Any) -> dict[str, Any]:
            logits = self.net(inputs)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    rows = [{"inputs": row, "labels": int(label)} for row, label in zip(*noise, strict=True)]
    held = {"Trainer": transformers.Trainer, "TrainingArguments": transformers.TrainingArguments}
    return {**held, "model": Model(), "train": rows[:40], "val": rows[40:]}


@pytest.mark.filterwarnings("ignore")  # of the frameworks themselves
@pytest.mark.parametrize(
    ("name", "prepare", "after"),
    [
        ("AdviceStopper", "of_my_own", lambda names: names["stopper"].advice.verdict == "unstable"),
        ("KerasAdvice", "with_keras", lambda names: names["advice"].stopper.advice.stop),
        ("LightningAdvice", "with_lightning", lambda names: 3 <= names["trainer"].current_epoch < 1000),
        ("SkorchAdvice", "with_skorch", lambda names: 3 <= len(names["net"].history) < 1000),
        ("TransformersAdvice", "with_transformers", lambda names: names["trainer"].state.best_metric > 0),
    ],
)
def test_the_lines_of_the_readme_run(
    name: str, prepare: str, after: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    names = request.getfixturevalue(prepare)
    exec(BLOCKS[name], names)
    assert after(names)
    assert len(BLOCKS[name].strip().splitlines()) <= 6, "an import and a few lines"


def test_each_callback_has_its_lines() -> None:
    from downstroke import callbacks

    assert sorted(BLOCKS) == sorted(callbacks.__all__)
