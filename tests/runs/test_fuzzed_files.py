"""Every reader of files, given files that were damaged at random: DownstrokeError is all that comes out."""

import gzip
import io
import json
import random
import shutil
import struct
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
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
from downstroke.runs import checkpoint, loading
from downstroke.runs.environment import first_threads, same_machine, threads_again
from downstroke.runs.training import Training
from wounds import damaged

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


def word(found: bytearray, at: int, chance: random.Random) -> None:
    """A large or negative number of four bytes, or blank lines."""
    found[at : at + 4] = chance.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\r\n\r\n"])


def token(found: bytearray, at: int, chance: random.Random) -> None:
    """What means much in text, in the place of a byte."""
    found[at : at + 1] = chance.choice(
        [b"1e999", b"NaN", b"[", b"{}", b"null", b'"', b",", b"-1", b"9" * 30, b"\xff", b"[1]", b"true", b'""']
    )


WOUNDS = (word, token)


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
        path.write_bytes(damaged(data, random.Random(number), WOUNDS))
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
        (folder / file).write_bytes(damaged(data, random.Random(number), WOUNDS))
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


#: In the place of each field in turn; the last one is more than a float can be.
OF_OTHER_KINDS: list[Any] = [None, -1.5, "x\n\x1b", [], [[1]], {"x": None}, 10**400]


def of_other_kinds(whole: Any) -> Iterator[tuple[str, Any]]:
    """JSON with one value, at any depth, left out or replaced: what was done, and the JSON."""
    yield from ((f"all {value!r:.20}", value) for value in OF_OTHER_KINDS)
    for way in _ways(whole):
        for value in [..., *OF_OTHER_KINDS]:
            changed = json.loads(json.dumps(whole))
            at = changed
            for key in way[:-1]:
                at = at[key]
            if value is ...:
                del at[way[-1]]
            else:
                at[way[-1]] = value
            yield f"{way} {value!r:.20}", changed


def _ways(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value in `value`; of a list, to its first."""
    inner = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else []
    for key, one in inner:
        yield (*before, key)
        yield from _ways(one, (*before, key))


@pytest.fixture
def continued(made: Path, tmp_path: Path) -> Path:
    """A run with no checkpoint but the last one, which has something in each field."""
    run = downstroke.Run.open(shutil.copytree(made, tmp_path / "run"))
    run.extend(epochs=1, lr=0.01, schedule="exponential", progress=False)
    for name in ("best", "best.previous", "last.previous"):
        shutil.rmtree(run.folder / name, ignore_errors=True)
    path = run.folder / "last" / "state.json"
    state = json.loads(path.read_text())
    state["position"]["threads"] = [[1, 1]]
    state["recipe"]["fields"] = {key: state["recipe"]["fields"][key] for key in ("model", "lr")}  # all are read alike
    sealed(path, state)
    return run.folder


def sealed(path: Path, state: Any) -> None:
    """Write a state with the checksum that fits it."""
    if isinstance(state, dict):
        state = {key: value for key, value in state.items() if key != "checksum"}
        state["checksum"] = checkpoint._checksum(state)
    path.write_text(json.dumps(state))


@pytest.mark.parametrize("file", ["recipe.json", "environment.json", "last/state.json"])
def test_well_formed_json_of_other_kinds_is_read_or_refused_in_a_line(continued: Path, file: str) -> None:
    path, run = continued / file, Run(continued)
    whole = json.loads(path.read_text())
    whole.pop("checksum", None)
    kept = {name: (continued / name).read_bytes() for name in ("metrics.csv", "steps.csv", "val_losses.npy", file)}

    def read() -> None:
        run.summary(), run.val, run.state
        checkpoint.load(continued, "last")
        run.advice(), run.weights("last")

    def go_on() -> None:
        run.recipe, run.environment, checkpoint.load(continued, "last")  # what they refuse, `resume` does, later
        try:
            with Training.resume(run, accept_recipe=True) as training:
                training.introduction()
        finally:
            for name, data in kept.items():
                (continued / name).write_bytes(data)

    def begin() -> None:
        found = run.environment
        same_machine(found, first_threads(threads_again(found, None)))
        loading.description(run)

    for number, (what, changed) in enumerate(of_other_kinds(whole)):
        if file == "last/state.json":
            sealed(path, changed)
        else:
            path.write_text(json.dumps(changed))
        answers(read, f"{file}, {what}", measured=False)
        answers(begin, f"{file}, {what}, begun", measured=False)
        if file == "last/state.json" or number % 7 == 0:  # it takes as long as all the rest
            answers(go_on, f"{file}, {what}, continued", measured=False)


def test_a_studio_lists_every_run_whatever_is_in_the_file_of_a_job(
    made: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fastapi")
    from downstroke.studio.jobs import Job, Jobs
    from downstroke.studio.schemas import Detail, Runs
    from downstroke.studio.views import Views

    job = Job("other", "continue", {"model": "cnn", "lr": 0.1}, 3, 1, 0.1, "cosine", "ended", error="it failed")
    for number, (what, changed) in enumerate(of_other_kinds(asdict(job))):
        home = made.parent / ".studio"
        home.mkdir(exist_ok=True)
        (home / "other.job.json").write_text(json.dumps(changed))
        views = Views(Jobs(made.parent, read_only=number % 2 == 0))
        views.jobs._jobs = views.jobs._read()  # as at the start of one that trains
        names = [run.name for run in Runs.model_validate(views.runs()).runs]
        said = capfd.readouterr().err.splitlines()
        assert (names, len(said)) in ((["other", "run"], 0), (["run"], 1), (["run"], 0)), (what, said)
        if names[0] == "other":
            Detail.model_validate(views.detail("other"))
    shutil.rmtree(home)
