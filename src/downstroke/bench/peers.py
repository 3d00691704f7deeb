"""`downstroke bench peers`: the same model and the same steps, written with other libraries, in turn in one process.

Each is written as its own documentation recommends for speed, and all get float32 images, centred and scaled, in memory
beforehand. One block is one pass over images that make exactly so many batches, in a new random order, without
validation; each library's set-up is in its first block, which is told apart.
"""

from __future__ import annotations

import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, TensorDataset

from downstroke.bench import table as tables
from downstroke.bench.timing import Say, median_ratio
from downstroke.errors import RecipeError, to_install
from downstroke.learning import models
from downstroke.learning.evaluate import read_logits
from downstroke.learning.events import StepDone
from downstroke.learning.learner import Images
from downstroke.learning.machine import processor
from downstroke.recipe import Recipe
from downstroke.runs.outputs import output_json
from downstroke.runs.parts import Parts
from downstroke.runs.place import load
from downstroke.runs.training import Training

HELD_OUT = 1000  # val images that each is read on in the end, to see that all have learned


@dataclass(frozen=True)
class Task:
    """What everybody does: this recipe, on these images."""

    recipe: Recipe
    network: models.Network  # measured on the images; each peer takes a copy of its W
    train: Images
    val: Images
    home: Path

    @classmethod
    def of(cls, recipe: Recipe, home: Path) -> Task:
        parts = Parts(load(recipe), recipe)
        train, val = Images(parts.train, "cpu"), Images(parts.val, "cpu")
        network = models.build(recipe, 10)
        network.measure(train.images)
        return cls(recipe, network, train, val, home)

    @property
    def lr(self) -> float:
        assert self.recipe.lr is not None
        return self.recipe.lr

    def net(self) -> nn.Module:
        """A new module with the same first W, its convolutions channels-last as PyTorch's tuning guide recommends."""
        net = models.build(self.recipe, 10).net
        return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def floats(self, images: Tensor) -> Tensor:
        """Float32 [N,1,28,28], centred and scaled, of uint8 [N,28,28]."""
        return torch.addcmul(self.network.shift, images.float()[:, None], self.network.scale / 255)

    def accuracy(self, read: Callable[[Tensor], Any]) -> float:
        """Of the val images, float32 [N,1,28,28], the share that `read` gives the right labels [N]."""
        return float(np.mean(np.asarray(read(self.floats(self.val.images))) == self.val.labels.numpy()))


@dataclass(frozen=True)
class Peer:
    """A library that is ready to train: `block()` trains a pass and gives its seconds, `accuracy()` is of val."""

    block: Callable[[], float]
    accuracy: Callable[[], float]
    how: str  # it was written, in words


