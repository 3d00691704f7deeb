"""The studio's page in WebKit, the engine of Safari: each view is there, and a digit that is drawn is read."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from views import SETTLED, SEVEN, VIEWS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:setting remote_server_addr:DeprecationWarning"),  # selenium's own call
]
DRIVER, DISPLAY = shutil.which("WebKitWebDriver"), shutil.which("Xvfb")
BROWSER = next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"), None)
if not (DRIVER and DISPLAY and BROWSER):
    pytest.skip("no WebKit here: apt install webkit2gtk-driver xvfb", allow_module_level=True)
webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium, so WebKit is not tested")
service = pytest.importorskip("selenium.webdriver.webkitgtk.service")
waiting = pytest.importorskip("selenium.webdriver.support.wait")

SIZES = ((1280, 900), (360, 740))  # the narrowest that its window becomes is some 450 pixels
PATIENCE_S = 60
LISTEN = """if (window.wrong) return;
window.wrong = [];
addEventListener("error", (event) => wrong.push(event.message));
addEventListener("unhandledrejection", (event) => wrong.push(String(event.reason)));
for (const name of ["error", "warn"]) console[name] = (...said) => wrong.push(said.join(" "));"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """WebKit on a display of its own."""
    read, write = os.pipe()
    command = [str(DISPLAY), "-displayfd", str(write), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as display:
        try:
            os.close(write)
            with os.fdopen(read) as said:
                environment = {**os.environ, "DISPLAY": f":{said.readline().strip()}"}
            options = webdriver.WebKitGTKOptions()
            options.set_capability("webkitgtk:browserOptions", {"binary": str(BROWSER), "args": ["--automation"]})
            opened = webdriver.WebKitGTK(options=options, service=service.Service(DRIVER, env=environment))
            yield opened
            opened.quit()
        finally:
            display.terminate()


def go(browser: Any, url: str, view: str) -> None:
    """To a view, in the page that is there: what goes wrong while it is built is heard, but for the very first."""
    browser.get(f"{url}#/{view}")
    browser.execute_script(LISTEN)
    there = f"main:not([aria-busy]) .view-{view.partition('/')[0]} h1"
    wait(browser, lambda: browser.find_elements("css selector", there))


def wait(browser: Any, condition: Any) -> None:
    waiting.WebDriverWait(browser, PATIENCE_S).until(lambda _: condition())


@pytest.mark.parametrize("size", SIZES)
def test_each_view_is_there_without_an_error_and_does_not_scroll_sideways(
    browser: Any, studio: dict[str, str], size: tuple[int, int]
) -> None:
    browser.set_window_size(*size)
    go(browser, studio["url"], "read")
    for view in VIEWS:
        go(browser, studio["url"], view)
        for there in SETTLED.get(view, []):
            wait(browser, lambda there=there: browser.find_elements("css selector", there))
        assert browser.execute_script("return document.documentElement.scrollWidth - innerWidth") == 0, view
        assert browser.execute_script("return wrong") == [], view


def test_a_seven_is_drawn_and_read_as_7(browser: Any, studio: dict[str, str]) -> None:
    browser.set_window_size(*SIZES[0])
    go(browser, studio["url"], "read")
    pad = browser.find_element("css selector", ".pad")
    width, height = pad.size["width"], pad.size["height"]
    pen = webdriver.ActionChains(browser, duration=50)
    for index, (x, y) in enumerate(SEVEN):
        pen.move_to_element_with_offset(pad, round((x - 0.5) * width), round(y * width - height / 2))
        if not index:
            pen.click_and_hold()
    pen.release().perform()
    read = '[aria-label="Reading of the pad"] button'
    wait(browser, lambda: [one.text for one in browser.find_elements("css selector", read)] == ["7"])
    assert browser.execute_script("return wrong") == []
