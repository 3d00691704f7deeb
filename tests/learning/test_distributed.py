"""One run on several processes, started by torchrun on this machine."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import downstroke
from downstroke.api import Run
from downstroke.learning.distributed import World
from downstroke.runs import checkpoint

FIELDS = ["--model", "mlp", "--batch-size", "63", "--uncertain", "1", "--val-size", "50", "--optimizer", "nesterov"]
FIELDS += ["--lr", "0.02"]


def torchrun(processes: int, *args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes), "-m", "downstroke"]
    return subprocess.run([*command, *map(str, args)], capture_output=True, text=True, timeout=300, check=False)


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
    done = torchrun(2, *train, "--epochs", 6, "--name", "two", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)  # one process alone speaks
    assert said["epochs"] == 6
    assert "epoch 6" in done.stderr
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


@pytest.mark.slow
def test_an_error_of_the_recipe_ends_all_processes(tmp_path: Path) -> None:
    done = torchrun(2, "train", "--model", "nosuch", "--runs-dir", tmp_path)
    assert done.returncode != 0
    assert "no model 'nosuch'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def rank_pids(launcher: int) -> dict[int, int]:
    """The process id of each rank that this torchrun started."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile
            continue
        ranks = [int(variable[5:]) for variable in variables if variable.startswith(b"RANK=")]
        if parent == launcher and ranks:
            found[ranks[0]] = int(process.name)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_ends_the_job_by_name_and_the_run_goes_on_with_another_number(
    tiny: Path, tmp_path: Path, victim: int
) -> None:
    train = ["train", "--data", tiny, *FIELDS, "--runs-dir", tmp_path, "--epochs", 100_000, "--name", "run"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "downstroke", *train]
    with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True) as job:
        until = time.monotonic() + 120
        while not ((tmp_path / "run" / "recipe.json").exists() and len(Run.open("run", tmp_path).history) >= 3):
            assert job.poll() is None, job.stderr.read() if job.stderr else ""
            assert time.monotonic() < until
            time.sleep(0.05)
        killed = rank_pids(job.pid)[victim]
        os.kill(killed, signal.SIGKILL)
        _, said = job.communicate(timeout=300)
    assert job.returncode != 0
    assert f"local_rank: {victim} (pid: {killed})" in said
    assert "Signal 9 (SIGKILL)" in said

    run = Run.open("run", tmp_path)
    before = list(run.history)
    done = checkpoint.load(run.folder, "last").state["position"]["epoch"]
    assert len(before) >= 3
    assert done >= len(before) - 1  # the checkpoint follows its row in the history
    continued = torchrun(3, "continue", "run", "--epochs", 2, "--runs-dir", tmp_path)
    assert continued.returncode == 0, continued.stderr
    assert "processes was 2 and is 3" in continued.stderr
    after = list(Run.open("run", tmp_path).history)
    assert after[:done] == before[:done]
    assert [row.epoch for row in after] == list(range(1, done + 3))


@pytest.mark.slow
def test_with_batch_statistics_two_processes_reach_the_val_loss_of_one(tmp_path: Path) -> None:
    """Each normalises its own 64 of a batch's 128. Paired by seed: that changes less than another seed does.

    It is not nothing: docs/scaling.md has the figures.
    """
    fields = ["textbook", "--train-size", 4000, "--val-size", 2000, "--epochs", 3, "--threads", 1]
    differences, alone = [], []
    for seed in range(6):
        arguments = [*fields, "--seed", seed, "--runs-dir", tmp_path, "--name"]
        done = torchrun(2, "train", *arguments, f"two-{seed}")
        assert done.returncode == 0, done.stderr
        command = [sys.executable, "-m", "downstroke", "train", *map(str, arguments), f"one-{seed}"]
        subprocess.run(command, capture_output=True, check=True)
        one, two = (Run.open(f"{name}-{seed}", tmp_path).history[-1].val_loss for name in ("one", "two"))
        alone.append(one)
        differences.append(two - one)
    mean, error = statistics.mean(differences), statistics.stdev(differences) / len(differences) ** 0.5
    print(
        f"val loss of one {statistics.mean(alone):.4f} (spread {statistics.stdev(alone):.4f}); "
        f"two less one {mean:+.4f} (standard error {error:.4f}): {[round(d, 4) for d in differences]}"
    )
    assert abs(mean) < statistics.stdev(alone)
