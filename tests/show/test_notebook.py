"""What a notebook shows of a run, a history, advice, a reading and a comparison; names may be hostile."""

from __future__ import annotations

import json
import math
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import downstroke
from downstroke import Run
from downstroke.advice.compare import compare
from downstroke.errors import DownstrokeError
from downstroke.history import EpochRow, History, StepRow, Steps
from downstroke.reading.outcome import Digit, Line, Reading
from downstroke.runs.compare import Comparison

HOSTILE = "<img src=x onerror=alert(1)>&\"'\u202e\n\udc80"
ALLOWED = set("div p b pre table thead tbody tr th td svg text line polyline circle rect title image".split())
NAN = math.nan


class Tags(HTMLParser):
    """The tags, their attributes and the text of some HTML."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)
        page.encode("utf-8")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def harmless(page: str) -> Tags:
    seen = Tags(page)
    assert seen.tags <= ALLOWED, seen.tags - ALLOWED
    assert not {name for name in seen.attributes if name.startswith("on")}
    return seen


def row(epoch: int, val_loss: float) -> EpochRow:
    return EpochRow(epoch, 10 * epoch, 1.5, 0.01, 0.5, 0.4 / epoch, 0.9, val_loss, 0.8)


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("runs")
    made = downstroke.train(data=str(tiny), model="linear", epochs=3, runs_dir=home, progress=False)
    return Run(made.folder.rename(home / 'a <b> & "c"'))


def digit(box: tuple[int, int, int, int], name: int | str, accepted: bool = True) -> Digit:
    return Digit(name, 0.9, [0.1, 0.9], box, accepted)


def test_a_run_shows_its_figures_its_curve_and_the_advice(run: Run) -> None:
    page = run._repr_html_()
    seen = harmless(page)
    assert {"svg", "polyline", "table"} <= seen.tags
    assert "b" in seen.tags
    assert 'a <b> & "c"' in seen.text
    assert f"{run.history[-1].val_loss:.4f}" in seen.text
    assert run.advice().reason in seen.text
    assert repr(run).startswith("Run(")


def test_a_damaged_run_shows_what_is_wrong(run: Run, tmp_path: Path) -> None:
    copy = Run(shutil.copytree(run.folder, tmp_path / "damaged"))
    (copy.folder / "metrics.csv").write_text("<script>alert(1)</script>\n")
    assert "the columns are" in harmless(copy._repr_html_()).text
    (copy.folder / "recipe.json").unlink()
    assert "recipe.json" in harmless(copy._repr_html_()).text


def test_a_history_shows_its_curve_whatever_its_losses_are() -> None:
    for losses in ([], [NAN], [math.inf, 1.0], [0.0, 0.0], [1e-300, 1e300], [0.3, NAN, 0.2], [-1.0, 2.0], [5e-324]):
        history = History([row(epoch, loss) for epoch, loss in enumerate(losses, start=1)])
        seen = harmless(history._repr_html_())
        assert "nan," not in seen.text
        assert "\n" not in repr(history)
    assert repr(history) == "History(1 epoch, best val loss 4.941e-324 at epoch 1)"


def test_a_long_history_stays_small() -> None:
    history = History([row(epoch, 1 / epoch) for epoch in range(1, 5001)])
    assert len(history._repr_html_()) < 40_000


def test_advice_shows_its_reason_and_its_forecast(run: Run) -> None:
    advice = run.advice()
    seen = harmless(advice._repr_html_())
    assert advice.reason in seen.text
    assert "80% interval" in seen.text
    assert "\n" not in repr(advice)
    assert repr(advice).startswith(f"Advice({advice.verdict!r} after epoch 3")


def test_a_reading_shows_the_picture_with_boxes(tmp_path: Path) -> None:
    path = tmp_path / "<b onclick=x>.png"
    Image.fromarray(np.full((40, 80), 255, np.uint8)).save(path)
    digits = [digit((5, 5, 20, 30), 7), digit((40, 5, 20, 30), HOSTILE, accepted=False)]
    reading = Reading(str(path), [Line("7?", digits)], notes=[HOSTILE])
    page = reading._repr_html_()
    seen = harmless(page)
    assert page.count("<rect") == 2
    assert "data:image/jpeg;base64," in page
    assert "7: 90.0%" in seen.text
    assert "1 refused" in seen.text
    assert repr(reading) == f"Reading({str(path)!r}, '7?', 2 digits, 1 refused)"


@pytest.mark.parametrize("file", ["-", "gone.png", HOSTILE])
def test_a_reading_whose_picture_is_gone_shows_its_boxes(file: str) -> None:
    page = Reading(file, [Line("7", [digit((5, 5, 20, 30), 7)])])._repr_html_()
    harmless(page)
    assert "<rect" in page
    assert "<image" not in page


def test_a_reading_that_failed_shows_the_error() -> None:
    reading = Reading(HOSTILE, error=f"{HOSTILE}: no picture")
    assert "no picture" in harmless(reading._repr_html_()).text
    assert "\n" not in repr(reading)


def test_a_comparison_shows_its_figures_and_its_sentences(run: Run) -> None:
    found = downstroke.compare(run, run)
    assert isinstance(found, Comparison)
    assert json.loads(json.dumps(found)) == found
    seen = harmless(found._repr_html_())
    assert found["digits"] in seen.text
    alone = compare((np.array([0.1, 0.3]), np.array([0.2, 0.2])), (np.array([True, False]), np.array([True, True])))
    assert "the second reads 1 more of 2 images" in harmless(alone._repr_html_()).text
    assert "\n" not in repr(alone) + repr(found)
    written: list[str] = []
    found._repr_pretty_(SimpleNamespace(text=written.append), cycle=False)  # what IPython asks a dict for
    assert written == [repr(found)]


@pytest.mark.slow
def test_history_and_steps_become_data_frames(run: Run) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    written = pandas.read_csv(run.folder / "metrics.csv")
    pandas.testing.assert_frame_equal(run.history.to_pandas(), written)
    assert run.history.to_polars().equals(polars.read_csv(run.folder / "metrics.csv"))
    assert run.steps.to_pandas()["step"].tolist() == list(range(1, len(run.steps) + 1))
    assert run.steps.to_polars().schema == {"step": polars.Int64} | dict.fromkeys(
        ("lr", "batch_loss", "gradient_norm"), polars.Float64
    )
    assert History([row(1, NAN)]).to_polars()["val_loss"].null_count() == 1
    assert History().to_polars().columns == History().to_pandas().columns.tolist()
    assert repr(run.steps) == "Steps(15 steps)"


@pytest.mark.parametrize("package", ["pandas", "polars"])
@pytest.mark.parametrize("rows", [History(), Steps([StepRow(1, 0.1, 0.2, 0.3)])])
def test_a_missing_package_is_one_line(rows: Any, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DownstrokeError, match=f"to_{package} needs {package}: pip install {package}"):
        getattr(rows, f"to_{package}")()
