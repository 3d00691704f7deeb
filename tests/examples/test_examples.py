"""examples/: each runs as its first lines say, on little data."""

from __future__ import annotations

import csv
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from downstroke.data.dataset import Dataset

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE_S = 120


def run(folder: Path, name: str, *arguments: object) -> list[str]:
    """What an example prints, line by line."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def page(images: np.ndarray) -> Image.Image:
    """Digits in a row, black on white, each 56 pixels high."""
    paper = np.full((120, 70 * len(images) + 40), 255, np.uint8)
    for index, image in enumerate(images):
        large = np.asarray(Image.fromarray(255 - image).resize((56, 56)))
        paper[32:88, 20 + 70 * index : 76 + 70 * index] = large
    return Image.fromarray(paper)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["five_lines.py", "bare_torch.py"])
def test_the_five_lines_learn(name: str, tmp_path: Path) -> None:
    *epochs, last = run(tmp_path, name, 2000)
    assert len(epochs) == 3
    assert float(last.split("%")[0]) > 80


@pytest.mark.slow
def test_a_model_of_ones_own_is_trained(tmp_path: Path) -> None:
    told = [run(tmp_path, "own_model.py", 500) for _ in range(2)]  # also again, beside the first run
    assert [bool(re.match(r"[a-z]+-[a-z]+: val accuracy ", line)) for (line,) in told] == [True, True]


@pytest.mark.slow
def test_own_pictures_become_a_reader_of_their_classes(tmp_path: Path, mnist: Dataset) -> None:
    for name, digit in (("one", 1), ("zero", 0)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in np.flatnonzero(mnist.train.labels == digit)[:60]:
            Image.fromarray(mnist.train.images[index]).save(tmp_path / "pictures" / name / f"{index}.png")
    new = mnist.test.images[np.flatnonzero(mnist.test.labels == 0)[0]]
    Image.fromarray(new).save(tmp_path / "new.png")
    classes, told = run(tmp_path, "own_pictures.py", "pictures", "new.png")
    assert classes.startswith("2 classes: one, zero; ")
    assert told == "new.png is a zero"


@pytest.mark.slow
def test_training_goes_on_until_the_advice_is_to_stop_or_the_most_epochs(tmp_path: Path) -> None:
    first, then, best = run(tmp_path, "until_done.py", 1000, 4)
    assert first.startswith("after two epochs: Too early")
    assert then.startswith("after 6 epochs")
    assert best.startswith("the best is epoch ")


def test_advice_on_a_keras_log(tmp_path: Path) -> None:
    rows = [f"{epoch},{0.5 * 0.6**epoch},{0.3 + 0.02 * abs(epoch - 5)}" for epoch in range(20)]
    (tmp_path / "training.csv").write_text("\n".join(["epoch,loss,val_loss", *rows]) + "\n")
    told, what = run(tmp_path, "keras_log.py", "training.csv")
    assert told.startswith("overfitting: ")
    assert what == "stop"


def test_a_stack_of_forms_becomes_a_table(tmp_path: Path, mnist: Dataset) -> None:
    (tmp_path / "forms").mkdir()
    for form in range(2):
        page(mnist.test.images[4 * form : 4 * form + 4]).save(tmp_path / "forms" / f"{form}.png")
    run(tmp_path, "forms_to_csv.py", "forms", "table.csv", "first=10,10,150,100", "second=150,10,150,100")
    with (tmp_path / "table.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["form", "first", "second", "to check"]
    assert [row[0] for row in rows] == [os.path.join("forms", name) for name in ("0.png", "1.png")]
    assert [cell.replace(" ", "") for cell in rows[0][1:3]] == ["72", "10"]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_form_that_cannot_be_opened_is_a_row_to_check_under_the_same_columns(tmp_path: Path, mnist: Dataset) -> None:
    (tmp_path / "forms").mkdir()
    page(mnist.test.images[:4]).save(tmp_path / "forms" / "0.png")
    (tmp_path / "forms" / "1.png").write_text("no picture")
    page(mnist.test.images[:1]).save(tmp_path / "forms" / "2.png")  # too small for the second box
    run(tmp_path, "forms_to_csv.py", "forms", "table.csv", "first=10,10,80,100", "second=150,10,150,100")
    with (tmp_path / "table.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert [len(row) for row in rows] == [len(head)] * 3
    assert rows[1][1:] == ["", "", "first second"]
    assert (rows[2][1], rows[2][2:]) == ("7", ["", "second"])


@pytest.mark.parametrize("name", ["forms_to_csv.py", "keras_log.py", "own_pictures.py"])
def test_an_example_that_is_given_too_little_says_how_it_is_called(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"python examples/{name} " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_can_be_run_again(path: Path) -> None:
    named = re.search(r"train\([^)]*\bname=", path.read_text(encoding="utf-8"))
    assert named is None, "a run of that name would be there already"


@contextmanager
def started(command: list[str], port: int, cwd: Path, **variables: str) -> Iterator[None]:
    """A server, until the block ends; the block begins when it listens."""
    with (cwd / "server.log").open("a") as log:
        server = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log, env={**os.environ, **variables})
    try:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                told = (cwd / "server.log").read_text()
                assert server.poll() is None, told
                assert time.monotonic() < end, told
                time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait(PATIENCE_S)


@contextmanager
def app(name: str, cwd: Path) -> Iterator[str]:
    pytest.importorskip("fastapi")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", str(port), f"{name}:app"]
    with started(command, port, cwd):
        yield f"http://127.0.0.1:{port}"


def sent(
    url: str, field: str, picture: bytes, context: ssl.SSLContext | None = None, **headers: str
) -> tuple[int, str]:
    """The status and the answer of a form with one file."""
    body = f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="a.png"\r\n\r\n'.encode()
    body += picture + b"\r\n--b--\r\n"
    told = {"Content-Type": "multipart/form-data; boundary=b", **headers}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, told), context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.slow
def test_an_app_of_ones_own_reads_and_refuses_in_a_line(tmp_path: Path, mnist: Dataset) -> None:
    page(mnist.test.images[:3]).save(tmp_path / "page.png")
    with app("fastapi_app", tmp_path) as url:
        status, answer = sent(f"{url}/read", "picture", (tmp_path / "page.png").read_bytes())
        assert (status, "721" in answer.replace(" ", "")) == (200, True), answer
        status, answer = sent(f"{url}/read", "picture", b"no picture")
        assert status == 422
        assert "\\n" not in answer


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here")
def test_a_digit_drawn_on_the_page_is_read(tmp_path: Path) -> None:
    browsers = pytest.importorskip("playwright.sync_api")
    with app("drawing_page", tmp_path) as url, browsers.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_page()
        view.goto(url)
        corner = view.locator("canvas").bounding_box()
        view.mouse.move(corner["x"] + 100, corner["y"] + 40)
        view.mouse.down()
        for x, y in ((180, 42), (150, 120), (130, 200)):  # a seven
            view.mouse.move(corner["x"] + x, corner["y"] + y, steps=8)
        view.mouse.up()
        browsers.expect(view.locator("output")).to_contain_text("7", timeout=1000 * PATIENCE_S)
        browser.close()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("caddy") is None, reason="no caddy here: apt-get install caddy")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_the_studio_reads_behind_caddy_with_tls_and_other_sites_are_kept_out(tmp_path: Path, mnist: Dataset) -> None:
    certificate = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(
        [*certificate.split(), "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True
    )
    page(mnist.test.images[:3]).save(tmp_path / "page.png")
    picture = (tmp_path / "page.png").read_bytes()
    inner, outer = free_port(), free_port()
    site = f"https://localhost:{outer}"
    studio = [sys.executable, "-m", "downstroke", "studio", "--read-only", "--no-browser", "--port", str(inner)]
    caddy = ["caddy", "run", "--config", str(EXAMPLES / "behind_a_proxy" / "Caddyfile"), "--adapter", "caddyfile"]
    keys = {"CERTIFICATE": str(tmp_path / "cert.pem"), "KEY": str(tmp_path / "key.pem")}
    homes = {name: str(tmp_path) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with (
        started(studio, inner, tmp_path),
        started(caddy, outer, tmp_path, SITE=site, PORT=str(inner), **keys, **homes),
    ):
        with urllib.request.urlopen(site, context=trusted) as answer:
            assert b"<title>" in answer.read()
        status, answer = sent(f"{site}/api/read", "files", picture, trusted, Origin=site)
        assert (status, "721" in answer.replace(" ", "")) == (200, True), answer
        assert sent(f"{site}/api/read", "files", picture, trusted, Origin="https://evil.example")[0] == 403
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(site, context=ssl.create_default_context())
