"""The HTTP API and the page: each route asks the rooms below and answers in JSON."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Body, FastAPI, Query, Request
from fastapi import Path as PathPart
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from downstroke.errors import DownstrokeError
from downstroke.recipe import RECIPES, Recipe
from downstroke.runs import files
from downstroke.studio import shapes, stream, views
from downstroke.studio.describe import READ_BODY, as_page, completed
from downstroke.studio.guard import Guard, Settings
from downstroke.studio.intake import Wanted, from_form, from_json, in_words
from downstroke.studio.jobs import Jobs
from downstroke.studio.keep import keep
from downstroke.studio.refused import Refused
from downstroke.studio.views import Views

STATIC = Path(__file__).with_name("static")
MOST_STREAMS = 100
if TYPE_CHECKING:
    from downstroke.runs.inside import Inside
    from downstroke.studio.reading import Readers

_FINISH = Body(shapes.Continue(epochs=None, lr=None, schedule=None))
T = TypeVar("T")
Answers = dict[int | str, dict[str, Any]]
Name = PathPart(description="The run's name.", max_length=64, examples=["calm-otter"])


class Answer(JSONResponse):
    """Strict JSON: a number that is not finite is null."""

    def render(self, content: Any) -> bytes:
        return files.dumps(content, indent=None).encode()


def _errors(*statuses: int) -> Answers:
    return {status: {"model": shapes.Error, "description": _SAID[status]} for status in (*statuses, 403, 500, 503)}


_SAID = {
    400: "Something in it cannot be used; the error says what to do.",
    401: "The token is missing or wrong.",
    403: "Not from here: a foreign Host or Origin, or the studio reads only.",
    404: "There is no such run, or no such thing of it.",
    409: "Not now: the run is being trained, or is not.",
    413: "Too large.",
    415: "Neither multipart nor JSON.",
    422: "It has not the form that is described here.",
    429: "Too many wait already.",
    500: "Something unexpected; the server's own log says what.",
    503: "Too busy, or it took too long; try again.",
}
_READS, _CHANGES = _errors(401), _errors(401, 413, 422)


class Studio:
    """What the routes share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.jobs = Jobs(settings.runs_dir, read_only=settings.read_only)
        self.views = Views(self.jobs)
        self.streams = 0
        self.closing = False
        self._one = asyncio.Semaphore(1)  # heavy work at a time
        self._heavy = 0
        self._readers: asyncio.Future[Readers] | None = None
        self._inside: tuple[str, Inside] | None = None

    def inside(self, name: str) -> Inside:
        """A run opened for looking inside; the last one is kept, for its images are many. Refused(404)."""
        from downstroke.runs.inside import Inside

        run = self.jobs.open(name)
        key = f"{name} {run.environment.get('made')}"
        if self._inside is None or self._inside[0] != key:
            self._inside = key, Inside(run)
        return self._inside[1]

    async def readers(self) -> Readers:
        """Loaded once, torch with them: meanwhile pages are served."""
        if self._readers is None:
            self._readers = asyncio.ensure_future(asyncio.to_thread(_load_readers))
        return await asyncio.shield(self._readers)

    async def read(self, wanted: Wanted) -> list[dict[str, Any]]:
        """The objects of `downstroke read --json`, in order. Refused(413), Refused(503), Refused(404)."""
        from downstroke.studio.reading import to_json

        readers = await self.readers()
        reader = readers.shipped
        if wanted.run is not None:
            run = self.jobs.open(wanted.run)
            reader = await asyncio.to_thread(readers.of_run, run)
        readings = await asyncio.gather(*map(asyncio.wrap_future, readers.submit(reader, wanted)))
        return [to_json(reading.strict() if wanted.strict else reading, explain=wanted.explain) for reading in readings]

    async def heavy(self, work: Callable[[], T]) -> T:
        """Work that keeps processors busy for seconds: one at a time, and few waiting. Refused(503)."""
        if self._heavy >= 8:
            raise Refused(503, "the studio is busy; try again in a minute")
        self._heavy += 1
        try:
            async with self._one:
                return await asyncio.to_thread(work)
        finally:
            self._heavy -= 1


