"""A run's events, server-sent, for whoever watches. The folder is the truth; it is looked at four times a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from downstroke.errors import DownstrokeError
from downstroke.runs import files
from downstroke.studio import follow
from downstroke.studio.views import Views

LOOK_S = 0.25
ALIVE_S = 10.0  # between two comments that keep the connection open


async def events(views: Views, name: str, since_step: int | None, closing: Callable[[], bool]) -> AsyncIterator[str]:
    """`state` at once and at every change; `steps`, `epoch` and `advice` as they come. Ends where the run goes.

    With `since_step`, what came after that step is told first; without, what is recorded already is not told.
    """
    folder = views.jobs.folder(name)
    steps, epochs = follow.of_steps(folder), follow.of_epochs(folder)
    if since_step is None:
        for tail in (steps, epochs):
            await asyncio.to_thread(tail.pass_over)
    else:
        steps.after, epochs.after = since_step, since_step
    shown: dict[str, Any] = {}
    said = time.monotonic()
    while not closing():
        try:
            told, shown = await asyncio.to_thread(_look, views, name, shown, steps, epochs)
        except DownstrokeError:
            return
        for event, data in told:
            said = time.monotonic()
            yield f"event: {event}\ndata: {files.dumps(data, indent=None)}\n\n"
        if time.monotonic() - said > ALIVE_S:
            said = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(LOOK_S)


def _look(
    views: Views, name: str, before: dict[str, Any], steps: follow.Tail, epochs: follow.Tail
) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """(events, what is shown of the run now)."""
    new_steps, new_epochs = steps.new(), epochs.new()
    shown = views.run(name)
    told: list[tuple[str, Any]] = [("state", shown)] if shown != before else []
    if new_steps:
        told.append(("steps", {"rows": new_steps, "progress": views.progress_of(shown)}))
    told += [("epoch", row) for row in new_epochs]
    if before and shown["advice"] != before["advice"] and shown["advice"] is not None:
        told.append(("advice", shown["advice"]))
    return told, shown
