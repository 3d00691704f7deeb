"""The studio's page in a real browser: what a person does there, by mouse, by finger and by keyboard."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from matplotlib.figure import Figure
from PIL import Image
from views import SETTLED, SEVEN, VIEWS

import downstroke
from downstroke.data.dataset import Dataset
from downstroke.show import style

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no chromium here, so the studio's page is not tested: apt install chromium", allow_module_level=True)
sync = pytest.importorskip("playwright.sync_api", reason="no playwright, so the studio's page is not tested")
expect = sync.expect

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
ONE = ((0.62, 0.13), (0.62, 0.42))
LONG = 10_000  # epochs: nobody waits for the end of that
PATIENCE_MS = 60_000  # on a machine that has much else to do

# Each plot is as wide as its place, and nothing is left to be drawn.
REDRAWN = """[...document.querySelectorAll(".plot:has(svg)")].every(
    (plot) => Math.abs(plot.querySelector("svg").getBoundingClientRect().width - plot.clientWidth) < 1
)"""

Page = Any  # of playwright, which mypy need not know here


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Any, studio: dict[str, str]) -> Iterator[Any]:
    """open_page(view, **context): a page of its own; at the end nothing may have gone wrong in any console.

    With `refused` a request that is to be refused is not held against it: the browser itself logs it.
    """
    contexts: list[Any] = []
    wrong: list[str] = []

    def opened(view: str, *, refused: bool = False, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: hear(said, refused))
        go(page, studio, view)
        return page

    def hear(said: Any, refused: bool) -> None:
        if said.type in ("error", "warning") and not (refused and re.search("status of 4|ERR_FAILED", said.text)):
            wrong.append(said.text)

    expect.set_options(timeout=PATIENCE_MS)
    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def go(page: Page, studio: dict[str, str], view: str) -> None:
    page.goto(f"{studio['url']}#/{view}")
    page.wait_for_selector(f"main:not([aria-busy]) .view-{view.partition('/')[0]} h1")


def get_run(studio: dict[str, str], name: str) -> Any:
    with urllib.request.urlopen(f"{studio['url']}api/runs/{name}") as answer:
        return json.load(answer)


def state(page: Page, wanted: str) -> None:
    expect(page.locator(".run-head .chip")).to_have_text(wanted)


def button(page: Page, name: str | re.Pattern[str]) -> Any:
    return page.get_by_role("button", name=name, exact=isinstance(name, str))


def train(page: Page, tiny: Path, name: str, epochs: int) -> None:
    """By the form: a small network on few images."""
    page.get_by_text("More fields").click()
    page.get_by_label("data", exact=True).fill(str(tiny))
    page.get_by_label("name", exact=True).fill(name)
    page.get_by_label("model", exact=True).select_option("mlp")
    page.get_by_label("epochs", exact=True).fill(str(epochs))
    button(page, re.compile("^Train [0-9,]+ epochs$")).click()
    expect(page.locator("#run-title")).to_have_text(name)


def steps_drawn(page: Page) -> int:
    """How far the lr curve reaches, which has every step."""
    return int(page.evaluate("document.querySelector('.plot-run')?.drawn?.panels.at(-1).curves[0].x.length ?? 0"))


def wait_until(page: Page, condition: Any) -> None:
    end = time.monotonic() + PATIENCE_MS / 1000
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        page.wait_for_timeout(50)


def draw(page: Page, *strokes: tuple[tuple[float, float], ...]) -> None:
    box = page.locator(".pad").bounding_box()
    for first, *rest in strokes:
        page.mouse.move(box["x"] + first[0] * box["width"], box["y"] + first[1] * box["width"])
        page.mouse.down()
        for x, y in rest:
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["width"], steps=4)
        page.mouse.up()


def reading(page: Page) -> Any:
    return page.get_by_role("group", name="Reading of the pad").get_by_role("button")


def note(mnist: Dataset) -> bytes:
    """A photograph, of a kind: 4, 1 and 9 of MNIST in ink on grey paper."""
    paper = np.full((120, 300), 215, np.uint8)
    for place, index in enumerate((2, 3, 4)):
        glyph = np.kron(mnist.train.images[index], np.ones((2, 2), np.uint8))
        paper[30:86, 30 + 90 * place : 86 + 90 * place] -= (glyph * 0.75).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(paper).save(file, "PNG")
    return file.getvalue()


def test_a_run_is_trained_and_watched_and_a_reload_in_the_middle_shows_where_it_is(open_page: Any, tiny: Path) -> None:
    page = open_page("learn")
    expect(button(page, "Train 3 epochs")).to_be_enabled()
    train(page, tiny, "watched", LONG)
    state(page, "training")
    wait_until(page, lambda: steps_drawn(page) > 0)
    before = steps_drawn(page)
    wait_until(page, lambda: steps_drawn(page) > before)
    page.reload()
    wait_until(page, lambda: steps_drawn(page) > before)
    button(page, "Pause").click()
    state(page, "paused")
    button(page, f"Continue to epoch {LONG}").click()
    state(page, "training")
    button(page, "Stop here").click()
    state(page, "idle")
    expect(page.locator(".advice")).to_contain_text(re.compile("Continue|Stop|Too early"))
    expect(button(page, re.compile("^Continue [0-9]+ more$"))).to_be_enabled()


# Of each panel its name, how many points its curves have, and its ticks from the lowest up, `at` in px from above.
PANELS = """document.querySelector(".plot-run").drawn.panels.map(({ names, curves, axis }) => ({
    name: names[0],
    points: curves.map(({ x }) => x.length),
    ticks: axis.words.map((word) => [...document.querySelectorAll(".plot-run text")].find(
        (text) => text.textContent === word && text.getAttribute("text-anchor") === "end",
    )).filter(Boolean).map((text) => ({ text: text.textContent, at: Number(text.getAttribute("y")) })),
}))"""


def test_smoothed_batch_losses_have_their_own_panel_and_accuracy_several_ticks(open_page: Any) -> None:
    page = open_page("learn/smooth")
    expect(page.locator(".plot-run svg").first).to_be_visible()
    loss, batch, accuracy, lr = page.evaluate(PANELS)
    assert batch["name"].startswith("batch loss")
    assert batch["points"] == lr["points"] == [12]
    assert len(accuracy["ticks"]) >= 2
    assert max(tick["at"] for tick in loss["ticks"]) < min(tick["at"] for tick in accuracy["ticks"])
    heights = [tick["at"] for tick in accuracy["ticks"]]
    assert heights == sorted(heights, reverse=True)
    go(page, {"url": page.url.partition("#")[0]}, "learn/one")
    expect(page.locator("#run-title")).to_have_text("one")
    expect(page.locator(".plot-run svg").first).to_be_visible()
    assert [panel["name"].split()[0].rstrip(",") for panel in page.evaluate(PANELS)] == ["loss", "accuracy", "lr"]


# Found and measured at once: whatever is drawn in between would take the words away that were found.
MIDDLE_OF = """(plot, words) => {
    const box = [...plot.querySelectorAll("text")].find((text) => text.textContent === words)?.getBoundingClientRect();
    return box && (box.left + box.right) / 2;
}"""


def test_the_pointer_is_told_all_curves_of_the_epoch_that_is_near_it(open_page: Any, studio: dict[str, str]) -> None:
    page = open_page("learn/one")
    plot = page.locator(".plot-run")
    expect(plot.locator("svg")).to_be_visible()
    wait_until(page, lambda: plot.evaluate(MIDDLE_OF, "2"))  # the tick of epoch 2
    across, middle = plot.evaluate(MIDDLE_OF, "2"), plot.bounding_box()["y"] + plot.bounding_box()["height"] / 2
    page.mouse.move(across + 5, middle)
    with urllib.request.urlopen(f"{studio['url']}api/runs/one/history") as answer:
        row = json.load(answer)["epochs"][1]
    told = plot.locator(".tip")
    expect(told).to_contain_text(f"epoch 2: val {row['val_loss']:.3f}"[:-1])
    expect(told).to_contain_text(f"epoch 2: val {100 * row['val_accuracy']:.2f}%")
    expect(told.locator("div")).to_have_count(5)
    expect(told).to_contain_text(f"step {row['step']}: lr ")
    page.mouse.move(0, 0)
    expect(told).to_be_hidden()


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.9822, 0.9961], ["98%", "99%", "99.5%", "99.8%"]),
        ([0.9962, 0.9971], ["99.5%", "99.8%", "99.9%"]),
        ([0.98, 1], ["98%", "99%", "99.5%", "100%"]),
        ([0.1], None),
        ([1], None),
        ([0], None),
    ],
)
def test_the_studios_accuracy_axis_is_that_of_the_pictures(
    open_page: Any, values: list[float], ticks: list[str] | None
) -> None:
    page = open_page("read")
    axis = page.evaluate(
        """async (values) => {
            const { at, range, ticks, words } = (await import("/static/lib/axes.js")).accuracyAxis(values);
            return { range, ticks, words, places: values.map(at) };
        }""",
        values,
    )
    drawn = Figure().add_subplot()
    floor = style.scale_accuracy(drawn, values)
    assert [-math.log10(1 - v) for v in drawn.get_ylim()] == pytest.approx(axis["range"], abs=1e-6)
    assert sorted(-math.log10(1 - v) for v in drawn.get_yticks()) == pytest.approx(axis["ticks"], abs=1e-6)
    assert [-math.log10(1 - min(v, floor)) for v in values] == pytest.approx(axis["places"], abs=1e-6)
    assert len(axis["words"]) >= 2
    if ticks:
        assert axis["words"] == ticks


def test_what_cannot_be_trained_is_said_in_one_line_beside_the_form(open_page: Any) -> None:
    page = open_page("learn", refused=True)
    page.get_by_label("lr", exact=True).fill("-1")
    page.get_by_label("epochs", exact=True).press("Enter")
    expect(page.locator("form .problem")).to_contain_text("lr is -1")
    page.get_by_label("lr", exact=True).fill("0.01")
    expect(page.locator(".field.changed")).to_have_count(1)


def test_a_seven_is_drawn_and_read_as_7_and_a_correction_is_kept(open_page: Any, studio: dict[str, str]) -> None:
    page = open_page("read")
    draw(page, SEVEN)
    expect(reading(page)).to_have_text(["7"])
    expect(page.locator(".bars .most th")).to_have_text("7")
    expect(page.locator(".seen canvas")).to_have_attribute("aria-label", "The glyph that was read as 7")
    expect(page.locator(".pad-tools")).to_contain_text(re.compile("read in [0-9]+ ms"))
    draw(page, ONE)
    expect(reading(page)).to_have_text(["7", "1"])
    reading(page).first.click()
    expect(page.locator(".bars .most th")).to_have_text("7")
    button(page, "It is a 1").click()
    expect(page.locator(".kept")).to_contain_text("Kept as a 1: 1 glyph")
    kept = Path(studio["runs"]).parent / "digits" / "1"
    assert len(list(kept.glob("*.png"))) == 1
    button(page, "Clear").click()
    expect(reading(page)).to_have_count(0)
    button(page, "Teach it").click()
    expect(page).to_have_url(re.compile("#/learn/.+"))
    run = Path(studio["runs"]) / page.url.split("/")[-1]
    wait_until(page, (run / "recipe.json").is_file)
    button(page, "Stop here").click()  # also while windows and letters are still drawn, before the first step
    expect(page.locator(".run-card .chip")).to_have_text("idle", timeout=60_000)
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    assert (recipe["start_from"], recipe["data"]) == ("reader", str(kept.parent))


def test_a_finger_draws_without_scrolling_the_page(open_page: Any) -> None:
    page = open_page("read", viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page.locator(".pad").scroll_into_view_if_needed()
    scrolled = page.evaluate("scrollY")
    box = page.locator(".pad").bounding_box()
    touch = page.context.new_cdp_session(page)
    points = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["width"]} for x, y in SEVEN]
    for kind, point in zip(("touchStart", *["touchMove"] * 4), points, strict=True):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(reading(page)).to_have_text(["7"])
    assert page.evaluate("scrollY") == scrolled


def test_a_letter_is_refused_and_looks_it(open_page: Any) -> None:
    page = open_page("read", refused=True)
    draw(page, ((0.3, 0.42), (0.36, 0.12), (0.5, 0.35), (0.64, 0.12), (0.7, 0.42)))  # an M
    expect(page.locator(".reading .refused").or_(page.get_by_text("no digit found")).first).to_be_visible()


def test_a_picture_is_dropped_and_boxes_and_readings_are_drawn_on_it(open_page: Any, mnist: Dataset) -> None:
    page = open_page("read")
    data = page.evaluate_handle(
        """(bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "note.png", {type: "image/png"}));
            return data;
        }""",
        list(note(mnist)),
    )
    page.dispatch_event(".drop", "drop", {"dataTransfer": data})
    expect(page.locator(".page-reading")).to_have_text("419")
    boxes = page.get_by_role("group", name="Digits in the picture").get_by_role("button")
    expect(boxes).to_have_count(3)
    boxes.nth(2).press("Enter")
    expect(page.locator(".bars .most th")).to_have_text("9")
    page.set_input_files("#files", {"name": "no.png", "mimeType": "image/png", "buffer": b"no picture"})
    expect(page.get_by_role("alert").filter(has_text="no.png")).to_be_visible()


def test_two_runs_are_compared_in_curves_fields_and_words(open_page: Any) -> None:
    page = open_page("compare")
    expect(page.get_by_text("Tick two runs or more, to read here")).to_be_visible()
    page.get_by_label("one", exact=True).check()
    page.get_by_label("two", exact=True).check()
    expect(page.locator(".sentences")).to_contain_text(re.compile("chance|both read"))
    expect(page.locator("table.words tbody th")).to_contain_text(["optimizer", "lr", "seed"])
    wait_until(page, lambda: page.evaluate("document.querySelectorAll('.plot-overlay .curve').length") == 4)
    assert page.url.endswith("#/compare/one/two")


def test_of_three_runs_every_pair_is_compared(open_page: Any) -> None:
    page = open_page("compare/one/two/smooth")
    said = page.locator(".sentences > div")
    expect(said).to_have_count(3)
    for sentences, pair in zip(said.all(), (("one", "two"), ("one", "smooth"), ("two", "smooth")), strict=True):
        assert all(name in sentences.inner_text() for name in pair)


def test_the_sealed_test_is_looked_at_and_a_cell_shows_its_digits(open_page: Any, studio: dict[str, str]) -> None:
    page = open_page("examine/two")
    expect(page.locator("main")).to_contain_text("The test set is sealed")
    button(page, "Look at the test set").click()
    expect(page.locator(".headline")).to_have_text(re.compile(r"^\d+\.\d+%$"))
    assert len(json.loads(Path(studio["runs"], "two", "test.json").read_text())["looks"]) == 1
    cell = page.locator(".confusion button").first
    cell.click()
    expect(page.locator(".misread > li")).to_have_count(int(cell.inner_text()))
    page.reload()
    expect(page.locator(".headline")).to_be_visible()
    assert len(json.loads(Path(studio["runs"], "two", "test.json").read_text())["looks"]) == 1


def test_inside_are_filters_sizes_noise_an_image_and_what_a_step_does(open_page: Any) -> None:
    page = open_page("inside/one")
    expect(page.locator(".filters canvas").first).to_be_visible()
    expect(page.get_by_role("region", name="Sizes by layer").locator("tbody tr")).to_have_count(3)
    expect(page.get_by_role("region", name="Noise by batch size").locator("tbody tr").first).to_be_visible()
    told = page.locator("#slider + .verdict")
    expect(told).to_contain_text("At lr")
    before = told.inner_text()
    page.locator("#slider").press("End")
    expect(told).not_to_have_text(before)
    first = int(page.get_by_label("Index of the val image").input_value())
    certain = page.locator(".image-row .most td").last.inner_text()
    assert float(certain.rstrip("%")) < 60, "it opens on an image that W is uncertain of"
    button(page, "The next image").click()
    seen = page.locator(".image-row canvas")
    expect(seen).to_have_attribute("aria-label", re.compile(f"^Val image {first + 1}, a "))


def tab_to(page: Page, wanted: Any) -> None:
    """By the Tab key alone."""
    for _ in range(120):
        if wanted.evaluate("(element) => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{wanted} is not reached by Tab")


def test_all_of_it_goes_by_keyboard(open_page: Any, studio: dict[str, str]) -> None:
    page = open_page("learn/one")
    more = button(page, re.compile("^Continue [0-9]+ more$"))
    advised = get_run(studio, "one")["advice"]["command"].split("--epochs ")[1]
    expect(more).to_have_text(f"Continue {advised} more")
    epochs = 3 + int(advised)
    tab_to(page, more)
    page.keyboard.press("Enter")
    expect(page.locator(".figures dd").first).to_have_text(f"{epochs} of {epochs}")
    state(page, "idle")
    tab_to(page, page.get_by_text("The curves as a table"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="The epochs of this run").locator("tbody tr")).to_have_count(epochs)
    tab_to(page, page.get_by_label("epochs", exact=True))
    page.keyboard.type("5")
    expect(button(page, "Train 5 epochs")).to_be_visible()

    tab_to_view(page, "Compare")
    tab_to(page, page.get_by_label("one", exact=True))
    page.keyboard.press("Space")
    tab_to(page, page.get_by_label("two", exact=True))
    page.keyboard.press("Space")
    expect(page.locator(".sentences")).to_contain_text(re.compile("chance|both read"))

    tab_to_view(page, "Look inside")
    expect(page.locator("#slider")).to_be_enabled()
    tab_to(page, page.locator("#slider"))
    page.keyboard.press("ArrowRight")
    expect(page.locator("#slider")).to_have_attribute("aria-valuetext", re.compile("^lr "))

    go(page, studio, "examine/one")
    tab_to(page, button(page, "Look at the test set"))
    page.keyboard.press("Enter")
    expect(page.locator(".headline")).to_be_visible()

    tab_to_view(page, "Draw and read")
    tab_to(page, page.locator(".pad"))
    for keys in ("Space", *["Shift+ArrowRight"] * 3, *["Shift+ArrowDown"] * 6, "Space"):
        page.keyboard.press(keys)
    expect(reading(page)).to_have_text(["7"])
    tab_to(page, page.locator("#files"))


def tab_to_view(page: Page, name: str) -> None:
    tab_to(page, page.get_by_role("link", name=name, exact=True))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def test_each_view_is_accessible_in_light_and_dark_and_fits_a_narrow_telephone(
    open_page: Any, studio: dict[str, str]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    # axe writes styles into the page, which the page's own policy forbids.
    page = open_page("learn/one", color_scheme="light", reduced_motion="reduce", bypass_csp=True)
    found, wide = [], []
    for view in VIEWS:
        go(page, studio, view)
        for there in SETTLED.get(view, []):
            expect(page.locator(there).first).to_be_visible()
        if view == "read":
            draw(page, SEVEN)
            expect(reading(page)).to_have_text(["7"])
        faults = axe.run(page).response["violations"]
        page.emulate_media(color_scheme="dark")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        faults += axe.run(page, options={"runOnly": ["color-contrast"]}).response["violations"]  # the rest is the same
        page.emulate_media(color_scheme="light")
        for fault in faults:
            if fault["impact"] in ("serious", "critical"):
                found.append((view, fault["help"], [node["html"][:160] for node in fault["nodes"][:3]]))
        page.set_viewport_size({"width": 360, "height": 740})
        if page.evaluate("document.documentElement.scrollWidth") > 360:
            wide.append(view)
        page.set_viewport_size({"width": 1280, "height": 900})
    assert found == []
    assert wide == []


def scaled_font(share: float) -> str:
    """CSS that writes everything in a font whose letters are `share` times as wide, whatever is installed."""
    font = TTFont(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
    metrics = font["hmtx"].metrics
    font["hmtx"].metrics = {name: (round(share * wide), round(share * left)) for name, (wide, left) in metrics.items()}
    for table in ("GPOS", "GSUB", "GDEF", "kern", "fpgm", "prep", "cvt "):
        if table in font:
            del font[table]
    file = io.BytesIO()
    font.save(file)
    source = f"data:font/ttf;base64,{base64.b64encode(file.getvalue()).decode()}"
    return (
        f"@font-face {{ font-family: scaled; src: url({source}); }}"
        "*, *::before, *::after { font-family: scaled !important; }"
    )


# Text that leaves its box, or the picture that it belongs to; what scrolls or ends in an ellipsis may be longer.
SPILLED = """() => {
    const spilled = [];
    const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (words.nextNode()) {
        const node = words.currentNode;
        const parent = node.parentElement;
        if (!node.data.trim() || !parent.checkVisibility({visibilityProperty: true})) continue;
        if (parent.closest(".unseen, .skip, select")) continue;
        let box = parent.closest(".plot") ?? parent;
        while (/^(inline|contents)$/.test(getComputedStyle(box).display)) box = box.parentElement;
        if (getComputedStyle(box).textOverflow === "ellipsis") continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        const text = range.getBoundingClientRect();
        const room = box.getBoundingClientRect();
        if (text.left < room.left - 1.5 || text.right > room.right + 1.5)
            spilled.push(`${node.data.trim()} (${Math.round(text.width)} px in ${Math.round(room.width)})`);
    }
    return spilled;
}"""


@pytest.mark.parametrize(
    ("letters", "text", "widths"),
    [
        pytest.param(0.75, 16, (360, 1280), id="narrow font"),
        pytest.param(1.35, 16, (360, 800, 1280), id="very wide font"),
        pytest.param(1.0, 32, (360, 720, 1280), id="text at 200%"),
        pytest.param(1.35, 32, (720,), id="very wide font at 200%"),
    ],
)
def test_no_layout_hangs_on_a_font(
    open_page: Any, studio: dict[str, str], letters: float, text: int, widths: tuple[int, ...]
) -> None:
    downstroke.Run.open("one", studio["runs"]).test()  # *Examine* then has its tables
    page = open_page("learn/one", bypass_csp=True, reduced_motion="reduce")
    page.add_style_tag(content=scaled_font(letters) + f"html {{ font-size: {text}px !important; }}")
    faults = []
    for view in VIEWS:
        go(page, studio, view)
        for there in SETTLED.get(view, []):
            expect(page.locator(there).first).to_be_visible()
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("document.fonts.ready")
            wait_until(page, lambda: page.evaluate(REDRAWN))
            needed = page.evaluate("document.documentElement.scrollWidth")
            if needed > width:
                faults.append((view, width, f"needs {needed} px"))
            for _ in range(100):  # a plot draws its ticks, then makes room for them
                if not (spilled := page.evaluate(SPILLED)):
                    break
                page.wait_for_timeout(50)
            faults += [(view, width, said) for said in spilled]
    assert not faults, "\n".join(map(str, faults))


def test_the_theme_is_switched_and_kept(open_page: Any) -> None:
    page = open_page("read", color_scheme="light")
    button(page, "Dark theme").click()
    page.reload()
    expect(button(page, "Dark theme")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 21, 26)"


def test_a_studio_without_runs_says_what_to_do_and_one_that_is_gone_is_said_to_be(
    open_page: Any, studio: dict[str, str]
) -> None:
    page = open_page("read", refused=True)
    none = {"runs": [], "queue": {"running": [], "waiting": []}, "read_only": True, "version": "0"}
    page.route("**/api/runs", lambda route: route.fulfill(json=none))
    for view, told in (("learn", "Nothing has been trained"), ("compare", "no run yet"), ("examine", "no run yet")):
        go(page, studio, view)
        expect(page.locator("main")).to_contain_text(told)
    go(page, studio, "learn")
    expect(page.locator("main")).to_contain_text("reads only")
    page.route("**/api/runs", lambda route: route.abort())
    expect(page.locator("#banner")).to_contain_text("does not answer")
