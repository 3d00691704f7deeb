"""The routes under /api: each asks the rooms below, and answers in JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from types import ModuleType
from typing import Any

from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from downstroke.errors import RecipeError
from downstroke.learning.schedules import SCHEDULES
from downstroke.recipe import RECIPES, Recipe
from downstroke.studio import schemas, views
from downstroke.studio.corrections import keep
from downstroke.studio.errors import Refused
from downstroke.studio.openapi import READ_BODY
from downstroke.studio.service import Studio, answer
from downstroke.studio.uploads import from_body, from_form, from_image

Answers = dict[int | str, dict[str, Any]]
_NO_CACHE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_SAID = {
    400: "Something in it cannot be used; the error says what to do.",
    401: "The token is missing or wrong.",
    403: "Not from here: a foreign Host or Origin, or the studio reads only.",
    404: "There is no such run, or no such thing of it.",
    408: "It did not come whole in time.",
    409: "Not now: the run is being trained, or is not.",
    413: "Too large.",
    415: "Neither multipart nor JSON nor an image.",
    422: "It has not the form that is described here.",
    429: "Too many wait already.",
    500: "Something unexpected; the server's own log says what.",
    503: "Too busy, or it took too long; try again.",
}


def errors(*statuses: int) -> Answers:
    """What a route may answer besides what it is for; 403, 500 and 503 any route may."""
    return {status: {"model": schemas.Error, "description": _SAID[status]} for status in (*statuses, 403, 500, 503)}


_READS, _CHANGES = errors(401, 408, 413), errors(401, 408, 413, 422)
_NAME = Path(description="The run's name.", max_length=64, examples=["calm-otter"])
_CONTINUE = Body(schemas.Continue(epochs=None, lr=None, schedule=None))
_STEP = Query(0, ge=0, le=2**53, description="Steps after this one only.")
_SINCE = Query(None, ge=0, le=2**53, description="First tell what came after this step.")
_INDEX = Query(0, ge=0, le=2**31, description="Of the val image, counted from 0.")
_INDEX_OR_NONE = Query(None, ge=0, le=2**31, description="Of the val image, counted from 0.")
_FIRST, _SECOND = (
    Query(max_length=64, description="A run's name.", examples=[name]) for name in ("calm-otter", "eager-wren")
)


def runs(studio: Studio) -> APIRouter:
    """What is there, and what happens to it."""
    router = APIRouter(prefix="/api", tags=["runs"])

    @router.get(
        "/recipes", summary="The recipes, and what each field decides", response_model=schemas.Recipes, responses=_READS
    )
    async def recipes() -> Response:
        return await answer(views.recipes)

    @router.get("/runs", summary="The runs here, the newest first", response_model=schemas.Runs, responses=_READS)
    async def every() -> Response:
        return await answer(studio.views.runs)

    @router.get("/runs/{name}", summary="A run", response_model=schemas.Detail, responses=_READS | errors(404, 422))
    async def run(name: str = _NAME) -> Response:
        return await answer(lambda: studio.views.detail(name))

    @router.get(
        "/runs/{name}/history",
        summary="Its losses, epoch by epoch and step by step",
        response_model=schemas.History,
        responses=_READS | errors(400, 404, 422),
    )
    async def history(name: str = _NAME, since_step: int = _STEP) -> Response:
        return await answer(lambda: studio.views.history(name, since_step))

    @router.get(
        "/runs/{name}/events",
        summary="What happens to it, as server-sent events",
        description=(
            "`state`: the run, at once and at every change. `steps`: {rows, progress}, about four times a second. "
            "`epoch`: a row of the history. `advice`. Steps that were lost with a crash are made again, and told again."
        ),
        response_class=StreamingResponse,
        responses=_READS
        | errors(404, 422)
        | {200: {"description": "A stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def events(name: str = _NAME, since_step: int | None = _SINCE) -> Response:
        await asyncio.to_thread(studio.views.run, name)
        return StreamingResponse(
            await studio.events(name, since_step), media_type="text/event-stream", headers=_NO_CACHE
        )

    return router


def training(studio: Studio) -> APIRouter:
    """What changes W."""
    router = APIRouter(prefix="/api/runs", tags=["training"])

    @router.post(
        "",
        summary="Train by a recipe",
        status_code=201,
        response_model=schemas.Run,
        responses=_CHANGES | errors(400, 409, 429),
    )
    async def train(wanted: schemas.Train) -> Response:
        return await answer(lambda: studio.views.run(studio.jobs.train(_recipe(wanted), wanted.name)), 201)

    @router.post(
        "/{name}/continue",
        summary="Train it further",
        status_code=202,
        response_model=schemas.Run,
        responses=_CHANGES | errors(400, 404, 409, 429),
    )
    async def extend(name: str = _NAME, wanted: schemas.Continue = _CONTINUE) -> Response:
        def work() -> dict[str, Any]:
            if wanted.schedule is not None:
                _refuse_unknown("schedule", wanted.schedule, SCHEDULES)
            studio.jobs.extend(name, wanted.epochs, wanted.lr, wanted.schedule)
            return studio.views.run(name)

        return await answer(work, 202)

    def ask(name: str, wish: str) -> dict[str, Any]:
        before = studio.views.run(name)
        studio.jobs.ask(name, wish)
        try:
            return studio.views.run(name)
        except Refused:  # it only waited, and has left the queue
            return {**before, "state": "idle", "error": None}

    asked: dict[str, Any] = {
        "status_code": 202,
        "response_model": schemas.Run,
        "responses": _CHANGES | errors(404, 409),
    }

    @router.post("/{name}/pause", summary="Interrupt it within the epoch, its goal kept", **asked)
    async def pause(name: str = _NAME) -> Response:
        return await answer(lambda: ask(name, "pause"), 202)

    @router.post("/{name}/stop", summary="Stop it here, or take it from the queue", **asked)
    async def stop(name: str = _NAME) -> Response:
        return await answer(lambda: ask(name, "stop"), 202)

    return router


def _recipe(wanted: schemas.Train) -> Recipe:
    """The recipe that was asked for. RecipeError; a `package.module:callable` is for the command line alone."""
    fields = {"base": wanted.recipe} if isinstance(wanted.recipe, str) else dict(wanted.recipe)
    base = fields.pop("base", "standard")
    if not isinstance(base, str) or base not in RECIPES:
        raise RecipeError(f"no recipe {base!r}; there are {', '.join(RECIPES)}")
    given = {key: value for key in ("epochs", "data") if (value := getattr(wanted, key)) is not None}
    recipe = RECIPES[base].replace(**{**fields, **given})
    for field, choices in views.choices().items():
        _refuse_unknown(field, getattr(recipe, field), choices)
    return recipe


def _refuse_unknown(field: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise RecipeError(f"no {field} {value!r}; there are {', '.join(choices)}")


def results(studio: Studio) -> APIRouter:
    """What a W is worth, and what it looks like."""
    router, jobs = APIRouter(prefix="/api", tags=["results"]), studio.jobs
    reading = _READS | errors(400, 404, 422)

    @router.post(
        "/runs/{name}/test",
        summary="Look at the sealed test set",
        description="Every look is recorded, and costs a little of the test set's worth: choices belong on val.",
        response_model=schemas.Examined,
        responses=_CHANGES | errors(400, 404),
    )
    async def test(name: str = _NAME) -> Response:
        return await studio.heavy(lambda: _examined().look(jobs.open(name)))

    @router.get(
        "/runs/{name}/test",
        summary="The last look again, without a new one",
        response_model=schemas.Examined,
        responses=reading,
    )
    async def tested(name: str = _NAME) -> Response:
        return await studio.heavy(lambda: _examined().last(jobs.open(name)))

    @router.get(
        "/compare",
        summary="Two runs on the same val images, paired",
        response_model=schemas.Compared,
        responses=reading,
    )
    async def compare(a: str = _FIRST, b: str = _SECOND) -> Response:
        return await studio.heavy(lambda: views.compare(jobs.open(a), jobs.open(b)))

    @router.get(
        "/runs/{name}/inspect",
        summary="Filters, and the sizes of W, dL/dW and the update",
        description="Also how far a batch's gradient is from the gradient over all images, by batch size.",
        response_model=schemas.Inspected,
        responses=reading,
    )
    async def inspect(name: str = _NAME) -> Response:
        return await studio.heavy(lambda: studio.inside(name).look())

    @router.get(
        "/runs/{name}/inspect/image",
        summary="A val image, and y before and after the epoch",
        description="Without an index: the one of the first 1,000 that the judged W is least certain of.",
        response_model=schemas.InspectedImage,
        responses=reading,
    )
    async def image(name: str = _NAME, index: int | None = _INDEX_OR_NONE) -> Response:
        return await studio.heavy(lambda: studio.inside(name).image(index))

    @router.get(
        "/runs/{name}/inspect/step",
        summary="What one step of W - lr dL/dW does to that image's loss, by lr",
        response_model=schemas.InspectedStep,
        responses=reading,
    )
    async def step(name: str = _NAME, index: int = _INDEX) -> Response:
        return await studio.heavy(lambda: studio.inside(name).step(index))

    return router


def _examined() -> ModuleType:
    from downstroke.studio import examined  # loads torch

    return examined


def reading(studio: Studio) -> APIRouter:
    """Pictures in, digits out."""
    router = APIRouter(prefix="/api", tags=["reading"])

    @router.post(
        "/read",
        summary="Read the digits in pictures",
        description="Pictures as files (multipart, field `files`) or in JSON, or one as the body. "
        "On loopback this needs no token.",
        response_model=schemas.Readings,
        responses=_READS | errors(400, 404, 415, 422),
        openapi_extra={"requestBody": READ_BODY},
    )
    async def read(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            wanted = await from_form(request)
        elif kind == "application/json":
            wanted = await from_body(await request.body())
        elif kind.startswith("image/"):
            wanted = from_image(await request.body(), request.query_params)
        else:
            raise Refused(
                415, f"the content type is {kind!r}; expected multipart/form-data, application/json or image/*"
            )
        return Response(await studio.read(wanted), media_type="application/json")

    @router.post(
        "/digits",
        summary="Keep a glyph with its right label",
        description="As a picture in `digits/LABEL/` beside the runs folder; `downstroke train --data digits` uses it.",
        status_code=201,
        response_model=schemas.Kept,
        responses=_CHANGES | errors(400),
    )
    async def digits(wanted: schemas.Keep) -> Response:
        return await answer(lambda: keep(studio.settings.runs_dir, wanted.glyph, wanted.label), 201)

    return router
