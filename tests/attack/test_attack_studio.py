"""The studio under attack, on loopback: large bodies, bursts, trickling headers; meanwhile it answers others."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

import downstroke
from downstroke.studio.app_state import MOST_STREAMS

pytestmark = pytest.mark.slow
Tell = Callable[[str, str], None]
JSON = {"Content-Type": "application/json"}
MB = 1_000_000


@pytest.fixture(scope="module")
def studio(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A client of the command itself, with one run, `one`."""
    runs = tmp_path_factory.mktemp("attack") / "runs"
    downstroke.train("textbook", data=str(tiny), val_size=50, epochs=1, runs_dir=runs, name="one", progress=False)
    command = [sys.executable, "-m", "downstroke", "studio", "--no-browser", "--json", "--token", "secret"]
    process = subprocess.Popen([*command, "--runs-dir", str(runs)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        url = json.loads("".join(process.stdout.readline() for _ in range(4)))["url"]
        with httpx2.Client(base_url=url, timeout=300) as client:
            yield client
            assert process.poll() is None, "the studio has ended"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def squared(height: int, width: int) -> np.ndarray:
    paper = np.full((height, width), 255, np.uint8)
    paper[::40] = paper[:, ::40] = 120
    return paper


ASKING = """
import http.client, json, sys, threading, time
ended, took = threading.Event(), []
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
connection = http.client.HTTPConnection(sys.argv[1], timeout=300)
while not ended.is_set() or not took:
    began = time.perf_counter()
    connection.request("GET", "/healthz")
    assert json.load(connection.getresponse())["status"] == "ok"
    took.append(1000 * (time.perf_counter() - began))
    if len(took) == 1:
        print("begun", flush=True)
    time.sleep(0.01)
print(json.dumps(took))
"""


def watched(studio: httpx2.Client, work: Callable[[], httpx2.Response]) -> tuple[httpx2.Response, str]:
    """The answer to some work, and how long /healthz took meanwhile. Every /healthz is answered.

    A process of its own asks: this one is as busy with sending 60 MB as the studio is with them.
    """
    command = [sys.executable, "-c", ASKING, f"{studio.base_url.host}:{studio.base_url.port}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout
        assert asking.stdout.readline() == "begun\n"
        answer = work()
        told, _ = asking.communicate()
    assert asking.returncode == 0
    took = json.loads(told)
    p99 = np.quantile(took, 0.99, method="higher")
    return answer, f"/healthz meanwhile: {len(took)} times, p50 {np.median(took):.0f} ms, p99 {p99:.0f} ms"


def in_base64(size: int) -> bytes:
    return base64.b64encode(os.urandom(size * 3 // 4))


BODIES = {
    "60 MB of JSON, 4 million unknown keys": (
        *("/api/read", 422),
        lambda: b"{" + b", ".join(b'"k%07d": 1' % n for n in range(4_000_000)) + b"}",
    ),
    "60 MB of JSON, a row of 31 million zeros": (
        *("/api/read", 413),
        lambda: b'{"images": [[[' + b"0," * 31_000_000 + b"0]]]}",
    ),
    "60 MB of JSON, one string that is no base64": (
        *("/api/read", 200),
        lambda: b'{"images": ["' + b"!" * 60 * MB + b'"]}',
    ),
    "60 MB of JSON, one picture that is none": (
        *("/api/read", 200),
        lambda: b'{"images": ["' + in_base64(60 * MB) + b'"]}',
    ),
    "60 MB of JSON, a picture all in escapes": (
        *("/api/read", 200),
        lambda: b'{"images": ["' + b"\\u0041" * 10_000_000 + b'"]}',
    ),
    "60 MB of JSON, escaped quotes": ("/api/read", 422, lambda: b'{"images": ["' + b'\\"' * 30 * MB + b'"]}'),
    "60 MB of JSON, one key": ("/api/read", 422, lambda: b'{"' + b"k" * 60 * MB + b'": 1}'),
    "60 MB of JSON, brackets": ("/api/read", 413, lambda: b"[" * 60 * MB),
    "60 MB of JSON, blanks": ("/api/read", 413, lambda: b" " * 60 * MB),
    "50,000 levels that are too high": (
        *("/api/read", 422),
        lambda: json.dumps({"images": [[[256] * 28] * 28] * 64}).encode(),
    ),
    "1.5 million recipe keys": (
        *("/api/runs", 413),
        lambda: b'{"recipe": {' + b", ".join(b'"k%d": 1' % n for n in range(1_500_000)) + b"}}",
    ),
    "a megabyte of recipe keys": (
        *("/api/runs", 413),
        lambda: b'{"recipe": {' + b", ".join(b'"k%d": 1' % n for n in range(80_000)) + b"}}",
    ),
    "9,000 recipe keys": (
        *("/api/runs", 400),
        lambda: b'{"recipe": {' + b", ".join(b'"k%d": 1' % n for n in range(9_000)) + b"}}",
    ),
    "a megabyte of brackets": ("/api/runs", 400, lambda: b"[" * (MB - 1)),
    "a number of a million digits": ("/api/runs", 400, lambda: b'{"epochs": ' + b"9" * (MB - 100) + b"}"),
}


@pytest.mark.parametrize("what", BODIES)
def test_a_body_is_refused_or_answered_while_others_are(studio: httpx2.Client, what: str, tell: Tell) -> None:
    path, expected, make = BODIES[what]
    body = make()
    headers = {**JSON, "Authorization": "Bearer secret"}
    answer, meanwhile = watched(studio, lambda: studio.post(path, content=body, headers=headers))
    tell(f"{what} to {path}", f"{answer.status_code}; {meanwhile}")
    assert answer.status_code == expected or {answer.status_code, expected} <= {400, 422}, answer.text[:300]
    assert len(answer.content) < 2000


def test_pictures_that_take_long_keep_no_drawing_waiting(studio: httpx2.Client, tell: Tell) -> None:
    drawing = np.full((200, 400), 255, np.uint8)
    drawing[40:160, 195:205] = 0
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600), np.uint8)
    dots = np.full((2000, 2000), 255, np.uint8)
    for y in range(10, 2000, 20):
        dots[y : y + 6, 10:2000:20] = dots[y : y + 6, 13:2000:20] = 0
    huge = {
        "a 4000x3000 picture of squared paper": png(squared(3000, 4000)),
        "noise of 1600x1200": png(noise),
        "10,000 dots": png(dots),
        "20,000x500 of squared paper": png(squared(500, 20_000)),
    }
    for what, content in huge.items():
        ended: list[str] = []

        def ask(name: str, picture: bytes, ended: list[str] = ended) -> httpx2.Response:
            answer = studio.post("/api/read", content=picture, headers={"Content-Type": "image/png"})
            ended.append(name)
            return answer

        others = [threading.Thread(target=ask, args=("drawing", png(drawing))) for _ in range(3)]

        def both(content: bytes = content, others: list[threading.Thread] = others) -> httpx2.Response:
            first = threading.Timer(0.2, lambda: [thread.start() for thread in others])
            first.start()
            answer = ask("huge", content)
            first.join()  # the picture may have been read before it was time for the drawings
            return answer

        answer, meanwhile = watched(studio, both)
        for thread in others:
            thread.join()
        tell(f"{what}, {len(content) / 1000:.0f} kB, and three drawings after it", f"{' '.join(ended)}; {meanwhile}")
        assert answer.status_code == 200


def test_a_burst_of_watchers_is_capped(studio: httpx2.Client, tell: Tell) -> None:
    address = (studio.base_url.host, studio.base_url.port)
    raws = [socket.create_connection(address, timeout=60) for _ in range(250)]
    try:
        for raw in raws:
            raw.sendall(b"GET /api/runs/one/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        told = [raw.recv(12) for raw in raws]
    finally:
        for raw in raws:
            raw.close()
    watching = told.count(b"HTTP/1.1 200")
    tell("250 watchers at once", f"{watching} watch, {told.count(b'HTTP/1.1 503')} are refused")
    assert watching == MOST_STREAMS
    assert studio.get("/healthz").status_code == 200


def test_headers_that_trickle_end(studio: httpx2.Client, tell: Tell) -> None:
    address = (studio.base_url.host, studio.base_url.port)
    raws = [socket.create_connection(address, timeout=60) for _ in range(200)]
    began, open_ = time.monotonic(), set(raws)
    while open_ and time.monotonic() - began < 90:
        for raw in list(open_):
            try:
                raw.sendall(b"a")
            except OSError:
                open_.discard(raw)
        assert studio.get("/healthz").status_code == 200
        time.sleep(0.5)
    for raw in raws:
        raw.close()
    tell("200 connections, a letter of a header every half second", f"{len(raws) - len(open_)} closed by the studio")
    assert not open_


HOSTS = [
    *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1:evil", "127.0.0.1:80:evil"),
    *("evil@127.0.0.1", "[::1]evil", "[::1", "::1", "[127.0.0.1]", "localhost:", "localhost:99999", "0.0.0.0", ""),
    *("127.0.0.1,evil", "127.0.0.1/evil", "localhost#evil", "2130706433", "127.1", "0x7f000001"),
]


def test_no_name_but_this_machines_is_answered(studio: httpx2.Client, tell: Tell) -> None:
    answers = {host: studio.get("/", headers={"Host": host}).status_code for host in HOSTS}
    tell(f"{len(HOSTS)} foreign or broken Host headers", f"{sum(v == 403 for v in answers.values())} refused")
    assert set(answers.values()) == {403}, answers
