"""Follow a log that another program is writing, and advise after each new row."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import numpy as np

from downstroke.advice.curve import Curve
from downstroke.advice.logs.table import Say
from downstroke.advice.verdict import Advice, advise
from downstroke.errors import LogError, NoValLossYetError

PAUSE = 1.0  # seconds between two looks


def watch(
    read: Callable[[], Curve],
    *,
    operating_point: str = "balanced",
    pause: Callable[[], None] = lambda: time.sleep(PAUSE),
    say: Say = lambda line: None,
) -> Iterator[Advice]:
    """Advice after every row that `read` gives anew, the last of them a stop; between two looks `pause` is called.

    A log that has no val loss yet is waited for, and `say` is told so once; LogError for a file that will never have
    one. A log that could be read before and cannot now is being written, and is looked at again. Where another training
    begins in it, its rows are told from the first.
    """
    told, waiting, first = 0, False, math.nan
    while True:
        try:
            curve = read()
        except LogError as error:
            if not told and not isinstance(error, NoValLossYetError):
                raise
            if not told and not waiting:
                say(f"waiting for a val loss: {error}")
                waiting = True
            pause()
            continue
        if not np.array_equal(curve.val_loss[0], first, equal_nan=True):
            told, first = 0, float(curve.val_loss[0])
        for rows in range(told + 1, len(curve) + 1):
            said = advise(curve.first(rows), operating_point=operating_point)
            yield said
            if said.stop:
                return
        told = max(told, len(curve))
        pause()
