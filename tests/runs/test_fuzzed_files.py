"""Every reader of files, given files that were damaged at random: DownstrokeError is all that comes out."""

import gzip
import io
import json
import random
import shutil
import struct
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import downstroke
from downstroke.advice import logs
from downstroke.api import Run
from downstroke.data import sources
from downstroke.errors import DownstrokeError
from downstroke.recipe import Recipe
from downstroke.runs import checkpoint

IMAGES = np.random.default_rng(0).integers(0, 255, (40, 28, 28), np.uint8)
LABELS = np.arange(40, dtype=np.uint8) % 4


def _idx(array: Any) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + bytes(array.tobytes())


def _npz(save: Callable[..., None]) -> bytes:
    buffer = io.BytesIO()
    save(buffer, images=IMAGES, labels=LABELS)
    return buffer.getvalue()


def _csv() -> bytes:
    pixels = IMAGES[:, ::7, ::7].reshape(len(IMAGES), -1)
    head = ",".join(["label", *(f"pixel{i}" for i in range(pixels.shape[1]))])
    rows = [",".join(map(str, [label, *row])) for label, row in zip(LABELS.tolist(), pixels.tolist(), strict=True)]
    return "\n".join([head, *rows, ""]).encode()


def _events() -> bytes:
    """Ten epochs of two scalars, as TensorBoard writes them."""

    def field(number: int, data: bytes) -> bytes:
        return bytes([number << 3 | 2, len(data)]) + data

    def record(event: bytes) -> bytes:
        return struct.pack("<QI", len(event), 0) + event + bytes(4)

    found = record(field(3, b"brain.Event:2"))
    for step in range(1, 11):
        for tag in (b"loss", b"val_loss"):
            value = field(1, tag) + bytes([2 << 3 | 5]) + struct.pack("<f", 1 / step)
            found += record(bytes([2 << 3, step]) + field(5, field(1, value)))
    return found


def _trainer_state() -> bytes:
    history = [{"epoch": epoch, "step": 10 * epoch, "eval_loss": 1 / epoch} for epoch in range(1, 11)]
    return json.dumps({"log_history": history, "epoch": 10}).encode()


#: By the name of a file: its bytes, and what reads it.
FILES: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "train-images-idx3-ubyte": (_idx(IMAGES), sources.load),
    "train-labels-idx1-ubyte": (_idx(LABELS), sources.load),
    "train-images-idx3-ubyte.gz": (gzip.compress(_idx(IMAGES), mtime=0), sources.load),
    "stored.npz": (_npz(np.savez), sources.load),
    "packed.npz": (_npz(np.savez_compressed), sources.load),
    "table.csv": (_csv(), sources.load),
    "table.csv.gz": (gzip.compress(_csv(), mtime=0), sources.load),
    "recipe.json": (json.dumps({**Recipe().to_dict(), "base": "standard"}).encode(), Recipe.read),
    "recipe.toml": (b'base = "sprint"\nlr = 0.1\nmodel = "mlp"\n', Recipe.read),
    "events.out.tfevents.1.host": (_events(), logs.read),
    "trainer_state.json": (_trainer_state(), logs.read),
}
#: Damages that once were more than a line: a name of an array with line breaks, a field of another type.
FOUND = {"packed.npz": [1345], "events.out.tfevents.1.host": [654]}
RUN_FILES = ("recipe.json", "environment.json", "metrics.csv", "steps.csv", "val_losses.npy", "test.json")
STATES = ("last/state.json", "last/model.safetensors")


