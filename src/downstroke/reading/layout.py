"""The layout of a page: its lines, each cut into pieces of ink, in reading order.

A piece is a digit, a part of one, or several that touch.

The locator (`locate.py`) finds the digits and their ink. Each line is cut out, levelled, scaled to one digit height
and located again. `split.py` decides which pieces make one digit, from the reader's probabilities.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from downstroke.errors import PictureError
from downstroke.glyphs.ink import ink_under_mask, with_paper_beside
from downstroke.reading.effort import A_DIGIT, MOST, Effort
from downstroke.reading.locate import Place, distinct, locate, peaks, pixels_seen, resized, run_locator

TALL = 40.0  # pixels: how tall the digits of a line are made
_MARGIN = 0.8  # of a digit's height, around a line
_WIDEST = 6000  # pixels: a longer line is made smaller
_MOST = 3000  # digits that are seen; a page of digits as small as can be read has fewer
_MOST_PIECES = 600  # of a line: digits need more room, or the line is longer than can be read
_SLOPES = np.tan(np.radians(np.arange(-16, 16.5, 0.5)))
_SURE_ALONE, _FEW = 0.5, 2  # heat of a digit alone on its line, where there are more digits than so few
_LOOK = 640  # pixels: a longer picture is made smaller to see which way up it is
_WEAK = 0.12  # heat: on a line of digits a place that is less sure is looked at too
_BREAK, _UNUSUAL = 4.0, 2.5  # digits' heights; times the line's usual gap: a wider one parts two lines
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Piece:
    """A part of ink: its place in its line, in pixels, and its density, float32 [height,width], 0..1."""

    x: int
    y: int
    ink: Floats

    @property
    def width(self) -> int:
        return int(self.ink.shape[1])

    @property
    def height(self) -> int:
        return int(self.ink.shape[0])

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    def joined(self, other: Piece) -> Piece:
        x, y = min(self.x, other.x), min(self.y, other.y)
        ink = np.zeros((max(self.bottom, other.bottom) - y, max(self.right, other.right) - x), np.float32)
        for piece in (self, other):
            view = ink[piece.y - y : piece.bottom - y, piece.x - x : piece.right - x]
            np.maximum(view, piece.ink, out=view)
        return Piece(x, y, ink)


@dataclass(frozen=True)
class Row:
    """One line of a page: its pieces from left to right, and how tall its digits are, in its pixels.

    `places`, `others`: where the locator sees digits in it, and marks and letters; `ink` [h,w]: all that its pieces are
    of; `grey`, uint8 [h,w], ink high: the line itself; `to_picture` [2,3] turns its x, y, 1 into the picture's x, y.
    """

    pieces: list[Piece]
    tall: float
    places: list[Place]
    others: list[Place]
    to_picture: NDArray[np.float64]
    ink: Floats
    grey: NDArray[np.uint8]


@dataclass(frozen=True)
class Layout:
    """What is on a page: its lines of digits in reading order; all `places` that the locator sees, in the picture's
    pixels; how many `doubtful` digits were left out, and how many lines, as `too_many` for the effort that a picture is
    worth."""

    rows: list[Row]
    places: list[Place]
    doubtful: int
    too_many: int = 0


def find_rows(image: NDArray[np.uint8], effort: Effort, divided: Callable[[Row], bool]) -> Layout:
    """The lines of digits on grey [H,W] that could be `divided` within the effort; none where no digit is found.

    Raises PictureError where there are far too many.
    """
    image, room = with_paper_beside(image)
    effort.spend(pixels_seen(image.shape))
    every = locate(image)
    places = [place for place in every if place.is_digit]
    every = [replace(place, x=place.x - room) for place in every]
    if len(places) > _MOST:
        raise PictureError(
            f"{len(places):,} digit-like marks, expected at most {_MOST:,}; crop the picture to the digits"
        )
    if not places:
        return Layout([], every, 0)
    slope = _slope(places)
    lines = group(places, slope)
    sure = [line for line in lines if len(line) > 1 or line[0].score > _SURE_ALONE or len(places) <= _FEW]
    beside = np.array([[0, 0, -room], [0, 0, 0]])
    rows: list[Row] = []
    too_many, full = 0, False
    for line in sure:
        takes = _area(line, math.atan(slope)) + A_DIGIT * len(line)
        if full or not effort.allows(takes):
            full = full or takes < MOST / 2  # else it is the line that is odd, not their number
            too_many += 1
            continue
        row = _row(image, line, [p for other in lines if other is not line for p in other], slope)
        effort.spend(row.ink.size)
        if not row.pieces:
            continue
        if len(row.pieces) <= _MOST_PIECES and divided(row):
            rows.append(replace(row, to_picture=row.to_picture + beside))
        else:
            too_many += 1
    return Layout(rows, every, len(lines) - len(sure), too_many)


def pixels_of_turns(shape: tuple[int, ...]) -> float:
    """How many pixels `turns` looks at in a picture of this shape."""
    scale = min(1.0, _LOOK / max(shape))
    return 4 * pixels_seen((shape[0] * scale, shape[1] * scale))


def turns(image: NDArray[np.uint8]) -> list[int]:
    """By how many quarter turns to the left the locator sees more digits in grey [H,W] than digits and letters as it
    is; the likeliest first. A page of words upside down has letters like digits."""
    image = resized(image, min(1.0, _LOOK / max(image.shape)))
    upright = sum(place.score for place in locate(image))
    turned = {turn: locate(np.ascontiguousarray(np.rot90(image, turn))) for turn in (1, 2, 3)}
    sums = {turn: sum(place.score for place in found if place.is_digit) for turn, found in turned.items()}
    return sorted((turn for turn in sums if sums[turn] > upright), key=lambda turn: -sums[turn])


def _tall(places: list[Place]) -> float:
    """The height of a line's or page's digits: the median of those that are not much smaller than the tallest."""
    heights = np.sort([place.height for place in places])
    return float(np.median(heights[heights >= 0.5 * heights[int(0.9 * (len(heights) - 1))]]))


def _slope(places: list[Place]) -> float:
    """The slope of the lines, pixels down per pixel to the right: the one along which the digits overlap most."""
    tall = _tall(places)
    if len(places) < 3:
        return 0.0
    x, y = np.array([place.middle for place in places]).T
    # Counted in bins of a fifth of the kernel's width, so that a page of 3,000 marks takes no longer than one of 30.
    kernel = np.exp(-((np.arange(-15, 16) / 5) ** 2))
    best, found = -math.inf, 0.0
    for slope in _SLOPES:
        seen = y - slope * x
        counts = np.bincount(np.rint((seen - seen.min()) / (0.05 * tall)).astype(np.int64))
        near = float(counts @ np.convolve(counts, kernel)[15:-15]) / len(places)
        score = near - 1.5 * abs(slope)  # level, unless there is a reason
        if score > best:
            best, found = score, float(slope)
    return found


def group(places: list[Place], slope: float) -> list[list[Place]]:
    """Digits grouped into lines along the slope, from top to bottom, each from left to right."""
    lines: list[list[Place]] = []
    ends: list[tuple[float, float, float]] = []  # of each line: middle, top and bottom of its last few digits
    for place in sorted(places, key=lambda place: place.middle[0]):
        best, chosen = 0.35, len(lines)
        across = place.middle[0]
        for number, (middle, top, bottom) in enumerate(ends):
            shift = slope * (across - middle)
            both = min(bottom + shift, place.y + place.height) - max(top + shift, place.y)
            share = both / min((bottom + shift) - (top + shift), place.height)
            if share > best:
                best, chosen = share, number
        if chosen == len(lines):
            lines.append([])
            ends.append((0.0, 0.0, 0.0))
        lines[chosen].append(place)
        # The last few decide: a line may bend, and its digits may differ in size.
        last = lines[chosen][-3:]
        ends[chosen] = (
            sum(p.middle[0] for p in last) / len(last),
            sum(p.y for p in last) / len(last),
            sum(p.y + p.height for p in last) / len(last),
        )
    level = [float(np.median([p.middle[1] - slope * p.middle[0] for p in line])) for line in lines]
    parted: list[list[Place]] = []
    for _, line in sorted(zip(level, lines, strict=True), key=lambda pair: pair[0]):
        parted += _parted(line)
    return parted


def _parted(line: list[Place]) -> list[list[Place]]:
    """The line, split at gaps much wider than its others: columns of numbers."""
    gaps = np.array([after.x - before.x - before.width for before, after in itertools.pairwise(line)])
    if not len(gaps):
        return [line]
    tall = _tall(line)
    usual = max(0.0, float(np.quantile(gaps, 0.5)))
    cuts = [0, *(np.flatnonzero(gaps > max(_BREAK * tall, _UNUSUAL * usual)) + 1).tolist(), len(line)]
    return [line[start:stop] for start, stop in itertools.pairwise(cuts)]


def _row(image: NDArray[np.uint8], line: list[Place], others: list[Place], slope: float) -> Row:
    """The line of these digits, cut out of the picture; `others`: the digits of the other lines."""
    tall = _tall(line)
    angle = math.atan(slope)
    strip, there, to_picture = _cut_out(image, line, tall, angle)
    said = run_locator(strip, there)
    to_strip = _inverse(to_picture)
    own = [_moved(place, to_strip) for place in line]
    foreign = [_moved(place, to_strip) for place in _near(others, to_strip, strip.shape)]
    foreign = [
        p for p in foreign if p.x < strip.shape[1] and p.y < strip.shape[0] and p.x + p.width > 0 and p.y + p.height > 0
    ]
    line_at, foreign_at = _middles(own), _middles(foreign)
    seen = [place for place in peaks(said, 1.0, _WEAK) if _on_line(place, line_at) and not _in_any(place, foreign_at)]
    density, ink_is_high = ink_under_mask(strip, said.ink * there)
    kept, pieces = _pieces(density * (there & ~_covered(strip.shape, foreign, own)), said.ink, own)
    places = [place for place in distinct(seen) if place.is_digit]
    others = [place for place in seen if not place.is_digit or place.is_other > place.digit_heat]
    grey = strip if ink_is_high else 255 - strip
    return Row(_in_order(pieces), TALL, places, others, to_picture, kept, grey)


def _near(places: list[Place], matrix: NDArray[np.float64], shape: tuple[int, ...]) -> list[Place]:
    """Those that may lie in a strip of `shape` [h,w] when `matrix` [2,3] has moved them; `_moved` takes long."""
    if not places:
        return []
    boxes = _middles(places)
    middles = boxes[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    reach = math.sqrt(abs(float(np.linalg.det(matrix[:, :2])))) * boxes[:, 2:] / 2 + 1
    inside = ((middles + reach > 0) & (middles - reach < shape[::-1])).all(axis=1)
    return [places[index] for index in np.flatnonzero(inside)]


def _bounds(line: list[Place], tall: float, angle: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low and high corner, each x, y, of the line made level with its margin, in the picture's pixels."""
    cos, sin = math.cos(angle), math.sin(angle)
    corners = np.array(
        [(p.x + u * p.width, p.y + v * p.height) for p in line for u, v in ((0, 0), (1, 0), (0, 1), (1, 1))]
    )
    turned = corners @ np.array([[cos, -sin], [sin, cos]])
    return turned.min(axis=0) - _MARGIN * tall, turned.max(axis=0) + _MARGIN * tall


