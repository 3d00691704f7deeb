"""Pages drawn for the locator to learn from: digits in lines, forms or alone, among letters, rules, shadows and tables.

Every page is new and is a function of its random generator. What is drawn is meant to be more varied than what people
photograph: a network that finds digits here has to look at their shape, not at the paper.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from downstroke.augment.letters import ALIKE as LIKE_DIGITS
from downstroke.augment.negatives import FORMS
from downstroke.augment.words import FACES, Letter, invented, letter, word

Floats = NDArray[np.float32]
SIDE = 192  # pixels of a page
SMALLEST, LARGEST = 13.0, 52.0  # pixels: how tall digits are drawn
_SMALL_ONES, _APART = 0.2, 16  # the share of grounds that hold pictures of one digit; pixels between two of these
_WORK = 64  # pixels: characters are thickened and thinned at this length
#: Marks that stand in numbers, which the locator tells beside the digits: labels from 10 on.
MARKS = ".,-/:"
#: The label of all other characters, letters and signs; and of those among them that alone may be taken for a digit.
OTHER = 10 + len(MARKS)
ALIKE = OTHER + 1
_SIGNS = "+=#%()*'\"|_!?&"
#: Letters that nobody would read as a digit; O, l, S and the like may fairly be read as one.
_LETTERS = "ACEFHKMNPRTUVWXYacdefhkmnprtuvwxy"
_TAILED = (1, 4, 7, 9)  # digits whose stem may go far below the line
_VECTOR_FACES = tuple(face | slant for face in range(8) for slant in (0, cv2.FONT_ITALIC))


@dataclass(frozen=True)
class Page:
    """A drawn page and what is to be found on it."""

    image: NDArray[np.uint8]  # [H,W], no side longer than SIDE
    ink: NDArray[np.bool_]  # [H,W]: the strokes of its digits
    boxes: Floats  # [K,4]: x, y, width, height of each digit, mark and letter, in pixels
    labels: NDArray[np.int64]  # [K]: 0..9, 10 and on for those of MARKS, OTHER and ALIKE; `ink` is of digits alone
    letters: NDArray[np.bool_]  # [H,W]: the strokes of its letters
    ink_is_high: bool  # whether it is white on black


@dataclass
class _Sheet:
    """A page while it is drawn: ink 0..1 of digits, of letters and of everything else."""

    height: int
    width: int
    digits: Floats = field(init=False)
    letters: Floats = field(init=False)
    others: Floats = field(init=False)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.digits, self.letters, self.others = np.zeros((3, self.height, self.width), np.float32)

    def put(self, character: Floats, x: float, y: float, label: int | None) -> None:
        """Draw a character's ink with its upper left corner at (x, y); a `label` says which digit it is."""
        height, width = character.shape
        left, top = round(x), round(y)
        rows = slice(max(0, top), min(self.height, top + height))
        columns = slice(max(0, left), min(self.width, left + width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        seen = character[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        layer = self.others
        if label is not None and not 10 <= label < OTHER:
            layer = self.digits if label < 10 else self.letters
        view = layer[rows, columns]
        np.maximum(view, seen, out=view)
        share = float(seen.sum()) / max(1e-6, float(character.sum()))
        if label is not None and share > 0.7:
            self.boxes.append((columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start))
            self.labels.append(label)


class Characters:
    """The digits, uint8 [N,28,28] with labels [N], that pages are made of, beside letters and marks in vector fonts."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.integer]) -> None:
        self.images, self.labels = images, labels

    def digit(self, rng: np.random.Generator) -> tuple[Floats, int]:
        """(its ink, cut to the strokes, 0..1; which digit it is)."""
        chance = rng.random()
        if chance < 0.06:
            label = int(rng.integers(10))
            return _written(str(label), int(rng.choice(_VECTOR_FACES)), int(rng.integers(1, 5))), label
        if chance < 0.2:
            label, curves = FORMS[int(rng.integers(len(FORMS)))]
            return _drawn(rng, curves), label
        index = int(rng.integers(len(self.images)))
        return _cut(self.images[index].astype(np.float32) / 255), int(self.labels[index])

    def other(self, rng: np.random.Generator) -> tuple[Floats, int]:
        """(the ink of a letter or a sign; OTHER, or ALIKE for a bar, a bracket and the like)."""
        chance = rng.random()
        if chance < 0.35:
            return letter(str(rng.choice(FACES)), word(rng, 1, alike=False), thin=bool(rng.random() < 0.7)).ink, OTHER
        if chance < 0.6:
            return _drawn(rng, invented(rng)), OTHER
        of = _SIGNS if chance < 0.8 else _LETTERS
        char = of[int(rng.integers(len(of)))]
        ink = _written(char, int(rng.choice(_VECTOR_FACES)), int(rng.integers(1, 6)))
        return ink, ALIKE if char in LIKE_DIGITS else OTHER


def draw_pages(rng: np.random.Generator, characters: Characters) -> list[tuple[Page, int, int]]:
    """One page, or several small ones, with x and y of each on a ground of SIDE by SIDE pixels: they do not overlap."""
    if rng.random() > _SMALL_ONES:
        return [(draw_page(rng, characters), 0, 0)]
    made: list[tuple[Page, int, int]] = []
    x = y = deepest = 0
    while True:
        page = draw_page(rng, characters, "one")
        height, width = page.image.shape
        if x + width > SIDE:
            x, y, deepest = 0, y + deepest + _APART, 0
        if y + height > SIDE:
            return made or [(page, 0, 0)]
        made.append((page, x, y))
        x, deepest = x + width + _APART, max(deepest, height)


def draw_page(rng: np.random.Generator, characters: Characters, kind: str = "") -> Page:
    """One page: `lines` of writing, a `form`, `one` digit alone, or `none` at all; without a kind, not `one`."""
    kind = kind or str(rng.choice(["lines", "form", "none"], p=[0.6, 0.22, 0.18]))
    if kind == "one":
        sheet = _one(rng, characters)
    else:
        sheet = _Sheet(SIDE, SIDE)
        tall = math.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST)))
        lean = math.radians(rng.normal(0, 4) if rng.random() < 0.8 else rng.uniform(-15, 15))
        if kind == "none":
            _nothing(rng, sheet, characters, tall, lean)
        elif kind == "form":
            _form(rng, sheet, characters, tall, lean)
        else:
            _lines(rng, sheet, characters, tall, lean)
        if rng.random() < 0.15:
            _shapes(rng, sheet, int(rng.integers(1, 4)))
    image, ink_is_high = _photographed(rng, sheet, table=kind != "one")
    boxes = np.array(sheet.boxes, np.float32).reshape(-1, 4)
    labels = np.array(sheet.labels, np.int64)
    return Page(image, sheet.digits > 0.35, boxes, labels, sheet.letters > 0.1, ink_is_high)


def _written(text: str, face: int, width: int) -> Floats:
    """A character of one of OpenCV's vector fonts (the Hershey faces), its ink cut to the strokes."""
    canvas = np.zeros((96, 128), np.uint8)
    cv2.putText(canvas, text, (24, 72), face, 2.0, 255, width, cv2.LINE_AA)
    return _cut(canvas.astype(np.float32) / np.float32(255))


def _drawn(rng: np.random.Generator, curves: Sequence[Sequence[float]]) -> Floats:
    """The ink of quadratic curves, each (x, y) of start, middle and end in about -1..1, each bent a little."""
    along = np.linspace(0, 1, 12)[:, None]
    scale = np.array([rng.uniform(22, 34), 36.0])
    layer = np.zeros((112, 112), np.uint8)
    for curve in curves:
        start, middle, end = np.array(curve).reshape(3, 2)
        middle = middle + rng.normal(0, 0.07, 2)
        points = (1 - along) ** 2 * start + 2 * along * (1 - along) * middle + along**2 * end
        fixed = np.rint((points * scale + 56) * 16).astype(np.int32)[:, None]
        cv2.polylines(layer, [fixed], False, 255, int(rng.integers(3, 9)), cv2.LINE_AA, 4)
    return _cut(layer.astype(np.float32) / np.float32(255))


#: Each mark as curves like those of a digit; how long it is and how far its foot is above the line's, at least and at
#: most, by the height of a digit.
_MARK_CURVES: dict[str, tuple[tuple[float, ...], ...]] = {
    ".": ((0, -0.02, 0, 0, 0, 0.02),),
    ",": ((0.1, -0.4, 0.2, 0, -0.2, 0.4),),
    "-": ((-0.9, 0, 0, 0, 0.9, 0),),
    "/": ((0.45, -1, 0, 0, -0.45, 1),),
    ":": ((0, -0.6, 0, -0.6, 0, -0.55), (0, 0.55, 0, 0.6, 0, 0.6)),
}
_MARK_SIZES = {
    ".": (0.08, 0.2, -0.05, 0.1),
    ",": (0.15, 0.4, -0.3, 0.0),
    "-": (0.3, 1.1, 0.3, 0.65),
    "/": (0.9, 1.5, -0.3, 0.0),
    ":": (0.35, 0.8, 0.0, 0.2),
}


def _mark(rng: np.random.Generator, tall: float, lean: float, hand: _Hand) -> tuple[Floats, int, float]:
    """(the ink of a mark beside digits of a height of `tall` pixels, its label, how far its foot is above theirs)."""
    label = int(rng.choice(len(MARKS), p=[0.27, 0.22, 0.22, 0.19, 0.1]))
    name = MARKS[label]
    curves = [[v + rng.normal(0, 0.05) for v in curve] for curve in _MARK_CURVES[name]]
    if rng.random() < 0.2:
        ink = _written(name, int(rng.choice(_VECTOR_FACES)), int(rng.integers(1, 6)))
    else:
        ink = _drawn(rng, curves)
    least, most, low, high = _MARK_SIZES[name]
    made = _shaped(rng, ink, max(2.5, rng.uniform(least, most) * tall), lean, hand)
    return made, 10 + label, rng.uniform(low, high) * tall


def _cut(ink: Floats) -> Floats:
    x, y, width, height = cv2.boundingRect((ink > 0.2).astype(np.uint8))
    return ink[y : y + height, x : x + width] if width and height else np.ones((2, 2), np.float32)


@dataclass(frozen=True)
class _Hand:
    """What the characters of one writer have in common."""

    weight: float  # where in the soft edge of a stroke its ink begins, 0..1: high is thin
    slant: float
    stretch: float  # width by height, against the usual
    untidy: float

    @classmethod
    def any(cls, rng: np.random.Generator) -> _Hand:
        slant = rng.normal(0, 0.15) if rng.random() < 0.9 else rng.uniform(0.3, 0.9)
        return cls(rng.uniform(0.15, 0.75), slant, math.exp(rng.normal(0, 0.15)), rng.uniform(0, 1))


def _shaped(rng: np.random.Generator, ink: Floats, tall: float, lean: float, hand: _Hand) -> Floats:
    """The character at a height of about `tall` pixels, bent as the hand bends it and turned by `lean` radians."""
    scale = _WORK / max(ink.shape)
    large = cv2.resize(ink, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    blur = 1.0 + 2.5 * rng.random()
    large = cv2.GaussianBlur(cv2.copyMakeBorder(large, 8, 8, 8, 8, cv2.BORDER_CONSTANT), (0, 0), blur)
    weight = min(0.8, max(0.12, hand.weight + rng.normal(0, 0.05)))
    peak = float(large.max())
    large = np.clip((large / max(peak, 1e-3) - weight) * 4 + 0.5, 0, 1)
    if rng.random() < 0.25 and tall > 20:  # a broad pen
        broad = int(rng.integers(2, 7))
        large = cv2.dilate(large, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (broad, broad)))
    height, width = large.shape
    size = tall / _WORK
    turn = lean + rng.normal(0, 0.05 + 0.06 * hand.untidy)
    cos, sin = math.cos(turn), math.sin(turn)
    slant = hand.slant + rng.normal(0, 0.06)
    wide = size * hand.stretch * math.exp(rng.normal(0, 0.05 + 0.05 * hand.untidy))
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[wide, -slant * size], [0, size]])
    corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height]])
    low = corners.min(axis=1)
    extent = np.ceil(corners.max(axis=1) - low).astype(int) + 1
    whole = np.concatenate([matrix, -low[:, None]], axis=1)
    if size < 0.6:  # warping skips pixels where it shrinks
        large = cv2.GaussianBlur(large, (0, 0), 0.45 / size)
    made = cv2.warpAffine(large, whole, (int(extent[0]), int(extent[1])), flags=cv2.INTER_LINEAR)
    return _cut(np.asarray(made / max(0.3, float(made.max())), np.float32))


