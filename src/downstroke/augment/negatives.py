"""Images drawn beside the training images: non-digits to learn refusal from, and digits in forms rare in MNIST.

The non-digits are letters and signs of real alphabets; strokes drawn at random, loose or joined on a lattice; spoilt
digits (halves of two, two side by side, turned by a quarter, their quarters exchanged, crossed out); and filled shapes.
The digits are written as in much of Europe: a 1 with a long upstroke, a crossed 7, a 2 with loops, a 5 with its flag
apart. As with augmentations each image is a function of the training images and of numbers that are a function of
(seed, epoch, image).
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from downstroke.augment import letters

STROKES, POINTS = 6, 20  # at most, and on each
NUMBERS = 6 * STROKES + 12
#: Digits that are none after a quarter turn; the others may be read as a 0, 1 or 8 lying down, or as one another.
TURNED = (2, 3, 4, 5, 7)
#: Of each kind of image: its share.
SHARES = {
    "forms": 0.33,
    "letters": 0.3,
    "drawn": 0.14,
    "halves": 0.03,
    "two": 0.08,
    "turned": 0.04,
    "quarters": 0.01,
    "crossed": 0.02,
    "shapes": 0.05,
}
#: Of the letters and signs: the share of letters.
LETTERS = 0.75

#: Each digit as quadratic curves: x and y of start, middle and end in -1..1, y down.
FORMS: tuple[tuple[int, tuple[tuple[float, ...], ...]], ...] = (
    (1, ((-0.5, -0.1, -0.3, -0.4, 0, -1), (0, -1, 0, 0, 0, 1))),
    (1, ((-0.6, 0.5, -0.3, -0.2, 0, -1), (0, -1, 0, 0, 0, 1))),
    (7, ((-0.6, -0.9, 0, -0.9, 0.6, -0.9), (0.6, -0.9, 0.1, 0, -0.1, 1), (-0.35, 0, 0.1, 0, 0.5, -0.05))),
    (7, ((-0.6, -0.7, 0, -1.2, 0.7, -0.9), (0.7, -0.9, 0, -0.1, -0.4, 1), (-0.5, 0.1, 0, 0, 0.5, 0.1))),
    (2, ((-0.5, -0.5, -0.1, -1.5, 0.5, -0.6), (0.5, -0.6, 0.5, 0, -0.5, 0.8), (-0.5, 0.8, -0.9, 0.4, -0.4, 0.5),
         (-0.4, 0.5, 0, 0.9, 0.8, 0.8))),
    (2, ((-0.1, -0.4, -0.8, -0.4, -0.3, -0.9), (-0.3, -0.9, 0.6, -1.2, 0.4, -0.4), (0.4, -0.4, 0.2, 0.3, -0.6, 0.8),
         (-0.6, 0.8, 0.1, 0.4, 0.8, 0.9))),
    (5, ((-0.2, -0.8, -0.3, -0.4, -0.4, -0.1), (-0.4, -0.1, 0.9, -0.3, 0.4, 0.6), (0.4, 0.6, 0, 1.1, -0.6, 0.7),
         (-0.1, -0.8, 0.3, -0.7, 0.8, -1))),
    (5, ((-0.1, -0.6, -0.2, -0.3, -0.3, 0), (-0.3, 0, 0.6, 0, 0.3, 0.6), (0.3, 0.6, -0.1, 1.1, -0.6, 0.8),
         (0.1, -0.8, 0.4, -0.5, 0.8, -0.8))),
    # 0 with its ends crossed at the top, and with a tail inside
    (0, ((0.1, -0.9, -0.7, -0.9, -0.6, 0.1), (-0.6, 0.1, -0.5, 1.1, 0.2, 0.8), (0.2, 0.8, 0.9, 0.4, 0.5, -0.4),
         (0.5, -0.4, 0.2, -1, -0.4, -0.9))),
    (0, ((-0.2, -0.9, -0.8, -0.6, -0.6, 0.3), (-0.6, 0.3, -0.3, 1.2, 0.3, 0.7), (0.3, 0.7, 0.9, 0, 0.4, -0.7),
         (0.4, -0.7, 0, -1.2, -0.2, -0.6), (-0.2, -0.6, 0, -0.2, 0.4, -0.4))),
    (0, ((0.1, -0.9, -0.7, -0.9, -0.6, 0.1), (-0.6, 0.1, -0.5, 1.1, 0.2, 0.8), (0.2, 0.8, 0.9, 0.2, 0.1, -0.9),
         (0.1, -0.9, 0.4, -0.6, 0.9, -0.9))),
    # 1 as a gable, as a gable with a foot, with a hook, with flag and foot
    (1, ((-0.6, 0.9, -0.3, 0, 0.1, -1), (0.1, -1, 0.1, 0, 0.2, 1))),
    (1, ((-0.5, 0, -0.2, -0.7, 0.2, -1), (0.2, -1, 0.2, 0, 0.2, 0.9), (-0.4, 0.9, 0.2, 0.9, 0.7, 0.9))),
    (1, ((-0.6, -0.3, -0.1, -1.3, 0.1, -0.8), (0.1, -0.8, 0.1, 0, 0, 1))),
    (1, ((-0.4, -0.6, -0.1, -0.7, 0.1, -1), (0.1, -1, 0, 0, 0, 0.9), (-0.5, 1, 0, 0.9, 0.5, 0.9))),
    (1, ((-0.35, -0.6, -0.2, -0.8, 0, -1), (0, -1, 0, 0, 0, 1))),
    (1, ((-0.45, -0.5, -0.1, -0.7, 0.1, -1), (0.1, -1, 0, 0, -0.1, 1))),
    (1, ((-0.2, -0.7, -0.1, -0.9, 0, -1), (0, -1, 0, 0, 0, 1))),
    (1, ((-0.5, -0.4, -0.2, -0.7, 0.2, -1), (0.2, -1, 0, 0, -0.2, 1))),
    # 2 as a Z, with a wave for its foot, as a swan with a curl, and one that ends upwards
    (2, ((-0.6, -0.8, 0, -1, 0.5, -0.8), (0.5, -0.8, 0, 0, -0.6, 0.8), (-0.6, 0.8, 0, 0.8, 0.7, 0.8))),
    (2, ((-0.5, -0.6, 0.1, -1.5, 0.4, -0.6), (0.4, -0.6, 0.4, 0, -0.6, 0.8), (-0.6, 0.8, -0.2, 0.4, 0.1, 0.8),
         (0.1, 0.8, 0.4, 1.1, 0.8, 0.6))),
    (2, ((0.1, -0.6, -0.2, -0.3, -0.3, -0.7), (-0.3, -0.7, 0.1, -1.3, 0.4, -0.7), (0.4, -0.7, 0.5, -0.2, -0.5, 0.8),
         (-0.5, 0.8, -0.8, 0.5, -0.3, 0.5), (-0.3, 0.5, 0, 1, 0.7, 0.7))),
    (2, ((0, -0.3, -0.5, -0.3, -0.4, -0.7), (-0.4, -0.7, 0, -1.3, 0.4, -0.7), (0.4, -0.7, 0.4, -0.1, -0.4, 0.8),
         (-0.6, 0.9, 0, 0.7, 0.6, 0.9))),
    (2, ((-0.4, -0.7, 0.2, -1.2, 0.5, -0.7), (0.5, -0.7, 0.2, 0, -0.6, 0.9), (-0.6, 0.6, 0, 0.2, 0.2, 0.5),
         (0.2, 0.5, 0.4, 0.8, 0.9, 0.2))),
    # 3 with a flat top, with a loop in the middle, with a flat top and a curl
    (3, ((-0.5, -0.9, 0, -0.9, 0.5, -0.9), (0.5, -0.9, 0.2, -0.5, -0.1, -0.2), (-0.1, -0.2, 0.9, -0.2, 0.4, 0.6),
         (0.4, 0.6, 0, 1.1, -0.6, 0.7))),
    (3, ((-0.4, -0.8, 0.5, -1.4, 0.3, -0.5), (0.3, -0.5, 0, 0, -0.2, 0), (-0.2, 0, -0.2, -0.3, 0.2, -0.1),
         (0.2, -0.1, 0.8, 0.3, 0.2, 0.8), (0.2, 0.8, -0.2, 1.1, -0.6, 0.7))),
    (3, ((-0.6, -0.8, 0, -1.1, 0.5, -0.9), (0.5, -0.9, 0, -0.4, -0.2, -0.1), (-0.2, -0.1, 0.7, -0.4, 0.3, 0.5),
         (0.3, 0.5, 0, 1.2, -0.5, 0.9), (-0.5, 0.9, -0.8, 0.6, -0.4, 0.6))),
    # 4 as a y, and open with a stem through
    (4, ((-0.3, -0.9, -0.7, 0, -0.5, 0.1), (-0.5, 0.1, -0.1, 0.3, 0.7, -0.1), (0.6, -0.9, 0.2, 0, -0.2, 1))),
    (4, ((0, -1, -0.3, -0.3, -0.7, 0.3), (-0.7, 0.3, 0, 0.2, 0.8, 0.2), (0.3, -0.3, 0.2, 0.3, 0.1, 1))),
    (4, ((-0.5, -0.9, -0.6, -0.3, -0.5, -0.1), (-0.5, -0.1, -0.1, 0.2, 0.5, -0.2), (0.5, -1, 0.4, 0, 0.3, 1))),
    # 5 as an S, and with a flag that falls
    (5, ((0.6, -0.9, -0.6, -1, -0.4, -0.3), (-0.4, -0.3, 0.8, -0.2, 0.4, 0.6), (0.4, 0.6, 0, 1.1, -0.6, 0.8))),
    (5, ((0, -0.7, -0.2, -0.4, -0.2, -0.1), (-0.2, -0.1, 0.6, 0, 0.2, 0.6), (0.2, 0.6, -0.2, 1.1, -0.6, 0.8),
         (0, -0.7, 0.5, -1.3, 0.7, -0.3))),
    (5, ((0.1, -0.8, 0, -0.5, -0.1, -0.2), (-0.1, -0.2, 0.3, 0.4, 0, 0.7), (0, 0.7, -0.4, 1.1, -0.6, 0.6),
         (0.2, -0.8, 0.6, -0.9, 0.7, -0.4))),
    # 6 with a short bow, and with a wide one
    (6, ((0.3, -1, -0.4, -0.6, -0.5, 0.4), (-0.5, 0.4, -0.4, 1.1, 0.1, 0.9), (0.1, 0.9, 0.7, 0.6, 0.2, 0.2),
         (0.2, 0.2, -0.2, 0.1, -0.4, 0.6))),
    (6, ((0.5, -0.9, -0.6, -1, -0.5, 0.3), (-0.5, 0.3, -0.4, 1.1, 0.2, 0.9), (0.2, 0.9, 0.9, 0.3, 0.2, 0),
         (0.2, 0, -0.3, 0, -0.5, 0.4))),
    # 7 with a serif, with a wave, crossed low
    (7, ((-0.6, -0.5, -0.6, -0.7, -0.5, -0.9), (-0.5, -0.9, 0, -0.8, 0.6, -0.9), (0.6, -0.9, 0.1, 0, -0.1, 1))),
    (7, ((-0.6, -0.6, -0.4, -1.1, 0, -0.8), (0, -0.8, 0.3, -0.6, 0.6, -1), (0.6, -1, 0.2, 0, -0.2, 1),
         (-0.4, 0.2, 0, 0, 0.5, 0))),
    (7, ((-0.5, -0.7, 0.2, -1.3, 0.4, -0.8), (0.4, -0.8, 0.5, -0.3, -0.3, 1), (-0.5, 0.3, -0.1, 0.2, 0.5, 0.2))),
    (7, ((-0.7, -0.4, -0.5, -0.7, -0.4, -0.8), (-0.4, -0.8, 0.2, -0.6, 0.7, -1), (0.7, -1, 0.1, 0, -0.6, 1))),
    (7, ((-0.6, -0.6, -0.2, -1.2, 0.1, -0.8), (0.1, -0.8, 0.4, -0.7, 0.6, -0.9), (0.6, -0.9, 0, 0, -0.4, 1),
         (-0.5, 0.2, -0.1, 0, 0.3, 0.2))),
    (7, ((-0.5, -0.9, -0.1, -0.7, 0.5, -0.9), (0.5, -0.9, 0, -0.1, -0.4, 1), (-0.4, 0.1, 0, -0.1, 0.4, 0.1))),
    (7, ((-0.4, -0.5, -0.3, -1.1, 0.2, -0.9), (0.2, -0.9, 0.6, -0.8, 0.4, -0.4), (0.4, -0.4, 0, 0.2, -0.6, 1))),
    # 8 as two rings, as a knot that stays open
    (8, ((0, -0.1, -0.7, -0.4, -0.1, -0.9), (-0.1, -0.9, 0.7, -0.9, 0, -0.1), (0, -0.1, 0.8, 0.4, 0.1, 0.9),
         (0.1, 0.9, -0.8, 0.8, 0, -0.1))),
    (8, ((0.5, -0.7, -0.2, -1.3, -0.4, -0.5), (-0.4, -0.5, 0.9, 0.4, 0.3, 0.8), (0.3, 0.8, -0.5, 1.2, -0.4, 0.4),
         (-0.4, 0.4, 0, 0, 0.6, -0.8))),
    (8, ((-0.2, -0.9, 0.6, -1.1, 0.3, -0.4), (0.3, -0.4, 0, 0, -0.3, -0.1), (-0.2, 0, -0.7, 0.6, 0.1, 0.8),
         (0.1, 0.8, 0.8, 0.4, 0.1, 0))),
    (8, ((0.3, -0.8, -0.5, -1.2, -0.4, -0.5), (-0.4, -0.5, -0.2, -0.1, 0.3, 0.3), (0.3, 0.3, 0.5, 1, -0.1, 0.9),
         (-0.1, 0.9, -0.7, 0.7, -0.3, 0.2), (-0.3, 0.2, 0, -0.2, 0.4, -0.6))),
    # 9 as a P, with a foot, with a straight stem, open, with a tail that curls, with a flat ring
    (9, ((-0.3, -0.8, -0.4, 0, -0.4, 1), (-0.4, -0.7, 0.5, -1.5, 0.6, -0.6), (0.6, -0.6, 0.4, 0.1, -0.3, -0.1))),
    (9, ((0.2, -0.3, -0.3, 0, -0.3, -0.5), (-0.3, -0.5, 0, -1.2, 0.4, -0.7), (0.4, -0.7, 0.5, -0.2, -0.2, 0),
         (-0.2, -0.3, -0.3, 0.4, -0.3, 0.9), (-0.3, 0.9, 0, 0.9, 0.5, 0.9))),
    (9, ((0.4, -0.8, -0.3, -1.3, -0.5, -0.5), (-0.5, -0.5, -0.3, 0.2, 0.4, -0.6), (0.4, -0.8, 0.3, 0, 0.3, 1))),
    (9, ((0.3, -0.9, -0.4, -1.1, -0.5, -0.5), (-0.5, -0.5, -0.3, 0, 0.4, -0.4), (0.5, -0.9, 0.2, 0, -0.4, 1))),
    (9, ((0.4, -0.7, -0.1, -1.3, -0.4, -0.6), (-0.4, -0.6, -0.3, 0.1, 0.4, -0.6), (0.4, -0.6, 0.6, 0.5, 0.2, 0.8),
         (0.2, 0.8, -0.2, 1.1, -0.6, 0.6))),
    (9, ((0.5, -0.6, 0, -0.4, -0.5, -0.5), (-0.5, -0.5, -0.4, -1.1, 0.1, -1), (0.1, -1, 0.5, -0.9, 0.5, -0.6),
         (0.3, -0.6, 0.2, 0, 0.1, 1))),
    (9, ((0.6, -0.8, 0, -1.1, -0.4, -0.7), (-0.4, -0.7, -0.5, -0.3, 0.5, -0.8), (0.6, -0.8, 0.3, 0, -0.3, 1))),
    (9, ((0.2, -0.9, -0.5, -1, -0.4, -0.5), (-0.4, -0.5, 0, 0.1, 0.3, -0.5), (0.3, -0.5, 0.4, -0.9, 0.1, -0.9),
         (0.1, -0.9, -0.1, 0.1, 0.1, 0.9))),
    (9, ((0.2, -0.6, -0.3, -0.4, -0.3, -0.7), (-0.3, -0.7, 0, -1.2, 0.3, -0.8), (0.3, -0.8, 0.6, 0.2, 0.2, 0.8),
         (0.2, 0.8, 0, 1.1, -0.4, 0.9))),
)  # fmt: skip

_BOX = 20.0  # pixels: the longer side of a digit in MNIST


def draw(
    images: Tensor, labels: Tensor, others: Tensor, other_labels: Tensor, numbers: Tensor
) -> tuple[Tensor, Tensor]:
    """As many drawn images, float32 [B,28,28] in 0..1, and their labels, int64 [B]: 10 where it is not a digit.

    `images`, `others`: digits, float32 [B,28,28] in 0..1, of which some are spoilt; `numbers`: [B,48] in -1..1.
    """
    forms, form_labels = _forms(numbers)
    drawn = _strokes(numbers)
    two = _side_by_side(images, others, numbers[:, -6])
    halves = torch.where((labels == other_labels)[:, None, None], two, _halves(images, others, numbers[:, -12]))
    turned = torch.where(numbers[:, -11, None, None] > 0, images.rot90(1, (1, 2)), images.rot90(-1, (1, 2)))
    can_turn = torch.isin(labels, torch.tensor(TURNED, device=labels.device))
    turned = torch.where(can_turn[:, None, None], turned, drawn)
    quarters = images.roll((14, 14), (1, 2))
    crossed = _crossed(images, numbers)
    kinds = torch.stack(
        [forms, _letters(numbers), drawn, halves, two, turned, quarters, crossed, _shapes(numbers)],
    )
    bounds = torch.tensor(list(SHARES.values()), device=images.device).cumsum(0)[:-1]
    kind = torch.bucketize((numbers[:, -10] + 1) / 2, bounds)
    made = kinds[kind, torch.arange(len(images), device=images.device)]
    return made, torch.where(kind == 0, form_labels, 10)


def _forms(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Digits by `FORMS`, each knot somewhat elsewhere, and their labels."""
    knots, labels = _templates(numbers.device)
    form = ((numbers[:, -5] + 1) / 2 * len(FORMS)).long().clamp_(0, len(FORMS) - 1)
    moved = 0.15 * numbers[:, : 6 * STROKES].view(-1, STROKES, 3, 2)
    knots = knots[form]
    # A stroke that begins where the last one ended is written without lifting the pen.
    joined = (knots[:, 1:, 0] == knots[:, :-1, 2]).all(2, keepdim=True)
    knots = knots + moved
    knots[:, 1:, 0] = torch.where(joined, knots[:, :-1, 2], knots[:, 1:, 0])
    counts = torch.tensor([len(strokes) for _, strokes in FORMS], device=numbers.device)
    return _draw(knots, counts[form], numbers[:, -7]), labels[form]