def _area(line: list[Place], angle: float) -> float:
    """How many pixels the line will have when it is cut out."""
    tall = _tall(line)
    low, high = _bounds(line, tall, angle)
    width, height = high - low
    return float(width * height * min(TALL / tall, _WIDEST / width) ** 2)


def _cut_out(
    image: NDArray[np.uint8], line: list[Place], tall: float, angle: float
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float64]]:
    """(the line made level with digits of `TALL` pixels, uint8 [h,w]; where of it the picture is [h,w]; the matrix
    [2,3] from it to the picture)."""
    import cv2

    cos, sin = math.cos(angle), math.sin(angle)
    low, high = _bounds(line, tall, angle)
    scale = min(TALL / tall, _WIDEST / (high[0] - low[0]))
    width, height = (max(1, round(float(v) * scale)) for v in high - low)
    # Shrinking has to average, which turning does not: first the region smaller, then level.
    reach = np.array([low, [high[0], low[1]], [low[0], high[1]], high]) @ np.array([[cos, sin], [-sin, cos]])
    left, top = (max(0, int(v)) for v in reach.min(axis=0))
    right, bottom = (int(v) + 2 for v in reach.max(axis=0))
    there = image[top:bottom, left:right]
    region = resized(there, scale)
    turn = np.array([[cos, -sin], [sin, cos]])
    to_picture = np.concatenate([turn / scale, (turn @ low)[:, None]], axis=1)
    exact = np.array([region.shape[1] / there.shape[1], region.shape[0] / there.shape[0]])
    to_region = (to_picture - np.array([[0, 0, left], [0, 0, top]])) * exact[:, None]
    # Pixels are counted at their middles.
    to_region[:, 2] += to_region[:, :2] @ [0.5, 0.5] - 0.5
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    strip = cv2.warpAffine(region, to_region, (width, height), flags=how, borderMode=cv2.BORDER_REFLECT)
    inside = cv2.warpAffine(np.ones_like(region), to_region, (width, height), flags=how)
    return np.asarray(strip, np.uint8), inside > 0, to_picture


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    turn = np.linalg.inv(matrix[:, :2])
    return np.concatenate([turn, -(turn @ matrix[:, 2:])], axis=1)


