"""What the studio answers instead of doing it, each with its HTTP status."""

from __future__ import annotations

from downstroke.errors import DownstrokeError


class Refused(DownstrokeError):
    """A request that is not carried out; one line, and the status 4xx or 503 that goes with it."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status
