"""The house style of every picture: colours, words, axes, and files that are whole or not there.

Figures are matplotlib objects drawn in the style below, whatever a user's own matplotlibrc says, and without
pyplot, so that nothing here shows up in a notebook's or a server's global state.
"""

from __future__ import annotations

import io
import math
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, Locator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from downstroke.errors import DownstrokeError
from downstroke.runs.outputs import write_output

INK, MUTED, RULE, PAPER = "#1f2328", "#5f6670", "#d9dce0", "#ffffff"
DPI = 100  # layouts below are in pixels at this resolution; a PNG is written at twice it, for sharp screens
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a run or a class may have a dollar sign in its name
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "figure.dpi": DPI,
    "figure.facecolor": PAPER,
    "savefig.dpi": 2 * DPI,
    "svg.fonttype": "none",  # words stay words: they can be searched, read aloud and copied
    "svg.hashsalt": "downstroke",  # the same history gives the same bytes
}
# Dark and solid against light and dashed: they differ in greyscale too, and for every kind of colour vision.
VAL: dict[str, Any] = {"color": "#0b3c6f", "linestyle": "-", "linewidth": 2.0, "marker": "o", "markersize": 5}
TRAIN: dict[str, Any] = {
    "color": "#d9730d",
    "linestyle": (0, (4, 1.6)),
    "linewidth": 1.6,
    "marker": "s",
    "markersize": 4.5,
    "markerfacecolor": PAPER,
}
BATCH: dict[str, Any] = {"color": "#a9aeb5", "linestyle": "-", "linewidth": 0.9}
LR: dict[str, Any] = {"color": INK, "linestyle": "-", "linewidth": 1.3}
RUN_COLOURS = ("#0b3c6f", "#d9730d", "#009e73", "#cc79a7", "#56b4e9", "#7a5c00", "#6b6f76")
RUN_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
RUN_LINES = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (2, 1.2)))

# matplotlib's rcParams are one for the process, and the studio may draw from several threads.
_LOCK = threading.Lock()


# ---- a picture and its file ------------------------------------------------------------------------------


def check_suffix(path: Path) -> None:
    """Raise DownstrokeError unless `path` ends in .png or .svg (either case)."""
    if path.suffix.lower() not in {".png", ".svg"}:
        raise DownstrokeError(
            f"cannot draw {path.name!r}: the suffix is {path.suffix or 'missing'}; expected .png or .svg"
        )


@contextmanager
def drawing(path: Path, width: float, height: float, scale: float = 2) -> Iterator[Figure]:
    """A figure of `width` x `height` pixels in the house style; at the block's end `path` holds it, whole.

    A PNG, or an image within an SVG, has `scale` times as many pixels. Raises DownstrokeError where the file
    cannot be written.
    """
    with _LOCK:
        with matplotlib.style.context(STYLE, after_reset=True), warnings.catch_warnings():
            # A class named in Chinese is drawn as boxes, as DejaVu Sans lacks it; a warning would help nobody.
            warnings.filterwarnings("ignore", message=r"Glyph .* missing")
            figure = Figure(figsize=(width / DPI, height / DPI))
            FigureCanvasAgg(figure)  # not the one that the environment names
            yield figure
            content = (_as_svg if path.suffix.lower() == ".svg" else _as_png)(figure, scale * DPI)
        try:
            write_output(path, content)
        except OSError as error:
            raise DownstrokeError(f"cannot write {path}: {error.strerror or error}") from error


def _as_svg(figure: Figure, dpi: float) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="svg", dpi=dpi, metadata={"Date": None, "Creator": None})
    # A viewer may lack the font: Verdana is as wide, and anything is better than its serif.
    named = b"font-family: 'DejaVu Sans'"
    return content.getvalue().replace(named, named + b", Verdana, sans-serif")


def _as_png(figure: Figure, dpi: float) -> bytes:
    content = io.BytesIO()
    # Level 1 takes two thirds of the time of level 6, the default; the file of a plot grows by a fifth.
    figure.savefig(content, format="png", dpi=dpi, metadata={"Software": None}, pil_kwargs={"compress_level": 1})
    return content.getvalue()


def number(value: float, digits: int = 3) -> str:
    """So many significant digits, as short as they go: 0.0352, 12, 1.5e-4."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{float(f'{value:.{digits}g}'):.10f}".rstrip("0").rstrip(".")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def tick(value: float) -> str:
    """As `number`, with as many digits as it takes to say where the tick is: 0.1275, not 0.128."""
    told = (number(value, digits) for digits in range(3, 10))
    return next((words for words in told if math.isclose(float(words), value, rel_tol=1e-6)), number(value, 10))


def told_loss(value: float) -> str:
    """A loss as the studio writes it: four decimals below 1 (0.0200), else three significant digits."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1 else number(value)


def percent(value: float) -> str:
    """A share in 0..1 as percent with two decimals; 100% is said of 1 alone, 0% of 0 alone."""
    if value in (0, 1):
        return f"{value:.0%}"
    return f"{100 * min(max(value, 0.00005), 0.9999):.2f}%"


def heading(figure: Figure, title: str, subtitle: str) -> None:
    """A bold line and a quiet line below it at the top left, cut where they would leave the picture."""
    width, height = figure.get_size_inches() * DPI
    figure.text(16 / width, 1 - 14 / height, shorten(title, 90), va="top", weight="bold", size=11.5)
    quiet = textwrap.shorten(subtitle, 130, placeholder=" …")
    figure.text(16 / width, 1 - 36 / height, quiet, va="top", color=MUTED, size=9)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters; an ellipsis stands for what was cut from the middle."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"