def damaged(data: bytes, chance: random.Random) -> bytes:
    """`data` with one to four wounds: bits, bytes, cuts, zeros, parts that stand twice, and what means much in text."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(found) + 1)
        wound = chance.randrange(7)
        if wound == 0 and at < len(found):
            found[at] ^= 1 << chance.randrange(8)
        elif wound == 1:
            del found[at:]
        elif wound == 2:
            found[at : at + chance.randint(1, 64)] = b""
        elif wound == 3:
            found[at : at + 16] = bytes(min(16, len(found) - at))
        elif wound == 4:
            found[at:at] = found[max(0, at - 100) : at]
        elif wound == 5:
            found[at : at + 4] = chance.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\r\n\r\n"])
        else:
            found[at : at + 1] = chance.choice(
                [b"1e999", b"NaN", b"[", b"{}", b"null", b'"', b",", b"-1", b"9" * 30, b"\xff", b"[1]", b"true", b'""']
            )
    return bytes(found)


def answers(read: Callable[[], object], what: str, *, measured: bool = True) -> None:
    """Whether `read` returns or raises a line for a person, and (if `measured`) takes little memory."""
    if measured:
        tracemalloc.start()
    try:
        read()
    except DownstrokeError as error:
        line = str(error)
        assert "\n" not in line, what
        assert len(line) < 1500, what
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    finally:
        peak = tracemalloc.get_traced_memory()[1]  # 0 if nothing is measured
        tracemalloc.stop()
    assert peak < 300_000_000, what


def wound_file(file: str, folder: Path, numbers: Iterable[int]) -> None:
    data, read = FILES[file]
    path = folder / file
    path.write_bytes(data)
    if file.startswith("train-"):
        for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
            if not file.startswith(name):
                (folder / name).write_bytes(FILES[name][0])
    for number in numbers:
        path.write_bytes(damaged(data, random.Random(number)))
        answers(lambda: read(path), f"{file}, damage {number}")


@pytest.mark.parametrize("file", FILES)
def test_a_file_damaged_at_random_is_read_or_refused_in_a_line(tmp_path: Path, file: str) -> None:
    wound_file(file, tmp_path, [*range(60), *FOUND.get(file, ())])


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_many_files_damaged_at_random_are_read_or_refused_in_a_line(tmp_path: Path, file: str) -> None:
    wound_file(file, tmp_path, range(2000))


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    fields: dict[str, Any] = {"model": "linear", "batch_size": 64, "val_size": 50, "train_size": 64, "epochs": 8}
    run = downstroke.train(
        Recipe(data=str(tiny), **fields), runs_dir=tmp_path_factory.mktemp("runs"), name="run", progress=False
    )
    run.test()
    return run.folder


def everything(folder: Path) -> None:
    """All that reads a run but for training, each whatever the others say."""
    run = Run(folder)
    for read in (
        run.summary,
        lambda: run.recipe,
        lambda: run.environment,
        lambda: run.state,
        lambda: run.steps,
        lambda: run.looks,
        lambda: run.val,
        run.advice,
        run.weights,
    ):
        answers(read, str(read))
    answers(run.plot, "plot", measured=False)  # counting what matplotlib allocates takes longer than all the rest


@pytest.mark.pictures
@pytest.mark.parametrize("file", RUN_FILES)
def test_a_run_with_a_file_damaged_at_random_is_read_or_refused_in_a_line(
    made: Path, tmp_path: Path, file: str
) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "run"))
    data = (folder / file).read_bytes()
    for number in range(6):
        (folder / file).write_bytes(damaged(data, random.Random(number)))
        everything(folder)


def test_a_state_whose_checksum_fits_whatever_it_says_is_loaded_or_refused_in_a_line(
    made: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "run"))
    path = folder / "last" / "state.json"
    whole = json.loads(path.read_text())
    del whole["checksum"]
    strange: list[Any] = [None, -1, 10**30, 1.5, "3", [], {}, [None], True, "\x00"]
    for number in range(150):
        chance, body = random.Random(number), json.loads(json.dumps(whole))
        place = chance.choice([body, body["position"], body["position"]["leg"], body["checksums"]])
        place[chance.choice([*place, "other"])] = chance.choice(strange)
        path.write_text(json.dumps({**body, "checksum": checkpoint._checksum(body)}))
        answers(lambda: checkpoint.load(folder, "last"), f"state {number}")
        answers(lambda: Run(folder).weights("last"), f"state {number}")
        answers(lambda: Run(folder).state, f"state {number}")
