"""docs/walk.ipynb is docs/walk.md as a notebook, and runs."""

import importlib.util
from pathlib import Path

import nbclient
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
def test_training_in_a_notebook_shows_a_line_an_epoch(tiny: Path, tmp_path: Path) -> None:
    given = f"data={str(tiny)!r}, runs_dir={str(tmp_path)!r}, model='mlp', epochs=2"
    sources = [f"downstroke.train({given}){end}" for end in ("", ".extend(epochs=1, progress=False)")]
    code = ["import downstroke", sources[0], sources[1].replace("epochs=2)", "epochs=2, progress=False)")]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in code])
    nbclient.NotebookClient(notebook, timeout=300).execute()
    _, shown, silent = (
        "".join(output.get("text", "") for output in cell.outputs if output.output_type == "stream")
        for cell in notebook.cells
    )
    assert [line.split("  ")[0] for line in shown.splitlines()][1:] == ["epoch 1", "epoch 2"]
    assert shown.startswith("data: ")
    assert silent == ""
