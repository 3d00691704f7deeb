"""Make the corpus of histories of other programs that `downstroke bench advice` measures on.

    pip install scikit-learn
    python tools/make_other_histories.py make FOLDER      # a JSON a run; goes on where it was stopped
    python tools/make_other_histories.py pack FOLDER      # into the file that travels inside the package

Trainings as people write them: a plain PyTorch loop, and scikit-learn's MLPClassifier, on scikit-learn's bundled data,
on simulated tables and on characters. The lr is drawn widely around what is usual, with every kind of schedule, and
half of the runs log it. The runs from MORE on widen what was thin: scikit-learn's MLPRegressor, SGD and boosted trees,
on tables that the others do not have, with few rows to learn from, long overfitting, a lr too large, or nothing to
learn; the file of the package does not hold them yet.
Run number i is a function of i alone. A run that diverges ends with a row of nan.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import pydoc_data.topics
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from sklearn import datasets, ensemble, linear_model, neural_network
from torch import nn
from torch.nn import functional

from downstroke.bench.histories import OTHERS

MORE = 360
RUNS = 480
SETS = ("digits", "cancer", "wine", "iris", "diabetes", "friedman", "moons", "blobs", "characters", "autoencoder")
MORE_SETS = ("hastie", "circles", "swiss-roll", "sparse", "quantiles", "chance")
SCHEDULES = ("constant",) * 6 + (
    "cosine",
    "cosine-floor",
    "linear",
    "linear-floor",
    "step",
    "exponential",
    "plateau",
    "one-cycle",
)


def data_of(name: str, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int | None]:  # noqa: PLR0911
    """Inputs [N, F], targets [N] or [N, T], and the number of classes, None for a regression."""
    seed = int(chance.integers(2**31))
    if name == "digits":
        x, y = datasets.load_digits(return_X_y=True)
        return x / 16, y, 10
    if name == "cancer":
        x, y = datasets.load_breast_cancer(return_X_y=True)
        return standard(x), y, 2
    if name == "wine":
        x, y = datasets.load_wine(return_X_y=True)
        return standard(x), y, 3
    if name == "iris":
        x, y = datasets.load_iris(return_X_y=True)
        return standard(x), y, 3
    if name == "diabetes":
        x, y = datasets.load_diabetes(return_X_y=True)
        return standard(x), standard(y), None
    if name == "friedman":
        make = chance.choice([datasets.make_friedman1, datasets.make_friedman2])
        x, y = make(int(chance.integers(300, 3000)), noise=float(chance.choice([0.1, 1.0])), random_state=seed)
        return standard(x), standard(y), None
    if name == "moons":
        x, y = datasets.make_moons(
            int(chance.integers(200, 2000)), noise=float(chance.uniform(0.1, 0.5)), random_state=seed
        )
        return x, y, 2
    if name == "blobs":
        x, y = datasets.make_classification(
            int(chance.integers(300, 4000)), 30, n_informative=10, n_classes=4, random_state=seed,
            flip_y=float(chance.choice([0.0, 0.1, 0.3])),
        )  # fmt: skip
        return standard(x), y, 4
    if name == "characters":
        text = "".join(pydoc_data.topics.topics[key] for key in sorted(pydoc_data.topics.topics)).lower()
        letters = "abcdefghijklmnopqrstuvwxyz .,"
        codes = np.array([letters.find(letter) for letter in text])
        codes = codes[codes >= 0]
        count = int(chance.integers(1500, 12_000))
        at = np.sort(chance.choice(len(codes) - 7, count, replace=False))
        window = codes[at[:, None] + np.arange(7)]
        return np.eye(len(letters), dtype=np.float32)[window[:, :6]].reshape(count, -1), window[:, 6], len(letters)
    x, _ = datasets.load_digits(return_X_y=True)
    return x / 16, x / 16, None


def standard(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) / (x.std(0) + 1e-9)


def lr_of(schedule: str, chance: np.random.Generator, epochs: int) -> Callable[[float], float]:
    """The share of the base lr at a time in epochs."""
    floor, steps, factor = (
        float(chance.choice([0.01, 0.1])),
        sorted(chance.integers(5, epochs, 2)),
        chance.choice([0.1, 0.3]),
    )
    if schedule.startswith("cosine"):
        low = floor if schedule.endswith("floor") else 0.0
        warm = int(chance.choice([0, 3]))
        return lambda t: (
            min(1, (t + 0.5) / max(warm, 0.5)) * (low + (1 - low) * (1 + math.cos(math.pi * t / epochs)) / 2)
        )
    if schedule.startswith("linear"):
        low = floor if schedule.endswith("floor") else 0.0
        return lambda t: low + (1 - low) * (1 - t / epochs)
    if schedule == "step":
        return lambda t: float(factor ** sum(t >= step for step in steps))
    if schedule == "exponential":
        rate = float(chance.choice([0.9, 0.95, 0.98]))
        return lambda t: rate**t
    if schedule == "one-cycle":
        return lambda t: (
            t / (0.3 * epochs) if t < 0.3 * epochs else (1 + math.cos(math.pi * (t / epochs - 0.3) / 0.7)) / 2
        )
    return lambda t: 1.0


def network_of(inputs: int, outputs: int, chance: np.random.Generator) -> nn.Module:
    width, depth, dropout = (
        int(chance.choice([16, 64, 256])),
        int(chance.choice([0, 1, 1, 2, 3])),
        float(chance.choice([0, 0, 0.2, 0.5])),
    )
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        if chance.random() < 0.2:
            layers.append(nn.BatchNorm1d(width))
        if dropout:
            layers.append(nn.Dropout(dropout))
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def optimizer_of(network: nn.Module, chance: np.random.Generator) -> tuple[str, torch.optim.Optimizer]:
    name = str(chance.choice(["sgd", "momentum", "adam", "adam", "adamw", "rmsprop"]))
    usual = {"sgd": 0.05, "momentum": 0.01, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}[name]
    lr = usual * math.exp(chance.normal(0.3, 1.2))
    decay = float(chance.choice([0, 0, 1e-4, 1e-2]))
    made: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "sgd": torch.optim.SGD, "momentum": lambda p, **kw: torch.optim.SGD(p, momentum=0.9, nesterov=True, **kw),
        "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop,
    }  # fmt: skip
    return name, made[name](network.parameters(), lr=lr, weight_decay=decay)


def history_of(index: int) -> dict[str, Any]:
    """Run `index` of the corpus, from 0: its columns, and how it was made."""
    if index >= MORE:
        return more_of(index)
    chance = np.random.Generator(np.random.PCG64([20261126, index]))
    torch.manual_seed(index)
    name = SETS[index % len(SETS)]
    x, y, classes = data_of(name, chance)
    order = chance.permutation(len(x))
    cut = int(len(x) * float(chance.choice([0.1, 0.2, 0.3])))
    if chance.random() < 0.4:  # few to learn from
        order = order[: max(cut + 40, int(len(order) * chance.uniform(0.2, 0.6)))]
    val, train = order[:cut], order[cut:]
    if classes and chance.random() < 0.25:
        y = y.copy()
        wrong = train[chance.random(len(train)) < chance.choice([0.1, 0.3])]
        y[wrong] = chance.integers(0, classes, len(wrong))
    epochs = int(chance.choice([20, 30, 50, 60, 60, 100]))
    if name not in ("autoencoder", "friedman", "diabetes") and index % 7 == 0:
        rows, made = by_sklearn(x, y, train, val, chance, epochs)
    else:
        rows, made = by_torch(x, y, classes, train, val, chance, epochs)
    return {"set": name, "index": index, **made, "rows": [[round(v, 7) for v in row] for row in rows]}


def by_sklearn(x, y, train, val, chance, epochs):  # type: ignore[no-untyped-def]
    """scikit-learn's MLPClassifier, an epoch at a time; it logs its running training loss and no lr."""
    lr = 1e-3 * math.exp(chance.normal(0.5, 1.2))
    model = neural_network.MLPClassifier(
        (int(chance.choice([16, 64, 200])),), solver=str(chance.choice(["adam", "sgd"])), learning_rate_init=lr,
        alpha=float(chance.choice([1e-4, 1e-2])), batch_size=int(chance.choice([16, 64])), random_state=0,
    )  # fmt: skip
    rows = []
    for epoch in range(1, epochs + 1):
        model.partial_fit(x[train], y[train], classes=np.unique(y))
        told = np.clip(model.predict_proba(x[val]), 1e-7, 1)
        loss = -np.log(told[np.arange(len(val)), np.searchsorted(model.classes_, y[val])]).mean()
        rows.append([epoch, float(model.loss_), float(loss), lr])
    return rows, {"program": "sklearn", "logs_lr": False, "schedule": "constant"}


