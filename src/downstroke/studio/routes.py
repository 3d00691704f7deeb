"""The routes under /api. Each is its path, what it is for, the schema of its answer, and the line that makes it."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from downstroke.studio import schemas, views
from downstroke.studio.app_state import Studio, answer
from downstroke.studio.corrections import keep
from downstroke.studio.openapi import READ_BODY
from downstroke.studio.uploads import from_request

Work = Callable[..., Any]
_SAID = {
    400: "The request cannot be used; the error says why.",
    401: "The token is missing or wrong.",
    403: "Refused: a foreign Host or Origin, or the studio is read-only.",
    404: "There is no such run, or it has nothing of the kind.",
    408: "The request took too long to arrive.",
    409: "The run is not in a state for that.",
    413: "Too large.",
    415: "The content type is not multipart, JSON or an image.",
    422: "The request does not match this description.",
    429: "Too many are waiting already.",
    500: "Something unexpected; the server's own log says what.",
    501: "It needs a package that is not installed on the server, as torch is not where it only reads.",
    503: "Too busy, or it took too long; try again.",
}
_READS, _CHANGES = (401, 408, 413), (401, 408, 413, 422)  # what asking for something, and changing it, may be answered
_ALWAYS = (403, 500, 501, 503)

_NAME = Path(description="The run's name.", max_length=64, examples=["calm-otter"])
_CONTINUE = Body(schemas.Continue(epochs=None, lr=None, schedule=None))
_STEP = Query(0, ge=0, le=2**53, description="Steps after this one only.")
_SINCE = Query(None, ge=0, le=2**53, description="Send what came after this step first.")
_INDEX = Query(0, ge=0, le=2**31, description="Index of the val image, from 0.")
_INDEX_OR_NONE = Query(None, ge=0, le=2**31, description="Index of the val image, from 0.")
_FIRST, _SECOND = (
    Query(max_length=64, description="A run's name.", examples=[name]) for name in ("calm-otter", "eager-wren")
)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors among what a route may answer, as FastAPI wants them."""
    return {status: {"model": schemas.Error, "description": _SAID[status]} for status in statuses}


class Routes:
    """A router whose routes are plain functions that give JSON; they are called in a thread."""

    def __init__(self, studio: Studio, prefix: str, tag: str) -> None:
        self.studio, self.router = studio, APIRouter(prefix=prefix, tags=[tag])

    def get(self, path: str, summary: str, schema: type[BaseModel], *also: int, **more: Any) -> Callable[[Work], Work]:
        """Add a route that asks for something. `also`: errors of its own; `more`: as `_add` takes it."""
        return self._add("GET", path, summary, schema, (*_READS, *_ALWAYS, *also), **more)

    def post(self, path: str, summary: str, schema: type[BaseModel], *also: int, **more: Any) -> Callable[[Work], Work]:
        """Add a route that changes something, as `get` does."""
        return self._add("POST", path, summary, schema, (*_CHANGES, *_ALWAYS, *also), **more)

    def _add(
        self,
        method: str,
        path: str,
        summary: str,
        schema: type[BaseModel],
        statuses: tuple[int, ...],
        *,
        note: str | None = None,
        status: int = 200,
        heavy: bool = False,
    ) -> Callable[[Work], Work]:
        """`note`: more about it; `heavy`: it keeps the processors busy for seconds."""

        def add(work: Work) -> Work:
            @functools.wraps(work)
            async def endpoint(**asked: Any) -> Response:
                made = functools.partial(work, **asked)
                return await (self.studio.heavy(made) if heavy else answer(made, status))

            endpoint.__signature__ = inspect.signature(work, eval_str=True)  # type: ignore[attr-defined]
            self.router.add_api_route(
                path,
                endpoint,
                methods=[method],
                summary=summary,
                description=note,
                status_code=status,
                response_model=schema,
                responses=errors(*statuses),
            )
            return work

        return add


