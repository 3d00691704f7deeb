"""The page: one HTML file that reads what is drawn on it, by itself, in any browser."""

from __future__ import annotations

import base64
import html
import math
from pathlib import Path
from typing import Any

import numpy as np

from downstroke.runs.files import dumps
from downstroke.runs.outputs import write_output
from downstroke.show.export.row import Step, row_of
from downstroke.show.export.subject import Subject

HOME = Path(__file__).with_name("browser")


def write(subject: Subject, path: Path) -> dict[str, Any]:
    """Write the page, and return what is to be said of it. DownstrokeError that names the layer of a model that is no
    row."""
    text = page(subject).encode()
    write_output(path, text)
    return {"form": "page", "file": str(path.resolve()), "bytes": len(text)}


def page(subject: Subject) -> str:
    """The text of the file: no address in it, no other file."""
    network, weights = _laid_out(subject, row_of(subject))
    facts = subject.facts() | {"network": network}
    worker = "\n".join(_file(name) for name in ("glyph.js", "network.js", "worker.js"))
    parts = {
        "TITLE": html.escape(f"Draw a digit: {subject.name}"),
        "CSS": _file("page.css"),
        # Names of classes and runs cannot end the script that they stand in.
        "FACTS": dumps(facts, indent=None).replace("<", "\\u003c"),
        "WEIGHTS": base64.b64encode(weights).decode(),
        "WORKER": worker,
        "PAGE": _file("page.js"),
    }
    text = _file("page.html")
    for name, part in parts.items():
        before, _, after = text.partition(f"@{name}@")
        text = before + part + after
    return text


def _laid_out(subject: Subject, steps: list[Step]) -> tuple[dict[str, Any], bytes]:
    """(the network with its steps, each telling where its weights begin; all weights, float32, little-endian)."""
    told: list[dict[str, Any]] = []
    laid: list[bytes] = []
    place = 0
    for step in steps:
        at = {}
        for name, array in step.weights.items():
            at[name] = {"at": place, "shape": list(array.shape)}
            laid.append(np.ascontiguousarray(array, "<f4").tobytes())
            place += array.size
        told.append({"kind": step.kind, **step.numbers, "weights": at})
    network = {
        "steps": told,
        "pixelScale": float(subject.network.scale),
        "pixelShift": float(subject.network.shift),
        "temperature": float(subject.network.temperature),
        "threshold": subject.threshold if math.isfinite(subject.threshold) else None,
        "windows": subject.recipe.windows > 0,
    }
    return network, b"".join(laid)


def _file(name: str) -> str:
    return (HOME / name).read_text(encoding="utf-8")
