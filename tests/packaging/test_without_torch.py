"""Reading needs neither torch nor matplotlib; what does need them says so in a line."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import downstroke
from downstroke.cli import main
from downstroke.cli.bench import bench
from downstroke.data.dataset import Dataset
from downstroke.errors import to_install

ROOT = Path(__file__).parents[2]
Asked = Callable[..., tuple[int, bytes]]
BLOCKED = """
from importlib.machinery import PathFinder
found = PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in ("torch", "matplotlib") else found(name, path, target)
PathFinder.find_spec = find_spec
from downstroke.__main__ import run
run()
"""
#: `downstroke` where torch and matplotlib cannot be imported; the slow test has one where they are not installed.
HERE = (sys.executable, "-c", BLOCKED)
READING = {
    "read": ["read", "pictures"],
    "read --csv": ["read", "pictures", "--csv", "table.csv"],
    "read --json": ["read", "pictures", "--json"],
    "read --show": ["read", "pictures", "--show", "shown.png", "--explain"],
    "read --jobs": ["read", "pictures", "--jobs", "2"],
    "predict": ["predict", "reader", "images.npz", "--csv", "out.csv"],
    "advise a log": ["advise", "log.csv"],
    "advise a run": ["advise", "a"],
    "compare": ["compare", "a", "a"],
    "runs": ["runs"],
    "recipes": ["recipes"],
    "completion": ["completion", "bash"],
}
TORCH, MATPLOTLIB = "torch", "matplotlib"
NEEDING = {
    "train": (["train", "--data", "images.npz"], TORCH),
    "train pages": (["train", "pages"], TORCH),
    "continue": (["continue", "a", "--epochs", "1"], TORCH),
    "find-lr": (["find-lr"], TORCH),
    "find-lr --plot": (["find-lr", "--plot", "lr.png"], MATPLOTLIB),
    "test": (["test", "a"], TORCH),
    "read --run": (["read", "pictures", "--run", "a"], TORCH),
    "predict": (["predict", "a", "images.npz"], TORCH),
    "plot": (["plot", "a"], MATPLOTLIB),
    "plot of several": (["plot", "a", "a"], MATPLOTLIB),
    "plot of a log": (["plot", "log.csv"], MATPLOTLIB),
    "export": (["export", "reader", "--page", "page.html"], TORCH),
    "studio": (["studio", "--no-browser"], TORCH),
    "bench core": (["bench", "core"], TORCH),
}
WITHOUT_TORCH = {"advice", "reading"}  # measurements that read and judge alone


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, mnist: Dataset, tiny: Path) -> Path:
    """Two pictures, five images, a log of another program and a run."""
    made = tmp_path_factory.mktemp("reading")
    (made / "pictures").mkdir()
    for index in range(2):
        Image.fromarray(mnist.test.images[index]).save(made / "pictures" / f"{index}.png")
    np.savez(made / "images.npz", images=mnist.test.images[:5])
    rows = [f"{epoch},{0.5 * 0.6**epoch},{0.3 + 0.02 * abs(epoch - 5)}" for epoch in range(20)]
    (made / "log.csv").write_text("\n".join(["epoch,loss,val_loss", *rows]) + "\n")
    downstroke.train(data=str(tiny), model="mlp", epochs=1, runs_dir=made / "runs", name="a", progress=False)
    return made


def around(program: Sequence[str]) -> Mapping[str, str]:
    """The environment of a program: one that is installed by itself does not see this clone."""
    return os.environ if program[0] == sys.executable else {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}


def tried(program: Sequence[str], folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command, env = [*program, *arguments], around(program)
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def reads(program: Sequence[str], folder: Path, name: str) -> None:
    (folder / "table.csv").unlink(missing_ok=True)
    done = tried(program, folder, READING[name])
    assert done.returncode == 0, done.stderr
    if name == "read --json":
        assert [one["lines"][0]["text"] for one in json.loads(done.stdout)] == ["7", "2"]


def refuses(program: Sequence[str], folder: Path, arguments: Sequence[str], package: str) -> None:
    done = tried(program, folder, arguments)
    assert done.returncode == 1, done
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(rf"error: {package} is not installed, .*pip install \S+", last), done.stderr
    assert "Traceback" not in done.stderr
    assert {run.name for run in (folder / "runs").iterdir()} == {"a"}, "a run was begun that cannot be trained"


@contextmanager
def serving(program: Sequence[str], folder: Path, *more: str) -> Iterator[tuple[str, str]]:
    """A read-only studio: (url, token)."""
    command = [*program, "studio", "--read-only", "--no-browser", "--json", *more]
    with (
        (folder / "studio.log").open("w") as log,
        subprocess.Popen(
            command, cwd=folder, env=around(program), stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        assert server.stdout
        said = ""
        while not said.endswith("}\n"):
            line = server.stdout.readline()
            assert line, (folder / "studio.log").read_text()
            said += line
        told = json.loads(said)
        try:
            yield told["url"], told["token"]
        finally:
            server.terminate()


def serves(program: Sequence[str], folder: Path, asked: Asked) -> None:
    """Every route that is asked for something: an answer, or the line that says what is not installed."""
    picture = (folder / "pictures" / "0.png").read_bytes()
    with serving(program, folder) as (url, token):
        described = json.loads(asked(f"{url}openapi.json")[1])
        paths = [path.replace("{name}", "a") for path, methods in described["paths"].items() if "get" in methods]
        answers = {}
        for path in [*paths, "/", "/api", "/static/style.css"]:
            if not path.endswith("/events"):
                answers[path] = asked(f"{url}{path[1:]}{'?a=a&b=a' * (path == '/api/compare')}", token)
        refused = {path for path, (status, _) in answers.items() if status != 200}
        looking = {f"/api/runs/a/{part}" for part in ("test", "inspect", "inspect/image", "inspect/step")}
        assert refused == {"/api/recipes", *looking}, {path: answers[path] for path in refused}
        for path in refused:
            assert answers[path][0] == 501
            assert json.loads(answers[path][1])["error"].startswith("torch is not installed, ")
        status, read = asked(f"{url}api/read", token, picture)
        assert (status, json.loads(read)["readings"][0]["lines"][0]["text"]) == (200, "7")
        asking = json.dumps({"run": "a", "images": np.zeros((1, 28, 28), int).tolist()}).encode()
        assert asked(f"{url}api/read", token, asking, "application/json")[0] == 501
    told = (folder / "studio.log").read_text()
    assert "Traceback" not in told
    assert "Ctrl-C ends it)" in told, "there is no training that could go on"


@pytest.mark.parametrize("name", ["read --csv", "read --json", "advise a log", "runs", "recipes"])  # all: the slow test
def test_reading_and_advice_need_neither_torch_nor_matplotlib(folder: Path, name: str) -> None:
    reads(HERE, folder, name)


@pytest.mark.parametrize("name", ["train", "continue", "find-lr --plot", "plot", "export", "studio"])
def test_what_needs_them_says_so_in_a_line_and_begins_nothing(folder: Path, name: str) -> None:
    refuses(HERE, folder, *NEEDING[name])


def test_the_studio_reads_without_them_and_says_what_it_cannot_do(folder: Path, asked: Asked) -> None:
    serves(HERE, folder, asked)


def test_every_command_was_thought_of() -> None:
    tried = {arguments[0] for arguments in READING.values()} | {arguments[0] for arguments, _ in NEEDING.values()}
    assert tried == set(main.commands)
    assert set(bench.commands) >= WITHOUT_TORCH


def test_an_import_that_fails_for_another_reason_is_no_missing_package() -> None:
    from downstroke.errors import missing

    assert missing(ImportError("cannot import name 'x' from 'torch'", name="torch")) is None
    assert missing(ModuleNotFoundError("No module named 'torch.x'", name="torch.x")) is None
    assert missing(ModuleNotFoundError("No module named 'mine'", name="mine")) is None
    assert missing(ModuleNotFoundError("No module named 'torch'", name="torch")) is not None


def test_training_without_matplotlib_is_refused_before_it_begins(
    folder: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match="matplotlib"):
        downstroke.train(data=str(tiny), model="mlp", epochs=1, runs_dir=folder / "none", progress=False)
    assert not (folder / "none").exists()


CALLS = {
    "train": "downstroke.train(data='images.npz')",
    "find_lr": "downstroke.find_lr()",
    "export": "downstroke.export('a', page='page.html')",
    "Run.test": "downstroke.Run('runs/a').test()",
    "Run.extend": "downstroke.Run('runs/a').extend(epochs=1)",
    "Run.reader": "downstroke.Run('runs/a').reader()",
    "Reader.open": "downstroke.Reader.open('a')",
    "DigitClassifier": "from downstroke.sklearn import DigitClassifier",
    "plot": "downstroke.plot(['a', 'a'], 'both.png')",
    "Run.plot": "downstroke.Run('runs/a').plot()",
}


def test_from_python_it_is_one_line_too(folder: Path) -> None:
    """Each call raises a DownstrokeError that says what to install."""
    tried_all = "\n".join(
        f"try: {call}\nexcept downstroke.DownstrokeError as error: print({name!r}, error, sep=' | ')"
        for name, call in CALLS.items()
    )
    code = BLOCKED.partition("from downstroke.__main__")[0] + f"import downstroke\n{tried_all}\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = dict(line.split(" | ") for line in done.stdout.splitlines())
    assert set(said) == set(CALLS)
    for name, line in said.items():
        package = MATPLOTLIB if name.endswith("plot") else f"({TORCH}|{MATPLOTLIB})"
        assert re.fullmatch(rf"{package} is not installed, .*pip install \S+", line), (name, line)
    assert {run.name for run in (folder / "runs").iterdir()} == {"a"}


def hints() -> dict[str, str]:
    """Every command that the code and the docs give to install something, with where it stands."""
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "src").rglob("*.py")]
    return {
        found[0]: str(path.relative_to(ROOT))
        for path in documents
        for found in re.finditer(r"pip install [^\n`]*", path.read_text(encoding="utf-8"))
    }


def test_no_hint_asks_an_index_for_downstroke_or_replaces_an_install_that_can_be_edited() -> None:
    for hint, where in hints().items():
        assert "downstroke[" not in hint, (where, hint)
        assert not re.search(r"""(?<!-e) ["']?\.\[""", hint), (where, hint)


