"""Where training runs: device, precision and threads, chosen once and then kept with the run."""

from __future__ import annotations

import os
import platform
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from downstroke.errors import RecipeError
from downstroke.learning.precision import cpuinfo, measured_faster

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Machine:
    """What W's last bits depend on, besides the recipe."""

    device: str  # cpu, cuda, cuda:1, mps
    precision: str  # float32 or bfloat16 (autocast: W itself stays float32)
    threads: int  # of the CPU

    @property
    def bfloat16(self) -> bool:
        return self.precision == "bfloat16"

    @property
    def deferred(self) -> bool:
        """Whether reading a number from the device would make the next step wait."""
        return not self.device.startswith("cpu")

    def precise(self) -> AbstractContextManager[object]:
        """Within it, the network computes in this precision."""
        kind = self.device.partition(":")[0]
        return torch.autocast(kind, torch.bfloat16) if self.bfloat16 else nullcontext()

    def describe(self) -> str:
        """The processor or GPU by name."""
        if self.device.startswith("cuda"):
            return torch.cuda.get_device_name(self.device)
        return processor()

    def use(self) -> None:
        """Make torch compute with these threads."""
        torch.set_num_threads(self.threads)


def choose(
    device: str = "auto", precision: str = "auto", threads: int | None = None, model: str | None = None
) -> Machine:
    """Resolve `auto`: CUDA, then Apple's GPU, then the CPU. RecipeError for a device that is missing.

    Precision is what was measured to be faster for the recipe's `model`, not timed here: a stopwatch on a busy machine
    would choose differently from run to run, and two runs of one recipe would differ in their last bits.
    """
    device = device.lower()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, number = device.partition(":")
    there = {
        "cpu": not number,
        "cuda": torch.cuda.is_available()
        and (not number or (number.isdigit() and int(number) < torch.cuda.device_count())),
        "mps": torch.backends.mps.is_available() and not number,
    }
    if kind not in there:
        raise RecipeError(f"no device {device!r}; there are {', '.join(DEVICES)}")
    if not there[kind]:
        raise RecipeError(f"device {device!r} is not on this machine; try --device auto")
    if precision not in PRECISIONS:
        raise RecipeError(f"no precision {precision!r}; there are {', '.join(PRECISIONS)}")
    most = max(64, 4 * (os.cpu_count() or 1))  # thousands would not start, and torch ends the process then
    if threads is not None and not 1 <= threads <= most:
        raise RecipeError(f"threads is {threads}; expected a whole number from 1 to {most}")
    if precision == "auto":
        precision = measured_faster(device, model) if model else "float32"
    return Machine(device, precision, threads or torch.get_num_threads())


def processor() -> str:
    """The CPU's name, as the system gives it."""
    return cpuinfo("model name") or platform.processor() or platform.machine()
