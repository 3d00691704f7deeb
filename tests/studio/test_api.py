"""The studio's API: training in child processes that nothing kills by accident, reading, and who may ask what."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import uvicorn
from click.testing import CliRunner
from PIL import Image

import downstroke
from downstroke.cli import main
from downstroke.data import sources
from downstroke.data.dataset import Dataset
from downstroke.runs import files
from downstroke.studio import app_state, follow, guard, uploads, uvicorn_server
from downstroke.studio.app import create_app
from downstroke.studio.guard import Settings
from downstroke.studio.jobs import Jobs
from downstroke.studio.reading import Readers
from downstroke.studio.uploads import Picture, Wanted
from downstroke.studio.uvicorn_server import config_of

TOKEN = {"Authorization": "Bearer secret"}
SMALL = {"base": "textbook", "model": "mlp", "batch_size": 64, "val_size": 50, "lr": 0.02}
LONG = 5000  # epochs: far more than a test waits for


@contextmanager
def serving(runs_dir: Path, **settings: Any) -> Iterator[httpx2.Client]:
    """A client of a real server, in a thread of this process."""
    with Jobs(runs_dir, read_only=settings.get("read_only", False)) as jobs, socket.socket() as listening:
        app = create_app(Settings(runs_dir, token="secret", **settings), jobs)
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(config_of(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=60) as client:
                wait_for(lambda: server.started, "the server")
                yield client
        finally:
            server.should_exit = True
            thread.join()


def wait_for(true: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    for _ in range(int(seconds / 0.05)):
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s for {what}")


def state(client: httpx2.Client, name: str) -> str:
    found: str = client.get(f"/api/runs/{name}").json()["state"]
    return found


def wait_for_steps(client: httpx2.Client, name: str, more_than: int = 0) -> None:
    def stepped() -> bool:
        progress = client.get(f"/api/runs/{name}").json()["progress"]
        return bool(progress) and progress["step"] > more_than

    wait_for(stepped, f"steps of {name}")


def train(client: httpx2.Client, tiny: Path, name: str, epochs: int) -> dict[str, Any]:
    body = {"recipe": SMALL, "epochs": epochs, "name": name, "data": str(tiny)}
    answer = client.post("/api/runs", json=body, headers=TOKEN)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture(scope="module")
def home(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with two trained runs, `one` and `other`."""
    home = tmp_path_factory.mktemp("studio") / "runs"
    recipe = downstroke.RECIPES["textbook"].replace(**{k: v for k, v in SMALL.items() if k != "base"}, data=str(tiny))
    for name, seed in (("one", 0), ("other", 1)):
        downstroke.train(recipe, runs_dir=home, name=name, seed=seed, epochs=4)
    return home


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[httpx2.Client]:
    with serving(home) as client:
        yield client