@pytest.mark.parametrize("extra", ["studio", "photos", "onnx", "sklearn", "mlflow", "wandb", "tensorboard", "peers"])
def test_the_command_for_an_extra_names_its_packages(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert shlex.split(to_install(extra)) == ["pip", "install", *project["optional-dependencies"][extra]]


def test_the_studio_without_its_packages_and_torch_says_what_the_reader_of_the_docs_installs(folder: Path) -> None:
    blocked = (sys.executable, "-c", BLOCKED.replace('("torch", ', '("torch", "fastapi", '))
    done = tried(blocked, folder, ["studio", "--read-only", "--no-browser"])
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: fastapi is not installed; to have it: pip install -r requirements/server.txt, in the clone"
    ]


def names_in(path: Path) -> set[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith(("#", "-"))}


@pytest.mark.parametrize("name", ["reading.txt", "server.txt"])
def test_the_requirements_are_those_of_the_package_without_torch_and_in_the_lock(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core, studio = (
        {re.split(r"[<>=]", one)[0] for one in asked}
        for asked in (project["dependencies"], project["optional-dependencies"]["studio"])
    )
    named = names_in(ROOT / "requirements" / name)
    reading = core - {"torch", "matplotlib"}
    assert named == (reading if name == "reading.txt" else (reading - {"rich"}) | studio)
    locked = {line.partition("==")[0] for line in names_in(ROOT / "constraints.txt")}
    assert named <= locked


@pytest.mark.slow
def test_without_torch_installed_everything_but_training_works(folder: Path, tmp_path: Path, asked: Asked) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    install = [tmp_path / "env" / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    source = tmp_path / "source"
    source.mkdir()
    subprocess.run(["cp", "-r", *(ROOT / name for name in SOURCE), source], check=True)
    requirements = ROOT / "requirements"
    for wanted in (["-r", requirements / "reading.txt", "-r", requirements / "server.txt"], ["--no-deps", source]):
        subprocess.run([*install, *wanted], check=True, capture_output=True)
    program = (str(tmp_path / "env" / "bin" / "downstroke"),)
    for name in READING:
        reads(program, folder, name)
    for arguments, package in NEEDING.values():
        refuses(program, folder, arguments, package)
    for name in sorted(set(bench.commands) - WITHOUT_TORCH):
        refuses(program, folder, ["bench", name], TORCH)
    serves(program, folder, asked)


SOURCE = ("src", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
