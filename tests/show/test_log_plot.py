"""Logs of other programs are drawn as runs are, with the forecast."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from downstroke.advice.curve import Curve
from downstroke.errors import DownstrokeError
from downstroke.show.log_plot import plot_logs

T = np.arange(1.0, 21)


@pytest.mark.parametrize("losses", [0.2 + 1 / T, -1 + 1 / T, np.append(1 / T[:-1], np.nan)], ids=["usual", "<0", "nan"])
def test_a_log_is_drawn_with_its_losses(tmp_path: Path, losses: np.ndarray) -> None:
    path = plot_logs({"logs/mine.csv": Curve(T, losses, losses + 0.1)}, tmp_path / "loss.svg")
    drawn = path.read_text()
    assert "mine.csv" in drawn
    assert ">train" in drawn
    assert ">val" in drawn


def test_several_logs_are_named_in_one_picture(tmp_path: Path) -> None:
    path = plot_logs({"a.csv": Curve(T, 1 / T), "b.csv": Curve(T, 2 / T)}, tmp_path / "loss.png")
    with Image.open(path) as picture:
        assert picture.size == (1800, 1000)
    with pytest.raises(DownstrokeError, match="expected"):
        plot_logs({"a.csv": Curve(T, 1 / T)}, tmp_path / "loss.gif")


def test_logs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    logs = {f"/a/long/way/to/{run}/metrics.csv": Curve(T, 1 / T) for run in ("one", "two")}
    drawn = plot_logs(logs, tmp_path / "loss.svg").read_text()
    assert ">one/metrics.csv" in drawn
    assert ">two/metrics.csv" in drawn


def test_one_row_has_ticks_of_whole_epochs(tmp_path: Path) -> None:
    drawn = plot_logs({"a.csv": Curve(T[:1], T[:1])}, tmp_path / "loss.svg").read_text()
    ticks = re.findall(r'id="xtick_\d+">.*?<text[^>]*>([^<]*)</text>', drawn, re.DOTALL)
    assert ticks
    assert all(float(tick.replace("\N{MINUS SIGN}", "-")).is_integer() for tick in ticks)