def _load_readers() -> Readers:
    from downstroke.studio.reading import Readers

    return Readers()


def create_app(settings: Settings) -> FastAPI:
    """The studio of one runs folder, to be served by any ASGI server."""
    studio = Studio(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with studio.jobs:
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
    _answer_errors(app)
    _pages(app, studio)
    _runs(app, studio)
    _results(app, studio)
    _inspections(app, studio)
    _readings(app, studio)
    described = completed(app.openapi())
    app.openapi = lambda: described  # type: ignore[method-assign]
    return app


def _answer_errors(app: FastAPI) -> None:
    """Every error is one line of JSON."""

    @app.exception_handler(DownstrokeError)
    async def named(request: Request, error: DownstrokeError) -> Response:
        status = error.status if isinstance(error, Refused) else 400
        return Answer({"error": " ".join(str(error).split())}, status)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        line = f"there is nothing at {request.url.path}; /api lists what there is" if error.status_code == 404 else None
        return Answer({"error": line or str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return Answer({"error": in_words(error.errors())}, 422)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        return Answer({"error": "something unexpected happened; the studio's own log says what"}, 500)


def _pages(app: FastAPI, studio: Studio) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        html = (STATIC / "index.html").read_text(encoding="utf-8")
        if studio.settings.loopback:
            tag = r'(<meta name="downstroke-token" content=")[^"]*"'
            html = re.sub(tag, lambda found: f'{found[1]}{studio.settings.token}"', html)
        return HTMLResponse(html, headers={"Cache-Control": "no-store"})

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        path = _plotly() if name == "plotly.min.js" else STATIC / name
        if path is None or path.name != name or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, headers={"Cache-Control": "no-cache"})

    @app.get(
        "/healthz", tags=["server"], summary="Whether it answers", response_model=shapes.Health, responses=_errors()
    )
    async def healthz() -> Response:
        return Answer({"status": "ok", "version": app.version})

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(app.openapi())

    @app.get("/api", include_in_schema=False)
    async def api() -> Response:
        return HTMLResponse(as_page(app.openapi()))


def _plotly() -> Path | None:
    found = find_spec("plotly")
    places = found.submodule_search_locations if found else None
    return Path(places[0], "package_data", "plotly.min.js") if places else None


def _runs(app: FastAPI, studio: Studio) -> None:
    jobs, shown = studio.jobs, studio.views

    @app.get("/api/recipes", tags=["training"], summary="The recipes", response_model=shapes.Recipes, responses=_READS)
    async def recipes() -> Response:
        return Answer(await asyncio.to_thread(views.recipes))

    @app.get("/api/runs", tags=["runs"], summary="The runs here", response_model=shapes.Runs, responses=_READS)
    async def runs() -> Response:
        found = await asyncio.to_thread(shown.runs)
        return Answer({**found, "read_only": studio.settings.read_only, "version": app.version})

    @app.get(
        "/api/runs/{name}",
        tags=["runs"],
        summary="A run",
        response_model=shapes.Detail,
        responses=_READS | _errors(404),
    )
    async def run(name: str = Name) -> Response:
        return Answer(await asyncio.to_thread(shown.detail, name))

    @app.get(
        "/api/runs/{name}/history",
        tags=["runs"],
        summary="Its losses, epoch by epoch and step by step",
        response_model=shapes.History,
        responses=_READS | _errors(404, 422),
    )
    async def history(
        name: str = Name, since_step: int = Query(0, ge=0, le=2**53, description="Steps after this one only.")
    ) -> Response:
        return Answer(await asyncio.to_thread(shown.history, name, since_step))

    @app.get(
        "/api/runs/{name}/events",
        tags=["runs"],
        summary="What happens to it, as server-sent events",
        description=(
            "`state`: the run, at once and at every change. `steps`: {rows, progress}, about four times a second. "
            "`epoch`: a row of the history. `advice`. Steps that were lost with a crash are made again, and told again."
        ),
        response_class=StreamingResponse,
        responses=_READS
        | _errors(404, 422)
        | {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def events(
        name: str = Name,
        since_step: int | None = Query(None, ge=0, le=2**53, description="First tell what came after this step."),
    ) -> Response:
        await asyncio.to_thread(shown.run, name)
        if studio.streams >= MOST_STREAMS:
            raise Refused(503, "too many watch already; close a page")
        return StreamingResponse(_counted(studio, name, since_step), media_type="text/event-stream", headers=_NO_CACHE)

    @app.post(
        "/api/runs",
        tags=["training"],
        summary="Train by a recipe",
        status_code=201,
        response_model=shapes.Run,
        responses=_CHANGES | _errors(400, 409, 429),
    )
    async def train(wanted: shapes.Train) -> Response:
        recipe = await asyncio.to_thread(_recipe, wanted)
        name = await asyncio.to_thread(jobs.train, recipe, wanted.name)
        return Answer(await asyncio.to_thread(shown.run, name), 201)

    @app.post(
        "/api/runs/{name}/continue",
        tags=["training"],
        summary="Train it further",
        status_code=202,
        response_model=shapes.Run,
        responses=_CHANGES | _errors(400, 404, 409, 429),
    )
    async def extend(name: str = Name, wanted: shapes.Continue = _FINISH) -> Response:
        if wanted.schedule is not None:
            await asyncio.to_thread(_refuse_unknown, "schedule", wanted.schedule)
        if wanted.epochs is None and (wanted.lr is not None or wanted.schedule is not None):
            raise Refused(400, "lr and schedule begin a new leg of training; say how long: epochs")
        await asyncio.to_thread(jobs.extend, name, wanted.epochs, wanted.lr, wanted.schedule)
        return Answer(await asyncio.to_thread(shown.run, name), 202)

    for wish, summary in (
        ("pause", "Pause its training"),
        ("stop", "Stop its training here, or take it from the queue"),
    ):
        _asking(app, studio, wish, summary)


def _asking(app: FastAPI, studio: Studio, wish: str, summary: str) -> None:
    @app.post(
        f"/api/runs/{{name}}/{wish}",
        tags=["training"],
        summary=summary,
        operation_id=wish,
        status_code=202,
        response_model=shapes.Run,
        responses=_CHANGES | _errors(404, 409),
    )
    async def ask(name: str = Name) -> Response:
        before = await asyncio.to_thread(studio.views.run, name)
        await asyncio.to_thread(studio.jobs.ask, name, wish)
        try:
            return Answer(await asyncio.to_thread(studio.views.run, name), 202)
        except Refused:  # it only waited, and has left the queue
            return Answer({**before, "state": "idle", "error": None}, 202)


_NO_CACHE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def _counted(studio: Studio, name: str, since_step: int | None) -> AsyncIterator[str]:
    studio.streams += 1
    try:
        async for text in stream.events(studio.views, name, since_step):
            if studio.closing:
                return
            yield text
    finally:
        studio.streams -= 1


def _recipe(wanted: shapes.Train) -> Recipe:
    """The recipe that was asked for. RecipeError; Refused(400) for what only the command line may name."""
    if isinstance(wanted.recipe, str):
        if wanted.recipe not in RECIPES:
            raise Refused(400, f"no recipe {wanted.recipe!r}; there are {', '.join(RECIPES)}")
        recipe = RECIPES[wanted.recipe]
    else:
        values = dict(wanted.recipe)
        base = values.pop("base", "standard")
        if base not in RECIPES:
            raise Refused(400, f"base is {base!r}; expected one of {', '.join(RECIPES)}")
        recipe = RECIPES[base].replace(**values)
    given = {key: value for key in ("epochs", "data") if (value := getattr(wanted, key)) is not None}
    recipe = recipe.replace(**given)
    for field, choices in views.choices().items():
        if (value := getattr(recipe, field)) not in choices:
            raise Refused(400, f"no {field} {value!r}; there are {', '.join(choices)}")
    return recipe


def _refuse_unknown(field: str, value: str) -> None:
    if value not in (choices := views.choices()[field]):
        raise Refused(400, f"no {field} {value!r}; there are {', '.join(choices)}")


def _results(app: FastAPI, studio: Studio) -> None:
    jobs = studio.jobs

    @app.post(
        "/api/runs/{name}/test",
        tags=["results"],
        summary="Look at the sealed test set",
        description="Every look is recorded, and costs a little of the test set's worth: choices belong on val.",
        response_model=shapes.Examined,
        responses=_CHANGES | _errors(400, 404, 409),
    )
    async def test(name: str = Name) -> Response:
        return Answer(await studio.heavy(lambda: _examined().look(jobs.open(name))))

    @app.get(
        "/api/runs/{name}/test",
        tags=["results"],
        summary="The last look again, without a new one",
        response_model=shapes.Examined,
        responses=_READS | _errors(400, 404),
    )
    async def tested(name: str = Name) -> Response:
        return Answer(await studio.heavy(lambda: _examined().last(jobs.open(name))))

    @app.get(
        "/api/compare",
        tags=["results"],
        summary="Two runs on the same val images, paired",
        response_model=shapes.Compared,
        responses=_READS | _errors(400, 404, 422),
    )
    async def compare(
        a: str = Query(max_length=64, examples=["calm-otter"]), b: str = Query(max_length=64, examples=["eager-wren"])
    ) -> Response:
        return Answer(await studio.heavy(lambda: views.compare(jobs.open(a), jobs.open(b))))


def _examined() -> ModuleType:
    from downstroke.studio import examined  # loads torch

    return examined


def _inspections(app: FastAPI, studio: Studio) -> None:
    errors = _READS | _errors(400, 404, 422)
    index = Query(0, ge=0, le=2**31, description="Of the val image.")

    @app.get(
        "/api/runs/{name}/inspect",
        tags=["inside"],
        summary="Filters, and the sizes of W, dL/dW and the update",
        description="Also how far a batch's gradient is from the gradient over all images, by batch size.",
        response_model=shapes.Inspected,
        responses=errors,
    )
    async def inspect(name: str = Name) -> Response:
        return Answer(await studio.heavy(lambda: studio.inside(name).look()))

    @app.get(
        "/api/runs/{name}/inspect/image",
        tags=["inside"],
        summary="A val image, and y before and after the epoch",
        response_model=shapes.InspectedImage,
        responses=errors,
    )
    async def image(name: str = Name, index: int = index) -> Response:
        return Answer(await studio.heavy(lambda: studio.inside(name).image(index)))

    @app.get(
        "/api/runs/{name}/inspect/step",
        tags=["inside"],
        summary="What one step of W - lr dL/dW does to that image's loss, by lr",
        response_model=shapes.InspectedStep,
        responses=errors,
    )
    async def step(name: str = Name, index: int = index) -> Response:
        return Answer(await studio.heavy(lambda: studio.inside(name).step(index)))


def _readings(app: FastAPI, studio: Studio) -> None:
    @app.post(
        "/api/read",
        tags=["reading"],
        summary="Read the digits in pictures",
        description="Pictures as files (multipart, field `files`) or in JSON. On loopback this needs no token.",
        response_model=shapes.Readings,
        responses=_READS | _errors(400, 404, 413, 415, 422),
        openapi_extra={"requestBody": READ_BODY},
    )
    async def read(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            wanted = await from_form(request)
        elif kind == "application/json":
            wanted = await asyncio.to_thread(from_json, await request.body())
        else:
            raise Refused(415, f"the content type is {kind!r}; expected multipart/form-data or application/json")
        return Answer({"readings": await studio.read(wanted)})

    @app.post(
        "/api/digits",
        tags=["reading"],
        summary="Keep a glyph with its right label",
        description="As a picture in `digits/LABEL/` beside the runs folder; `downstroke train --data digits` uses it.",
        response_model=shapes.Kept,
        status_code=201,
        responses=_CHANGES | _errors(400),
    )
    async def digits(wanted: shapes.Keep) -> Response:
        return Answer(await asyncio.to_thread(keep, studio.settings.runs_dir, wanted.glyph, wanted.label), 201)
