"""A log that grows is followed row by row until the advice is to stop."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from downstroke.advice import logs
from downstroke.advice.watch import watch
from downstroke.errors import LogError


def growing(path: Path, rows: list[float], a_look: int) -> Callable[[], None]:
    """Writes `a_look` rows more each time it is called; fails where there is nothing left to write."""
    written = 0

    def more() -> None:
        nonlocal written
        assert written < len(rows), "the log ended and nobody stopped"
        written += a_look
        lines = (f"{epoch},{loss}" for epoch, loss in enumerate(rows[:written], start=1))
        path.write_text("epoch,val_loss\n" + "\n".join(lines) + "\n")

    return more


@pytest.mark.parametrize("a_look", [1, 4])
def test_every_row_is_told_once_and_the_last_is_a_stop(tmp_path: Path, a_look: int) -> None:
    t = np.arange(1.0, 60)
    losses = (0.2 + 0.6 * np.exp(-t / 3) + 0.02 * np.maximum(t - 9, 0)).tolist()
    path = tmp_path / "log.csv"
    said = list(watch(lambda: logs.read(path), pause=growing(path, losses, a_look)))
    assert [advice.epoch for advice in said] == list(range(1, len(said) + 1))
    assert [advice.stop for advice in said] == [False] * (len(said) - 1) + [True]
    assert len(said) < 30


def test_a_file_that_is_no_log_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,accuracy\n1,0.5\n")
    with pytest.raises(LogError, match="no val loss"):
        next(watch(lambda: logs.read(path)))
