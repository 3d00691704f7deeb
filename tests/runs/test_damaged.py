"""A run that is damaged is named in a line, and hides no other run; a stranger's run neither hangs nor runs code."""

import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import downstroke
from downstroke.api import Run
from downstroke.cli import main
from downstroke.errors import CheckpointError, DownstrokeError, RunError
from downstroke.recipe import Recipe
from downstroke.runs import checkpoint, examine, files, trust
from downstroke.runs.inside import Inside

FIELDS: dict[str, Any] = {"model": "linear", "batch_size": 64, "val_size": 50, "train_size": 64, "epochs": 2}


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, `whole` and `hurt`; each test gets a copy."""
    home = tmp_path_factory.mktemp("made")
    for name in ("whole", "hurt"):
        downstroke.train(Recipe(data=str(tiny), **FIELDS), runs_dir=home, name=name, progress=False).test()
    return home


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "runs", symlinks=True))


def _zip_magic(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + bytes(100))


def _huge_header(path: Path) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": (10**9, 10**6)})


def _long_field(path: Path) -> None:
    path.write_text(path.read_text() + "9" * 200_000 + "\n")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _list(path: Path) -> None:
    path.write_text("[1]\n")


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


SPOILT = [
    ("val_losses.npy", _zip_magic),
    ("val_losses.npy", _huge_header),
    ("metrics.csv", _long_field),
    ("metrics.csv", _folder),
    ("metrics.csv", _fifo),
    ("steps.csv", _fifo),
    ("environment.json", _list),
    ("environment.json", _fifo),
    ("recipe.json", _list),
    ("last/state.json", _list),
    ("last/state.json", _fifo),
    ("test.json", _fifo),
]


def _said(arguments: list[str]) -> str:
    """What a command prints, where it ends in a line at the worst."""
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code in (0, 1), found.output
    assert "unexpected" not in found.output
    assert "Traceback" not in found.output
    assert all(len(line) < 600 for line in found.stderr.splitlines())
    return found.output


@pytest.mark.parametrize(("file", "spoil"), SPOILT)
def test_one_spoilt_file_hides_no_other_run(runs: Path, file: str, spoil: Any) -> None:
    spoil(runs / "hurt" / file)
    rows = json.loads(_said(["runs", "--json", "--runs-dir", str(runs)]))
    assert [row["error"] for row in rows if row["run"].endswith("whole")] == [None]
    assert len(rows) == 2
    listed = _said(["runs", "--runs-dir", str(runs)])
    assert "whole " in listed
    assert "hurt " in listed
    if file in ("metrics.csv", "recipe.json", "environment.json"):
        assert Path(file).name in str([row["error"] for row in rows if row["run"].endswith("hurt")])


def test_the_studio_lists_every_run_whatever_one_of_them_is(runs: Path) -> None:
    pytest.importorskip("fastapi")
    from downstroke.studio.jobs import Jobs
    from downstroke.studio.schemas import Runs
    from downstroke.studio.views import Views

    for file, spoil in SPOILT:
        name = f"{file.replace('/', '-')}-{spoil.__name__}"
        shutil.copytree(runs / "whole", runs / name)
        spoil(runs / name / file)
    path = runs / "hurt" / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "made": [1]}))
    listed = Runs.model_validate(Views(Jobs(runs)).runs())
    assert len(listed.runs) == len(SPOILT) + 2
    by_name = {run.name: run for run in listed.runs}
    assert by_name["whole"].error is None
    assert by_name["whole"].val_loss
    for name in ("hurt", "metrics.csv-_long_field", "metrics.csv-_fifo", "recipe.json-_list"):
        assert by_name[name].state == "failed"
        assert by_name[name].error


def _state(folder: Path, change: Any) -> None:
    """Change a checkpoint's state as a stranger can: with a checksum that fits."""
    path = folder / "state.json"
    body = json.loads(path.read_text())
    del body["checksum"]
    change(body)
    path.write_text(json.dumps({**body, "checksum": checkpoint._checksum(body)}))


@pytest.mark.parametrize("name", ["../../secret.safetensors", "/dev/zero", "a\nb.safetensors", "fifo.safetensors"])
def test_names_in_a_state_stay_in_its_folder_and_are_regular_files(runs: Path, name: str) -> None:
    (runs / "secret.safetensors").write_bytes(b"secret")
    os.mkfifo(runs / "hurt" / "best" / "fifo.safetensors")
    for folder in ("best", "last"):
        _state(runs / "hurt" / folder, lambda state: state["checksums"].update({name: "0" * 64}))
        shutil.rmtree(runs / "hurt" / f"{folder}.previous", ignore_errors=True)
    if name.startswith("fifo"):
        os.mkfifo(runs / "hurt" / "last" / "fifo.safetensors")
    said = _said(["test", str(runs / "hurt")])
    assert "expected the name of a .safetensors file" in said or "not a regular file" in said