def measure(*, names: Sequence[str], steps: int, rounds: int, out: Path, say: Say) -> dict[str, Any]:
    """Everybody installed, for each model in `names`, in turn for so many rounds; saved to `out`, and returned.

    Ratios are medians over rounds of a library's seconds over downstroke's in the same round.
    """
    missing = [name for name, (package, _, _) in PEERS.items() if package and find_spec(package) is None]
    for name in missing:
        say(f"{name} is not installed, and left out; to have it: {to_install('peers')}")
    threads = torch.get_num_threads()
    figures: dict[str, Any] = {
        "processor": processor(),
        "threads": threads,
        "steps_a_block": steps,
        "rounds": rounds,
        "versions": {name: _version(name) for name in PEERS if name not in missing},
        "import_seconds": {name: import_seconds(name) for name in PEERS if name not in missing},
        "missing": missing,
    }
    with (
        tempfile.TemporaryDirectory(prefix="downstroke-bench-") as folder,
        _same_threads(threads),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # advice about loaders with many workers, and the like
        for model in names:
            recipe = Recipe(name="peers", model=model, optimizer="adam", lr=0.001)
            recipe = recipe.replace(
                train_size=steps * recipe.batch_size, val_size=HELD_OUT, epochs=rounds + 1, batch_size=128
            )
            task = Task.of(recipe, Path(folder))
            able = [name for name in PEERS if name not in missing and model in PEERS[name][2]]
            figures[model] = run_in_turn(task, able, rounds, say)
            output_json(out, figures)
    return figures


def table(figures: dict[str, Any], names: Sequence[str]) -> str:
    """A line a library for each model in `names`."""
    columns = {"s/100 steps": "seconds_per_100_steps", "ratio": "ratio", "set-up s": "setup_seconds"}
    rows = (
        (model, name, *(found[key] for key in columns.values()), figures["import_seconds"][name])
        for model in names
        for name, found in figures[model].items()
    )
    return tables.aligned(("model", "library", *columns, "import s"), rows)


def run_in_turn(task: Task, names: Sequence[str], rounds: int, say: Say) -> dict[str, Any]:
    """For each of `names`, downstroke the first: seconds per 100 steps, ratio, set-up seconds, val accuracy."""
    model, steps = task.recipe.model, len(task.train) // task.recipe.batch_size
    with ExitStack() as open_until_done:
        peers, setup, seconds = {}, {}, {name: [] for name in names}  # type: ignore[var-annotated]
        for name in names:
            began = time.perf_counter()
            peers[name] = open_until_done.enter_context(PEERS[name][1](task))
            peers[name].block()
            say(f"{model}: {name} is ready")
            setup[name] = time.perf_counter() - began
        for turn in range(rounds):
            for name in names:
                seconds[name].append(peers[name].block())
            say(f"{model}, round {turn + 1} of {rounds}")
        figures = {}
        for name in names:
            usual = statistics.median(seconds[name])
            figures[name] = {
                "seconds_per_100_steps": usual / steps * 100,
                "ratio": median_ratio(seconds[name], seconds["downstroke"]),
                "setup_seconds": max(0.0, setup[name] - usual),
                "val_accuracy": peers[name].accuracy(),
                "how": peers[name].how,
                "seconds": seconds[name],
            }
    return figures


@contextmanager
def downstroke(task: Task) -> Iterator[Peer]:
    """Ours, from uint8 images, its records written to disk."""
    name = f"{task.recipe.model}-{time.monotonic_ns()}"
    with Training.start(task.recipe, runs_dir=task.home, name=name, precision="float32") as training:
        events = iter(training)

        def block() -> float:
            """One epoch's steps; measuring W and saving it come after the last, and before the next block begins."""
            began = time.perf_counter()
            for event in events:
                if isinstance(event, StepDone) and event.batch == event.batches:
                    seconds = time.perf_counter() - began
                    next(events)
                    return seconds
            raise AssertionError("more blocks than epochs")

        def accuracy() -> float:
            logits = read_logits(training.learner.judged, task.val.images)
            return float((logits.argmax(1) == task.val.labels).float().mean())

        yield Peer(block, accuracy, "uint8 images, centred and scaled in each batch; every step written to steps.csv")


@contextmanager
def plain_pytorch(task: Task) -> Iterator[Peer]:
    """The five lines by hand."""
    net, floats, labels = task.net(), task.floats(task.train.images), task.train.labels
    adam = torch.optim.Adam(net.parameters(), task.lr, fused=True)

    def block() -> float:
        began = time.perf_counter()
        for index in torch.split(torch.randperm(len(floats)), task.recipe.batch_size):
            loss = F.cross_entropy(net(floats[index]), labels[index])
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
        return time.perf_counter() - began

    yield Peer(block, lambda: _torch_accuracy(task, net), "a permutation an epoch, indexing; fused Adam, channels-last")


@contextmanager
def lightning(task: Task) -> Iterator[Peer]:
    """Trainer(barebones=True): no logger, progress bar, checkpoints or model summary."""
    import lightning as pl

    for name in ("lightning.pytorch", "lightning.fabric"):  # what it tells at each fit
        logging.getLogger(name).setLevel(logging.ERROR)

    class Module(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = task.net()
            self.seconds = 0.0

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.net.parameters(), task.lr, fused=True)

        def on_train_start(self) -> None:
            self.seconds = -time.perf_counter()

        def on_train_end(self) -> None:
            self.seconds += time.perf_counter()

    module, loader = Module(), _loader(task.recipe.batch_size)(_pairs(task))

    def block() -> float:
        trainer = pl.Trainer(accelerator="cpu", devices=1, max_epochs=1, barebones=True)
        trainer.fit(module, loader)
        return float(module.seconds)

    yield Peer(
        block,
        lambda: _torch_accuracy(task, module.net),
        "Trainer(barebones=True), from on_train_start to on_train_end; DataLoader that fetches whole batches of a "
        "TensorDataset; fused Adam, channels-last",
    )


@contextmanager
def skorch(task: Task) -> Iterator[Peer]:
    """NeuralNetClassifier without callbacks or validation."""
    from skorch import NeuralNetClassifier

    def iterator(dataset: Dataset[Any], batch_size: int, **_: Any) -> DataLoader[Any]:
        return _loader(batch_size)(dataset)

    net = NeuralNetClassifier(
        task.net(),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=task.lr,
        batch_size=task.recipe.batch_size,
        max_epochs=1,
        train_split=None,
        iterator_train=iterator,
        callbacks="disable",
        verbose=0,
        classes=list(range(10)),
    ).initialize()
    pairs = _pairs(task)

    def block() -> float:
        began = time.perf_counter()
        net.partial_fit(pairs)
        return time.perf_counter() - began

    yield Peer(
        block,
        lambda: _torch_accuracy(task, net.module_),
        'partial_fit, callbacks="disable", train_split=None; DataLoader that fetches whole batches of a '
        "TensorDataset; fused Adam, channels-last",
    )


@contextmanager
def keras(task: Task) -> Iterator[Peer]:
    """Keras 3, on JAX where it is there (compiled steps), else on torch."""
    os.environ.setdefault("KERAS_BACKEND", "jax" if find_spec("jax") else "torch")
    os.environ.setdefault("KERAS_HOME", str(task.home / "keras"))
    import keras as k

    model = k.Sequential([k.Input((28, 28, 1)), *_keras_layers(task.net())])
    together = STEPS_TOGETHER if k.backend.backend() == "jax" else 1
    model.compile(
        optimizer=k.optimizers.Adam(task.lr, epsilon=1e-8),
        loss=k.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=together,
    )
    images, labels = _channels_at_the_end(task.floats(task.train.images)), task.train.labels.numpy()

    def block() -> float:
        began = time.perf_counter()
        model.fit(images, labels, batch_size=task.recipe.batch_size, epochs=1, shuffle=True, verbose=0)
        return time.perf_counter() - began

    def accuracy() -> float:
        return task.accuracy(lambda x: model.predict(_channels_at_the_end(x), verbose=0).argmax(1))

    yield Peer(
        block,
        accuracy,
        f"fit on NumPy arrays, {k.backend.backend()} backend, steps_per_execution={together}, verbose=0",
    )


@contextmanager
def scikit_learn(task: Task) -> Iterator[Peer]:
    """MLPClassifier, one pass at a time."""
    from sklearn.neural_network import MLPClassifier

    hidden = [layer.out_features for layer in task.net().modules() if isinstance(layer, nn.Linear)][:-1]
    net = MLPClassifier(hidden, alpha=0, batch_size=task.recipe.batch_size, learning_rate_init=task.lr, random_state=0)
    images, labels = task.floats(task.train.images).flatten(1).numpy(), task.train.labels.numpy()

    def block() -> float:
        began = time.perf_counter()
        net.partial_fit(images, labels, classes=range(10))
        return time.perf_counter() - began

    yield Peer(
        block,
        lambda: task.accuracy(lambda x: net.predict(x.flatten(1).numpy())),
        "MLPClassifier(alpha=0).partial_fit on float32 arrays",
    )


#: By name: what to look for where it may not be installed, what makes it ready, and the models that it can be.
PEERS: dict[str, tuple[str | None, Callable[[Task], Any], tuple[str, ...]]] = {
    "downstroke": (None, downstroke, ("mlp", "cnn")),
    "plain PyTorch": (None, plain_pytorch, ("mlp", "cnn")),
    "Lightning": ("lightning", lightning, ("mlp", "cnn")),
    "skorch": ("skorch", skorch, ("mlp", "cnn")),
    "Keras": ("keras", keras, ("mlp", "cnn")),
    "scikit-learn": ("sklearn", scikit_learn, ("mlp",)),
}
STEPS_TOGETHER = 10  # of Keras on JAX: batches in one call of the compiled function


def _torch_accuracy(task: Task, net: nn.Module) -> float:
    net.eval()
    with torch.inference_mode():
        found = task.accuracy(lambda images: net(images).argmax(1))
    net.train()
    return found


def _pairs(task: Task) -> TensorDataset:
    return TensorDataset(task.floats(task.train.images), task.train.labels)


def _loader(batch_size: int) -> Callable[[Any], DataLoader[Any]]:
    """A DataLoader that asks for a batch's indices at once, as PyTorch's documentation has it for data in memory."""

    def make(dataset: Any) -> DataLoader[Any]:
        order = BatchSampler(RandomSampler(dataset), batch_size, drop_last=False)
        return DataLoader(dataset, sampler=order, batch_size=None)

    return make


def _channels_at_the_end(images: Tensor) -> Any:
    return images.permute(0, 2, 3, 1).contiguous().numpy()


def _keras_layers(net: nn.Module) -> Iterator[Any]:
    """Keras' layers for torch's, one for one. RecipeError for a layer that is not known here."""
    from keras import layers as k

    for layer in net.children():
        if isinstance(layer, nn.Conv2d) and layer.padding == (0, 0) and layer.groups == 1:
            yield k.Conv2D(layer.out_channels, layer.kernel_size, layer.stride, use_bias=layer.bias is not None)
        elif isinstance(layer, nn.BatchNorm2d):
            yield k.BatchNormalization(momentum=1 - (layer.momentum or 0.1), epsilon=layer.eps)
        elif isinstance(layer, nn.MaxPool2d):
            yield k.MaxPooling2D(layer.kernel_size, layer.stride)
        elif isinstance(layer, nn.Linear):
            yield k.Dense(layer.out_features)
        elif isinstance(layer, nn.ReLU):
            yield k.ReLU()
        elif isinstance(layer, nn.Flatten | models.Rows):
            yield k.Flatten()
        else:
            raise RecipeError(f"no layer of Keras is known here for {layer}; add it to _keras_layers")


IMPORTS = {
    "downstroke": "downstroke.runs.training",
    "plain PyTorch": "torch",
    "Lightning": "lightning",
    "skorch": "skorch",
    "Keras": "keras",
    "scikit-learn": "sklearn.neural_network",
}


def import_seconds(name: str) -> float:
    """Of a fresh process that imports what training with it needs; the second time, when the disk is warm."""
    code = f"import time; t = time.perf_counter(); import {IMPORTS[name]}; print(time.perf_counter() - t)"
    backend = {"KERAS_BACKEND": "jax" if find_spec("jax") else "torch"}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(2):
            environment = {**backend, **os.environ, "KERAS_HOME": home}
            said = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
            )
    return float(said.stdout.split()[-1])


def _version(name: str) -> str:
    package = {"plain PyTorch": "torch"}.get(name, name.lower())
    try:
        found = version(package)
        return f"{found} on jax {version('jax')}" if name == "Keras" and find_spec("jax") else found
    except PackageNotFoundError:
        return "unknown"


@contextmanager
def _same_threads(threads: int) -> Iterator[None]:
    """Hold everybody to torch's number of threads: NumPy's BLAS by its own switch, XLA by the processors it sees."""
    with ExitStack() as held:
        if find_spec("threadpoolctl"):
            from threadpoolctl import threadpool_limits

            held.enter_context(threadpool_limits(threads, user_api="blas"))
        if hasattr(os, "sched_setaffinity"):
            before = os.sched_getaffinity(0)
            held.callback(os.sched_setaffinity, 0, before)
            os.sched_setaffinity(0, set(sorted(before)[:threads]))
        yield
