"""A W that leaves: every form gives what the reader of the run gives."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import downstroke
from downstroke.cli import main
from downstroke.data.dataset import Dataset
from downstroke.errors import NonFiniteError, RunError
from downstroke.learning import models
from downstroke.learning.models import MODELS
from downstroke.reading.batch_norm_folding import folded
from downstroke.recipe import Recipe
from downstroke.show.export import onnx_file, row
from downstroke.show.export.subject import Subject

onnxruntime = pytest.importorskip("onnxruntime", reason="no onnxruntime, so exports to ONNX are not tested")
OWN = """
import torch
from torch import nn


class Branch(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Residual(nn.Module):
    def __init__(self, inside):
        super().__init__()
        self.inside, self.out = inside(), nn.Linear(784, 10)

    def forward(self, x):
        return self.out((x + self.inside(x)).flatten(1))


def residual():
    return Residual(nn.GELU)


def branching():
    return Residual(Branch)


def row_with_gelu():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.GELU())
"""


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> downstroke.Run:
    """A few steps of the default recipe: labels are smoothed, so its temperature is not 1."""
    home = tmp_path_factory.mktemp("runs")
    return downstroke.train(runs_dir=home, data=str(tiny), val_size=200, epochs=1, name="one", progress=False)


@pytest.fixture(scope="module")
def exported(run: downstroke.Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the command says of each form."""
    home = tmp_path_factory.mktemp("exported")
    names = {"onnx": "w.onnx", "page": "w.html", "numpy": "w", "torchscript": "w.pt"}
    options = [word for form, name in names.items() for word in (f"--{form}", str(home / name))]
    done = CliRunner().invoke(main, ["export", str(run.folder), *options, "--json"])
    assert done.exit_code == 0, done.stderr
    assert done.stderr == ""
    return {one["form"]: one for one in json.loads(done.stdout)["files"]}


@pytest.fixture(scope="module")
def images(mnist: Dataset) -> Any:
    """Digits, and noise, which is refused: uint8 [130,28,28]."""
    noise = np.random.default_rng(0).integers(0, 256, (30, 28, 28), np.uint8)
    return np.concatenate([mnist.train.images[2000:2100], noise])


def as_floats(images: Any) -> Any:
    return images[:, None].astype(np.float32) / 255


@pytest.mark.parametrize("count", [1, 3, 130])
def test_onnx_gives_what_the_reader_gives(run: downstroke.Run, exported: Any, images: Any, count: int) -> None:
    session = onnxruntime.InferenceSession(exported["onnx"]["file"])
    y, accept = session.run(["probabilities", "accept"], {"images": as_floats(images[:count])})
    reader = run.reader()
    assert np.abs(y - reader.probabilities(images[:count])).max() < 1e-5
    assert accept.tolist() == reader.accepts(images[:count]).tolist()
    assert count < 130 or 0 < accept.sum() < 130


def test_onnx_tells_what_it_is_and_nothing_of_this_machine(run: downstroke.Run, exported: Any, tiny: Path) -> None:
    told = exported["onnx"]
    path = Path(told["file"])
    session = onnxruntime.InferenceSession(path)
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(float)", ["N", 1, 28, 28])
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == [str(digit) for digit in range(10)]
    recipe = json.loads(facts["recipe"])
    assert (recipe["name"], recipe["data"]) == ("standard", "tiny.npz")
    assert json.loads(facts["val"])["accuracy"] == pytest.approx(run.history.best.val_accuracy)
    assert "white on black" in facts["glyph"]
    assert told["bytes"] == path.stat().st_size
    assert told["opset"] >= 18
    assert told["images"] == 1000
    assert told["largest_difference"] < 1e-5
    held = path.read_bytes() + Path(exported["page"]["file"]).read_bytes()
    for place in (tiny.parent, run.folder.parent, Path(torch.__file__).parents[1], Path(downstroke.__file__).parent):
        assert str(place).encode() not in held


@pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated")
def test_torchscript_gives_what_the_reader_gives(run: downstroke.Run, exported: Any, images: Any) -> None:
    loaded = torch.jit.load(exported["torchscript"]["file"])
    with torch.inference_mode():
        y, accept = loaded(torch.from_numpy(as_floats(images)))
    assert np.abs(y.numpy() - run.reader().probabilities(images)).max() < 1e-5
    assert accept.tolist() == run.reader().accepts(images).tolist()


