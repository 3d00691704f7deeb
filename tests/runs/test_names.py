"""Names of runs, and commands that name one."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from downstroke.advice import words
from downstroke.errors import RunError
from downstroke.runs import names
from downstroke.runs.run import Run


@pytest.mark.parametrize("name", ["CON", "con", "nul.txt", "Com1", "LPT9.a.b", "aux", "calm.", "calm ", " calm", "."])
def test_a_name_that_is_no_folder_on_every_system_is_refused(name: str) -> None:
    with pytest.raises(RunError, match="run name"):
        names.checked(name)


@pytest.mark.parametrize("name", ["console", "con-1", "com10", "nullable", "calm-otter", "a.b"])
def test_a_name_that_only_begins_like_a_device_is_taken(name: str) -> None:
    assert names.checked(name) == name


@pytest.mark.parametrize("verdict", ["continue", "too-early", "plateau", "overfitting"])
def test_a_command_reaches_the_run_whatever_its_path_holds(verdict: str, tmp_path: Path) -> None:
    folder = tmp_path / "my runs; it's $HOME" / "calm-otter"
    command = words.command(verdict, Run(folder).typed, 2)
    assert command is not None
    assert shlex.split(command)[2] == str(folder)
