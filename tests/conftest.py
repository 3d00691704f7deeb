"""Tiny real data for all tests: a few hundred MNIST images in an .npz."""

import os
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

# One thread: the nets here are too small to share out, and threads that wait for each other on a busy machine are slow.
# Before torch is imported, and for the processes that tests start, too.
os.environ["OMP_NUM_THREADS"] = "1"
# The key that signs runs with a model of one's own: not the user's.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="downstroke-state-")

# A shell that runs the suite in the background lets it ignore Ctrl-C, and the programs that tests start inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest

from downstroke.data import sources
from downstroke.data.dataset import Dataset
from downstroke.runs.files import write_bytes
from downstroke.runs.run import LOSS_PICTURE, Run

# What a run writes is flushed to the disk, which saves it when power fails. No test can see that, and it waits for
# milliseconds, nine thousand times. Not in the processes that tests start.
os.fsync = lambda handle: None

#: The files that take longest. With two processes, one of them begun last would run alone at the end.
LONGEST = "studio/test_page.py runs/test_runs.py reading/test_fuzz.py studio/test_api.py docs/test_walk.py".split()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    place = {tests / name: index for index, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(autouse=True)
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing a picture takes longer than a tiny training: in rooms that show nothing, a byte stands in its place.

    Not in the processes that tests start, and not where a test is marked with `pictures`.
    """
    quiet = request.path.parent.name in {"runs", "learning", "data", "advice", "bench", "cli"}
    if quiet and not request.node.get_closest_marker("pictures"):
        monkeypatch.setattr("downstroke.show.losses.draw", _undrawn)
        monkeypatch.setattr("downstroke.show.look.confusion_picture", _undrawn_look)
        monkeypatch.setattr("downstroke.show.look.misread_picture", _undrawn_look)


def _undrawn(run: Run, path: Path | None = None) -> Path:
    return _undrawn_look(path or run.folder / LOSS_PICTURE)


def _undrawn_look(*of: object) -> Path:
    """The last of what it is called with is the path."""
    target = of[-1]
    assert isinstance(target, Path)
    write_bytes(target, b"-")
    return target


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    return sources.load("mnist")


@pytest.fixture(scope="session")
def tiny(mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """650 training and 200 test images: with 50 for val and batches of 64, an epoch is 10 steps, the last one short."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.npz"
    np.savez(
        path,
        x_train=mnist.train.images[:650],
        y_train=mnist.train.labels[:650],
        x_test=mnist.test.images[:200],
        y_test=mnist.test.labels[:200],
    )
    return path


@pytest.fixture(scope="session")
def workers_of() -> Callable[[int], list[int]]:
    """Of a process, by its id, those that it started with multiprocessing to work for it; needs /proc."""

    def found(pid: int) -> list[int]:
        workers = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                if parent == pid and b"spawn_main" in (stat.parent / "cmdline").read_bytes():
                    workers.append(int(stat.parent.name))
            except OSError:  # it has ended
                continue
        return workers

    return found
