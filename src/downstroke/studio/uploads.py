"""Pictures as they come with a request: files of a form, or JSON; bounded in number and size.

While Python is at one long string it answers nobody. So pictures in JSON are cut out of the body before it is parsed,
what is left is small, and they are decoded a stretch at a time.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from downstroke.errors import shown
from downstroke.glyphs.picture import MAX_PIXELS, pixels_of
from downstroke.studio import schemas
from downstroke.studio.errors import Refused

MOST_PICTURES = 64
MOST_PIXELS = MAX_PIXELS  # of all pictures of a request together
MOST_PLAIN = 1_000_000  # bytes of a JSON body beside its pictures
MOST_QUOTES = 2_000  # in a JSON body; 64 pictures with names have 520
LONG = 2_000  # bytes: a longer string in a JSON body can only be a picture
LARGE = 100_000  # bytes: parsing more would keep the event loop from others
STRETCH = 1 << 18  # bytes of base64 that are decoded at a time
_FLAGS = ("digit", "strict", "explain")


@dataclass(frozen=True)
class Picture:
    """One picture of a request: a file's bytes, or grey levels, uint8 [28,28]; None where `error` says why not."""

    name: str
    content: bytes | NDArray[np.uint8] | None
    error: str | None = None
    pixels: int | None = 0  # that a picture file says it has; None where only reading it tells


@dataclass(frozen=True)
class Wanted:
    """Pictures, and how they are to be read."""

    pictures: list[Picture]
    digit: bool = False
    strict: bool = False
    explain: bool = False
    run: str | None = None


@dataclass(frozen=True)
class _Cut:
    """A string of a JSON body, where it stands; `escaped`: with escapes in it."""

    text: memoryview
    escaped: bool


