"""What a run was made with besides its recipe: versions, device, precision, threads, data.

It is written once, when the run starts, and `continue` uses the same again. Where it cannot, the difference is
reported, because the last bits of the weights depend on it.
"""

from __future__ import annotations

import platform
import subprocess
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from downstroke.data.dataset import Dataset
from downstroke.errors import DownstrokeError, shown
from downstroke.learning.distributed import world
from downstroke.learning.learner import Learner
from downstroke.learning.machine import Machine, choose
from downstroke.learning.threads import free_threads, given_threads
from downstroke.runs.parts import Parts
from downstroke.runs.trust import sign


def describe(learner: Learner, loaded: Dataset, parts: Parts, *, threads_given: bool) -> dict[str, Any]:
    """The contents of `environment.json`."""
    machine = learner.machine
    return {
        **_versions(),
        **asdict(machine),
        "threads_given": threads_given,
        "processes": learner.world.size,
        "processor": machine.describe(),
        "git_commit": _git_commit(),
        **({"identity": identity} if (identity := sign(learner.recipe)) else {}),
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "data": {
            "name": loaded.name,
            "fingerprint": loaded.fingerprint(),
            "val_fingerprint": loaded.val_fingerprint(),
            "classes": list(loaded.classes),
            "train": len(parts.train),
            "val": len(parts.val),
            "test": len(loaded.test),
            "own_test": loaded.own_test,
        },
    }


def first_threads(given: int | None) -> int | None:
    """The number of threads to begin with, where `given` is what the user chose.

    None leaves it to torch: several processes on one machine share its cores, and whoever started them divides them.
    """
    return given if given is not None or world().size > 1 else free_threads()


def threads_again(environment: dict[str, Any], asked: int | None) -> int | None:
    """The threads given now, or given when the run began; None where the program chooses."""
    # With another number of processes, the old number of threads would be too many or too few.
    # Runs from before `threads_given` was recorded keep their threads.
    kept = environment.get("threads_given", True) and world().size == environment.get("processes")
    return environment["threads"] if asked is None and kept else given_threads(asked)


def same_machine(environment: dict[str, Any], threads: int | None) -> tuple[Machine, list[str]]:
    """The run's machine, as far as it is available here, and a line for each difference."""
    notices = []
    processes = world().size
    try:
        machine = choose(environment["device"], environment["precision"], threads)
    except DownstrokeError:
        machine = choose("auto", environment["precision"], threads)
        notices.append(
            f"device {shown(environment['device'])[:100]} is not available here; continuing with {machine.device}"
        )
    now = {**_versions(), "processor": machine.describe(), "processes": processes, "threads": machine.threads}
    for key in ("torch", "processor", "downstroke", "processes", "threads"):
        if now[key] != (was := environment.get(key, "not recorded")):
            notices.append(
                f"{key} was {shown(str(was))[:100]} and is {now[key]}: the weights may differ in their last bits from "
                f"an unbroken run"
            )
    return machine, notices


def _versions() -> dict[str, str]:
    return {
        "downstroke": version("downstroke"),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        # `platform.platform()` asks another program for the processor's name.
        "platform": "-".join((platform.system(), platform.release(), platform.machine())),
    }


def _git_commit() -> str | None:
    """The commit of the checkout that downstroke runs from; None where it was installed otherwise."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        said = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()
