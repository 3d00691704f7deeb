"""Reading for many at once: the network sees the glyphs of all pictures that wait, in one batch.

Small pictures are taken by one thread, all that wait at a time: a thread a picture would spend more on taking turns
than on reading. Those of many pixels or with many marks, which may take seconds, have threads of their own, so that a
drawing never waits for them.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from downstroke.errors import PictureError
from downstroke.reading.effort import Effort, TooLongError
from downstroke.reading.reader import Prepared, Reader, Reading
from downstroke.runs.files import dumps
from downstroke.runs.run import Run
from downstroke.studio.errors import Refused
from downstroke.studio.uploads import Picture, Wanted

SMALL = 160_000  # pixels; the pad sends 400 across
QUICK = 2e6  # what a small picture may take, as `Effort` counts, before it is one for the other threads
AT_ONCE = 32  # small pictures taken at a time
MOST_UNDER_WAY = 1024  # pictures
KEPT = 4  # readers, loaded


@dataclass(frozen=True)
class _Task:
    """A picture to be read, and who waits for the JSON of its reading."""

    reader: Reader
    picture: Picture
    wanted: Wanted
    answer: asyncio.Future[bytes]

    @property
    def small(self) -> bool:
        """Whether it can be read while a drawing waits, by its size."""
        return self.picture.pixels is not None and self.picture.pixels <= SMALL

    def prepare(self, quick: float | None) -> Prepared:
        """PictureError; TooLongError where it takes more than `quick`."""
        content = self.picture.content
        if content is None:
            raise PictureError(self.picture.error)
        digit = self.wanted.digit or not isinstance(content, bytes)  # grey levels of a glyph's size are one digit
        return self.reader.prepare(content, digit=digit, explain=self.wanted.explain, effort=Effort(quick))

    def told(self, reading: Reading) -> bytes:
        """The object of `downstroke read --json`; with `explain` each digit has its `glyph`, 28 rows of 28 levels."""
        values = (reading.strict() if self.wanted.strict else reading).to_dict()
        if self.wanted.explain:
            for line, shown in zip(reading.lines, values["lines"], strict=True):
                for digit, dictionary in zip(line.digits, shown["digits"], strict=True):
                    dictionary["glyph"] = digit.steps.glyph.tolist() if digit.steps else None
        return dumps({**values, "file": self.picture.name}, indent=None).encode()

    def failed(self, error: PictureError) -> bytes:
        """The same of a picture that cannot be read."""
        line, name = str(error).removeprefix("-: "), self.picture.name  # that is what bytes are called
        line = line if line.startswith(f"{name}: ") else f"{name}: {line}"
        return dumps(Reading(name, error=line).to_dict(), indent=None).encode()


class Readers:
    """The shipped reader and those of runs, and the threads that read with them."""

    def __init__(self) -> None:
        self._kept: dict[Any, Reader] = {}
        self._lock = threading.Lock()
        self._under_way = 0
        self._small: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._large = ThreadPoolExecutor(os.cpu_count(), "large pictures")
        self._thread = threading.Thread(target=self._work, name="small pictures", daemon=True)
        self.shipped = self._kept_or(Reader.shipped)
        self._thread.start()

    def close(self) -> None:
        """End when what is under way is done."""
        self._small.put(None)
        self._thread.join()
        self._large.shutdown(cancel_futures=True)

    def of_run(self, run: Run) -> Reader:
        """A reader with a run's best weights as they are now. RunError, CheckpointError."""
        position = run.position
        return self._kept_or(lambda: Reader.open(run), run.folder, position.get("step"), position.get("best_epoch"))

    def _kept_or(self, make: Callable[[], Reader], *key: Any) -> Reader:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
                while len(self._kept) > KEPT:
                    del self._kept[next(iter(self._kept))]
            return self._kept[key]

    async def read(self, reader: Reader, wanted: Wanted) -> list[bytes]:
        """The JSON of each picture's reading, in order; errors are in it. Refused(503) where too many wait."""
        count = len(wanted.pictures)
        if self._under_way + count > MOST_UNDER_WAY:
            raise Refused(503, "too many pictures wait to be read; try again in a moment")
        loop = asyncio.get_running_loop()
        tasks = [_Task(reader, picture, wanted, loop.create_future()) for picture in wanted.pictures]
        self._under_way += count
        try:
            for task in tasks:
                if task.small:
                    self._small.put(task)
                else:
                    self._large.submit(_read, [task])
            return await asyncio.gather(*(task.answer for task in tasks))
        finally:
            self._under_way -= count

    def _work(self) -> None:
        while (task := self._small.get()) is not None:
            gathered = [task]
            while len(gathered) < AT_ONCE and not self._small.empty():
                following = self._small.get()
                if following is None:
                    self._small.put(None)
                    break
                gathered.append(following)
            for task in _read(gathered, QUICK):
                self._large.submit(_read, [task])


def _read(tasks: Sequence[_Task], quick: float | None = None) -> list[_Task]:
    """Read pictures, with one look of each network at the glyphs of all; whoever waits is told, whatever happens.

    Those that take more than `quick` are given back, unread.
    """
    answers: list[tuple[_Task, bytes | Exception]] = []
    prepared: list[tuple[_Task, Prepared]] = []
    for task in tasks:
        try:
            prepared.append((task, task.prepare(quick)))
        except PictureError as error:
            answers.append((task, task.failed(error)))
        except Exception as error:
            answers.append((task, error))
    for reader in {id(task.reader): task.reader for task, _ in prepared}.values():
        answers += _answers(reader, [(task, made) for task, made in prepared if task.reader is reader])
    tasks[0].answer.get_loop().call_soon_threadsafe(
        _deliver, [(task, answer) for task, answer in answers if not isinstance(answer, TooLongError)]
    )
    return [task for task, answer in answers if isinstance(answer, TooLongError)]


def _answers(reader: Reader, asked: list[tuple[_Task, Prepared]]) -> list[tuple[_Task, bytes | Exception]]:
    try:
        logits = reader.logits(np.concatenate([made.glyphs for _, made in asked]))
        own = np.split(logits, np.cumsum([len(made.glyphs) for _, made in asked])[:-1])
    except Exception as error:
        return [(task, error) for task, _ in asked]
    answers: list[tuple[_Task, bytes | Exception]] = []
    for (task, made), part in zip(asked, own, strict=True):
        try:
            answers.append((task, task.told(made.read(part))))
        except PictureError as error:
            answers.append((task, task.failed(error)))
        except Exception as error:
            answers.append((task, error))
    return answers


def _deliver(answers: list[tuple[_Task, bytes | Exception]]) -> None:
    for task, answer in answers:
        if task.answer.done():  # whoever asked has gone
            continue
        if isinstance(answer, bytes):
            task.answer.set_result(answer)
        else:
            task.answer.set_exception(answer)