def more_of(index: int) -> dict[str, Any]:
    """Run `index` of those from MORE on."""
    chance = np.random.Generator(np.random.PCG64([20261128, index]))
    name = MORE_SETS[index % len(MORE_SETS)]
    x, y, classes = more_data(name, chance)
    order = chance.permutation(len(x))
    val, train = np.split(order, [int(len(x) * chance.choice([0.2, 0.4]))])
    if classes and chance.random() < 0.3:
        wrong = train[chance.random(len(train)) < chance.choice([0.1, 0.3])]
        y[wrong] = chance.integers(0, classes, len(wrong))
    epochs = int(chance.choice([20, 40, 60, 100]))
    makers = {"mlp": by_mlp, "mlp too": by_mlp, "sgd": by_sgd, "trees": by_trees}
    rows, made = makers[str(chance.choice(list(makers)))](x, y, classes, train, val, chance, epochs)
    return {"set": name, "index": index, **made, "rows": [[round(v, 7) for v in row] for row in rows]}


def more_data(name: str, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int | None]:
    """Inputs [N, F], targets [N], and the number of classes, None for a regression; N is 150 to 2,500."""
    seed, count = int(chance.integers(2**31)), int(150 * math.exp(chance.uniform(0, math.log(16))))
    if name == "hastie":
        x, y = datasets.make_hastie_10_2(count, random_state=seed)
        return x, (y > 0).astype(int), 2
    if name == "circles":
        x, y = datasets.make_circles(count, noise=float(chance.uniform(0.1, 0.4)), factor=0.5, random_state=seed)
        return x, y, 2
    if name == "swiss-roll":
        x, y = datasets.make_swiss_roll(count, noise=float(chance.choice([0.1, 1.0])), random_state=seed)
        return standard(x), standard(y), None
    if name == "sparse":
        x, y = datasets.make_sparse_uncorrelated(count, n_features=30, random_state=seed)
        return x, standard(y), None
    if name == "quantiles":
        x, y = datasets.make_gaussian_quantiles(n_samples=count, n_features=8, n_classes=5, random_state=seed)
        return x, y, 5
    return chance.standard_normal((count, 20)), chance.integers(0, 3, count), 3


