"""Images that are no digits, drawn to learn refusal from.

Half are strokes drawn at random, loose or joined on a lattice as letters are; the others are spoilt digits (halves of
two, two side by side, turned by a quarter, their quarters exchanged) and filled shapes. As with augmentations each is
a function of the training images and of numbers that are a function of (seed, epoch, image).
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

STROKES, POINTS = 6, 14  # at most, and on each
NUMBERS = 6 * STROKES + 12
#: Digits that are none after a quarter turn; the others may be read as a 0, 1 or 8 lying down, or as one another.
TURNED = (2, 3, 4, 5, 7)

_BOX = 20.0  # pixels: the longer side of a digit in MNIST


def strays(images: Tensor, labels: Tensor, others: Tensor, other_labels: Tensor, numbers: Tensor) -> Tensor:
    """As many non-digits: float32 [B,28,28] in 0..1.

    `images`, `others`: digits, float32 [B,28,28] in 0..1, of which some are spoilt; `numbers`: [B,48] in -1..1.
    """
    drawn = _strokes(numbers)
    halves = _halves(images, others, numbers[:, -12])
    two = _side_by_side(images, others)
    quarters = images.roll((14, 14), (1, 2))
    turned = torch.where(numbers[:, -11, None, None] > 0, images.rot90(1, (1, 2)), images.rot90(-1, (1, 2)))
    shapes = _shapes(numbers)
    halves = torch.where((labels == other_labels)[:, None, None], two, halves)
    can_turn = torch.isin(labels, torch.tensor(TURNED, device=labels.device))
    turned = torch.where(can_turn[:, None, None], turned, drawn)
    kinds = torch.stack([drawn, halves, two, turned, quarters, shapes])
    shares = torch.tensor([0.5, 0.12, 0.1, 0.12, 0.06, 0.1], device=images.device)
    kind = torch.bucketize((numbers[:, -10] + 1) / 2, shares.cumsum(0)[:-1])
    return kinds[kind, torch.arange(len(images), device=images.device)]


def _strokes(numbers: Tensor) -> Tensor:
    """Two to six quadratic curves with a round pen, scaled and centred as a glyph is."""
    batch = len(numbers)
    knots = numbers[:, : 6 * STROKES].view(batch, STROKES, 3, 2)
    # On a lattice of 3x3 ends meet, as in letters; the middle knot, left between the ends, makes the stroke straight.
    lattice = (knots * 1.5).round()
    straight = (lattice[:, :, :1] + lattice[:, :, 2:]) / 2
    lattice[:, :, 1:2] = torch.where(knots[:, :, 1:2, :1] > -0.4, straight, lattice[:, :, 1:2])
    joined = knots.clone()
    joined[:, 1:, 0] = joined[:, :-1, 2]  # a scribble: each stroke begins where the last one ended
    way = numbers[:, -9, None, None, None]
    knots = torch.where(way > 0.1, lattice + 0.1 * knots, torch.where(way > -0.4, joined, knots))

    t = torch.linspace(0, 1, POINTS, device=numbers.device)[:, None]
    a, b, c = (knots[:, :, None, i] for i in range(3))
    curves = a * (1 - t) ** 2 + b * (2 * t * (1 - t)) + c * t**2
    count = 2 + ((numbers[:, -8] + 1) / 2 * (STROKES - 1)).long().clamp_(0, STROKES - 2)
    spare = torch.arange(STROKES, device=numbers.device) >= count[:, None]
    curves = torch.where(spare[:, :, None, None], curves[:, :1], curves).view(batch, -1, 2)
    low, high = curves.amin(1, keepdim=True), curves.amax(1, keepdim=True)
    scale = (_BOX - 2) / (high - low).amax(2, keepdim=True).clamp_min(0.1)
    points = (curves - curves.mean(1, keepdim=True)) * scale + 13.5
    pixels = _pixels(numbers.device)
    # |pixel - point|^2 as |point|^2 - 2 pixel.point, and |pixel|^2 once the nearest point is found.
    square = torch.baddbmm(points.square().sum(2)[:, None], pixels.expand(batch, -1, -1), points.mT, alpha=-2).amin(2)
    distance = (square + pixels.square().sum(1)).clamp_min(0).sqrt().view(batch, 28, 28)
    return (1.6 + 0.5 * numbers[:, -7, None, None] - distance).clamp(0, 1)


def _halves(images: Tensor, others: Tensor, number: Tensor) -> Tensor:
    """The left of one and the right of another, or the top and the bottom."""
    ramp = torch.arange(28, device=images.device) < 14
    left, top = ramp[None, None, :], ramp[None, :, None]
    mask = torch.where(number[:, None, None] > 0, left, top)
    return torch.where(mask, images, others)


def _side_by_side(images: Tensor, others: Tensor) -> Tensor:
    """Two digits in the place of one, each half as wide and three quarters as high."""
    pair = torch.cat([images[:, :, 4:24], others[:, :, 4:24]], 2).unsqueeze(1)
    small = F.interpolate(pair, size=(21, 26), mode="bilinear").squeeze(1)
    return F.pad((small * 1.3).clamp(0, 1), (1, 1, 3, 4))


def _shapes(numbers: Tensor) -> Tensor:
    """Filled figures, each of three boxes or ellipses with grey levels of their own, as clothes and stains are."""
    pixels = (_pixels(numbers.device) / 13.5 - 1)[None, None]
    centre, size = numbers[:, None, 0:6].view(-1, 3, 1, 2) * 0.5, 0.15 + 0.6 * numbers[:, 6:12].view(-1, 3, 1, 2).abs()
    away = ((pixels - centre) / size).abs()
    round_ = numbers[:, 12:15, None] > 0
    outside = torch.where(round_, away.square().sum(3), away.amax(3))
    grey = 0.3 + 0.7 * numbers[:, 15:18, None].abs()
    return ((4 - 4 * outside).clamp(0, 1) * grey).amax(1).view(-1, 28, 28)


@functools.cache
def _pixels(device: torch.device) -> Tensor:
    """x and y of every pixel, float32 [784,2]."""
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    return torch.stack([x, y], 2).view(-1, 2).to(device)
