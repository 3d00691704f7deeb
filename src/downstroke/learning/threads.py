"""How many threads of the CPU to train with, where nobody has said it: as many as there are idle cores.

torch's threads spin while they wait for each other. A thread that waits for a core which another program holds lets all
the others spin: two trainings of two threads each on two cores go at a hundredth of the speed of one.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

FIRST_LOOK_S = 0.05  # before training
LOOK_EVERY_S = 1.0  # while training
ROOM_LOOKS = 3  # in a row that must see idle cores before there are more threads; one look is enough for fewer
UNNOTICED = 0.25  # of a core: what other programs may use without a thread less


@dataclass(frozen=True)
class CoreUse:
    """What was used until now of the cores that this process may run on, in seconds since some fixed moment."""

    clock: float
    by_all: float  # summed over the cores
    by_this: float  # process, all its threads
    cores: int

    def others_since(self, before: CoreUse) -> float:
        """How many cores the other programs have used on average since `before`, 0 or more."""
        by_others = (self.by_all - before.by_all) - (self.by_this - before.by_this)
        return max(0.0, by_others / max(self.clock - before.clock, 1e-9))


def core_use() -> CoreUse | None:
    """The use of the cores now; None where the system does not tell it as Linux does."""
    try:
        mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        with open("/proc/stat", encoding="ascii") as file:
            lines = [line.split() for line in file if line.startswith("cpu")]
        # user, nice, system, irq, softirq, steal; not idle and iowait
        ticks = sum(int(line[i]) for line in lines if line[0] in mine for i in (1, 2, 3, 6, 7, 8))
        by_all = ticks / os.sysconf("SC_CLK_TCK")
    except (AttributeError, OSError, ValueError, IndexError):
        return None
    return CoreUse(time.perf_counter(), by_all, time.process_time(), len(mine))


def fitting(most: int, cores: int, others: float) -> int:
    """The threads, 1 to `most`, that leave to other programs the `others` of the `cores` that they use."""
    return max(1, min(most, cores - math.ceil(others - UNNOTICED)))


def given_threads(asked: int | None) -> int | None:
    """The threads that the user chose, by `--threads` or OMP_NUM_THREADS; None to let the program choose."""
    if asked is not None:
        return asked
    return torch.get_num_threads() if os.environ.get("OMP_NUM_THREADS") else None


def free_threads() -> int:
    """Threads for the cores that are idle now; all of torch's if that is unknown."""
    most, before = torch.get_num_threads(), core_use()
    if most == 1 or before is None:
        return most
    time.sleep(FIRST_LOOK_S)
    now = core_use()
    return most if now is None else fitting(most, now.cores, now.others_since(before))


class Watch:
    """Keeps torch's threads to the cores that other programs leave idle while this one trains."""

    def __init__(
        self, threads: int, most: int, use: Callable[[], CoreUse | None] = core_use, every_s: float = LOOK_EVERY_S
    ) -> None:
        self.threads, self.most = threads, most
        self._use, self._every_s = use, every_s
        self._before = use()
        self._room: list[int] = []  # what the last looks would have allowed, each more than `threads`
        self._due = time.monotonic() + every_s

    def look(self) -> int | None:
        """The new number of threads, already in force, where it changed; between two looks it costs next to nothing."""
        if time.monotonic() < self._due:
            return None
        before, self._before = self._before, self._use()
        self._due = time.monotonic() + self._every_s
        if before is None or self._before is None:
            return None
        fit = fitting(self.most, self._before.cores, self._before.others_since(before))
        self._room = [*self._room, fit] if fit > self.threads else []
        if fit > self.threads:
            if len(self._room) < ROOM_LOOKS:
                return None
            fit, self._room = min(self._room), []
        if fit == self.threads:
            return None
        self.threads = fit
        torch.set_num_threads(fit)
        return fit
