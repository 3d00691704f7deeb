"""/openapi.json and the readable page of it, which is made on the server and needs no script and no network."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any

from downstroke.studio import schemas
from downstroke.studio.uploads import MOST_PICTURES

_REF = "#/components/schemas/"
_FLAG = {"type": "string", "enum": ["true", "false"], "default": "false"}
READ_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": f"{_REF}Read"}},
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": MOST_PICTURES,
                        "items": {"type": "string", "format": "binary"},
                    },
                    "digit": _FLAG,
                    "strict": _FLAG,
                    "explain": _FLAG,
                    "run": {"type": "string", "maxLength": 64},
                },
                "additionalProperties": False,
            }
        },
    },
}


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """FastAPI's document with what it cannot know: the body that a route parses itself, and the token."""
    schema = schemas.Read.model_json_schema(ref_template=f"{_REF}{{model}}")
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update({**schema.pop("$defs"), "Read": schema})
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "description": "Printed at start."}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            needed = method != "get" and path != "/api/read"
            operation["security"] = [{"token": []}] if needed else [{}, {"token": []}]
    return document


def methods_of(document: dict[str, Any]) -> Callable[[str], list[str]]:
    """Which methods a path may be asked with, by the document; none where it is not in it."""
    known = [
        (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), operations) for path, operations in document["paths"].items()
    ]

    def methods(path: str) -> list[str]:
        found = {method.upper() for pattern, operations in known if pattern.fullmatch(path) for method in operations}
        return sorted(found)

    return methods


def as_page(document: dict[str, Any]) -> str:
    """The document for a person, as HTML."""
    info = document["info"]
    parts = [f"<h1>{_e(info['title'])} {_e(info['version'])}</h1><p>{_code(info['description'])}</p>"]
    parts.append('<p><a href="/">The studio</a> · <a href="/openapi.json">openapi.json</a></p>')
    tags: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tags.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    for tag, operations in tags.items():
        parts.append(f"<h2>{_e(tag.capitalize())}</h2>{''.join(operations)}")
    parts.append("<h2>Objects</h2>")
    parts += [_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    body = "\n".join(parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{_e(info["title"])}: API</title>'
        '<link rel="stylesheet" href="/static/api.css"></head>'
        f"<body><main>{body}</main></body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    token = "" if {} in operation["security"] else " <em>token</em>"
    rows = [
        _row(parameter["name"], _kind(parameter["schema"]), parameter.get("description", ""))
        for parameter in operation.get("parameters", [])
    ]
    body = operation.get("requestBody", {}).get("content", {})
    for kind, content in body.items():
        schema = content["schema"]
        rows.append(_row(kind, _kind(schema), ""))
        rows += [_row(name, _kind(inner), "") for name, inner in schema.get("properties", {}).items()]
    answers = [
        _row(status, _kind(_answer(answer)), answer["description"]) for status, answer in operation["responses"].items()
    ]
    asked = f"<table>{''.join(rows)}</table>" if rows else ""
    return (
        f"<section><h3><code><b>{method.upper()}</b> {_e(path)}</code>{token}</h3><p>{_e(operation['summary'])}. "
        f"{_code(operation.get('description', ''))}</p>{asked}<details><summary>Answers</summary>"
        f"<table>{''.join(answers)}</table></details></section>"
    )


def _answer(answer: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = next(iter(answer.get("content", {}).values()), {})
    schema: dict[str, Any] = content.get("schema", {})
    return schema


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        _row(key, _kind(inner), inner.get("description", "") + ("" if key in required else " Optional."))
        for key, inner in schema.get("properties", {}).items()
    ]
    examples = "".join(f"<pre>{_e(json.dumps(example, indent=2))}</pre>" for example in schema.get("examples", []))
    return (
        f'<section id="{_e(name)}"><h3>{_e(name)}</h3><p>{_code(schema.get("description", ""))}</p>'
        f"<table>{''.join(rows)}</table>{examples}</section>"
    )


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a word or two, with a link to the object that it names."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return f'<a href="#{_e(name)}">{_e(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(inner) for inner in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{_e(str(value))}</code>" for value in schema["enum"])
    if "const" in schema:
        return f"<code>{_e(str(schema['const']))}</code>"
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return _e(str(schema.get("format") or schema.get("type", "anything")))


def _row(name: str, kind: str, note: str) -> str:
    return f"<tr><th><code>{_e(name)}</code></th><td>{kind}</td><td>{_code(note)}</td></tr>"


def _e(text: str) -> str:
    return html.escape(text)


def _code(text: str) -> str:
    """Text with `code` in backquotes."""
    pieces = _e(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))
