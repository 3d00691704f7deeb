"""Pictures and data that are small in bytes and large in what they take: bounded work, bounded memory."""

from __future__ import annotations

import gzip
import io
import itertools
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from downstroke.errors import PictureError
from downstroke.reading import effort
from downstroke.reading.reader import Reader

pytestmark = pytest.mark.slow
on_linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the most memory held")
Tell = Callable[[str, str], None]
RNG = np.random.default_rng(0)


def paper(height: int, width: int) -> np.ndarray:
    return np.full((height, width), 255, np.uint8)


def ruled(height: int, width: int, pitch: int) -> np.ndarray:
    page = paper(height, width)
    page[::pitch] = page[:, ::pitch] = page[1::pitch] = page[:, 1::pitch] = 120
    return page


def marks(height: int, width: int, tall: int, wide: int, across: int, down: int) -> np.ndarray:
    """A page full of upright bars."""
    page = paper(height, width)
    for y in range(4, height - tall, down):
        for x in range(wide):
            page[y : y + tall, 4 + x : width - 4 : across] = 0
    return page


def blocks(height: int, width: int, side: int) -> np.ndarray:
    return np.kron(RNG.integers(0, 2, (height // side, width // side), np.uint8) * 255, np.ones((side, side), np.uint8))


PAGES = {
    "squared paper of 4000x3000": lambda: ruled(3000, 4000, 40),
    "squared paper of 10,000x10,000": lambda: ruled(10_000, 10_000, 100),
    "squared paper of 20,000x500": lambda: ruled(500, 20_000, 50),
    "noise of 4000x3000": lambda: RNG.integers(0, 256, (3000, 4000), np.uint8),
    "black and white blocks of 10": lambda: blocks(1200, 1600, 10),
    "10,000 dots": lambda: marks(2000, 2000, 8, 8, 20, 20),
    "1,600 bars": lambda: marks(1600, 1600, 16, 8, 40, 40),
    "16,000 bars": lambda: marks(1600, 1600, 16, 3, 8, 26),
    "a crowd of 400x400": lambda: marks(400, 400, 14, 2, 8, 18),
    "bars of 20,000x500": lambda: marks(500, 20_000, 100, 6, 20, 160),
    "bars of 100,000x40": lambda: marks(40, 100_000, 22, 3, 8, 36),
}


@pytest.mark.parametrize("what", PAGES)
def test_what_a_picture_takes_is_bounded(what: str, tell: Tell) -> None:
    reader, spent, began = Reader.shipped(), effort.Effort(), time.process_time()
    try:
        prepared = reader.prepare(PAGES[what](), effort=spent)
        reading = prepared.read(reader.logits(prepared.glyphs))
        said = f"{sum(len(line.digits) for line in reading.lines)} digits read"
        assert len(prepared.glyphs) < 20_000
    except PictureError as error:
        said = str(error)[3:60]
    took = time.process_time() - began
    tell(what, f"{took:.1f} s of processor time, {spent.spent / effort.MOST:.0%} of what is allowed; {said}")
    assert spent.spent < 1.3 * effort.MOST


IN_A_PROCESS = """
import sys
from pathlib import Path
from downstroke.advice import logs
from downstroke.errors import DownstrokeError
from downstroke.data import sources
from downstroke.glyphs.picture import open_picture

def most():  # Linux counts what the parent held before it became us into getrusage, but not into this
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

before = most()
try:
    if sys.argv[1] == "picture":
        print(open_picture(sys.argv[2]).shape)
    elif sys.argv[1] == "log":
        print(len(logs.read(sys.argv[2])), "rows")
    else:
        print(len(sources.load(sys.argv[2]).train), "images")
except DownstrokeError as error:
    print(str(error)[-110:])
print((most() - before) / 1000)
"""


def peak(kind: str, path: Path) -> tuple[str, float]:
    """What opening a file in a process of its own says, and the MB that it took."""
    command = [sys.executable, "-c", IN_A_PROCESS, kind, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=500)
    *said, memory = ended.stdout.strip().splitlines()
    return " ".join(said), float(memory)


def npy_header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def zeros_in_npz(path: Path, images: int, labels: np.ndarray) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("images.npy", "w", force_zip64=True) as member:
            member.write(npy_header((images, 28, 28)))
            for _ in range(images // 10_000):
                member.write(bytes(7_840_000))
        buffer = io.BytesIO()
        np.save(buffer, labels)
        archive.writestr("labels.npy", buffer.getvalue())


@on_linux
def test_a_webp_of_98_megapixels_takes_no_memory(tmp_path: Path, tell: Tell) -> None:
    Image.new("L", (9900, 9900), 255).save(tmp_path / "a.webp", "WEBP")
    said, memory = peak("picture", tmp_path / "a.webp")
    tell("a WebP of 98 megapixels", f"{memory:.0f} MB; {said}")
    assert memory < 200


@on_linux
def test_an_npz_that_holds_a_thousand_times_its_size_is_refused_by_its_labels(tmp_path: Path, tell: Tell) -> None:
    zeros_in_npz(tmp_path / "a.npz", 1_000_000, np.zeros(1_000_000, np.uint8))
    said, memory = peak("data", tmp_path / "a.npz")
    tell(f"an npz of {(tmp_path / 'a.npz').stat().st_size / 1e6:.1f} MB for 784 MB", f"{memory:.0f} MB; {said}")
    assert memory < 300


@on_linux
def test_images_that_are_a_thousand_times_their_file_take_little_more_than_they_are(tmp_path: Path, tell: Tell) -> None:
    zeros_in_npz(tmp_path / "a.npz", 500_000, np.arange(500_000) % 10)
    said, memory = peak("data", tmp_path / "a.npz")
    tell("an npz of 0.4 MB for 392 MB that can be learned from", f"{memory:.0f} MB; {said}")
    assert memory < 600


@on_linux
def test_an_idx_gz_that_holds_a_thousand_times_its_size_is_refused(tmp_path: Path, tell: Tell) -> None:
    count = 1_000_000
    with gzip.open(tmp_path / "train-images-idx3-ubyte.gz", "wb", 6) as file:
        file.write(b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (count, 28, 28)))
        for _ in range(count // 10_000):
            file.write(bytes(7_840_000))
    with gzip.open(tmp_path / "train-labels-idx1-ubyte.gz", "wb") as file:
        file.write(b"\0\0\x08\x01" + count.to_bytes(4, "big") + bytes(count))
    said, memory = peak("data", tmp_path)
    tell("an IDX.gz of 0.8 MB for 784 MB", f"{memory:.0f} MB; {said}")
    assert memory < 300


@on_linux
def test_a_large_csv_takes_a_small_multiple_of_its_pixels(tmp_path: Path, tell: Tell) -> None:
    glyph = np.zeros((28, 28), int)
    glyph[6:22, 8:20] = RNG.integers(100, 256, (16, 12))
    row = ",".join(f"{level:03}" for level in glyph.ravel())
    with (tmp_path / "train.csv").open("w") as file:
        for number in range(60_000):
            file.write(f"{number % 10},{row}\n")
    said, memory = peak("data", tmp_path / "train.csv")
    size = (tmp_path / "train.csv").stat().st_size / 1e6
    tell(f"a CSV of {size:.0f} MB, 47 MB of pixels", f"{memory:.0f} MB; {said}")
    assert memory < 300


MB = 1_000_000


def v2_header(length: int) -> Iterable[bytes]:
    """The beginning of an array whose header has so many bytes."""
    return [np.lib.format.magic(2, 0) + struct.pack("<I", length), *([b" " * MB] * (length // MB))]


def in_npz(path: Path, images: Iterable[bytes], labels: Iterable[bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, pieces in (("images", images), ("labels", labels)):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                for piece in pieces:
                    member.write(piece)
    return path


def zeros(*shape: int, dtype: str = "|u1") -> Iterable[bytes]:
    """An array of zeros as an .npy, in pieces."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    whole, rest = divmod(int(np.prod(shape)) * np.dtype(dtype).itemsize, MB)
    return itertools.chain([buffer.getvalue()], itertools.repeat(bytes(MB), whole), [bytes(rest)])


def in_gz(path: Path, pieces: Iterable[bytes]) -> Path:
    with gzip.open(path, "wb", 1) as file:
        for piece in pieces:
            file.write(piece)
    return path


def idx_of_labels(folder: Path) -> Path:
    in_gz(folder / "train-images-idx3-ubyte.gz", [b"\0\0\x08\x03" + struct.pack(">3I", 10, 28, 28), bytes(7840)])
    labels = itertools.chain([b"\0\0\x08\x01" + struct.pack(">I", 3_000_000_000)], itertools.repeat(bytes(MB), 3000))
    in_gz(folder / "train-labels-idx1-ubyte.gz", labels)
    return folder


def csv_beside(folder: Path) -> Path:
    (folder / "train.csv").write_text("label,pixel0,pixel1,pixel2,pixel3\n" + "0,0,9,9,0\n1,9,0,0,9\n" * 20)
    in_gz(folder / "test.csv.gz", itertools.repeat(b"p" * MB, 3000))
    return folder


HEADER = (",".join(["label", *(f"pixel{n}" for n in range(784))]) + "\n").encode()
SPREAD = {
    "an npz with 3e9 labels for 10 images": lambda f: in_npz(f / "a.npz", zeros(10, 28, 28), zeros(3_000_000_000)),
    "an npz with labels of 70 million letters": lambda f: in_npz(
        f / "a.npz", zeros(10, 28, 28), zeros(10, dtype="<U70000000")
    ),
    "an npz with a header of 3e9 bytes": lambda f: in_npz(f / "a.npz", v2_header(3_000_000_000), zeros(10)),
    "an npz with 20 images of 12000x12000": lambda f: in_npz(f / "a.npz", zeros(20, 12_000, 12_000), zeros(20)),
    "an npz with 3e9 images of one pixel": lambda f: in_npz(
        f / "a.npz", zeros(3_000_000_000, 1, 1), zeros(3_000_000_000)
    ),
    "an IDX.gz of 3e9 labels for 10 images": idx_of_labels,
    "60 lines of 40 MB under a header of 785 columns": lambda f: in_gz(
        f / "train.csv.gz", itertools.chain([HEADER], ([b" " * MB] * 39 + [b" " * MB + b"\n"]) * 60)
    ),
    "a test.csv of one line of 3e9 letters": csv_beside,
    "a first line of 3e9 commas": lambda f: in_gz(f / "a.csv.gz", itertools.repeat(b"," * MB, 3000)),
}


@on_linux
@pytest.mark.parametrize("what", SPREAD)
def test_data_of_a_few_megabytes_that_spreads_to_gigabytes_takes_little(tmp_path: Path, what: str, tell: Tell) -> None:
    path = SPREAD[what](tmp_path)
    size = sum(file.stat().st_size for file in tmp_path.iterdir()) / MB
    said, memory = peak("data", path)
    tell(f"{what}, {size:.0f} MB", f"{memory:.0f} MB; {said}")
    assert memory < 300


LOGS: dict[str, tuple[str, Callable[[], Iterable[bytes]]]] = {
    "a log of 240,000 blanks after a loss": ("a.log", lambda: [b"loss" + b" " * 240_000]),
    "a log of 60,000 words of val": ("a.log", lambda: [b"val " * 60_000]),
    "a CSV of 160,000 rows with scores": (
        "a.csv",
        lambda: [
            b"epoch,loss,val_loss,val_accuracy\n",
            *(b"%d,0.5,%f,0.5\n" % (n, 0.5 + (n % 7) / 100 + n / 1e6) for n in range(1, 160_001)),
        ],
    ),
    "a log.gz of 300 MB of blank lines": ("a.log.gz", lambda: [gzip.compress(b"\n" * 300 * MB, 1)]),
    "a log.gz of 250 MB of empty lists": ("a.json.gz", lambda: [gzip.compress(b"[" + b"[]," * 80 * MB + b"[]]", 1)]),
    "a log.gz of one line of 250 MB of commas": ("a.csv.gz", lambda: [gzip.compress(b"val_loss," * 25 * MB, 1)]),
}


@on_linux
@pytest.mark.parametrize("what", LOGS)
def test_what_a_log_takes_is_bounded(tmp_path: Path, what: str, tell: Tell) -> None:
    name, pieces = LOGS[what]
    path = tmp_path / name
    path.write_bytes(b"".join(pieces()))
    began = time.monotonic()
    said, memory = peak("log", path)
    tell(f"{what}, {path.stat().st_size / MB:.1f} MB", f"{memory:.0f} MB, {time.monotonic() - began:.1f} s; {said}")
    assert memory < 1200


@on_linux
def test_a_sparse_log_of_60_gb_is_refused(tmp_path: Path, tell: Tell) -> None:
    with (tmp_path / "sparse.log").open("wb") as file:
        file.truncate(60_000 * MB)
    said, memory = peak("log", tmp_path / "sparse.log")
    tell("a sparse log of 60 GB", f"{memory:.0f} MB; {said}")
    assert memory < 100
