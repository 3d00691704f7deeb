"""The pictures of a test: what was taken for what, and every misread digit; in the house style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from downstroke.errors import counted
from downstroke.show.style import (
    DPI,
    INK,
    MUTED,
    PAPER,
    RULE,
    VAL,
    check_suffix,
    drawing,
    heading,
    percent,
    shorten,
)

MOST_CLASSES = 50  # a larger confusion is a haystack: its worst pairs and classes are listed instead
WORST = 20
MOST_MISREAD = 200

# One hue, from paper to dark: it keeps its order in greyscale.
_ERRORS = LinearSegmentedColormap.from_list("errors", ["#fdf1e3", "#f2a65a", "#c8540c", "#6d2303"])
_SHEET = np.array([250.0, 247.0, 240.0])  # paper
_PEN = np.array([16.0, 28.0, 62.0])  # ink
_GLYPH = 28


def confusion_picture(confusion: NDArray[np.int64], classes: Sequence[str], path: Path) -> Path:
    """Draw what was taken for what, and the recall of each class; return `path` (PNG or SVG by suffix).

    `confusion`: int64 [C, C], counts of images; row = true class, column = what it was taken for.
    `classes`: the C names. The colours are of the errors alone: the diagonal is grey, whatever its counts.
    Above 50 classes, the 20 worst pairs and the 20 classes with the lowest recall are drawn instead.

    Raises DownstrokeError where the suffix is another or `path` cannot be written; ValueError where the
    shapes do not fit.
    """
    check_suffix(path)
    if confusion.shape != (len(classes), len(classes)):
        raise ValueError(f"confusion is {confusion.shape}; expected [{len(classes)}, {len(classes)}] for the classes")
    right, images = int(np.trace(confusion)), int(confusion.sum())
    errors = images - right
    title = f"{f'{errors:,}' if errors else 'none'} of {counted(images, 'image')} misread"
    if errors:
        title += f" ({percent(errors / images)})"
    if len(classes) > MOST_CLASSES:
        _worst(confusion, classes, title, path)
    else:
        _matrix(confusion, classes, title, path)
    return path


def misread_picture(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    probabilities: NDArray[np.floating[Any]],
    classes: Sequence[str],
    path: Path,
) -> Path:
    """Draw every misread digit as ink on paper, the most confident mistake first; return `path` (PNG or SVG).

    `images`: uint8 [K, 28, 28], ink high on zero; `labels`, `predictions`: int [K], indices into `classes`;
    `probabilities`: float [K], 0..1, of the prediction. Rows that were read rightly are left out. Each
    digit says what it is, what it was taken for and with what probability. Of more than 200, the 200 most
    confident are drawn, and the title says so. None at all is a picture too: it says so.

    Raises DownstrokeError where the suffix is another or `path` cannot be written; ValueError where the
    shapes do not fit.
    """
    check_suffix(path)
    count = len(images)
    if images.shape != (count, _GLYPH, _GLYPH) or not len(labels) == len(predictions) == len(probabilities) == count:
        raise ValueError(
            f"images {images.shape}, labels {len(labels)}, predictions {len(predictions)}, probabilities "
            f"{len(probabilities)}; expected [K, {_GLYPH}, {_GLYPH}] and K of each"
        )
    misread = np.flatnonzero(labels != predictions)
    # Stable, so that equally confident mistakes keep the order of the images.
    order = misread[np.argsort(-probabilities[misread], kind="stable")]
    shown = order[:MOST_MISREAD]
    if not len(shown):
        with drawing(path, 560, 70) as figure:
            heading(figure, "None misread", "every image was taken for what it is")
        return path
    title = f"{len(order):,} misread" if len(order) > 1 else "One misread"
    if len(shown) < len(order):
        title = f"The {len(shown):,} most confident of {len(order):,} misread"
    _sheet(images[shown], [_caption(i, labels, predictions, probabilities, classes) for i in shown], title, path)
    return path


# ---- confusion ---------------------------------------------------------------------------------------


def _matrix(confusion: NDArray[np.int64], classes: Sequence[str], title: str, path: Path) -> None:
    count = len(classes)
    names = [shorten(name, 14) for name in classes]
    longest = max(len(name) for name in names)
    upright = longest > 3
    # Cells shrink with their number; up to 20 classes every count is written, above it only the colour tells.
    cell = 52 if count <= 12 else 34 if count <= 20 else 20
    side = cell * count
    size = 9.5 if cell > 40 else 8 if cell > 30 else 7
    names_width = 12 + 0.68 * size * DPI / 72 * longest
    left, top = 40 + names_width, 88 + (names_width if upright else 22)
    recall_width = 210
    width, height = max(left + side + 40 + recall_width + 92, 560), top + side + 40
    with drawing(path, width, height) as figure:
        most = int((confusion - np.diag(np.diag(confusion))).max(initial=0))
        scale = "" if count <= 20 or not most else f" (darkest: {most:,})"
        heading(figure, f"Confusion: {title}", f"colour: number of errors{scale} · grey: read rightly · blank: none")
        ax = _axes(figure, left, top, side, side)
        _cells(ax, confusion, size, written=count <= 20)
        places = range(count)
        ax.set_xticks(places, names, rotation=90 if upright else 0, size=size)
        ax.set_yticks(places, names, size=size)
        ax.xaxis.set_label_position("top")
        ax.tick_params(length=0, labeltop=True, labelbottom=False)
        ax.set_xlabel("taken for", labelpad=6)
        ax.set_ylabel("true class", labelpad=6)
        beside = _axes(figure, left + side + 40, top, recall_width, side)
        _recalls(beside, confusion, size)
        beside.set_ylim(ax.get_ylim())


def _cells(ax: Axes, confusion: NDArray[np.int64], size: float, *, written: bool) -> None:
    count = len(confusion)
    wrong = confusion.astype(np.float64)
    np.fill_diagonal(wrong, 0)
    most = max(float(wrong.max(initial=0)), 1.0)
    colours = _ERRORS(np.sqrt(wrong / most))  # the root lets a single error differ from none at all
    colours[wrong == 0] = (1, 1, 1, 1)
    diagonal = np.arange(count)
    colours[diagonal, diagonal] = (0.925, 0.933, 0.945, 1)
    grey = colours[..., :3] @ (0.299, 0.587, 0.114)
    ax.imshow(colours, interpolation="nearest", aspect="auto")
    ax.grid(visible=False)
    lines = np.arange(count + 1) - 0.5
    ax.hlines(lines, -0.5, count - 0.5, color=RULE, linewidth=0.5)
    ax.vlines(lines, -0.5, count - 0.5, color=RULE, linewidth=0.5)
    ax.spines[:].set_visible(False)
    if not written:
        return
    for row, column in np.argwhere(confusion):
        value = int(confusion[row, column])
        ax.text(
            column,
            row,
            f"{value:,}" if value < 10_000 or size > 9 else f"{value / 1000:.0f}k",
            ha="center",
            va="center_baseline",
            size=size - 1 if value >= 1000 else size,
            color=MUTED if row == column else PAPER if grey[row, column] < 0.5 else INK,
        )


def _recalls(ax: Axes, confusion: NDArray[np.int64], size: float) -> None:
    """A dot a class at its recall, and the number: right ones of that class / images of that class."""
    of_class, right = confusion.sum(axis=1), np.diag(confusion)
    known = np.flatnonzero(of_class)
    recall = right[known] / of_class[known]
    lowest = float(recall.min()) if len(known) else 0.0
    start = max(lowest - max(0.08 * (1 - lowest), 0.004), 0)
    ax.hlines(known, recall, 1, color="#c9cdd3", linewidth=2, zorder=1)  # what is missing from 1
    ax.plot(recall, known, linestyle="", marker="o", markersize=size - 3, color=VAL["color"], clip_on=False)
    ax.set_xlim(start - 0.02 * (1 - start), 1 + 0.02 * (1 - start))
    round_ones = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(start, 1)
    ax.set_xticks([float(t) for t in round_ones if start <= t < 1 - 0.2 * (1 - start)] + [1.0])
    ax.xaxis.set_major_formatter(lambda v, _: f"{round(100 * v, 3):g}%")
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.set_xlabel("recall: share read rightly", labelpad=6)
    ax.tick_params(left=False, labelleft=False, top=False, labelsize=size)
    ax.spines[:].set_visible(False)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    for row in range(len(confusion)):
        words = percent(right[row] / of_class[row]) if of_class[row] else "no images"
        ax.annotate(
            words,
            (1, row),
            xycoords=ax.get_yaxis_transform(),
            xytext=(8, 0),
            textcoords="offset points",
            va="center_baseline",
            size=size,
            color=INK if of_class[row] else MUTED,
        )


def _worst(confusion: NDArray[np.int64], classes: Sequence[str], title: str, path: Path) -> None:
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    of_class = confusion.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:WORST]
    pairs = [(int(i) // len(classes), int(i) % len(classes)) for i in order]
    pairs = [pair for pair in pairs if wrong[pair]]
    recall = np.where(of_class > 0, np.diag(confusion) / np.maximum(of_class, 1), np.inf)
    lowest = [int(i) for i in np.argsort(recall, kind="stable")[:WORST] if recall[i] < 1]
    rows = max(len(pairs), len(lowest), 1)
    width, top = 1000, 96
    with drawing(path, width, top + 22 * rows + 40) as figure:
        known = counted(len(classes), "class", "classes")
        about = f"{known}: the pairs most often confused, and the classes read worst"
        heading(figure, f"Confusion: {title}", about)
        pair_names = [f"{shorten(classes[a], 16)} taken for {shorten(classes[b], 16)}" for a, b in pairs]
        ax = _axes(figure, 270, top, 190, 22 * rows)
        _bars(ax, rows, pair_names, [float(wrong[p]) for p in pairs], [f"{wrong[p]:,}" for p in pairs])
        ax.set_title("errors (images)", loc="left", size=9.5)
        ax = _axes(figure, 690, top, 190, 22 * rows)
        shares = [float(recall[i]) for i in lowest]
        told = [f"{percent(float(recall[i]))} of {of_class[i]:,}" for i in lowest]
        _bars(ax, rows, [shorten(classes[i], 20) for i in lowest], shares, told)
        ax.set_xlim(0, 1)
        ax.set_title("recall, and the images of the class", loc="left", size=9.5)


def _bars(ax: Axes, rows: int, names: Sequence[str], values: Sequence[float], told: Sequence[str]) -> None:
    ax.barh(range(len(values)), values, height=0.62, color="#f2a65a")
    ax.set_ylim(rows - 0.4, -0.6)
    ax.set_xlim(0, max(values, default=1.0))
    ax.set_yticks(range(len(names)), names)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(visible=False)
    if not names:
        ax.text(0, 0, "none", color=MUTED)
    for row, (value, words) in enumerate(zip(values, told, strict=True)):
        ax.annotate(words, (value, row), xytext=(5, 0), textcoords="offset points", va="center_baseline", size=9)


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes by their place in pixels from the top left."""
    whole_width, whole_height = figure.get_size_inches() * DPI
    box = (left / whole_width, 1 - (top + height) / whole_height, width / whole_width, height / whole_height)
    return figure.add_axes(box)