def _strokes(numbers: Tensor) -> Tensor:
    """Two to six quadratic curves, more often few."""
    knots = numbers[:, : 6 * STROKES].view(-1, STROKES, 3, 2)
    # On a lattice of 3x3 ends meet, as in letters; the middle knot, left between the ends, makes the stroke straight.
    lattice = (knots * 1.5).round()
    straight = (lattice[:, :, :1] + lattice[:, :, 2:]) / 2
    lattice[:, :, 1:2] = torch.where(knots[:, :, 1:2, :1] > 0, straight, lattice[:, :, 1:2])
    joined = knots.clone()
    joined[:, 1:, 0] = joined[:, :-1, 2]  # a scribble: each stroke begins where the last one ended
    way = numbers[:, -9, None, None, None]
    knots = torch.where(way > 0.1, lattice + 0.1 * knots, torch.where(way > -0.5, joined, knots))
    count = 2 + (((numbers[:, -8] + 1) / 2).square() * (STROKES - 1)).long().clamp_(0, STROKES - 2)
    return _draw(knots, count, numbers[:, -7])


def _draw(knots: Tensor, count: Tensor, width: Tensor) -> Tensor:
    """The first `count` of the curves [B,6,3,2], drawn with a round pen, scaled and centred as a glyph is."""
    batch = len(knots)
    t = torch.linspace(0, 1, POINTS, device=knots.device)[:, None]
    a, b, c = (knots[:, :, None, i] for i in range(3))
    curves = a * (1 - t) ** 2 + b * (2 * t * (1 - t)) + c * t**2
    spare = torch.arange(STROKES, device=knots.device) >= count[:, None]
    curves = torch.where(spare[:, :, None, None], curves[:, :1], curves).view(batch, -1, 2)
    low, high = curves.amin(1, keepdim=True), curves.amax(1, keepdim=True)
    scale = (_BOX - 2) / (high - low).amax(2, keepdim=True).clamp_min(0.1)
    points = (curves - curves.mean(1, keepdim=True)) * scale + 13.5
    pixels = _pixels(knots.device)
    # |pixel - point|^2 as |point|^2 - 2 pixel.point, and |pixel|^2 once the nearest point is found.
    square = torch.baddbmm(points.square().sum(2)[:, None], pixels.expand(batch, -1, -1), points.mT, alpha=-2).amin(2)
    distance = (square + pixels.square().sum(1)).clamp_min(0).sqrt().view(batch, 28, 28)
    return (1.6 + 0.5 * width[:, None, None] - distance).clamp(0, 1)