# ---- axes ------------------------------------------------------------------------------------------------


def scale_loss(ax: Axes, values: Sequence[float], best_val: float | None, log_from: float = 10) -> None:
    """Logarithmic where the losses span more than that factor; else from zero, unless they barely move."""
    ax.set_ylabel("loss (nats, mean over images)")
    if not values:
        ax.set_ylim(0, 1)
        ax.set_yticks([])
        ax.text(0.5, 0.5, "no finite loss was recorded", transform=ax.transAxes, ha="center", color=MUTED)
        return
    low, high = min(values), max(values)
    positive = [v for v in values if v > 0]
    if low >= 0 and positive and high > log_from * low:
        # A train loss may fall to 1e-9. Below a thousandth of the best val loss it leaves the picture, so
        # that the val curve keeps room to be read; its name at the right still tells its value.
        bottom = max(min(positive), (best_val or 0) / 1000)
        _log_axis(ax, bottom, min(high, 1e15 * bottom), 6)
        return
    pad = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    ax.set_ylim(0 if 0 <= low < high / 1.5 else low - pad, high + pad)
    _ticks(ax, MaxNLocator(6))


def scale_accuracy(ax: Axes, values: Sequence[float]) -> float:
    """Set the accuracy axis (0..1, ticks in percent); return the highest value that can be drawn on it.

    It is logarithmic in the errors, in every picture, and ends at round numbers: 99.0% and 99.5% are as far apart as
    they matter, and pictures of runs that are about as good have the same axis. A log axis has no 100%: half of the
    fewest errors on it stands for none.
    """
    ax.set_ylabel("accuracy (%)")
    said: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "color": MUTED, "size": 8}
    ax.annotate("the errors on a log scale", (1, 1), xytext=(0, 2), ha="right", **said)
    errors = [1 - v for v in values if v < 1]
    most = _round_error(max(errors, default=0.02), up=True)
    least = min(_round_error(min(errors, default=0.01), up=False), most / 5)
    perfect = any(v >= 1 for v in values)
    floor = 1 - least / 2 if perfect else 1 - least
    pad = (most / (1 - floor)) ** 0.12  # room for a whole marker at either end
    ax.set_yscale("function", functions=(_minus_log_errors, _undo_minus_log_errors))
    ax.set_ylim(1 - most * pad, 1 - (1 - floor) / pad)
    ticks = [1 - error for error in log_ticks(least * 0.999, most * 1.001, 4, (1, 5))]
    _ticks(
        ax,
        FixedLocator([*ticks, floor] if perfect else ticks),
        lambda v: "100" if perfect and v >= floor else f"{round(100 * v, 6):g}",
    )
    return floor


def _round_error(error: float, *, up: bool) -> float:
    """The next of 1, 2, 5 times a power of ten, from 1e-9 to 1."""
    steps = [float(f"{n}e{d}") for d in range(-9, 0) for n in (1, 2, 5)] + [1.0]
    if up:
        return next((step for step in steps if step >= error * 0.999), 1.0)
    return next((step for step in reversed(steps) if step <= error * 1.001), steps[0])


def scale_lr(ax: Axes, values: NDArray[np.float64]) -> None:
    """From zero, or logarithmic where the lr falls far; `values`: one or more finite ones."""
    ax.set_ylabel("lr (per step)")
    low, high = float(values.min()), float(values.max())
    # Up to a quarter of the steps may be an ending that nears zero (cosine) and asks for no log axis.
    if low > 0 and high > 20 * np.quantile(values, 0.25):
        _log_axis(ax, low, high, 4)
    else:
        ax.set_ylim(0, 1.25 * (high or 1.0))
        _ticks(ax, MaxNLocator(3))


def _minus_log_errors(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.log10(np.maximum(1 - np.asarray(accuracy, dtype=np.float64), 1e-12))


def _undo_minus_log_errors(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 - 10 ** -np.asarray(value, dtype=np.float64)


def _log_axis(ax: Axes, low: float, high: float, most_ticks: int) -> None:
    low, high = min(max(low, 1e-280), 1e280), min(high, 1e280)  # so that nothing below overflows
    pad = (high / low) ** 0.06 if high > low else 1.5
    ax.set_yscale("log")
    ax.set_ylim(low / pad, high * pad)
    _ticks(ax, FixedLocator(log_ticks(low / pad, high * pad, most_ticks)))


def _ticks(ax: Axes, places: Locator, told: Callable[[float], str] = tick) -> None:
    """Ticks of the y axis and their words; to be called after a scale is set, which brings its own."""
    ax.yaxis.set_major_locator(places)
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(lambda value, _: told(value))


def log_ticks(low: float, high: float, most: int, few: tuple[int, ...] = (1, 3)) -> list[float]:
    """At most `most` round numbers in low..high: multiples of 1, 2, 5, else of `few`, else powers of ten."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 5), few, (1,)):
        ticks = [t for d in decades for n in digits if low <= (t := float(f"{n}e{d}")) <= high]
        if 2 <= len(ticks) <= most:
            return ticks
    if len(ticks) > most:
        return ticks[:: math.ceil(len(ticks) / most)]
    return [float(t) for t in MaxNLocator(most - 1).tick_values(low, high) if low <= t <= high]
