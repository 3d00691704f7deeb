"""Several processes that serve one read-only studio, on one address; one that ends is started again.

On Linux each has a listening socket of its own, and the system shares connections out among them (SO_REUSEPORT).
Elsewhere they take turns at one. The sockets belong to this process, so that what waits at the socket of a worker that
ended is answered by the one that takes its place.
"""

from __future__ import annotations

import multiprocessing
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from downstroke.errors import DownstrokeError
from downstroke.reading.processes import interrupts_blocked, one_thread_each
from downstroke.studio.app import create_app
from downstroke.studio.guard import Settings
from downstroke.studio.jobs import Jobs
from downstroke.studio.uvicorn_server import GRACE_S, TURN_S, Server, config_of, listen

RETRY_S = 1.0
_SHARED_OUT = sys.platform == "linux"


def serve_by_many(settings: Settings, port: int, workers: int, ready: Callable[[int], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; `ready` is called with the port once all answer. DownstrokeError."""
    with ExitStack() as held:
        first = held.enter_context(listen(settings.host, port))  # says where the address is taken
        port = first.getsockname()[1]
        sockets = [first] * workers
        if _SHARED_OUT:
            first.close()
            sockets = [held.enter_context(listen(settings.host, port, shared=True)) for _ in range(workers)]
        held.enter_context(_ended_by_sigterm())
        every = [_Worker(settings, one) for one in sockets]
        held.callback(_end, every)
        for worker in every:
            worker.start()
        for worker in every:
            worker.wait_until_it_serves()
        ready(port)
        while True:
            for gone in wait([worker.sentinel for worker in every]):
                worker = next(worker for worker in every if worker.sentinel == gone)
                print("a worker of the studio ended and is started again", file=sys.stderr, flush=True)
                worker.start()
                try:
                    worker.wait_until_it_serves()
                except DownstrokeError:  # the others serve on; this one is tried again
                    time.sleep(RETRY_S)


class _Worker:
    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self._settings, self._listening = settings, listening
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._connection: Any = None

    def start(self) -> None:
        """Start its process, or the next one."""
        if self._connection is not None:
            self._connection.close()
        self._connection, theirs = self._context.Pipe()
        arguments = (theirs, self._settings, self._listening)
        self._process = self._context.Process(target=_work, args=arguments, daemon=True)
        with one_thread_each(), interrupts_blocked():
            self._process.start()
        theirs.close()

    @property
    def sentinel(self) -> int:
        return int(self._process.sentinel)

    def wait_until_it_serves(self) -> None:
        """DownstrokeError where it ends before."""
        try:
            self._connection.recv()
        except (EOFError, OSError):
            raise DownstrokeError("a worker of the studio ended while it started; what it printed is above") from None

    def ask_to_end(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def end(self) -> None:
        if self._process is not None:
            self._process.join(GRACE_S + 2)
            self._process.kill()
            self._process.join()


def _end(every: list[_Worker]) -> None:
    for worker in every:
        worker.ask_to_end()
    for worker in every:
        worker.end()


def _work(connection: Connection, settings: Settings, listening: socket.socket) -> None:
    """What a worker does: serve until the process that started it says so, or is gone."""
    with Jobs(settings.runs_dir, read_only=True) as jobs:
        app = create_app(settings, jobs)
        sys.setswitchinterval(TURN_S)
        server = Server(config_of(app), app.state.studio, lambda: connection.send("serves"))

        def end_with_the_other() -> None:
            with suppress(EOFError, OSError):
                connection.recv()
            app.state.studio.closing = True
            server.should_exit = True

        threading.Thread(target=end_with_the_other, daemon=True).start()
        server.run(sockets=[listening])


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends what is within as Ctrl-C does, and then this process as it would have."""
    told = False

    def end(number: int, frame: Any) -> None:
        nonlocal told
        told = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if told:
            signal.raise_signal(signal.SIGTERM)