def _with_tail(ink: Floats, factor: float) -> Floats:
    """The character with the lower half of it longer by a factor."""
    height, width = ink.shape
    half = height // 2
    lower = cv2.resize(ink[half:], (width, max(1, round((height - half) * factor))), interpolation=cv2.INTER_LINEAR)
    return np.concatenate([ink[:half], lower])


def _lines(rng: np.random.Generator, sheet: _Sheet, characters: Characters, tall: float, lean: float) -> None:
    """Writing in lines, loose or tight, most of it digits; ruled or on squared paper, now and then."""
    hand = _Hand.any(rng)
    pitch = tall * rng.uniform(1.15, 2.6)
    if rng.random() < 0.22:
        _rules(rng, sheet, pitch, lean)
    elif rng.random() < 0.15:
        _squares(rng, sheet, tall * rng.uniform(0.3, 1.6), lean)
    top = rng.uniform(-0.3, 1.0) * pitch
    for line in range(math.ceil(SIDE / pitch) + 1):
        if rng.random() < 0.25:
            continue
        digits = rng.choice([0.97, 0.6, 0.0], p=[0.72, 0.13, 0.15])
        _line(rng, sheet, characters, (rng.uniform(-0.2, 0.6) * SIDE, top + line * pitch), tall, lean, hand, digits)


