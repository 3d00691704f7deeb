"""What watches a training unless one says otherwise: Ctrl-C, the progress on stderr, TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from downstroke.learning.events import Event, Note
from downstroke.watchers.interrupt import interruptible
from downstroke.watchers.progress import shown_progress
from downstroke.watchers.tensorboard import TensorBoard

Watching = Callable[[Event], None]


@contextmanager
def watchers(
    stop: Callable[[], None], *, introduction: Sequence[str] | None, tensorboard: Path | None
) -> Iterator[list[Watching]]:
    """Those to give every event to; all are closed at the end, and Ctrl-C calls `stop` until then.

    `introduction`: the lines said before the first step; None shows no progress. `tensorboard`: the folder to write to.
    """
    with ExitStack() as open_ones:
        found: list[Watching] = []
        writer = open_ones.enter_context(closing(TensorBoard(tensorboard))) if tensorboard else None
        open_ones.enter_context(interruptible(stop))
        if introduction is not None:
            found.append(open_ones.enter_context(shown_progress(map(Note, introduction))))
        yield [*found, *([writer] if writer else [])]
