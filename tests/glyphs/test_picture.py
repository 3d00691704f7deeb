"""A picture of any common format opens as grey levels; every other file is one clear line."""

import io
import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from downstroke.errors import PictureError
from downstroke.glyphs.picture import levels, open_picture, pixels_of, read_picture, to_grey
from downstroke.reading.reader import Reader

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


@pytest.mark.parametrize("colour", [0, 255, 130])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_digit_in_alpha_on_transparent_is_read_as_it_is_on_paper(mnist, tmp_path, colour, mode):
    ink = Image.fromarray(np.kron(mnist.test.images[0], np.ones((3, 3), np.uint8)))  # a 7
    if mode == "P":
        drawn = Image.fromarray((np.asarray(ink) > 127).astype(np.uint8)).convert("P")
        drawn.putpalette([1, 2, 3, colour, colour, colour])
        drawn.save(tmp_path / "7.png", transparency=0)
    else:
        drawn = Image.new(mode, ink.size, (colour,) * (len(mode) - 1) + (0,))
        drawn.putalpha(ink)
        drawn.save(tmp_path / "7.png")
    reader = Reader.shipped()
    assert reader.read(tmp_path / "7.png").text == "7"
    assert reader.read(np.asarray(Image.open(tmp_path / "7.png").convert("RGBA")), digit=True).text == "7"


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_levels_of_12_bits_in_a_16_bit_file_are_scaled_and_that_is_said(form):
    wide = Image.fromarray((GREYS.astype(np.uint32) * 4095 // 255).astype(np.uint16))
    opened, notes = read_picture(encoded(wide, form))
    assert np.abs(opened.astype(int) - GREYS).max() <= 1
    assert notes == ["levels of 16 bits, none above 4095, are taken for 12 bits"]
    np.testing.assert_array_equal(levels(np.asarray(wide)), opened)
    assert read_picture(encoded(Image.fromarray(GREYS.astype(np.uint16) * 257), form))[1] == []


def test_a_photograph_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    turned = open_picture(encoded(Image.fromarray(GREYS), "JPEG", exif=exif))
    assert turned.shape == (40, 30)
    assert turned[0].max() < 20


@pytest.mark.parametrize("orientation", range(9))
def test_each_orientation_is_turned_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(GREYS), "PNG", exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(open_picture(content), np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("form", ["GIF", "TIFF", "WEBP", "PNG"])
def test_of_several_frames_the_first_is_opened_and_that_is_said(form):
    frames = [Image.new("L", (9, 9), level) for level in (10, 200)]
    options = {"lossless": True} if form == "WEBP" else {}
    several = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    opened, notes = read_picture(several)
    assert np.abs(opened.astype(int) - 10).max() <= 1
    assert notes == ["more than one frame, the first is read"]
    assert read_picture(encoded(frames[0], form, **options))[1] == []


@pytest.mark.parametrize("kind", ["L", "RGB", "F"])
def test_a_large_picture_becomes_grey_without_seams(kind):
    greys = np.random.default_rng(0).integers(0, 256, (1100, 2100), np.uint8)
    image = Image.fromarray(greys / np.float32(255)) if kind == "F" else Image.fromarray(greys).convert(kind)
    assert np.array_equal(open_picture(encoded(image, "TIFF")), greys)


def test_levels_of_any_range_take_little_memory():
    """Beside the 25 MB that are decoded: a byte a pixel, and a tile's worth."""
    content = encoded(
        Image.fromarray(np.full((2500, 2500), -1e6, np.float32)), "TIFF", compression="tiff_adobe_deflate"
    )
    assert len(content) < 1_000_000
    tracemalloc.start()
    try:
        opened = open_picture(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert opened.shape == (2500, 2500)
    assert peak < 6.25e6 + 80e6


def test_a_float_picture_with_pixels_that_are_no_numbers_opens():
    values = GREYS.astype(np.float32) * 40 - 3000
    values[0, 0], values[1, 1], values[2, 2] = np.nan, np.inf, -np.inf
    opened = open_picture(encoded(Image.fromarray(values), "TIFF"))
    assert opened[5, 0] < 10
    assert opened[5, -1] > 245
    nothing = Image.fromarray(np.full((5, 5), np.nan, np.float32))
    assert (open_picture(encoded(nothing, "TIFF")) == 0).all()


def png(width, height, pixels=b"\0", text=b""):
    """A PNG that promises a size and holds what is given: next to nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    said = chunk(b"zTXt", b"a\0\0" + zlib.compress(text)) if text else b""
    return b"\x89PNG\r\n\x1a\n" + head + said + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def gif(screen, frame):
    """A GIF of two sizes, (width, height), which holds next to nothing."""
    head = b"GIF89a" + struct.pack("<HH", *screen) + b"\x80\0\0\0\0\0\xff\xff\xff"
    return head + b"," + struct.pack("<HHHH", 0, 0, *frame) + b"\0\x02\x02\x44\x01\0;"


def webp(kind, head):
    """A WebP whose first chunk begins with its sizes, and that holds nothing else."""
    chunk = kind + struct.pack("<I", 40) + head.ljust(40, b"\0")
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "PPM", "WEBP", "lossless WEBP", "moving WEBP"])
def test_a_pictures_size_is_known_without_decoding_it(kind):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 300), np.uint8))
    more = {"lossless WEBP": {"lossless": True}, "moving WEBP": {"save_all": True, "append_images": [image.rotate(9)]}}
    buffer = io.BytesIO()
    image.save(buffer, kind.split()[-1], **more.get(kind, {}))
    assert pixels_of(buffer.getvalue()) == 37 * 300


def test_what_is_no_picture_has_no_size():
    assert [pixels_of(content) for content in (b"", b"hello", b"%PDF-1.4", b"RIFF\0\0\0\0WEBP")] == [None] * 4


def test_a_bomb_in_a_small_picture_is_not_unpacked():
    assert (open_picture(png(10, 10, bytes(30_000_000))) == 0).all()


WHOLE = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)))
BAD = {
    "no picture": (b"hello, I am a letter", "not a picture; expected PNG"),
    "nothing": (b"", "0 bytes"),
    "cut short": (WHOLE[: len(WHOLE) // 2], "damaged or cut short"),
    "JPEG cut short": (encoded(Image.fromarray(GREYS), "JPEG")[:-200], "damaged or cut short"),
    "50,000 x 50,000": (png(50_000, 50_000), "2500 megapixels; expected at most 100"),
    "11,000 x 11,000": (png(11_000, 11_000), "11000 x 11000 pixels; expected at most 100"),
    "11,000 x 9,000 and cut": (png(11_000, 900), "damaged or cut short"),
    "a bomb for a text": (png(1, 1, b"\0\0", bytes(30_000_000)), "damaged or cut short"),
    "a GIF of 65,535 x 65,535": (gif((65_535, 65_535), (1, 1)), "4294 megapixels"),
    "a frame larger than its GIF": (gif((10, 10), (65_535, 65_535)), "4294 megapixels"),
    "a WebP of 9,900 x 9,900": (webp(b"VP8L", b"\x2f" + (9_899 | 9_899 << 14).to_bytes(4, "little")), "25 megapixels"),
    "a moving WebP of 9,900 x 9,900": (webp(b"VP8X", b"\x02\0\0\0\xab\x26\0\xab\x26\0"), "25 megapixels"),
    "a lossy WebP of 9,900 x 9,900": (webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a\xac\x26\xac\x26"), "25 megapixels"),
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


def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(WHOLE)
    path.chmod(0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65_534)  # root may read everything, nobody may not
    try:
        with pytest.raises(PictureError, match=r"secret.png: cannot be read"):
            open_picture(path)
    finally:
        os.seteuid(before)


def test_a_name_that_does_not_print_stays_one_line(tmp_path):
    for name, printed in {
        "a\nb.png": r"a\nb.png",
        "a\x1b[31m.png": r"a\x1b[31m.png",
        "\udcff.png": r"\udcff.png",
    }.items():
        with pytest.raises(PictureError) as caught:
            open_picture(tmp_path / name)
        assert str(caught.value) == f"{tmp_path}/{printed}: no such file; check the path"


def two_colours(ink: tuple[int, int, int], paper: tuple[int, int, int]) -> Image.Image:
    made = Image.new("RGB", (80, 60), paper)
    made.paste(ink, (30, 10, 40, 50))
    return made


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize(("ink", "paper"), [((255, 0, 0), (0, 130, 0)), ((60, 149, 60), (180, 87, 60))])
def test_ink_as_bright_as_its_paper_is_seen_by_its_colour(
    mode: str, ink: tuple[int, int, int], paper: tuple[int, int, int]
) -> None:
    file = io.BytesIO()
    image = two_colours(ink, paper)
    (image.quantize(2) if mode == "P" else image.convert(mode)).save(file, "PNG")
    grey, notes = read_picture(file.getvalue())
    assert abs(int(grey[30, 35]) - int(grey[30, 5])) > 60
    assert notes == ["seen in its red alone"]


@pytest.mark.parametrize("paper", [(255, 255, 255), (255, 240, 150), (120, 180, 255)])
@pytest.mark.parametrize("ink", [(0, 0, 0), (20, 30, 160), (190, 20, 20)])
def test_ink_that_grey_shows_is_read_in_grey(ink: tuple[int, int, int], paper: tuple[int, int, int]) -> None:
    image = two_colours(ink, paper)
    np.testing.assert_array_equal(to_grey(image), np.asarray(image.convert("L")))
