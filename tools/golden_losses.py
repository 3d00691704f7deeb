"""Write tests/learning/golden_losses.txt anew: only when training is to give other numbers; the commit says why."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as the tests run
TESTS = Path(__file__).parents[1] / "tests" / "learning"
sys.path.insert(0, str(TESTS))

import test_learning  # noqa: E402

from downstroke.data import sources  # noqa: E402

if __name__ == "__main__":
    losses = test_learning.golden_run(test_learning.small_parts(sources.load()))
    (TESTS / "golden_losses.txt").write_text("".join(f"{loss:.6f}\n" for loss in losses))
