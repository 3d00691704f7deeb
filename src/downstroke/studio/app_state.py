"""What the routes share (`app.state.studio`): jobs, views, readers, and answers made outside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from downstroke.runs import files
from downstroke.studio import stream
from downstroke.studio.errors import Refused
from downstroke.studio.guard import Settings
from downstroke.studio.jobs import Jobs
from downstroke.studio.uploads import Wanted
from downstroke.studio.views import Views

if TYPE_CHECKING:
    from downstroke.runs.inside import Inside
    from downstroke.studio.reading import Readers

MOST_STREAMS = 100
MOST_HEAVY = 8  # requests for heavy work, waiting or at it
T = TypeVar("T")


class Answer(JSONResponse):
    """Strict JSON: a number that is not finite is null."""

    def render(self, content: Any) -> bytes:
        return files.dumps(content, indent=None).encode()


async def answer(work: Callable[[], Any], status: int = 200) -> Response:
    """What `work` gives, as JSON, both made in a thread: the event loop has others to answer."""
    return await asyncio.to_thread(lambda: Answer(work(), status))


class _Watched(StreamingResponse):
    """A stream that counts from when it is sent to its end: one that is never sent is never counted."""

    def __init__(self, studio: Studio, events: AsyncIterator[str]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._studio = studio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._studio.streams >= MOST_STREAMS:
            await Answer({"error": "too many pages follow trainings already; close one"}, 503)(scope, receive, send)
            return
        self._studio.streams += 1  # nothing is awaited since the question: a burst cannot pass it
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._studio.streams -= 1


class Studio:
    """One studio, being served."""

    def __init__(self, settings: Settings, jobs: Jobs) -> None:
        self.settings, self.jobs, self.views = settings, jobs, Views(jobs)
        self.closing = False
        self.streams = 0  # being sent
        self._one = asyncio.Semaphore(1)
        self._heavy = 0
        self._readers: asyncio.Future[Readers] | None = None
        self._inside: tuple[tuple[str, Any], Inside] | None = None

    async def readers(self) -> Readers:
        """Loaded once; pages are served meanwhile."""
        if self._readers is None:
            self._readers = asyncio.ensure_future(asyncio.to_thread(_load_readers))
        return await asyncio.shield(self._readers)

    async def read(self, wanted: Wanted) -> bytes:
        """JSON, the objects of `downstroke read --json` in the order of the pictures. Refused(404), Refused(503)."""
        readers = await self.readers()
        reader = readers.shipped
        if wanted.run is not None:
            reader = await asyncio.to_thread(lambda: readers.of_run(self.jobs.open(wanted.run or "")))
        readings = await readers.read(reader, wanted)
        return b'{"readings": [' + b", ".join(readings) + b"]}"

    async def heavy(self, work: Callable[[], Any]) -> Response:
        """As `answer`, of work that keeps the processors busy for seconds: one at a time, few waiting. Refused(503)."""
        if self._heavy >= MOST_HEAVY:
            raise Refused(503, "the studio is busy; try again in a minute")
        self._heavy += 1
        # Whoever asked may go, or be given up: a thread cannot, and nothing heavy begins before it has ended.
        return await asyncio.shield(asyncio.ensure_future(self._one_at_a_time(work)))

    async def _one_at_a_time(self, work: Callable[[], Any]) -> Response:
        try:
            async with self._one:
                return await answer(work)
        finally:
            self._heavy -= 1

    def inside(self, name: str) -> Inside:
        """A run opened for looking inside; the last one is kept, for its images are many. Refused(404)."""
        from downstroke.runs.inside import Inside

        run = self.jobs.open(name)
        key = name, run.environment.get("made")
        if self._inside is None or self._inside[0] != key:
            self._inside = key, Inside(run)
        return self._inside[1]

    async def events(self, name: str, since_step: int | None) -> Response:
        """The run's events, until the studio ends; 503 where too many watch."""
        return _Watched(self, stream.events(self.views, name, since_step, lambda: self.closing))

    def ask(self, name: str, wish: Literal["pause", "stop"]) -> dict[str, Any]:
        """Pause a training or stop it: the run as it is then. Refused(404), Refused(409)."""
        before = self.views.run(name)
        self.jobs.ask(name, wish)
        try:
            return self.views.run(name)
        except Refused:  # it only waited, and has left the queue
            return {**before, "state": "idle", "error": None}


def _load_readers() -> Readers:
    from downstroke.studio.reading import Readers

    return Readers()
