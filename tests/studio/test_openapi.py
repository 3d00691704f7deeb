"""The studio's OpenAPI description against the studio: whatever is sent, no 5xx and no answer that is not described."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import schemathesis
import uvicorn
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

import downstroke
from downstroke.advice import verdict
from downstroke.studio import jobs, schemas
from downstroke.studio.app import create_app
from downstroke.studio.guard import Settings

NOWHERE = Path("/nowhere")
TOKEN = {"Authorization": "Bearer secret"}
schema = schemathesis.openapi.from_dict(
    create_app(Settings(NOWHERE), jobs.Jobs(NOWHERE)).openapi(),
    config=SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "generation": {"max-examples": 8},
            # A recipe has many fields to try each wrong type with, and a look draws pictures: that takes too long.
            "operations": [
                {"include-name": name, "phases": {"coverage": {"enabled": False}}}
                for name in ("POST /api/runs", "POST /api/runs/{name}/test")
            ],
        }
    ),
)


@pytest.fixture(scope="module")
def url(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio with the runs that the description has as examples; trainings are queued there and none is started."""
    home = tmp_path_factory.mktemp("openapi") / "runs"
    for name in ("calm-otter", "eager-wren"):
        downstroke.train("textbook", data=str(tiny), model="linear", val_size=50, epochs=1, runs_dir=home, name=name)
    patch = pytest.MonkeyPatch()
    patch.setattr(jobs, "AT_ONCE", 0)
    with jobs.Jobs(home) as opened, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        app = create_app(Settings(home, token="secret"), opened)
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        assert server.started
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()
    patch.undo()


# What has the described form may still not be had: fields of a recipe that do not go together, a blank glyph.
# A stream without end cannot be read to its end: test_studio_api.py watches it.
@schema.exclude(path_regex="/events$").parametrize()
def test_every_answer_is_one_that_is_described(case: schemathesis.Case, url: str) -> None:
    case.call_and_validate(base_url=url, headers=TOKEN, excluded_checks=[positive_data_acceptance])


def test_the_schema_of_advice_has_the_fields_of_advice() -> None:
    """Else a field that advice gets lets every answer with an advice fail."""
    assert set(schemas.Advice.model_fields) == {field.name for field in fields(verdict.Advice)}
