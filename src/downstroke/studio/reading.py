"""Reading for many at once: pictures are made ready in threads, and the network sees the glyphs of all that wait.

A picture's own work (decode, find the ink, cut) is Python and OpenCV, done by as many threads at a time as there are
processors. Each then waits for its logits; one thread takes the glyphs of all who wait, has the network read them in
one batch, and gives each their own rows back.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from downstroke.errors import PictureError
from downstroke.reading.reader import AT_ONCE, Reader, Reading
from downstroke.runs.files import dumps
from downstroke.runs.run import Run
from downstroke.studio.intake import Picture, Wanted
from downstroke.studio.refused import Refused

THREADS = 64  # pictures being read at once, most of them waiting for the network
KEPT = 4  # readers of runs, loaded
MOST_UNDER_WAY = 1024  # pictures, waiting for a thread or being read
PROCESSORS = os.cpu_count() or 1


class Batches:
    """The one thread that asks networks for logits."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Reader, NDArray[np.uint8], Future[Tensor]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="logits", daemon=True)
        self._thread.start()

    def ask(self, reader: Reader, glyphs: NDArray[np.uint8]) -> Tensor:
        """The reader's logits of uint8 [N,28,28], float32 [N,C]; waits for its turn."""
        answer: Future[Tensor] = Future()
        self._waiting.put((reader, glyphs, answer))
        return answer.result()

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            gathered, total = [first], len(first[1])
            while total < AT_ONCE:
                try:
                    following = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    self._waiting.put(None)
                    break
                gathered.append(following)
                total += len(following[1])
            for reader in {id(reader): reader for reader, _, _ in gathered}.values():
                self._read(reader, [(glyphs, answer) for other, glyphs, answer in gathered if other is reader])

    @staticmethod
    def _read(reader: Reader, asked: list[tuple[NDArray[np.uint8], Future[Tensor]]]) -> None:
        try:
            logits = reader.logits(np.concatenate([glyphs for glyphs, _ in asked]))
        except Exception as error:  # whoever waits is told, and this thread goes on
            for _, answer in asked:
                answer.set_exception(error)
            return
        start = 0
        for glyphs, answer in asked:
            answer.set_result(logits[start : start + len(glyphs)])
            start += len(glyphs)


class _Shared(Reader):
    """A reader that has its logits from the shared batches, and does not hold a processor while it waits."""

    def __init__(self, own: Reader, batches: Batches, processors: threading.Semaphore) -> None:
        self.__dict__.update(own.__dict__)
        self._own, self._batches, self._processors = own, batches, processors

    def logits(self, glyphs: NDArray[np.uint8]) -> Tensor:
        self._processors.release()
        try:
            return self._batches.ask(self._own, glyphs)
        finally:
            self._processors.acquire()


class Readers:
    """Readers that share batches: the shipped one, and those of runs."""

    def __init__(self) -> None:
        self._batches = Batches()
        self._processors = threading.Semaphore(PROCESSORS)
        self._pool = ThreadPoolExecutor(THREADS, "reading")
        self._kept: dict[Any, _Shared] = {}
        self._lock = threading.Lock()
        self._under_way = 0
        self.shipped = self._kept_or(Reader.shipped)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._batches.close()

    def of_run(self, run: Run) -> Reader:
        """The reader of a run's best W as it is now. RunError, CheckpointError."""
        position = run.position
        return self._kept_or(lambda: Reader.open(run), run.folder, position.get("step"), position.get("best_epoch"))

    def _kept_or(self, make: Callable[[], Reader], *key: Any) -> Reader:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = _Shared(make(), self._batches, self._processors)
                while len(self._kept) > KEPT:
                    del self._kept[next(iter(self._kept))]
            return self._kept[key]

    def submit(self, reader: Reader, wanted: Wanted) -> list[Future[bytes]]:
        """Read pictures, each into the JSON of its reading; its error is in it. Refused(503) where too many wait."""
        with self._lock:
            if self._under_way + len(wanted.pictures) > MOST_UNDER_WAY:
                raise Refused(503, "too many pictures wait to be read; try again in a moment")
            self._under_way += len(wanted.pictures)
        futures = [self._pool.submit(self._read, reader, picture, wanted) for picture in wanted.pictures]
        for future in futures:
            future.add_done_callback(self._done)
        return futures

    def _done(self, future: Future[bytes]) -> None:
        with self._lock:
            self._under_way -= 1

    def _read(self, reader: Reader, picture: Picture, wanted: Wanted) -> bytes:
        with self._processors:
            reading = _reading(reader, picture, wanted)
            told = reading.strict() if wanted.strict else reading
            return dumps(_to_json(told, wanted.explain), indent=None).encode()


def _reading(reader: Reader, picture: Picture, wanted: Wanted) -> Reading:
    if picture.content is None:
        return Reading(picture.name, error=picture.error)
    digit = wanted.digit or not isinstance(picture.content, bytes)  # grey levels of a glyph's size are one digit
    try:
        found = reader.read(picture.content, digit=digit, explain=wanted.explain)
    except PictureError as error:
        line = str(error)
        return Reading(picture.name, error=f"{picture.name}{line[1:]}" if line.startswith("-: ") else line)
    return Reading(picture.name, found.lines, found.error, found.notes)


def _to_json(reading: Reading, explain: bool) -> dict[str, Any]:
    """The object of `downstroke read --json`; with `explain` each digit has its `glyph`, 28 rows of 28 levels."""
    values = reading.to_dict()
    if explain:
        for line, shown in zip(reading.lines, values["lines"], strict=True):
            for digit, dictionary in zip(line.digits, shown["digits"], strict=True):
                dictionary["glyph"] = digit.steps.glyph.tolist() if digit.steps else None
    return values
