"""How things show themselves in a notebook: HTML and SVG, small and without scripts.

Everything is a tree of elements until it is written, so that whatever a name or a file holds is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, tostring

from downstroke.errors import shown

#: Colours that stand out on white and on black; what a line means is also said beside it, in words.
VAL, TRAIN, BATCH, REFUSED = "#2f7ed8", "#d9730d", "#8a9099", "#e05a2b"
_WIDTH, _HEIGHT = 680, 300  # of a curve, in pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 140, 28, 40
_MOST_POINTS = 400  # of a line
_CELL = "padding:1px 12px 1px 0;text-align:right"


def element(tag: str, *inside: Element | str, **attributes: object) -> Element:
    """An element with text and elements inside; `text_anchor=...` is the attribute text-anchor."""
    made = Element(tag, {name.rstrip("_").replace("_", "-"): shown(str(value)) for name, value in attributes.items()})
    for part in inside:
        if isinstance(part, Element):
            made.append(part)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + shown(part)
        else:
            made.text = (made.text or "") + shown(part)
    return made


def html(*inside: Element | str) -> str:
    """The elements in one block, as HTML."""
    return tostring(element("div", *inside), encoding="unicode", method="html")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Element:
    """Rows of text under their columns' names."""
    head = element("tr", *(element("th", name, style=_CELL) for name in columns))
    body = [element("tr", *(element("td", cell, style=_CELL) for cell in row)) for row in rows]
    return element("table", element("thead", head), element("tbody", *body))


@dataclass(frozen=True)
class Line:
    """A line of a curve, and how it looks."""

    name: str
    points: Sequence[tuple[float, float]]  # what is not finite is left out
    colour: str
    dashed: bool = False
    thin: bool = False  # it may leave the picture at the bottom


def curve(lines: Sequence[Line], best: tuple[float, float] | None = None, *, width: int = _WIDTH) -> Element:
    """Losses against epochs as SVG, each line named with its last value; a ring at `best`.

    The axis is logarithmic where the losses span more than a factor of 10.
    """
    drawn = [(line, points) for line in lines if (points := _finite(line.points))]
    svg = element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {_HEIGHT}",
        width=width,
        height=_HEIGHT,
        role="img",
        fill="currentColor",
        font_family="sans-serif",
        font_size=12,
        style="max-width:100%;height:auto",
    )
    svg.set("aria-label", "the losses by epoch")
    if not drawn:
        svg.append(element("text", "no finite loss yet", x=_LEFT, y=_HEIGHT // 2))
        return svg
    scale = _Scale.of(drawn, width)
    svg.extend(_axes(scale, width))
    for line, points in drawn:
        svg.append(_polyline(line, [(scale.x(x), scale.y(y)) for x, y in points]))
    if best is not None and math.isfinite(best[1]):
        at = {"cx": _pixels(scale.x(best[0])), "cy": _pixels(scale.y(best[1]))}
        svg.append(element("circle", r=6, fill="none", stroke="currentColor", stroke_width=1.5, **at))
    svg.extend(_names(drawn, scale, width))
    return svg


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    every = math.ceil(len(finite) / _MOST_POINTS)
    return finite if every <= 1 else [*finite[:-1:every], finite[-1]]


@dataclass(frozen=True)
class _Scale:
    """From epochs and losses to pixels."""

    first: float
    last: float
    low: float
    high: float
    log: bool
    width: int

    @classmethod
    def of(cls, drawn: Sequence[tuple[Line, list[tuple[float, float]]]], width: int) -> _Scale:
        xs = [x for _, points in drawn for x, _ in points]
        ys = [y for _, points in drawn for _, y in points]
        firm = [y for line, points in drawn if not line.thin for _, y in points] or ys
        low, high = min(firm), max(ys)
        log = low > 0 and high > 10 * low
        if log:
            low = max(low, max(firm) / 1e5)  # a train loss may fall to 1e-9 and would leave the others no room
            low, high = low / 1.2, min(high, low * 1e15) * 1.2
        else:
            pad = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
            low, high = (0.0 if 0 <= low < high / 1.5 else low - pad), high + pad
        first, last = min(0.0, *xs) if min(xs) <= 1 else min(xs), max(xs)
        return cls(first, last if last > first else first + 1, low, high, log, width)

    def x(self, epoch: float) -> float:
        return _LEFT + (self.width - _LEFT - _RIGHT) * (epoch - self.first) / (self.last - self.first)

    def y(self, loss: float) -> float:
        value, low, high = min(max(loss, self.low), self.high), self.low, self.high
        if self.log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        share = value / (high - low) - low / (high - low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    def ticks(self) -> list[float]:
        """At most a handful of round losses."""
        if not self.log:
            return _round_steps(self.low, self.high, 5)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found: list[float] = []
        for digits in ((1, 2, 5), (1, 3), (1,)):
            found = [t for d in decades for n in digits if self.low <= (t := float(f"{n}e{d}")) <= self.high]
            if len(found) <= 6:
                return found
        return found[:: math.ceil(len(found) / 6)]


def _round_steps(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough)
    return [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _axes(scale: _Scale, width: int) -> list[Element]:
    right, bottom = width - _RIGHT, _HEIGHT - _BOTTOM
    parts = [element("text", f"loss (nats{', log scale' if scale.log else ''})", x=_LEFT - 48, y=16)]
    for loss in scale.ticks():
        y = _pixels(scale.y(loss))
        parts.append(element("line", x1=_LEFT, x2=right, y1=y, y2=y, stroke="currentColor", stroke_opacity=0.15))
        parts.append(element("text", f"{loss:.3g}", x=_LEFT - 6, y=y, dy=4, text_anchor="end"))
    for epoch in _round_steps(scale.first, scale.last, 8):
        if epoch == round(epoch):
            parts.append(element("text", f"{epoch:g}", x=_pixels(scale.x(epoch)), y=bottom + 18, text_anchor="middle"))
    parts.append(element("line", x1=_LEFT, x2=right, y1=bottom, y2=bottom, stroke="currentColor"))
    parts.append(element("text", "epoch", x=(_LEFT + right) // 2, y=_HEIGHT - 6, text_anchor="middle"))
    return parts


def _polyline(line: Line, points: list[tuple[float, float]]) -> Element:
    if len(points) == 1:
        x, y = points[0]
        return element("circle", cx=_pixels(x), cy=_pixels(y), r=3, fill=line.colour)
    told = " ".join(f"{_pixels(x)},{_pixels(y)}" for x, y in points)
    look = {"stroke_dasharray": "5 3"} if line.dashed else {}
    thick = 1 if line.thin else 2
    return element("polyline", points=told, fill="none", stroke=line.colour, stroke_width=thick, **look)


def _names(drawn: Sequence[tuple[Line, list[tuple[float, float]]]], scale: _Scale, width: int) -> list[Element]:
    """The name of each line beside its end, moved down where it would lie on another."""
    ends = sorted(((scale.y(points[-1][1]), line, points[-1][1]) for line, points in drawn), key=lambda end: end[0])
    level = -math.inf
    parts = []
    for y, line, value in ends:
        level = max(min(y, _HEIGHT - _BOTTOM), level + 15)
        told = f"{line.name} {value:.4g}"
        parts.append(element("text", told, x=width - _RIGHT + 8, y=_pixels(level), dy=4, fill=line.colour))
    return parts


def _pixels(pixels: float) -> str:
    return f"{pixels:.1f}"