# ---- misread -----------------------------------------------------------------------------------------


def _caption(
    index: int,
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    probabilities: NDArray[np.floating[Any]],
    classes: Sequence[str],
) -> str:
    true, taken = classes[int(labels[index])], classes[int(predictions[index])]
    likely = float(probabilities[index])
    # 99.7% and more is not rounded up to a certainty that nobody claimed.
    share = ">99.9%" if likely > 0.999 else f"{likely:.1%}" if likely >= 0.995 else f"{likely:.0%}"
    return f"{shorten(true, 14)} taken for {shorten(taken, 14)}, {share}"


def _sheet(images: NDArray[np.uint8], captions: Sequence[str], title: str, path: Path) -> None:
    """Glyphs in rows, a caption below each, all in one pair of axes: 200 of them would take seconds.

    Each glyph is an image of its own: one as large as the sheet would take half a gigabyte to draw.
    """
    count, zoom = len(images), 4 if len(images) <= 100 else 3
    glyph = zoom * _GLYPH
    if max(len(c) for c in captions) > 24:  # classes with names, not digits
        captions = [c.replace(" taken for ", "\ntaken for ") for c in captions]
    longest = max(len(line) for caption in captions for line in caption.split("\n"))
    lines = max(caption.count("\n") for caption in captions) + 1
    pitch_x = max(glyph + 10, math.ceil(longest * 6.2) + 8)
    pitch_y = glyph + 18 + 13 * lines
    columns = min(count, 8 if count <= 100 else 12 if count <= 200 else 16)
    rows = math.ceil(count / columns)
    top, margin = 62, 16
    width, height = max(columns * pitch_x + 2 * margin, 560), top + rows * pitch_y + 4
    # A sheet of hundreds is large as it is: at twice its pixels it would take seconds and 20 megapixels.
    with drawing(path, width, height, scale=2 if count <= 100 else 1) as figure:
        heading(figure, title, "the most confident mistake first · the probability is of what it was taken for")
        ax = _axes(figure, margin, top, columns * pitch_x, rows * pitch_y)
        ax.set(xlim=(0, columns * pitch_x), ylim=(rows * pitch_y, 0), autoscale_on=False)
        for i, caption in enumerate(captions):
            y, x = i // columns * pitch_y, i % columns * pitch_x + (pitch_x - glyph) // 2
            ink = (_SHEET + images[i][..., None] / 255 * (_PEN - _SHEET)).round().astype(np.uint8)
            ax.imshow(ink, extent=(x, x + glyph, y + glyph, y), interpolation="nearest", aspect="auto")
            ax.text(x + glyph / 2, y + glyph + 6, caption, ha="center", va="top", size=7.5)
        ax.set_axis_off()
