"""Open a picture file of any common format as grey levels."""

from __future__ import annotations

import functools
import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from downstroke.errors import PictureError, counted, shown, to_install

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000
MAX_WEBP = MAX_PIXELS // 4  # of a WebP picture: Pillow holds it four times while it decodes
MAX_BYTES = 200_000_000

_FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM")  # Pillow's PPM reads PGM, PBM and PFM too
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp", ".bmp", ".pgm", ".ppm", ".pbm")
IN_FOLDERS = (*SUFFIXES, ".heic", ".heif", ".avif", ".pdf")  # what `sources` finds; class folders hold SUFFIXES alone
DPI = 200  # a PDF's page is drawn with so many pixels an inch
MAX_PAGES = 10_000  # of one file
_CHANNELS = {"R": "red", "G": "green", "B": "blue"}
_KEPT = 0.25  # of the spread of a colour's channel: where grey has less, the channel is read
_LOOK = 512  # pixels: a longer picture is made smaller to see that
_TILE = 1024  # pixels: a picture becomes grey tile by tile, so that little is held beside what Pillow decoded
_ORIENTATION = 0x0112  # in EXIF
_EXPECTED = "expected PNG, JPEG, GIF, TIFF, WebP, BMP, PGM, HEIC, AVIF or PDF"
_PDFIUM = threading.Lock()  # PDFium may be used by one thread at a time
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_REDUCED, _SUBFILE = 0b101, 254  # a TIFF's thumbnails and masks are no pages; the tag that tells


@dataclass(frozen=True)
class Source:
    """A page of a file: its path, or its bytes; `page` from 1, or None for the first, where there may be more."""

    file: str | bytes
    page: int | None = None

    @classmethod
    def of(cls, source: str | os.PathLike[str] | bytes | Source) -> Source:
        """Of a path, of `PATH#3` where there is no file of that very name, or of a file's bytes."""
        if isinstance(source, Source):
            return source
        if isinstance(source, bytes):
            return cls(source)
        path = os.fspath(source)
        file, _, page = path.rpartition("#")
        if re.fullmatch("[0-9]{1,6}", page) and os.path.isfile(file) and not os.path.lexists(path):
            return cls(file, int(page))
        return cls(path)

    @property
    def path(self) -> str:
        """The path, or `-` for bytes."""
        return "-" if isinstance(self.file, bytes) else self.file

    @property
    def name(self) -> str:
        """What a person calls it: `form.pdf#3`."""
        return self.path if self.page is None else f"{self.path}#{self.page}"


def sources(path: str | bytes) -> list[Source]:
    """All pages of a PDF or TIFF, one source for any other file, and those of all pictures in a folder, by their names.

    Folders are searched recursively; hidden ones are skipped. A folder without pictures, and a file that
    cannot be opened, is one source, whose error is reported when it is read.
    """
    if isinstance(path, bytes) or not os.path.isdir(path):
        source = Source.of(path)
        if source.page is not None:
            return [source]
        pages = _page_numbers(source.file)
        return [Source(source.file, page) for page in pages] if len(pages) > 1 else [source]
    files = []
    for folder, below, names in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        files += [
            os.path.join(folder, name)
            for name in sorted(names)
            if not name.startswith(".") and name.lower().endswith(IN_FOLDERS)
        ]
    return [source for file in files for source in sources(file)] if files else [Source(path)]


def _page_numbers(file: str | bytes) -> list[int]:
    """The pages of a PDF or TIFF from 1, at most MAX_PAGES; none of another file, or of one that cannot be opened."""
    try:
        if isinstance(file, str):
            with _plain(Path(file), shown(file)).open("rb") as opened:
                head = opened.read(1024)
        else:
            head = file[:1024]
        if not (_is_pdf(head) or head.startswith(_TIFF)):
            return []
        content = file if isinstance(file, bytes) else _read(Path(file), shown(file))
        if _is_pdf(head):
            with _PDFIUM, _pdfium(shown(str(file))).PdfDocument(content) as document:
                return list(range(1, min(len(document), MAX_PAGES) + 1))
        return _pages_of_tiff(content)
    except Exception:  # said when it is read
        return []


def _pages_of_tiff(content: bytes) -> list[int]:
    from PIL import Image

    pages: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(content), formats=("TIFF",)) as image:
            for page in range(1, MAX_PAGES + 1):
                try:
                    image.seek(page - 1)
                except Exception:  # the end, or damage: what comes before it can be read
                    break
                if not int(image.tag_v2.get(_SUBFILE, 0)) & _REDUCED:  # type: ignore[attr-defined]
                    pages.append(page)
    return pages


