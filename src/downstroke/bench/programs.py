"""`downstroke bench scale` and `bench startup`: whole programs, started anew each time, in turn."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from downstroke.errors import DownstrokeError
from downstroke.learning.machine import processor
from downstroke.runs import files
from downstroke.runs.run import Run

Say = Callable[[str], None]


def scale(*, recipe: str, images: int, rounds: int, out: Path, say: Say) -> dict[str, Any]:
    """Two processes of one thread each against one of two threads; saved to `out`, and returned.

    Three epochs of `images` training images. Speed is steps a second by the run's own clock, from the end of the first
    epoch to the end of the last: with measuring on val, without starting. The ratio is the median over rounds.
    """
    speeds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="downstroke-bench-") as home:
        for turn in range(rounds):
            for processes, found in speeds.items():
                name = f"{processes}-{turn}"
                train = [
                    "train",
                    recipe,
                    "--epochs",
                    "3",
                    "--train-size",
                    str(images),
                    "--threads",
                    str(2 // processes),
                ]
                started = [*_program(processes), *train, "--runs-dir", home, "--name", name]
                _finish(started, threads=2 // processes)
                history = Run.open(name, home).history
                first, last = history[0], history[-1]
                found.append((last.step - first.step) / (last.elapsed_s - first.elapsed_s))
            say(f"round {turn + 1}: 1 x 2 threads {speeds[1][-1]:.1f}, 2 x 1 thread {speeds[2][-1]:.1f} steps/s")
    figures = {
        "processor": processor(),
        "recipe": recipe,
        "two_processes_over_one": statistics.median(two / one for one, two in zip(*speeds.values(), strict=True)),
        "steps_per_second_1x2": speeds[1],
        "steps_per_second_2x1": speeds[2],
    }
    files.write_json(out, figures)
    return figures


def startup(*, rounds: int, out: Path, say: Say) -> dict[str, Any]:
    """Seconds of `downstroke train sprint` beyond `python -c "import torch"` and its own train_seconds; to `out`."""
    beyond, importing, training = [], [], []
    with tempfile.TemporaryDirectory(prefix="downstroke-bench-") as home:
        for turn in range(rounds):
            importing.append(_finish([sys.executable, "-c", "import torch"])[0])
            started = [*_program(1), "train", "sprint", "--runs-dir", home, "--name", str(turn), "--json"]
            wall, said = _finish(started)
            training.append(json.loads(said)["train_seconds"])
            beyond.append(wall - importing[-1] - training[-1])
            say(f"round {turn + 1}: {wall:.2f} s, of which torch {importing[-1]:.2f} s, training {training[-1]:.2f} s")
    figures = {
        "processor": processor(),
        "beyond_torch_and_training_seconds": statistics.median(beyond),
        "import_torch_seconds": statistics.median(importing),
        "train_seconds": statistics.median(training),
        "beyond": beyond,
    }
    files.write_json(out, figures)
    return figures


def _program(processes: int) -> list[str]:
    torchrun = ["torch.distributed.run", "--nproc-per-node", str(processes), "-m"] if processes > 1 else []
    return [sys.executable, "-m", *torchrun, "downstroke"]


def _finish(command: Sequence[str], threads: int | None = None) -> tuple[float, str]:
    """Wall seconds of a program, and what it said on stdout. DownstrokeError with its last line where it failed."""
    environment = dict(os.environ) if threads is None else {**os.environ, "OMP_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise DownstrokeError(f"{' '.join(command[1:])} ended with code {done.returncode}: {last}")
    return time.perf_counter() - began, done.stdout
