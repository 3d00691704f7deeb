"""examples/read_on_a_cluster.py: two workers make the table that the command makes, also when one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from downstroke.cli import main
from downstroke.data.dataset import Dataset

EXAMPLE = Path(__file__).parents[2] / "examples" / "read_on_a_cluster.py"
PATIENCE_S = 200


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here, so the workers cannot be found")
def test_two_workers_make_the_same_table_and_a_killed_ones_files_are_read_again(
    mnist: Dataset, tmp_path: Path, workers_of: Callable[[int], list[int]]
) -> None:
    pytest.importorskip("distributed")
    scans = tmp_path / "scans"
    scans.mkdir()
    for index in range(60):
        Image.fromarray(255 - mnist.train.images[index]).resize((120, 120)).save(scans / f"{index:02}.png")
    (scans / "17-bad.png").write_bytes(b"no picture")
    command = [sys.executable, str(EXAMPLE), "scans", "cluster.csv"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as program:
        table, end = tmp_path / "cluster.csv", time.monotonic() + PATIENCE_S
        while not table.exists() or len(table.read_text().splitlines()) < 2:
            assert time.monotonic() < end
            assert program.poll() is None, program.stdout and program.stdout.read()
            time.sleep(0.01)
        rows = len(table.read_text().splitlines())
        os.kill(workers_of(program.pid)[0], signal.SIGKILL)
        said, _ = program.communicate(timeout=PATIENCE_S)
    assert program.returncode == 0, said
    assert rows < 61, "all was read before a worker could be killed"
    assert "17-bad.png: not a picture" in said
    with pytest.MonkeyPatch.context() as place:
        place.chdir(tmp_path)
        assert CliRunner().invoke(main, ["read", "scans", "--csv", "alone.csv"]).exit_code == 1
    assert table.read_text() == (tmp_path / "alone.csv").read_text()
