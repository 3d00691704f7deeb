"""Who may ask what, and how much of it: checked before anything else sees the request.

On loopback a page of another site can make a browser send requests here, by a cross-site form or by a name that is
made to point to 127.0.0.1 (DNS rebinding). It cannot choose the Host and Origin headers, cannot read the page that
holds the token, and cannot send an Authorization header without being asked first. Off loopback the token is asked for
always, and is never in the page.

A site that is named at start may ask this as well (CORS). The page that holds the token stays closed to it: to change
something it must be given the token by the person who has it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import secrets
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from downstroke.errors import DownstrokeError
from downstroke.studio.errors import Refused

MOST_BYTES = 64_000_000  # of a body with pictures
MOST_PLAIN = 1_000_000  # of any other: bytes
MOST_PARTS = 10_000  # of a body without pictures: commas, which part the things in it
MOST_BYTES_HELD = 256_000_000  # of all bodies that are being received or answered
BODY_S = 60.0  # in which a body must have come
ANSWER_S = 300.0  # in which an answer must have begun
LINGER_S = 2.0  # in which the rest of a body that is refused is heard, and forgotten
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_WITH_PICTURES = "/api/read"
_PORTS = {"http": 80, "https": 443}
_SAFE = ("GET", "HEAD", "OPTIONS")
_PREFLIGHT = {  # what a browser is told that it may send for a page of a named site
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}
_SHARED = ("/api/", "/healthz", "/openapi.json")  # beginnings of paths; never the page, which may hold the token
_OPEN = ("/", "/healthz", "/api", "/openapi.json")  # nothing of a person's is in them; the page itself asks for a token


@dataclass(frozen=True)
class Settings:
    """How one studio is served."""

    runs_dir: Path
    host: str = "127.0.0.1"
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    read_only: bool = False
    origins: tuple[str, ...] = ()  # of other sites whose pages may ask; as browsers write them, see `origin_of`

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address, as in a Host header but without a port, is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def origin_of(text: str) -> str:
    """An origin as browsers write it: scheme, host in lower case, and the port where it is not the scheme's own.

    Raises DownstrokeError for what is none, a pattern such as * among them: the API takes a token, and is opened to
    sites by their names alone.
    """
    wrong = DownstrokeError(
        f"{text!r} is not an origin; expected a scheme and a host such as https://example.org or "
        f"http://localhost:3000, without a path and without *"
    )
    try:
        parts = urlsplit(text.strip().lower().removesuffix("/"))
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    named = host and re.fullmatch(r"[a-z0-9._:-]+", host) and parts.netloc.rpartition("@")[0] == ""
    if not named or parts.scheme not in _PORTS or parts.path or parts.query or parts.fragment:
        raise wrong
    host = f"[{host}]" if ":" in str(host) else host
    return f"{parts.scheme}://{host}" + ("" if port in (None, _PORTS[parts.scheme]) else f":{port}")


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # an open bracket, say
        return None


class Guard:
    """ASGI middleware: refuses in one line of JSON, bounds the body and the time, and sets the security headers."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self._held = 0  # bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = False
        asked, hear = Headers(scope=scope), _Hearing(receive)
        shared = self._shares(asked, scope["path"])

        async def sending(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                self._head(MutableHeaders(scope=message), scope["path"], asked["origin"] if shared else None)
            await send(message)

        async def refuse(refused: Refused) -> None:
            answer = JSONResponse({"error": str(refused)}, refused.status, _more_headers(refused.status))
            await answer(scope, hear, hear.out(sending))

        held = 0

        def hold(size: int) -> None:
            nonlocal held
            if self._held + size > MOST_BYTES_HELD:
                raise Refused(503, "too many large requests at once; try again in a moment")
            held += size
            self._held += size

        try:
            self._admit(scope)
            if shared and scope["method"] == "OPTIONS" and "access-control-request-method" in asked:
                await Response(status_code=204, headers=_preflight(asked))(scope, receive, sending)
                return
            body = await _body(scope["path"], asked, hear, hold)
            async with asyncio.timeout(ANSWER_S) as patience:

                async def answering(message: Message) -> None:
                    patience.reschedule(None)  # it has begun: a stream of events may last
                    await sending(message)

                await self.app(scope, _replay(body, receive), answering)
        except Refused as refused:
            await refuse(refused)
        except asyncio.CancelledError:  # the server ends, and has waited for this as long as it waits
            if not began:
                await refuse(
                    Refused(503, "the studio is shutting down and dropped this request; try again when it is back")
                )
        except Exception as error:
            if began:
                raise
            if not isinstance(error, TimeoutError):
                traceback.print_exception(error)
                await refuse(Refused(500, "something unexpected happened; the studio's own log says what"))
                return
            await refuse(Refused(503, f"this took longer than {ANSWER_S:g} s and was cancelled; ask for less"))
        finally:
            self._held -= held

    def _head(self, headers: MutableHeaders, path: str, site: str | None) -> None:
        """Add to an answer's headers what every one has; `site`: the one whose page asks, where it may."""
        headers.update(HEADERS)
        if path.startswith("/api"):
            headers["Cache-Control"] = "no-store"
        if self.settings.origins:
            headers.add_vary_header("Origin")
        if site is not None:
            headers["Access-Control-Allow-Origin"] = site
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"

    def _admit(self, scope: Scope) -> None:
        """Refused where the request is not one that this page or a program with the token makes."""
        headers, path, changes = Headers(scope=scope), scope["path"], scope["method"] not in _SAFE
        host = headers.get("host", "")
        if self.settings.loopback and not is_loopback(_name_of(host)):
            raise Refused(403, f"the Host header is {host!r}; this studio answers only to 127.0.0.1 and localhost")
        origin = headers.get("origin")
        foreign = origin is not None and _netloc(origin) != host
        foreign = foreign or headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if (changes or path not in _OPEN) and foreign and not self._shares(headers, path):
            raise Refused(
                403,
                f"pages of {origin or 'another site'} may not use this studio; "
                "start it with --allow-origin SITE to let a site's pages use it",
            )
        preflight = scope["method"] == "OPTIONS" and self._shares(headers, path)  # browsers send it without the token
        if self._needs_token(path, changes) and not preflight and not self._has_token(headers):
            raise Refused(401, "the token is missing or wrong; send the header Authorization: Bearer TOKEN")
        if self.settings.read_only and changes and path != _WITH_PICTURES:
            raise Refused(403, "this studio is read-only; nothing can be changed through it")

    def _shares(self, headers: Headers, path: str) -> bool:
        """Whether a page of a named site asks, for something that such a page may have."""
        return headers.get("origin") in self.settings.origins and path.startswith(_SHARED)

    def _needs_token(self, path: str, changes: bool) -> bool:
        if not self.settings.loopback:
            return not (path in _OPEN or path.startswith("/static/"))
        return changes and path != _WITH_PICTURES

    def _has_token(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        right = secrets.compare_digest(given.strip().encode(), self.settings.token.encode())
        return kind.lower() == "bearer" and right


class _Hearing:
    """Receives a request, and knows whether all of it has come."""

    def __init__(self, receive: Receive) -> None:
        self.receive, self.whole = receive, False

    async def __call__(self) -> Message:
        message = await self.receive()
        self.whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    def out(self, send: Send) -> Send:
        """Sends an answer, and ends it when the rest of the request has come, which nobody reads.

        A connection that is closed while a body still comes is reset, and the answer is lost with it.
        """

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.body":
                await send({**message, "more_body": True})
                with suppress(TimeoutError):
                    async with asyncio.timeout(LINGER_S):
                        while not self.whole:
                            await self()
                message = {"type": "http.response.body"}
            await send(message)

        return sending


def _preflight(headers: Headers) -> dict[str, str]:
    """The answer to a browser that asks what a page of a named site may send."""
    private = headers.get("access-control-request-private-network") == "true"  # from the internet to this machine
    return {**_PREFLIGHT, **({"Access-Control-Allow-Private-Network": "true"} if private else {})}


async def _body(path: str, headers: Headers, receive: Receive, hold: Callable[[int], None]) -> list[bytes]:
    """The whole body in parts, each held. Refused(413) where it is too much, Refused(408) where it does not come."""
    if path == _WITH_PICTURES:
        return await _received(headers, receive, hold, MOST_BYTES, "send fewer or smaller pictures")
    parts = await _received(headers, receive, hold, MOST_PLAIN, "send less")
    if sum(part.count(b",") for part in parts) > MOST_PARTS:  # before anything parses it
        raise Refused(413, f"the request has more than {MOST_PARTS:,} parts; send fewer")
    return parts


async def _received(
    headers: Headers, receive: Receive, hold: Callable[[int], None], most: int, what: str
) -> list[bytes]:
    """As `_body`, of any `most` bytes; `what` to do about more."""
    too_long = Refused(413, f"the request is larger than {most // 10**6} MB; {what}")
    length = headers.get("content-length", "0")
    if length.isdigit() and (len(length) > 15 or int(length) > MOST_BYTES):
        raise too_long
    parts, total = [], 0
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":  # whoever asked has gone
                    raise Refused(400, "the request ended before it was whole")
                part = message.get("body", b"")
                total += len(part)
                # A little too long is heard to its end and forgotten: who still sends would not hear the answer.
                ended = not message.get("more_body", False)
                if total > MOST_BYTES or (ended and total > most):
                    raise too_long
                if total <= most:
                    parts.append(part)
                    hold(len(part))
                if ended:
                    return parts
    except TimeoutError:
        raise Refused(408, f"the request did not arrive within {BODY_S:g} s; send it again") from None


def _replay(parts: list[bytes], receive: Receive) -> Receive:
    """Gives the parts of a body as they came, and lets go of each: large ones are copied as seldom as can be."""
    parts.reverse()
    first = True

    async def again() -> Message:
        nonlocal first
        if not parts:
            return await receive()  # only a disconnect can follow
        if not first:
            await asyncio.sleep(0)  # the event loop has others to answer
        first = False
        return {"type": "http.request", "body": parts.pop(), "more_body": bool(parts)}

    return again


def _name_of(host: str) -> str:
    """The name or address in a Host header, without brackets and port; nothing where it is not just that."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f.]*:[0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::([0-9]{1,5}))?", host)
    if not found or int(found[3] or 0) > 65535:
        return ""
    return found[1] or found[2]


def _more_headers(status: int) -> dict[str, str]:
    return {401: {"WWW-Authenticate": "Bearer"}, 413: {"Connection": "close"}, 408: {"Connection": "close"}}.get(
        status, {}
    )
