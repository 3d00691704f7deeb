"""How many pages per second are read by one process, and by as many as there are cores, each of one thread."""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from downstroke.augment.pages import Characters, draw_page
from downstroke.data import sources
from downstroke.errors import counted
from downstroke.learning.machine import processor
from downstroke.reading.processes import Origin, read_in_processes

PAGES, ROUNDS = 48, 3


def measure(origin: Origin, say: Callable[[str], None]) -> dict[str, Any]:
    """Drawn pages, read in turn with the weights of `origin`: medians over rounds of the rate when all have begun.

    `ratio_per_core`: what a process reads beside others, as a share of what one reads alone; 1 is no loss.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    digits = sources.load("mnist").train
    characters = Characters(digits.images[:5000], digits.labels[:5000])
    rates: dict[int, list[float]] = {1: [], cores: []}
    with tempfile.TemporaryDirectory(prefix="downstroke-bench-") as home:
        paths = [Path(home) / f"{number:03}.png" for number in range(PAGES)]
        for number, path in enumerate(paths):
            cv2.imwrite(str(path), draw_page(np.random.default_rng((2, number)), characters).image)
        for turn, jobs in itertools.product(range(ROUNDS), rates):
            rates[jobs].append(_rate(origin, paths, jobs))
            say(f"round {turn + 1}: {rates[jobs][-1]:.2f} pages a second with {counted(jobs, 'process', 'processes')}")
    ratios = [many / (cores * one) for one, many in zip(rates[1], rates[cores], strict=True)]
    return {
        "processor": processor(),
        "pages": PAGES,
        "processes": cores,
        "pages_per_second_of_one": statistics.median(rates[1]),
        "pages_per_second": statistics.median(rates[cores]),
        "pages_per_second_per_core": statistics.median(rates[cores]) / cores,
        "ratio_per_core": statistics.median(ratios),
    }


def _rate(origin: Origin, paths: list[Path], jobs: int) -> float:
    """Pages per second when all processes have begun: of the readings after the first ones."""
    readings = read_in_processes(origin, [*paths[:jobs], *paths], jobs)
    for _ in range(jobs):
        next(readings)
    began = time.perf_counter()
    count = sum(1 for _ in readings)
    return count / (time.perf_counter() - began)