def loss_of(model: Any, x: np.ndarray, y: np.ndarray, classes: int | None) -> float:
    """Mean cross-entropy, or mean squared error."""
    with np.errstate(all="ignore"):
        if classes is None:
            return float(np.mean((model.predict(x) - y) ** 2))
        told = np.clip(model.predict_proba(x), 1e-7, 1)
        return float(-np.log(told[np.arange(len(y)), np.searchsorted(model.classes_, y)]).mean())


def by_mlp(x, y, classes, train, val, chance, epochs):  # type: ignore[no-untyped-def]
    """MLPClassifier or MLPRegressor, an epoch at a time; a third with a lr that is far too large."""
    lr = 1e-3 * math.exp(chance.normal(0.7, 1.0) + (3 if chance.random() < 0.33 else 0))
    kind = neural_network.MLPRegressor if classes is None else neural_network.MLPClassifier
    width, few = int(chance.choice([32, 128, 256])), min(16, len(train))
    model = kind(
        hidden_layer_sizes=(width,) * int(chance.integers(1, 3)), solver=str(chance.choice(["adam", "adam", "sgd"])),
        learning_rate_init=lr, alpha=float(chance.choice([1e-6, 1e-4, 1e-1])),
        batch_size=int(chance.choice([few, 32, 64])), random_state=0,
    )  # fmt: skip
    return by_epochs(model, x, y, classes, train, val, epochs, "sklearn mlp", lr)


def by_sgd(x, y, classes, train, val, chance, epochs):  # type: ignore[no-untyped-def]
    """SGDClassifier or SGDRegressor on a few hundred random features, which overfit."""
    x = np.maximum(x @ chance.standard_normal((x.shape[1], int(chance.choice([50, 300])))), 0) / math.sqrt(x.shape[1])
    rate = str(chance.choice(["constant", "constant", "invscaling", "optimal"]))
    lr = 10 ** chance.uniform(-4, -1.5)
    kind, loss = (
        (linear_model.SGDRegressor, "squared_error") if classes is None else (linear_model.SGDClassifier, "log_loss")
    )
    model = kind(loss=loss, learning_rate=rate, eta0=lr, alpha=float(chance.choice([1e-6, 1e-4, 1e-2])), random_state=0)
    return by_epochs(model, x, y, classes, train, val, epochs, "sklearn sgd", lr)


