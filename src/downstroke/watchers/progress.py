"""Progress of a training: a table and a live line in a terminal, a curve in a notebook, elsewhere a line an epoch."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from downstroke.errors import shown
from downstroke.history import four_decimals
from downstroke.learning.events import EpochDone, Event, Note, StepDone
from downstroke.watchers.notebook import NotebookProgress, in_notebook

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.live import Live
    from rich.table import Table

    from downstroke.history import EpochRow

COLUMNS = ("epoch", "step", "batch loss", "loss", "val loss", "accuracy", "val accuracy", "lr", "images/s")
#: The most important first: a narrow terminal drops columns from the end.
IMPORTANCE = ("epoch", "val loss", "val accuracy", "loss", "accuracy", "lr", "images/s", "batch loss", "step")
STATUS_IMPORTANCE = ("epoch", "left", "batch loss", "images/s", "lr", "bar", "step")
REFRESH_S = 0.1
Item = TypeVar("Item")


def cells(row: EpochRow, images_per_s: float) -> list[str]:
    """An epoch as text, a cell a column; a dash for what was not measured."""
    return [
        str(row.epoch),
        f"{row.step:,}",
        four_decimals(row.batch_loss),
        four_decimals(row.loss),
        four_decimals(row.val_loss) if math.isfinite(row.val_loss) else "-",
        f"{row.accuracy:.2%}",
        f"{row.val_accuracy:.2%}" if math.isfinite(row.val_accuracy) else "-",
        f"{row.lr:.3g}",
        f"{images_per_s:,.0f}",
    ]


def over(items: Sequence[Item]) -> Iterator[Item]:
    """The items one by one, with a progress bar on stderr if that is a terminal and there are 20 or more."""
    if len(items) < 20 or not _redraws():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    # What is printed while the bar moves goes above it; but not where it goes into a file or a pipe.
    above = sys.stdout.isatty()
    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=above) as progress:
        yield from progress.track(items, description="reading")


@contextmanager
def shown_progress(before: Iterable[Note]) -> Iterator[Callable[[Event], None]]:
    """What shows each event of a training on stderr; `before` is said first."""
    for note in before:
        print(shown(note.text), file=sys.stderr, flush=True)
    progress = _fitting()
    try:
        yield progress
    finally:
        progress.close()


def _fitting() -> NotebookProgress | LiveProgress | LineProgress:
    """What suits where this runs."""
    if in_notebook():
        return NotebookProgress()
    return LiveProgress() if _redraws() else LineProgress()


class LineProgress:
    """A line an epoch, on stderr: for logs and pipes."""

    def __init__(self) -> None:
        self._speed = Speed()

    def __call__(self, event: Event) -> None:
        self._speed.see(event)
        if isinstance(event, EpochDone):
            named = zip(COLUMNS, cells(event.row, self._speed.of_epoch()), strict=True)
            print("  ".join(f"{name} {value}" for name, value in named), file=sys.stderr, flush=True)
        elif isinstance(event, Note):
            print(shown(event.text), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is held open."""


class LiveProgress:
    """A table that grows by a row an epoch, and below it the step under way with a bar and the time left."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._speed = Speed()
        self._rows: list[list[str]] = []
        self._live: Live | None = None
        self._drawn = 0.0

    def __call__(self, event: Event) -> None:
        self._speed.see(event)
        if isinstance(event, EpochDone):
            mark = " *" if event.improved else ""
            row = cells(event.row, self._speed.of_epoch())
            row[4] += mark
            self._rows.append(row)
            self._draw(self.table())
        elif isinstance(event, Note) and self._live:
            self._live.console.print(shown(event.text), markup=False, highlight=False)  # above the table
        elif isinstance(event, StepDone) and time.monotonic() - self._drawn > REFRESH_S:
            from rich.console import Group

            status = self.status(event)
            self._draw(Group(self.table(), status) if self._rows else status)

    def close(self) -> None:
        """Leave the table as it is and give the cursor back."""
        if self._live:
            self._live.update(self.table() if self._rows else "", refresh=True)
            self._live.stop()

    def status(self, event: StepDone) -> RenderableType:
        """The step under way, in one line."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        left = (event.last_epoch - event.epoch) * event.batches + event.batches - event.batch
        parts: dict[str, RenderableType] = {
            "epoch": f"epoch {event.epoch} of {event.last_epoch}",
            "bar": ProgressBar(total=event.batches, completed=event.batch, width=24),
            "step": f"step {event.row.step:,}",
            "batch loss": f"batch loss {four_decimals(event.row.batch_loss)}",
            "lr": f"lr {event.row.lr:.3g}",
            "images/s": f"{self._speed.now():,.0f} images/s",
            "left": f"{_duration(left * self._speed.step_s())} left",
        }

        def build(kept: Sequence[str]) -> Table:
            status = Table.grid(padding=(0, 2))
            for _ in kept:
                status.add_column(no_wrap=True)
            status.add_row(*(parts[name] for name in parts if name in kept))
            return status

        return Fitted(build, STATUS_IMPORTANCE)

    def table(self) -> RenderableType:
        """The epochs so far."""
        return Fitted(lambda kept: _epochs(self._rows[-40:], kept), IMPORTANCE)

    def _draw(self, what: RenderableType) -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=self._console or Console(stderr=True), auto_refresh=False)
            self._live.start()
        self._live.update(what, refresh=True)
        self._drawn = time.monotonic()


def _epochs(rows: Sequence[Sequence[str]], kept: Sequence[str]) -> Table:
    """The rows, of `cells`, with the columns that are kept."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    shown = [i for i, name in enumerate(COLUMNS) if name in kept]
    for i in shown:
        table.add_column(COLUMNS[i], justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[i] for i in shown))
    return table


class Fitted:
    """A table with as many of its columns as the terminal's width holds whole: the first of `importance` are kept.

    Looked at anew each time it is drawn, so that it follows a window that is resized.
    """

    def __init__(self, build: Callable[[Sequence[str]], Table], importance: Sequence[str]) -> None:
        self._build, self._importance = build, importance

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unbounded = options.update(width=10_000)
        kept = list(self._importance)
        table = self._build(kept)
        while len(kept) > 1 and table.__rich_measure__(console, unbounded).maximum > options.max_width:
            kept.pop()
            table = self._build(kept)
        yield table


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


def _redraws() -> bool:
    """Whether stderr is a terminal on which a line can be drawn anew.

    A notebook's `!command` has a terminal, too, but keeps all that is ever written to it.
    """
    return sys.stderr.isatty() and "JPY_PARENT_PID" not in os.environ and os.environ.get("TERM") != "dumb"


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
