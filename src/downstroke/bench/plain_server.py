"""Reading over HTTP as one writes it in an afternoon: FastAPI, a route that is a function, ONNX Runtime.

    python -m downstroke.bench.plain_server MODEL.onnx PORT

It makes the glyph as the studio does, so that both do the same work, and sees one picture at a time.
"""

from __future__ import annotations

import base64
import sys
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from downstroke.glyphs.glyph import cut
from downstroke.glyphs.picture import open_picture


class Asked(BaseModel):
    """As the studio is asked."""

    images: list[str]
    digit: bool


def plain_app(model: str) -> FastAPI:
    """The application, with the network that the file `model` holds: uint8 [N,28,28] -> float32 [N,C]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    app = FastAPI()

    @app.post("/api/read")
    def read(asked: Asked) -> dict[str, Any]:
        readings = []
        for image in asked.images:
            found = cut(open_picture(base64.b64decode(image)))
            y = session.run(None, {name: found.glyph[None]})[0][0]
            digit = {"digit": int(np.argmax(y)), "probabilities": y.tolist(), "box": found.box}
            readings.append({"lines": [{"digits": [digit]}]})
        return {"readings": readings}

    return app


if __name__ == "__main__":
    uvicorn.run(plain_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", access_log=False)
