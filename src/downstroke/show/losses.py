"""The losses of a run in a picture: here, or in a process that was begun ahead.

matplotlib takes as long to load as a short training lasts. A command that has torch to load anyway begins a second
process first: that one loads matplotlib on another core and waits. At the end of the training it draws.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from downstroke.errors import DownstrokeError
from downstroke.runs.files import own
from downstroke.runs.run import LOSS_PICTURE, Run


def draw(run: Run, path: Path | None = None) -> Path:
    """Draw the losses so far as PNG or SVG, into the run's `loss.png` unless told otherwise; returns the path.

    Raises DownstrokeError where there is no epoch yet, or `path` cannot be written.
    """
    from downstroke.show import plots

    target = path or own(run.folder / LOSS_PICTURE)
    smoothed = run.recipe.label_smoothing > 0
    return plots.loss_plot(run.history, target, title=run.name, steps=run.steps, smoothed=smoothed)


class Ahead:
    """The process that was begun to draw, where there is one."""

    process: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        """Begin it; OSError."""
        pipe = subprocess.PIPE
        # -P: what lies in the current folder, a torch.py say, is not imported for being there.
        # In a session of its own: Ctrl-C is for the training, which ends its step and then has its losses drawn.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "downstroke.show.losses"],
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        atexit.register(self.end)

    def draw(self, run: Run) -> None:
        """Draw `loss.png`: there, or here where there is none or it is gone. Raises DownstrokeError."""
        try:
            answer = self._asked(str(run.folder))
        except (OSError, ValueError):
            answer = None
        if answer is None:
            draw(run)
        elif answer["error"] is not None:
            raise DownstrokeError(answer["error"])

    def _asked(self, folder: str) -> dict[str, str | None] | None:
        if self.process is None:
            return None
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(folder), file=self.process.stdin, flush=True)
        answer: dict[str, str | None] = json.loads(self.process.stdout.readline())
        return answer

    def end(self) -> None:
        """Nobody waits for what was begun for nothing."""
        if self.process:
            self.process.kill()
            self.process.communicate()


AHEAD = Ahead()


def refuse_missing() -> None:
    """ModuleNotFoundError where matplotlib is not installed: before a training, not at its end."""
    if find_spec("matplotlib") is None:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")


def begin_ahead() -> None:
    """Begin the process that draws, where torch is still to be loaded and there is a core for it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    first = os.environ.get("RANK", "0") == "0"  # of several that torchrun starts
    if cores > 1 and first and not {"torch", "matplotlib"} & sys.modules.keys():
        with suppress(OSError):
            AHEAD.begin()


def _serve() -> None:
    """Draw the runs whose folders come on stdin, until it ends."""
    from downstroke.show import plots  # noqa: F401  (what this process is for)

    for line in sys.stdin:
        try:
            draw(Run(Path(json.loads(line))))
        except DownstrokeError as error:
            print(json.dumps({"error": str(error)}), flush=True)
        else:
            print(json.dumps({"error": None}), flush=True)


if __name__ == "__main__":
    _serve()
