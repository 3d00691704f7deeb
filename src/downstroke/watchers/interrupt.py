"""Ctrl-C during a training: the current step is finished and saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM, or SIGHUP) calls `stop`; the second acts as without this."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach only the main thread
        return
    ends = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in ends}
    if before.get(hangup := getattr(signal, "SIGHUP", None)) is signal.SIG_IGN:
        del before[hangup]  # nohup: training outlives its terminal

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def hear(number: int, frame: FrameType | None) -> None:
        restore()
        stop()

    for number in before:
        signal.signal(number, hear)
    try:
        yield
    finally:
        restore()
