"""How a reader takes what befalls MNIST's own val digits: `python tools/corruptions.py [RUN]`, or the shipped reader.

They are written with other means (OpenCV) than the recipe's augmentation, so that strengths can be judged here without
a look at anybody's handwriting. A row for each: accuracy, ECE, and the share accepted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from downstroke.data import sources
from downstroke.learning.evaluate import Evaluation, calibration_error, read_logits
from downstroke.reading import refusal, shipped
from downstroke.recipe import RECIPES
from downstroke.runs.parts import Parts
from downstroke.runs.run import Run

Image = NDArray[np.uint8]
RANDOM = np.random.default_rng(0)


def warped(*rows: tuple[float, float]) -> Callable[[Image], Image]:
    """The 2x2 matrix of two rows, about the centre."""
    matrix = np.array(rows, np.float64)
    offset = np.array([13.5, 13.5]) - matrix @ [13.5, 13.5]
    return lambda image: cv2.warpAffine(image, np.column_stack([matrix, offset]), (28, 28))


def turned(degrees: float) -> Callable[[Image], Image]:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return warped((cos, -sin), (sin, cos))


def slid(image: Image) -> Image:
    return np.roll(image, tuple(RANDOM.choice([-3, 3], 2)), (0, 1))


def filled(image: Image) -> Image:
    """Stretched to fill its box without regard to the aspect."""
    x, y, width, height = cv2.boundingRect((image > 60).astype(np.uint8))
    return np.pad(cv2.resize(image[y : y + height, x : x + width], (20, 20), interpolation=cv2.INTER_AREA), 4)


def elastic(image: Image) -> Image:
    fields = [cv2.GaussianBlur(RANDOM.uniform(-1, 1, (28, 28)).astype(np.float32), (0, 0), 4) * 20 for _ in range(2)]
    x, y = np.meshgrid(np.arange(28, dtype=np.float32), np.arange(28, dtype=np.float32))
    return cv2.remap(image, x + fields[0], y + fields[1], cv2.INTER_LINEAR)


def coarse(image: Image) -> Image:
    return cv2.resize(cv2.resize(image, (12, 12), interpolation=cv2.INTER_AREA), (28, 28))


def noisy(image: Image) -> Image:
    return np.clip(image + RANDOM.normal(0, 40, image.shape), 0, 255).astype(np.uint8)


def textured(image: Image) -> Image:
    paper = cv2.GaussianBlur(RANDOM.uniform(0, 1, (28, 28)).astype(np.float32), (0, 0), 2)
    paper = (paper - paper.min()) / (paper.max() - paper.min())
    return np.maximum(image, (paper * 90).astype(np.uint8))


def ruled(image: Image) -> Image:
    made = image.copy()
    made[RANDOM.choice([1, 2, 25, 26])] = 200
    return made


def beside(image: Image) -> Image:
    """With the edge of another digit 5 pixels into the picture, at the left or the right."""
    made, other = image.copy(), CROWD[RANDOM.integers(len(CROWD))]
    if RANDOM.random() < 0.5:
        made[:, :5] = np.maximum(made[:, :5], other[:, 17:22])
    else:
        made[:, -5:] = np.maximum(made[:, -5:], other[:, 6:11])
    return made


def blurred(image: Image) -> Image:
    return cv2.GaussianBlur(image, (0, 0), 1.3)


CORRUPTIONS: dict[str, Callable[[Image], Image]] = {
    "as it is": lambda image: image,
    "slid by 3 pixels": slid,
    "turned by 20 degrees": turned(20),
    "turned by -20 degrees": turned(-20),
    "slanted": warped((1, 0.35), (0, 1)),
    "slanted back": warped((1, -0.35), (0, 1)),
    "a quarter smaller": warped((0.75, 0), (0, 0.75)),
    "wider": warped((1.35, 0), (0, 0.9)),
    "box filled": filled,
    "elastic": elastic,
    "thicker": lambda image: cv2.dilate(image, np.ones((3, 3), np.uint8)),
    "thinner": lambda image: cv2.erode(image, np.ones((2, 2), np.uint8)),
    "blurred": blurred,
    "coarse": coarse,
    "two levels": lambda image: (255 * (image > 127)).astype(np.uint8),
    "faint": lambda image: (image * 0.4).astype(np.uint8),
    "noisy": noisy,
    "textured paper": textured,
    "ruled": ruled,
    "neighbour": beside,
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    recipe = RECIPES["reader"]
    val = Parts(sources.load(), recipe).val
    CROWD, labels = val.images, torch.from_numpy(val.labels)
    if len(sys.argv) > 1:
        network = Run.open(sys.argv[1]).weights().network
        threshold = refusal.fit_threshold(read_logits(network, torch.from_numpy(val.images)).numpy())
    else:
        network, threshold = shipped.shipped().network, shipped.shipped().threshold
    print("| val digits | accuracy | ECE | accepted |\n|---|---|---|---|")
    rows = []
    for name, corrupt in CORRUPTIONS.items():
        logits = read_logits(network, torch.from_numpy(np.stack([corrupt(image) for image in val.images])))
        read = Evaluation.of(logits, labels)
        accepted = float((refusal.score(logits.numpy()) >= threshold).mean())
        rows.append((read.accuracy, calibration_error(read), accepted))
        print("| {} | {:.2%} | {:.2%} | {:.1%} |".format(name, *rows[-1]))
    print("| mean | {:.2%} | {:.2%} | {:.1%} |".format(*np.mean(rows, axis=0)))
