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


BEFORE = {
    "missing": None,
    "empty": "",
    "prose": "Starting, on: cuda\nseed 0\n",
    "half of the names": "epoch,val_lo",
    "training alone": '{"epoch": 0, "train_loss": 1.2}\n',
    "half a JSON": '{"val_loss": [1.1, 0',
}


@pytest.mark.parametrize("before", BEFORE)
def test_a_log_without_a_val_loss_yet_is_waited_for_and_that_is_said(before: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    if (text := BEFORE[before]) is not None:
        path.write_text(text)
    notes: list[str] = []
    rows = growing(path, [1.1, 0.9, 0.8], 3)
    said = next(watch(lambda: logs.read(path), pause=rows, say=notes.append))
    assert said.epoch == 1
    assert [note.split(":")[0] for note in notes] == ["waiting for a val loss"]


def test_another_training_in_the_same_log_is_told_from_its_first_row(tmp_path: Path) -> None:
    path = tmp_path / "log"
    growing(path, [1.1, 0.9, 0.8, 0.7], 4)()
    others = [growing(path, [1.1, 0.9], 1), growing(path, [2.1, 1.9], 2)]

    def another() -> None:
        others.pop()()

    said = watch(lambda: logs.read(path), pause=another)
    assert [next(said).epoch for _ in range(7)] == [1, 2, 3, 4, 1, 2, 1]