def _line(
    rng: np.random.Generator,
    sheet: _Sheet,
    characters: Characters,
    start: tuple[float, float],
    tall: float,
    lean: float,
    hand: _Hand,
    digits: float,
) -> None:
    """One line from `start` on: numbers and words, of which the share `digits` are numbers."""
    gaps = [rng.uniform(-0.12, 0.06), rng.uniform(0.05, 0.4), rng.uniform(0.3, 1.2)]
    gap = tall * rng.choice(gaps, p=[0.3, 0.5, 0.2])
    along = 0.0
    for item in _text(rng, digits):
        own = tall * math.exp(rng.normal(0, 0.06 + 0.08 * hand.untidy))
        lift = 0.0
        if item == " ":
            along += tall * rng.uniform(0.4, 2.5)
            continue
        if isinstance(item, Letter):
            made = _shaped(rng, item.ink, tall * item.height * max(item.ink.shape) / item.ink.shape[0], lean, hand)
            label, lift = ALIKE if item.alike else OTHER, -item.sinks * tall
        elif item == "mark":
            made, label, lift = _mark(rng, tall, lean, hand)
        elif item == "digit":
            ink, label = characters.digit(rng)
            if rng.random() < 0.15 * hand.untidy:  # a nought half as tall as the seven beside it
                own *= rng.uniform(0.5, 1)
            made = _shaped(rng, ink, own, lean, hand)
            if label in _TAILED and rng.random() < 0.12 + 0.2 * hand.untidy:
                before = made.shape[0]
                made = _with_tail(made, rng.uniform(1.1, 2.2))
                lift = -(made.shape[0] - before) * rng.uniform(0.3, 1)
        else:
            ink, label = characters.other(rng)
            if min(ink.shape) < 24:  # an apostrophe, a bar: as small as beside the letters
                own *= max(ink.shape) / 46
            made = _shaped(rng, ink, max(own, 3.0), lean, hand)
            lift = 0.5 * (tall - made.shape[0]) * rng.random() if made.shape[0] < 0.5 * tall else 0.0
        height, width = made.shape
        x = start[0] + along * math.cos(lean) + lift * math.sin(lean)
        foot = rng.normal(0, 0.04 + 0.06 * hand.untidy) * tall
        y = start[1] + along * math.sin(lean) + tall - height - lift + foot
        sheet.put(made, x, y, label)
        along += width + gap + rng.normal(0, 0.06) * tall
        if x > sheet.width:
            return


