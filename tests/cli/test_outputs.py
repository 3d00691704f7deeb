"""Where a person has something written: a pipe stays a pipe, a link a link, and what is read is not replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import downstroke
from downstroke.cli import main
from downstroke.data.dataset import Dataset
from downstroke.runs.outputs import output_json
from downstroke.show import losses


@pytest.fixture
def folder(mnist: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with seven.png, two.png, and both as images.npz."""
    for name, index in (("seven", 0), ("two", 1)):
        Image.fromarray(mnist.test.images[index]).save(tmp_path / f"{name}.png")
    np.savez(tmp_path / "images.npz", images=mnist.test.images[:2])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, arguments)


def predicted(out: str) -> Any:
    return run("predict", "reader", "images.npz", "--csv", out)


TABLE = "ImageId,Label\n1,7\n2,2\n"


def through_a_pipe(path: Path, write: Callable[[], Any]) -> str:
    """What a reader of the FIFO at `path` gets until whoever writes there closes it."""
    os.mkfifo(path)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(path.read_text()), daemon=True)
    reader.start()
    done = write()
    assert done.exit_code == 0, done.stderr
    reader.join(60)
    assert path.is_fifo()
    return got[0]


def test_a_pipe_is_written_to(folder: Path) -> None:
    assert through_a_pipe(folder / "pipe", lambda: predicted("pipe")) == TABLE


def test_a_table_of_readings_goes_to_a_pipe_row_by_row(folder: Path) -> None:
    got = through_a_pipe(folder / "pipe", lambda: run("read", "seven.png", "two.png", "--csv", "pipe"))
    assert [row.split(",")[3] for row in got.splitlines()] == ["text", "7", "2"]


@pytest.mark.parametrize("before", [None, "old"], ids=["of nothing yet", "of a file"])
def test_a_link_is_followed(folder: Path, before: str | None) -> None:
    (folder / "link").symlink_to("target")
    if before:
        (folder / "target").write_text(before)
    assert predicted("link").exit_code == 0
    assert (folder / "link").is_symlink()
    assert (folder / "target").read_text() == TABLE
    assert not list(folder.glob(".*.writing"))


def test_a_picture_goes_where_its_link_leads(folder: Path) -> None:
    (folder / "shown.png").symlink_to("target.png")
    assert run("read", "seven.png", "--show", "shown.png").exit_code == 0
    assert (folder / "shown.png").is_symlink()
    with Image.open(folder / "target.png") as drawn:
        assert drawn.size[0] > 0


LINKED = pytest.mark.skipif(not Path("/proc/self/fd/1").exists(), reason="no /proc here")


@LINKED
@pytest.mark.parametrize("command", ["predict", "read"])
@pytest.mark.parametrize("where", ["pipe", "file"])
def test_stdout_by_its_name_gets_the_table_and_nothing_else(folder: Path, command: str, where: str) -> None:
    asked = ["predict", "reader", "images.npz"] if command == "predict" else ["read", "seven.png", "two.png"]
    (folder / "stdout").symlink_to("/proc/self/fd/1")  # as /dev/stdout is, which root must not lose where this fails
    call = [sys.executable, "-m", "downstroke", *asked, "--csv", "stdout"]
    kept = "" if command == "read" else "kept\n"  # read adds to its own tables alone
    if where == "pipe":
        text = subprocess.run(call, capture_output=True, text=True, check=True, timeout=120).stdout
    else:
        (folder / "out").write_text(kept)
        with (folder / "out").open("a") as out:
            subprocess.run(call, stdout=out, stderr=subprocess.PIPE, check=True, timeout=120)
        text = (folder / "out").read_text()
        assert text.startswith(kept)
        text = text.removeprefix(kept)
    if command == "predict":
        assert text == TABLE
    else:
        assert [row.split(",")[3] for row in text.splitlines()] == ["text", "7", "2"]


