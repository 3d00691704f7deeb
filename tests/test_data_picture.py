"""A picture of any common format opens as grey levels; every other file is one clear line."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from downstroke.data.picture import open_picture
from downstroke.errors import PictureError

GREYS = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (30, 1))  # [30, 40]: dark on the left


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("form", "tolerance"),
    [("PNG", 0), ("JPEG", 12), ("GIF", 0), ("TIFF", 0), ("WEBP", 12), ("BMP", 0), ("PPM", 0)],
)
def test_every_format_opens_from_a_path_and_from_bytes(tmp_path, form, tolerance):
    content = encoded(Image.fromarray(GREYS), form)
    (tmp_path / "picture").write_bytes(content)  # what counts is the content, not the name
    for source in (content, tmp_path / "picture", str(tmp_path / "picture")):
        opened = open_picture(source)
        assert (opened.shape, opened.dtype) == ((30, 40), np.uint8)
        assert np.abs(opened.astype(int) - GREYS).max() <= tolerance


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F", "I;16"])
def test_every_kind_of_pixel_keeps_dark_dark_and_light_light(mode):
    values = {"I": GREYS.astype(np.int32), "F": GREYS / np.float32(255), "I;16": GREYS.astype(np.uint16) * 257}
    if mode in values:
        image = Image.fromarray(values[mode])
    elif mode == "LAB":
        flat = Image.new("L", (40, 30), 128)
        image = Image.merge("LAB", [Image.fromarray(GREYS), flat, flat])
    else:
        image = Image.fromarray(GREYS).convert("RGBA" if mode == "PA" else mode).convert(mode)
    opened = open_picture(encoded(image, "PNG" if mode in ("1", "P", "LA") else "TIFF"))
    assert opened.shape == (30, 40)
    assert opened[:, 0].max() < 10
    assert opened[:, -1].min() > 245


def test_what_is_transparent_is_paper():
    image = np.zeros((8, 8, 4), np.uint8)  # all black, and only the left half of it is there
    image[:, :4, 3] = 255
    opened = open_picture(encoded(Image.fromarray(image)))
    assert (opened[:, :4] == 0).all()
    assert (opened[:, 4:] == 255).all()
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert (open_picture(encoded(palette, "GIF", transparency=0)) == 255).all()


def test_a_photograph_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    turned = open_picture(encoded(Image.fromarray(GREYS), "JPEG", exif=exif))
    assert turned.shape == (40, 30)
    assert turned[0].max() < 20


def test_of_an_animation_the_first_frame_is_opened():
    frames = [Image.new("L", (9, 9), level) for level in (10, 200)]
    opened = open_picture(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert np.abs(opened.astype(int) - 10).max() <= 1


def test_a_float_picture_with_pixels_that_are_no_numbers_opens():
    values = GREYS.astype(np.float32) * 40 - 3000
    values[0, 0], values[1, 1], values[2, 2] = np.nan, np.inf, -np.inf
    opened = open_picture(encoded(Image.fromarray(values), "TIFF"))
    assert opened[5, 0] < 10
    assert opened[5, -1] > 245
    nothing = Image.fromarray(np.full((5, 5), np.nan, np.float32))
    assert (open_picture(encoded(nothing, "TIFF")) == 0).all()


def png_head(width, height):
    """A PNG that promises a size and holds next to nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


WHOLE = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)))
BAD = {
    "no picture": (b"hello, I am a letter", "not a picture; expected PNG"),
    "nothing": (b"", "0 bytes"),
    "cut short": (WHOLE[: len(WHOLE) // 2], "damaged or cut short"),
    "JPEG cut short": (encoded(Image.fromarray(GREYS), "JPEG")[:-200], "damaged or cut short"),
    "50,000 x 50,000": (png_head(50_000, 50_000), "2500 megapixels; expected at most 100"),
    "11,000 x 11,000": (png_head(11_000, 11_000), "11000 x 11000 pixels; expected at most 100"),
    "11,000 x 9,000 and cut": (png_head(11_000, 900), "damaged or cut short"),
    "a picture of another kind": (b"%PDF-1.4 and more", "not a picture"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("form", ["path", "bytes"])
def test_a_bad_picture_is_refused_in_one_line_that_starts_with_its_name(tmp_path, case, form):
    content, named = BAD[case]
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(PictureError) as caught:
        open_picture(path) if form == "path" else open_picture(content, "<stdin>")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: " if form == "path" else "<stdin>: ")
    assert named in message


def test_what_is_no_readable_file_is_refused_without_waiting_for_it(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(200_000_001)  # no byte of it is on the disk
    expected = {
        "missing.png": "no such file",
        "": "a folder",
        "pipe": "not a plain file",
        "loop": "cannot be read",
        "huge.png": "200 MB; expected at most 200 MB",
        "nul\0.png": "cannot be read",
    }
    for name, named in expected.items():
        with pytest.raises(PictureError) as caught:
            open_picture(f"{tmp_path}/{name}")
        assert named in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    (tmp_path / "secret.png").write_bytes(WHOLE)
    (tmp_path / "secret.png").chmod(0)
    with pytest.raises(PictureError, match=r"secret.png: may not be read"):
        open_picture(tmp_path / "secret.png")
