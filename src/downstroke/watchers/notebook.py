"""The progress of a training in a notebook: a curve that grows, with the best and the last epoch above it."""

from __future__ import annotations

import sys
import time
from typing import Any

from downstroke import display
from downstroke.errors import shown
from downstroke.history import History
from downstroke.learning.events import EpochDone, Event, Note, StepDone

#: Drawing takes at most this share of the time, and no more than one picture in this many seconds within an epoch.
SHARE, REFRESH_S = 0.05, 0.5
_MOST_STEPS = 20_000  # kept for the curve of the batches; of more, every second one


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook, whose pictures can be redrawn."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


class NotebookProgress:
    """Shows each event of a training in one output of the cell."""

    def __init__(self) -> None:
        self._history = History()
        self._batches: list[tuple[float, float]] = []
        self._every = 1
        self._handle: Any = None
        self._next = 0.0
        self._line = ""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Note):
            print(shown(event.text), file=sys.stderr, flush=True)
        elif isinstance(event, EpochDone):
            self._history.rows.append(event.row)
            self._draw()
        elif isinstance(event, StepDone):
            self._line = f"epoch {event.epoch} of {event.last_epoch}, step {event.row.step:,}"
            if event.row.step % self._every == 0:
                self._batches.append((event.epoch - 1 + event.batch / event.batches, event.row.batch_loss))
            if len(self._batches) > _MOST_STEPS:
                del self._batches[::2]
                self._every *= 2
            if time.monotonic() > self._next:
                self._draw()

    def close(self) -> None:
        """Leave the picture as the last event left it."""
        if self._handle is not None:
            self._draw()

    def _draw(self) -> None:
        from IPython import display as ipython

        show: Any = ipython.display
        began = time.monotonic()
        text = display.element("p", self._line)
        bundle = {
            "text/html": display.html(text, *self._history.elements(self._batches)),
            "text/plain": f"{self._line}: {self._history!r}",
        }
        if self._handle is None:
            self._handle = show(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)
        now = time.monotonic()
        self._next = now + max(REFRESH_S, (now - began) / SHARE)
