"""The HTTP server: uvicorn with bounds on waiting, on a socket of our own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from downstroke.errors import DownstrokeError
from downstroke.studio.app_state import Studio

MOST_CONNECTIONS = 500
FIRST_S = 30.0  # in which the headers of a request must have come, of the first one from the connection on
TURN_S = 0.0005  # of Python's threads: after each send the event loop would wait 5 ms for one that reads
GRACE_S = 3  # for answers under way, when the server is asked to end


class _Patient(H11Protocol):
    """A connection on which no request comes, or one whose headers do not end, is closed; uvicorn itself waits on."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._wait_no_more()
        elif self._waiting is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()  # the headers of a next request have begun to come

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(FIRST_S, self._give_up)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """Tells who watches that it ends; says when it serves."""

    def __init__(self, config: uvicorn.Config, studio: Studio, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._studio, self._ready = studio, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._studio.closing = True
        super().handle_exit(sig, frame)


def config_of(app: FastAPI) -> uvicorn.Config:
    """How uvicorn is to serve it."""
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        http=_Patient,
        ws="none",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
        proxy_headers=False,
    )


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket at an address; `shared`: others may listen there, too. DownstrokeError where it is taken."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Named, because asyncio sends at once (TCP_NODELAY) only on sockets that say that they are TCP.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DownstrokeError(f"cannot listen on {host}:{port} ({reason}); choose another --port or --host") from None
    return listening
