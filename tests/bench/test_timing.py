"""What the benches share to time programs."""

from __future__ import annotations

import sys

import pytest

from downstroke.bench.timing import timed


def test_a_program_that_is_timed_keeps_its_bytecode_also_where_the_bench_was_told_not_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    _, said = timed([sys.executable, "-c", "import sys; print(sys.dont_write_bytecode)"])
    assert said.strip() == "False"
