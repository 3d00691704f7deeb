"""`studio --read-only --workers N`: each gets the answer to its own picture, also when a worker is killed."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from click.testing import CliRunner

from downstroke.cli import main
from downstroke.data.dataset import Dataset
from downstroke.reading.reader import Reader

pytest.importorskip("fastapi", reason="no fastapi, so the studio is not tested")
PATIENCE_S = 60


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A read-only studio of two workers, in a process group of its own: the process that was started, host and port."""
    command = [sys.executable, "-m", "downstroke", "studio", "--read-only", "--workers", "2", "--no-browser", "--json"]
    with subprocess.Popen(
        [*command, "--runs-dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        said = ""
        while not said.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            said += line
        yield process, urlsplit(json.loads(said)["url"]).netloc
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def read(address: str, glyph: Any) -> list[float]:
    """The probabilities that the studio gives; asked once more where the connection breaks."""
    body = json.dumps({"images": [base64.b64encode(png(glyph)).decode()], "digit": True})
    for last in (False, True):
        connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
        try:
            connection.request("POST", "/api/read", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            found: list[float] = json.loads(answer.read())["readings"][0]["lines"][0]["digits"][0]["probabilities"]
            return found
        except (OSError, http.client.HTTPException):
            if last:
                raise
        finally:
            connection.close()
    raise AssertionError


def png(glyph: Any) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", glyph)[1])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here, so the workers cannot be found")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_workers_answer_each_its_own_picture_and_a_killed_one_is_started_again(
    studio: tuple[subprocess.Popen[str], str],
    mnist: Dataset,
    ending: signal.Signals,
    workers_of: Callable[[int], list[int]],
) -> None:
    process, address = studio
    before = workers_of(process.pid)
    assert len(before) == 2
    glyphs = mnist.train.images[:40]
    with ThreadPoolExecutor(8) as clients:
        asked = clients.map(lambda glyph: read(address, glyph), glyphs)
        os.kill(before[0], signal.SIGKILL)
        found = np.array(list(asked))
    expected = [Reader.shipped().read(png(glyph), digit=True).lines[0].digits[0].probabilities for glyph in glyphs]
    assert np.allclose(found, expected, atol=1e-4)
    end = time.monotonic() + PATIENCE_S
    while len(now := set(workers_of(process.pid)) - {before[0]}) < 2 and time.monotonic() < end:
        time.sleep(0.1)
    assert len(now) == 2
    assert before[1] in now
    (os.killpg if ending is signal.SIGINT else os.kill)(process.pid, ending)  # as a terminal and as a supervisor do
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == (130 if ending is signal.SIGINT else -signal.SIGTERM)
    assert "Traceback" not in said
    assert said.count("is started again") == 1
    assert workers_of(process.pid) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in now)


def test_several_workers_are_for_a_studio_that_is_read_only(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["studio", "--workers", "2", "--no-browser", "--runs-dir", str(tmp_path)])
    assert (done.exit_code, "add --read-only" in done.stderr) == (1, True)