def test_numpy_gives_what_the_reader_gives_in_lines_that_can_be_read(
    run: downstroke.Run, exported: Any, images: Any, tmp_path: Path
) -> None:
    forward = Path(exported["numpy"]["file"]) / "forward.py"
    text = forward.read_text()
    made = runpy.run_path(str(forward))
    y, accept = (made[name](made["W"], as_floats(images)[:, 0]) for name in ("f", "accepts"))
    assert np.abs(y - run.reader().probabilities(images)).max() < 1e-5
    assert accept.tolist() == run.reader().accepts(images).tolist()
    assert set(re.findall(r"^(?:import|from) (\w+)", text, re.M)) == {"sys", "pathlib", "numpy"}
    assert sum(bool(line.strip()) for line in text.splitlines()) <= 40
    np.save(tmp_path / "digits.npy", images[:5])
    said = subprocess.run(
        [sys.executable, "-I", forward, tmp_path / "digits.npy"], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [str(digit) for digit in run.reader().probabilities(images[:5]).argmax(1)]


@pytest.mark.slow
def test_the_numpy_form_of_the_shipped_reader_gives_what_it_gives(images: Any, tmp_path: Path) -> None:
    downstroke.export("reader", numpy=tmp_path / "w")
    made = runpy.run_path(str(tmp_path / "w" / "forward.py"))
    y = made["f"](made["W"], as_floats(images)[:, 0])
    assert np.abs(y - downstroke.Reader.shipped().probabilities(images)).max() < 1e-5


def test_8_bits_are_smaller_and_their_val_accuracy_is_measured(
    run: downstroke.Run, exported: Any, mnist: Dataset, tmp_path: Path
) -> None:
    (told,) = downstroke.export(run, onnx=tmp_path / "w.onnx", int8=True)["files"]
    assert told["bytes"] < exported["onnx"]["bytes"] / 2
    val = Subject.of(run).parts()[1]
    session = onnxruntime.InferenceSession(told["file"])
    y = session.run(["probabilities"], {"images": as_floats(val.images)})[0]
    assert told["val_accuracy"] == pytest.approx(float((y.argmax(1) == val.labels).mean()))
    assert told["val_accuracy_before"] == pytest.approx(run.history.best.val_accuracy)
    assert told["val_images"] == 200
    assert abs(told["val_accuracy"] - told["val_accuracy_before"]) < 0.03


@pytest.mark.parametrize("model", MODELS)
def test_a_network_of_ours_in_8_bits_is_what_onnx_calls_one_and_answers_alike(model: str, mnist: Dataset) -> None:
    onnx = pytest.importorskip("onnx")
    network = folded(models.build(Recipe(model=model, seed=1), 10).eval())
    network.measure(torch.from_numpy(mnist.train.images[:200]))
    subject = Subject("one", network, tuple("0123456789"), 2.0, Recipe(model=model), 1, None, None)
    made, small = (onnx_file.serialized(subject, {"a": "b"}, seen) for seen in (None, mnist.train.images[:200]))
    images = as_floats(mnist.train.images[:50])
    with torch.inference_mode():
        expected, accept = subject.answers()(torch.from_numpy(images))
    for model_bytes, tolerance in ((made, 1e-5), (small, 0.02)):
        onnx.checker.check_model(onnx.load_from_string(model_bytes), full_check=True)
        session = onnxruntime.InferenceSession(model_bytes)
        y, found = session.run(["probabilities", "accept"], {"images": images})
        assert session.get_modelmeta().custom_metadata_map == {"a": "b"}
        np.testing.assert_allclose(y, expected, atol=tolerance)
        assert tolerance > 1e-5 or found.tolist() == accept.tolist()
    kinds = {tensor.data_type for tensor in onnx.load_from_string(small).graph.initializer if len(tensor.dims) > 1}
    assert kinds == {onnx.TensorProto.INT8}


def test_the_page_of_the_default_recipe_is_small_and_asks_for_nothing(exported: Any) -> None:
    text = Path(exported["page"]["file"]).read_text()
    assert exported["page"]["bytes"] <= 500_000
    assert re.findall(r"https?://\S+", text) == []
    assert "default-src 'none'" in text


def own(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> downstroke.Run:
    (tmp_path / "own_export.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    fields = {"model": f"own_export:{model}", "data": str(tiny), "train_size": 64, "val_size": 50}
    return downstroke.train("textbook", epochs=1, runs_dir=tmp_path / "runs", progress=False, **fields)


def test_a_model_of_ones_own_that_cannot_be_exported_is_named_with_its_layer(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = own(tmp_path, tiny, monkeypatch, "branching")
    with pytest.raises(downstroke.DownstrokeError, match=r"own_export:branching.*layer inside \(Branch\)"):
        downstroke.export(run, torchscript=tmp_path / "w")
    with pytest.raises(downstroke.DownstrokeError, match=r"the model is none of Conv2d, .*--onnx takes more"):
        downstroke.export(run, page=tmp_path / "w")
    run = own(tmp_path, tiny, monkeypatch, "residual")
    with pytest.raises(downstroke.DownstrokeError, match=r"it is Residual, .* over inside \(GELU\), out \(Linear\); "):
        downstroke.export(run, numpy=tmp_path / "w")
    run = own(tmp_path, tiny, monkeypatch, "row_with_gelu")
    for form in ("page", "numpy"):
        with pytest.raises(downstroke.DownstrokeError, match=r"layer 2 .*GELU.* is none of Conv2d"):
            downstroke.export(run, **{form: tmp_path / "w"})
    assert not (tmp_path / "w").exists()


def test_the_docs_list_the_layers_that_the_page_and_numpy_take() -> None:
    text = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    listed = text.partition("`--page` and `--numpy` take")[2].partition(": convolutions")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == {kind.__name__ for kind in row._KINDS}


@pytest.mark.slow
def test_the_layer_is_named_where_onnx_cannot_have_it(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = own(tmp_path, tiny, monkeypatch, "branching")
    with pytest.raises(downstroke.DownstrokeError, match=r"own_export:branching.*layer inside \(Branch\)"):
        downstroke.export(run, onnx=tmp_path / "w")
    assert not (tmp_path / "w").exists()


@pytest.mark.slow
def test_a_model_of_ones_own_with_a_forward_of_its_own_leaves_as_onnx_and_torchscript(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch, images: Any
) -> None:
    run = own(tmp_path, tiny, monkeypatch, "residual")
    made = downstroke.export(run, onnx=tmp_path / "w.onnx", torchscript=tmp_path / "w.pt")
    assert [one["largest_difference"] < 1e-5 for one in made["files"]] == [True, True]
    y = onnxruntime.InferenceSession(tmp_path / "w.onnx").run(["probabilities"], {"images": as_floats(images)})[0]
    assert np.abs(y - run.reader().probabilities(images)).max() < 1e-5


def test_what_cannot_be_written_is_said_before_anything_is(run: downstroke.Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for options, status, line in (
        ([], 2, "nothing to export"),
        (["--int8", "--page", "w.html"], 2, "--int8 is a form of --onnx"),
        (["--onnx", str(tmp_path / "not" / "w.onnx")], 1, "there is no folder"),
        (["--page", str(tmp_path)], 1, "is a folder"),
        (["--numpy", str(tmp_path / "mine")], 1, "holds notes.txt"),
        (
            ["--onnx", str(tmp_path / "w"), "--int8", "--data", "/not/there"],
            1,
            "nothing is at /not/there; expected the",
        ),
    ):
        done = CliRunner().invoke(main, ["export", str(run.folder), *options])
        assert (done.exit_code, line in done.stderr) == (status, True), done.stderr
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_a_run_that_has_learned_nothing_is_not_exported(tiny: Path, tmp_path: Path) -> None:
    first = {"data": str(tiny), "model": "mlp", "optimizer": "sgd", "lr": 1e30, "epochs": 1, "name": "lost"}
    with pytest.raises(NonFiniteError):
        downstroke.train("textbook", **first, runs_dir=tmp_path, progress=False)
    with pytest.raises(RunError, match="lost has learned nothing yet"):
        downstroke.export(tmp_path / "lost", page=tmp_path / "w.html")
    assert not (tmp_path / "w.html").exists()