def png(image: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


# Who may ask


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", ""),
        *("127.0.0.1:evil", "127.0.0.1:80:evil.example", "localhost:99999", "localhost:", "[127.0.0.1]:80", "[::1"),
        *("::1", "[::1]evil.example", "evil@localhost", "localhost, evil.example", "localhost/"),
    ],
)
def test_a_name_that_was_made_to_point_here_is_refused(client: httpx2.Client, host: str) -> None:
    for path in ("/", "/api/runs", "/healthz"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 403
        assert "secret" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:80", "LOCALHOST", "[::1]:8000"])
def test_names_of_this_machine_are_served(client: httpx2.Client, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).json()["status"] == "ok"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_pages_of_other_sites_are_refused(client: httpx2.Client, headers: dict[str, str]) -> None:
    images = {"images": [[[0] * 28] * 28]}
    assert client.post("/api/read", json=images, headers=headers).status_code == 403
    assert client.post("/api/runs/one/test", headers={**headers, **TOKEN}).status_code == 403
    assert client.get("/api/runs", headers=headers).status_code == 403


SITE = "https://pages.example"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A client of a server without runs that pages of SITE may ask."""
    with serving(tmp_path_factory.mktemp("shared"), origins=(SITE, "http://localhost:3000")) as client:
        yield client


@pytest.mark.parametrize("site", [SITE, "http://localhost:3000"])
def test_a_page_of_an_allowed_origin_may_ask_and_read_the_answer(shared: httpx2.Client, site: str) -> None:
    from_there = {"Origin": site, "Sec-Fetch-Site": "cross-site"}
    images = {"images": [[[0] * 28] * 28]}
    for answer in (
        shared.get("/api/runs", headers=from_there),
        shared.get("/healthz", headers=from_there),
        shared.post("/api/read", json=images, headers=from_there),
        shared.post("/api/runs/one/pause", headers={**from_there, **TOKEN}),
        shared.post("/api/runs/one/pause", headers=from_there),  # refused, and the page may read why
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == site
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
    assert shared.post("/api/read", json=images, headers=from_there).status_code == 200
    assert shared.post("/api/runs/one/pause", headers=from_there).status_code == 401


@pytest.mark.parametrize("off_loopback", [False, True])
def test_a_preflight_of_an_allowed_origin_is_answered_without_the_token(tmp_path: Path, off_loopback: bool) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    more = {"host": "0.0.0.0"} if off_loopback else {}
    with serving(tmp_path, origins=(SITE,), **more) as client:
        answer = client.options("/api/runs", headers={"Origin": SITE, "Sec-Fetch-Site": "cross-site", **asks})
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == SITE
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert {"Authorization", "Content-Type"} <= set(answer.headers["Access-Control-Allow-Headers"].split(", "))
        assert "Access-Control-Allow-Private-Network" not in answer.headers
        private = {"Origin": SITE, "Access-Control-Request-Private-Network": "true", **asks}
        answer = client.options("/api/runs", headers=private)
        assert answer.headers["Access-Control-Allow-Private-Network"] == "true"
        foreign = client.options("/api/runs", headers={"Origin": "https://evil.example", **asks})
        assert (foreign.status_code, "Access-Control-Allow-Origin" in foreign.headers) == (403, False)
        if off_loopback:
            assert client.get("/api/runs", headers={"Origin": SITE}).status_code == 401


@pytest.mark.parametrize(
    "origin", ["http://pages.example", "https://pages.example:444", "https://x.pages.example", "https://pages.example/"]
)
def test_an_origin_that_is_only_like_an_allowed_one_is_refused(shared: httpx2.Client, origin: str) -> None:
    answer = shared.get("/api/runs", headers={"Origin": origin})
    assert (answer.status_code, "Access-Control-Allow-Origin" in answer.headers) == (403, False)


def test_the_page_that_holds_the_token_is_closed_to_an_allowed_origin(shared: httpx2.Client) -> None:
    answer = shared.get("/", headers={"Origin": SITE, "Sec-Fetch-Site": "cross-site"})
    assert "Access-Control-Allow-Origin" not in answer.headers  # so the browser gives it to no page there
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_without_an_allowed_origin_nothing_is_shared(client: httpx2.Client) -> None:
    for headers in ({}, {"Origin": SITE}):
        answer = client.get("/healthz", headers=headers)
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("typed", "origin"),
    [
        ("https://Pages.Example/", "https://pages.example"),
        ("https://pages.example:443", "https://pages.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_an_origin_is_taken_as_browsers_write_it(typed: str, origin: str) -> None:
    assert guard.origin_of(typed) == origin


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "null", "", "https://*.example", "pages.example", "https://pages.example/app", "ftp://a"),
        *("https://u@a.b", "https://a:b", "http://[::1", "https://a?b"),
    ],
)
def test_an_allowed_origin_that_is_none_or_a_wildcard_is_refused_in_one_line(tmp_path: Path, origin: str) -> None:
    command = ["studio", "--no-browser", "--runs-dir", str(tmp_path), "--allow-origin", origin]
    said = CliRunner().invoke(main, command)
    assert said.exit_code == 2
    assert f"--allow-origin: {origin!r} is not an origin; expected a scheme and a host" in said.output


def test_what_changes_something_needs_the_token(client: httpx2.Client) -> None:
    wanted = [("", {}), ("/one/continue", {"epochs": 1}), ("/one/pause", {}), ("/one/stop", {}), ("/one/test", {})]
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
        for path, body in wanted:
            assert client.post(f"/api/runs{path}", json=body, headers=headers).status_code == 401
        assert (
            client.post("/api/digits", json={"glyph": [[9] * 28] * 28, "label": "7"}, headers=headers).status_code
            == 401
        )
    assert client.get("/api/runs").json()["queue"] == {"running": [], "waiting": []}


def test_off_loopback_the_token_is_asked_for_always_and_is_not_in_the_page(home: Path) -> None:
    with serving(home, host="0.0.0.0", read_only=True) as client:
        assert "secret" not in client.get("/").text
        assert client.get("/healthz").status_code == 200
        for path in ("/api/runs", "/api/runs/one", "/api/runs/one/history", "/api/recipes", "/api/runs/one/events"):
            assert client.get(path).status_code == 401
        assert client.get("/api/runs", headers=TOKEN).json()["read_only"] is True
        images = {"images": [[[0] * 28] * 28]}
        assert client.post("/api/read", json=images).status_code == 401
        assert client.post("/api/read", json=images, headers=TOKEN).status_code == 200
        refused = client.post("/api/runs", json={}, headers=TOKEN)
        assert (refused.status_code, refused.json()["error"][:25]) == (403, "this studio is read-only;")


def test_the_page_has_the_token_and_can_load_nothing_from_elsewhere(client: httpx2.Client) -> None:
    page = client.get("/")
    assert '<meta name="downstroke-token" content="secret"' in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert set(re.findall(r"(?:src|href)=\"(\W?\w*)", page.text)) <= {"/static", "#", "#main", "/api"}
    for path in ("/static/..%2fapp.py", "/static/%2e%2e", "/static/nothing.js", "/nothing"):
        assert client.get(path).status_code == 404


def test_the_description_is_a_readable_page_without_script(client: httpx2.Client) -> None:
    page = client.get("/api").text
    assert "/api/runs/{name}/continue" in page
    assert "<script" not in page
    assert "<style" not in page
    assert client.get("/static/api.css").headers["content-type"].startswith("text/css")
    assert "http" not in page.replace("<code>http", "")


@pytest.mark.parametrize(
    "name", ["%2e%2e", "..%2fruns", "one%2f..%2fone", "%00", ".studio", "a" * 65, "nosuch", "con:"]
)
def test_a_runs_name_cannot_leave_the_runs_folder(client: httpx2.Client, name: str) -> None:
    for answer in (
        client.get(f"/api/runs/{name}"),
        client.get(f"/api/runs/{name}/history"),
        client.get(f"/api/runs/{name}/events"),
        client.post(f"/api/runs/{name}/stop", headers=TOKEN),
        client.post("/api/read", json={"images": ["AAAA"], "run": name}),
    ):
        assert answer.status_code in (404, 405, 422)
        assert answer.json()["error"]
    if name != "nosuch":
        assert client.post("/api/runs", json={"name": name}, headers=TOKEN).status_code in (400, 422)


def test_a_link_out_of_the_runs_folder_is_no_run(client: httpx2.Client, home: Path, tmp_path: Path) -> None:
    (home / "one").rename(tmp_path / "elsewhere")
    try:
        (home / "link").symlink_to(tmp_path / "elsewhere")
        assert "outside the runs folder" in client.get("/api/runs/link").json()["error"]
        assert [run["name"] for run in client.get("/api/runs").json()["runs"]] == ["other"]
    finally:
        (home / "link").unlink()
        (tmp_path / "elsewhere").rename(home / "one")


@pytest.mark.parametrize("token", ["", " ", "a b ", "müde"])
def test_a_token_that_cannot_be_sent_is_refused_at_start(token: str, tmp_path: Path) -> None:
    said = CliRunner().invoke(main, ["studio", "--no-browser", "--token", token, "--runs-dir", str(tmp_path)])
    assert (said.exit_code, "token" in said.stderr) == (2, True)


# How much of it


def test_too_much_is_refused_in_a_line(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_BYTES", 10_000)
    many = client.post("/api/read", content=b"x" * 20_000, headers={"Content-Type": "application/json"})
    assert many.status_code == 413

    def parts() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 1000

    chunked = client.post("/api/read", content=parts(), headers={"Content-Type": "application/json"})
    assert chunked.status_code == 413
    monkeypatch.undo()
    assert client.post("/api/read", json={"images": ["AAAA"] * 65}).status_code == 422
    assert client.post("/api/read", files=[("files", b"x")] * 65).status_code == 422
    monkeypatch.setattr(uploads, "MOST_PIXELS", 100_000)
    large = png(np.zeros((400, 200), np.uint8))
    assert client.post("/api/read", files=[("files", large)]).status_code == 200
    assert client.post("/api/read", files=[("files", large)] * 2).status_code == 413


def test_who_still_sends_is_told_why_it_is_refused(client: httpx2.Client) -> None:
    """A connection that is closed while a body comes is reset, and its answer may be lost."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as raw:
        raw.sendall(b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65000000\r\n\r\n")
        assert select.select([raw], [], [], 30)[0], "the answer is there"
        for _ in range(30):
            raw.sendall(b"x" * 99_900)
            time.sleep(0.001)
        assert raw.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_come_is_not_waited_for(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_S", 0.2)
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as raw:
        raw.sendall(b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx")
        assert raw.recv(1000).startswith(b"HTTP/1.1 408")


def test_a_connection_on_which_nothing_comes_is_closed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_server, "FIRST_S", 0.2)
    with serving(home, read_only=True) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as raw:
            assert raw.recv(1000) == b""
        assert client.get("/healthz").status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ANSWER_S", 0.2)
    monkeypatch.setattr(downstroke.studio.views, "recipes", lambda: time.sleep(1))
    answer = client.get("/api/recipes")
    assert (answer.status_code, "longer than" in answer.json()["error"]) == (503, True)


def test_an_answer_under_way_when_the_server_ends_is_a_line_and_so_is_its_log(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked, ended = threading.Event(), threading.Event()
    monkeypatch.setattr(uvicorn_server, "GRACE_S", 0.1)
    monkeypatch.setattr(downstroke.studio.views, "recipes", lambda: (asked.set(), ended.wait(30)))
    with ThreadPoolExecutor(1) as pool:
        with serving(home, read_only=True) as client:
            answer = pool.submit(httpx2.get, f"{client.base_url}/api/recipes", timeout=30)
            answer.add_done_callback(lambda answer: ended.set())
            assert asked.wait(30)
        told = answer.result()
    assert (told.status_code, told.headers["Cache-Control"]) == (503, "no-store")
    assert told.json()["error"].startswith("the studio is shutting down")
    assert "Traceback" not in capfd.readouterr().err


def test_what_nobody_foresaw_is_a_line_too(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("/secret/path")

    monkeypatch.setattr(downstroke.studio.views, "recipes", fail)
    answer = client.get("/api/recipes")
    assert answer.status_code == 500
    assert answer.json() == {"error": "something unexpected happened; the studio's own log says what"}


def test_what_is_no_picture_is_a_megabyte_at_most(client: httpx2.Client) -> None:
    kind = {"Content-Type": "application/json", **TOKEN}
    keys = b"{" + b", ".join(b'"k%d": 1' % number for number in range(5_000)) + b"}"
    zeros = b'{"images": [[[' + b"0," * 1_000_000 + b"0]]]}"
    text = b'{"images": ["' + b"A" * 1_500_000 + b'"], "%s": 1}'
    for path, body, status in (
        ("/api/runs", b'{"recipe": "' + b"a" * 1_100_000 + b'"}', 413),
        ("/api/runs", b'{"recipe": {"a": [' + b"0," * 11_000 + b"0]}}", 413),
        ("/api/runs/one/pause", b" " * 1_100_000, 413),
        ("/healthz", b" " * 1_100_000, 413),
        ("/api/read", keys, 422),
        ("/api/read", zeros, 413),
        ("/api/read", text % (b"b" * 1_500_000), 422),
        ("/api/read", b'{"images": ["' + b'\\"' * 1_000_000 + b'"]}', 422),
        ("/api/read", b"[" * 900_000, 422),
    ):
        answer = client.request("GET" if path == "/healthz" else "POST", path, content=body, headers=kind)
        assert (answer.status_code, len(answer.content) < 400) == (status, True), (path, body[:20], answer.text[:400])


def test_of_many_faults_the_first_is_told(client: httpx2.Client) -> None:
    answer = client.post("/api/read", json={"images": [[[256] * 28] * 28] * 64})
    assert answer.json()["error"].startswith("images[0]: ")
    assert "more)" not in answer.json()["error"] or int(answer.json()["error"].split("(and ")[1].split()[0]) < 5


def test_every_answer_of_the_api_is_stored_nowhere(client: httpx2.Client) -> None:
    read = client.post("/api/read", json={"images": [[[0] * 28] * 28]})
    kept = [client.get(path) for path in ("/api", "/api/runs", "/api/recipes", "/api/runs/one/history")]
    refused = [client.get("/api/runs/nosuch"), client.get("/api/nosuch"), client.post("/api/runs"), client.put("/api")]
    refused += [client.get("/api/runs", headers={"Host": "evil"}), client.get("/api/runs", headers={"Origin": "null"})]
    assert {answer.headers.get("Cache-Control") for answer in (read, *kept, *refused)} == {"no-store"}
    with client.stream("GET", "/api/runs/one/events") as events:
        assert events.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_headers_that_trickle_time_out(home: Path, monkeypatch: pytest.MonkeyPatch, first: bytes) -> None:
    monkeypatch.setattr(uvicorn_server, "FIRST_S", 0.3)
    with serving(home, read_only=True) as client:
        address = (client.base_url.host, client.base_url.port)
        with socket.create_connection(address, timeout=30) as raw:
            if first:
                raw.sendall(first)
                assert raw.recv(4096).startswith(b"HTTP/1.1 200")

            def closed() -> bool:
                try:
                    raw.sendall(b"a")  # of a header without end
                except OSError:
                    return True
                return False

            wait_for(closed, "the end of the connection")
        assert client.get("/healthz").status_code == 200


def test_no_burst_passes_the_cap_of_watchers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_state, "MOST_STREAMS", 5)
    ask = b"GET /api/runs/one/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(home, read_only=True) as client, ExitStack() as open_:
        address = (client.base_url.host, client.base_url.port)
        raws = [open_.enter_context(socket.create_connection(address, timeout=30)) for _ in range(40)]
        for raw in raws:
            raw.sendall(ask)
        told = [raw.recv(12) for raw in raws]
        assert sorted(told) == [b"HTTP/1.1 200"] * 5 + [b"HTTP/1.1 503"] * 35
        open_.close()
        wait_for(lambda: client.stream("GET", "/api/runs/one/events").__enter__().status_code == 200, "room again")


# Reading


def test_a_drawing_does_not_wait_for_a_huge_picture_of_few_bytes() -> None:
    squares = np.full((3000, 4000), 255, np.uint8)
    squares[::40] = squares[:, ::40] = 120
    drawing = np.full((200, 400), 255, np.uint8)
    drawing[40:160, 195:205] = 0
    huge, small = (Picture(name, png(image)) for name, image in (("huge", squares), ("small", drawing)))
    assert isinstance(huge.content, bytes)
    assert len(huge.content) < 30_000
    readers = Readers()

    async def both() -> list[str]:
        ended: list[str] = []

        async def one(picture: Picture) -> None:
            await readers.read(readers.shipped, uploads.bounded(Wanted([picture])))
            ended.append(picture.name)

        await asyncio.gather(*(one(picture) for picture in (huge, small, small)))
        return ended

    try:
        assert asyncio.run(both()) == ["small", "small", "huge"]
    finally:
        readers.close()


def test_a_small_picture_with_many_marks_is_read_beside_the_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = np.full((400, 400), 255, np.uint8)
    for y in range(10, 390, 20):
        crowd[y : y + 14, 10:390:12] = crowd[y : y + 14, 11:390:12] = 0
    readers, threads = Readers(), []
    shipped = readers.shipped
    logits = shipped.logits
    monkeypatch.setattr(
        shipped, "logits", lambda glyphs: threads.append(threading.current_thread().name) or logits(glyphs)
    )
    wanted = uploads.bounded(Wanted([Picture("crowd", png(crowd))]))
    try:
        read = json.loads(asyncio.run(readers.read(shipped, wanted))[0])
    finally:
        readers.close()
    assert threads[-1].startswith("large pictures")
    assert read == {**json.loads(json.dumps(shipped.read(png(crowd)).to_dict())), "file": "crowd"}


def test_one_picture_without_digits_does_not_take_the_others_answers(client: httpx2.Client, mnist: Dataset) -> None:
    page = np.hstack([255 - mnist.test.images[i] for i in (0, 1, 2)])
    squares = np.full((600, 800), 255, np.uint8)
    squares[::40] = squares[:, ::40] = 120
    read = client.post("/api/read", files=[("files", png(squares)), ("files", png(page))]).json()["readings"]
    assert "no digit found" in read[0]["error"]
    assert read[1]["lines"][0]["text"] == "721"


def test_reading_answers_what_the_command_answers(client: httpx2.Client, mnist: Dataset, tmp_path: Path) -> None:
    page = np.hstack([255 - mnist.test.images[i] for i in (0, 1, 2)])
    path = tmp_path / "page.png"
    path.write_bytes(png(page))
    for flags in ([], ["--digit"], ["--strict"]):
        said = json.loads(CliRunner().invoke(main, ["read", str(path), "--json", *flags]).stdout)
        form = {flag.removeprefix("--"): "true" for flag in flags}
        sent = client.post("/api/read", files=[("files", (str(path), path.read_bytes()))], data=form).json()
        assert sent == {"readings": said}
        named = {"name": str(path), "data": base64.b64encode(path.read_bytes()).decode()}
        in_json = {"images": [named], **dict.fromkeys(form, True)}
        assert client.post("/api/read", json=in_json).json() == {"readings": said}


def test_grey_levels_and_glyphs_and_what_is_no_picture(client: httpx2.Client, mnist: Dataset) -> None:
    image = mnist.test.images[0]
    wanted = [image.tolist(), "no base64", base64.b64encode(b"no picture").decode(), np.zeros((28, 28), int).tolist()]
    seven, *others = client.post("/api/read", json={"images": wanted, "explain": True}).json()["readings"]
    digit = seven["lines"][0]["digits"][0]
    assert (digit["digit"], np.array(digit["glyph"]).shape) == (7, (28, 28))
    assert [reading["lines"] for reading in others] == [[], [], []]
    assert [reading["error"].partition(":")[0] for reading in others] == ["images[1]", "images[2]", "images[3]"]


def test_a_picture_comes_in_any_base64_or_as_the_body(client: httpx2.Client, mnist: Dataset) -> None:
    content = png(255 - mnist.test.images[0])
    plain = base64.encodebytes(content).decode()
    ways = [plain, plain.replace("\n", "\r\n"), plain.rstrip("=\n"), base64.urlsafe_b64encode(content).decode()]
    read = client.post("/api/read", json={"images": ways, "digit": True}).json()["readings"]
    body = client.post("/api/read?digit=true", content=content, headers={"Content-Type": "image/png"}).json()
    assert [reading["lines"][0]["text"] for reading in read + body["readings"]] == ["7"] * 5
    padded = png(np.pad(255 - mnist.test.images[0], 200, constant_values=255)) + os.urandom(400_000)
    for data in (
        base64.b64encode(padded).decode(),
        "data:image/png;base64," + base64.encodebytes(padded).decode(),
        base64.urlsafe_b64encode(padded).decode().rstrip("="),
    ):
        for text in (json.dumps(data), json.dumps(data).replace("/", "\\/").replace("=", "\\u003d")):
            sent = ('{"images": [' + text + '], "digit": true}').encode()
            said = client.post("/api/read", content=sent, headers={"Content-Type": "application/json"}).json()
            assert said["readings"][0]["lines"][0]["text"] == "7"
        for wrong_end in ("!", "=A", "\\\\"):
            sent = ('{"images": ["' + data.replace("\n", "") + wrong_end + '"]}').encode()
            said = client.post("/api/read", content=sent, headers={"Content-Type": "application/json"}).json()
            assert "not base64" in said["readings"][0]["error"]
    wrong = client.post("/api/read?digit=yes", content=content, headers={"Content-Type": "image/png"})
    assert (wrong.status_code, "'digit' is 'yes'" in wrong.json()["error"]) == (422, True)


def test_levels_that_are_floats_are_refused_in_words_of_a_person(client: httpx2.Client) -> None:
    answer = client.post("/api/read", json={"images": [[[0.5] * 28] * 28]})
    assert answer.status_code == 422
    assert answer.json()["error"] == (
        "images[0]: the level 0.5 is not a whole number; "
        "expected 28 rows of 28, 0 to 255 (levels 0 to 1: multiply by 255)"
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"images": ["", 5]},
            "images[1]: no picture; expected a file's bytes in base64, or 28 rows of 28 whole numbers",
        ),
        ({"images": [[[300] * 28] * 28]}, "images[0]: no picture"),
        ({"images": [[[0, 1], [2]]]}, "images[0]: no picture"),
        ({"image": ""}, "image: Extra inputs are not permitted"),
    ],
)
def test_what_is_no_picture_is_refused_in_words_of_a_person(
    client: httpx2.Client, asked: dict[str, Any], said: str
) -> None:
    answer = client.post("/api/read", json=asked)
    assert (answer.status_code, answer.json()["error"][: len(said)]) == (422, said)


def test_a_runs_own_w_reads_too(client: httpx2.Client, home: Path, mnist: Dataset) -> None:
    sent = client.post("/api/read", json={"images": [mnist.test.images[0].tolist()], "run": "one"}).json()["readings"][
        0
    ]
    own = downstroke.Run.open(home / "one").reader().read(mnist.test.images[0], digit=True).to_dict()
    assert sent["lines"] == json.loads(json.dumps(own["lines"]))


def test_under_load_each_gets_the_answer_to_its_own_picture(client: httpx2.Client, mnist: Dataset) -> None:
    images = mnist.test.images[:200]
    reader = downstroke.Reader.shipped()

    def ask(index: int) -> list[float]:
        answer = client.post("/api/read", json={"images": [images[index].tolist()]}).json()
        found: list[float] = answer["readings"][0]["lines"][0]["digits"][0]["probabilities"]
        return found

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(len(images))))
    for image, answer in zip(images, answers, strict=True):
        alone = reader.read(image, digit=True).lines[0].digits[0].probabilities
        np.testing.assert_allclose(answer, alone, atol=1e-5)