def _moved(place: Place, matrix: NDArray[np.float64]) -> Place:
    """The place after the affine map `matrix` [2,3]."""
    x, y = matrix @ [*place.middle, 1.0]
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
    width, height = place.width * scale, place.height * scale
    return replace(place, x=float(x) - width / 2, y=float(y) - height / 2, width=width, height=height)


def _middles(places: list[Place]) -> NDArray[np.float64]:
    """Of each place x and y of its middle, its width and its height: [N,4]."""
    return np.array([(*place.middle, place.width, place.height) for place in places]).reshape(-1, 4)


def _on_line(place: Place, line: NDArray[np.float64]) -> bool:
    """Whether a place stands on a line, its `_middles`: its middle is within the height of the nearest of them; of a
    mark, which may stand at the foot, a part of it."""
    x, y = place.middle
    near = line[np.abs(line[:, 0] - x).argmin()]
    reach = max(near[3], TALL) + (place.height if place.mark else 0.0)
    return bool(abs(near[1] - y) < 0.5 * reach)


def _in_any(place: Place, others: NDArray[np.float64]) -> bool:
    """Whether the middle of a place lies in the box of another of these `_middles`."""
    return bool((np.abs(others[:, :2] - place.middle) < 0.5 * others[:, 2:]).all(axis=1).any())


