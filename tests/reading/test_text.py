"""The text of a reading: gaps between groups of digits, and what was refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from downstroke.cli import main
from downstroke.errors import PictureError
from downstroke.reading.reader import Digit, Line, Reader, Reading
from downstroke.reading.shipped import Shipped


def boxes(*lefts: int, wide: int = 20) -> list[Digit]:
    return [Digit(index % 10, 1.0, [1.0], (left, 0, wide, 30), accepted=True) for index, left in enumerate(lefts)]


@pytest.mark.parametrize(
    ("lefts", "text"),
    [
        ((0,), "0"),
        ((0, 25), "01"),
        ((0, 70), "0 1"),
        ((0, 25, 50, 110, 135), "012 34"),
        ((0, 60, 85, 145, 170), "0 12 34"),
        ((0, 70, 140, 210), "0123"),  # the boxes of a form
        ((0, 70, 140, 228, 298), "01234"),  # far apart, and not evenly
        ((0, 18, 36), "012"),  # they touch
    ],
)
def test_a_gap_between_groups_of_digits_is_a_space_in_the_text(lefts: tuple[int, ...], text: str) -> None:
    assert Line.of(boxes(*lefts)).text == text


def test_a_gap_stays_where_refused_digits_are_marked() -> None:
    first, *rest = boxes(0, 25, 90)
    refused = Digit(first.digit, 0.5, [0.5, 0.5], first.box, accepted=False)
    assert Reading("a.png", [Line.of([refused, *rest])]).strict().text == "?1 2"


def test_written_groups_are_read_as_groups() -> None:
    page = np.full((120, 640), 255, np.uint8)
    cv2.putText(page, "789", (20, 80), cv2.FONT_HERSHEY_DUPLEX, 2, 0, 4)
    cv2.putText(page, "2025", (260, 80), cv2.FONT_HERSHEY_DUPLEX, 2, 0, 4)
    [line] = Reader.shipped().read(page).to_dict()["lines"]
    assert line["text"] == "789 2025"


def test_letters_are_no_digits() -> None:
    page = np.full((120, 500), 255, np.uint8)
    cv2.putText(page, "ABC WMK", (20, 80), cv2.FONT_HERSHEY_DUPLEX, 2, 0, 4)
    with pytest.raises(PictureError, match="no digit found"):
        Reader.shipped().read(page)


def test_what_is_refused_is_printed_as_a_question_mark_and_counted_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shipped, "threshold", 1e9)  # nothing is enough like a digit
    page = np.full((120, 500), 255, np.uint8)
    cv2.putText(page, "42 and 7", (20, 80), cv2.FONT_HERSHEY_DUPLEX, 2, 0, 4)
    Image.fromarray(page).save(tmp_path / "letters.png")
    refused = Reader.shipped().read(page).refused
    assert refused >= 3
    result = CliRunner().invoke(main, ["read", str(tmp_path / "letters.png")])
    assert result.exit_code == 0
    assert result.stdout.count("?") == refused
    [line] = [line for line in result.stderr.splitlines() if "digits refused" in line]
    assert "letters.png" in line
    assert f"{refused} of " in line
    assert "not enough like a digit" in line
