"""The package as others install it: one version, and a wheel that works in an empty environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from downstroke.cli import main
from downstroke.data.dataset import Dataset
from downstroke.watchers.loggers import LOGGERS

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_the_changelog_and_the_citation_have_the_version_of_the_package() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert next(re.finditer(r"^## (\S+)", changelog, re.M))[1] == VERSION
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def packages(*extras: str) -> set[str]:
    """What these extras ask for, and the extras that they name."""
    found = set()
    for one in (asked for extra in extras for asked in EXTRAS[extra]):
        if others := re.match(r"downstroke\[(.*)\]", one):
            found |= packages(*others[1].split(","))
        else:
            found.add(re.split(r"[<>=\[]", one)[0].lower())
    return found


def test_the_lock_pins_what_every_extra_asks_for() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-").splitlines()
    assert packages(*EXTRAS) <= {line.partition("==")[0] for line in lines}


def test_the_long_proofs_have_every_logger() -> None:
    assert packages(*LOGGERS) <= packages("dev", "slow")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_a_shell_asks_the_program(shell: str) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("no bash here")
    script = CliRunner().invoke(main, ["completion", shell]).stdout
    assert f"_DOWNSTROKE_COMPLETE={shell}_complete" in script
    words = {"COMP_WORDS": "downstroke comp", "COMP_CWORD": "comp" if shell == "fish" else "1"}
    done = subprocess.run(
        [sys.executable, "-c", "from downstroke.cli import main; main(prog_name='downstroke')"],
        env={**os.environ, **words, "_DOWNSTROKE_COMPLETE": f"{shell}_complete"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert {"compare", "completion"} <= set(re.split(r"[\s,]", done.stdout)), done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel and an sdist of this tree, by suffix."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    (source / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "test_house.py", source / "tests")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return {path.suffix: path for path in (folder / "dist").iterdir()}


@pytest.mark.slow
def test_a_wheel_and_an_sdist_are_built_and_pass_twines_check(built: dict[str, Path]) -> None:
    pytest.importorskip("twine")
    assert {path.name for path in built.values()} == {
        f"downstroke-{VERSION}-py3-none-any.whl",
        f"downstroke-{VERSION}.tar.gz",
    }
    with tarfile.open(built[".gz"]) as sdist:
        assert not [name for name in sdist.getnames() if "/tests" in name], "tests without the conftest.py they need"
    check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.values())]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(
    built: dict[str, Path], tiny: Path, mnist: Dataset, tmp_path: Path
) -> None:
    """With the core dependencies alone it reads, trains, advises and is typed; with its extra it has the studio."""
    venv.create(tmp_path / "env", with_pip=True)
    python, program = (tmp_path / "env" / "bin" / name for name in ("python", "downstroke"))
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*command: object) -> str:
        done = subprocess.run(
            list(map(str, command)), cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    lock = ROOT / "constraints.txt"
    install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", lock)
    run(*install, built[".whl"])
    assert VERSION in run(program, "--version")
    Image.fromarray(mnist.test.images[0]).save(tmp_path / "seven.png")
    assert json.loads(run(program, "read", "seven.png", "--json"))[0]["lines"][0]["text"] == "7"
    assert json.loads(run(program, "train", "sprint", "--data", tiny, "--name", "a", "--json"))["epochs"] == 1
    assert "verdict" in json.loads(run(program, "advise", "a", "--json"))
    (tmp_path / "typed.py").write_text("import downstroke\nreveal_type(downstroke.Run.open().history)\n")
    mypy = subprocess.run(
        [sys.executable, "-m", "mypy", "--python-executable", str(python), "typed.py"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "downstroke.history.History" in mypy.stdout, mypy.stdout
    run(*install, f"{built['.whl']}[studio]")
    static = "Path(app.__file__).with_name('static') / 'index.html'"
    run(python, "-c", f"from pathlib import Path; from downstroke.studio import app; assert ({static}).is_file()")
