"""`downstroke bench speed`: our recipes against R, in one process, in turn."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from downstroke.api import train
from downstroke.bench import flops
from downstroke.bench.eight_bits import in_eight_bits
from downstroke.bench.timing import Say, completed, machine
from downstroke.data import sources
from downstroke.data.dataset import Dataset
from downstroke.learning import models, uncertain
from downstroke.learning.evaluate import read_logits
from downstroke.recipe import Recipe, named
from downstroke.runs.outputs import output_json

_TEST_FIGURES = ("accuracy", "accuracy_undisputed", "nll", "ece")  # what `test` tells and is kept


def measure(*, recipes: Sequence[str], seeds: int, out: Path, say: Say) -> dict[str, Any]:
    """Each recipe with seeds 0..n-1 on all 60,000 training images (no val), R measured anew beside every run of one.

    Saved to `out` as JSON. The ratio quoted is the median of the pairs; accuracies are of the test set, none dropped.
    """
    data = sources.load("mnist")
    peak = flops.peak_flops()
    figures: dict[str, Any] = {
        **machine(),
        "peak_gflops": peak / 1e9,
        "r_seconds": [],
        "r_accuracy": [],
    }
    yardstick(data, 0, images=2560)  # the first steps of a process are slower
    with tempfile.TemporaryDirectory(prefix="downstroke-bench-") as folder:
        for name in recipes:
            found: dict[str, list[float]] = {
                key: [] for key in ("ratio", "train_seconds", *_TEST_FIGURES, "accuracy_8_bits")
            }
            for seed in range(seeds):
                r, r_accuracy = yardstick(data, seed)
                run = completed(
                    train(name, seed=seed, val_size=0, progress=False, runs_dir=folder, name=f"{name}-{seed}")
                )
                seconds = run.summary()["train_seconds"]
                found["train_seconds"].append(seconds)
                found["ratio"].append(seconds / r)
                told = run.test()
                for key in _TEST_FIGURES:
                    found[key].append(told[key])
                small, size = in_eight_bits(run.weights().network)
                found["accuracy_8_bits"].append(_accuracy(small, data))
                figures["r_seconds"].append(r)
                figures["r_accuracy"].append(r_accuracy)
                say(
                    f"{name}, seed {seed}: {found['accuracy'][-1]:.2%} in {seconds:.2f} s; "
                    f"R {r:.2f} s ({r_accuracy:.2%}): {seconds / r:.3f} R"
                )
            figures[name] = _figures(name, found, run.summary()["steps"], peak) | {"bytes_8_bits": size}
            output_json(out, figures)
    return figures


def _figures(name: str, found: dict[str, list[float]], steps: int, peak: float) -> dict[str, Any]:
    recipe = named(name)
    images = recipe.epochs * round(60_000 * (recipe.train_size or 1))
    work = images * flops.training_flops(models.build(recipe, 10).net) * _of_whole(recipe, steps)
    seconds = statistics.median(found["train_seconds"])
    return {
        **{f"test_{key}_mean": statistics.mean(found[key]) for key in (*_TEST_FIGURES, "accuracy_8_bits")},
        "train_seconds_over_r_median": statistics.median(found["ratio"]),
        "train_seconds_median": seconds,
        "steps": steps,
        "gflop": work / 1e9,
        "share_of_peak": work / seconds / peak,
        **found,
    }


def _of_whole(recipe: Recipe, steps: int) -> float:
    """The operations of a training as a share of those with whole batches: forward is a third of a step."""
    chosen = sum(uncertain.due(recipe, step) for step in range(steps)) / steps
    return 1 - chosen + chosen * (1 / 3 + recipe.uncertain)


def _accuracy(network: models.Network, data: Dataset) -> float:
    read = read_logits(network, torch.from_numpy(data.test.images)).argmax(1)
    return float((read == torch.from_numpy(data.test.labels)).float().mean())


def yardstick(data: Dataset, seed: int, images: int = 60_000) -> tuple[float, float]:
    """R: seconds of one epoch of the best published single-epoch recipe, in plain PyTorch, and its test accuracy.

    Two convolutions of 24 and 32 channels, batch 256, Adam at 0.01 with betas (0.7, 0.9), one-cycle, float32; the
    images are normalised beforehand and that is not counted.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(1, 24, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(24, 32, 3),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(800, 256),
            nn.ReLU(),
            nn.Linear(256, 10),
        )
        x, labels = _normalised(data.train.images[:images]), torch.from_numpy(data.train.labels[:images])
        order = torch.split(torch.randperm(len(x)), 256)
        adam = torch.optim.Adam(net.parameters(), lr=0.01, betas=(0.7, 0.9))
        cycle = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=0.01, total_steps=len(order))
        began = time.perf_counter()
        for index in order:
            adam.zero_grad()
            F.cross_entropy(net(x[index]), labels[index]).backward()  # type: ignore[no-untyped-call]
            adam.step()
            cycle.step()
        seconds = time.perf_counter() - began
        net.eval()
        with torch.inference_mode():
            test = _normalised(data.test.images)
            read = torch.cat([net(part).argmax(1) for part in torch.split(test, 1000)])
        return seconds, float((read == torch.from_numpy(data.test.labels)).float().mean())


def _normalised(images: Any) -> Tensor:
    return (torch.from_numpy(images).float()[:, None] / 255 - 0.1307) / 0.3081
