"""A page becomes lines of pieces: parts of ink in reading order, each a digit, a part of one, or several that touch.

Which pieces make one digit is decided in `split.py`, with the reader's help.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from downstroke.errors import PictureError, counted
from downstroke.glyphs.ink import Polarity, separate_page, shrunk

_WORK = 1600  # pixels: a longer picture is read at this length
_COARSE = 200  # pixels: in a larger picture, what is a pixel apart is together
_MOST_PARTS = 3000  # of ink; a page of digits as small as can be read has fewer
_MOST_AREA = 8  # times the page: the boxes of all parts together; parts that lie in each other's boxes are no digits
_SLOPES = np.tan(np.radians(np.arange(-16, 16.5, 0.5)))


@dataclass(frozen=True)
class Piece:
    """A part of ink: where it lies in the page at working scale, and its density, float32 [height,width], 0..1."""

    x: int
    y: int
    ink: NDArray[np.float32]

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
    """One line of a page: its pieces from left to right, and how tall its digits are, in pixels at working scale."""

    pieces: list[Piece]
    tall: float


def find_rows(image: NDArray[np.uint8], polarity: Polarity = "auto") -> tuple[list[Row], float]:
    """(the rows of uint8 [H,W] from top to bottom, pixels of the picture for one of working scale).

    Raises PictureError where the page is blank.
    """
    scale = max(image.shape, default=1) / _WORK
    if scale > 1:
        image = shrunk(image, 1 / scale)
    scale = max(1.0, scale)
    pieces = _pieces(separate_page(image, polarity), image.shape)
    if not pieces:
        return [], scale
    slope = _slope(pieces)
    rows = [_row(members) for members in _group(pieces, slope)]
    rows = [row for row in rows if row.pieces]
    if rows:  # a row of specks beside rows of digits
        tallest = max(row.tall for row in rows)
        rows = [row for row in rows if row.tall >= (0.4 if len(row.pieces) > 1 else 0.6) * tallest]
    rows.sort(key=lambda row: float(np.mean([piece.middle[1] - slope * piece.middle[0] for piece in row.pieces])))
    return rows, scale


def _pieces(density: NDArray[np.float32], shape: tuple[int, ...]) -> list[Piece]:
    """The parts of the ink that may be digits, or parts of digits."""
    import cv2

    inked = (density > 0).astype(np.uint8)
    joined = cv2.dilate(inked, np.ones((2, 2), np.uint8)) if min(shape) > _COARSE else inked
    count, parts, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    if count == 1:
        return []
    boxes = stats[1:, :4]
    if boxes[:, 2:].astype(np.int64).prod(axis=1).sum() > _MOST_AREA * density.size:
        raise PictureError(
            f"{counted(count - 1, 'line')} that cross the page, no digits; cut the picture down to the digits"
        )
    heights = boxes[:, 3]
    # How tall digits are here: the middle of the parts that are not much smaller than the larger ones.
    order = np.sort(heights)
    tall = float(np.median(order[order >= 0.5 * order[int(0.9 * (len(order) - 1))]]))
    found = []
    for number, (x, y, width, height) in enumerate(boxes.tolist(), start=1):
        if height < 0.12 * tall and width < 0.12 * tall:
            continue
        own = parts[y : y + height, x : x + width] == number
        ink = np.where(own, density[y : y + height, x : x + width], np.float32(0))
        if ink.max() < 0.5:
            continue
        found.append(Piece(x, y, ink))
    if len(found) > _MOST_PARTS:
        raise PictureError(
            f"{len(found):,} separate marks, expected at most {_MOST_PARTS:,}; cut the picture down to the digits"
        )
    return found


def _slope(pieces: list[Piece]) -> float:
    """How far lines fall per pixel to the right: where the pieces, seen along it, hide each other best."""
    tall = float(np.median([piece.height for piece in pieces]))
    main = [piece for piece in pieces if piece.height >= 0.5 * tall]
    if len(main) < 3:
        return 0.0
    x, y = np.array([piece.middle for piece in main]).T
    # Counted in bins of a fifth of the kernel's width, so that a page of 3,000 marks takes no longer than one of 30.
    kernel = np.exp(-((np.arange(-15, 16) / 5) ** 2))
    best, found = -math.inf, 0.0
    for slope in _SLOPES:
        seen = y - slope * x
        counts = np.bincount(np.rint((seen - seen.min()) / (0.05 * tall)).astype(np.int64))
        near = float(counts @ np.convolve(counts, kernel)[15:-15]) / len(main)
        score = near - 1.5 * abs(slope)  # level, unless there is a reason
        if score > best:
            best, found = score, float(slope)
    return found


def _group(pieces: list[Piece], slope: float) -> list[list[Piece]]:
    """Pieces that stand beside each other along the slope, line by line."""
    tall = float(np.median([p.height for p in pieces if p.height >= 0.5 * max(q.height for q in pieces)]))
    main = sorted((p for p in pieces if p.height >= 0.45 * tall), key=lambda p: p.middle[0])
    small = [p for p in pieces if p.height < 0.45 * tall]
    lines: list[list[Piece]] = []
    for piece in main:
        best, chosen = 0.35, None
        for line in lines:
            # The last few decide: a line may bend, and its digits may differ in size.
            last = line[-3:]
            shift = slope * (piece.middle[0] - float(np.mean([p.middle[0] for p in last])))
            top = float(np.mean([p.y for p in last])) + shift
            bottom = float(np.mean([p.bottom for p in last])) + shift
            share = (min(bottom, float(piece.bottom)) - max(top, float(piece.y))) / min(
                bottom - top, float(piece.height)
            )
            if share > best:
                best, chosen = share, line
        if chosen is None:
            lines.append([piece])
        else:
            chosen.append(piece)
    for piece in small:  # flags, fragments and dots go with the line that they stand in
        x, y = piece.middle
        best, chosen = 0.8 * tall, None
        for line in lines:
            near_x, near_y = min((p.middle for p in line), key=lambda middle: abs(middle[0] - x))
            distance = abs(near_y + slope * (x - near_x) - y)
            if distance < best:
                best, chosen = distance, line
        if chosen is not None:
            chosen.append(piece)
    return lines


def _row(pieces: list[Piece]) -> Row:
    """Stacked parts joined, dots and dashes left out, from left to right."""
    tallest = max(piece.height for piece in pieces)
    tall = float(np.median([piece.height for piece in pieces if piece.height >= 0.5 * tallest]))
    joined: list[Piece] = []
    low = 0.35 * tall
    for piece in sorted(pieces, key=lambda piece: -piece.height):
        for index, other in enumerate(joined):
            inside = min(piece.right, other.right) - max(piece.x, other.x)
            gap = max(piece.y, other.y) - min(piece.bottom, other.bottom)
            both = max(piece.right, other.right) - min(piece.x, other.x)
            if (
                other.height >= low
                and inside >= 0.5 * min(piece.width, other.width)
                and gap <= 0.3 * tall
                and both <= 1.2 * tall
            ):
                joined[index] = other.joined(piece)
                break
        else:
            joined.append(piece)
    kept = [piece for piece in joined if piece.height >= low or _flag(piece, joined, tall)]
    return Row(sorted(kept, key=lambda piece: piece.middle[0]), tall)


def _flag(piece: Piece, pieces: list[Piece], tall: float) -> bool:
    """Whether a low part is the flag of a 5 or the bar of a 7 or 4: close beside a tall one, not at its foot."""
    for other in pieces:
        if other.height >= 0.5 * tall and other is not piece:
            gap = max(piece.x, other.x) - min(piece.right, other.right)
            if gap <= 0.15 * tall and piece.bottom <= other.y + 0.45 * tall and piece.width >= 0.2 * tall:
                return True
    return False
