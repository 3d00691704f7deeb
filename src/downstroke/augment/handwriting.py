"""What differs between people, pens and papers: the `handwriting` augmentation.

A digit is bent (turn, slant, aspect, a smooth elastic bend), its stroke made thicker or thinner, and then it is seen
badly: blurred, coarse, faint, grained, with a neighbour's fragment or a ruled line at the rim, on paper that shows.
Each of these leaves most images alone; a few at a time meet in one image.
"""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

KNOTS = 4  # a side: the elastic bend is a smooth surface through 4x4 random displacements in x, and in y
BENDS = 2 * KNOTS * KNOTS
NUMBERS = BENDS + 32

TURN, SHEAR, SCALE, SLIDE = math.radians(15), 0.25, 0.15, 2.0  # the largest; slide in pixels
STRETCHED, MOST_STRETCH = 0.3, 3.0  # the share pulled towards a square box, and how far at most
FLAT, MOST_FLAT = 0.2, 0.6  # the share made wider or narrower, and the logarithm of the largest factor
LEANING, MOST_LEAN = 0.3, 0.7  # the share that leans to the right as old hands do, and the largest shift by height
_BOX = 20  # pixels: the longer side of a digit in MNIST
BEND = 1.8  # pixels, the largest displacement of a knot
_BANK = 512  # a side of the sheets of noise that images take their piece of


def vary(images: Tensor, numbers: Tensor) -> Tensor:
    """Each image as another person's pen on another paper. [B,28,28] in 0..1 and [B,64] in -1..1 -> [B,28,28]."""
    knots, (bent, stroke, seen, paper) = numbers[:, :BENDS], numbers[:, BENDS:].tensor_split(4, 1)
    images = _bend(images, knots, bent, stroke, seen, paper)
    images = _stroke(images, stroke)
    images = _beside(images, stroke, paper)
    return _see(images, seen, paper).clamp_(0, 1)


def _amount(number: Tensor, share: float) -> Tensor:
    """0 for all but `share` of the images, and evenly in 0..1 for those. [B] in -1..1 -> [B,1,1]."""
    return ((number + 1) / 2 - (1 - share)).clamp_min(0).div(share)[:, None, None]


def _bend(images: Tensor, knots: Tensor, bent: Tensor, stroke: Tensor, seen: Tensor, paper: Tensor) -> Tensor:
    """Turned, slanted, scaled, stretched, slid and elastically bent in one bilinear resampling."""
    height, width = images.shape[-2:]
    turn, shear = bent[:, 0] * TURN, bent[:, 3] * SHEAR
    cos, sin = turn.cos(), turn.sin()
    wide, high = (bent[:, 1] * SCALE).exp(), (bent[:, 2] * SCALE).exp()
    # A frame that was filled without regard to the aspect: the box of the digit becomes squarer.
    squarer = _amount(stroke[:, 0], STRETCHED).view(-1)
    columns, rows = _extent(images, 1), _extent(images, 2)
    wide = wide / (rows / columns).clamp(1, MOST_STRETCH).pow(squarer)
    high = high / (columns / rows).clamp(1, MOST_STRETCH).pow(squarer)
    flat = (bent[:, 7].sign() * _amount(paper[:, 7], FLAT).view(-1) * MOST_FLAT / 2).exp()
    wide, high = wide * flat, high / flat
    lean = _amount(seen[:, 7], LEANING).view(-1) * MOST_LEAN
    shear = shear + lean
    # What became larger than the box of a digit is brought back into it, as a glyph would be.
    shrink = (torch.maximum(columns / wide + lean * rows / high, rows / high) / _BOX).clamp_min(1)
    wide, high = wide * shrink, high * shrink
    slide = bent[:, 4:6] * (2 * SLIDE / width)  # grid_sample's width is 2: from -1 to 1
    matrix = torch.stack(
        [cos * wide, (shear * cos - sin) * wide, slide[:, 0], sin * high, (shear * sin + cos) * high, slide[:, 1]], 1
    )
    base, surface = places(height, width, images.device), _surface(height, width, images.device)
    strength = (bent[:, 6:7] + 1) / 2 * (BEND * 2 / width)
    bend = (knots * strength).view(-1, KNOTS * KNOTS) @ surface
    return sampled(images, (matrix.view(-1, 3) @ base).add_(bend))


def _extent(images: Tensor, over: int) -> Tensor:
    """How many columns (over rows, 1) or rows (over columns, 2) hold ink: [B], at least 1."""
    return (images.amax(over) > 0.3).sum(1).clamp_min(1).float()


def _stroke(images: Tensor, stroke: Tensor) -> Tensor:
    """The stroke's width, by grey dilation and erosion; a threshold's hard edges; ink that fades along the stroke."""
    page = F.pad(images, (1, 1, 1, 1))
    # The largest and the least of neighbours, a direction at a time: a third of what torch's pooling takes.
    rows = torch.maximum(torch.maximum(page[:, :-2], page[:, 1:-1]), page[:, 2:])
    thicker = torch.maximum(torch.maximum(rows[:, :, :-2], rows[:, :, 1:-1]), rows[:, :, 2:])
    rows = torch.minimum(page[:, 1:-1], page[:, 2:])
    thinner = torch.minimum(rows[:, :, 1:-1], rows[:, :, 2:])
    width = stroke[:, 1, None, None]
    images = images + width.clamp_min(0) * (thicker - images) - width.clamp_max(0) * (thinner - images)
    hard = 1 + 7 * _amount(stroke[:, 2], 0.25)
    images = ((images - 0.5) * hard + 0.5).clamp_(0, 1)
    grain = _piece(1, stroke[:, 3], stroke[:, 4], images)
    return images * (1 - 0.7 * _amount(stroke[:, 5], 0.25) * grain.clamp(0, 1))


def _beside(images: Tensor, stroke: Tensor, paper: Tensor) -> Tensor:
    """A fragment of a neighbour at the rim (of the digit's own mirror image, so that no other image is needed).

    And a ruled line, across or down, most often near the rim.
    """
    batch, height, width = images.shape
    matrix = torch.zeros(batch, 6, device=images.device)
    matrix[:, 0], matrix[:, 4] = -1, 1
    side, along = stroke[:, 6].sign(), paper[:, 0]
    down = along > 0.5  # one in four stands above or below, the others before or behind
    far = side * (1.15 + 0.35 * stroke[:, 6].abs())  # 16 to 21 pixels
    matrix[:, 2] = torch.where(down, along - 0.75, far)
    matrix[:, 5] = torch.where(down, far, along / 2)
    other = sampled(images, matrix.view(-1, 3) @ places(height, width, images.device))
    images = torch.maximum(images, other * (_amount(stroke[:, 7], 0.25) > 0))

    ruled = _amount(paper[:, 1], 0.1)
    where = paper[:, 2].sign() * (1 - 0.5 * paper[:, 2].square()) * (height / 2)
    pixels = torch.arange(height, device=images.device) - (height - 1) / 2
    line = (1.2 - (pixels - where[:, None]).abs()).clamp(0, 1)
    across = torch.where(paper[:, 3, None, None] > 0, line[:, :, None], line[:, None, :])
    return torch.maximum(images, across * ruled.sqrt())


def _see(images: Tensor, seen: Tensor, paper: Tensor) -> Tensor:
    """Blurred, coarse, faint or dark in the middle tones, on paper with noise and texture."""
    blur, half = _blurs(images.shape[-1], images.device)
    coarse = half @ images @ half.T
    images = torch.lerp(images, blur @ images @ blur.T, _amount(seen[:, 0], 0.5))
    images = torch.where(_amount(seen[:, 1], 0.15) > 0, coarse, images)
    gamma = (seen[:, 2, None, None] * 0.6).exp()
    images = images.clamp_min(1e-6).pow(gamma) * (1 - 0.4 * _amount(seen[:, 3], 0.2))
    noise = _piece(0, seen[:, 4], seen[:, 5], images) * (0.15 * _amount(seen[:, 6], 0.2))
    texture = _piece(2, paper[:, 4], paper[:, 5], images).abs() * (0.25 * _amount(paper[:, 6], 0.15))
    return images + noise + texture


