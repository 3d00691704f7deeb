"""`downstroke bench scale`: two processes of one thread each against one of two, started anew each time, in turn."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from downstroke.bench.timing import Say, median_ratio, program, timed
from downstroke.learning.machine import processor
from downstroke.runs.outputs import output_json
from downstroke.runs.run import Run


def measure(*, recipe: str, images: int, rounds: int, out: Path, say: Say) -> dict[str, Any]:
    """Three epochs of `images` training images each; saved to `out`, and returned.

    Speed is steps a second by the run's own clock, from the end of the first epoch to the end of the last: with
    measuring on val, without starting. The ratio is the median over rounds.
    """
    speeds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="downstroke-bench-") as home:
        for turn in range(rounds):
            for processes, found in speeds.items():
                name, threads = f"{processes}-{turn}", 2 // processes
                fields = ["--epochs", "3", "--train-size", str(images), "--threads", str(threads)]
                place = ["--runs-dir", home, "--name", name]
                timed([*program(processes), "train", recipe, *fields, *place], threads)
                history = Run.open(name, home).history
                first, last = history[0], history[-1]
                found.append((last.step - first.step) / (last.elapsed_s - first.elapsed_s))
            say(f"round {turn + 1}: 1 x 2 threads {speeds[1][-1]:.1f}, 2 x 1 thread {speeds[2][-1]:.1f} steps/s")
    figures = {
        "processor": processor(),
        "recipe": recipe,
        "two_processes_over_one": median_ratio(speeds[2], speeds[1]),
        "steps_per_second_1x2": speeds[1],
        "steps_per_second_2x1": speeds[2],
    }
    output_json(out, figures)
    return figures