async def from_request(request: Request) -> Wanted:
    """What a request asks to be read, of whatever content type. Refused(415), and as the others here."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        wanted = await from_form(request)
        size = sum(len(picture.content) for picture in wanted.pictures if isinstance(picture.content, bytes))
        return await asyncio.to_thread(bounded, wanted) if size > LARGE else bounded(wanted)
    if kind == "application/json":
        text = await _gathered(request)
        return await asyncio.to_thread(from_json, text) if len(text) > LARGE else from_json(text)
    if kind.startswith("image/"):
        body = await request.body()
        wanted = from_image(body, request.query_params)
        return await asyncio.to_thread(bounded, wanted) if len(body) > LARGE else bounded(wanted)
    raise Refused(415, f"the content type is {kind!r}; expected multipart/form-data, application/json or image/*")


async def _gathered(request: Request) -> bytearray:
    """The body, put in its place part by part as it comes: to join 60 MB would keep the event loop from others."""
    told = request.headers.get("content-length", "")
    made, size = bytearray(int(told) if told.isascii() and told.isdigit() else 0), 0
    async for part in request.stream():
        made[size : size + len(part)] = part
        size += len(part)
    del made[size:]
    return made


def from_json(body: bytes | bytearray) -> Wanted:
    """What a JSON body asks for. Refused(422), Refused(413)."""
    rest, cut = _cut(body)
    try:
        asked = schemas.Read.model_validate_json(rest)
    except ValidationError as error:
        raise Refused(422, in_words(error.errors())) from None
    pictures = [_picture(image, index, cut) for index, image in enumerate(asked.images)]
    return bounded(Wanted(pictures, asked.digit, asked.strict, asked.explain, asked.run))


def _cut(body: bytes | bytearray) -> tuple[bytes, dict[str, _Cut]]:
    """(a JSON body with a name in the place of each long string, the string of each name, as it came).

    No one can guess the names, and they are too long for anything but a picture. Refused(413), Refused(422).
    """
    secret = secrets.token_hex(8)
    cut: dict[str, _Cut] = {}
    parts: list[bytes | bytearray] = []
    at = quotes = plain = 0
    start = body.find(b'"')
    while start >= 0:
        end = body.find(b'"', start + 1)
        quotes += 2
        while end >= 0 and _backslashes(body, start + 1, end) % 2 and quotes <= MOST_QUOTES:
            end = body.find(b'"', end + 1)
            quotes += 1
        if quotes > MOST_QUOTES:
            raise Refused(422, f"the JSON has more than {MOST_QUOTES:,} quotes; expected images, digit, strict, run")
        if end < 0:
            break  # the parser says what is wrong
        if end - start > LONG:
            name = f"{secret} {len(cut)} {'.' * LONG}"
            cut[name] = _Cut(memoryview(body)[start + 1 : end], escaped=body.find(b"\\", start + 1, end) >= 0)
            plain += start - at
            parts += [body[at : start + 1], name.encode()] if plain <= MOST_PLAIN else []
            at = end
        start = body.find(b'"', end + 1)
    if plain + len(body) - at > MOST_PLAIN:
        raise Refused(413, f"more than {MOST_PLAIN // 10**6} MB of the JSON is no picture; send pictures in base64")
    return b"".join([*parts, body[at:]]), cut


def _backslashes(body: bytes | bytearray, start: int, end: int) -> int:
    """How many stand before `end`."""
    before = body[max(start, end - LONG) : end]
    return len(before) - len(before.rstrip(b"\\"))


def _picture(image: schemas.Image, index: int, cut: Mapping[str, _Cut]) -> Picture:
    name, data = (image.name, image.data) if isinstance(image, schemas.NamedPicture) else (f"images[{index}]", image)
    if not isinstance(data, str):
        return Picture(name, np.array(data, np.uint8))
    text = cut.get(data)
    try:
        return Picture(name, _decoded(text or _Cut(memoryview(data.encode()), escaped=False)))
    except ValueError:
        return Picture(name, None, f"{name}: not base64; expected a picture file's bytes in base64")


def _decoded(cut: _Cut) -> bytes:
    """The bytes of base64, plain or URL-safe, with or without line breaks and padding. ValueError.

    It may be a data URL.
    """
    head = bytes(cut.text[:LONG])
    if head.startswith(b"data:"):
        cut = replace(cut, text=cut.text[head.find(b",") + 1 :])
    made, rest = [], b""
    for part in _stretches(cut):
        rest += b"".join(part.split()).translate(_STANDARD)
        padding = rest.find(b"=")
        if padding >= 0 and rest[padding:].strip(b"="):
            raise ValueError("something follows the padding")
        whole = (len(rest) if padding < 0 else padding) // 4 * 4
        made.append(base64.b64decode(rest[:whole], validate=True))
        rest = rest[whole:]
    rest = rest.rstrip(b"=")
    made.append(base64.b64decode(rest + b"=" * (-len(rest) % 4), validate=True))
    return b"".join(made)


_STANDARD = bytes.maketrans(b"-_", b"+/")
_LONGEST_ESCAPE = 6  # bytes


def _stretches(cut: _Cut) -> Iterator[bytes]:
    """A text in parts, each without its escapes. ValueError."""
    at, length = 0, len(cut.text)
    while at < length:
        end = at + STRETCH
        if cut.escaped and end < length:
            last = bytes(cut.text[end - _LONGEST_ESCAPE : end]).rfind(b"\\")  # an escape must not be cut
            end += last - _LONGEST_ESCAPE if last >= 0 else 0
        part = bytes(cut.text[at:end])
        yield json.loads(b'"%b"' % part).encode() if b"\\" in part else part
        at = end


def from_image(body: bytes, flags: Mapping[str, str]) -> Wanted:
    """One picture file as the whole body, and `flags` from the query; to be `bounded`. Refused(422)."""
    for key, value in flags.items():
        if not (key == "run" and len(value) <= 64) and not (key in _FLAGS and value in ("true", "false")):
            raise _no_flag(key, value)
    asked = {key: value == "true" for key, value in flags.items() if key in _FLAGS}
    return Wanted([Picture("body", body)], run=flags.get("run"), **asked)


def _no_flag(key: str, value: str) -> Refused:
    return Refused(422, f"{key!r} is {value[:40]!r}; expected digit, strict, explain (true or false) or run")


async def from_form(request: Request) -> Wanted:
    """What a multipart form asks for; to be `bounded`. Refused(422)."""
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
    return Wanted(pictures, run=run, **flags)


def in_words(errors: Sequence[Any]) -> str:
    """The first of pydantic's complaints; of a picture each type that it could have had complains."""
    inner = [error for error in errors if error["loc"][:1] == ("images",) and len(error["loc"]) > 1]
    for error in inner:  # a float says what was meant
        if isinstance(error["input"], float):
            return (
                f"images[{error['loc'][1]}]: the level {error['input']:g} is no whole number; "
                f"expected 28 rows of 28, 0 to 255 (levels 0 to 1: multiply by 255)"
            )
    if inner:
        return (
            f"images[{inner[0]['loc'][1]}]: no picture; expected a file's bytes in base64, or 28 rows of 28 whole "
            f"numbers from 0 to 255"
        )
    # A field that is not known says more than one that is therefore missing.
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    where = ".".join(shown(str(part)[:60]) for part in first["loc"] if part != "body")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where + ': ' if where else ''}{first['msg']}{more}"


def bounded(wanted: Wanted) -> Wanted:
    """The same with the pixels of each picture, none of which is decoded. Refused(413) where they are too many."""
    pictures = [
        replace(picture, pixels=pixels_of(picture.content)) if isinstance(picture.content, bytes) else picture
        for picture in wanted.pictures
    ]
    total = sum(picture.pixels or 0 for picture in pictures)
    if len(pictures) > 1 and total > MOST_PIXELS:  # reading bounds a single one in the same way
        raise Refused(413, f"{total // 10**6} megapixels at once; expected {MOST_PIXELS // 10**6} at most: send fewer")
    return replace(wanted, pictures=pictures)
