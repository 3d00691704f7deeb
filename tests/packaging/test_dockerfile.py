"""The Dockerfile without Docker: what it names exists, and its own steps, run in an empty folder, make a server."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from downstroke.data.dataset import Dataset

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


@dataclass
class Stage:
    """What stands between one FROM and the next."""

    base: str
    name: str = ""
    steps: list[tuple[str, str]] = field(default_factory=list)  # (instruction, the rest of its line)

    def last(self, instruction: str) -> str:
        return [rest for one, rest in self.steps if one == instruction][-1]


def stages() -> list[Stage]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    found: list[Stage] = []
    for line in filter(None, map(str.strip, lines.splitlines())):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name))
        else:
            found[-1].steps.append((instruction, rest.strip()))
    return found


def copied(rest: str) -> tuple[str | None, list[str], str]:
    """COPY [--from=STAGE] SOURCE... TARGET."""
    words = shlex.split(rest)
    stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
    return stage, words[:-1], words[-1]


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored, "what is not named stays out of the build: runs, data, .git"
    kept = {line[1:] for line in ignored if line.startswith("!")}
    sources = set()
    for stage in stages():
        for instruction, rest in stage.steps:
            if instruction == "COPY" and copied(rest)[0] is None:
                sources |= set(copied(rest)[1])
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
    assert {Path(source).parts[0] for source in sources} == kept
    assert all((ROOT / name).exists() for name in kept)


def test_what_run_lines_name_was_copied_before() -> None:
    for stage in stages():
        there: set[str] = set()
        for instruction, rest in stage.steps:
            if instruction == "COPY":
                _, sources, target = copied(rest)
                there |= {str(Path(target) / Path(source).name) for source in sources}
            if instruction == "RUN":
                named = set(re.findall(r"\S+\.(?:txt|toml)\b", rest))
                assert named <= there, (rest, there)
    lock = re.findall(r"^-c (\S+)", (ROOT / "requirements" / "server.txt").read_text(encoding="utf-8"), re.M)
    assert lock == ["../constraints.txt"]


def test_what_is_served_from_has_no_root_no_secret_and_a_health_check() -> None:
    *_, last = stages()
    assert int(last.last("USER").partition(":")[0]) > 0
    assert "/healthz" in last.last("HEALTHCHECK")
    assert last.last("STOPSIGNAL") == "SIGTERM"
    assert "--read-only" in json.loads(last.last("ENTRYPOINT"))
    assert not [
        step for stage in stages() for step in stage.steps if re.search(r"(?i)token|secret|password", str(step))
    ]
    assert not [step for step in last.steps if step[0] == "RUN"], "a step in the last stage that this test does not run"
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    assert "read_only: true" in compose
    assert "${DOWNSTROKE_TOKEN:?" in compose, "the token comes from whoever starts it"
    assert {stage.base for stage in stages()} == {"python:3.11-slim"}


def test_what_is_run_on_a_disk_that_is_read_only_has_a_place_for_large_uploads() -> None:
    documents = [ROOT / "Dockerfile", ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    lines = [line for path in documents for line in path.read_text(encoding="utf-8").splitlines()]
    runs = [line for line in lines if "docker run" in line and "--read-only" in line]
    assert runs
    assert all("--tmpfs /tmp" in line for line in runs)
    assert "tmpfs: [/tmp]" in (ROOT / "compose.yaml").read_text(encoding="utf-8")


class Machine:
    """A folder in the place of an image's root: the absolute paths of a stage's steps lie below it."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder, self.directory = folder, folder
        self.environment = {"PATH": f"{base}{os.pathsep}/usr/bin{os.pathsep}/bin", "HOME": str(folder)}
        self.environment |= {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_"))}
        folder.mkdir()

    def inside(self, text: str) -> str:
        return re.sub(r"(?<![\w./:])/(?=(?:opt|build|runs)\b)", f"{self.folder}/", text)

    def do(self, instruction: str, rest: str, others: dict[str, Machine]) -> None:
        if instruction == "WORKDIR":
            self.directory = Path(self.inside(rest))
            self.directory.mkdir(parents=True, exist_ok=True)
        elif instruction == "COPY":
            stage, sources, target = copied(rest)
            for source in sources:
                path = Path(others[stage].inside(source)) if stage else ROOT / source
                goal = self.directory / self.inside(target)
                if path.is_dir():
                    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
                    shutil.copytree(path, goal, symlinks=True, ignore=left_out, dirs_exist_ok=True)
                else:
                    goal.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, goal)
        elif instruction == "ENV":
            self.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        elif instruction == "RUN":
            step = ["sh", "-c", self.inside(rest)]
            done = subprocess.run(
                step, cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{rest}\n{done.stderr}"
        else:
            assert instruction in ("USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT"), instruction


def padded(image: np.ndarray, folder: Path) -> bytes:
    """A picture of 3 MB: unlike a small one it lies in a temporary file while it is read."""
    notes = PngInfo()
    notes.add_text("notes", "-" * 3_000_000)
    Image.fromarray(image).save(folder / "large.png", pnginfo=notes)
    return (folder / "large.png").read_bytes()


def form(picture: bytes) -> tuple[bytes, str]:
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    return head + picture + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"


@pytest.mark.slow
def test_the_steps_of_the_dockerfile_make_a_server_that_reads(
    tmp_path: Path, mnist: Dataset, asked: Callable[..., tuple[int, bytes]]
) -> None:
    base = tmp_path / "base"
    subprocess.run([sys.executable, "-m", "venv", base], check=True)
    machines: dict[str, Machine] = {}
    for number, stage in enumerate(stages()):
        machine = machines[stage.name] = Machine(tmp_path / f"stage-{number}", base / "bin")
        for instruction, rest in stage.steps:
            machine.do(instruction, rest, machines)
    last = stages()[-1]
    # A venv cannot be moved, and an image does not move it; here the first stage's folder is where it was made.
    made, served = machines["built"], machines[""]
    size = sum(path.stat().st_size for path in (served.folder / "opt").rglob("*") if path.is_file())
    assert size < 270e6, f"{size / 1e6:.0f} MB, to which python:3.11-slim adds some 125"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    command = [made.inside(word).replace("8000", port) for word in json.loads(last.last("ENTRYPOINT"))]
    health = json.loads(last.last("HEALTHCHECK").partition("CMD")[2])
    healthy = [made.inside(word).replace("8000", port) for word in health]
    token = "not-in-any-layer"
    before = set(served.folder.rglob("*")) | set(made.folder.rglob("*"))
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            command, cwd=served.folder, env=served.environment | {"DOWNSTROKE_TOKEN": token}, stdout=log, stderr=log
        ) as server,
    ):
        try:
            end = time.monotonic() + PATIENCE_S
            while subprocess.run(healthy, env=served.environment, capture_output=True, check=False).returncode:
                assert time.monotonic() < end, (tmp_path / "log").read_text()
                time.sleep(0.2)
            url = f"http://127.0.0.1:{port}"
            assert asked(f"{url}/healthz")[0] == 200
            Image.fromarray(mnist.test.images[0]).save(tmp_path / "seven.png")
            picture = (tmp_path / "seven.png").read_bytes()
            assert asked(f"{url}/api/read", body=picture)[0] == 401
            status, answer = asked(f"{url}/api/read", token, picture)
            assert (status, json.loads(answer)["readings"][0]["lines"][0]["text"]) == (200, "7"), answer
            status, answer = asked(f"{url}/api/read", token, *form(padded(mnist.test.images[0], tmp_path)))
            assert (status, json.loads(answer)["readings"][0]["lines"][0]["text"]) == (200, "7"), answer
            server.terminate()
            server.wait(PATIENCE_S)
        finally:
            server.kill()
    assert token not in (tmp_path / "log").read_text(), "the log of a container is read by others"
    assert set(served.folder.rglob("*")) | set(made.folder.rglob("*")) == before, "it writes nothing to its own disk"
