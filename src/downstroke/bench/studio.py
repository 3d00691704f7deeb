"""`downstroke bench studio`: reading over HTTP under load, each answer checked, and how soon the server answers."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from downstroke.bench.timing import Say
from downstroke.data import sources
from downstroke.errors import DownstrokeError, to_install
from downstroke.learning.machine import processor
from downstroke.reading.reader import Reader
from downstroke.runs.outputs import output_json

Address = tuple[str, int]
IMAGES = 500  # of the training set, each asked for again and again
TURNS = 3  # so many times each server has its turn
CLOSE = 1e-3  # relative: how far a batch may move a probability
WARM_UP_S = 2.0
TOKEN = "bench"


@dataclass
class Asked:
    """Pictures as requests, and what must come back."""

    requests: list[bytes]
    expected: NDArray[np.float32]  # [N, C]

    @classmethod
    def of(cls, images: NDArray[np.uint8]) -> Asked:
        """Read one by one in this process. DownstrokeError where two answers are too alike to be told apart."""
        from PIL import Image

        reader, requests, expected = Reader.shipped(), [], []
        for image in images:
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "PNG")
            body = json.dumps({"images": [base64.b64encode(buffer.getvalue()).decode()], "digit": True})
            requests.append(_request("POST", "/api/read", body))
            expected.append(reader.read(buffer.getvalue(), digit=True).lines[0].digits[0].probabilities)
        found = np.array(expected, np.float32)
        told_apart = [not np.allclose(a, b, rtol=CLOSE, atol=0) for i, a in enumerate(found) for b in found[:i]]
        if not all(told_apart):
            raise DownstrokeError("two pictures have the same answer; a swapped one could not be told")
        return cls(requests, found)

    def fits(self, index: int, answer: bytes) -> bool:
        """Whether `answer` is that of picture `index`."""
        probabilities = json.loads(answer)["readings"][0]["lines"][0]["digits"][0]["probabilities"]
        return bool(np.allclose(probabilities, self.expected[index], rtol=CLOSE, atol=0))


@dataclass
class Load:
    """What many clients saw."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)  # seconds
    errors: int = 0  # answers that were not 200, and connections that broke
    wrong: int = 0  # answers that were not those of the picture sent

    def figures(self) -> dict[str, Any]:
        p50, p99 = np.percentile(self.latencies, [50, 99])
        return {
            "requests": len(self.latencies),
            "requests_per_second": len(self.latencies) / self.seconds,
            "p50_ms": p50 * 1e3,
            "p99_ms": p99 * 1e3,
            "errors": self.errors,
            "wrong": self.wrong,
        }


def measure(*, seconds: float, clients: int, out: Path, say: Say) -> dict[str, Any]:
    """Both servers under the same load in turn, where ONNX Runtime is here; and /healthz while a training runs."""
    for package in ("fastapi", "uvicorn"):
        if find_spec(package) is None:
            raise DownstrokeError(f"{package} is not installed; to have it: {to_install('studio')}")
    asked = Asked.of(sources.load("mnist").train.images[:IMAGES])
    figures: dict[str, Any] = {"processor": processor(), "processors": os.cpu_count(), "clients": clients}
    with tempfile.TemporaryDirectory(prefix="downstroke-bench-") as home, ExitStack() as servers:
        addresses = {"studio": servers.enter_context(_studio(Path(home)))}
        if all(find_spec(package) for package in ("onnx", "onnxscript", "onnxruntime")):
            addresses["plain FastAPI and ONNX Runtime"] = servers.enter_context(_plain(Path(home)))
        else:
            say(f"ONNX Runtime is not here, so the studio is measured alone; to have it: {to_install('onnx')}")
        loads = {name: Load() for name in addresses}
        for address in addresses.values():
            asyncio.run(_load(address, asked, clients, WARM_UP_S, Load()))
        for _ in range(TURNS):
            for name, address in addresses.items():
                asyncio.run(_load(address, asked, clients, seconds / TURNS, loads[name]))
        for name, load in loads.items():
            figures[name] = load.figures()
            say(f"{name}: {_told(figures[name])}")
        figures["healthz while training"] = asyncio.run(_health(addresses["studio"], seconds / TURNS))
        say(f"/healthz while training: {_told(figures['healthz while training'])}")
    output_json(out, figures)
    return figures


def _told(figures: dict[str, Any]) -> str:
    named = {"requests_per_second": "requests/s", "p50_ms": "p50 ms", "p99_ms": "p99 ms", "errors": "errors"}
    return ", ".join(f"{name} {figures[key]:.4g}" for key, name in named.items() if key in figures)


async def _load(address: Address, asked: Asked, clients: int, seconds: float, load: Load) -> None:
    """`clients` connections at once, each asking again as soon as it is answered, with a picture of its own turn."""
    end = time.perf_counter() + seconds
    async with asyncio.TaskGroup() as group:
        for first in range(clients):
            group.create_task(_client(address, asked, range(first, 1 << 30, clients), end, load))
    load.seconds += seconds


async def _client(address: Address, asked: Asked, turns: range, end: float, load: Load) -> None:
    reader, writer = await asyncio.open_connection(*address)
    for turn in turns:
        if time.perf_counter() >= end:
            break
        index = turn % len(asked.requests)
        try:
            began = time.perf_counter()
            status, answer = await _ask(reader, writer, asked.requests[index])
            load.latencies.append(time.perf_counter() - began)
        except (OSError, EOFError):
            load.errors += 1
            reader, writer = await asyncio.open_connection(*address)
            continue
        load.errors += status != 200
        load.wrong += status == 200 and not asked.fits(index, answer)
    writer.close()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)


async def _health(address: Address, seconds: float) -> dict[str, Any]:
    """Ask /healthz fifty times a second while a training runs; the training is stopped afterwards."""
    reader, writer = await asyncio.open_connection(*address)
    body = json.dumps({"recipe": "standard", "epochs": 100, "name": "load"})
    status, answer = await _ask(reader, writer, _request("POST", "/api/runs", body))
    if status != 201:
        raise DownstrokeError(f"no training could be started: {answer.decode()}")
    progress = None
    while progress is None:
        await asyncio.sleep(0.2)
        shown = json.loads((await _ask(reader, writer, _request("GET", "/api/runs/load")))[1])
        progress = shown["progress"]
        if shown["state"] == "failed":
            raise DownstrokeError(f"the training failed: {shown['error']}")
    load, began = Load(), time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        status, _ = await _ask(reader, writer, _request("GET", "/healthz"))
        load.latencies.append(time.perf_counter() - now)
        load.errors += status != 200
        await asyncio.sleep(0.02)
    after = json.loads((await _ask(reader, writer, _request("GET", "/api/runs/load")))[1])["progress"]
    await _ask(reader, writer, _request("POST", "/api/runs/load/stop", "{}"))
    while json.loads((await _ask(reader, writer, _request("GET", "/api/runs/load")))[1])["state"] == "training":
        await asyncio.sleep(0.2)
    writer.close()
    load.seconds = seconds
    figures = load.figures()
    del figures["wrong"], figures["requests_per_second"]
    return {**figures, "training_steps": after["step"] - progress["step"]}


def _request(method: str, path: str, body: str = "") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n\r\n"
    )
    return head.encode() + body.encode()


@contextmanager
def _studio(home: Path) -> Iterator[Address]:
    command = [sys.executable, "-m", "downstroke", "studio", "--no-browser", "--json", "--token", TOKEN]
    with _process([*command, "--runs-dir", str(home / "runs")]) as process:
        assert process.stdout
        said = ""
        while not said.endswith("}\n"):
            line = process.stdout.readline()
            if not line:
                raise DownstrokeError("the studio did not start; what it said is above")
            said += line
        url = urlsplit(json.loads(said)["url"])
        assert url.hostname
        assert url.port
        yield url.hostname, url.port


@contextmanager
def _plain(home: Path) -> Iterator[Address]:
    from downstroke.bench.inference import onnx_reader
    from downstroke.reading.shipped import shipped

    onnx_reader(shipped().network, home / "reader.onnx")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "downstroke.bench.plain_server", str(home / "reader.onnx"), str(port)]
    with _process(command) as process:
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield "127.0.0.1", port


@contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