def _letters(numbers: Tensor) -> Tensor:
    """Letters of the bank, and signs."""
    known, signs = letters.letters(numbers.device)
    which = (numbers[:, -4] + 1) / 2
    letter = (which / LETTERS * len(known)).long().clamp_(0, len(known) - 1)
    sign = ((which - LETTERS) / (1 - LETTERS) * len(signs)).long().clamp_(0, len(signs) - 1)
    chosen = torch.where((which < LETTERS)[:, None, None], known[letter], signs[sign])
    return chosen.float() / 255


def _crossed(images: Tensor, numbers: Tensor) -> Tensor:
    """Each digit with two lines across it, as a cross or side by side: one alone may belong to a 7 or a 0."""
    pixels = _pixels(numbers.device) - 13.5
    side_by_side = numbers[:, -3] > 0
    first = numbers[:, 0] * torch.pi
    second = first + torch.where(side_by_side, 0.2 * numbers[:, 1], 1.2 + 0.4 * numbers[:, 1])
    apart = torch.where(side_by_side, 3.0 + numbers[:, 2], numbers[:, 2])
    for angle, off in ((first, apart), (second, -apart)):
        along = torch.stack([angle.cos(), angle.sin()], 1)
        at = torch.einsum("pd,bd->bp", pixels, along)
        away = torch.einsum("pd,bd->bp", pixels, torch.stack([-along[:, 1], along[:, 0]], 1)) - off[:, None]
        beyond = (at.abs() - (10 + 2 * numbers[:, 3:4])).clamp_min(0)
        line = (1.6 + 0.5 * numbers[:, -7, None] - (away.square() + beyond.square()).sqrt()).clamp(0, 1)
        images = torch.maximum(images, line.view(-1, 28, 28))
    return images


