"""One run on several processes, started by torchrun on this machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import downstroke
from downstroke.api import Run
from downstroke.learning.distributed import World
from downstroke.runs import checkpoint

FIELDS = ["--model", "mlp", "--batch-size", "63", "--val-size", "50", "--optimizer", "nesterov", "--lr", "0.02"]


def torchrun(processes: int, *args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes), "-m", "downstroke"]
    return subprocess.run([*command, *map(str, args)], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 128])
def test_the_parts_of_a_batch_are_disjoint_and_whole(size: int, count: int) -> None:
    things = list(range(count))
    parts = [things[World(rank, size).part(count)] for rank in range(size)]
    assert [thing for part in parts for thing in part] == things
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_two_processes_learn_what_one_learns(tiny: Path, tmp_path: Path) -> None:
    """600 images in batches of 63: uneven parts, and a last batch of 33. W agrees to float rounding, and so do losses.

    The bound: 60 steps, each of which adds its rounding of about 1e-7 of a weight of size 0.1.
    """
    train = ["train", "--data", tiny, *FIELDS, "--runs-dir", tmp_path]
    done = torchrun(2, *train, "--epochs", 4, "--name", "two", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)  # one process alone speaks
    assert said["epochs"] == 4
    assert "epoch 4" in done.stderr
    continued = torchrun(2, "continue", "two", "--epochs", 2, "--runs-dir", tmp_path)
    assert continued.returncode == 0, continued.stderr
    two = Run.open("two", tmp_path)
    assert two.environment["processes"] == 2

    one = downstroke.train(two.recipe.replace(epochs=6), runs_dir=tmp_path, name="one")
    mine, theirs = (checkpoint.load(run.folder, "last").tensors["model"] for run in (one, two))
    for key in mine:
        torch.testing.assert_close(mine[key], theirs[key], rtol=0, atol=2e-5)
    for a, b in zip(one.history, two.history, strict=True):
        assert (a.epoch, a.step, a.accuracy, a.val_accuracy) == (b.epoch, b.step, b.accuracy, b.val_accuracy)
        assert a.batch_loss == pytest.approx(b.batch_loss, abs=1e-5)
        assert a.val_loss == pytest.approx(b.val_loss, abs=1e-5)

    two.extend(epochs=1)  # on one process
    assert any("processes was 2 and is 1" in notice for notice in two.notices)
    assert two.summary()["epochs"] == 7


def test_an_error_of_the_recipe_ends_all_processes(tmp_path: Path) -> None:
    done = torchrun(2, "train", "--model", "nosuch", "--runs-dir", tmp_path)
    assert done.returncode != 0
    assert "no model 'nosuch'" in done.stderr
    assert list(tmp_path.iterdir()) == []