def test_a_link_in_a_checkpoint_is_not_followed(runs: Path) -> None:
    for folder in ("best", "last"):
        (runs / "hurt" / folder / "model.safetensors").unlink()
        (runs / "hurt" / folder / "model.safetensors").symlink_to("/dev/zero")
        shutil.rmtree(runs / "hurt" / f"{folder}.previous", ignore_errors=True)
    assert "is a link" in _said(["test", str(runs / "hurt")])


@pytest.mark.parametrize(
    ("key", "value"), [("step", 10**30), ("epoch", -1), ("batch", "3"), ("images", 1.5), ("last_lr", [1]), ("leg", [])]
)
def test_an_absurd_position_with_a_good_checksum_is_damage(runs: Path, key: str, value: Any) -> None:
    _state(runs / "hurt" / "last", lambda state: state["position"].update({key: value}))
    said = _said(["continue", str(runs / "hurt"), "--epochs", "1"])
    assert "is damaged" in said
    assert "the checkpoint before it is used" in said


OWN = """
from pathlib import Path
from torch import nn

Path("ran").touch()

def net(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, classes))
"""


def test_a_strangers_code_is_run_only_where_the_run_is_trusted_or_was_made_here(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_net.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    recipe = Recipe(data=str(tiny), **{**FIELDS, "model": "own_net:net"})
    run = downstroke.train(recipe, runs_dir=tmp_path, name="own", progress=False)
    assert run.test()["looks"] == 1, "it was made here"
    assert Run.open("own", tmp_path).extend(epochs=1, progress=False).history[-1].epoch == 3

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user's"))
    monkeypatch.delitem(sys.modules, "own_net")
    (tmp_path / "ran").unlink()
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "picture.png")
    for command in (
        ["test", "own"],
        ["continue", "own", "--epochs", "1"],
        ["read", "picture.png", "--run", "own"],
    ):
        refused = CliRunner().invoke(main, [*command, "--runs-dir", str(tmp_path)])
        assert refused.exit_code == 1
        assert "would run code: model own_net:net" in refused.stderr
        assert "--trust" in refused.stderr
    with pytest.raises(RunError, match="would run code"):
        Inside(Run.open("own", tmp_path)).look()
    # `compare` takes what the best weights read from the run, and needs no code.
    assert CliRunner().invoke(main, ["compare", "own", "own", "--runs-dir", str(tmp_path)]).exit_code == 0
    assert not (tmp_path / "ran").exists()
    trusted = CliRunner().invoke(main, ["test", "own", "--trust", "--runs-dir", str(tmp_path)])
    assert trusted.exit_code == 0, trusted.output
    assert (tmp_path / "ran").exists()


def test_a_recipe_that_was_changed_to_name_other_code_is_refused_though_the_run_was_made_here(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_net2.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    recipe = Recipe(data=str(tiny), **{**FIELDS, "model": "own_net2:net"})
    run = downstroke.train(recipe, runs_dir=tmp_path, name="own", progress=False)
    path = run.folder / "recipe.json"
    path.write_text(path.read_text().replace("own_net2:net", "os:system"))
    with pytest.raises(RunError, match="would run code: model os:system"):
        Run.open(run.folder).weights()


HARMS: dict[str, Any] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
}
#: What cannot be done without: a command names it, and ends. All else is got around.
NEEDED = {"recipe.json", "environment.json"}


def _harm_each(runs: Path, every: list[Path], harm: str) -> None:
    """Damage one file after the other, and let all that reads a run read it."""
    for file in every:
        home = runs.parent / f"{harm}-{str(file).replace('/', '-')}"
        shutil.copytree(runs, home)
        hurt = home / "hurt" / file
        hurt.write_bytes(HARMS[harm](hurt.read_bytes()))
        rows = json.loads(_said(["runs", "--json", "--runs-dir", str(home)]))
        assert [row["error"] for row in rows if row["run"].endswith("whole")] == [None]
        for command in (["plot"], ["test"], ["continue", "--epochs", "1"]):
            found = CliRunner().invoke(main, [command[0], str(home / "hurt"), *command[1:]])
            what = f"{file} {harm}, {command[0]}: {found.output}"
            assert found.exit_code in (0, 1), what
            assert "unexpected" not in found.output, what
            assert "Traceback" not in found.output, what
            if found.exit_code:
                assert sum(line.startswith("error: ") for line in found.stderr.splitlines()) == 1, what
            if command[0] == "continue" and str(file) not in NEEDED:
                assert found.exit_code == 0, what
        shutil.rmtree(home)


