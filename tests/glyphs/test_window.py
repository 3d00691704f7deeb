"""A window shows what stands in a box, at the size of a glyph, with all that is around it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from downstroke.glyphs.window import window


def bar(side: int, x: int, y: int, width: int, height: int, paper: int = 0, ink: int = 255) -> np.ndarray:
    page = np.full((side, side), paper, np.uint8)
    page[y : y + height, x : x + width] = ink
    return page


@pytest.mark.parametrize("scale", [1, 2, 5])
def test_the_longer_side_of_the_box_is_20_pixels_in_the_middle(scale: int) -> None:
    box = (40 * scale, 30 * scale, 4 * scale, 20 * scale)
    seen = window(bar(100 * scale, *box), box)
    rows, columns = np.flatnonzero((seen > 127).any(1)), np.flatnonzero((seen > 127).any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (4, 23, 12, 15)


def test_levels_go_from_paper_to_ink_however_faint() -> None:
    seen = window(bar(60, 20, 20, 8, 20, paper=100, ink=140), (20, 20, 8, 20))
    assert (seen.min(), seen.max(), np.median(seen)) == (0, 255, 0)


def test_a_neighbour_is_seen_and_beyond_the_picture_there_is_paper() -> None:
    page = np.maximum(bar(60, 0, 0, 4, 20), bar(60, 8, 0, 2, 20))
    seen = window(page, (0, 0, 4, 20)) > 127
    assert seen[:, 12:16].any()
    assert seen[:, 20:22].any()
    assert not seen[:4].any()
    assert not seen[:, :11].any()


def test_paper_without_ink_stays_paper_and_so_does_a_box_outside() -> None:
    grain = np.random.default_rng(0).integers(100, 103, (60, 60)).astype(np.uint8)
    assert window(grain, (20, 20, 20, 20)).max() < 60
    assert not window(grain, (500, 500, 20, 20)).any()


def test_a_huge_digit_is_seen_like_a_small_one_and_blurred_when_it_is_small(monkeypatch):
    small = np.zeros((120, 120), np.uint8)
    small[20:100, 56:66] = small[90:100, 40:80] = 220
    huge = np.kron(small, np.ones((25, 25), np.uint8))
    spreads = []
    blur = cv2.GaussianBlur
    monkeypatch.setattr(cv2, "GaussianBlur", lambda x, size, spread: spreads.append(spread) or blur(x, size, spread))
    box = (40, 20, 40, 80)
    like = window(small, box).astype(int)
    assert np.abs(window(huge, tuple(25 * side for side in box)).astype(int) - like).mean() < 6
    assert max(spreads) < 20, "the work grows with the square of the spread"
