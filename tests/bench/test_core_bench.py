"""What the bench of the core times."""

from __future__ import annotations

from pathlib import Path

import pytest

from downstroke.bench import core
from downstroke.recipe import named
from downstroke.runs.training import Training

STEPS = 10  # of `tiny`, in batches of 64


@pytest.mark.parametrize(("block", "an_epoch"), [(4, 2), (7, 1), (STEPS, 1)])
def test_blocks_of_steps_lie_within_an_epoch(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, an_epoch: int
) -> None:
    monkeypatch.setattr(core, "BLOCK", block)
    fields = {"data": str(tiny), "model": "linear", "val_size": 50, "batch_size": 64, "epochs": 3}
    with Training.start(named("textbook").replace(**fields), runs_dir=tmp_path, name="run") as training:
        assert len(list(core._our_blocks(training))) == 3 * an_epoch