def _text(rng: np.random.Generator, digits: float) -> list[str | Letter]:
    """What stands on a line: each "digit", "mark", "sign" or " ", or a letter of a word in one face."""
    face, thin = str(rng.choice(FACES)), bool(rng.random() < 0.5)
    marks = rng.choice([0.0, 0.06, 0.2], p=[0.5, 0.25, 0.25])
    made: list[str | Letter] = []
    count = int(rng.integers(1, 14)) if digits else 40
    while len(made) < count:
        if rng.random() < digits:
            for _ in range(int(rng.integers(1, 12))):
                chance = rng.random()
                made.append("mark" if chance < marks else "sign" if chance < 1.2 * marks + 0.01 else "digit")
                made += [" "] if rng.random() < 0.1 else []
        elif rng.random() < 0.3:
            made += ["sign"] * int(rng.integers(1, 4))
        else:
            written = word(rng, int(rng.integers(1 if digits else 2, 10)), alike=digits == 0)
            made += [letter(face, char, thin=thin) for char in written]
        made += [" "] if rng.random() < 0.6 else []
    return made


def _form(rng: np.random.Generator, sheet: _Sheet, characters: Characters, tall: float, lean: float) -> None:
    """Boxes for digits, some of them empty: a comb, a table, squared paper, fields with a word before them."""
    hand = _Hand.any(rng)
    wide, high = tall * rng.uniform(1.0, 2.0), tall * rng.uniform(1.15, 2.0)
    cos, sin = math.cos(lean), math.sin(lean)
    left, top = rng.uniform(-0.2, 0.3) * SIDE, rng.uniform(-0.1, 0.3) * SIDE
    columns, rows = int(rng.integers(1, 9)), int(rng.integers(1, 6))
    pitch = (wide * rng.choice([1.0, rng.uniform(1.05, 1.4)]), high * rng.choice([1.0, rng.uniform(1.05, 1.8)]))
    strength, pen = rng.uniform(0.25, 1.0), int(rng.choice([1, 1, 2]))
    filled, letters = rng.uniform(0.1, 1.0), rng.uniform(0, 0.5) if rng.random() < 0.3 else 0.0
    for row in range(rows):
        for column in range(columns):
            x, y = column * pitch[0], row * pitch[1]
            corners = [(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)]
            points = [(left + u * cos - v * sin, top + u * sin + v * cos) for u, v in corners]
            _polygon(sheet, points, strength, pen)
            if rng.random() > filled:
                continue
            if rng.random() < letters:
                ink, label = characters.other(rng)
            else:
                ink, label = characters.digit(rng)
            made = _shaped(rng, ink, tall * math.exp(rng.normal(0, 0.1)), lean, hand)
            middle = x + wide / 2 + rng.normal(0, 0.1) * wide, y + high / 2 + rng.normal(0, 0.08) * high
            u, v = left + middle[0] * cos - middle[1] * sin, top + middle[0] * sin + middle[1] * cos
            sheet.put(made, u - made.shape[1] / 2, v - made.shape[0] / 2, label)
    if rng.random() < 0.4:
        start = (rng.uniform(0, 0.4) * SIDE, top + rows * pitch[1] + 0.3 * tall)
        _line(rng, sheet, characters, start, tall * rng.uniform(0.4, 1), lean, hand, 0.0)


