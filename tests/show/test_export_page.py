"""The exported page in a real browser: it reads as Python does, offline, from a file."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import downstroke
from downstroke.data.dataset import Dataset
from downstroke.glyphs.glyph import cut

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no chromium here, so the exported page is not tested: apt install chromium", allow_module_level=True)
sync = pytest.importorskip("playwright.sync_api", reason="no playwright, so the exported page is not tested")

PHONE = {"width": 360, "height": 740}
SEVEN = ((0.3, 0.25), (0.65, 0.22), (0.7, 0.3), (0.5, 0.55), (0.42, 0.8))  # in parts of the pad's side
NO_DIGIT = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9), (0.1, 0.1), (0.9, 0.9))
PATIENCE_MS = 60_000
READ = """async ({name, all, size}) => {
    const levels = Uint8Array.from(atob(all), (one) => one.charCodeAt(0));
    const parts = Array.from({length: levels.length / size}, (_, at) => levels.subarray(at * size, (at + 1) * size));
    const found = await Promise.all(parts.map((one) => downstroke[name](one)));
    return found.map(({glyph, probabilities, accepted}) => ({glyph: [...glyph], probabilities, accepted}));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> downstroke.Run:
    home = tmp_path_factory.mktemp("runs")
    return downstroke.train(runs_dir=home, data=str(tiny), val_size=200, epochs=2, name="one", progress=False)


@pytest.fixture(scope="module")
def page(browser: Any, run: downstroke.Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The page of a run, on a phone without a network."""
    yield from opened(browser, run, tmp_path_factory.mktemp("page") / "one.html")


@pytest.fixture(scope="module")
def page_of_the_reader(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from opened(browser, "reader", tmp_path_factory.mktemp("page") / "reader.html")


def opened(browser: Any, run: Any, path: Path) -> Iterator[Any]:
    downstroke.export(run, page=path)
    context = browser.new_context(viewport=PHONE, offline=True, device_scale_factor=2)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert complaints == []


def answers(page: Any, name: str, images: Any) -> list[dict[str, Any]]:
    """What the page answers to each of many images of one size."""
    sent = base64.b64encode(np.stack(images).tobytes()).decode()
    found: list[dict[str, Any]] = page.evaluate(READ, {"name": name, "all": sent, "size": images[0].size})
    return found


def draw(page: Any, points: tuple[tuple[float, float], ...]) -> None:
    page.locator("#clear").click()
    box = page.locator("#pad").bounding_box()
    for index, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=6)
        if not index:
            page.mouse.down()
    page.mouse.up()


def drawings(mnist: Dataset) -> list[Any]:
    """Digits as they stand on a pad, uint8 [200,200] black on white: small and large, sharp, thick, dotted."""
    made = []
    for index, side in enumerate((30, 41, 60, 90, 130, 190)):
        ink = cv2.resize(mnist.train.images[4000 + index], (side, side), interpolation=cv2.INTER_CUBIC).astype(float)
        if index % 3 == 0:
            ink = np.clip((ink - 128) * 4 + 128, 0, 255)
        if index % 3 == 1:
            ink = cv2.dilate(ink, np.ones((9, 9)))
        sheet = np.full((200, 200), 255.0)
        start = (200 - side) // 2
        sheet[start : start + side, start : start + side] -= ink
        if index % 2:
            cv2.circle(sheet, (15, 15), 2 + index, 0, -1)
        made.append(np.clip(sheet, 0, 255).astype(np.uint8))
    return made


def test_the_page_reads_200_glyphs_as_torch_does(page: Any, run: downstroke.Run, mnist: Dataset) -> None:
    glyphs = mnist.train.images[3000:3200]
    found = answers(page, "readGlyph", glyphs)
    reader = run.reader()
    y = np.array([one["probabilities"] for one in found])
    assert np.abs(y - reader.probabilities(glyphs)).max() < 1e-4
    assert [one["accepted"] for one in found] == reader.accepts(glyphs).tolist()


@pytest.mark.parametrize(
    ("name", "levels", "said"),
    [
        ("readGlyph", "[1, 2, 3]", "3 levels; expected 784"),
        ("readGlyph", "Array(784).fill(0.5)", "level 0 is 0.5; expected a whole number from 0 to 255"),
        ("readGlyph", "Array(784).fill(0).with(9, 256)", "level 9 is 256; "),
        ("readGlyph", "undefined", "0 levels; expected 784"),
        ("read", "Array(99 * 100).fill(255)", "9900 levels; expected a square of 54 to 213 a side"),
        ("read", "Array(28 * 28).fill(255)", "784 levels; expected a square"),
    ],
)
def test_levels_that_are_none_are_refused(page: Any, name: str, levels: str, said: str) -> None:
    told = page.evaluate(f"downstroke.{name}({levels}).then(() => 'answered', (error) => error.message)")
    assert told.startswith(said)


def test_the_page_makes_the_glyphs_that_python_makes(page: Any, mnist: Dataset) -> None:
    sheets = drawings(mnist)
    found = answers(page, "read", sheets)
    for one, sheet in zip(found, sheets, strict=True):
        assert np.abs(np.array(one["glyph"]) - cut(sheet).glyph.ravel().astype(int)).max() <= 1


def test_the_page_of_the_reader_reads_drawings_as_python_does(page_of_the_reader: Any, mnist: Dataset) -> None:
    halves = [sheet.copy() for sheet in drawings(mnist)[4:]]
    for half in halves:
        half[100:] = 255  # of these the glyph alone and the windows say different things
    sheets = [*drawings(mnist)[1:3], *halves]
    found = answers(page_of_the_reader, "read", sheets)
    for one, sheet in zip(found, sheets, strict=True):
        (digit,) = downstroke.Reader.shipped().read(sheet, digit=True).lines[0].digits
        assert np.abs(np.array(one["probabilities"]) - np.array(digit.probabilities)).max() < 0.005
        assert one["accepted"] == digit.accepted


def test_a_digit_drawn_on_a_phone_is_read_and_a_scribble_is_refused(page_of_the_reader: Any) -> None:
    page = page_of_the_reader
    draw(page, SEVEN)
    sync.expect(page.locator("#digit")).to_have_text("7", timeout=PATIENCE_MS)
    sync.expect(page.locator("#verdict")).to_contain_text("Read as 7")
    (digit,) = downstroke.Reader.shipped().read(sheet_of(page), digit=True).lines[0].digits
    assert (digit.digit, digit.accepted) == (7, True)
    assert page.locator("#bars tr").count() == 10
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.evaluate(
        "[...document.getElementById('glyph').getContext('2d').getImageData(0, 0, 28, 28).data]"
        ".filter((_, at) => at % 4 === 0).some((level) => level > 200)"
    )
    draw(page, NO_DIGIT)
    sync.expect(page.locator("#verdict")).to_contain_text("Refused", timeout=PATIENCE_MS)
    page.locator("#clear").click()
    sync.expect(page.locator("#digit")).to_have_text("–")


def sheet_of(page: Any) -> Any:
    return np.array(page.evaluate("downstroke.drawing()"), np.uint8).reshape(200, 200)


def test_names_cannot_break_out_of_the_page(browser: Any, mnist: Dataset, tmp_path: Path) -> None:
    bad = "</script><b id=out>"
    for name in (bad, "1"):
        (tmp_path / "data" / name.replace("/", "-")).mkdir(parents=True)
    labels = np.isin(mnist.train.labels[:400], (0,)).astype(int)
    names = np.array([bad, "one"])[labels]
    np.savez(tmp_path / "named.npz", x_train=mnist.train.images[:400], y_train=names)
    fields = {"data": str(tmp_path / "named.npz"), "model": "linear", "val_size": 50, "epochs": 1}
    run = downstroke.train("textbook", runs_dir=tmp_path / "runs", progress=False, **fields)
    page = next(opened(browser, run, tmp_path / "named.html"))
    assert page.locator("#bars th").all_inner_texts() == list(run.classes)
    assert page.locator("#out").count() == 0
