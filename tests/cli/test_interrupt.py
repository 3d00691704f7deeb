"""Ctrl-C while the program is still being loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

INTERRUPTED_AT = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
sys.argv[2:] = ["train", "--help"]
runpy.run_module("downstroke", run_name="__main__")
"""


@pytest.mark.parametrize("loading", ["downstroke.cli", "click", "downstroke.recipe", "downstroke.cli.studio"])
def test_ctrl_c_while_loading_is_one_line_and_130(loading: str) -> None:
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED_AT, loading], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "interrupted\n")


def test_next_to_nothing_is_imported_before_ctrl_c_is_heard() -> None:
    # As the script that pip installs begins: with re and sys.
    script = "import re, sys; before = {*sys.modules}; import downstroke.__main__; print(*{*sys.modules} - before)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    ours = {"downstroke", "downstroke.errors", "downstroke.__main__", "__future__", "signal", "types"}
    assert set(ended.stdout.split()) <= ours
