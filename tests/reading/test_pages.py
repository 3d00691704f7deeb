"""Whole pages as people photograph them, drawn here: each is read, or said to hold no digit."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from downstroke.data import sources
from downstroke.errors import PictureError
from downstroke.reading import effort
from downstroke.reading.locate import pixels_seen
from downstroke.reading.reader import Reader

Page = NDArray[np.uint8]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.shipped()


@pytest.fixture(scope="module")
def digits() -> Callable[[str, int], Page]:
    """A line of MNIST's test digits, uint8 [28 * scale, W], ink high on zero: the first of each class."""
    test = sources.load("mnist", 0).test
    first = {label: test.images[int(np.flatnonzero(test.labels == label)[0])] for label in range(10)}

    def line(text: str, scale: int = 2) -> Page:
        return np.asarray(cv2.resize(np.hstack([first[int(c)] for c in text]), None, fx=scale, fy=scale), np.uint8)

    return line


def on_paper(page: Page, ink: Page, x: int, y: int) -> None:
    """Write ink, high on zero, on a page in place: dark, with its left upper corner at (x, y)."""
    height, width = ink.shape
    view = page[y : y + height, x : x + width]
    view[:] = (view * (1 - 0.8 * ink / 255.0)).astype(np.uint8)


def sheet(digits: Callable[..., Page], *lines: str, size: tuple[int, int] = (400, 600)) -> Page:
    """White paper in uneven light, the table in sight along two edges."""
    page = np.linspace(235, 170, size[1])[None].repeat(size[0], 0).astype(np.uint8)
    for index, text in enumerate(lines):
        on_paper(page, digits(text), 60, 50 + 90 * index)
    page[-25:] = 40
    page[:, -18:] = 55
    return page


def test_a_sheet_on_a_table_is_read_whole(reader: Reader, digits: Callable[..., Page]) -> None:
    found = reader.read(sheet(digits, "1234567", "890452", "71039"))
    assert [line.text.replace(" ", "") for line in found.lines] == ["1234567", "890452", "71039"]


@pytest.mark.parametrize(("turns", "said"), [(1, "by a quarter to the right"), (2, "upside down"), (3, "to the left")])
def test_a_turned_page_is_read_upright_and_that_is_said(
    reader: Reader, digits: Callable[..., Page], turns: int, said: str
) -> None:
    page = sheet(digits, "2347562", "5423742")
    found = reader.read(np.ascontiguousarray(np.rot90(page, turns)))
    assert [line.text.replace(" ", "") for line in found.lines] == ["2347562", "5423742"]
    assert said in found.notes[0]
    # The boxes are those of the picture as it was given: turned back they are where the digits of the page are.
    x, y, width, height = found.lines[0].digits[0].box
    turned = np.zeros(np.rot90(page, turns).shape, bool)
    turned[y : y + height, x : x + width] = True
    rows, columns = np.nonzero(np.rot90(turned, -turns))
    assert 50 <= rows.mean() <= 106
    assert 60 <= columns.mean() <= 116


@pytest.mark.parametrize("white_on_black", [False, True])
@pytest.mark.parametrize("digit", "0234568")
def test_a_picture_cut_to_one_digit_is_that_digit(
    reader: Reader, digits: Callable[..., Page], digit: str, white_on_black: bool
) -> None:
    ink = digits(digit, 3)
    rows, columns = np.flatnonzero(ink.max(axis=1) > 99), np.flatnonzero(ink.max(axis=0) > 99)
    tight = np.ascontiguousarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    assert reader.read(tight if white_on_black else 255 - tight).text == digit


