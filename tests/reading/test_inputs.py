"""What a reader takes: files, arrays of any usual type and layout, PIL images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from downstroke.data.dataset import Dataset
from downstroke.errors import PictureError
from downstroke.glyphs.glyph import glyph
from downstroke.reading.reader import Reader
from downstroke.show import readings

KINDS = {
    "floats 0..1": lambda image: image / 255,
    "float32 0..1": lambda image: (image / 255).astype(np.float32),
    "floats 0..255": lambda image: image.astype(np.float64),
    "int64": lambda image: image.astype(np.int64),
    "uint16 0..65535": lambda image: image.astype(np.uint16) * 257,
    "a list": lambda image: image.tolist(),
    "RGB": lambda image: np.stack([image] * 3, axis=2),
    "RGBA": lambda image: np.stack([image] * 3 + [np.full_like(image, 255)], axis=2),
    "C x H x W": lambda image: np.stack([image] * 3),
    "H x W x 1": lambda image: image[..., None],
    "PIL, grey": Image.fromarray,
    "PIL, RGB": lambda image: Image.fromarray(image).convert("RGB"),
}


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.shipped()


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_in_memory_reads_alike_in_any_type(kind: str, reader: Reader, mnist: Dataset) -> None:
    image = mnist.test.images[0]
    given: Any = KINDS[kind](image)
    assert reader.read(given, digit=True) == reader.read(image, digit=True)


def test_a_picture_of_bools_is_read(reader: Reader, mnist: Dataset) -> None:
    assert reader.read(mnist.test.images[0] > 127, digit=True).text == "7"


@pytest.mark.parametrize(
    "wrong",
    [
        np.full((28, 28), -1),
        np.full((28, 28), 256),
        np.full((28, 28), 1e6),
        np.full((28, 28), np.nan),
        np.zeros((2, 28, 28)),
        np.zeros(28),
        np.zeros((0, 5)),
        np.zeros((4, 0, 3), np.uint8),
        [],
        [["a"]],
        [[1], [1, 2]],
        None,
        {},
    ],
    ids=str,
)
def test_what_is_no_picture_is_refused_in_one_line(wrong: Any, reader: Reader) -> None:
    with pytest.raises(PictureError) as refused:
        reader.read(wrong)
    assert "\n" not in str(refused.value)
    assert not str(refused.value).startswith("-")


def test_a_picture_in_memory_has_no_name_in_messages(reader: Reader) -> None:
    with pytest.raises(PictureError, match=r"^no digit found"):
        reader.read(np.full((200, 200), 255, np.uint8))


def test_the_probabilities_of_glyphs_are_those_of_their_levels_in_any_type(reader: Reader, mnist: Dataset) -> None:
    glyphs: NDArray[np.uint8] = mnist.test.images[:20]
    right = reader.probabilities(glyphs)
    for given in (glyphs / 255, glyphs.astype(np.float32), glyphs.astype(int)):
        np.testing.assert_array_equal(reader.probabilities(given), right)
        np.testing.assert_array_equal(reader.accepts(given), reader.accepts(glyphs))
    with pytest.raises(PictureError, match=r"levels from -0\.5 to 0\.5"):
        reader.probabilities(glyphs / 255 - 0.5)
    with pytest.raises(PictureError, match=r"expected \[N, 28, 28\]"):
        reader.probabilities(glyphs[0])


@pytest.mark.parametrize("shape", [(8, 9), (28, 28), (300, 400), (1000, 500)])
def test_a_blank_picture_is_told_by_its_own_size(shape: tuple[int, int]) -> None:
    with pytest.raises(PictureError, match=f"{shape[1]}x{shape[0]}"):
        glyph(np.full(shape, 200, np.uint8))


def test_a_shown_picture_keeps_its_colours(tmp_path: Path, reader: Reader, mnist: Dataset) -> None:
    page = np.full((120, 120, 3), (255, 240, 180), np.uint8)
    page[40:68, 40:68] = page[40:68, 40:68] * (1 - mnist.test.images[0][..., None] / 255)
    Image.fromarray(page).save(tmp_path / "page.png")
    drawn = readings.draw(reader.read(tmp_path / "page.png"), tmp_path / "drawn.png")
    assert Image.open(drawn).getpixel((2, 118)) == (255, 240, 180)


def page_of(mnist: Dataset, rows: int, columns: int, path: Path) -> Path:
    """MNIST digits in rows that lie close together, twice as large as they are."""
    page = np.zeros((rows * 40, columns * 34), np.uint8)
    for index in range(rows * columns):
        y, x = index // columns * 40 + 6, index % columns * 34 + 3
        page[y : y + 28, x : x + 28] = mnist.test.images[index]
    Image.fromarray(255 - page).resize((columns * 68, rows * 80)).save(path)
    return path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 5), (2, 8), (4, 10), (7, 10)])
def test_an_explained_page_fits_a_screen(
    rows: int, columns: int, tmp_path: Path, reader: Reader, mnist: Dataset
) -> None:
    reading = next(reader.read_all([page_of(mnist, rows, columns, tmp_path / "page.png")], explain=True))
    width, height = size_of(readings.explain(reading, tmp_path / "explained.png"))
    assert 300 <= width <= 1600
    assert 200 <= height <= 960


def test_on_a_crowded_page_no_label_hides_a_box_or_another_label(
    tmp_path: Path, reader: Reader, mnist: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed: list[tuple[tuple[float, ...], list[tuple[float, ...]]]] = []
    label = readings._label

    def watched(pen: Any, page: Any, digit: Any, box: Any, taken: Any, size: int) -> Any:
        taken_before = list(taken)
        placed.append((label(pen, page, digit, box, taken, size), taken_before))
        return placed[-1][0]

    monkeypatch.setattr(readings, "_label", watched)
    reading = reader.read(page_of(mnist, 5, 8, tmp_path / "page.png"))
    width, height = size_of(readings.draw(reading, tmp_path / "drawn.png"))
    assert len(placed) >= 38
    for (left, top, right, bottom), taken in placed:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        for x, y, x_end, y_end in taken:
            shared = max(0, min(right, x_end) - max(left, x)) * max(0, min(bottom, y_end) - max(top, y))
            assert shared <= 0.1 * (right - left) * (bottom - top)


def test_a_small_picture_is_drawn_larger(tmp_path: Path, reader: Reader, mnist: Dataset) -> None:
    Image.fromarray(255 - np.pad(mnist.test.images[0], 6)).save(tmp_path / "small.png")
    drawn = readings.draw(reader.read(tmp_path / "small.png"), tmp_path / "drawn.png")
    assert size_of(drawn) == (120, 120)