def _one(rng: np.random.Generator, characters: Characters) -> _Sheet:
    """A picture of one digit, or a letter now and then, cut tightly or loosely, as people save them to try it."""
    tall = math.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST)))
    hand = _Hand.any(rng)
    ink, label = characters.digit(rng) if rng.random() < 0.8 else characters.other(rng)
    made = _shaped(rng, ink, tall, math.radians(rng.normal(0, 5)), hand)
    height, width = made.shape
    room = rng.choice([rng.uniform(0, 0.12), rng.uniform(0.1, 0.5), rng.uniform(0.4, 1.5)], p=[0.35, 0.4, 0.25])
    around = np.maximum(0, np.rint(room * tall * rng.uniform(0.5, 1.5, 4))).astype(int)
    if rng.random() < 0.25:  # in a square frame
        spare = height - width
        around[:2] += max(0, -spare) // 2
        around[2:] += max(0, spare) // 2
    top, bottom, left, right = (int(v) for v in around)
    sheet = _Sheet(min(SIDE, top + height + bottom), min(SIDE, left + width + right))
    sheet.put(made, left, top, label)
    if rng.random() < 0.2 and room > 0.1:  # a neighbour, or a line, comes into sight
        neighbour = _shaped(rng, characters.digit(rng)[0], tall, 0.0, hand)
        reach = neighbour.shape[1] * rng.uniform(0.1, 0.4)
        x = -neighbour.shape[1] + reach if rng.random() < 0.5 else sheet.width - reach
        sheet.put(neighbour, x, top + rng.normal(0, 0.1) * tall, None)
    if rng.random() < 0.15:
        _rules(rng, sheet, tall * rng.uniform(0.8, 2), math.radians(rng.normal(0, 2)))
    elif rng.random() < 0.1:
        frame = [(1, 1), (sheet.width - 2, 1), (sheet.width - 2, sheet.height - 2), (1, sheet.height - 2)]
        _polygon(sheet, frame, rng.uniform(0.4, 1), int(rng.integers(1, 4)))
    return sheet


