"""What the benches share to time things: the machine's description, ratios, and whole programs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from downstroke.api import Run
from downstroke.errors import DownstrokeError
from downstroke.learning.events import StopReason
from downstroke.learning.machine import processor

Say = Callable[[str], None]


def machine() -> dict[str, Any]:
    """What a figure depends on besides the code."""
    return {"processor": processor(), "threads": torch.get_num_threads(), "torch": str(torch.__version__)}


def median_ratio(these: Sequence[float], those: Sequence[float]) -> float:
    """The median over rounds of `these` over `those`: what was timed in turn is compared within its round."""
    return statistics.median(one / other for one, other in zip(these, those, strict=True))


def completed(run: Run) -> Run:
    """The run, where it was trained to its end: a Ctrl-C ends the measurement, not only the training under way."""
    if run.stopped is StopReason.INTERRUPTED:
        raise KeyboardInterrupt
    return run


def program(processes: int = 1) -> list[str]:
    """The command of downstroke in a process of its own, or in several that torchrun starts."""
    torchrun = ["torch.distributed.run", "--nproc-per-node", str(processes), "-m"] if processes > 1 else []
    return [sys.executable, "-m", *torchrun, "downstroke"]


def timed(command: Sequence[str], threads: int | None = None) -> tuple[float, str]:
    """Wall seconds of a program, and its stdout. DownstrokeError with its last line where it failed.

    Python keeps its bytecode, also where this process was told not to: else the program is compiled at each start.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise DownstrokeError(f"{' '.join(command[1:])} ended with code {done.returncode}: {last}")
    return time.perf_counter() - began, done.stdout