def _halves(images: Tensor, others: Tensor, number: Tensor) -> Tensor:
    """The left of one and the right of another, or the top and the bottom."""
    ramp = torch.arange(28, device=images.device) < 14
    left, top = ramp[None, None, :], ramp[None, :, None]
    mask = torch.where(number[:, None, None] > 0, left, top)
    return torch.where(mask, images, others)


def _side_by_side(images: Tensor, others: Tensor, number: Tensor) -> Tensor:
    """Two digits in the place of one, as they stand in a line: near each other, touching, or one into the other."""
    spans = [_columns(part) for part in (images, others)]
    wide = spans[0][1] + spans[1][1]
    scale = (_BOX / wide).clamp_max(1)
    start = 14 - scale * wide / 2
    made = []
    for part, (left, _), at in zip(
        (images, others), spans, (start, start + scale * spans[0][1] + 2 * number - 0.5), strict=True
    ):
        # Pixel x of the pair shows pixel (x - at) / scale + left of the digit; grid_sample counts from -1 to 1.
        matrix = torch.zeros(len(part), 2, 3, device=part.device)
        matrix[:, 0, 0] = matrix[:, 1, 1] = 1 / scale
        matrix[:, 0, 2] = (14 - at) / (14 * scale) + left / 14 - 1
        where = F.affine_grid(matrix, [len(part), 1, 28, 28], align_corners=False)
        made.append(F.grid_sample(part.unsqueeze(1), where, align_corners=False).squeeze(1))
    return torch.maximum(made[0], made[1])


def _columns(images: Tensor) -> tuple[Tensor, Tensor]:
    """(the first column with ink, how many there are to the last one): each [B], of [B,28,28]."""
    inked = (images.amax(1) > 0.3).float()
    first = inked.argmax(1)
    return first.float(), (28 - inked.flip(1).argmax(1) - first).clamp_min(1).float()


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


@functools.cache
def _templates(device: torch.device) -> tuple[Tensor, Tensor]:
    """The knots of `FORMS`, float32 [F,6,3,2] with unused strokes at 0, and their labels, int64 [F]."""
    knots = torch.zeros(len(FORMS), STROKES, 3, 2)
    for form, (_, strokes) in zip(knots, FORMS, strict=True):
        form[: len(strokes)] = torch.tensor(strokes).view(-1, 3, 2)
    return knots.to(device), torch.tensor([label for label, _ in FORMS], device=device)
