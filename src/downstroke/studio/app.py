"""The application: the guard, the routes, the page and its files, and errors in one line each."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from downstroke.errors import DownstrokeError, missing
from downstroke.studio import routes, schemas
from downstroke.studio.app_state import Answer, Studio
from downstroke.studio.errors import Refused
from downstroke.studio.guard import Guard, Settings
from downstroke.studio.jobs import Jobs
from downstroke.studio.openapi import as_page, completed, methods_of
from downstroke.studio.uploads import in_words

STATIC = Path(__file__).with_name("static")


def create_app(settings: Settings, jobs: Jobs) -> FastAPI:
    """The studio of one runs folder, whose jobs are open; to be served by any ASGI server. `app.state.studio` is it."""
    studio = Studio(settings, jobs)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.ensure_future(studio.readers())
        yield
        studio.closing = True
        (await loading).close()

    app = FastAPI(
        title="downstroke studio",
        version=version("downstroke"),
        summary="Train, watch, examine and read with networks that read handwritten digits.",
        description=(
            "The JSON is that of the commands. What changes something needs the header `Authorization: Bearer TOKEN`, "
            "with the token printed at start; off loopback, everything does. A number that is not finite is null."
        ),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        default_response_class=Answer,
        redirect_slashes=False,
    )
    app.state.studio = studio
    app.add_middleware(Guard, settings=settings)
    for router in (routes.reading, routes.runs, routes.training, routes.results):  # routes are tried in this order
        app.include_router(router(studio))
    _pages(app, studio)
    described = completed(app.openapi())
    _answer_errors(app, methods_of(described))
    app.openapi = lambda: described  # type: ignore[method-assign]
    return app


def _answer_errors(app: FastAPI, methods: Callable[[str], list[str]]) -> None:
    @app.exception_handler(DownstrokeError)
    async def named(request: Request, error: DownstrokeError) -> Response:
        status = error.status if isinstance(error, Refused) else 400
        return Answer({"error": " ".join(str(error).split())}, status)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        line, headers = error.detail, error.headers
        if error.status_code == 404:
            line = f"there is nothing at {request.url.path}; /api lists what there is"
        if error.status_code == 405:  # a route knows of its own method alone
            headers = {"Allow": ", ".join(methods(request.url.path) or ["GET"])}
            line = f"{request.url.path} takes {headers['Allow']}, not {request.method}"
        return Answer({"error": line}, error.status_code, headers)

    @app.exception_handler(ImportError)
    async def not_installed(request: Request, error: ImportError) -> Response:
        if (line := missing(error)) is None:
            raise error
        return Answer({"error": line}, 501)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return Answer({"error": in_words(error.errors())}, 422)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        return Answer({"error": "something unexpected happened; the studio's own log says what"}, 500)


def _pages(app: FastAPI, studio: Studio) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        text = (STATIC / "index.html").read_text(encoding="utf-8")
        if studio.settings.loopback:  # whoever can open it here could read the token on the terminal as well
            tag, token = r'(<meta name="downstroke-token" content=")[^"]*"', html.escape(studio.settings.token)
            text = re.sub(tag, lambda found: f'{found[1]}{token}"', text)
        return HTMLResponse(text, headers={"Cache-Control": "no-store"})

    ours = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*.*")}

    @app.get("/static/{name:path}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in ours:
            raise HTTPException(404)
        return FileResponse(ours[name], headers={"Cache-Control": "no-cache"})

    @app.get(
        "/healthz",
        tags=["server"],
        summary="Whether it answers",
        response_model=schemas.Health,
        responses=routes.errors(413, 403, 500, 503),
    )
    async def healthz() -> Response:
        return Answer({"status": "ok", "version": app.version})

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(app.openapi())

    @app.get("/api", include_in_schema=False)
    async def api() -> Response:
        return HTMLResponse(as_page(app.openapi()))