def _nothing(rng: np.random.Generator, sheet: _Sheet, characters: Characters, tall: float, lean: float) -> None:
    """No digit: printed or written words, empty forms, drawings, a bare wall."""
    kind = rng.choice(["text", "form", "shapes", "paper"], p=[0.6, 0.15, 0.15, 0.1])
    if kind == "text":
        hand = _Hand.any(rng)
        if rng.random() < 0.5:  # printed
            hand, tall = replace(hand, slant=0.0, untidy=0.0, stretch=1.0), min(tall, rng.uniform(13, 30))
        pitch = tall * rng.uniform(1.5, 2.4)
        for line in range(math.ceil(SIDE / pitch)):
            _line(rng, sheet, characters, (rng.uniform(-0.1, 0.2) * SIDE, line * pitch), tall, lean, hand, 0.0)
    elif kind == "form":
        _squares(rng, sheet, tall * rng.uniform(0.5, 2), lean)
    elif kind == "shapes":
        _shapes(rng, sheet, int(rng.integers(2, 12)))


def _rules(rng: np.random.Generator, sheet: _Sheet, pitch: float, lean: float) -> None:
    """Ruled paper: level lines at a pitch of so many pixels, and perhaps a margin."""
    strength, pen = rng.uniform(0.15, 0.9), int(rng.choice([1, 1, 2]))
    first, slope = rng.uniform(0, pitch), math.tan(lean)
    reach = abs(slope) * sheet.width
    for y in np.arange(first - reach, sheet.height + reach, max(pitch, 6)):
        _polygon(sheet, [(0, y), (sheet.width, y + slope * sheet.width)], strength, pen)
    if rng.random() < 0.2:
        x = rng.uniform(0, sheet.width)
        _polygon(sheet, [(x, 0), (x - slope * sheet.height, sheet.height)], strength, pen)


