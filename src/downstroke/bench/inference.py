"""`downstroke bench inference`: how fast a reader reads many glyphs, against ONNX Runtime with the same W."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from downstroke.api import Run, train
from downstroke.bench.timing import Say, completed, median_ratio
from downstroke.data import sources
from downstroke.learning.machine import processor
from downstroke.learning.models import Network
from downstroke.reading.reader import Reader
from downstroke.runs.outputs import output_json
from downstroke.show.export.onnx_file import converted, refuse_missing

BATCHES = (1, 32, 256, 1024)
BLOCK = 2048  # images timed at a stretch, at most; a batch of 1 has a block of 256


def measure(*, run: str | None, runs_dir: str, rounds: int, out: Path, say: Say) -> dict[str, Any]:
    """Images a second of both, the same uint8 glyphs in and probabilities out, threads alike; saved to `out`.

    Ratios are ours over ONNX Runtime's, the median over rounds; 1 is as fast. DownstrokeError where it is missing.
    """
    refuse_missing("onnx", "onnxscript", "onnxruntime")
    with tempfile.TemporaryDirectory(prefix="downstroke-bench-") as home:
        opened = Run.open(run, runs_dir) if run else completed(train(epochs=1, progress=False, runs_dir=home))
        reader = opened.reader()
        other = onnx_reader(opened.weights().network, Path(home) / "model.onnx")
        recipe = opened.recipe.name
    figures: dict[str, Any] = {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "recipe": recipe,
    }
    glyphs = sources.load("mnist").train.images
    for batch in BATCHES:
        images = glyphs[:batch]
        difference = float(np.abs(reader.probabilities(images) - other(images)).max())
        ours, theirs = in_turn(reader, other, images, rounds)
        figures[f"batch of {batch}"] = {
            "ratio": median_ratio(theirs, ours),
            "images_per_second": batch / statistics.median(ours),
            "onnxruntime_images_per_second": batch / statistics.median(theirs),
            "largest_difference": difference,
        }
        say(f"batch of {batch}: {figures[f'batch of {batch}']['ratio']:.2f} times the images a second of ONNX Runtime")
        output_json(out, figures)
    return figures


def in_turn(reader: Reader, other: Callable[[Any], Any], images: Any, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds a batch, of both, in each round."""
    times = max(1, min(256, BLOCK // len(images)))
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for read, found in zip((reader.probabilities, other), seconds, strict=True):
            read(images)  # the other one's threads come to rest
            began = time.perf_counter()
            for _ in range(times):
                read(images)
            found.append((time.perf_counter() - began) / times)
    return seconds


class _Probabilities(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits.softmax(1)


def onnx_reader(network: Network, path: Path) -> Callable[[Any], Any]:
    """ONNX Runtime with W of `network`, exported to `path`: uint8 [N,28,28] -> float32 [N,C], with torch's threads."""
    import onnxruntime

    module = _Probabilities(network.eval())
    model = converted(module, torch.zeros(2, 28, 28, dtype=torch.uint8), "images", ["probabilities"], "of the run")
    path.write_bytes(model.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]
