"""The figures of handwriting, and beside them those of what one would pick instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from downstroke.bench import no_digits, throughput
from downstroke.bench.other_readers import installed
from downstroke.bench.reading import measure, table
from downstroke.data.dataset import Dataset
from downstroke.reading.reader import Reader


@pytest.fixture
def handwriting(mnist: Dataset, tmp_path: Path) -> Path:
    """Four test digits, 7 2 1 0, and a page of the first two of them."""
    for folder in ("glyphs", "pages/notes"):
        (tmp_path / folder).mkdir(parents=True)
    np.savez(tmp_path / "glyphs" / "few.npz", images=mnist.test.images[:4], labels=mnist.test.labels[:4])
    page = np.pad(np.hstack([mnist.test.images[0], mnist.test.images[1]]), 20)
    Image.fromarray(255 - page).save(tmp_path / "pages" / "notes" / "a.png")
    (tmp_path / "pages" / "labels.csv").write_text("file,text\nnotes/a.png,72\n")
    return tmp_path


def test_another_reader_is_measured_on_the_same_digits_and_pages(
    handwriting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(no_digits, "PAGES", 1)
    monkeypatch.setattr(throughput, "PAGES", 4)
    monkeypatch.setattr(throughput, "ROUNDS", 1)

    def parrot(grey: NDArray[np.uint8], single: bool) -> str:
        return "7" if single else "7|1"

    figures = measure(handwriting, Reader.shipped(), None, lambda line: None, {"parrot": parrot})
    assert figures["glyphs"]["few"]["accuracy"] == 1
    assert figures["pages"]["notes"]["character_error"] == 0
    other = figures["others"]["parrot"]
    assert (other["glyphs"]["few"]["accuracy"], other["glyphs"]["few"]["images"]) == (0.25, 4)
    assert other["pages"]["notes"]["character_error"] == 1  # a line's end and a digit of two
    assert "parrot" in table(figures)
    assert figures["no_digits"]["printed English"]["pages"] == 1
    assert figures["throughput"]["pages_per_second_per_core"] > 0


def test_what_is_installed_reads_a_clear_number(tmp_path: Path) -> None:
    """Printed digits, such as those programs are made for."""
    from PIL import ImageDraw, ImageFont

    others = installed()
    if not others:
        pytest.skip("neither RapidOCR nor Tesseract is installed")
    page = Image.new("L", (400, 120), 255)
    ImageDraw.Draw(page).text((40, 30), "4071", 0, ImageFont.load_default(56))
    assert {name: reads(np.asarray(page), False) for name, reads in others.items()} == dict.fromkeys(others, "4071")


def test_the_figures_are_a_table_a_kind_of_set() -> None:
    glyphs = {"images": 8, "accuracy": 0.75, "accuracy_interval": (0.4, 0.93), "ece": 0.1, "accepted": 0.5}
    pages = {"pages": 2, "digits": 9, "character_error": 0.25, "character_error_interval": [0.1, 0.4], "slowest_s": 0.5}
    none = {"images": 3, "accepted": 0.0, "accepted_interval": (0.0, 0.56)}
    figures = {
        "glyphs": {"few": {**glyphs, "glyph_ms": 0.123456}},
        "not_digits": {"letters": none},
        "pages": {"notes": pages},
        "throughput": {},
        "no_digits": {"words": {"pages": 4, "with_a_digit": 0.25, "with_a_digit_interval": (0.1, 0.7)}},
        "others": {"parrot": {"glyphs": {"few": glyphs}, "pages": {}}},
    }
    assert [line.split("  ")[0] for line in table(figures).splitlines()] == [
        *("digits", "few", "mean of the sets", ""),
        *("not digits", "letters", ""),
        *("pages", "notes", ""),
        *("drawn pages without a digit", "words", ""),
        *("digits, parrot", "few"),
    ]
    assert table(figures).splitlines()[1].split() == "few 8 75.00% 40.0% to 93.0% 10.00% 50.00% 0.123".split()