def _files(runs: Path) -> list[Path]:
    return sorted(path.relative_to(runs / "hurt") for path in (runs / "hurt").rglob("*") if path.is_file())


@pytest.mark.parametrize("harm", HARMS)
def test_a_run_with_a_damaged_file_is_named_in_a_line_or_got_around(runs: Path, harm: str) -> None:
    every = _files(runs)
    assert len(every) > 12
    start = list(HARMS).index(harm)
    _harm_each(runs, every[start::12], harm)


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARMS)
def test_each_file_of_a_run_damaged_in_turn_is_named_in_a_line_or_got_around(runs: Path, harm: str) -> None:
    _harm_each(runs, _files(runs), harm)


def test_the_studio_lists_runs_of_which_each_has_another_damaged_file(runs: Path) -> None:
    pytest.importorskip("fastapi")
    from downstroke.studio.jobs import Jobs
    from downstroke.studio.schemas import Runs
    from downstroke.studio.views import Views

    for harm, spoil in HARMS.items():
        for number, file in enumerate(_files(runs)):
            copy = Path(shutil.copytree(runs / "whole", runs / f"{harm}-{number}"))
            (copy / file).write_bytes(spoil((copy / file).read_bytes()))
    listed = Runs.model_validate(Views(Jobs(runs)).runs())
    assert len(listed.runs) == 2 + len(HARMS) * len(_files(runs))
    assert {run.name: run for run in listed.runs}["whole"].error is None


