"""The files of jobs: a stranger's are shown at most and never acted upon; one's own outlive the studio."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import downstroke
from downstroke.errors import DownstrokeError
from downstroke.recipe import Recipe
from downstroke.runs import files
from downstroke.studio import jobs as jobs_room
from downstroke.studio.errors import Refused
from downstroke.studio.jobs import Job, Jobs
from downstroke.studio.views import Views

LOST: dict[str, Any] = Recipe(data="/no/such/data", epochs=1).to_dict()  # a training of it fails as it begins


@pytest.fixture
def runs(tiny: Path, tmp_path: Path) -> Path:
    """A folder with one run, `good`."""
    fields: dict[str, Any] = {"model": "linear", "train_size": 64, "val_size": 50, "epochs": 1}
    downstroke.train(data=str(tiny), runs_dir=tmp_path / "runs", name="good", progress=False, **fields)
    (tmp_path / "runs" / ".studio").mkdir()
    return tmp_path / "runs"


def put(runs: Path, file: str = "q1", **fields: Any) -> Path:
    """A job's file as a stranger writes it."""
    path = runs / ".studio" / f"{file}.job.json"
    job = {"name": file, "action": "train", "recipe": LOST, "goal": 2, "status": "queued", "order": 1}
    path.write_text(json.dumps({**job, **fields}))
    return path


def shown(jobs: Jobs) -> dict[str, str]:
    return {run["name"]: run["state"] for run in Views(jobs).runs()["runs"]}


@pytest.mark.parametrize(
    "fields",
    [
        {"recipe": {**LOST, "model": "evil:model"}},
        {"recipe": {**LOST, "criterion": "evil:model"}},
        {"recipe": LOST},
        {"recipe": LOST, "signature": "0" * 64},
        {"name": "../../victim"},
        {"name": "good"},
        {"file": "good", "action": "continue", "epochs": 5},
        {"file": "good", "action": "continue", "status": "running", "pid": 1, "began": 1},
    ],
)
def test_nothing_that_a_stranger_queued_is_started_or_written(
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    fields: dict[str, Any],
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(jobs_room.subprocess, "Popen", lambda *command, **more: started.append(command))
    path = put(runs, **fields)
    before = {file: file.read_bytes() for file in runs.parent.rglob("*") if file.is_file()}
    with Jobs(runs) as jobs:
        time.sleep(3 * jobs_room.TICK_S)
        assert jobs.all() == {}
        assert shown(jobs) == {"good": "idle"}
        with pytest.raises(Refused):
            jobs.ask("good", "pause")
    assert started == []
    after = {file: file.read_bytes() for file in runs.parent.rglob("*") if file.is_file()}
    after.pop(runs / ".studio" / ".lock")
    assert after == before
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"{path} is ignored: ")


def test_what_this_user_queued_is_started_by_the_next_studio_but_not_in_a_copy(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torch.py").write_text("open('ran', 'w').close()")
    Jobs(runs)._write(Job("mine", "train", LOST, 1))  # as a studio leaves it that is killed while it waits
    copy = Path(shutil.copytree(runs, tmp_path / "copy"))
    with Jobs(copy) as jobs:
        assert jobs.all() == {}
    with Jobs(runs) as jobs:
        assert list(jobs.all()) == ["mine"]
        for _ in range(600):
            if jobs.all()["mine"].status == "ended":
                break
            time.sleep(0.05)
        assert "no such file or folder" in str(jobs.all()["mine"].error)
    assert not (tmp_path / "ran").exists(), "what lies in the studio's own folder is not imported for that"


def test_a_job_that_was_changed_is_not_one_of_this_user(runs: Path) -> None:
    Jobs(runs)._write(Job("mine", "train", LOST, 1))
    path = runs / ".studio" / "mine.job.json"
    files.write_json(path, {**files.read_json(path), "recipe": {**LOST, "data": "/another"}})
    with Jobs(runs) as jobs:
        assert jobs.all() == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"recipe": {}, "error": "x", "status": "ended"},
        {"name": "../x", "error": "x", "status": "ended"},
        {"order": "x", "status": "ended"},
        {"name": ["b"], "status": "ended"},
        {"recipe": 3, "goal": "x", "status": "ended", "error": ["x"], "action": "continue"},
        {"status": "ended", "pid": -1},
        {"status": "ended", "order": 10**400},
        {"status": "ended", "action": "export"},
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_one_file_of_a_job_hides_no_run_and_stops_no_studio(
    runs: Path, fields: dict[str, Any], *, read_only: bool
) -> None:
    put(runs, "whole", status="ended", error="it failed", order=2)
    put(runs, "b", **fields)
    with Jobs(runs, read_only=read_only) as jobs:
        found = shown(jobs)
    assert found.pop("b", "failed") == "failed"
    assert found == {"whole": "failed", "good": "idle"}


def test_a_home_or_a_log_that_is_a_link_is_not_written_through(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (runs / ".studio" / "mine.log").symlink_to(tmp_path / "victim")
    Jobs(runs)._write(Job("mine", "train", LOST, 1))
    with Jobs(runs) as jobs:
        for _ in range(600):
            if jobs.all()["mine"].status == "ended":
                break
            time.sleep(0.05)
    assert (tmp_path / "victim").read_text() == "kept"
    shutil.rmtree(runs / ".studio")
    (tmp_path / "elsewhere").mkdir()
    (runs / ".studio").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DownstrokeError, match="is a link"), Jobs(runs):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []
