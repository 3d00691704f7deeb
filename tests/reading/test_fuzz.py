"""Damaged and hostile files, 2,000 of them: each is read, or refused in one line that names it."""

import io
import resource
import signal
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.random import Generator
from PIL import Image, features

from downstroke.data.dataset import Dataset
from downstroke.errors import PictureError
from downstroke.glyphs.picture import sources
from downstroke.reading.reader import Reader

CPU_S = 20  # for one input; the slowest that may be read has 100 megapixels
GROWTH_MB = (
    1200  # beside what the process holds: 100 megapixels of 4 bytes and their grey levels, and half as much again
)


class Hang(BaseException):
    """An input took longer than it may; no Exception, so that nothing takes it for a damaged file."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raises Hang after so much processor time; a busy machine does not count."""

    def hear(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, hear)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def whole_files(grey: "np.ndarray[tuple[int, int], np.dtype[np.uint8]]") -> dict[str, bytes]:
    """One small picture, uint8 [H,W], in every form that is worth damaging."""
    image = Image.fromarray(grey)
    frames = [Image.fromarray(255 - grey), image]
    exif = Image.Exif()
    exif[0x0112] = 6
    wide, real = Image.fromarray(grey.astype(np.uint16) * 257), Image.fromarray(grey.astype(np.float32) / 255)
    return {
        "grey.png": encoded(image, "PNG"),
        "wide.png": encoded(wide, "PNG"),
        "clear.png": encoded(image.convert("P"), "PNG", transparency=0),
        "alpha.png": encoded(Image.merge("LA", [image, image]), "PNG"),
        "grey.jpg": encoded(image, "JPEG"),
        "turned.jpg": encoded(image.convert("RGB"), "JPEG", exif=exif, progressive=True),
        "ink.jpg": encoded(image.convert("CMYK"), "JPEG"),
        "grey.tif": encoded(image, "TIFF"),
        "packed.tif": encoded(wide, "TIFF", compression="tiff_adobe_deflate"),
        "real.tif": encoded(real, "TIFF", save_all=True, append_images=[real]),
        "film.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "grey.webp": encoded(image, "WEBP", lossless=True),
        **_of_the_extra(image),
    }


def _of_the_extra(image: Image.Image) -> dict[str, bytes]:
    """A phone's picture and a PDF, where the extra `photos` is installed."""
    files = {}
    if features.check("avif"):
        files["phone.avif"] = encoded(image, "AVIF", quality=90)
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
        files["phone.heic"] = encoded(image.convert("RGB"), "HEIF", quality=90)
    with suppress(ImportError):
        import pypdfium2  # noqa: F401

        files["form.pdf"] = encoded(image, "PDF", resolution=200, save_all=True, append_images=[image])
    return files


def flip_bits(data: bytearray, random: Generator) -> None:
    for place in random.integers(0, len(data), random.integers(1, 9)):
        data[place] ^= 1 << int(random.integers(8))


def cut(data: bytearray, random: Generator) -> None:
    del data[int(random.integers(len(data))) :]


def repeat(data: bytearray, random: Generator) -> None:
    start, stop = sorted(random.integers(0, len(data) + 1, 2).tolist())
    data[start:start] = data[start:stop] * int(random.integers(1, 4))


def leave_out(data: bytearray, random: Generator) -> None:
    start = int(random.integers(len(data)))
    del data[start : start + int(random.integers(1, 40))]


def swap(data: bytearray, random: Generator) -> None:
    for first, second in random.integers(0, len(data), (int(random.integers(1, 5)), 2)):
        data[first], data[second] = data[second], data[first]


def go_to_extremes(data: bytearray, random: Generator) -> None:
    """Numbers of a header become as small or as large as they can be, or such as nearly fit."""
    for _ in range(int(random.integers(1, 4))):
        size = int(random.choice([1, 2, 4]))
        start = int(random.integers(0, max(1, min(len(data) - size, int(random.choice([40, 200, 10**6]))))))
        value = int(random.choice([0, 1, 2, 255, 9_999, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1])) % 256**size
        data[start : start + size] = value.to_bytes(size, str(random.choice(["little", "big"])))  # type: ignore[arg-type]


MUTATIONS: list[Callable[[bytearray, Generator], None]] = [flip_bits, cut, repeat, leave_out, swap, go_to_extremes]


def with_checksums(data: bytes) -> bytes:
    """The chunks of a PNG with checksums that fit, without which no decoder looks at what is in them."""
    made, place = bytearray(data[:8]), 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        body = data[place + 4 : place + 8 + length]
        made += data[place : place + 4] + body + struct.pack(">I", zlib.crc32(body))
        place += 12 + length
    return bytes(made) + data[place:]


def mutated(content: bytes, random: Generator) -> bytes:
    data = bytearray(content)
    for _ in range(int(random.integers(1, 4))):
        if data:
            MUTATIONS[random.integers(len(MUTATIONS))](data, random)
    return with_checksums(bytes(data)) if data[1:4] == b"PNG" and random.random() < 0.7 else bytes(data)


def peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


@pytest.mark.parametrize(("seed", "inputs"), [(0, 600), pytest.param(1, 20_000, marks=pytest.mark.slow)])
def test_a_damaged_file_is_read_or_refused_in_one_line(seed: int, inputs: int, mnist: Dataset, tmp_path: Path) -> None:
    """With no other exception and no warning, within a bound of time and of memory."""
    random = np.random.default_rng(seed)
    digits = np.hstack([mnist.train.images[0][4:24, 3:25], mnist.train.images[3][4:24, 6:22]])
    files = list(whole_files(255 - np.pad(digits, 3) // 2).items())
    reader = Reader.shipped()
    for name, content in files:
        (tmp_path / name).write_bytes(content)
        reader.read(tmp_path / name)
    before, refusals = peak_mb(), []
    for index in range(inputs):
        name, content = files[index % len(files)]
        content = mutated(content, random)
        path = tmp_path / f"{index} {name}"
        path.write_bytes(content)
        try:
            with deadline(CPU_S):
                sources(str(path))  # counts the pages
                reader.read(path, digit=index // len(files) % 2 == 1)
        except PictureError as error:
            refusals.append((str(path), str(error)))
        except BaseException as error:
            error.add_note(f"input {index} of seed {seed}, {name}: {content.hex()}")
            raise
        path.unlink()
    assert peak_mb() - before < GROWTH_MB
    assert [line for path, line in refusals if "\n" in line or not line.startswith(f"{path}: ")] == []
    assert 0.3 * inputs < len(refusals) < 0.95 * inputs, (
        "the damage is neither too little nor too much to find anything"
    )
