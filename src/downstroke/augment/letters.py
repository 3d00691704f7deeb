"""Letters and signs that are not digits, drawn once per process from the fonts that matplotlib brings along.

Most are brought down to their middle line and traced with a round pen, so that they are strokes as a hand makes
them; the others stay as printed. What may fairly be read as a digit is left out, whichever alphabet it is of.
"""

from __future__ import annotations

import functools
import itertools
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

#: Upright and slanted, with serifs and without; of `cmti10` the Latin letters alone, its other places are its own.
FACES = (
    "DejaVuSans",
    "DejaVuSansMono-Oblique",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralItalic",
    "STIXGeneralBolIta",
    "cmti10",
)
LATIN = (0x21, 0x7E)
#: First and last: Latin, IPA, Greek, Cyrillic; script and broken letters; and signs.
ALPHABETS = (LATIN, (0xA1, 0x2AF), (0x370, 0x52F), (0x1D49C, 0x1D537))
SIGNS = ((0x2020, 0x2044), (0x20A0, 0x214F), (0x2190, 0x22FF))
SHAPES = ((0x25A0, 0x2604), (0x2610, 0x26FF))  # filled, most of them: as printed only

#: What a person may take for a digit, most of all in a stranger's hand: here, and with any accent.
ALIKE = frozenset(
    "OoОоΟοØøƟɵθѳѲ°º∅○●◉◎◍◌◦◯⚪⚫⚬∘⊘⊙⊚⊖⊝☉ʘDÐĐƉƊQ"  # 0
    "lIiıjιΙІіӀӏ|¦!ǀǃ/\\⁄∕∖∣()ſʃ∫ƖɩɪƗɨɭɫƚ†‡↑↓↕▏▎▍▌▐'\"`´‘’"  # 1
    "ZzΖƧƨƵƶʐʑƻ"  # 2
    "ЗзЗʒƷȜȝɜɝӠӡҘҙƸƹʓƺѮѯ"  # 3
    "YyΥϒЧчУуҶҷҸҹӴӵҮү"  # 4
    "SsЅѕƼƽ$"  # 5
    "bGЬьЪъбƂƃƄƅɓƀɃГҌҍԌɢϬϭ♭"  # 6
    "¬⌐ɿ⅂"  # 7
    "BΒВвβßϐʙȢȣ&§∞"  # 8
    "ϨϩϦϧϪϫ"  # 2 and 5
    "gqɡԚԛƍɋɊϘϙϥզɠʠǥ."  # 9, and a dot
)

_BOX, _CELL = 60, 64  # pixels: the longer side of a letter while it is drawn, three times that of a glyph; its cell
_PENS = (1.7, 2.2, 2.8, 3.4, 4.0)  # radii at that scale: strokes of 1.1 to 2.7 pixels


@functools.cache
def letters(device: torch.device) -> tuple[Tensor, Tensor]:
    """The letters and the signs, uint8 [N,28,28] and [M,28,28], ink high on zero, fitted as a glyph is."""
    signs = torch.from_numpy(np.stack([_glyph(255.0 * cell) for cell in _prints(SHAPES)]))
    return _strokes(ALPHABETS).to(device), torch.cat([_strokes(SIGNS), signs]).to(device)


def _prints(ranges: tuple[tuple[int, int], ...]) -> list[NDArray[np.uint8]]:
    """Of every face those of the characters that it has and that are not digits: 0 or 1, [64,64] each."""
    chars = [chr(code) for first, last in ranges for code in range(first, last + 1) if _is_none(chr(code))]
    return [cell for face in FACES for cell in _printed(face, chars) if cell.any()]


def _strokes(ranges: tuple[tuple[int, int], ...]) -> Tensor:
    printed = _prints(ranges)
    lines = middle_lines(np.concatenate(printed)).reshape(-1, _CELL, _CELL)
    pens = itertools.cycle(_PENS)
    # Of each letter the strokes, and of every fourth also the print.
    inks = [*(_written(line, next(pens)) for line in lines if line.any()), *(255.0 * cell for cell in printed[::4])]
    return torch.from_numpy(np.stack([_glyph(ink) for ink in inks]))


