"""A reading as a notebook shows it: the picture with a box at each digit, and the text."""

from __future__ import annotations

import base64
import io
from xml.etree.ElementTree import Element

from downstroke import display
from downstroke.errors import PictureError
from downstroke.glyphs.colour import coloured
from downstroke.reading.outcome import Digit, Reading

_MOST = 1000  # pixels of the embedded picture's longer side
_LARGER = 4  # how much larger than the picture it is shown at most


def shown_reading(reading: Reading) -> str:
    """HTML. Where the picture is gone (from stdin, from memory, deleted since) the boxes stand on blank paper."""
    parts = [display.element("p", display.element("b", reading.name))]
    if reading.error is not None:
        return display.html(*parts, display.element("p", reading.error))
    parts.append(_picture(reading))
    parts.append(display.element("pre", reading.text))
    if reading.refused:
        parts.append(display.element("p", f"{reading.refused} refused (dashed): not to be relied on"))
    return display.html(*parts, *(display.element("p", note) for note in reading.notes))


def _picture(reading: Reading) -> Element:
    digits = [digit for line in reading.lines for digit in line.digits]
    under: list[Element] = []
    try:
        if reading.file == "-":
            raise PictureError("it came from stdin or from memory")
        width, height, picture = _embedded(reading.source)
        under.append(display.element("image", href=picture, width=width, height=height))
    except PictureError:
        width = max((d.box[0] + d.box[2] for d in digits), default=100) + 10
        height = max((d.box[1] + d.box[3] for d in digits), default=100) + 10
    shown = min(680, width * _LARGER)
    svg = display.element(
        "svg",
        *under,
        *(part for digit in digits for part in _box(digit, width / shown)),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=shown,
        role="img",
        font_family="sans-serif",
        style="max-width:100%;height:auto",
    )
    svg.set("aria-label", "the picture with a box at each digit")
    return svg


def _embedded(source: str) -> tuple[int, int, str]:
    """Width and height of the picture, and a copy of it, no larger than a page needs, as a data URL. PictureError."""
    image = coloured(source)
    size = image.size
    image.thumbnail((_MOST, _MOST))
    content = io.BytesIO()
    image.save(content, "jpeg", quality=80)
    return *size, "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def _box(digit: Digit, unit: float) -> list[Element]:
    """A box, what was read above it, and the probability when the mouse rests there; `unit`: a pixel of the page."""
    x, y, width, height = digit.box
    colour = display.VAL if digit.accepted else display.REFUSED
    dash = {} if digit.accepted else {"stroke_dasharray": f"{4 * unit:g} {3 * unit:g}"}
    told = f"{digit.digit}: {digit.probability:.1%}{'' if digit.accepted else ', refused'}"
    look = {"fill": "none", "stroke": colour, "stroke_width": f"{2 * unit:g}", "pointer_events": "all"}
    title = display.element("title", told)
    box = display.element("rect", title, x=x, y=y, width=width, height=height, **look, **dash)
    size = max(10 * unit, min(0.4 * height, 18 * unit))
    edge = {"stroke": "white", "stroke_width": f"{3 * unit:g}", "paint_order": "stroke"}
    at = {"x": x, "y": f"{max(y - 2 * unit, size):g}", "font_size": f"{size:g}"}
    name = display.element("text", f"{digit.digit}{'' if digit.accepted else '?'}", fill=colour, **edge, **at)
    return [box, name]
