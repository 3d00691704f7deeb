"""Pages without a digit, drawn: how many have one that is accepted all the same."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstroke import recipe
from downstroke.augment.pages import Characters, draw_page
from downstroke.data import sources
from downstroke.errors import PictureError
from downstroke.learning.evaluate import wilson
from downstroke.reading.reader import Reader

PAGES = 60  # of each kind, seeds 0..59
_FACES = ("DejaVuSans", "DejaVuSansMono", "DejaVuSerif-Italic", "STIXGeneral", "cmr10", "cmss10", "cmtt10")
Image = NDArray[np.uint8]


def measure(reader: Reader) -> dict[str, Any]:
    """Of each kind of page the share with an accepted digit: printed English, and `augment`'s pages without any."""
    digits = sources.load("mnist", 0).train
    characters = Characters(digits.images[:5000], digits.labels[:5000])
    kinds: dict[str, Callable[[np.random.Generator], Image]] = {
        "printed English": prose,
        "words, forms, shapes, paper": lambda rng: draw_page(rng, characters, "none").image,
    }
    return {name: _figures(reader, draw) for name, draw in kinds.items()}


def _figures(reader: Reader, draw: Callable[[np.random.Generator], Image]) -> dict[str, Any]:
    wrong = sum(_has_a_digit(reader, draw(np.random.default_rng((1, seed)))) for seed in range(PAGES))
    return {"pages": PAGES, "with_a_digit": wrong / PAGES, "with_a_digit_interval": wilson(wrong, PAGES)}


def _has_a_digit(reader: Reader, page: Image) -> bool:
    try:
        return any(digit.accepted for line in reader.read(page).lines for digit in line.digits)
    except PictureError:
        return False


def prose(rng: np.random.Generator) -> Image:
    """A page of printed English, uint8 [H,W]: words of this package's descriptions, in a face and size at random."""
    import matplotlib
    from PIL import Image as Pictures
    from PIL import ImageDraw, ImageFont

    size = int(rng.integers(14, 44))
    face = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{_FACES[int(rng.integers(len(_FACES)))]}.ttf")
    font = ImageFont.truetype(str(face), size)
    width, height = int(rng.integers(300, 900)), int(rng.integers(150, 500))
    made = Pictures.new("L", (width, height), int(rng.integers(180, 256)))
    words = re.findall(r"[A-Za-z]+[,.;]?", inspect.getsource(recipe))
    words = words[int(rng.integers(len(words) // 2)) :]
    drawing, ink = ImageDraw.Draw(made), int(rng.integers(0, 80))
    for y in range(10, height - size, round(1.4 * size)):
        line = ""
        while words and drawing.textlength(f"{line}{words[0]} ", font=font) < width - 20:
            line += words.pop(0) + " "
        drawing.text((10, y), line, font=font, fill=ink)
    grain = rng.normal(0, rng.uniform(0, 8), (height, width))
    return np.asarray((np.asarray(made, np.float32) + grain).clip(0, 255), np.uint8)
