"""What the tests of packaging share."""

import urllib.error
import urllib.request
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def asked() -> Callable[..., tuple[int, bytes]]:
    """Ask a server: (url, token, body, the body's kind) -> (status, answer)."""

    def ask(url: str, token: str = "", body: bytes | None = None, kind: str = "image/png") -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {token}"} | ({} if body is None else {"Content-Type": kind})
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    return ask
