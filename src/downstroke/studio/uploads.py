"""Pictures as they come with a request: files of a form, or JSON; bounded in number and size."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from downstroke.glyphs.picture import MAX_PIXELS
from downstroke.studio import schemas
from downstroke.studio.errors import Refused

MOST_PICTURES = 64
MOST_PIXELS = MAX_PIXELS  # of all pictures of a request together
LARGE = 100_000  # bytes: parsing more would keep the event loop from others
_FLAGS = ("digit", "strict", "explain")


@dataclass(frozen=True)
class Picture:
    """One picture of a request: a file's bytes, or grey levels, uint8 [28,28]; None where `error` says why not."""

    name: str
    content: bytes | NDArray[np.uint8] | None
    error: str | None = None


@dataclass(frozen=True)
class Wanted:
    """Pictures, and how they are to be read."""

    pictures: list[Picture]
    digit: bool = False
    strict: bool = False
    explain: bool = False
    run: str | None = None


async def from_request(request: Request) -> Wanted:
    """What a request asks to be read, of whatever content type. Refused(415), and as the others here."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await from_form(request)
    if kind == "application/json":
        return await from_body(await request.body())
    if kind.startswith("image/"):
        return from_image(await request.body(), request.query_params)
    raise Refused(415, f"the content type is {kind!r}; expected multipart/form-data, application/json or image/*")


async def from_body(body: bytes) -> Wanted:
    """As `from_json`; a large body in a thread."""
    return await asyncio.to_thread(from_json, body) if len(body) > LARGE else from_json(body)


def from_json(body: bytes) -> Wanted:
    """What a JSON body asks for. Refused(422), Refused(413)."""
    try:
        asked = schemas.Read.model_validate_json(body)
    except ValidationError as error:
        raise Refused(422, in_words(error.errors())) from None
    pictures = [_picture(image, index) for index, image in enumerate(asked.images)]
    return _bounded(Wanted(pictures, asked.digit, asked.strict, asked.explain, asked.run))


def _picture(image: schemas.Image, index: int) -> Picture:
    name, data = (image.name, image.data) if isinstance(image, schemas.NamedPicture) else (f"images[{index}]", image)
    if not isinstance(data, str):
        return Picture(name, np.array(data, np.uint8))
    text = data.partition(",")[2] if data.startswith("data:") else data
    try:
        return Picture(name, _decoded(text))
    except (binascii.Error, ValueError):
        return Picture(name, None, f"{name}: not base64; expected a picture file's bytes in base64")


def _decoded(text: str) -> bytes:
    """The bytes of base64, plain or URL-safe, with or without line breaks and padding. ValueError."""
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def from_image(body: bytes, flags: Mapping[str, str]) -> Wanted:
    """One picture file as the whole body, and `flags` from the query. Refused(422)."""
    for key, value in flags.items():
        if not (key == "run" and len(value) <= 64) and not (key in _FLAGS and value in ("true", "false")):
            raise _no_flag(key, value)
    asked = {key: value == "true" for key, value in flags.items() if key in _FLAGS}
    return Wanted([Picture("body", body)], run=flags.get("run"), **asked)


def _no_flag(key: str, value: str) -> Refused:
    return Refused(422, f"{key!r} is {value[:40]!r}; expected digit, strict, explain (true or false) or run")


async def from_form(request: Request) -> Wanted:
    """What a multipart form asks for. Refused(422), Refused(413)."""
    pictures: list[Picture] = []
    flags: dict[str, bool] = {}
    run: str | None = None
    try:
        async with request.form(max_files=MOST_PICTURES, max_fields=10) as form:
            for key, value in form.multi_items():
                if isinstance(value, UploadFile):
                    if key != "files":
                        raise Refused(422, f"a file in the field {key!r}; expected it in files")
                    pictures.append(Picture(value.filename or f"files[{len(pictures)}]", await value.read()))
                elif key in _FLAGS and value in ("true", "false"):
                    flags[key] = value == "true"
                elif key == "run" and len(value) <= 64:
                    run = value
                else:
                    raise _no_flag(key, value)
    except HTTPException as error:  # the form is broken, or holds too many files
        raise Refused(422, f"{error.detail} (at most {MOST_PICTURES} pictures at once)") from None
    if not pictures:
        raise Refused(422, "there is no picture in the form; send files in the field files")
    return _bounded(Wanted(pictures, run=run, **flags))


def in_words(errors: Sequence[Any]) -> str:
    """The first of pydantic's complaints."""
    for error in errors:  # of a picture each type that it could have had complains; a float says what was meant
        if error["loc"][:1] == ("images",) and isinstance(error["input"], float):
            return (
                f"images[{error['loc'][1]}]: the level {error['input']:g} is no whole number; "
                f"expected 28 rows of 28, 0 to 255 (levels 0 to 1: multiply by 255)"
            )
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where + ': ' if where else ''}{first['msg']}{more}"


def _bounded(wanted: Wanted) -> Wanted:
    """Refused(413) where the picture files together hold too many pixels; none is decoded."""
    if len(wanted.pictures) == 1:  # reading it bounds a single one in the same way
        return wanted
    total = sum(_pixels(picture.content) for picture in wanted.pictures if isinstance(picture.content, bytes))
    if total > MOST_PIXELS:
        raise Refused(413, f"{total // 10**6} megapixels at once; expected {MOST_PIXELS // 10**6} at most: send fewer")
    return wanted


def _pixels(content: bytes) -> int:
    """How many a picture file says that it has; 0 where it is no picture: reading it says so in one line."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.size[0] * image.size[1]
    except Exception:
        return 0
