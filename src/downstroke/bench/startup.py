"""`downstroke bench startup`: a whole `downstroke train sprint`, less importing torch and the training itself."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from downstroke.bench.timing import Say, program, timed
from downstroke.learning.machine import processor
from downstroke.runs import files


def measure(*, rounds: int, out: Path, say: Say) -> dict[str, Any]:
    """Seconds of `downstroke train sprint` beyond `python -c "import torch"` and its own train_seconds; to `out`.

    Medians of so many rounds, after one that is not counted: it writes Python's bytecode.
    """
    beyond: list[float] = []
    importing: list[float] = []
    training: list[float] = []
    with tempfile.TemporaryDirectory(prefix="downstroke-bench-") as home:
        for turn in range(rounds + 1):
            torch = timed([sys.executable, "-c", "import torch"])[0]
            wall, said = timed([*program(), "train", "sprint", "--runs-dir", home, "--name", str(turn), "--json"])
            trained = json.loads(said)["train_seconds"]
            if turn:
                importing.append(torch)
                training.append(trained)
                beyond.append(wall - torch - trained)
                say(f"round {turn}: {wall:.2f} s, of which torch {torch:.2f} s, training {trained:.2f} s")
    figures = {
        "processor": processor(),
        "beyond_torch_and_training_seconds": statistics.median(beyond),
        "import_torch_seconds": statistics.median(importing),
        "train_seconds": statistics.median(training),
        "beyond": beyond,
    }
    files.write_json(out, figures)
    return figures