def test_the_network_sees_many_waiting_pictures_at_once(mnist: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    readers, batches = Readers(), []
    logits = readers.shipped.logits
    monkeypatch.setattr(readers.shipped, "logits", lambda glyphs: batches.append(len(glyphs)) or logits(glyphs))
    wanted = Wanted([Picture(str(index), image) for index, image in enumerate(mnist.test.images[:64])])
    try:
        read = asyncio.run(readers.read(readers.shipped, wanted))
    finally:
        readers.close()
    assert [json.loads(reading)["file"] for reading in read] == [str(index) for index in range(64)]
    assert sum(batches) == 4 * 64, "a digit is looked at as a glyph and through three windows"
    assert len(batches) <= 8


def test_a_glyph_that_was_read_wrong_is_kept_for_training(client: httpx2.Client, home: Path, mnist: Dataset) -> None:
    for index, label in ((0, "7"), (1, "7"), (1, "2"), (2, "1"), (3, "0"), (4, "1"), (5, "2"), (6, "7")):
        body = {"glyph": mnist.test.images[index].tolist(), "label": label}
        kept = client.post("/api/digits", json=body, headers=TOKEN)
        assert kept.status_code == 201
    assert kept.json()["kept"] == 2, "one of three was of another digit, as was said afterwards"
    data = sources.load(home.parent / "digits")
    assert data.classes == ("0", "1", "2", "7")
    assert any(np.array_equal(mnist.test.images[1], image) for image in data.train.images)
    refused = client.post("/api/digits", json={**body, "label": "../7"}, headers=TOKEN)
    assert refused.status_code == 422


# What runs are worth


def test_runs_are_shown_as_they_are(client: httpx2.Client, home: Path) -> None:
    run = downstroke.Run.open(home / "one")
    shown = client.get("/api/runs/one").json()
    assert (shown["state"], shown["epochs"], shown["target_epochs"], shown["steps"]) == ("idle", 4, 4, 40)
    assert shown["val_loss"] == run.history.best.val_loss
    assert shown["advice"] == run.advice().to_dict()
    assert shown["recipe_fields"] == run.recipe.to_dict()
    assert shown["steps_per_epoch"] == 10  # also while nothing trains: the page draws steps by it
    history = client.get("/api/runs/one/history").json()
    assert [row["val_loss"] for row in history["epochs"]] == run.history.column("val_loss")
    assert [row["step"] for row in history["steps"]] == list(range(1, 41))
    later = client.get("/api/runs/one/history", params={"since_step": 38}).json()
    assert [row["step"] for row in later["steps"]] == [39, 40]


def test_a_long_history_is_thinned_to_two_thousand_steps(client: httpx2.Client, home: Path) -> None:
    path = home / "other" / "steps.csv"
    before = path.read_text()
    try:
        path.write_text("step,lr,batch_loss,gradient_norm\n" + "".join(f"{n},0.1,1.5,2.5\n" for n in range(1, 10_001)))
        steps = [row["step"] for row in client.get("/api/runs/other/history").json()["steps"]]
    finally:
        path.write_text(before)
    assert 1500 < len(steps) <= 2000
    assert (steps[0], steps[-1]) == (1, 10_000)


def test_a_look_at_the_test_set_is_recorded_and_can_be_seen_again(client: httpx2.Client, home: Path) -> None:
    assert client.get("/api/runs/other/test").status_code == 404
    look = client.post("/api/runs/other/test", headers=TOKEN).json()
    assert (look["looks"], look["images"], len(look["misread"])) == (1, 200, look["errors"])
    assert all(entry["label"] != entry["prediction"] for entry in look["misread"])
    sure = [max(entry["probabilities"]) for entry in look["misread"]]
    assert (len(set(sure)) > 1, sure) == (True, sorted(sure, reverse=True)), "the most certain come first"
    assert client.get("/api/runs/other/test").json() == look, "and no new look was taken"
    assert len(client.get("/api/runs/other").json()["looks"]) == 1
    assert CliRunner().invoke(main, ["test", str(home / "other")]).exit_code == 0
    assert client.get("/api/runs/other/test").json() == {**look, "looks": 2}


def test_two_runs_are_compared_in_words(client: httpx2.Client, home: Path) -> None:
    found = client.get("/api/compare", params={"a": "one", "b": "other"}).json()
    said = json.loads(CliRunner().invoke(main, ["compare", "one", "other", "--runs-dir", str(home), "--json"]).stdout)
    assert found == {**said, "words": [said["digits"], said["losses"]], "differs": found["differs"]}
    assert found["differs"] == [{"field": "seed", "a": 0, "b": 1}]


def test_w_is_shown_from_inside(client: httpx2.Client) -> None:
    look = client.get("/api/runs/one/inspect").json()
    assert look["epoch"] == 4
    assert np.array(look["filters"][0]["pixels"]).shape == (28, 28)
    assert {layer["name"] for layer in look["layers"]}
    image = client.get("/api/runs/one/inspect/image", params={"index": 3}).json()
    assert sum(image["probabilities"]) == pytest.approx(1, abs=1e-5)
    step = client.get("/api/runs/one/inspect/step", params={"index": 3}).json()
    assert len(step["lrs"]) == len(step["losses"]) > 20
    assert client.get("/api/runs/one/inspect/image", params={"index": 50}).status_code == 400


def test_a_strangers_run_is_shown_and_its_code_is_never_run(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strange.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    monkeypatch.syspath_prepend(str(tmp_path))
    for field in ("model", "criterion"):
        folder = tmp_path / "runs" / field
        shutil.copytree(home / "one", folder)
        recipe = files.read_json(folder / "recipe.json")
        files.write_json(folder / "recipe.json", {**recipe, field: "strange:made"})
    with serving(tmp_path / "runs") as client:
        for field in ("model", "criterion"):
            assert client.get(f"/api/runs/{field}").json()["epochs"] == 4
            assert client.get(f"/api/runs/{field}/history").status_code == 200
            glyph = {"images": [[[0] * 28] * 28], "run": field}
            for answer in (
                *(client.get(f"/api/runs/{field}/inspect{end}") for end in ("", "/image", "/step", "/image?index=1")),
                client.post(f"/api/runs/{field}/test", headers=TOKEN),
                client.post("/api/read", json=glyph),
            ):
                assert answer.status_code == 400, answer.text
                assert f"would run code: {field} strange:made" in answer.json()["error"]
            # What was stored with the run is compared; nothing of it is run.
            assert client.get("/api/compare", params={"a": field, "b": field}).status_code == 200
        # It is the training that is refused.
        assert client.post("/api/runs/model/continue", json={"epochs": 1}, headers=TOKEN).is_success
        wait_for(lambda: client.get("/api/runs/model").json()["state"] == "failed", "the refusal")
        found = client.get("/api/runs/model").json()
        assert "would run code: model strange:made" in found["error"]
        assert found["epochs"] == 4
    assert not (tmp_path / "ran").exists()


# Training


def events(client: httpx2.Client, name: str, until: Callable[[str, Any], bool]) -> list[tuple[str, Any]]:
    """The events of a run until one is as wanted."""
    found: list[tuple[str, Any]] = []
    with client.stream("GET", f"/api/runs/{name}/events", params={"since_step": 0}) as stream:
        for line in stream.iter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((event, json.loads(line.removeprefix("data: "))))
                if until(*found[-1]):
                    return found
    raise AssertionError("the stream ended")


def test_train_watch_continue_pause_and_stop(tiny: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "runs") as client:
        begun = train(client, tiny, "mine", epochs=3)
        assert (begun["state"], begun["target_epochs"]) == ("training", 3)
        told = events(client, "mine", lambda event, data: event == "state" and data["state"] == "idle")
        steps = [row["step"] for event, data in told if event == "steps" for row in data["rows"]]
        assert steps == list(range(1, 31)), "every step, once, in order"
        assert [data["epoch"] for event, data in told if event == "epoch"] == [1, 2, 3]
        assert [data["epoch"] for event, data in told if event == "advice"][-1] == 3
        run = downstroke.Run.open(tmp_path / "runs" / "mine")
        assert [row.step for row in run.steps] == steps

        refused = client.post("/api/runs/mine/continue", json={"epochs": None}, headers=TOKEN)
        assert (refused.status_code, "epochs" in refused.json()["error"]) == (409, True)
        more = client.post("/api/runs/mine/continue", json={"epochs": LONG}, headers=TOKEN).json()
        assert (more["state"], more["target_epochs"]) == ("training", 3 + LONG)
        assert client.post("/api/runs/mine/continue", json={"epochs": 1}, headers=TOKEN).status_code == 409
        assert train(client, tiny, "next", epochs=1)["state"] == "queued"
        assert client.get("/api/runs").json()["queue"] == {"running": ["mine"], "waiting": ["next"]}
        assert client.post("/api/runs/next/pause", headers=TOKEN).status_code == 409
        assert client.post("/api/runs/next/stop", headers=TOKEN).json()["state"] == "idle"
        assert client.get("/api/runs/next").status_code == 404

        assert client.post("/api/runs/mine/pause", headers=TOKEN).status_code == 202, "also before its first step"
        wait_for(lambda: state(client, "mine") != "training", "the pause")
        paused = client.get("/api/runs/mine").json()
        assert (paused["state"], paused["target_epochs"], paused["error"]) == ("paused", 3 + LONG, None)
        assert paused["steps"] == run.steps[-1].step > 30, "the state at the very last step is kept"
        assert client.post("/api/runs/mine/stop", headers=TOKEN).json()["state"] == "idle"


def test_a_killed_training_loses_nothing_before_its_checkpoint(tiny: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "runs") as client:
        train(client, tiny, "mine", epochs=LONG)
        wait_for_steps(client, "mine", more_than=10)
        os.kill(files.read_json(tmp_path / "runs" / ".studio" / "mine.job.json")["pid"], signal.SIGKILL)
        wait_for(lambda: state(client, "mine") == "failed", "its end to be seen")
        killed = client.get("/api/runs/mine").json()
        assert "signal 9" in killed["error"]
        assert killed["epochs"] >= 1
        assert client.post("/api/runs/mine/continue", json={"epochs": LONG}, headers=TOKEN).status_code == 202
        wait_for_steps(client, "mine", more_than=10 * (killed["epochs"] + 1))
        assert client.post("/api/runs/mine/stop", headers=TOKEN).status_code == 202
        wait_for(lambda: state(client, "mine") == "idle", "the stop")
        run = downstroke.Run.open(tmp_path / "runs" / "mine")
        assert [row.epoch for row in run.history] == list(range(1, len(run.history) + 1))
        assert [row.step for row in run.steps] == list(range(1, len(run.steps) + 1))


def test_what_cannot_be_trained_says_why_and_can_be_dismissed(client: httpx2.Client, home: Path) -> None:
    for body, line in (
        ({"recipe": "nosuch"}, "no recipe 'nosuch'"),
        ({"recipe": {"lr": -1}}, "lr is -1"),
        ({"recipe": {"colour": 1}}, "no field 'colour'"),
        ({"recipe": {"name": "\ud800"}}, "printable characters"),
        ({"recipe": {"name": "x" * 5000}}, "printable characters"),
        ({"recipe": {"lr": float("nan")}}, "lr is nan"),
        ({"recipe": {"seed": 10**400}}, "seed is a number of more than 30 digits"),
        ({"data": "a\0b"}, "printable characters"),
        ({"recipe": {"model": "os:system"}}, "no model 'os:system'"),
        ({"recipe": "standard", "name": "one"}, "never overwritten"),
    ):
        kind = {"Content-Type": "application/json"}  # written here: httpx2 refuses nan
        refused = client.post("/api/runs", content=json.dumps(body), headers={**TOKEN, **kind})
        assert refused.status_code in (400, 409)
        assert line in refused.json()["error"]
    client.post("/api/runs", json={"data": "/no/such/data", "name": "lost"}, headers=TOKEN)
    wait_for(lambda: state(client, "lost") == "failed", "its failure")
    shown = client.get("/api/runs").json()["runs"][0]
    assert (shown["name"], "no such file or folder" in shown["error"]) == ("lost", True)
    assert client.post("/api/runs/lost/stop", headers=TOKEN).status_code == 202
    assert "lost" not in [run["name"] for run in client.get("/api/runs").json()["runs"]]


def test_a_run_that_was_deleted_is_gone(client: httpx2.Client, home: Path) -> None:
    shutil.copytree(home / "other", home / "brief")
    assert client.post("/api/runs/brief/stop", headers=TOKEN).json()["state"] == "idle"
    shutil.rmtree(home / "brief")
    assert client.get("/api/runs/brief").status_code == 404
    assert "brief" not in [run["name"] for run in client.get("/api/runs").json()["runs"]]


def test_a_tail_tells_each_row_once_and_after_a_continue_those_that_are_made_again(tmp_path: Path) -> None:
    def write(*steps: int, end: str = "\n") -> None:
        rows = "\n".join(f"{step},0.1,1.0,1.0" for step in steps)
        files.write_bytes(tmp_path / "steps.csv", f"step,lr,batch_loss,gradient_norm\n{rows}{end}".encode())

    write(1, 2, 3)
    every, later, new = (follow.of_steps(tmp_path) for _ in range(3))
    later.after = 2
    new.pass_over()
    tails = {"every": every, "later": later, "new": new}

    def told() -> dict[str, list[int]]:
        return {name: [row["step"] for row in tail.new()] for name, tail in tails.items()}

    assert told() == {"every": [1, 2, 3], "later": [3], "new": []}
    with (tmp_path / "steps.csv").open("a") as file:
        file.write("4,0.1,1.0,1.0\n5,0.")
    assert told() == {"every": [4], "later": [4], "new": [4]}
    write(1, 2)  # `continue` from step 2, and then step 3 anew
    assert told() == {"every": [], "later": [], "new": []}
    with (tmp_path / "steps.csv").open("a") as file:
        file.write("3,0.1,1.0,1.0\n")
    assert told() == {"every": [3], "later": [3], "new": [3]}


def test_a_training_that_was_started_elsewhere_is_shown_and_left_alone(client: httpx2.Client, home: Path) -> None:
    with files.locked(home / "one" / ".lock", "busy"):
        assert state(client, "one") == "training"
        for path in ("pause", "stop", "continue"):
            assert client.post(f"/api/runs/one/{path}", json={"epochs": 1}, headers=TOKEN).status_code == 409
    assert state(client, "one") == "idle"


@contextmanager
def studio_process(runs_dir: Path) -> Iterator[tuple[subprocess.Popen[str], httpx2.Client]]:
    """The command itself, and a client of it."""
    command = [sys.executable, "-m", "downstroke", "studio", "--no-browser", "--json", "--token", "secret"]
    process = subprocess.Popen([*command, "--runs-dir", str(runs_dir)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        said = json.loads("".join(process.stdout.readline() for _ in range(4)))
        assert said["token"] == "secret"
        with httpx2.Client(base_url=said["url"], timeout=60) as client:
            yield process, client
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_neither_a_killed_server_nor_ctrl_c_ends_a_training(tiny: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with studio_process(runs) as (first, client):
        train(client, tiny, "mine", epochs=LONG)
        train(client, tiny, "next", epochs=LONG)
        wait_for_steps(client, "mine")
        second = CliRunner().invoke(main, ["studio", "--no-browser", "--runs-dir", str(runs)])
        assert (second.exit_code, "another studio serves" in second.stderr) == (1, True)
        first.kill()
        first.wait()
    before = downstroke.Run.open(runs / "mine").steps[-1].step
    with studio_process(runs) as (other, client):
        assert client.get("/api/runs").json()["queue"] == {"running": ["mine"], "waiting": ["next"]}
        wait_for_steps(client, "mine", more_than=before)
        assert client.post("/api/runs/mine/pause", headers=TOKEN).status_code == 202
        wait_for(lambda: state(client, "mine") == "paused", "the pause")
        wait_for_steps(client, "next")
        other.send_signal(signal.SIGINT)
        assert other.wait(30) == 130
    run = downstroke.Run.open(runs / "next")
    before = run.steps[-1].step
    wait_for(lambda: run.steps[-1].step > before, "more steps")
    os.kill(files.read_json(runs / ".studio" / "next.job.json")["pid"], signal.SIGINT)
    wait_for(lambda: not run.in_training, "its end")
