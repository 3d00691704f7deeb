"""docs/walk.ipynb is docs/walk.md as a notebook, and runs."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("walk_notebook", ROOT / "tools" / "walk_notebook.py")
assert _spec is not None
assert _spec.loader is not None
walk_notebook = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(walk_notebook)


def test_the_notebook_is_made_from_the_walk_as_it_is_now() -> None:
    kept = nbformat.read(ROOT / "docs" / "walk.ipynb", as_version=4)
    assert [cell.source for cell in kept.cells] == [cell.source for cell in walk_notebook.cells().cells], (
        "docs/walk.md was changed: python tools/walk_notebook.py makes the notebook anew"
    )


def test_the_notebook_shows_its_figures_inline() -> None:
    kept = nbformat.read(ROOT / "docs" / "walk.ipynb", as_version=4)
    drawn = [cell for cell in kept.cells if "display.Image" in cell.source]
    assert len(drawn) == 3
    assert all("image/png" in cell.outputs[-1].data for cell in drawn)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the kernel's event loop
def test_every_cell_of_the_notebook_runs() -> None:
    notebook = walk_notebook.execute(walk_notebook.cells())
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "error:" not in said


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_training_in_a_notebook_draws_one_curve_that_grows(tiny: Path, tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    given = f"data={str(tiny)!r}, runs_dir={str(tmp_path)!r}, model='mlp', epochs=2"
    code = (
        "import downstroke",
        f"run = downstroke.train({given})",
        "run.extend(epochs=1, progress=False); run",
        "run.history.to_pandas()",
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in code])
    nbclient.NotebookClient(notebook, timeout=300).execute()
    _, live, silent, frame = (cell.outputs for cell in notebook.cells)
    (curve,) = [output for output in live if output.output_type == "display_data"]
    assert "epoch 2 of 2" in curve.data["text/html"]
    assert "<polyline" in curve.data["text/html"]
    assert "History(2 epochs" in curve.data["text/plain"]
    assert [output.text.split(":")[0] for output in live if output.output_type == "stream"] == ["data"]
    (shown,) = silent
    assert "<svg" in shown.data["text/html"]
    assert shown.data["text/plain"].startswith("Run(")
    assert "val_loss" in frame[0].data["text/html"]
