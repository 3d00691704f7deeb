"""The curves of several runs in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from downstroke.advice import logs
from downstroke.advice.compare import paired_noise
from downstroke.runs.compare import names_of
from downstroke.runs.run import Run
from downstroke.show.plots import overlay_plot


def overlay(runs: Sequence[Run], path: Path) -> Path:
    """Draw them as PNG or SVG by suffix, with the noise of each val loss; returns the path. DownstrokeError."""
    names = names_of(runs)
    histories = dict(zip(names, (run.history for run in runs), strict=True))
    noise = dict(zip(names, _noise(runs), strict=True))
    shared = len({run.val for run in runs}) == 1
    return overlay_plot(histories, path, noise=noise, shared=shared)


def _noise(runs: Sequence[Run]) -> list[dict[int, float]]:
    """Epoch -> standard error of the val loss, run by run; paired among the runs that share their val images."""
    found: list[dict[int, float]] = [{} for _ in runs]
    for val in {run.val for run in runs}:
        sharing = [i for i, run in enumerate(runs) if run.val == val]
        for i, noise in zip(sharing, paired_noise([logs.val_losses(runs[i].folder) for i in sharing]), strict=True):
            found[i] = noise
    return found
