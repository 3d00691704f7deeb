"""`read --jobs N`: several processes read as one does, in order, whatever happens to one of them."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import downstroke
from downstroke.cli import main
from downstroke.data.dataset import Dataset
from downstroke.reading.processes import AHEAD

KILLER = """
import os

import torch
from torch import nn


class Killer(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(784, 10)

    def forward(self, x):
        if "KILL" in os.environ and float((x > 0).float().mean()) > 0.29:
            os._exit(7)
        return self.out(x.flatten(1))
"""


@pytest.fixture(scope="module")
def pictures(mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven pictures of a digit each, and in their midst one that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(7):
        Image.fromarray(255 - mnist.train.images[index]).resize((80, 80)).save(folder / f"{index}.png")
    (folder / "3-bad.png").write_bytes(b"no picture")
    return folder


def test_several_processes_read_what_one_reads_in_the_same_order(pictures: Path) -> None:
    done = [CliRunner().invoke(main, ["read", str(pictures), "--json", "--jobs", jobs]) for jobs in ("1", "2")]
    assert [one.exit_code for one in done] == [1, 1]  # one picture is bad
    assert done[0].stderr == done[1].stderr
    told = [json.loads(one.stdout) for one in done]
    # Not to the last bit: where torch has been loaded it reads, and new processes read with NumPy.
    kept = [[(one["file"], one["error"], [line["text"] for line in one["lines"]]) for one in each] for each in told]
    assert kept[0] == kept[1]
    errors = [Path(one["file"]).name for one in told[1] if one["error"]]
    assert errors == ["3-bad.png"]
    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed_costs_no_reading_and_few_pictures_are_held(pictures: Path) -> None:
    paths = [str(path) for path in sorted(pictures.iterdir())] * 4
    taken = 0

    def asked() -> Iterator[str]:
        nonlocal taken
        for path in paths:
            taken += 1
            yield path

    found = []
    for reading in downstroke.Reader.shipped().read_all(asked(), digit=True, jobs=2):
        found.append(reading)
        assert taken - len(found) < 2 * AHEAD
        if len(found) == 2:
            killed = multiprocessing.active_children()[0]
            os.kill(killed.pid or 0, signal.SIGKILL)
    assert [reading.file for reading in found] == paths
    assert sum(reading.error is not None for reading in found) == 4


def test_a_picture_that_ends_every_process_is_left_out_and_the_rest_are_read(
    pictures: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_killer.py").write_text(KILLER)
    monkeypatch.syspath_prepend(tmp_path)
    fields = {"model": "own_killer:Killer", "data": str(tiny), "train_size": 64, "val_size": 50}
    run = downstroke.train("textbook", epochs=1, runs_dir=tmp_path / "runs", progress=False, **fields)
    comb = np.full((80, 80), 255, np.uint8)
    comb[20:60:4, 20:60] = 0
    comb[20:60, 38:42] = 0  # more ink than a digit has, also when its strokes have been made finer
    Image.fromarray(comb).save(tmp_path / "comb.png")
    monkeypatch.setenv("KILL", "1")
    asked = [str(pictures / "0.png"), str(tmp_path / "comb.png"), str(pictures / "1.png")]
    readings = list(run.reader().read_all(asked, digit=True, jobs=2))
    assert [reading.file for reading in readings] == asked
    assert [reading.error is None for reading in readings] == [True, False, True]
    assert "the process that read it ended (exit code 7), 2 times; it is left out" in (readings[1].error or "")


def test_ctrl_c_ends_all_processes_with_one_line(pictures: Path, tmp_path: Path) -> None:
    asked = [str(pictures)] * 200
    command = [sys.executable, "-m", "downstroke", "read", *asked, "--digit", "--jobs", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()  # all of them are at it
        os.killpg(program.pid, signal.SIGINT)
        _, said = program.communicate(timeout=60)
    assert program.returncode == 130
    assert said.splitlines()[-1] == "interrupted"
    assert "Traceback" not in said
    assert ended(program.pid)


def ended(group: int) -> bool:
    """Whether nothing of a process group is left, after a moment for what the system does by itself."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_reader_that_was_made_of_a_function_reads_by_itself(pictures: Path) -> None:
    def logits(glyphs: Any) -> Any:
        return np.zeros((len(glyphs), 10), np.float32)

    reader = downstroke.Reader(logits, tuple("0123456789"))
    with pytest.raises(downstroke.RunError, match="leave jobs at 1"):
        list(reader.read_all([pictures / "0.png"], jobs=2))
