"""Reading with several processes: readings in the order of the pictures, also where a picture crashes its reader.

A process has one picture at a time, so that it is known which one a process that ended was at: that picture is read
again by a new process, and given up where that ends, too. The pools of the standard library break as a whole there.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from downstroke.errors import DownstrokeError, RunError, shown
from downstroke.glyphs.picture import Source
from downstroke.reading.outcome import Reading

if TYPE_CHECKING:
    from downstroke.reading.field import Field

AHEAD = 4  # pictures a process may be ahead of the one that is given out next: what bounds memory
TRIES = 2
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
Asked = tuple[Source, "Sequence[Field]"]


@dataclass(frozen=True)
class Origin:
    """Where a reader has its weights from, so that another process can open it; `run` None: the shipped reader."""

    run: str | None = None
    trust: bool = False


def read_in_processes(
    origin: Origin,
    pictures: Iterable[Any],
    jobs: int,
    fields: Sequence[Field] | Callable[[Source], Sequence[Field]] = (),
    **how: Any,
) -> Iterator[Reading]:
    """As `Reader.read_all`, by `jobs` processes of one thread each; memory does not grow with the pictures.

    Raises RunError where the processes cannot begin, and what the reader itself raises.
    """
    found = (Source.of(picture) for picture in pictures)
    asked = ((source, list(fields(source) if callable(fields) else fields)) for source in found)
    pool = _Pool(origin, how)
    try:
        yield from _in_order(pool, asked, jobs)
    finally:
        pool.end()


def _in_order(pool: _Pool, asked: Iterator[Asked], jobs: int) -> Iterator[Reading]:
    held: dict[int, Asked] = {}  # being read, or to be read again
    again: deque[int] = deque()
    tries: dict[int, int] = {}
    done: dict[int, list[Reading]] = {}
    taken = given = 0
    more = True
    while True:
        while len(pool.busy) < jobs:
            if again:
                index = again.popleft()
            elif more and taken - given < AHEAD * jobs:
                one = next(asked, None)
                if one is None:
                    more = False
                    continue
                index, taken = taken, taken + 1
                held[index] = one
            else:
                break
            pool.give(index, held[index])
        if given in done:
            yield from done.pop(given)
            given += 1
            continue
        if not pool.busy:
            return
        for index, readings in pool.wait():
            if isinstance(readings, list):
                done[index] = readings
                del held[index]
                continue
            tries[index] = tries.get(index, 0) + 1
            if tries[index] < TRIES:
                again.append(index)
            else:
                source, _ = held.pop(index)
                line = f"{shown(source.name)}: the process that read it ended {readings}, {TRIES} times; it is left out"
                done[index] = [Reading(source.path, page=source.page, error=line, opened=False)]


class _Pool:
    """Processes that read: idle ones, and busy ones with the index of their picture."""

    def __init__(self, origin: Origin, how: dict[str, Any]) -> None:
        self._context = multiprocessing.get_context("spawn")  # a fork would copy the locks of threads
        self._arguments = (origin, how)
        self._idle: list[_Process] = []
        self.busy: dict[Connection, tuple[int, _Process]] = {}

    def give(self, index: int, asked: Asked) -> None:
        """Have a picture read, by a new process if none is idle."""
        while self._idle:
            process = self._idle.pop()
            if process.send(asked):
                self.busy[process.connection] = index, process
                return
            process.end()
        process = _Process(self._context, self._arguments)
        process.send(asked)
        self.busy[process.connection] = index, process

    def wait(self) -> list[tuple[int, list[Reading] | str]]:
        """Index and readings of each that is done, as soon as one is; how the process ended, where it did."""
        told: list[tuple[int, list[Reading] | str]] = []
        for connection in wait(list(self.busy)):
            assert isinstance(connection, Connection)
            index, process = self.busy[connection]
            answer = process.answer()
            if answer is None:  # it has begun
                continue
            del self.busy[connection]
            if isinstance(answer, list):
                self._idle.append(process)
            told.append((index, answer))
        return told

    def end(self) -> None:
        """End all of them, at once."""
        for process in (*self._idle, *(process for _, process in self.busy.values())):
            process.end()


class _Process:
    def __init__(self, context: Any, arguments: tuple[Origin, dict[str, Any]]) -> None:
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, *arguments), daemon=True)
        self._begun = False
        with one_thread_each(), interrupts_blocked():
            self._process.start()
        theirs.close()

    def send(self, asked: Asked) -> bool:
        """Whether the process is still there to hear it."""
        try:
            self.connection.send(asked)
        except OSError:
            return False
        return True

    def answer(self) -> list[Reading] | str | None:
        """Readings; how it ended, in words; or None where it says that it has begun."""
        try:
            told = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            how = f"(signal {-code})" if code is not None and code < 0 else f"(exit code {code})"
            self.end()
            if not self._begun:
                raise RunError(
                    f"a reading process ended while it started {how}; use one process: jobs 1. In a script, call this "
                    f'under `if __name__ == "__main__":`'
                ) from None
            return how
        if isinstance(told, DownstrokeError):
            raise told
        self._begun = True
        return told if isinstance(told, list) else None

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


def _work(connection: Connection, origin: Origin, how: dict[str, Any]) -> None:
    """What a process does: read each picture that it is sent, until nobody is there to send more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it hears it, and ends this
    import cv2

    from downstroke.reading.reader import Reader

    cv2.setNumThreads(1)
    with suppress(EOFError, OSError):
        try:
            reader = Reader.shipped() if origin.run is None else Reader.open(origin.run, trust=origin.trust)
            connection.send("begun")
            while True:
                source, fields = connection.recv()
                connection.send(list(reader.read_all([source], fields=fields, **how)))
        except DownstrokeError as error:
            connection.send(RunError(str(error)))


@contextmanager
def one_thread_each() -> Iterator[None]:
    """What is started within computes with one thread: there are as many processes as are wanted."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Processes started within ignore Ctrl-C, even while they are loading; this process gets it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
