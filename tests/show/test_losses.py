"""A run's losses are drawn by a process that was begun ahead, and here where that is gone."""

from pathlib import Path

import pytest

import downstroke
from downstroke.errors import DownstrokeError
from downstroke.show import losses


def test_losses_are_drawn_ahead_and_here_where_that_process_is_gone(tiny: Path, tmp_path: Path) -> None:
    run = downstroke.train(data=str(tiny), model="mlp", epochs=1, runs_dir=tmp_path, progress=False)
    picture = run.folder / losses.LOSS_PICTURE
    here = picture.read_bytes()
    picture.unlink()
    ahead = losses.Ahead()
    ahead.begin()
    try:
        ahead.draw(run)
        assert picture.read_bytes() == here
        (run.folder / "metrics.csv").unlink()
        with pytest.raises(DownstrokeError, match="nothing to plot yet"):
            ahead.draw(run)
    finally:
        ahead.end()
    with pytest.raises(DownstrokeError, match="nothing to plot yet"):
        ahead.draw(run)