def _squares(rng: np.random.Generator, sheet: _Sheet, pitch: float, lean: float) -> None:
    """Squared paper, or a lattice as strong and as broad as writing."""
    pitch = max(pitch, 5.0)
    strength, slope = rng.uniform(0.1, 0.6), math.tan(lean)
    pen = 1
    if rng.random() < 0.25 and pitch > 12:
        strength, pen = rng.uniform(0.5, 1.0), int(rng.integers(1, 5))
    reach = abs(slope) * SIDE + pitch
    for at in np.arange(-reach + rng.uniform(0, pitch), SIDE + reach, pitch):
        _polygon(sheet, [(0, at), (sheet.width, at + slope * sheet.width)], strength, pen)
        _polygon(sheet, [(at, 0), (at - slope * sheet.height, sheet.height)], strength, pen)


def _polygon(sheet: _Sheet, points: Sequence[tuple[float, float]], strength: float, pen: int) -> None:
    """A closed outline through the points (x, y), in pixels, as something that is not a digit."""
    fixed = np.rint(np.array(points) * 16).astype(np.int32)[:, None]  # OpenCV's sixteenths of a pixel
    layer = np.zeros(sheet.others.shape, np.uint8)
    cv2.polylines(layer, [fixed], True, 255, pen, cv2.LINE_AA, 4)
    np.maximum(sheet.others, layer * np.float32(strength / 255), out=sheet.others)


def _shapes(rng: np.random.Generator, sheet: _Sheet, count: int) -> None:
    """Ellipses, arcs, blots and scribbles."""
    for _ in range(count):
        layer = np.zeros(sheet.others.shape, np.uint8)
        centre = (int(rng.integers(sheet.width)), int(rng.integers(sheet.height)))
        axes = tuple(int(v) for v in np.exp(rng.uniform(0.7, 4.2, 2)))
        pen = int(rng.choice([-1, 1, 2, 4], p=[0.2, 0.3, 0.3, 0.2]))
        kind = rng.random()
        if kind < 0.5:
            # Not a closed ring of a nought's size and shape, which may fairly be read as one.
            start, sweep = rng.uniform(0, 360), rng.uniform(40, 250)
            if pen < 0 or min(axes) > LARGEST or max(axes) < SMALLEST / 3:
                sweep = 360.0
            cv2.ellipse(layer, centre, axes, rng.uniform(0, 180), start, start + sweep, 255, pen, cv2.LINE_AA)
        else:
            steps = np.cumsum(rng.normal(0, rng.uniform(3, 20), (int(rng.integers(6, 25)), 2)), axis=0)
            points = (np.array(centre) + steps).astype(np.int32)[:, None]
            cv2.polylines(layer, [points], False, 255, max(1, pen), cv2.LINE_AA)
        np.maximum(sheet.others, layer * np.float32(rng.uniform(0.3, 1) / 255), out=sheet.others)


def _photographed(rng: np.random.Generator, sheet: _Sheet, *, table: bool) -> tuple[NDArray[np.uint8], bool]:
    """(the sheet as a camera, a scanner or a drawing program gives it, uint8 [H,W]; whether its ink is high)."""
    shape = sheet.digits.shape
    clean = rng.random() < 0.2
    dark = rng.random() < 0.3  # chalk on a board, white strokes on black
    paper, pen = rng.uniform(120, 255), rng.uniform(0.25, 0.95)
    if clean:
        paper, pen = (255.0 if rng.random() < 0.7 else rng.uniform(150, 255)), rng.uniform(0.6, 1.0)
    light = np.ones(shape, np.float32) if clean else _light(rng, shape)
    light *= 1 if clean else _texture(rng, shape)
    strength = np.float32(pen)
    others = np.maximum(sheet.letters, sheet.others)
    ink = np.maximum(sheet.digits, others * np.float32(rng.uniform(0.5, 1.0) if rng.random() < 0.4 else 1.0))
    if not clean and rng.random() < 0.4:  # a pencil's grain, a pen that fails
        ink = ink * (1 - np.float32(rng.uniform(0, 0.5)) * rng.random(shape, np.float32))
    if dark:
        low = rng.uniform(0, 110) if not clean else 0.0
        image = (low + (255 - low) * strength * ink) * (light if not clean else 1)
    else:
        image = np.minimum(np.float32(paper) * light, 250) * (1 - strength * ink)
    if table and not clean and rng.random() < 0.3:
        _lay_on_table(rng, image, sheet)
    if not clean:
        blur = rng.uniform(0.2, 1.3)
        if blur > 0.4:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), blur), np.float32)
        image = image + rng.normal(0, rng.uniform(0.5, 12) if rng.random() < 0.7 else 0.5, shape)
    made: NDArray[np.uint8] = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))]
        made = np.asarray(cv2.imdecode(cv2.imencode(".jpg", made, quality)[1], cv2.IMREAD_GRAYSCALE), np.uint8)
    return made, dark


