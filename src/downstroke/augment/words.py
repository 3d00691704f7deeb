"""Letters in words, for the pages that the locator learns from: what stands among letters is a letter, also an O.

Printed in the fonts that matplotlib brings along, or made thin and traced with a pen; beside them characters of
no alphabet, a few curves each, so that what is learned is not the alphabets that are drawn.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from downstroke.augment.letters import ALIKE, font_of, middle_lines, round_pen

FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSansMono-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralItalic",
)
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_GREEK = "αβγδεζηθικλμνξοπρστυφχψω"
_CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
_ALPHABETS, _SHARES = (_LATIN, _GREEK, _CYRILLIC), (0.76, 0.12, 0.12)
_EM, _PEN = 72, 3.0  # pixels: of a letter, and the radius of the pen


@dataclass(frozen=True)
class Letter:
    """A character of a font: its ink 0..1, cut to the strokes, how tall it is and how far its foot is below the line,
    both by the height of a capital; whether alone it may be taken for a digit."""

    ink: NDArray[np.float32]
    height: float
    sinks: float
    alike: bool


def word(rng: np.random.Generator, length: int, *, alike: bool) -> str:
    """So many letters of one alphabet, as words are written: small, with a capital before them, or capitals.

    Without `alike` none that a person may take for a digit.
    """
    alphabet = str(rng.choice(_ALPHABETS, p=_SHARES))
    made = "".join(alphabet[int(i)] for i in rng.integers(len(alphabet), size=length))
    how = rng.random()
    made = made.upper() if how < 0.25 else made.capitalize() if how < 0.5 else made
    return made if alike else "".join(char for char in made if char not in ALIKE) or "K"


@functools.lru_cache(4096)
def letter(face: str, char: str, *, thin: bool) -> Letter:
    """A character as the face has it; or `thin`, as a pen of one width would write it."""
    font = font_of(face, _EM)
    capital = font.load_char(ord("H")).height
    glyph = font.load_char(ord(char))
    font.set_text(char)
    font.draw_glyphs_to_bitmap(antialiased=True)
    ink = np.pad(np.asarray(font.get_image(), np.uint8), 4)
    if thin:
        drawn = round_pen(middle_lines((ink >= 128).astype(np.uint8)), _PEN)
    else:
        drawn = np.asarray(ink / np.float32(255), np.float32)
    x, y, width, height = cv2.boundingRect((drawn > 0.2).astype(np.uint8))
    sinks = (glyph.height - glyph.horiBearingY) / capital
    return Letter(drawn[y : y + height, x : x + width], glyph.height / capital, sinks, char in ALIKE)


def invented(rng: np.random.Generator) -> list[list[float]]:
    """A character of no alphabet: three to six curves, each hung on the one before or crossing it; as in `FORMS`."""
    curves: list[list[float]] = []
    end = rng.uniform(-1, 1, 2)
    for _ in range(int(rng.integers(3, 7))):
        start = end if rng.random() < 0.6 else rng.uniform(-1, 1, 2)
        end = rng.uniform(-1, 1, 2)
        middle = (start + end) / 2 + rng.normal(0, 0.35, 2)
        curves.append([*start.tolist(), *middle.tolist(), *end.tolist()])
    return curves