def _is_none(char: str) -> bool:
    """Whether `char` is a letter or a sign that no one takes for a digit; letters with accents are left out."""
    base = unicodedata.normalize("NFKD", char)
    plain = len(base) == 1 and (base == char or unicodedata.decomposition(char).startswith("<font>"))
    return plain and unicodedata.category(char)[0] in "LSP" and base not in ALIKE


@functools.cache
def font_of(face: str, size: int) -> FT2Font:
    """A face that matplotlib brings along, an em of it as many pixels as `size`; loaded once."""
    import matplotlib
    from matplotlib.ft2font import FT2Font

    font = FT2Font(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{face}.ttf"))
    font.set_size(size, 72)
    return font


def _printed(face: str, chars: list[str]) -> list[NDArray[np.uint8]]:
    """Those of `chars` that the face has: 0 or 1, [64,64] each, the longer side of the ink 60."""
    font = font_of(face, _BOX)
    known = font.get_charmap()
    cells = []
    for char in chars:
        latin = LATIN[0] <= ord(char) <= LATIN[1] and char.isalpha()
        if ord(char) not in known or (face.startswith("cm") and not latin):
            continue
        font.set_text(char)
        font.draw_glyphs_to_bitmap(antialiased=True)
        image = np.array(font.get_image())
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        if not len(rows):
            continue
        image = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        scale = _BOX / max(image.shape)
        height, width = (max(1, round(side * scale)) for side in image.shape)
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        top, left = (_CELL - height) // 2, (_CELL - width) // 2
        cell = np.zeros((_CELL, _CELL), np.uint8)
        cell[top : top + height, left : left + width] = image >= 128
        cells.append(cell)
    return cells


def middle_lines(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What is left of the ink, 0 or 1, when its rim is taken away again and again without parting it: thin lines."""
    around = np.array([[1, 2, 4], [128, 0, 8], [64, 32, 16]], np.float32)
    first, second = _removable()
    while True:
        before = int(ink.sum())
        for table in (first, second):
            code = cv2.filter2D(ink, cv2.CV_8U, around, borderType=cv2.BORDER_CONSTANT)
            ink = ink & np.asarray(cv2.LUT(code, table), np.uint8)
        if int(ink.sum()) == before:
            return ink


def round_pen(line: NDArray[np.uint8], radius: float) -> NDArray[np.float32]:
    """The ink, 0..1, of a round pen of that radius in pixels along a line [H,W] of 0 and 1."""
    away = cv2.distanceTransform(1 - line, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray((radius + 0.5 - away).clip(0, 1), np.float32)


def _removable() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """For each pattern of a pixel's eight neighbours, 0 where it may go: at the south-east's turn, at the north-west's.

    The rules of Zhang and Suen (1984): two to six neighbours have ink, in one piece, and a side of this turn is open.
    """
    tables = np.ones((2, 256), np.uint8)
    for code in range(256):
        north_west, north, north_east, east, south_east, south, south_west, west = (code >> bit & 1 for bit in range(8))
        ring = (north, north_east, east, south_east, south, south_west, west, north_west)
        pieces = sum(not a and b for a, b in itertools.pairwise((*ring, ring[0])))
        if not 2 <= sum(ring) <= 6 or pieces != 1:
            continue
        if not (north and east and south) and not (east and south and west):
            tables[0, code] = 0
        if not (north and east and west) and not (north and south and west):
            tables[1, code] = 0
    return tables[0], tables[1]


def _written(line: NDArray[np.uint8], pen: float) -> NDArray[np.float64]:
    """The line with a round pen of that radius: 0..255, [64,64], brought back into the box where it grew out of it."""
    ink = 255.0 * round_pen(np.pad(line, 4), pen)
    return np.asarray(cv2.resize(ink, (_CELL, _CELL), interpolation=cv2.INTER_AREA), np.float64)


def _glyph(ink: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """[64,64] in 0..255 -> uint8 [28,28], the centre of mass in the middle, as far as the frame allows."""
    y, x = (float((ink.sum(axis) * np.arange(_CELL)).sum() / ink.sum()) for axis in (1, 0))
    frame = np.zeros((84, 84), np.uint8)
    top, left = (int(np.clip(round(41.5 - centre), 0, 84 - _CELL)) for centre in (y, x))
    frame[top : top + _CELL, left : left + _CELL] = ink
    return np.asarray(cv2.resize(frame, (28, 28), interpolation=cv2.INTER_AREA), np.uint8)
