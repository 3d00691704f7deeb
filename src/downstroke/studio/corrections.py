"""Glyphs that were read wrong, kept with their right labels as pictures that `train --data` can use."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from downstroke.errors import DataError
from downstroke.runs import files

FOLDER = "digits"  # beside the runs folder


def keep(runs_dir: Path, glyph: list[list[int]], label: str) -> dict[str, Any]:
    """Write a glyph, 28 rows of 28 levels, as `digits/LABEL/HASH.png`: {file, kept}. DataError where it is blank.

    The same glyph twice is one file; under another label than before, it moves there.
    """
    from PIL import Image

    image = np.array(glyph, np.uint8)
    if not image.any():
        raise DataError("the glyph is blank; draw a digit first")
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    home = runs_dir.resolve().parent / FOLDER
    name = f"{hashlib.blake2b(image.tobytes(), digest_size=8).hexdigest()}.png"
    for before in home.glob(f"*/{name}"):
        before.unlink()
    (home / label).mkdir(parents=True, exist_ok=True)
    files.write_bytes(home / label / name, buffer.getvalue())
    return {"file": str(home / label / name), "kept": len(list((home / label).glob("*.png")))}
