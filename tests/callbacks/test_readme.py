"""The README's lines for each callback run as they stand, where the framework is installed."""

import re
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


def data() -> tuple[np.ndarray, np.ndarray]:
    """Inputs [N, 8] and labels [N] that have nothing to do with each other: there is only overfitting to be had."""
    chance = np.random.default_rng(0)
    return chance.standard_normal((80, 8)).astype(np.float32), chance.integers(0, 2, 80)


def layers() -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))


def of_my_own() -> dict[str, Any]:
    return {"val_loss": float("nan"), "train_loss": 0.5, "lr": 0.1}


def with_keras() -> dict[str, Any]:
    keras = pytest.importorskip("keras")
    x, y = data()
    model = keras.Sequential([keras.layers.Dense(32, activation="relu"), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return {"model": model, "x": x[:40], "y": y[:40], "x_val": x[40:], "y_val": y[40:]}


def with_lightning() -> dict[str, Any]:
    lightning = pytest.importorskip("lightning")
    import torch
    from lightning.pytorch.callbacks import ModelCheckpoint
    from torch.utils.data import DataLoader, TensorDataset

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = layers()

        def training_step(self, batch: Any, _: int) -> Any:
            loss = torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("val_loss", torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=0.01)

    x, y = map(torch.from_numpy, data())
    train, val = (DataLoader(TensorDataset(x[a:b], y[a:b]), batch_size=20) for a, b in ((0, 40), (40, 80)))
    held = {"ModelCheckpoint": ModelCheckpoint, "Trainer": lightning.Trainer, "module": Module()}
    return {**held, "train_loader": train, "val_loader": val}


def with_skorch() -> dict[str, Any]:
    skorch = pytest.importorskip("skorch")
    import torch

    class Module(torch.nn.Sequential):
        def __init__(self) -> None:
            super().__init__(layers(), torch.nn.Softmax(1))

    x, y = data()
    return {"NeuralNetClassifier": skorch.NeuralNetClassifier, "Module": Module, "x": x, "y": y}


def with_transformers() -> dict[str, Any]:
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

    rows = [{"inputs": row, "labels": int(label)} for row, label in zip(*data(), strict=True)]
    held = {"Trainer": transformers.Trainer, "TrainingArguments": transformers.TrainingArguments}
    return {**held, "model": Model(), "train": rows[:40], "val": rows[40:]}


@pytest.mark.filterwarnings("ignore")  # of the frameworks themselves
@pytest.mark.parametrize(
    ("name", "prepare", "after"),
    [
        ("AdviceStopper", of_my_own, lambda names: names["stopper"].advice.verdict == "unstable"),
        ("KerasAdvice", with_keras, lambda names: names["advice"].stopper.advice.stop),
        ("LightningAdvice", with_lightning, lambda names: 3 <= names["trainer"].current_epoch < 1000),
        ("SkorchAdvice", with_skorch, lambda names: 3 <= len(names["net"].history) < 1000),
        ("TransformersAdvice", with_transformers, lambda names: names["trainer"].state.best_metric > 0),
    ],
)
def test_the_lines_of_the_readme_run(
    name: str, prepare: Any, after: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    names = prepare()
    exec(BLOCKS[name], names)
    assert after(names)
    assert len(BLOCKS[name].strip().splitlines()) <= 6, "an import and a few lines"


def test_each_callback_has_its_lines() -> None:
    from downstroke import callbacks

    assert sorted(BLOCKS) == sorted(callbacks.__all__)