@LINKED
def test_json_and_an_output_do_not_share_stdout(folder: Path) -> None:
    (folder / "stdout").symlink_to("/proc/self/fd/1")
    call = [sys.executable, "-m", "downstroke", "predict", "reader", "images.npz", "--csv", "stdout", "--json"]
    done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "both go to stdout" in json.loads(done.stdout)["error"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make devices")
def test_a_device_stays_a_device(folder: Path) -> None:
    try:
        os.mknod("null", 0o666 | 0o020000, os.makedev(1, 3))
        (folder / "null").write_text("")
    except OSError:
        pytest.skip("no device can be made here")
    assert predicted("null").exit_code == 0
    assert run("read", "seven.png", "--csv", "null").exit_code == 0
    output_json(folder / "null", {})  # as the measurements write theirs
    assert (folder / "null").is_char_device()


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "reader", "images.npz", "--csv", "images.npz"],
        ["predict", "reader", "images.npz", "--csv", "again.npz"],
        ["predict", "reader", ".", "--csv", "two.png"],
        ["read", "seven.png", "--show", "seven.png"],
        ["read", "seven.png", "--show", "again.png"],
        ["read", "seven.png", "seven-explained.png", "--explain"],
        ["export", "reader", "--page", "images.npz", "--data", "images.npz"],
    ],
    ids=" ".join,
)
def test_what_is_read_is_not_replaced(folder: Path, arguments: list[str]) -> None:
    os.link("images.npz", "again.npz")
    (folder / "again.png").symlink_to("seven.png")
    (folder / "seven-explained.png").write_bytes((folder / "two.png").read_bytes())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = run(*arguments)
    assert done.exit_code == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "is what is read, and would be replaced" in line
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_runs_weights_are_not_replaced_by_an_export_of_them(folder: Path, tiny: Path) -> None:
    fields: dict[str, Any] = {"data": str(tiny), "model": "mlp", "epochs": 1, "progress": False}
    made = downstroke.train(**fields, runs_dir=folder, name="mine")
    for own in ("best/model.safetensors", "recipe.json"):
        with pytest.raises(downstroke.DownstrokeError, match="is what is read"):
            downstroke.export(made, page=made.folder / own)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["--onnx", "same.x"], ["--page", "./same.x"]),
        (["--page", "images.npz"], ["--torchscript", "again.npz"]),
        (["--numpy", "made"], ["--page", "made"]),
        (["--numpy", "made"], ["--page", "made/page.html"]),
    ],
)
def test_two_outputs_are_two_files(folder: Path, one: list[str], other: list[str]) -> None:
    os.link("images.npz", "again.npz")
    (folder / "made").mkdir()
    before = sorted(folder.rglob("*"))
    for options in ([*one, *other], [*other, *one]):
        done = run("export", "reader", *options)
        assert done.exit_code == 1
        assert len(done.stderr.splitlines()) == 1
        assert sorted(folder.rglob("*")) == before


def test_a_folder_that_is_missing_is_named_before_anything_is_read(folder: Path) -> None:
    assert predicted("not/there.csv").stderr == "error: not/there.csv: there is no folder not; make it first\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["export", "reader", "--page", ""], 2, "'--page': the name is empty"),
        (["predict", "reader", "images.npz", "--csv", ""], 2, "'--csv': the name is empty"),
        (["read", "seven.png", "--csv", ""], 2, "'--csv': the name is empty"),
        (["plot", "x", "--out", ""], 2, "'--out': the name is empty"),
        (["export", "reader", "--numpy", "images.npz"], 1, "images.npz is no folder"),
    ],
)
def test_a_name_that_cannot_be_is_said_in_a_line(folder: Path, arguments: list[str], status: int, said: str) -> None:
    done = run(*arguments)
    assert done.exit_code == status
    assert said in done.stderr.splitlines()[-1]


@pytest.mark.pictures
def test_a_link_in_a_run_is_replaced_and_what_it_leads_to_is_not(folder: Path, tiny: Path) -> None:
    """A run may come from a stranger, and so may a link in it."""
    fields: dict[str, Any] = {"data": str(tiny), "model": "mlp", "epochs": 1, "progress": False}
    made = downstroke.train(**fields, runs_dir=folder, name="mine")
    picture = made.folder / "loss.png"
    picture.unlink()
    picture.symlink_to(folder / "images.npz")
    before = (folder / "images.npz").read_bytes()
    losses.draw(made)
    assert (folder / "images.npz").read_bytes() == before
    assert not picture.is_symlink()


def test_a_table_says_how_many_readings_were_added_to_it(folder: Path) -> None:
    def added(*arguments: str) -> str:
        return run("read", *arguments, "--csv", "table.csv").stderr.splitlines()[-1]

    assert added("missing.png") == "written: table.csv (0 readings added)"
    assert added("seven.png", "--box", "900,0,9,9") == "written: table.csv (0 readings added)"
    assert added("missing.png", "seven.png", "two.png") == "written: table.csv (2 readings added)"
    assert added("missing.png", "seven.png", "two.png") == "written: table.csv (0 readings added)"
