"""Follow a log that another program is writing, and advise after each new row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from downstroke.advice.curve import Curve
from downstroke.advice.verdict import Advice, advise
from downstroke.errors import LogError

PAUSE = 1.0  # seconds between two looks


def watch(
    read: Callable[[], Curve],
    *,
    operating_point: str = "balanced",
    pause: Callable[[], None] = lambda: time.sleep(PAUSE),
) -> Iterator[Advice]:
    """Advice after every row that `read` gives anew, the last of them a stop; between two looks `pause` is called.

    A log that cannot be read once it could is being written, and is looked at again; one that cannot from the first is
    waited for too where it has no row yet, else LogError.
    """
    told = 0
    while True:
        try:
            curve = read()
        except LogError as error:
            if not told and not _waits(error):
                raise
            pause()
            continue
        for rows in range(told + 1, len(curve) + 1):
            said = advise(curve.first(rows), operating_point=operating_point)
            yield said
            if said.stop:
                return
        told = max(told, len(curve))
        pause()


def _waits(error: LogError) -> bool:
    """Whether the log has not begun yet."""
    return any(words in str(error) for words in ("no such file", "No such file", "is empty", "holds no log"))
