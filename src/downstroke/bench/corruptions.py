"""`downstroke bench corruptions`: the test images spoiled in twelve ways, and how many are still read right.

The ways are our own; their names are those in use (Mu & Gilmer 2019, "MNIST-C"), their strengths are not, so that the
figures compare readers of this program and nothing else. Nothing is trained on them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from downstroke.bench.timing import Say
from downstroke.data import packed, sources
from downstroke.reading.reader import Reader
from downstroke.runs.outputs import output_json

Images = NDArray[np.float32]  # [N,28,28], 0..1, ink high
Corruption = Callable[[Images, np.random.Generator], Images]
_SIDE = 28
_CENTRE = (_SIDE - 1) / 2


def measure(*, reader: Reader, images: int | None, out: Path, say: Say) -> dict[str, Any]:
    """The share of the test images that `reader` reads right, as they are and spoiled; saved to `out`.

    `images`: so many of them, the first ones; all, where it is None. What is drawn is a function of the way alone.
    """
    test = sources.load("mnist").test
    glyphs, labels = test.images[:images], test.labels[:images]
    undisputed = np.setdiff1d(np.arange(len(labels)), packed.DISPUTED)
    clean = reader.probabilities(glyphs).argmax(1) == labels
    figures: dict[str, Any] = {
        "reader": reader.note,
        "images": len(labels),
        "as they are": float(clean.mean()),
        "without the disputed": float(clean[undisputed].mean()),
    }
    found = {}
    for index, (name, spoil) in enumerate(CORRUPTIONS.items()):
        spoiled = corrupted(glyphs, spoil, index)
        found[name] = float((reader.probabilities(spoiled).argmax(1) == labels).mean())
        say(f"{name}: {found[name]:.2%} read right")
    figures |= {"mean": statistics.mean(found.values()), "corruptions": found}
    output_json(out, figures)
    return figures


def corrupted(glyphs: NDArray[np.uint8], spoil: Corruption, seed: int) -> NDArray[np.uint8]:
    """uint8 [N,28,28] -> the same, spoiled."""
    made = spoil((glyphs / 255).astype(np.float32), np.random.default_rng(seed))
    found: NDArray[np.uint8] = np.rint(made.clip(0, 1) * 255).astype(np.uint8)
    return found


def noise(images: Images, rng: np.random.Generator) -> Images:
    """Grain of a quarter of the range."""
    return images + 0.25 * rng.standard_normal(images.shape, np.float32)


def blur(images: Images, rng: np.random.Generator) -> Images:
    """Out of focus by a pixel and a half."""
    return _each(images, lambda image: cv2.GaussianBlur(image, (0, 0), 1.5))


def shear(images: Images, rng: np.random.Generator) -> Images:
    """Leaning by two fifths of the height, to either side."""
    return _warped(images, [np.array([[1, 0.4 * side], [0, 1]]) for side in _sides(rng, len(images))])


def scale(images: Images, rng: np.random.Generator) -> Images:
    """Seven tenths of the size."""
    return _warped(images, [np.eye(2) / 0.7] * len(images))


def rotation(images: Images, rng: np.random.Generator) -> Images:
    """Turned by 25 degrees, to either side."""
    turned = np.deg2rad(25) * _sides(rng, len(images))
    return _warped(images, [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in turned])


def brightness(images: Images, rng: np.random.Generator) -> Images:
    """A faint pen on grey paper."""
    return np.float32(0.25) + np.float32(0.4) * images


def translation(images: Images, rng: np.random.Generator) -> Images:
    """Three pixels away, in both directions."""
    moved = 3 * np.stack([_sides(rng, len(images)), _sides(rng, len(images))], 1)
    return _warped(images, [np.eye(2)] * len(images), moved)


def stripes(images: Images, rng: np.random.Generator) -> Images:
    """Every fourth row and the one below it turned over."""
    made = images.copy()
    for first in range(0, _SIDE, 8):
        made[:, first : first + 2] = 1 - made[:, first : first + 2]
    return made


def fog(images: Images, rng: np.random.Generator) -> Images:
    """Clouds of up to two thirds of the range over it."""
    sheets = rng.random((len(images), 5, 5), np.float32)
    clouds = np.stack([cv2.resize(sheet, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC) for sheet in sheets])
    found: Images = np.maximum(np.float32(0.9) * images, np.float32(0.65) * clouds)
    return found


def dotted_line(images: Images, rng: np.random.Generator) -> Images:
    """A line of dots from rim to rim."""
    made = images.copy()
    for image, (left, right) in zip(made, rng.uniform(4, 24, (len(images), 2)), strict=True):
        for step in np.linspace(0, 1, 10):
            x, y = round(step * (_SIDE - 1)), round(left + step * (right - left))
            image[y : y + 2, x : x + 2] = 1
    return made


def zigzag(images: Images, rng: np.random.Generator) -> Images:
    """A zigzag from rim to rim."""
    made = images.copy()
    for image, height in zip(made, rng.uniform(8, 20, len(images)), strict=True):
        points = [(4 * i, round(height + (3 if i % 2 else -3))) for i in range(8)]
        cv2.polylines(image, [np.array(points, np.int32)], False, 1.0, 1)
    return made


def edges(images: Images, rng: np.random.Generator) -> Images:
    """Its outline alone."""
    levels = np.rint(images * 255).astype(np.uint8)
    outlines = np.stack([cv2.Canny(image, 100, 200) for image in levels])
    found: Images = (outlines / 255).astype(np.float32)
    return found


CORRUPTIONS: dict[str, Corruption] = {
    "noise": noise,
    "blur": blur,
    "shear": shear,
    "scale": scale,
    "rotation": rotation,
    "brightness": brightness,
    "translation": translation,
    "stripes": stripes,
    "fog": fog,
    "dotted line": dotted_line,
    "zigzag": zigzag,
    "edges": edges,
}


def _sides(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.choice([-1.0, 1.0], count)


def _each(images: Images, change: Callable[[Images], Any]) -> Images:
    return np.stack([change(image) for image in images])


def _warped(images: Images, matrices: list[NDArray[np.float64]], moved: NDArray[np.float64] | None = None) -> Images:
    """Each image with place p from matrix @ (p - centre) + centre, moved."""
    made = np.empty_like(images)
    for index, (image, matrix) in enumerate(zip(images, matrices, strict=True)):
        away = np.zeros(2) if moved is None else moved[index]
        summand = _CENTRE - matrix @ (np.array([_CENTRE, _CENTRE]) + away)
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        made[index] = cv2.warpAffine(image, np.column_stack([matrix, summand]), (_SIDE, _SIDE), flags=how)
    return made