@pytest.mark.parametrize("white_on_black", [False, True])
@pytest.mark.parametrize("wide", [10, 13, 16])
def test_a_bar_is_a_1(reader: Reader, wide: int, white_on_black: bool) -> None:
    bar = np.zeros((70, wide), np.uint8)
    cv2.line(bar, (wide // 2 + 1, 5), (wide // 2 - 2, 65), 255, 8, cv2.LINE_AA)
    bar = np.asarray(cv2.GaussianBlur(bar, (0, 0), 1.2), np.uint8)
    picture = bar if white_on_black else 255 - bar
    assert reader.read(picture).text == "1"
    assert reader.read(picture, digit=True).text == "1"


def test_the_long_base_of_a_2_is_no_rule(reader: Reader) -> None:
    page = np.full((280, 280), 255, np.uint8)
    points = np.array([[90, 100], [110, 60], [160, 55], [180, 90], [150, 150], [70, 210], [215, 210]], np.int32)
    cv2.polylines(page, [points], False, 0, 6, cv2.LINE_AA)
    assert reader.read(page).text == "2"


@pytest.mark.parametrize("step", [20, 33])
def test_squared_paper_is_no_row_of_ones(reader: Reader, digits: Callable[..., Page], step: int) -> None:
    page = np.full((260, 480), 240, np.uint8)
    page[::step] = 150
    page[:, ::step] = 150
    on_paper(page, digits("39056"), 100, 100)
    assert reader.read(page).text.replace(" ", "") == "39056"


def test_cells_are_no_digits(reader: Reader, digits: Callable[..., Page]) -> None:
    page = np.full((240, 420), 255, np.uint8)
    for row in range(2):
        for column, digit in enumerate("24680" if row else "13579"):
            x, y = 10 + 80 * column, 10 + 110 * row
            cv2.rectangle(page, (x, y), (x + 80, y + 100), 0, 2)
            on_paper(page, digits(digit), x + 12, y + 22)
    assert [line.text.replace(" ", "") for line in reader.read(page).lines] == ["13579", "24680"]


def test_two_digits_in_a_tight_picture_are_two(reader: Reader) -> None:
    page = np.zeros((150, 190), np.uint8)
    cv2.polylines(page, [np.array([[25, 25], [88, 25], [60, 70], [45, 125]], np.int32)], False, 255, 14, cv2.LINE_AA)
    cv2.line(page, (165, 22), (165, 125), 255, 14, cv2.LINE_AA)
    assert reader.read(page).text.replace(" ", "") == "71"


def test_small_digits_beside_large_ones_are_read(reader: Reader, digits: Callable[..., Page]) -> None:
    page = np.full((330, 420), 250, np.uint8)
    on_paper(page, digits("47", 5), 20, 20)
    on_paper(page, digits("5208", 1), 60, 230)
    assert [line.text.replace(" ", "") for line in reader.read(page).lines] == ["47", "5208"]


def test_marks_are_no_digits_and_kept_when_asked_for(reader: Reader, digits: Callable[..., Page]) -> None:
    page = np.full((120, 360), 250, np.uint8)
    on_paper(page, digits("35"), 40, 30)
    cv2.line(page, (165, 58), (195, 57), 40, 4, cv2.LINE_AA)
    on_paper(page, digits("24"), 200, 30)
    found = reader.read(page)
    assert found.text.replace(" ", "") == "3524"
    assert "1 mark passed over: -" in found.notes[0]
    assert found.to_dict()["lines"][0]["marks"][0]["mark"] == "-"
    kept = reader.read(page, marks=True)
    assert kept.text == "35-24"
    assert kept.notes == []


def test_a_point_at_the_foot_of_a_line_is_a_mark(reader: Reader, digits: Callable[..., Page]) -> None:
    page = np.full((120, 420), 245, np.uint8)
    on_paper(page, digits("3"), 30, 30)
    cv2.circle(page, (96, 80), 4, 40, -1, cv2.LINE_AA)
    on_paper(page, digits("14"), 110, 30)
    assert reader.read(page, marks=True).text == "3.14"
    assert "1 mark passed over: ." in reader.read(page).notes[0]


def test_a_plus_is_left_out_and_that_is_said(reader: Reader, digits: Callable[..., Page]) -> None:
    page = np.full((120, 420), 245, np.uint8)
    on_paper(page, digits("25"), 30, 30)
    cv2.line(page, (165, 62), (195, 62), 40, 4, cv2.LINE_AA)
    cv2.line(page, (180, 47), (180, 77), 40, 4, cv2.LINE_AA)
    on_paper(page, digits("7"), 220, 30)
    found = reader.read(page)
    assert found.text.replace(" ", "") == "257"
    assert "of the ink left out" in found.notes[0]


def encoded(page: Page) -> bytes:
    return cv2.imencode(".png", page)[1].tobytes()


def without_digits() -> dict[str, Page]:
    rng = np.random.default_rng(0)
    wall = np.clip(np.linspace(200, 120, 500)[None] + rng.normal(0, 6, (350, 500)), 0, 255).astype(np.uint8)
    form = np.full((350, 500), 245, np.uint8)
    for x in range(40, 400, 50):
        cv2.rectangle(form, (x, 100), (x + 40, 150), 60, 2)
    words = np.full((350, 500), 250, np.uint8)
    for index, text in enumerate(("WHAT A FINE", "MEANER TEXT", "HAVE A VAN")):
        cv2.putText(words, text, (20, 80 + 90 * index), cv2.FONT_HERSHEY_COMPLEX, 1.5, 20, 2, cv2.LINE_AA)
    prose = np.full((350, 500), 245, np.uint8)
    for index, text in enumerate(
        (
            "So little zeal goes into",
            "oiling a bicycle, said Ollie,",
            "who sold zig-zag sails",
            "to Bill and Zoe's aunt",
        )
    ):
        cv2.putText(prose, text, (15, 60 + 75 * index), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 30, 2, cv2.LINE_AA)
    upside_down = np.ascontiguousarray(prose[::-1, ::-1])
    lattice = np.full((350, 500), 235, np.uint8)
    for at in range(-300, 800, 40):
        cv2.line(lattice, (at, 0), (at + 60, 350), 60, 4, cv2.LINE_AA)
        cv2.line(lattice, (0, at), (500, at - 80), 60, 4, cv2.LINE_AA)
    face = np.full((350, 500), 250, np.uint8)
    cv2.ellipse(face, (250, 175), (120, 150), 0, 0, 360, 30, 3, cv2.LINE_AA)
    cv2.ellipse(face, (250, 240), (50, 20), 0, 0, 180, 30, 3, cv2.LINE_AA)
    squares = np.full((350, 500), 230, np.uint8)
    squares[::25], squares[:, ::25] = 120, 120
    return {
        "wall": wall,
        "form": form,
        "words": words,
        "prose": prose,
        "upside down": upside_down,
        "lattice": lattice,
        "face": face,
        "squares": squares,
    }


@pytest.mark.parametrize("what", without_digits())
def test_a_page_without_digits_gives_none_that_is_accepted(reader: Reader, what: str) -> None:
    [found] = reader.read_all([encoded(without_digits()[what])])
    assert not any(digit.accepted for line in found.lines for digit in line.digits)
    assert found.lines or "no digit found" in str(found.error)


def test_of_too_many_marks_the_first_lines_are_read_and_the_rest_is_said(
    reader: Reader, digits: Callable[[str, int], Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = np.full((700, 900), 230, np.uint8)
    lines = ["0123456789", "9876543210", "0246813579", "9753186420"]
    for number, text in enumerate(lines):
        on_paper(page, digits(text, 2), 100, 60 + 150 * number)
    assert reader.read(page).text.split("\n") == lines
    whole = effort.Effort()
    reader.prepare(page, effort=whole)
    monkeypatch.setattr(effort, "MOST", (whole.spent + pixels_seen(page.shape)) / 2)  # half of the lines
    reading = reader.read(page)
    read = reading.text.split("\n")
    assert 1 <= len(read) <= 3
    assert read == lines[: len(read)]
    left = 4 - len(read)
    assert any(note.startswith(f"{left} line{'s' * (left > 1)} of marks left out") for note in reading.notes)
    monkeypatch.setattr(effort, "MOST", 0.0)
    with pytest.raises(PictureError, match="far more marks than are read in one picture"):
        reader.read(page)


def test_whoever_cannot_wait_is_told_before_the_work_is_done(
    reader: Reader, digits: Callable[[str, int], Page]
) -> None:
    page = np.full((400, 900), 230, np.uint8)
    on_paper(page, digits("0123456789", 2), 100, 60)
    with pytest.raises(effort.TooLongError):
        reader.prepare(page, effort=effort.Effort(quick=1e5))
    made = reader.prepare(page, effort=effort.Effort(quick=1e8))
    assert made.read(reader.logits(made.glyphs)).text == "0123456789"