def _light(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Uneven light and shadows with soft and hard edges, as a factor."""
    y, x = _places(*shape)
    light = 1 + rng.normal(0, 0.15) * x + rng.normal(0, 0.15) * y
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 3))):
            turn = rng.uniform(0, 2 * math.pi)
            away = x * math.cos(turn) + y * math.sin(turn) - rng.uniform(-0.8, 0.8)
            edge = rng.choice([0.01, 0.05, 0.3])
            light = light * (1 - rng.uniform(0.2, 0.65) / (1 + np.exp(np.clip(-away / edge, -30, 30))))
    return np.asarray(np.clip(light, 0.15, 1.4), np.float32)


def _texture(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """The paper's own unrest: fibres, crumples, a printed pattern; a factor near 1."""
    made = np.ones(shape, np.float32)
    for _ in range(int(rng.integers(0, 3))):
        cells = (int(rng.integers(2, 60)), int(rng.integers(2, 60)))
        noise = cv2.resize(rng.normal(0, 1, cells).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
        made *= 1 + np.float32(rng.uniform(0, 0.08)) * noise
    if rng.random() < 0.15:  # the guilloche of a cheque
        y, x = _places(*shape)
        turn, pitch = rng.uniform(0, math.pi), rng.uniform(6, 60)
        bent = rng.uniform(0, 3) * np.sin(rng.uniform(2, 20) * y)
        wave = np.sin(pitch * (x * math.cos(turn) + y * math.sin(turn)) + bent)
        made *= 1 - np.float32(rng.uniform(0.02, 0.25)) * (wave > rng.uniform(0, 0.9)).astype(np.float32)
    return made


def _lay_on_table(rng: np.random.Generator, image: Floats, sheet: _Sheet) -> None:
    """Let the page end within the picture: beyond a straight edge lies a table; what was there is gone. In place."""
    y, x = _places(*image.shape)
    turn = rng.choice([0, 0.5, 1, 1.5]) * math.pi + rng.normal(0, 0.08)
    beyond = x * math.cos(turn) + y * math.sin(turn) > rng.uniform(0.3, 1.0)
    if not beyond.any():
        return
    kept = [i for i, (u, v, w, h) in enumerate(sheet.boxes) if not beyond[_inside(u, v, w, h)].mean() > 0.25]
    sheet.boxes, sheet.labels = [sheet.boxes[i] for i in kept], [sheet.labels[i] for i in kept]
    sheet.digits[beyond] = sheet.letters[beyond] = 0
    grain = rng.normal(0, 1, (int(rng.integers(2, 50)), int(rng.integers(2, 50)))).astype(np.float32)
    wood = cv2.resize(grain, image.shape[::-1], interpolation=cv2.INTER_CUBIC) * rng.uniform(0, 25)
    image[beyond] = (rng.uniform(0, 255) + wood)[beyond]


def _inside(x: float, y: float, width: float, height: float) -> tuple[slice, slice]:
    return slice(int(y), int(y + height) + 1), slice(int(x), int(x + width) + 1)


@functools.lru_cache(64)
def _places(height: int, width: int) -> tuple[Floats, Floats]:
    """y and x of every pixel, -1..1."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    return y, x
