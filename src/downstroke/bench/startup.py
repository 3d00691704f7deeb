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
from downstroke.runs.outputs import output_json


def measure(*, rounds: int, out: Path, say: Say) -> dict[str, Any]:
    """Seconds of `downstroke train sprint` beyond `python -c "import torch"` and its own train_seconds; to `out`.

    Medians of so many rounds. A training before them, which is not timed, has Python write its bytecode.
    """
    beyond, importing, training = [], [], []
    with tempfile.TemporaryDirectory(prefix="downstroke-bench-") as home:
        train = [*program(), "train", "sprint", "--runs-dir", home, "--json", "--name"]
        timed([*train, "first"])
        for turn in range(rounds):
            importing.append(timed([sys.executable, "-c", "import torch"])[0])
            wall, said = timed([*train, str(turn)])
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
    output_json(out, figures)
    return figures
