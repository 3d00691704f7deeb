"""`make test` runs each of its parts and fails if any did; `make check` and CI run the same, fastest first."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="no make here")


def make_test(folder: Path, fails: str, *variables: str) -> tuple[bool, list[str]]:
    """`make test` with a Python that writes down its arguments and fails where they hold `fails`; (passed, calls)."""
    python, calls, ready = folder / "python", folder / "calls", folder / "ready"
    python.write_text(f'#!/bin/sh\necho "$@" >> "{calls}"\ncase " $* " in *" {fails} "*) exit 1;; esac\n')
    python.chmod(0o755)
    ready.touch()
    clean = {name: value for name, value in os.environ.items() if name not in ("ARGS", "MAKEFLAGS", "MFLAGS")}
    command = [str(MAKE), "test", f"BIN={folder}", f"READY={ready}", *variables]
    ran = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    return ran.returncode == 0, calls.read_text().splitlines()


@pytest.mark.parametrize("fails", ["-n", "pytest tests/studio/test_openapi.py", "nothing"])
def test_every_part_runs_and_any_failure_fails_the_whole(tmp_path: Path, fails: str) -> None:
    passed, calls = make_test(tmp_path, fails)
    assert [call.split()[-1] for call in calls] == ["tests/studio/test_openapi.py"] * 2
    assert sorted("--ignore" in call for call in calls) == [False, True]  # beside each other: either may be first
    assert passed == (fails == "nothing")


@pytest.mark.parametrize("fails", ["tests/test_one.py", "nothing"])
def test_with_args_it_does_what_they_say_and_no_more(tmp_path: Path, fails: str) -> None:
    passed, calls = make_test(tmp_path, fails, "ARGS=-x tests/test_one.py")
    assert calls == ["-m pytest -x tests/test_one.py"]
    assert passed == (fails == "nothing")


def test_help_names_every_target() -> None:
    said = subprocess.run([str(MAKE), "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))
    assert {line.split()[1] for line in said.splitlines() if line.startswith("make ")} >= set(phony.split()[1:])


def test_check_and_ci_run_lint_then_types_then_test() -> None:
    planned = subprocess.run([str(MAKE), "-n", "check"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tools = ["ruff check", "ruff format", "mypy", "pytest"]
    assert [planned.index(tool) for tool in tools] == sorted(planned.index(tool) for tool in tools)
    parts = [line.removeprefix("part make ") for line in (ROOT / ".ci/run").read_text().splitlines() if "make " in line]
    assert parts[-3:] == ["lint", "types", "test"]