def _piece(kind: int, x: Tensor, y: Tensor, images: Tensor) -> Tensor:
    """A piece of a sheet of noise for each image: [B,28,28], mean 0 and spread 1.

    A whole sheet is drawn once; from there on two numbers per image are enough. The sheets, from fine to coarse: each
    pixel its own, blurred over about 3 pixels, and over about 9.
    """
    height, width = images.shape[-2:]
    windows = _sheets(images.device)[kind].unfold(0, height, 1).unfold(1, width, 1)
    top = ((y + 1) / 2 * (len(windows) - 1)).long().clamp_(0, len(windows) - 1)
    left = ((x + 1) / 2 * (windows.shape[1] - 1)).long().clamp_(0, windows.shape[1] - 1)
    return windows[top, left]


@functools.cache
def _sheets(device: torch.device) -> Tensor:
    """float32 [3,512,512]: noise at three scales, always the same."""
    sheets = []
    generator = torch.Generator().manual_seed(0)
    for size in (1, 3, 9):
        noise = torch.randn(1, 1, _BANK + 2 * size, _BANK + 2 * size, generator=generator)
        if size > 1:
            noise = F.avg_pool2d(F.avg_pool2d(noise, size, stride=1), size, stride=1)
        noise = noise[0, 0, :_BANK, :_BANK]
        sheets.append((noise - noise.mean()) / noise.std())
    return torch.stack(sheets).to(device)


@functools.cache
def _blurs(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Two matrices [28,28] for rows and columns alike: blurred over 5 pixels; at half the resolution and back."""
    rows = torch.eye(size).unsqueeze(1)
    blur = F.avg_pool1d(F.avg_pool1d(rows, 3, stride=1, padding=1), 3, stride=1, padding=1)
    half = F.interpolate(F.avg_pool1d(rows, 2), size=size, mode="linear", align_corners=False)
    return blur.squeeze(1).T.contiguous().to(device), half.squeeze(1).T.contiguous().to(device)


@functools.cache
def _surface(height: int, width: int, device: torch.device) -> Tensor:
    """What each knot adds to the displacement of each pixel: float32 [16, H*W], bicubic."""
    knots = torch.eye(KNOTS * KNOTS).view(-1, 1, KNOTS, KNOTS)
    surface = F.interpolate(knots, size=(height, width), mode="bicubic", align_corners=True)
    return surface.view(KNOTS * KNOTS, height * width).to(device)


def sampled(images: Tensor, where: Tensor) -> Tensor:
    """Each image [B,H,W] anew, bilinearly: each pixel is taken from its x and y, `where` [2B,H*W], as in `places`."""
    grid = where.view(-1, 2, *images.shape[-2:]).permute(0, 2, 3, 1)
    return F.grid_sample(images.unsqueeze(1), grid, align_corners=False).squeeze(1)


@functools.cache
def places(height: int, width: int, device: torch.device) -> Tensor:
    """x, y and 1 of every pixel, float32 [3, H*W]; x and y of the outer edges are -1 and 1, as grid_sample has it."""
    x = (torch.arange(width) * 2 + 1) / width - 1
    y = (torch.arange(height) * 2 + 1) / height - 1
    return torch.stack([x.repeat(height), y.repeat_interleave(width), torch.ones(height * width)]).to(device)


@functools.cache
def places_and_bends(height: int, width: int, device: torch.device) -> Tensor:
    """`places`, and below them what each knot adds: float32 [3 + 16, H*W]."""
    return torch.cat([places(height, width, device), _surface(height, width, device)])