def _covered(shape: tuple[int, ...], places: list[Place], but: list[Place]) -> NDArray[np.bool_]:
    """Where [H,W] is covered by the boxes of `places` and not by those of `but`."""
    made = np.zeros(shape, bool)
    for covers, those in ((True, places), (False, but)):
        for p in those:
            made[
                max(0, int(p.y)) : max(0, int(p.y + p.height) + 1), max(0, int(p.x)) : max(0, int(p.x + p.width) + 1)
            ] = covers
    return made


def _pieces(density: Floats, mask: Floats, own: list[Place]) -> tuple[Floats, list[Piece]]:
    """The parts of a line's ink that may be digits, or parts of digits."""
    import cv2

    gate = cv2.dilate((mask > 0.35).astype(np.uint8), np.ones((3, 3), np.uint8))
    top = min(p.y for p in own) - 0.5 * TALL
    bottom = max(p.y + p.height for p in own) + 0.5 * TALL
    # The end of a long stem, which the locator may miss, goes with the digit that it hangs on; a rule does not.
    rest = ((density > 0.3) & (gate == 0)).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=8)
    hangs = np.zeros(count, bool)
    hangs[np.unique(parts[cv2.dilate(gate, np.ones((3, 3), np.uint8)) > 0])] = True
    hangs &= (stats[:, 2] < 0.5 * TALL) & (stats[:, 3] < 1.2 * TALL)
    hangs[0] = False
    # Where the locator doubts, ink counts less: the texture of the paper close to a stroke.
    sure = density * np.minimum(1, 3 * mask)
    kept = np.where(gate > 0, sure, np.where(hangs[parts], density, np.float32(0)))
    count, parts, stats, _ = cv2.connectedComponentsWithStats((kept > 0).astype(np.uint8), connectivity=8)
    found = []
    for number, (x, y, width, height, area) in enumerate(stats[1:].tolist(), start=1):
        if max(width, height) < 0.12 * TALL or not top < y + height / 2 < bottom or area < 4:
            continue
        mine = parts[y : y + height, x : x + width] == number
        ink = np.where(mine, kept[y : y + height, x : x + width], np.float32(0))
        if ink.max() >= 0.5:
            found.append(Piece(x, y, ink))
    return kept, found


def _in_order(pieces: list[Piece]) -> list[Piece]:
    """Stacked parts joined, specks left out, from left to right."""
    joined: list[Piece] = []
    low = 0.3 * TALL
    boxes = np.zeros((4, len(pieces)), np.int64)  # of what is joined so far: x, y, right, bottom
    for piece in sorted(pieces, key=lambda piece: -piece.height):
        x, y, right, bottom = boxes[:, : len(joined)]
        inside = np.minimum(piece.right, right) - np.maximum(piece.x, x)
        gap = np.maximum(piece.y, y) - np.minimum(piece.bottom, bottom)
        both = np.maximum(piece.right, right) - np.minimum(piece.x, x)
        stacked = (bottom - y >= low) & (inside >= 0.5 * np.minimum(piece.width, right - x))
        index = int(np.append(stacked & (gap <= 0.3 * TALL) & (both <= 1.2 * TALL), True).argmax())  # the first
        joined[index:] = [joined[index].joined(piece) if index < len(joined) else piece, *joined[index + 1 :]]
        boxes[:, index] = joined[index].x, joined[index].y, joined[index].right, joined[index].bottom
    tall = boxes[:, : len(joined)]
    tall = tall[:, tall[3] - tall[1] >= 0.5 * TALL]
    kept = [piece for piece in joined if piece.height >= low or _flag(piece, tall)]
    return sorted(kept, key=lambda piece: piece.middle[0])


def _flag(piece: Piece, tall: NDArray[np.int64]) -> bool:
    """Whether a low part is the flag of a 5 or the bar of a 7 or 4: close beside a tall one, not at its foot.

    `tall` [4,N]: x, y, right and bottom of the tall ones.
    """
    x, y, right, _ = tall
    gap = np.maximum(piece.x, x) - np.minimum(piece.right, right)
    beside = (gap <= 0.15 * TALL) & (piece.bottom <= y + 0.45 * TALL)
    return piece.width >= 0.2 * TALL and bool(beside.any())
