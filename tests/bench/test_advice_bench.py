"""The bench of the advice: its figures, and how they are printed."""

import csv
from pathlib import Path

import numpy as np

from downstroke.bench.advice import measure, table


def test_a_folder_of_logs_is_measured_and_printed_a_column_an_operating_point(tmp_path: Path) -> None:
    t = np.arange(1, 31)
    for number, rise in enumerate((0.0, 0.01)):
        val = 0.2 + np.exp(-t / 3) + rise * np.maximum(t - 10, 0)
        with (tmp_path / f"{number}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("epoch", "loss", "val_loss"), *zip(t, np.exp(-t / 5), val, strict=True)])
    points = ("balanced", "quick")
    figures = measure(half="report", points=points, out=tmp_path / "out.json", say=lambda _: None, folder=tmp_path)
    assert figures["histories"] == 2
    assert 0 <= figures["balanced"]["regret"] < 0.2
    printed = table(figures)
    head = next(line for line in printed.splitlines() if "balanced" in line)
    assert head.split() == ["balanced", "quick"]
    assert any(line.startswith("rise_recall") for line in printed.splitlines())
