"""What people have: phones' pictures, scans of several pages, folders; fields of a form, and the table of them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from downstroke.cli import main
from downstroke.data.dataset import Dataset
from downstroke.errors import PictureError
from downstroke.glyphs import picture
from downstroke.glyphs.picture import Source, open_picture, read_picture, sources
from downstroke.reading.field import Field
from downstroke.reading.reader import Reader
from downstroke.show.readings_table import COLUMNS, ReadingsTable

GREYS = np.kron(np.array([[0, 120, 250], [60, 180, 250]], np.uint8), np.ones((32, 32), np.uint8))  # [64, 96]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def sheet(mnist: Dataset, *indices: int) -> Image.Image:
    """A white page [112, 64 * N] with a test digit in each stretch of 64 pixels, at its middle."""
    page = np.full((112, 64 * len(indices)), 255, np.uint8)
    for place, index in enumerate(indices):
        page[42:70, 64 * place + 18 : 64 * place + 46] = 255 - mnist.test.images[index]
    return Image.fromarray(page)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def scans(mnist: Dataset, tmp_path: Path) -> Path:
    """a.tif of two pages, 7|2 and 1|0, and below/b.png, 4|1."""
    folder = tmp_path / "scans"
    (folder / "below").mkdir(parents=True)
    sheet(mnist, 0, 1).save(folder / "a.tif", save_all=True, append_images=[sheet(mnist, 2, 3)])
    sheet(mnist, 4, 5).save(folder / "below" / "b.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.mark.parametrize("form", ["HEIF", "AVIF"])
def test_a_phones_picture_opens_as_grey_levels(form: str) -> None:
    if form == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    buffer = io.BytesIO()
    Image.fromarray(GREYS).convert("RGB").save(buffer, form, quality=90)
    opened, notes = read_picture(buffer.getvalue())
    assert opened.shape == GREYS.shape
    assert np.abs(opened[8::32, 8::32].astype(int) - GREYS[8::32, 8::32]).max() < 8
    assert notes == []


@pytest.mark.parametrize(
    ("module", "content"), [("pillow_heif", b"\0\0\0\x18ftypheic\0\0\0\0"), ("pypdfium2", b"%PDF-1.7")]
)
def test_what_an_extra_reads_is_refused_without_it_and_the_line_says_what_to_install(
    module: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        PictureError, match=r"^the picture: .*: pip install 'pillow-heif\S+ 'pypdfium2\S+ 'pillow>=11.3'$"
    ):
        open_picture(content)


def pdf(path: Path, *pages: Image.Image) -> Path:
    pages[0].save(path, "PDF", save_all=True, append_images=pages[1:], resolution=100)
    return path


def test_each_page_of_a_pdf_is_a_source_and_is_drawn_with_200_pixels_an_inch(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    path = pdf(tmp_path / "form.pdf", Image.fromarray(GREYS), Image.fromarray(255 - GREYS))
    assert sources(str(path)) == [Source(str(path), 1), Source(str(path), 2)]
    for source, expected in zip(sources(str(path)), (GREYS, 255 - GREYS), strict=True):
        opened, notes = read_picture(source)
        assert np.abs(np.array(opened.shape) - 2 * np.array(GREYS.shape)).max() <= 1
        assert np.abs(opened[16::64, 16::64].astype(int) - expected[8::32, 8::32]).max() < 8
        assert notes == []
    assert np.array_equal(open_picture(f"{path}#2"), open_picture(Source(str(path), 2)))
    assert read_picture(path)[1] == ["2 pages, the first is read"]
    with pytest.raises(PictureError, match=r"form\.pdf#3: no such page; expected 1 to 2"):
        open_picture(f"{path}#3")


def test_a_page_and_a_picture_in_it_are_bounded_before_they_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pypdfium2")
    path = pdf(tmp_path / "form.pdf", Image.fromarray(GREYS))
    monkeypatch.setattr(picture, "MAX_PIXELS", 4 * GREYS.size - 1000)
    with pytest.raises(PictureError, match="pixels at 200 an inch"):
        open_picture(path)
    monkeypatch.setattr(picture, "DPI", 20)
    monkeypatch.setattr(picture, "MAX_PIXELS", GREYS.size - 1)
    with pytest.raises(PictureError, match="it holds a picture of 96 x 64 pixels"):
        open_picture(path)


def test_the_pages_of_a_tiff_are_sources_but_not_its_thumbnails(tmp_path: Path) -> None:
    pages = [Image.new("L", (40, 30), level) for level in (10, 100, 200)]
    pages[1].encoderinfo = {"tiffinfo": {254: 1}}
    path = tmp_path / "a.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    assert [source.page for source in sources(str(path))] == [1, 3]
    assert [int(open_picture(source)[0, 0]) for source in sources(str(path))] == [10, 200]
    for wrong in (0, 4):
        with pytest.raises(PictureError, match=f"a.tif#{wrong}: no such page"):
            open_picture(f"{path}#{wrong}")


def test_each_page_of_a_tiff_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    Image.new("L", (9, 9)).save(path, save_all=True, append_images=[Image.new("L", (50, 50))])
    monkeypatch.setattr(picture, "MAX_PIXELS", 1000)
    assert open_picture(f"{path}#1").shape == (9, 9)
    with pytest.raises(PictureError, match="50 x 50 pixels"):
        open_picture(f"{path}#2")


def test_a_file_whose_name_ends_like_a_page_is_that_file(tmp_path: Path) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    Image.new("L", (5, 5)).save(tmp_path / "a.png#2", "PNG")
    assert open_picture(tmp_path / "a.png#2").shape == (5, 5)


def test_a_folder_is_all_its_pictures_and_their_pages(scans: Path) -> None:
    result = run("read", scans, "--json")
    assert result.exit_code == 0, result.stderr
    found = [
        (one["file"], one.get("page"), one["lines"][0]["text"].replace(" ", "")) for one in json.loads(result.stdout)
    ]
    assert found == [
        (str(scans / "a.tif"), 1, "72"),
        (str(scans / "a.tif"), 2, "10"),
        (str(scans / "below" / "b.png"), None, "41"),
    ]


def test_an_empty_folder_is_an_error_and_the_rest_are_read(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("read", tmp_path / "empty", scans / "below", "--json")
    assert result.exit_code == 1
    empty, read = json.loads(result.stdout)
    assert empty["error"].startswith(f"{tmp_path / 'empty'}: a folder; expected")
    assert read["error"] is None


def test_a_field_is_read_alone_and_its_boxes_are_those_of_the_page(scans: Path) -> None:
    path = scans / "below" / "b.png"
    result = run("read", path, "--box", "first=0,0,64,112", "--box", "64,0,64,112", "--json")
    assert result.exit_code == 0, result.stderr
    first, second = json.loads(result.stdout)
    assert (first["field"], first["box"], first["lines"][0]["text"]) == ("first", [0, 0, 64, 112], "4")
    assert (second["field"], second["lines"][0]["text"]) == ("64,0,64,112", "1")
    x, y, width, height = second["lines"][0]["digits"][0]["box"]
    assert 64 + 18 <= x < x + width <= 64 + 46
    assert 42 <= y < y + height <= 70


@pytest.mark.parametrize("box", ["1,2,3", "a=1,2,3,0", "-1,2,3,4", "1,2,3,4.5", ""])
def test_what_is_no_box_is_a_wrong_call(box: str, scans: Path) -> None:
    assert run("read", scans, "--box", box).exit_code == 2
    with pytest.raises(ValueError, match="expected X,Y,W,H"):
        Field.parse(box)


def test_a_box_out_of_the_picture_is_one_line(scans: Path) -> None:
    path = scans / "below" / "b.png"
    result = run("read", path, "--box", "sum=100,0,64,112")
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert errors == [
        f"error: {path}: the box sum (100,0,64,112) is outside the picture; expected one within 128 x 112 pixels"
    ]


def test_a_stack_of_forms_becomes_a_table_and_what_is_missing_is_added(scans: Path, tmp_path: Path) -> None:
    table = tmp_path / "out.csv"
    boxes = ("--box", "first=0,0,64,112", "--box", "empty=0,0,64,30")
    assert run("read", scans / "a.tif", *boxes, "--csv", table).exit_code == 1  # nothing in the empty field
    before = table.read_bytes()
    assert tuple(before.decode().splitlines()[0].split(",")) == COLUMNS
    found = [tuple(row[name] for name in ("page", "line", "text", "box")) for row in rows(table)]
    assert found == [
        ("1", "1", "7", "first"),
        ("1", "0", "", "empty"),
        ("2", "1", "1", "first"),
        ("2", "0", "", "empty"),
    ]
    run("read", scans, *boxes, "--box", "second=64,0,64,112", "--csv", table)
    assert table.read_bytes().startswith(before)
    added = [(Path(row["file"]).name, row["page"], row["text"], row["box"]) for row in rows(table)[4:]]
    assert added == [
        ("a.tif", "1", "2", "second"),
        ("a.tif", "2", "0", "second"),
        ("b.png", "1", "4", "first"),
        ("b.png", "1", "", "empty"),
        ("b.png", "1", "1", "second"),
    ]


def test_a_table_without_boxes_has_a_row_a_line_with_its_place(scans: Path, tmp_path: Path) -> None:
    table = tmp_path / "out.csv"
    assert run("read", scans, "--csv", table).exit_code == 0
    first = rows(table)[0]
    assert (first["text"].replace(" ", ""), first["line"], first["refused"]) == ("72", "1", "0")
    assert 0 < float(first["lowest probability"]) <= 1
    x, y, width, height = map(int, first["box"].split(","))
    assert 18 <= x < x + width <= 64 + 46
    assert 42 <= y < y + height <= 70
    whole = table.read_bytes()
    assert json.loads(run("read", scans, "--csv", table, "--json").stdout) == []
    assert table.read_bytes() == whole


def test_a_file_that_cannot_be_opened_has_no_row_and_is_tried_again(mnist: Dataset, tmp_path: Path) -> None:
    table, path = tmp_path / "out.csv", tmp_path / "late.png"
    assert run("read", path, "--csv", table).exit_code == 1
    assert rows(table) == []
    sheet(mnist, 0).save(path)
    assert run("read", path, "--csv", table).exit_code == 0
    assert [row["text"] for row in rows(table)] == ["7"]


def test_a_table_that_was_cut_short_is_mended(scans: Path, tmp_path: Path) -> None:
    table = tmp_path / "out.csv"
    run("read", scans, "--csv", table)
    whole = rows(table)
    table.write_bytes(table.read_bytes()[:-7])
    assert run("read", scans, "--csv", table).exit_code == 0
    assert rows(table) == whole


def test_another_table_is_left_as_it_is(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("name,price\nink,3\n")
    result = run("read", scans, "--csv", tmp_path / "mine.csv")
    assert result.exit_code == 1
    assert "another table is there" in result.stderr
    assert (tmp_path / "mine.csv").read_text() == "name,price\nink,3\n"


def test_no_more_than_one_picture_is_held(mnist: Dataset, tmp_path: Path) -> None:
    """A PDF of many pages, or a folder, is as large in memory as its largest page."""
    path = tmp_path / "many.tif"
    page = Image.new("L", (2000, 2000), 255)
    page.paste(sheet(mnist, 0), (0, 0))
    page.save(path, save_all=True, append_images=[page] * 15, compression="tiff_adobe_deflate")
    code = (
        "import resource, sys\nfrom downstroke.glyphs.picture import sources, read_picture\n"
        "unit = 1e6 if sys.platform == 'darwin' else 1e3\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit\n"
        f"found = sources({str(path)!r})\nread_picture(found[0])\nbefore = peak()\n"
        "for source in found: read_picture(source)\nprint(len(found), peak() - before)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert int(said[0]) == 16
    assert float(said[1]) < 20  # MB; a page has 4


def test_bytes_of_a_table_of_another_encoding_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_bytes(b"\xff\xfe\0\n")
    with pytest.raises(PictureError, match="another table"):
        ReadingsTable(tmp_path / "odd.csv")


def test_a_reader_reads_a_page_by_its_name(scans: Path) -> None:
    reading: Any = Reader.shipped().read(f"{scans / 'a.tif'}#2")
    assert (reading.text.replace(" ", ""), reading.page, reading.file) == ("10", 2, str(scans / "a.tif"))