def pixels_of(content: bytes) -> int | None:
    """How many pixels a picture file says that it has, without decoding it; None where that does not tell: of a PDF,
    or of what is no picture."""
    from PIL import Image

    try:
        size = _webp_size(content)
        if size is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(io.BytesIO(content), formats=_formats(content, "")) as image:
                    size = image.size
        return size[0] * size[1]
    except Exception:  # said when it is read
        return None


def _webp_size(content: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP picture by its header; None of any other file. Pillow would decode it to tell."""
    kind, head = content[12:16], content[20:30]
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(head) < 10:
        return None
    if kind == b"VP8X":
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF


def open_picture(source: str | Path | bytes | Source, name: str | None = None) -> NDArray[np.uint8]:
    """As `read_picture`, the grey levels alone."""
    return read_picture(source, name)[0]


def read_picture(source: str | Path | bytes | Source, name: str | None = None) -> tuple[NDArray[np.uint8], list[str]]:
    """The grey levels of a picture file, or of a file's bytes, and notes for the user.

    uint8 [H, W], upright, on white where transparent; where all visible pixels have one colour, alpha is dark ink.
    Of an animation or of several pages the first, and that is said; `PATH#3` is the third page of a PDF or TIFF. A PDF
    is rendered at 200 pixels per inch; it and HEIC need the extra `photos`.
    `name` stands in messages; it is the path unless given. Raises PictureError for
    what is missing, no plain file, unreadable, empty, no picture, damaged, over 200 MB or over 100 megapixels (25 of
    WebP); none of these is decoded first. Beside what Pillow decodes, at most 4 bytes a pixel (16 of WebP), it takes
    1 byte a pixel and 0.1 GB.
    """
    source = Source.of(source)
    name = shown(name or ("the picture" if isinstance(source.file, bytes) else source.name))
    if source.page == 0:
        raise PictureError(f"{name}: no such page; pages are counted from 1")
    content = source.file if isinstance(source.file, bytes) else _read(Path(source.file), name)
    if not content:
        raise PictureError(f"{name}: the file is empty (0 bytes); {_EXPECTED}")
    if len(content) > MAX_BYTES:
        raise PictureError(f"{name}: {len(content) / 1e6:.0f} MB; expected at most {MAX_BYTES / 1e6:.0f} MB")
    return (_draw_page if _is_pdf(content[:1024]) else _decode)(content, source.page, name)


def _decode(content: bytes, page: int | None, name: str) -> tuple[NDArray[np.uint8], list[str]]:
    """As `read_picture`, of any file that Pillow opens."""
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        # What Pillow warns of (a huge picture, a damaged tag) is either refused here or does no harm.
        warnings.simplefilter("ignore")
        try:
            width, height = _webp_size(content) or (0, 0)
            if width * height > MAX_WEBP:
                raise _too_many(name, f"{width} x {height} pixels of WebP", MAX_WEBP)
            with Image.open(io.BytesIO(content), formats=_formats(content, name)) as image:
                # To count the frames of a file made for it takes minutes; whether there is a second one is soon known.
                several = page is None and getattr(image, "is_animated", False)
                notes = ["more than one frame, the first is read"] if several else []
                _turn_to(image, page, name)
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise _too_many(name, f"{width} x {height} pixels")
                image.load()
                grey, more = _to_grey(image)
                return _upright(grey, image.getexif().get(_ORIENTATION)), [*notes, *more]
        except PictureError:
            raise
        except UnidentifiedImageError:
            raise PictureError(f"{name}: not a picture; {_EXPECTED}") from None
        except Image.DecompressionBombError as error:  # Pillow's own limit is higher than ours and asks first
            pixels = re.search(r"\d+", str(error))
            megapixels = f"{int(pixels[0]) // 10**6} megapixels" if pixels else "too many pixels"
            raise _too_many(name, megapixels) from None
        except MemoryError:
            raise PictureError(f"{name}: not enough memory to open it; make the picture smaller") from None
        except Exception as error:  # a damaged file makes Pillow's decoders raise nearly anything
            raise _damaged(name, error) from None


def _formats(content: bytes, name: str) -> tuple[str, ...]:
    """The formats of Pillow that the content may have; HEIC's and AVIF's are asked for where they are seen alone."""
    size = int.from_bytes(content[:4], "big")
    brands = {content[i : i + 4] for i in (8, *range(16, min(size, 256), 4))} if content[4:8] == b"ftyp" else set()
    if brands & {b"avif", b"avis"}:
        from PIL import features

        if not features.check("avif"):
            raise PictureError(f"{name}: an AVIF picture, which the Pillow here does not open; {to_install('photos')}")
        return ("AVIF",)
    if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}:
        try:
            import pillow_heif
        except ImportError:
            raise PictureError(f"{name}: a HEIC picture; to read it: {to_install('photos')}") from None
        pillow_heif.register_heif_opener()
        return ("HEIF",)
    return _FORMATS


def _turn_to(image: Image.Image, page: int | None, name: str) -> None:
    if image.format == "HEIF":  # opens at the picture that its file calls the first
        if page not in (None, 1):
            raise _no_page(name, 1)
        return
    if page is not None and not (page == 1 or (image.format == "TIFF" and page > 1)):
        raise _no_page(name, 1)
    if page is not None and page > MAX_PAGES:
        raise _no_page(name, MAX_PAGES)
    last = 0
    try:
        for last in range(page or 1):  # one by one: then it is known where they end
            image.seek(last)
    except EOFError:
        raise _no_page(name, last) from None


def _no_page(name: str, last: int) -> PictureError:
    return PictureError(f"{name}: no such page; expected {'1' if last == 1 else f'1 to {last:,}'}")


def _damaged(name: str, error: Exception) -> PictureError:
    reason = shown(" ".join(str(error).split())) or type(error).__name__
    return PictureError(f"{name}: the picture is damaged or cut short ({reason}); save or download it again")


def _is_pdf(head: bytes) -> bool:
    return b"%PDF-" in head


def _pdfium(name: str) -> Any:
    try:
        import pypdfium2
    except ImportError:
        raise PictureError(f"{name}: a PDF, not a picture; to read it: {to_install('photos')}") from None
    return pypdfium2


def _draw_page(content: bytes, number: int | None, name: str) -> tuple[NDArray[np.uint8], list[str]]:
    """As `read_picture`, of a PDF."""
    pdfium = _pdfium(name)
    with _PDFIUM:
        try:
            with pdfium.PdfDocument(content) as document:
                pages = len(document)
                if not 1 <= (number or 1) <= pages:
                    raise _no_page(name, pages) if pages else PictureError(f"{name}: a PDF without pages")
                page = document[(number or 1) - 1]
                width, height = (round(points * DPI / 72) for points in page.get_size())
                if width * height > MAX_PIXELS:
                    raise _too_many(name, f"{width} x {height} pixels at {DPI} an inch")
                for image in page.get_objects(filter=[pdfium.raw.FPDF_PAGEOBJ_IMAGE]):
                    across, down = image.get_px_size()
                    if across * down > MAX_PIXELS:  # it would be unpacked whole
                        raise _too_many(name, f"a picture of {across} x {counted(down, 'pixel')} in it")
                grey = page.render(scale=DPI / 72, grayscale=True).to_numpy()
                notes = [f"{counted(pages, 'page')}, the first is read"] if number is None and pages > 1 else []
                return np.array(grey.reshape(grey.shape[:2]), dtype=np.uint8), notes
        except PictureError:
            raise
        except MemoryError:
            raise PictureError(f"{name}: not enough memory to draw the page") from None
        except Exception as error:  # a damaged file
            if "password" in str(error).lower():
                raise PictureError(f"{name}: the PDF asks for a password; save it without one") from None
            reason = shown(" ".join(str(error).split())).rstrip(".")
            raise PictureError(f"{name}: a PDF, not a picture, and it is damaged ({reason}); save it again") from None


def to_grey(picture: Any) -> NDArray[np.uint8]:
    """A picture that is in memory: uint8 [H, W], upright, on white where transparent. PictureError.

    A PIL image; or an array or nested list [H, W], or [H, W, C] or [C, H, W] with C 1 (grey), 3 (RGB) or 4 (RGBA), of
    levels as `levels` takes them.
    """
    from PIL import Image

    if isinstance(picture, Image.Image):
        return _upright(_to_grey(picture)[0], picture.getexif().get(_ORIENTATION))
    grey = levels(picture)
    if not grey.size:
        raise PictureError(f"an array of shape {list(grey.shape)} holds no pixel; expected one picture: [H, W]")
    if grey.ndim == 3 and grey.shape[2] not in (1, 3, 4) and grey.shape[0] in (1, 3, 4):
        grey = np.moveaxis(grey, 0, 2)
    if grey.ndim == 3 and grey.shape[2] == 1:
        grey = grey[..., 0]
    if grey.ndim == 2:
        return grey
    if grey.ndim != 3 or grey.shape[2] not in (3, 4):
        raise PictureError(f"an array of shape {list(grey.shape)}; expected one picture: [H, W], or [H, W, 3] of RGB")
    return _to_grey(Image.fromarray(np.ascontiguousarray(grey)))[0]


def levels(values: Any) -> NDArray[np.uint8]:
    """Levels as uint8 0..255: of bool, whole numbers 0..255, uint16 of 12 or 16 bits, or floats 0..1 or 0..255.

    Raises PictureError for any other value.
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # a ragged list; a tensor that wants its gradient
        raise PictureError(f"no array of grey levels ({' '.join(str(error).split())})") from None
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "buif":
        raise PictureError(f"{type(values).__name__} of {array.dtype}; expected a picture, or an array of grey levels")
    least, most = (array.min(), array.max()) if array.size else (0, 0)
    top = 1 if array.dtype.kind == "b" or (array.dtype.kind == "f" and most <= 1) else 255
    top = (1 << bits_of(int(most))) - 1 if array.dtype == np.uint16 and most > 255 else top
    if not (least >= 0 and most <= top):  # what is no number is neither
        raise PictureError(f"levels from {least:g} to {most:g} ({array.dtype}); expected 0 to 255, or floats 0 to 1")
    return array.astype(np.uint8) if top == 255 and array.dtype.kind != "f" else _scaled(array, top)


def _scaled(array: NDArray[Any], top: int) -> NDArray[np.uint8]:
    scaled: NDArray[np.uint8] = np.rint(array.astype(np.float32) * np.float32(255 / top)).astype(np.uint8)
    return scaled


def _plain(path: Path, name: str) -> Path:
    """The path of a plain file of a size that may be read. PictureError, OSError."""
    # Opening a pipe would wait for someone to write to it: ask what it is first.
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise PictureError(f"{name}: a folder; expected a picture file, or a folder that holds some")
    if not stat.S_ISREG(status.st_mode):
        raise PictureError(f"{name}: not a plain file (a pipe or device); expected a picture file, or - for stdin")
    if status.st_size > MAX_BYTES:
        raise PictureError(f"{name}: {status.st_size / 1e6:.0f} MB; expected at most {MAX_BYTES / 1e6:.0f} MB")
    return path


def _read(path: Path, name: str) -> bytes:
    try:
        with _plain(path, name).open("rb") as file:
            return file.read(MAX_BYTES + 1)  # it may have grown
    except PictureError:
        raise
    except FileNotFoundError:
        raise PictureError(f"{name}: no such file; check the path") from None
    except PermissionError:
        raise PictureError(f"{name}: cannot be read; check its permissions") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise PictureError(f"{name}: cannot be read ({reason}); check the path") from None


def _too_many(name: str, what: str, most: int = MAX_PIXELS) -> PictureError:
    return PictureError(f"{name}: {what}; expected at most {most // 10**6} megapixels: make it smaller")


def _upright(grey: NDArray[np.uint8], orientation: int | None) -> NDArray[np.uint8]:
    """Turned and mirrored as EXIF's `orientation` says."""
    from PIL import Image, ImageOps

    if orientation is None:
        return grey
    image = Image.fromarray(grey)
    image.getexif()[_ORIENTATION] = orientation
    return np.array(ImageOps.exif_transpose(image), dtype=np.uint8)


def bits_of(most: int) -> int:
    """How many bits the levels of a 16-bit file or array have, of which `most` is the highest: 12 or 16."""
    return 12 if most < 1 << 12 else 16


def _to_grey(image: Image.Image) -> tuple[NDArray[np.uint8], list[str]]:
    """[H, W] of any of Pillow's modes, and notes on its levels."""
    notes: list[str] = []
    if image.mode == "F" or image.mode.startswith("I"):
        convert, notes = _stretched(image)
    elif _is_drawn_in_alpha(image):
        convert = _alpha_as_ink
    elif channel := _channel_that_shows_more(image):
        convert, notes = functools.partial(_tile_to_channel, channel), [f"seen in its {_CHANNELS[channel]} alone"]
    else:
        convert = _tile_to_grey
    grey = np.empty((image.height, image.width), np.uint8)
    for place, tile in _tiles(image):
        grey[place] = convert(tile)
    return grey, notes


def _tiles(image: Image.Image) -> Iterator[tuple[tuple[slice, slice], Image.Image]]:
    for top in range(0, image.height, _TILE):
        for left in range(0, image.width, _TILE):
            bottom, right = min(top + _TILE, image.height), min(left + _TILE, image.width)
            yield (slice(top, bottom), slice(left, right)), image.crop((left, top, right, bottom))


def _is_transparent(image: Image.Image) -> bool:
    return "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info


def _is_drawn_in_alpha(image: Image.Image) -> bool:
    """Whether all visible pixels have one colour, so that only alpha separates ink from paper."""
    if not _is_transparent(image):
        return False
    colours, alphas = [], []
    for _, tile in _tiles(image):
        rgba = np.asarray(tile.convert("RGBA"))
        alpha = rgba[..., 3]
        alphas += [int(alpha.min()), int(alpha.max())]
        if (seen := rgba[..., :3][alpha > 0]).size:
            colours += [seen.min(axis=0), seen.max(axis=0)]
        if colours and np.ptp(colours, axis=0).any():
            return False
    return bool(colours) and min(alphas) < max(alphas)


def _alpha_as_ink(image: Image.Image) -> NDArray[np.uint8]:
    return 255 - np.asarray(image.convert("RGBA").getchannel("A"), dtype=np.uint8)


def _channel_that_shows_more(image: Image.Image) -> str | None:
    """The channel of RGB that shows far more than grey does, as with red ink on green paper that is as bright; or none.

    It is a channel and no other mixture of colours: black ink on paper of any colour shows in it too.
    """
    if image.mode in ("1", "L", "LA", "La", "LAB"):
        return None
    image = image.convert("RGBA") if image.mode in ("P", "PA") else image
    small = _on_white(image.reduce(max(1, max(image.size) // _LOOK))).convert("RGB")
    spreads = dict(zip(_CHANNELS, np.asarray(small).std(axis=(0, 1)), strict=True))
    most = max(spreads, key=lambda channel: spreads[channel])
    return most if np.asarray(small.convert("L")).std() < _KEPT * spreads[most] else None


def _on_white(image: Image.Image) -> Image.Image:
    from PIL import Image

    if not _is_transparent(image):
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))


def _tile_to_grey(image: Image.Image) -> NDArray[np.uint8]:
    image = _on_white(image)
    grey = image.getchannel(0) if image.mode == "LAB" else image.convert("L")
    return np.asarray(grey, dtype=np.uint8)


def _tile_to_channel(channel: str, image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(_on_white(image).convert("RGB").getchannel(channel), dtype=np.uint8)


def _stretched(image: Image.Image) -> tuple[Callable[[Image.Image], NDArray[np.uint8]], list[str]]:
    """Scale levels that are not 0..255 (integers of up to 16 bits, or floats of any range) to grey; and notes.

    The ranges 0..1, 0..255, 0..4095 and 0..65535 are recognised; any other range is stretched between its 0.1st and
    99.9th percentile, so that a few wild pixels do not decide. A value that is no number becomes the middle one.
    """
    lows, highs, samples, whole = [], [], [], True
    for _, tile in _tiles(image):
        values = np.asarray(tile, dtype=np.float64)
        finite = values[np.isfinite(values)]
        if len(finite):
            lows.append(float(finite.min()))
            highs.append(float(finite.max()))
            samples.append(finite[:: max(1, image.width * image.height // 1_000_000)])
            whole = whole and bool(np.all(finite == np.floor(finite)))
    if not samples:
        return lambda tile: np.zeros((tile.height, tile.width), np.uint8), []
    least, most, sample = min(lows), max(highs), np.concatenate(samples)
    notes = []
    if least >= 0 and most <= 1:
        low, high = 0.0, 1.0
    elif least >= 0 and most <= 255:
        low, high = 0.0, 255.0
    elif least >= 0 and most <= 65535 and whole:
        bits = bits_of(int(most))
        low, high = 0.0, float((1 << bits) - 1)
        if bits < 16:
            notes.append(f"levels of 16 bits, none above {(1 << bits) - 1}, are taken for {bits} bits")
    else:
        low, high = (float(v) for v in np.percentile(sample, [0.1, 99.9]))
    middle, scale = float(np.median(sample)), 255 / (high - low) if high > low else 0.0

    def scaled(tile: Image.Image) -> NDArray[np.uint8]:
        values = np.nan_to_num(np.asarray(tile, dtype=np.float64), nan=middle, posinf=most, neginf=least)
        return np.rint(np.clip((values - low) * scale, 0, 255)).astype(np.uint8)

    return scaled, notes