def test_without_a_home_folder_a_run_is_not_signed_and_that_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, under a number of a user that has no name."""
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA", "HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert trust.sign(Recipe(model="my_package:net")) is None
    assert not trust._made_here({"id": "1", "signature": "2"}, {"model": "my_package:net"})


def _link(to: Path) -> Any:
    def spoil(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(to)

    return spoil


#: A file in whose place another could hang a program, fill its memory, or have it read and write elsewhere.
OPENED = [
    *(".lock", "recipe.json", "environment.json", "metrics.csv", "steps.csv", "val_losses.npy", "asked.json"),
    *("test.json", ".test.json.lock", "examined.npz", "last/state.json", "last/model.safetensors", "best/state.json"),
]
KINDS: dict[str, Any] = {
    "fifo": lambda path: (path.unlink(missing_ok=True), os.mkfifo(path)),
    "zeros": _link(Path("/dev/zero")),
    "dangling": _link(Path("../../outside/made")),
    "elsewhere": _link(Path("../../outside/kept")),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="it has no FIFOs")
@pytest.mark.parametrize("kind", KINDS)
def test_no_file_of_a_run_hangs_a_program_or_leads_it_out_of_the_folder(runs: Path, kind: str) -> None:
    outside = runs.parent / "outside"
    outside.mkdir()
    (outside / "kept").write_text("secret")
    for file in OPENED:
        KINDS[kind](Path(shutil.copytree(runs / "hurt", runs / file.replace("/", "-").replace(".", "x"))) / file)
    rows = json.loads(_said(["runs", "--json", "--runs-dir", str(runs)]))
    whole = [Path(row["run"]).name for row in rows if row["error"] is None]
    assert {"whole", "hurt"} <= set(whole)
    if kind != "dangling":  # a file that leads to nothing is a file that is missing
        assert {"recipexjson", "environmentxjson", "metricsxcsv"}.isdisjoint(whole)
    for file in OPENED:
        folder = runs / file.replace("/", "-").replace(".", "x")
        for command in ("test", "continue", "advise"):
            more = ["--epochs", "1"] if command == "continue" else []
            said = _said([command, str(folder), *more])
            assert "secret" not in said
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text() == "secret"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="it has no FIFOs")
@pytest.mark.parametrize("kind", KINDS)
def test_the_studio_answers_whatever_the_files_of_a_run_are(runs: Path, kind: str) -> None:
    pytest.importorskip("fastapi")
    from downstroke.studio import examined, follow
    from downstroke.studio.errors import Refused
    from downstroke.studio.jobs import Jobs
    from downstroke.studio.schemas import Detail, History, Runs
    from downstroke.studio.views import Views

    (runs.parent / "outside").mkdir()
    (runs.parent / "outside" / "kept").write_text("kept")
    views = Views(Jobs(runs))
    for file in OPENED:
        name = file.replace("/", "-").replace(".", "x")
        KINDS[kind](Path(shutil.copytree(runs / "hurt", runs / name)) / file)
        if (runs / name / "recipe.json").exists():
            Detail.model_validate(views.detail(name))
            with suppress(Refused):
                History.model_validate(views.history(name))
            with suppress(DownstrokeError):
                examined.last(Run(runs / name))
        for tail in (follow.of_steps(runs / name), follow.of_epochs(runs / name)):
            tail.pass_over()
            tail.new()
    listed = {run.name: run for run in Runs.model_validate(views.runs()).runs}
    assert listed["whole"].error is None
    assert listed["xlock"].val_loss == listed["whole"].val_loss


def test_a_checkpoint_that_is_a_link_to_another_folder_is_not_read(runs: Path) -> None:
    (runs / "hurt" / "last").rename(runs.parent / "elsewhere")
    (runs / "hurt" / "last").symlink_to(runs.parent / "elsewhere")
    shutil.rmtree(runs / "hurt" / "last.previous", ignore_errors=True)
    assert Run(runs / "hurt").position == {}
    with pytest.raises(CheckpointError, match="a link that leads out of the folder"):
        checkpoint.load(runs / "hurt", "last")


def test_what_is_written_beside_a_file_follows_no_link_that_waits_there(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (tmp_path / f".state.json.{os.getpid()}.writing").symlink_to(tmp_path / "victim")
    files.write_json(tmp_path / "state.json", [1])
    assert files.read_json(tmp_path / "state.json") == [1]
    assert (tmp_path / "victim").read_text() == "kept"


def test_readings_that_unpack_to_more_than_is_taken_are_left_out(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examine.last_readings(Run(runs / "whole")) is not None
    monkeypatch.setattr(examine, "MOST_READINGS", 1000)
    assert examine.last_readings(Run(runs / "whole")) is None


def test_a_position_beyond_what_a_float_can_be_is_damage(runs: Path) -> None:
    _state(runs / "hurt" / "last", lambda state: state["position"].update(loss_sum=10**39 * 10**300))
    said = _said(["continue", str(runs / "hurt"), "--epochs", "1"])
    assert "position.loss_sum is 1000" in said
    assert "the checkpoint before it is used" in said


@pytest.mark.parametrize("recipe", [3, [], {"sha256": 1}, {"sha256": "", "fields": []}])
def test_a_state_whose_recipe_is_none_is_damage(runs: Path, recipe: Any) -> None:
    _state(runs / "hurt" / "last", lambda state: state.update(recipe=recipe))
    said = _said(["continue", str(runs / "hurt"), "--epochs", "1"])
    assert ": recipe" in said or "(recipe" in said
    assert "the checkpoint before it is used" in said


@pytest.mark.parametrize("key", ["downstroke", "torch", "processor", "processes"])
def test_an_environment_that_lacks_what_is_only_told_continues_and_says_so(runs: Path, key: str) -> None:
    path = runs / "hurt" / "environment.json"
    values = json.loads(path.read_text())
    del values[key]
    path.write_text(json.dumps(values))
    assert f"{key} was not recorded and is " in _said(["continue", str(runs / "hurt"), "--epochs", "1"])


@pytest.mark.parametrize(("harm", "said"), [(b"", "it is empty"), (bytes(99), "it holds zeros only"), (b'{"', "")])
def test_what_a_crash_left_of_a_json_file_is_said_in_words(runs: Path, harm: bytes, said: str) -> None:
    for file, command in (("recipe.json", "advise"), ("environment.json", "test"), ("test.json", "test")):
        kept = (runs / "hurt" / file).read_bytes()
        (runs / "hurt" / file).write_bytes(harm)
        assert f"{file} is damaged ({said}" in (line := _said([command, str(runs / "hurt")]))
        assert "; restore it from a copy" in line
        (runs / "hurt" / file).write_bytes(kept)
    (runs / "hurt" / "last" / "state.json").write_bytes(harm)
    assert f"last is damaged ({said}" in _said(["continue", str(runs / "hurt"), "--epochs", "1"])


@pytest.mark.parametrize("value", [None, [], 3, 10**400, {"a": 1}])
def test_a_device_that_is_no_text_is_damage_in_a_line(runs: Path, value: Any) -> None:
    path = runs / "hurt" / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "device": value}))
    said = _said(["continue", str(runs / "hurt"), "--epochs", "1"])
    assert "environment.json is damaged: device is " in said
    assert "expected text" in said
