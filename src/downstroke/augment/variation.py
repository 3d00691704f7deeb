"""Variations of the training images: what differs between two people's 7s, redrawn each epoch.

An augmentation is a function of a batch and of some random numbers per image. The numbers are a function of (seed,
epoch, image), so any epoch can be replayed, from any step on and on any number of processes.

To add one: a function below and a line in `AUGMENTATIONS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from downstroke.augment import handwriting
from downstroke.errors import RecipeError

NUMBERS = 6
SHIFT = 1  # pixels, each way
TURN, SCALE, SHEAR, SLIDE = math.radians(10), 0.1, 0.1, 1.5  # the largest turn, scaling, shear and slide (pixels)
ELASTIC = math.radians(12), 0.12, 0.15, 1.75  # the same of `elastic`
BEND = 0.7  # pixels, the largest displacement of a knot


class Augmentation(NamedTuple):
    """A way to vary images."""

    vary: Callable[[Tensor, Tensor], Tensor]  # float images [B,28,28] in 0..1 and numbers [B,N] in -1..1 -> images
    numbers: int  # N, of each image


def draw(seed: int, epoch: int, images: int, numbers: int = NUMBERS) -> Tensor:
    """The random numbers of one epoch: float32 [images, numbers], uniform in -1..1; row i belongs to image i."""
    # An odd multiplier keeps (seed, epoch) pairs apart: the generator takes one 64-bit seed.
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) * 2 + 1)
    return torch.rand(images, numbers, generator=generator) * 2 - 1


def shift(images: Tensor, numbers: Tensor) -> Tensor:
    """Each image moved by at most one whole pixel each way; what enters is paper (0). [B,28,28] -> [B,28,28]."""
    offsets = ((numbers[:, :2] + 1) / 2 * (2 * SHIFT + 1)).long().clamp_(0, 2 * SHIFT)
    height, width = images.shape[-2:]
    windows = F.pad(images, (SHIFT,) * 4).unfold(1, height, 1).unfold(2, width, 1)
    return windows[torch.arange(len(images), device=images.device), offsets[:, 0], offsets[:, 1]]


def affine(images: Tensor, numbers: Tensor) -> Tensor:
    """Each image turned, scaled, sheared and slid a little, in one bilinear resampling. [B,28,28] -> [B,28,28]."""
    # One product for the whole batch: F.affine_grid makes one an image, and takes five times as long.
    places = _maps(images, numbers, TURN, SCALE, SHEAR, SLIDE) @ handwriting.places(*images.shape[-2:], images.device)
    return handwriting.sampled(images, places)


def elastic(images: Tensor, numbers: Tensor) -> Tensor:
    """Each image turned, scaled, sheared and slid a little more than by `affine`, and bent. [B,28,28] -> [B,28,28]."""
    bends = numbers[:, NUMBERS:].reshape(-1, handwriting.KNOTS**2) * (BEND * 2 / images.shape[-1])
    maps = torch.cat([_maps(images, numbers, *ELASTIC), bends], 1)
    return handwriting.sampled(images, maps @ handwriting.places_and_bends(*images.shape[-2:], images.device))


def _maps(
    images: Tensor, numbers: Tensor, most_turn: float, most_scale: float, most_shear: float, most_slide: float
) -> Tensor:
    """Of x and of y of each image, the factors of x, y and 1 that give where a pixel comes from: float32 [2B,3]."""
    turn = numbers[:, 0] * most_turn
    wide, high = 1 + numbers[:, 1] * most_scale, 1 + numbers[:, 2] * most_scale
    cos, sin, shear = turn.cos(), turn.sin(), numbers[:, 3] * most_shear
    slide = numbers[:, 4:6] * (2 * most_slide / images.shape[-1])  # grid_sample's width is 2: from -1 to 1
    matrix = torch.stack(
        [cos * wide, (shear * cos - sin) * high, slide[:, 0], sin * wide, (shear * sin + cos) * high, slide[:, 1]], 1
    )
    return matrix.view(-1, 3)


AUGMENTATIONS: dict[str, Augmentation | None] = {
    "none": None,
    "shift": Augmentation(shift, NUMBERS),
    "affine": Augmentation(affine, NUMBERS),
    "elastic": Augmentation(elastic, NUMBERS + handwriting.BENDS),
    "handwriting": Augmentation(handwriting.vary, handwriting.NUMBERS),
}


def augmentation(name: str) -> Augmentation | None:
    """The augmentation of that name; None for `none`. RecipeError."""
    if name not in AUGMENTATIONS:
        raise RecipeError(f"no augmentation {name!r}; there are {', '.join(AUGMENTATIONS)}")
    return AUGMENTATIONS[name]
