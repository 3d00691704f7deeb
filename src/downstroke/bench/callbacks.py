"""`downstroke bench callbacks`: stopping by advice inside other frameworks, beside the early stopping they bring.

Three small trainings on scikit-learn's bundled data, the same in each framework: a network of one hidden layer, Adam,
at most MOST epochs. Each is trained with the callback of advice and with the framework's own early stopping at each
patience, from the same seed, and tells how many epochs it took and the lowest val loss it reached.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from downstroke import callbacks
from downstroke.bench import table as tables
from downstroke.bench.timing import Say
from downstroke.errors import DownstrokeError, counted, to_install
from downstroke.learning.machine import processor
from downstroke.runs.outputs import output_json

MOST = 200  # epochs
PATIENCES = (3, 5, 10)
HELD_OUT = 0.3  # of the rows, for val
SEED = 0


@dataclass(frozen=True)
class Task:
    """What is trained: float32 inputs [N, F], and classes [N] (int64) or values [N, 1] (float32)."""

    x: NDArray[np.float32]
    y: NDArray[Any]
    val_x: NDArray[np.float32]
    val_y: NDArray[Any]
    outputs: int
    classes: bool
    hidden: int = 64
    batch: int = 32
    lr: float = 0.003

    def net(self) -> nn.Module:
        """A new network, the same each time."""
        torch.manual_seed(SEED)
        return nn.Sequential(nn.Linear(self.x.shape[1], self.hidden), nn.ReLU(), nn.Linear(self.hidden, self.outputs))

    @property
    def criterion(self) -> type[nn.Module]:
        return nn.CrossEntropyLoss if self.classes else nn.MSELoss

    def sets(self) -> tuple[TensorDataset, TensorDataset]:
        """Train and val."""
        x, y, val_x, val_y = map(torch.from_numpy, (self.x, self.y, self.val_x, self.val_y))
        return TensorDataset(x, y), TensorDataset(val_x, val_y)


def tasks() -> dict[str, Task]:
    """The three trainings: digits of few examples, tumours, and the progress of diabetes."""
    from sklearn import datasets

    return {
        "digits": _task(*datasets.load_digits(return_X_y=True), most=600),
        "cancer": _task(*datasets.load_breast_cancer(return_X_y=True)),
        "diabetes": _task(*datasets.load_diabetes(return_X_y=True), classes=False),
    }


def _task(x: NDArray[Any], y: NDArray[Any], *, classes: bool = True, most: int | None = None) -> Task:
    order = np.random.default_rng(SEED).permutation(len(x))[:most]
    x = ((x - x.mean(0)) / (x.std(0) + 1e-9)).astype(np.float32)[order]
    wanted = y[order].astype(np.int64) if classes else ((y - y.mean()) / y.std()).astype(np.float32)[order, None]
    cut = int(HELD_OUT * len(x))
    return Task(x[cut:], wanted[cut:], x[:cut], wanted[:cut], int(y.max()) + 1 if classes else 1, classes)


# ---- the frameworks: each trains `task`, stopped by advice or by its own patience, and tells the val losses --------


def _keras(task: Task, patience: int | None, home: Path) -> list[float]:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    keras.utils.set_random_seed(SEED)
    layers = [keras.layers.Dense(task.hidden, activation="relu"), keras.layers.Dense(task.outputs)]
    model = keras.Sequential([keras.Input(task.x.shape[1:]), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if task.classes else "mse"
    model.compile(keras.optimizers.Adam(task.lr), loss)
    own = keras.callbacks.EarlyStopping(patience=patience or 0, restore_best_weights=True)
    told = model.fit(
        task.x, task.y, validation_data=(task.val_x, task.val_y), epochs=MOST, batch_size=task.batch, verbose=0,
        callbacks=[callbacks.KerasAdvice() if patience is None else own],
    )  # fmt: skip
    return list(map(float, told.history["val_loss"]))


def _lightning(task: Task, patience: int | None, home: Path) -> list[float]:
    import lightning
    from lightning.pytorch.callbacks import EarlyStopping

    net, criterion, seen = task.net(), task.criterion(), []

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: Any, _: int) -> Any:
            loss = criterion(self.net(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("val_loss", criterion(self.net(batch[0]), batch[1]))

        def on_validation_epoch_end(self) -> None:
            seen.append(float(self.trainer.callback_metrics["val_loss"]))

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=task.lr)

    lightning.seed_everything(SEED, verbose=False)
    train, val = task.sets()
    stopping = callbacks.LightningAdvice() if patience is None else EarlyStopping("val_loss", patience=patience)
    trainer = lightning.Trainer(
        max_epochs=MOST, callbacks=[stopping], logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(Module(), DataLoader(train, task.batch, shuffle=True), DataLoader(val, len(val)))
    return seen


def _skorch(task: Task, patience: int | None, home: Path) -> list[float]:
    import skorch
    from skorch.callbacks import EarlyStopping
    from skorch.helper import predefined_split

    own = EarlyStopping(patience=patience, load_best=True, sink=lambda _: None)
    net = skorch.NeuralNet(
        task.net(), criterion=task.criterion, optimizer=torch.optim.Adam, lr=task.lr, batch_size=task.batch,
        iterator_train__shuffle=True, max_epochs=MOST, verbose=0,
        train_split=predefined_split(skorch.dataset.Dataset(task.val_x, task.val_y)),
        callbacks=[callbacks.SkorchAdvice() if patience is None else own],
    )  # fmt: skip
    net.fit(task.x, task.y)
    return list(map(float, net.history[:, "valid_loss"]))


def _transformers(task: Task, patience: int | None, home: Path) -> list[float]:
    import transformers

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.criterion = task.net(), task.criterion()

        def forward(self, inputs: Any, labels: Any) -> dict[str, Any]:
            logits = self.net(inputs)
            return {"loss": self.criterion(logits, labels), "logits": logits}

    def joined(rows: list[Any]) -> dict[str, Any]:
        return {"inputs": torch.stack([row[0] for row in rows]), "labels": torch.stack([row[1] for row in rows])}

    train, val = task.sets()
    args = transformers.TrainingArguments(
        output_dir=str(home), num_train_epochs=MOST, learning_rate=task.lr, lr_scheduler_type="constant",
        per_device_train_batch_size=task.batch, per_device_eval_batch_size=len(val), eval_strategy="epoch",
        logging_strategy="epoch", save_strategy="epoch", save_total_limit=1, save_only_model=True, seed=SEED,
        load_best_model_at_end=True, metric_for_best_model="eval_loss", greater_is_better=False, report_to=[],
        disable_tqdm=True, use_cpu=True, weight_decay=0.0,
    )  # fmt: skip
    own = transformers.EarlyStoppingCallback(early_stopping_patience=patience or 1)
    trainer = transformers.Trainer(
        Model(), args, train_dataset=train, eval_dataset=val, data_collator=joined,
        callbacks=[callbacks.TransformersAdvice() if patience is None else own],
    )  # fmt: skip
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    return [float(row["eval_loss"]) for row in trainer.state.log_history if "eval_loss" in row]


#: Framework -> the packages it needs, and how it trains.
FRAMEWORKS: dict[str, tuple[tuple[str, ...], Callable[[Task, int | None, Path], list[float]]]] = {
    "Keras": (("keras",), _keras),
    "Lightning": (("lightning",), _lightning),
    "skorch": (("skorch",), _skorch),
    "transformers": (("transformers", "accelerate"), _transformers),
}


def measure(*, names: Sequence[str], out: Path, say: Say) -> dict[str, Any]:
    """Every framework in `names` (all, where it is empty) that is installed; saved to `out`, and returned."""
    if find_spec("sklearn") is None:
        raise DownstrokeError(f"scikit-learn has the data and is not installed: {to_install('sklearn')}")
    wanted = names or list(FRAMEWORKS)
    missing = [name for name in wanted if any(find_spec(package) is None for package in FRAMEWORKS[name][0])]
    for name in missing:
        say(f"{name} is not installed, and left out; it needs {', '.join(FRAMEWORKS[name][0])}")
    able = [name for name in wanted if name not in missing]
    versions = {package: version(package) for name in able for package in FRAMEWORKS[name][0]}
    figures: dict[str, Any] = {"processor": processor(), "versions": versions, "missing": missing, "trainings": {}}
    loud = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "transformers")]
    for logger in loud:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the frameworks, about small data
        for name in able:
            for training, task in tasks().items():
                found = figures["trainings"].setdefault(name, {}).setdefault(training, {})
                for patience in (None, *PATIENCES):
                    with tempfile.TemporaryDirectory(prefix="downstroke-bench-") as home:
                        losses = FRAMEWORKS[name][1](task, patience, Path(home))
                    stopper = "advice" if patience is None else f"patience {patience}"
                    found[stopper] = {"epochs": len(losses), "val_loss": min(losses)}
                    say(f"{name}, {training}, {stopper}: {counted(len(losses), 'epoch')}, val loss {min(losses):.4f}")
                output_json(out, figures)
    return figures


def table(figures: dict[str, Any]) -> str:
    """A line a training of each framework: epochs and val loss of each way to stop."""
    stoppers = ("advice", *(f"patience {patience}" for patience in PATIENCES))
    rows = [
        (name, training, *(_cell(found[stopper]) for stopper in stoppers))
        for name, trainings in figures["trainings"].items()
        for training, found in trainings.items()
    ]
    return tables.aligned(("framework", "training", *stoppers), rows)


def _cell(found: dict[str, Any]) -> str:
    return f"{found['epochs']}: {found['val_loss']:.4f}"
