"""`downstroke predict` reads images without labels, in any form, and writes what Kaggle takes."""

from __future__ import annotations

import csv
import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

import downstroke
from downstroke.cli import main
from downstroke.data.dataset import Dataset

COUNT = 12


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> downstroke.Run:
    fields: dict[str, Any] = {"model": "mlp", "val_size": 50, "batch_size": 64, "progress": False}
    return downstroke.train(epochs=4, data=str(tiny), runs_dir=tmp_path_factory.mktemp("runs"), name="mine", **fields)


@pytest.fixture(scope="module")
def images(mnist: Dataset) -> NDArray[np.uint8]:
    return mnist.test.images[:COUNT]


def predict(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["predict", *map(str, arguments)])


def kaggle(images: NDArray[np.uint8], *, label: bool = False, header: bool = True) -> str:
    pixels = images.reshape(len(images), -1).tolist()
    head = [",".join([*(["label"] if label else []), *(f"pixel{i}" for i in range(784))])] if header else []
    return "\n".join([*head, *(",".join(map(str, [*([3] if label else []), *row])) for row in pixels), ""])


def idx(images: NDArray[np.uint8]) -> bytes:
    return struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.tobytes()


def save(kind: str, images: NDArray[np.uint8], folder: Path) -> Path:
    path = folder / kind
    match kind:
        case "test.csv":
            path.write_text(kaggle(images))
        case "labelled.csv":
            path.write_text(kaggle(images, label=True))
        case "bare.csv":
            path.write_text(kaggle(images, header=False))
        case "usual.npz":
            np.savez(path, x_test=images, y_test=np.zeros(len(images), int))
        case "floats.npz":
            np.savez(path, mine=images.reshape(len(images), -1) / 255)
        case "t10k-images-idx3-ubyte":
            path.write_bytes(idx(images))
        case _:
            for number, image in enumerate(images):
                (path / f"{number % 2}").mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path / f"{number % 2}" / f"{number:02}.png")
    return path


KINDS = ["test.csv", "labelled.csv", "bare.csv", "usual.npz", "floats.npz", "t10k-images-idx3-ubyte", "folder"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_form_gives_the_labels_that_the_run_reads(
    run: downstroke.Run, images: NDArray[np.uint8], tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "out.csv"
    done = predict(run.folder, save(kind, images, tmp_path), "--csv", out)
    assert done.exit_code == 0, done.output
    head, *rows = csv.reader(out.read_text().splitlines())
    assert head == ["ImageId", "Label"]
    read = run.reader().probabilities(images).argmax(1).tolist()
    if kind == "folder":
        found = {name: int(label) for name, label in rows}
        assert found == {f"{number % 2}/{number:02}.png": label for number, label in enumerate(read)}
    else:
        assert rows == [[str(number), str(label)] for number, label in enumerate(read, 1)]
    assert ("labels, which are left out" in done.stderr) == (kind == "labelled.csv")


def test_probabilities_are_columns_on_request_and_json_has_them(
    run: downstroke.Run, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    data = save("test.csv", images, tmp_path)
    head, *rows = csv.reader(io.StringIO(predict(run.folder, data, "--probabilities").stdout))
    assert head == ["ImageId", "Label", *"0123456789"]
    y = run.reader().probabilities(images)
    np.testing.assert_allclose(np.array([row[2:] for row in rows], float), y, atol=1e-6)
    said = json.loads(predict(run.folder, data, "--probabilities", "--json").stdout)
    assert (said["images"], said["csv"], said["ids"]) == (COUNT, None, list(range(1, COUNT + 1)))
    np.testing.assert_allclose(said["probabilities"], y, rtol=1e-6)


def test_the_shipped_reader_predicts_too(images: NDArray[np.uint8], mnist: Dataset, tmp_path: Path) -> None:
    done = predict("reader", save("test.csv", images, tmp_path), "--runs-dir", tmp_path)
    labels = [line.split(",")[1] for line in done.stdout.splitlines()[1:]]
    assert labels == [str(label) for label in mnist.test.labels[:COUNT]]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("test.csv", b"", "the file is empty"),
        ("test.csv", b"pixel0,pixel1,pixel2,pixel3\n", "a header and no rows"),
        ("test.csv", b"id,pixel0,pixel1,pixel2,pixel3\n1,2,3,4,5\n", "column 'id' is unknown"),
        ("a.npz", b"nothing", "not an .npz archive"),
        ("a.txt", b"1", "unknown data format"),
        ("images-idx3-ubyte", b"\0\0\x08", "too short for an IDX header"),
    ],
)
def test_what_cannot_be_read_is_named_in_a_line(
    run: downstroke.Run, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    done = predict(run.folder, tmp_path / name)
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr.strip().splitlines()[-1]


def test_an_npz_of_several_unusual_arrays_names_them(run: downstroke.Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=np.zeros((2, 784)), two=np.zeros((2, 784)))
    assert "the arrays are one, two; expected one of x_test" in predict(run.folder, tmp_path / "a.npz").stderr


def test_pictures_that_cannot_be_read_are_named_and_the_others_are_read_as_without_them(
    run: downstroke.Run, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    folder = save("folder", images, tmp_path)
    whole = predict(run.folder, folder).stdout.splitlines()
    (folder / "0" / "00.png").write_bytes(b"no picture")
    Image.new("L", (28, 28)).save(folder / "1" / "blank.png")
    Image.new("L", (90, 90), 255).save(folder / "1" / "white.png")
    done = predict(run.folder, folder, "--csv", tmp_path / "out.csv")
    assert done.exit_code == 1
    named = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert [line.split(":")[1].split("/")[-1] for line in named] == ["00.png", "white.png"]
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert [row for row in rows if "blank" not in row] == [row for row in whole if "00.png" not in row]
    said = json.loads(predict(run.folder, folder, "--json").stdout)
    assert (said["images"], len(said["ids"]), len(said["errors"])) == (COUNT, COUNT, 2)


def test_a_folder_of_pictures_of_which_none_can_be_read_is_one_line(run: downstroke.Run, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no picture")
    done = predict(run.folder, tmp_path)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "(and 1 more)" in done.stderr.strip().splitlines()[-1]
