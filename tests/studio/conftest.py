"""A studio that serves, for the tests of its page in one browser and another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import downstroke


@pytest.fixture(scope="module")
def studio(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A studio with runs `one`, `two` and `smooth`, of the same val images; {url, runs}."""
    runs = tmp_path_factory.mktemp("studio") / "runs"
    fields = {"runs_dir": runs, "data": str(tiny), "model": "mlp", "val_size": 200, "epochs": 3}
    downstroke.train("textbook", name="one", optimizer="adam", **fields)
    downstroke.train("textbook", name="two", seed=1, **fields)
    downstroke.train("textbook", name="smooth", label_smoothing=0.1, **fields)
    command = [sys.executable, "-m", "downstroke", "studio", "--no-browser", "--json", "--runs-dir", str(runs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        said = ""
        while not said.rstrip().endswith("}"):
            line = server.stdout.readline()
            assert line, "the studio ended before it served"
            said += line
        yield {"url": json.loads(said)["url"], "runs": str(runs)}
        server.terminate()
    for job in (runs / ".studio").glob("*.job.json"):  # trainings outlive the studio
        if pid := json.loads(job.read_text())["pid"]:
            with suppress(ProcessLookupError):  # its test killed it, and the studio has not looked since
                os.kill(pid, signal.SIGKILL)
