"""What watches a training unless one says otherwise: Ctrl-C, and the progress on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from downstroke.learning.events import Event, Note
from downstroke.watchers.interrupt import interruptible
from downstroke.watchers.progress import shown_progress

Watching = Callable[[Event], None]


@contextmanager
def watchers(stop: Callable[[], None], *, introduction: Sequence[str] | None) -> Iterator[list[Watching]]:
    """Those to give every event to; all are closed at the end, and Ctrl-C calls `stop` until then.

    `introduction`: the lines said before the first step; None shows no progress.
    """
    with ExitStack() as open_ones:
        found: list[Watching] = []
        open_ones.enter_context(interruptible(stop))
        if introduction is not None:
            found.append(open_ones.enter_context(shown_progress(map(Note, introduction))))
        yield found
