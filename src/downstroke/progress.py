"""Training as it is watched on a terminal: a table of epochs and a live line; elsewhere, a line an epoch."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from downstroke.learning.events import EpochDone, Event, Note, StepDone

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from downstroke.history import EpochRow
    from downstroke.runs.training import Training

COLUMNS = ("epoch", "step", "batch loss", "loss", "val loss", "accuracy", "val accuracy", "lr", "images/s")
REFRESH_S = 0.1


def cells(row: EpochRow, images_per_s: float) -> list[str]:
    """An epoch as text, a cell a column; a dash for what was not measured."""
    return [
        str(row.epoch),
        f"{row.step:,}",
        f"{row.batch_loss:.4f}",
        f"{row.loss:.4f}",
        _number(row.val_loss, ".4f"),
        f"{row.accuracy:.2%}",
        _number(row.val_accuracy, ".2%"),
        f"{row.lr:.3g}",
        f"{images_per_s:,.0f}",
    ]


def over(items: Sequence[str]) -> Iterator[str]:
    """The items one by one, with a bar on stderr where that is a terminal and there are many of them."""
    if len(items) < 20 or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    # What is printed while the bar moves goes above it; but not where it goes into a file or a pipe.
    above = sys.stdout.isatty()
    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=above) as progress:
        yield from progress.track(items, description="reading")


class LineProgress:
    """A line an epoch, on stderr: for logs and pipes."""

    def __init__(self) -> None:
        self._speed = Speed()

    def __call__(self, training: Training, event: Event) -> None:
        self._speed.see(event)
        if isinstance(event, EpochDone):
            named = zip(COLUMNS, cells(event.row, self._speed.of_epoch()), strict=True)
            print("  ".join(f"{name} {value}" for name, value in named), file=sys.stderr, flush=True)
        elif isinstance(event, Note):
            print(event.text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is held open."""


class LiveProgress:
    """A table that grows by a row an epoch, and below it the step under way with a bar and the time left."""

    def __init__(self) -> None:
        self._speed = Speed()
        self._rows: list[list[str]] = []
        self._live: Live | None = None
        self._drawn = 0.0

    def __call__(self, training: Training, event: Event) -> None:
        self._speed.see(event)
        if isinstance(event, EpochDone):
            mark = " *" if event.improved else ""
            row = cells(event.row, self._speed.of_epoch())
            row[4] += mark
            self._rows.append(row)
            self._draw(self._table())
        elif isinstance(event, Note) and self._live:
            self._live.console.print(event.text, markup=False, highlight=False)  # above the table
        elif isinstance(event, StepDone) and time.monotonic() - self._drawn > REFRESH_S:
            from rich.console import Group
            from rich.progress_bar import ProgressBar
            from rich.table import Table

            goal = training.learner.at.leg.last_epoch
            left = (goal - event.epoch) * event.batches + event.batches - event.batch
            status = Table.grid(padding=(0, 2))
            status.add_row(
                f"epoch {event.epoch} of {goal}",
                ProgressBar(total=event.batches, completed=event.batch, width=24),
                f"step {event.row.step:,}",
                f"batch loss {event.row.batch_loss:.4f}",
                f"lr {event.row.lr:.3g}",
                f"{self._speed.now():,.0f} images/s",
                f"{_duration(left * self._speed.step_s())} left",
            )
            self._draw(Group(self._table(), status) if self._rows else status)

    def close(self) -> None:
        """Leave the table as it is and give the cursor back."""
        if self._live:
            self._live.update(self._table() if self._rows else "", refresh=True)
            self._live.stop()

    def _table(self) -> RenderableType:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for name in COLUMNS:
            table.add_column(name, justify="right")
        for row in self._rows[-40:]:
            table.add_row(*row)
        return table

    def _draw(self, what: RenderableType) -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False)
            self._live.start()
        self._live.update(what, refresh=True)
        self._drawn = time.monotonic()


class Speed:
    """Images a second: of the epoch, and of the last steps."""

    def __init__(self) -> None:
        self._epoch_images, self._epoch_began = 0, time.monotonic()
        self._recent: list[tuple[float, int]] = []

    def see(self, event: Event) -> None:
        if isinstance(event, StepDone):
            self._epoch_images += event.images
            self._recent = [*self._recent[-49:], (time.monotonic(), event.images)]

    def of_epoch(self) -> float:
        """Images a second since this was last asked: training, measuring and saving together."""
        now = time.monotonic()
        speed = self._epoch_images / max(now - self._epoch_began, 1e-9)
        self._epoch_images, self._epoch_began = 0, now
        return speed

    def now(self) -> float:
        """Over the last 50 steps."""
        if len(self._recent) < 2:
            return 0.0
        seconds = self._recent[-1][0] - self._recent[0][0]
        return sum(images for _, images in self._recent[1:]) / max(seconds, 1e-9)

    def step_s(self) -> float:
        """Seconds a step, over the last 50; NaN before there are two."""
        if len(self._recent) < 2:
            return math.nan
        return (self._recent[-1][0] - self._recent[0][0]) / (len(self._recent) - 1)


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
