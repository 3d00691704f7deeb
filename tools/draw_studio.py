"""Take pictures of the studio in all its states, for people to look at: five views, three widths, light and dark.

python tools/draw_studio.py OUT RUNS --names ONE TWO ... LAST     two runs or more of the folder RUNS; PNGs go to OUT
python tools/draw_studio.py ... --keep     also writes docs/pictures/studio-learn.png and studio-read.png

While it draws, a run `while-drawn` is trained in RUNS; a look at the test set is taken with ONE.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from downstroke.data import sources

WIDTHS = (1440, 768, 390)
THEMES = ("light", "dark")
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
STROKES = (
    ((0.12, 0.13), (0.24, 0.12), (0.21, 0.22), (0.17, 0.31), (0.15, 0.38)),
    ((0.42, 0.11), (0.36, 0.2), (0.34, 0.3), (0.39, 0.37), (0.45, 0.32), (0.42, 0.26), (0.35, 0.29)),
    ((0.58, 0.17), (0.63, 0.12), (0.69, 0.17), (0.65, 0.26), (0.57, 0.36), (0.7, 0.36)),
)
SCRIBBLE = tuple((0.2 + 0.05 * i, 0.1 if i % 2 else 0.4) for i in range(13))


@contextmanager
def studio(runs: Path, *flags: str) -> Iterator[str]:
    """The address of a studio of these runs."""
    command = [sys.executable, "-m", "downstroke", "studio", "--no-browser", "--json", "--runs-dir", str(runs), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = ""
        while not said.rstrip().endswith("}"):
            said += server.stdout.readline()
        try:
            yield json.loads(said)["url"]
        finally:
            server.terminate()


@contextmanager
def training(runs: Path) -> Iterator[str]:
    """The name of a run that is being trained meanwhile, and then deleted."""
    name = "while-drawn"
    command = [sys.executable, "-m", "downstroke", "train", "--epochs", "20", "--name", name, "--runs-dir", str(runs)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            yield name
        finally:
            child.kill()
            child.wait()
            shutil.rmtree(runs / name, ignore_errors=True)


def note() -> bytes:
    """A page of two lines in MNIST's hands, on paper that the light falls on from the left."""
    train = sources.load("mnist").train
    paper = np.full((330, 640), 226.0) - np.linspace(0, 46, 640)
    for row, line in enumerate(((7, 0, 13, 4, 8, 15), (2, 3, 18, 9, 10))):
        for place, index in enumerate(line):
            glyph = np.asarray(Image.fromarray(train.images[index]).resize((84, 84), Image.Resampling.BICUBIC))
            top, left = 50 + 130 * row + 7 * (place % 3), 40 + 94 * place
            paper[top : top + 84, left : left + 84] -= glyph * 0.62
    file = io.BytesIO()
    noise = np.random.default_rng(0).normal(0, 3, paper.shape)
    Image.fromarray(np.clip(paper + noise, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def draw(page: Page, *strokes: tuple[tuple[float, float], ...]) -> None:
    box = page.locator(".pad").bounding_box()
    assert box is not None
    for first, *rest in strokes:
        page.mouse.move(box["x"] + first[0] * box["width"], box["y"] + first[1] * box["width"])
        page.mouse.down()
        for x, y in rest:
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["width"], steps=5)
        page.mouse.up()


def steps(page: Page) -> None:
    drawn = "document.querySelector('.plot-run')?.drawn?.panels[0].curves[0].x.length > 10"
    for _ in range(240):  # wait_for_function would evaluate a string in the page, which its CSP forbids
        if page.evaluate(drawn):
            break
        page.wait_for_timeout(500)
    page.wait_for_timeout(1500)


def examine(page: Page) -> None:
    look = page.get_by_role("button", name="Look at the test set")
    if look.count():
        look.click()
    page.locator(".headline").wait_for(timeout=60_000)


def confusion_cell(page: Page) -> None:
    examine(page)
    page.locator(".confusion button").nth(3).click()


def inside(page: Page) -> None:
    page.locator(".filters canvas, .filters li").first.wait_for(timeout=60_000)
    page.locator("#slider:enabled").wait_for(timeout=60_000)
    page.wait_for_timeout(1500)


def pad(page: Page) -> None:
    draw(page, *STROKES)
    page.locator(".reading button").nth(2).wait_for()
    page.wait_for_timeout(1500)


def refused(page: Page) -> None:
    draw(page, SCRIBBLE, tuple((x, 0.5 - y) for x, y in SCRIBBLE))
    page.locator(".reading button").first.wait_for()
    page.wait_for_timeout(1500)


def picture(page: Page) -> None:
    page.set_input_files("#files", {"name": "note.png", "mimeType": "image/png", "buffer": note()})
    page.locator(".box").first.wait_for()
    page.locator(".box").nth(4).press("Enter")


def pad_and_picture(page: Page) -> None:
    pad(page)
    page.set_input_files("#files", {"name": "note.png", "mimeType": "image/png", "buffer": note()})
    page.locator(".box").first.wait_for()


def compare(page: Page) -> None:
    page.locator(".sentences p:not(.muted)").first.wait_for(timeout=60_000)
    page.wait_for_timeout(800)


def curves(page: Page) -> None:
    page.wait_for_timeout(1800)


def shots(names: list[str]) -> dict[str, tuple[str, Any]]:
    """What is shown: name -> (view, what to do there)."""
    first, second = names[:2]
    return {
        "learn": (f"learn/{first}", curves),
        "overfitting": (f"learn/{names[-1]}", curves),
        "compare": (f"compare/{'/'.join(names[:3])}", compare),
        "inside": (f"inside/{first}", inside),
        "examine-sealed": (f"examine/{second}", curves),
        "examine": (f"examine/{first}", examine),
        "examine-cell": (f"examine/{first}", confusion_cell),
        "read": ("read", pad),
        "read-refused": ("read", refused),
        "read-picture": ("read", picture),
        "read-both": ("read", pad_and_picture),
        "unknown-run": ("examine/nobody", curves),
    }


EMPTY = {
    "empty-learn": ("learn", curves),
    "empty-compare": ("compare", curves),
    "empty-inside": ("inside", curves),
}


def take(browser: Browser, url: str, out: Path, wanted: dict[str, tuple[str, Any]], widths: tuple[int, ...]) -> None:
    for theme in THEMES:
        for width in widths:
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
            page = context.new_page()
            for name, (view, act) in wanted.items():
                page.goto("about:blank")
                page.goto(f"{url}#/{view}")
                page.locator("main:not([aria-busy]) h1").wait_for(timeout=60_000)
                act(page)
                page.screenshot(path=out / f"{name}-{theme}-{width}.png", full_page=True)
                wide = page.evaluate("document.documentElement.scrollWidth")
                print(f"{name} {theme} {width}" + (f": {wide} px WIDE" if wide > width else ""), file=sys.stderr)
            context.close()


def keep(out: Path) -> None:
    """The two of the README, in 256 colours: a third of the bytes, and nothing that one sees."""
    for name, kept, height in (
        ("overfitting-light-1440", "studio-learn", 1140),
        ("read-both-dark-1440", "studio-read", 1640),
    ):
        image = Image.open(out / f"{name}.png").convert("RGB").crop((0, 0, 1440, height))
        image = image.quantize(256, dither=Image.Dither.NONE)
        image.save(PICTURES / f"{kept}.png", optimize=True)
        print(PICTURES / f"{kept}.png", (PICTURES / f"{kept}.png").stat().st_size, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--names", nargs="+", required=True, help="Runs to show, the one that overfits last.")
    parser.add_argument("--widths", nargs="+", type=int, default=list(WIDTHS))
    parser.add_argument("--only", nargs="+", help="Names of pictures.")
    parser.add_argument("--keep", action="store_true", help="Write the README's two as well.")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)

    def asked(shown: dict[str, Any]) -> dict[str, Any]:
        return {name: one for name, one in shown.items() if not given.only or name in given.only}

    widths = tuple(given.widths)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        with studio(given.runs) as url:
            take(browser, url, given.out, asked(shots(given.names)), widths)
            if asked({"training": None}):
                with training(given.runs) as name:
                    take(browser, url, given.out, {"training": (f"learn/{name}", steps)}, widths)
        with tempfile.TemporaryDirectory() as nothing, studio(Path(nothing) / "runs", "--read-only") as url:
            take(browser, url, given.out, asked(EMPTY), widths)
        browser.close()
    if given.keep:
        keep(given.out)


if __name__ == "__main__":
    main()