def by_epochs(model, x, y, classes, train, val, epochs, program, lr):  # type: ignore[no-untyped-def]
    rows = []
    for epoch in range(1, epochs + 1):
        try:
            model.partial_fit(x[train], y[train], **({} if classes is None else {"classes": np.unique(y)}))
            rows.append([epoch, *(loss_of(model, x[part], y[part], classes) for part in (train, val)), lr])
        except ValueError as error:
            if "overflow" not in str(error) and "finite" not in str(error):
                raise
            rows.append([epoch, math.nan, math.nan, lr])
        if not math.isfinite(rows[-1][2]) or rows[-1][2] > 1e12:
            rows[-1][1:3] = [math.nan, math.nan]
            break
    return rows, {"program": program, "logs_lr": False, "schedule": "constant"}


def by_trees(x, y, classes, train, val, chance, epochs):  # type: ignore[no-untyped-def]
    """Gradient boosting, evaluated after every tree."""
    kind = ensemble.GradientBoostingRegressor if classes is None else ensemble.GradientBoostingClassifier
    lr = float(chance.choice([0.05, 0.1, 0.3, 1.0]))
    model = kind(
        n_estimators=1, learning_rate=lr, max_depth=int(chance.choice([2, 4, 8])), warm_start=True,
        subsample=float(chance.choice([0.5, 1.0])), random_state=0,
    )  # fmt: skip
    rows = []
    for trees in range(1, epochs + 1):
        model.set_params(n_estimators=trees).fit(x[train], y[train])
        rows.append([trees, *(loss_of(model, x[part], y[part], classes) for part in (train, val)), lr])
    return rows, {"program": "sklearn trees", "logs_lr": False, "schedule": "constant"}


def by_torch(x, y, classes, train, val, chance, epochs):  # type: ignore[no-untyped-def]
    """A plain loop; the training loss is the epoch's running mean, as most people log it."""
    inputs = torch.tensor(x, dtype=torch.float32)
    targets = torch.tensor(y, dtype=torch.long if classes else torch.float32)
    if not classes and targets.ndim == 1:
        targets = targets[:, None]
    network = network_of(inputs.shape[1], classes or targets.shape[1], chance)
    kind, optimizer = optimizer_of(network, chance)
    base = optimizer.param_groups[0]["lr"]
    schedule = str(chance.choice(SCHEDULES))
    share = lr_of(schedule, chance, epochs)
    criterion = functional.cross_entropy if classes else functional.mse_loss
    if classes and chance.random() < 0.15:
        criterion = lambda logits, wanted: functional.cross_entropy(logits, wanted, label_smoothing=0.1)  # noqa: E731
    batch = int(chance.choice([8, 16, 32, 64, 128]))
    if len(train) > 2000:
        batch = max(batch, 32)
    evaluated = chance.random() < 0.3  # the training loss in evaluation mode, as a careful person logs it
    reduced, waited, best = 1.0, 0, math.inf
    rows: list[list[float]] = []
    for epoch in range(epochs):
        network.train()
        order = torch.randperm(len(train))
        running = 0.0
        batches = list(order.split(batch))
        if len(batches) > 1 and len(batches[-1]) < 2:
            batches.pop()
        for number, chosen in enumerate(batches):
            optimizer.param_groups[0]["lr"] = base * reduced * share(epoch + number / len(batches))
            at = train[chosen.numpy()]
            loss = criterion(network(inputs[at]), targets[at])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            running += loss.item() / len(batches)
        network.eval()
        with torch.no_grad():
            val_loss = criterion(network(inputs[val]), targets[val]).item()
            if evaluated:
                running = criterion(network(inputs[train]), targets[train]).item()
        rows.append([epoch + 1, running, val_loss, optimizer.param_groups[0]["lr"]])
        if not math.isfinite(val_loss):
            break
        waited = 0 if val_loss < best else waited + 1
        best = min(best, val_loss)
        if schedule == "plateau" and waited >= 5:
            reduced, waited = reduced * 0.3, 0
    return rows, {"program": "torch", "logs_lr": bool(chance.random() < 0.5), "schedule": schedule, "optimizer": kind}


def make(folder: Path) -> None:
    """The runs that `folder` lacks."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    for index in range(RUNS):
        path = folder / f"{index:03}.json"
        if not path.exists():
            path.write_text(json.dumps(history_of(index)))
            print(index, end=" ", flush=True)


def pack(folder: Path) -> None:
    """All runs into the file of the package."""
    lines = [json.dumps(json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
    OTHERS.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


if __name__ == "__main__":
    {"make": make, "pack": pack}[sys.argv[1]](Path(sys.argv[2]))
