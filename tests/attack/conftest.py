"""What an attack tried and what came of it, as a table at the end of `make test-slow`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

Tell = Callable[[str, str], None]
ROWS = pytest.StashKey[list[tuple[str, str, bool]]]()
CALLED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome: Any = yield
    if call.when == "call":
        item.stash[CALLED] = outcome.get_result().passed


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Iterator[Tell]:
    """Note what was tried, and what came of it; whether it held is whether the test passes."""
    rows: list[tuple[str, str]] = []
    yield lambda what, came: rows.append((what, came))
    held = request.node.stash.get(CALLED, False)
    told = request.config.stash.setdefault(ROWS, [])
    told += [(what, came, held) for what, came in rows or [(request.node.name, "nothing came of it")]]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    terminalreporter.section("what was tried, and what held")
    wide = max(len(what) for what, _, _ in rows)
    for what, came, held in rows:
        terminalreporter.write_line(f"{'held' if held else 'BROKE':5}  {what:{wide}}  {came}")
    terminalreporter.write_line(f"{sum(held for _, _, held in rows)} of {len(rows)} held")
