"""A picture in its colours, for people to look at; reading needs grey alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from downstroke.glyphs.picture import Source, open_picture

if TYPE_CHECKING:
    from PIL import Image


def coloured(file: str) -> Image.Image:
    """The picture in its colours, upright, on white where transparent; in grey where its levels are not 0 to 255."""
    from PIL import Image, ImageOps

    source = Source.of(file)
    grey = open_picture(source)  # says what is wrong with it
    if source.page is not None or Path(source.path).suffix.lower() in (".pdf", ".heic", ".heif", ".avif"):
        return Image.fromarray(grey).convert("RGB")
    with Image.open(file) as image:
        if image.mode == "F" or image.mode.startswith("I") or image.mode == "LAB":
            return Image.fromarray(grey).convert("RGB")
        upright = ImageOps.exif_transpose(image).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