def runs(studio: Studio) -> APIRouter:
    """What is there, and what happens to it."""
    routes = Routes(studio, "/api", "runs")

    @routes.get("/recipes", "The recipes, and what each field decides", schemas.Recipes)
    def recipes() -> Any:
        return views.recipes()

    @routes.get("/runs", "The runs here, the newest first", schemas.Runs)
    def every() -> Any:
        return studio.views.runs()

    @routes.get("/runs/{name}", "A run", schemas.Detail, 404, 422)
    def run(name: str = _NAME) -> Any:
        return studio.views.detail(name)

    @routes.get("/runs/{name}/history", "Its losses, epoch by epoch and step by step", schemas.History, 400, 404, 422)
    def history(name: str = _NAME, since_step: int = _STEP) -> Any:
        return studio.views.history(name, since_step)

    stream = {"description": "A stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}}

    @routes.router.get(
        "/runs/{name}/events",
        summary="Its training, as server-sent events",
        description=(
            "`state`: the run, at once and at every change. `steps`: {rows, progress}, about four times a second. "
            "`epoch`: a row of the history. `advice`. Steps lost in a crash are repeated, and sent again."
        ),
        response_class=StreamingResponse,
        responses=errors(*_READS, *_ALWAYS, 404, 422) | {200: stream},
    )
    async def events(name: str = _NAME, since_step: int | None = _SINCE) -> Response:
        await asyncio.to_thread(studio.views.run, name)
        return await studio.events(name, since_step)

    return routes.router


def training(studio: Studio) -> APIRouter:
    """What changes W."""
    routes, shown = Routes(studio, "/api/runs", "training"), studio.views.run

    @routes.post("", "Train with a recipe", schemas.Run, 400, 409, 429, status=201)
    def train(wanted: schemas.Train) -> Any:
        return shown(studio.jobs.train(views.recipe_of(wanted), wanted.name))

    @routes.post("/{name}/continue", "Train it further", schemas.Run, 400, 404, 409, 429, status=202)
    def extend(name: str = _NAME, wanted: schemas.Continue = _CONTINUE) -> Any:
        studio.jobs.extend(name, wanted.epochs, wanted.lr, views.schedule_of(wanted))
        return shown(name)

    @routes.post("/{name}/pause", "Pause it within the epoch; its goal is kept", schemas.Run, 404, 409, status=202)
    def pause(name: str = _NAME) -> Any:
        return studio.ask(name, "pause")

    @routes.post("/{name}/stop", "Stop it here, or take it from the queue", schemas.Run, 404, 409, status=202)
    def stop(name: str = _NAME) -> Any:
        return studio.ask(name, "stop")

    return routes.router


def results(studio: Studio) -> APIRouter:
    """What a W is worth, and what it looks like."""
    routes, opened = Routes(studio, "/api", "results"), studio.jobs.open

    @routes.post(
        "/runs/{name}/test",
        "Look at the sealed test set",
        schemas.Examined,
        *(400, 404),
        note="Every look is recorded. Make choices on val: each one made on the test set makes its figure less honest.",
        heavy=True,
    )
    def test(name: str = _NAME) -> Any:
        return _examined().look(opened(name))

    @routes.get(
        "/runs/{name}/test", "The last look, without taking a new one", schemas.Examined, 400, 404, 422, heavy=True
    )
    def tested(name: str = _NAME) -> Any:
        return _examined().last(opened(name))

    @routes.get("/compare", "Two runs on the same val images, paired", schemas.Compared, 400, 404, 422, heavy=True)
    def compare(a: str = _FIRST, b: str = _SECOND) -> Any:
        return views.compare(opened(a), opened(b))

    @routes.get(
        "/runs/{name}/inspect",
        "Filters, and the sizes of W, dL/dW and the update",
        schemas.Inspected,
        *(400, 404, 422),
        note="Also how far a batch's gradient is from the gradient over all images, by batch size.",
        heavy=True,
    )
    def inspect(name: str = _NAME) -> Any:
        return studio.inside(name).look()

    @routes.get(
        "/runs/{name}/inspect/image",
        "A val image, and y before and after the epoch",
        schemas.InspectedImage,
        *(400, 404, 422),
        note="Without an index: the one of the first 1,000 that the judged weights are least certain of.",
        heavy=True,
    )
    def image(name: str = _NAME, index: int | None = _INDEX_OR_NONE) -> Any:
        return studio.inside(name).image(index)

    @routes.get(
        "/runs/{name}/inspect/step",
        "What one step of W - lr dL/dW does to that image's loss, by lr",
        schemas.InspectedStep,
        *(400, 404, 422),
        heavy=True,
    )
    def step(name: str = _NAME, index: int = _INDEX) -> Any:
        return studio.inside(name).step(index)

    return routes.router


def _examined() -> ModuleType:
    from downstroke.studio import examined  # loads torch

    return examined


def reading(studio: Studio) -> APIRouter:
    """Pictures in, digits out."""
    routes = Routes(studio, "/api", "reading")

    @routes.router.post(
        "/read",
        summary="Read the digits in pictures",
        description="Pictures as files (multipart, field `files`) or in JSON, or one as the body. "
        "On loopback this needs no token.",
        response_model=schemas.Readings,
        responses=errors(*_READS, *_ALWAYS, 400, 404, 415, 422),
        openapi_extra={"requestBody": READ_BODY},
    )
    async def read(request: Request) -> Response:
        return Response(await studio.read(await from_request(request)), media_type="application/json")

    @routes.post(
        "/digits",
        "Keep a glyph with its right label",
        schemas.Kept,
        400,
        note="As a picture in `digits/LABEL/` beside the runs folder; `downstroke train --data digits` uses it.",
        status=201,
    )
    def digits(wanted: schemas.Keep) -> Any:
        return keep(studio.settings.runs_dir, wanted.glyph, wanted.label)

    return routes.router
