"""`downstroke studio`: start one process or several, print the address, open the browser."""

from __future__ import annotations

import socket
import sys
import threading
import webbrowser
from collections.abc import Callable

from downstroke.errors import DownstrokeError
from downstroke.studio.app import create_app
from downstroke.studio.guard import Settings
from downstroke.studio.jobs import Jobs
from downstroke.studio.uvicorn_server import TURN_S, Server, config_of, listen


def serve(
    settings: Settings, port: int, *, workers: int = 1, browser: bool, say: Callable[[dict[str, str]], None]
) -> None:
    """Serve until Ctrl-C. `say` is called with {url, token} once it answers. DownstrokeError where it cannot.

    `workers`: how many processes; more than one where it is read-only.
    """

    def ready(port: int) -> None:
        host = settings.host if settings.host not in ("0.0.0.0", "::") else socket.gethostname()
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        say({"url": url, "token": settings.token})
        if browser:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    if workers > 1:
        if not settings.read_only:
            raise DownstrokeError("several workers need a read-only studio; add --read-only, or use one worker")
        from downstroke.studio.workers import serve_by_many

        serve_by_many(settings, port, workers, ready)
        return
    with listen(settings.host, port) as listening, Jobs(settings.runs_dir, read_only=settings.read_only) as jobs:
        app = create_app(settings, jobs)
        sys.setswitchinterval(TURN_S)
        server = Server(config_of(app), app.state.studio, lambda: ready(listening.getsockname()[1]))
        server.run(sockets=[listening])
