"""The house: arrows point down only, and nothing heavy is loaded before it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import downstroke
from downstroke.data.dataset import Dataset

HOME = Path(downstroke.__file__).parent
FLOORS = {
    "errors": 0,
    "display": 1,
    "regular": 1,
    "recipe": 2,
    "history": 2,
    "glyphs": 2,
    "augment": 3,
    "data": 3,
    "learning": 4,
    "advice": 4,
    "runs": 5,
    "reading": 6,
    "show": 7,
    "watchers": 7,
    "api": 8,
    "callbacks": 8,
    "sklearn": 8,
    "studio": 9,
    "bench": 9,
    "cli": 10,
    "__main__": 11,
    "__init__": 11,
}


def room_of(path: Path) -> str:
    return path.relative_to(HOME).parts[0].removesuffix(".py")


def imports(source: str) -> set[str]:
    """The rooms that a file's imports name, wherever in the file they stand."""
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("downstroke.") and name.count(".")}
    return rooms


def wrong_arrows(room: str, source: str) -> list[str]:
    return [
        f"{room} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})"
        for other in sorted(imports(source))
        if other != room and other in FLOORS and FLOORS[other] >= FLOORS[room]
    ]


def test_no_two_test_files_share_a_name() -> None:
    """Without packages in `tests`, pytest collects only one of them in a process."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("path", sorted(HOME.rglob("*.py")), ids=lambda path: str(path.relative_to(HOME)))
def test_arrows_point_down_only(path: Path) -> None:
    assert room_of(path) in FLOORS, f"{path} lives in no room; give its room a floor"
    assert wrong_arrows(room_of(path), path.read_text()) == []


def test_an_arrow_that_points_up_is_found() -> None:
    assert wrong_arrows("data", "def f():\n    from downstroke.runs import run") != []
    assert wrong_arrows("history", "import downstroke.recipe") != []
    assert wrong_arrows("runs", "from downstroke.data import sources") == []


def test_watchers_see_events_and_nothing_that_makes_them() -> None:
    allowed = {"downstroke.errors", "downstroke.history", "downstroke.learning.events"}
    for path in (HOME / "watchers").glob("*.py"):
        named = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        foreign = {name for name in named if name and name.startswith("downstroke.")}
        assert {name for name in foreign if not name.startswith("downstroke.watchers.")} <= allowed, path


def loaded_by(code: str) -> set[str]:
    said = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(said.stdout.split())


HEAVY = {"torch", "numpy", "cv2", "matplotlib", "PIL", "rich", "safetensors"}


def test_importing_downstroke_loads_nothing_heavy() -> None:
    assert HEAVY & loaded_by("import downstroke; dir(downstroke)") == set()


def test_help_loads_nothing_heavy() -> None:
    code = "from downstroke.cli import main\ntry: main(['train', '--help'])\nexcept SystemExit: pass"
    assert HEAVY & loaded_by(code) == set()


def test_reading_with_the_shipped_reader_loads_neither_torch_nor_what_it_does_not_show(
    tmp_path: Path, mnist: Dataset
) -> None:
    Image.fromarray(mnist.test.images[0]).save(tmp_path / "seven.png")
    read = f"main(['read', '--json', {str(tmp_path / 'seven.png')!r}])"
    code = f"from downstroke.cli import main\ntry: {read}\nexcept SystemExit: pass\nprint()"
    assert {"torch", "matplotlib", "rich"} & loaded_by(code) == set()


def test_what_needs_no_torch_does_not_load_it(tmp_path: Path, tiny: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        small = {"data": str(tiny), "model": "mlp", "epochs": 3, "seed": seed}
        downstroke.train(**small, runs_dir=tmp_path, name=name, progress=False)
    commands = [
        ["runs"],
        ["recipes"],
        ["advise", "a"],
        ["plot", "a"],
        ["plot", "a", "b", "--out", str(tmp_path / "both.png")],
        ["compare", "a", "b"],
        ["completion", "bash"],
    ]
    tried = f"""
import os, sys
os.chdir({str(tmp_path)!r})
from downstroke.cli import main
for command in {commands!r}:
    in_home = [] if command[0] in ("recipes", "completion") else ["--runs-dir", {str(tmp_path)!r}]
    main([*command, *in_home], standalone_mode=False)
    assert "torch" not in sys.modules, command
"""
    assert "torch" not in loaded_by(tried)


def test_training_does_not_load_torchs_compiler(tmp_path: Path, tiny: Path) -> None:
    fields = f"data={str(tiny)!r}, runs_dir={str(tmp_path)!r}, epochs=1, lr=0.001"
    code = f"for optimizer in ('adam', 'muon', 'rmsprop'): downstroke.train({fields}, optimizer=optimizer)"
    assert {"torch._dynamo", "sympy"} & loaded_by(f"import downstroke\n{code}") == set()


def test_the_public_names_are_these() -> None:
    assert sorted(downstroke.__all__) == [
        "CheckpointError",
        "DataError",
        "DownstrokeError",
        "EpochDone",
        "History",
        "LogError",
        "NonFiniteError",
        "Note",
        "PictureError",
        "RECIPES",
        "Reader",
        "Recipe",
        "RecipeError",
        "Run",
        "RunError",
        "StepDone",
        "StopReason",
        "Stopped",
        "advise",
        "compare",
        "export",
        "find_lr",
        "plot",
        "train",
    ]
    for name in downstroke.__all__:
        assert getattr(downstroke, name) is not None
