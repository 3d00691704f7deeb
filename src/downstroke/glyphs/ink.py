"""Ink separated from paper: uneven light and the paper's texture taken away, the grey levels of the strokes kept.

The paper is estimated locally. Ink is what differs from it, in proportion to the paper's own brightness: a pen removes
the same share of the light in shadow as outside it. A stroke is strong ink, with all ink that is connected to it and
above the noise of the paper.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from downstroke.errors import PictureError

Polarity = Literal["auto", "ink-high", "ink-low"]

_CLEAR = 6  # times the paper's grain: of noise alone, the strongest pixels are four times the middle one
_MIN_CONTRAST = 8  # of 255: less than the faintest pencil, more than what JPEG does to an empty page
_FULL_INK = 250  # of 255: ink this strong is not stretched, so that what is already a glyph keeps its grey levels
#: From which share of the strokes' strength on ink counts, at least and at most; on unclean paper other shares may tell
#: more: what is surely ink, and what may just be.
FADES = ((0.25, 0.45), (0.4, 0.7), (0.15, 0.25))
_SOFT = 0.6
_UNSURE = 40  # of 255: on clean paper few pixels are this near to it without being it
_REACH = 61  # pixels: how far around a stroke of a line its paper and its strength are measured
_BAR = (0.05, 0.4)  # of its height: how wide a picture of a tight 1 is
_SMALL = 32  # a picture no larger than this may hold strokes of one pixel


@dataclass(frozen=True)
class Ink:
    """What was found in a picture.

    `density`: float32 [H,W], 0 on paper to 1 in the middle of a stroke. `parts`: int32 [H,W], 0 on paper, else the
    number of the connected component. `count`: how many parts, paper included; a part that was too faint
    or too small keeps its number and has no density.
    """

    density: NDArray[np.float32]
    parts: NDArray[np.int32]
    count: int
    ink_is_high: bool
    clean: bool  # the paper is one level all over, as in a drawing or in MNIST
    contrast: float  # of the strokes against the paper, in grey levels
    unrest: float  # of the paper, in grey levels


class BlankError(PictureError):
    """No ink in a picture: `how` it is blank, its `shape`, and `levels`, what it shows instead, in words."""

    def __init__(self, how: str, shape: tuple[int, ...], levels: str) -> None:
        self.how, self.levels = how, levels
        size = f"{shape[1]}x{shape[0]}"
        super().__init__(
            f"the picture is {how} ({size}, {levels}); expected one digit in ink that differs from the paper"
        )


def separations(image: NDArray[np.uint8], polarity: Polarity = "auto") -> Iterator[Ink]:
    """The ink of uint8 [H,W] separated from its paper; where the paper is not clean, once for each of the `FADES`.

    Raises PictureError where there is no ink.
    """
    assert image.dtype == np.uint8, image.dtype
    assert image.ndim == 2, image.shape
    clean = _against_clean_paper(image, polarity)
    if clean is not None:
        yield _strokes(clean[0], image, clean[1], (0.0, 0.0), FADES[0], clean=True)
        return
    ink_is_high = _ink_is_high(image, 32, 2 / 3) if polarity == "auto" else polarity == "ink-high"
    # No stroke is wider than a third of the picture.
    ink, *paper = _against_local_paper(image, ink_is_high, max(5, min(image.shape) // 3))
    for fades in FADES:
        yield _strokes(ink, image, ink_is_high, (paper[0], paper[1]), fades, clean=False)


def ink_under_mask(image: NDArray[np.uint8], mask: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
    """(the density of all ink that contrasts with the paper as the strokes under `mask` do, float32 [H,W], 0..1;
    whether ink is high).

    `mask` [H,W]: the probability that each pixel is a digit's ink. It decides the paper's level, whether ink is
    brighter than paper, and how strong it is, stroke by stroke. For digits of about 40 pixels.
    """
    import cv2

    grey = image.astype(np.float32)
    core = (mask > 0.5).astype(np.float32)
    if not core.any():
        return np.zeros(image.shape, np.float32), False
    away = 1 - cv2.dilate((mask > 0.2).astype(np.float32), np.ones((5, 5), np.uint8))
    reach = (_REACH, _REACH)
    paper = cv2.blur(grey * away, reach) / np.maximum(cv2.blur(away, reach), 1e-3)
    few = cv2.blur(away, reach) < 0.02
    if few.any():
        paper[few] = float((grey * away).sum() / max(1.0, float(away.sum()))) if away.any() else float(np.median(grey))
    rest = grey - paper
    sign = 1.0 if float((rest * core).sum()) > 0 else -1.0
    ink = np.float32(sign) * rest
    near = cv2.blur(core, reach)
    level = cv2.blur(ink * core, reach) / np.maximum(near, 1e-4)
    overall = float((ink * core).sum() / core.sum())
    level = np.where(near > 0.002, level, np.float32(overall))
    level = np.maximum(level, np.float32(0.25 * overall) if overall > 0 else 1)
    noise = np.sqrt(np.maximum(cv2.blur(rest * rest * away, reach), 0) / np.maximum(cv2.blur(away, reach), 1e-3))
    fade = np.clip(1.5 * noise / level, 0.12, 0.45)
    density = ((ink / level - 0.6 * fade) / (1 - 0.6 * fade)).clip(0, 1) * (ink / level > fade)
    return np.asarray(density, np.float32), sign > 0


def _against_clean_paper(image: NDArray[np.uint8], polarity: Polarity) -> tuple[NDArray[np.float32], bool] | None:
    """(how far each pixel is from paper of a single level, float32 [H,W], whether ink is high); None for other paper.

    Raises PictureError for a picture without pixels.
    """
    if image.size == 0:
        raise PictureError("the picture is blank: it has no pixels")
    level = _clean_level(image, polarity)
    if level is None:
        return None
    ink_is_high = polarity == "ink-high" or (polarity == "auto" and _mean(image) > level)
    ink = image.astype(np.float32) - np.float32(level)
    return (ink if ink_is_high else -ink), ink_is_high


def _clean_level(image: NDArray[np.uint8], polarity: Polarity) -> int | None:
    """The level of paper that has a single one, as in drawings and bitmaps; None where it has shading or texture.

    It is the commonest level of the border, or the picture's lowest or highest where the digit fills its frame.
    """
    border = np.bincount(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]), minlength=256)
    ends = int(image.min()), int(image.max())
    level = int(border.argmax())
    framed = 2 * border[level] >= border.sum()
    if not framed:
        level = max(ends, key=lambda end: int(border[end]))
    if polarity != "auto" and level == ends[polarity == "ink-high"]:
        level = ends[polarity == "ink-low"]  # the border is full of ink
    if border[level]:
        # A frame of one level around a crop of textured paper says nothing about the paper: look inside.
        ink = image != level
        if ink.any():
            image = image[extent(ink)]
    counts = np.bincount(image.reshape(-1), minlength=256)
    unsure = int(counts[max(0, level - _UNSURE) : level + _UNSURE + 1].sum() - counts[level])
    if counts[level] >= max(0.1 * image.size, 0.6 * unsure):
        return level
    # A bar fills its box, and has no paper in it.
    narrow = min(image.shape) <= 0.4 * max(image.shape)
    return level if framed and narrow and unsure < 0.4 * image.size else None


def _ink_is_high(image: NDArray[np.uint8], longest: int, around: float) -> bool:
    """Ink covers less area than paper and is further from the median: the sign of the skew tells.

    At most `longest` pixels a side are used; `around`: the width of the local median, as a share of the side.
    """
    import cv2

    small = shrunk(image, min(1.0, longest / max(image.shape)))
    window = max(3, round(around * max(small.shape)) | 1)
    rest = small.astype(np.float32) - cv2.medianBlur(small, window)
    return float((rest * rest * rest).sum()) > 0


def _against_local_paper(
    image: NDArray[np.uint8], ink_is_high: bool, stroke: int
) -> tuple[NDArray[np.float32], float, float]:
    """(how much darker than the paper around it, in grey levels at the median paper, float32 [H,W]; the paper's
    grain, and its noise with any pattern on it, both as standard deviations).

    A grey closing gives a first estimate of the paper, too bright by its texture; the local mean over what is then not
    ink corrects it.
    """
    import cv2

    grey = 255 - image if ink_is_high else image
    reach = stroke | 1
    smooth = cv2.GaussianBlur(grey, (3, 3), 0)
    paper = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8), borderType=cv2.BORDER_REFLECT)
    paper = cv2.blur(paper, (min(9, reach // 2) | 1,) * 2).astype(np.float32)
    ink = paper - smooth
    if not ink_is_high:
        ink *= _percentile(paper.reshape(-1), 50) / np.maximum(paper, 32)
    rounded = np.clip(ink, 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(rounded, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    on_paper = (ink <= threshold).astype(np.float32)
    window = (2 * reach + 1, 2 * reach + 1)
    share = cv2.blur(on_paper, window)
    ink -= cv2.blur(ink * on_paper, window) / np.maximum(share, 1e-3)
    rest = ink[on_paper > 0]
    # The median deviation is deaf to strokes; the upper tail hears a pattern printed on the paper.
    grain = 1.4826 * _percentile(np.abs(rest), 50)
    return ink, grain, max(grain, _percentile(rest, 93) / 1.5)


def _strokes(
    ink: NDArray[np.float32],
    image: NDArray[np.uint8],
    ink_is_high: bool,
    paper: tuple[float, float],
    fades: tuple[float, float],
    *,
    clean: bool,
) -> Ink:
    """Keep the components that hold strong ink; the rest is paper. `ink` in grey levels, `paper`: (grain, noise)."""
    import cv2

    grain, noise = paper

    candidates = ink[ink > max(3 * grain, _MIN_CONTRAST)]
    if len(candidates) == 0:
        raise _blank(image)
    # The 90th percentile is the level in the middle of the strokes, whatever their edges and the brightest speck do.
    level = _percentile(candidates, 90)
    if level < _CLEAR * grain:
        raise _blank(image)
    strong = (ink > level / 2).astype(np.uint8)
    # Around the strokes ink fades into paper: down to nothing where the paper is perfectly clean, as MNIST's is, else
    # down to what stands clear of the paper's noise where no stroke is near.
    reach = max(2, round(max(image.shape) / 50))
    near = cv2.dilate(strong, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    away = np.abs(ink[near == 0])
    unrest = max(3 * noise, 2 * _percentile(away, 90) if len(away) else 0.0)
    fade = min(max(unrest, fades[0] * level), fades[1] * level) if unrest > 0 else 0.0

    inked = (ink > fade).astype(np.uint8)
    if not clean:
        _erase_lines(inked)
        strong &= inked
        if not strong.any():
            raise _blank(image)
    # A stroke whose ink fails for a pixel or two is one stroke.
    joined = inked if clean else cv2.dilate(inked, np.ones((3, 3), np.uint8))
    count, parts = cv2.connectedComponents(joined, connectivity=8)
    parts *= inked
    cores = np.bincount(parts[strong > 0], minlength=count)[1:]
    # A part of the digit has a core of strong ink; a speck has a small one, against the digit or against the picture.
    side = max(image.shape)
    least = max(0.02 * float(cores.max()), (side / 400) ** 2, 2 if side > _SMALL else 1) if len(cores) else 1.0
    kept = np.concatenate([[False], cores >= least])[parts]
    if not kept.any():
        raise _blank(image)
    if unrest == 0:
        # On clean paper a speck beside a stroke may be part of it: it stays, but does not decide how far the ink goes.
        rows, columns = extent(kept)
        kept[rows, columns] = True
    full = 255.0 if _percentile(candidates, 98) >= _FULL_INK else level
    soft = 0.0 if clean else _SOFT * fade
    density = np.where(kept & (ink > 0), ((ink - np.float32(soft)) / np.float32(full - soft)).clip(0, 1), np.float32(0))
    return Ink(density, np.asarray(parts, np.int32), count, ink_is_high, clean, level, unrest)


def _erase_lines(inked: NDArray[np.uint8]) -> None:
    """Erase, in place, the edges of boxes and ruled lines: long, straight, thin, and reaching the picture's edge.

    Where what is left is as large as the picture, the picture is a tight crop of a digit and the lines are its own.
    """
    import cv2

    height, width = inked.shape
    if min(height, width) <= _SMALL or not (_long(inked.sum(axis=0), height) or _long(inked.sum(axis=1), width)):
        return
    erased = inked.copy()
    for axis, (length, across) in enumerate(((height, width), (width, height))):
        thin = max(3, across // 10)
        reach = (1, round(0.4 * length)) if axis == 0 else (round(0.4 * length), 1)
        # A line leans a little: what is long in a mask made broader by a pixel each way is long enough.
        wide = cv2.dilate(inked, np.ones((1, 3) if axis == 0 else (3, 1), np.uint8))
        runs = cv2.morphologyEx(wide, cv2.MORPH_OPEN, np.ones(reach[::-1], np.uint8))
        if not runs.any():
            continue
        count, parts, stats, _ = cv2.connectedComponentsWithStats(runs, connectivity=8)
        for number in range(1, count):
            x, y, w, h = (int(v) for v in stats[number][:4])
            start, long, thick = (y, h, w) if axis == 0 else (x, w, h)
            side = (x + w / 2) / width if axis == 0 else (y + h / 2) / height
            out = start <= 1 or start + long >= length - 1
            if out and long >= 0.7 * length and thick <= thin + 2 and not 0.3 < side < 0.7:
                erased[parts == number] = 0
    if erased.any() and not np.array_equal(erased, inked):
        rows, columns = extent(erased > 0)
        if rows.stop - rows.start < height or columns.stop - columns.start < width:
            inked[:] = erased


def _long(profile: NDArray[Any], length: int) -> bool:
    """Whether a profile of ink may hold a line of that length that leans over three pixels at most."""
    return int((profile[:-2] + profile[1:-1] + profile[2:]).max()) >= 0.6 * length


def with_paper_beside(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """(grey [H,W], padded with paper left and right where it is narrow, such as a tightly cropped 1; the padding).

    No digit but a 1 is so narrow, and what is at its sides is mostly paper.
    """
    height, width = image.shape
    if not _BAR[0] * height < width < _BAR[1] * height:
        return image, 0
    room = height // 3 + 1
    # Of what is at its sides, that which is furthest from its middle.
    middle = _percentile(image[:, width // 2], 50)
    sides = np.concatenate([image[:, 0], image[:, -1]])
    level = int(max((_percentile(sides, 10), _percentile(sides, 90)), key=lambda side: abs(side - middle)))
    return np.pad(image, ((0, 0), (room, room)), constant_values=level), room


def shrunk(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """uint8 [H,W] at `scale` of its size, at most 1, no side below one pixel: the means of the pixels covered."""
    import cv2

    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def extent(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The smallest rows and columns that hold every True of `mask`, which has one."""
    import cv2

    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    return slice(y, y + height), slice(x, x + width)


def _percentile(values: NDArray[Any], percent: int) -> float:
    """The nearest-rank percentile; ten times as fast as NumPy's on the few pixels of a digit, a sample of many."""
    values = values[:: max(1, len(values) // 100_000)]
    rank = (len(values) - 1) * percent // 100
    return float(np.partition(values, rank)[rank])


def _mean(image: NDArray[np.uint8]) -> float:
    return int(image.sum(dtype=np.int64)) / image.size


def _blank(image: NDArray[np.uint8]) -> BlankError:
    low, high = int(image.min()), int(image.max())
    levels = f"grey {low} all over" if low == high else f"greys {low} to {high}, no stroke among them"
    return BlankError("blank", image.shape, levels)
