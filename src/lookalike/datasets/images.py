"""From any common image file to an upright 8-bit RGB image on white, or to one plain reason why not.

Pillow does the decoding. Its formats are restricted to those below, the limit of an image's size is ours (a
call's, not Pillow's process-wide one), and whatever a hostile file provokes leaves here as an ImageError.
Only what the pixels need is read: compressed text and colour profiles of a PNG are skipped, not inflated, so
that neither their size nor what they would grow to matters.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, ImageOps

from lookalike.datasets.png import PixelChunks, is_png
from lookalike.errors import ImageError

HEIC_EXTENSIONS = frozenset({".heic", ".heif", ".hif"})
"""What phones write; read by the package of the extra ``heic``."""

EXTENSIONS = (
    frozenset(
        {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".avif", ".bmp", ".dib"}
        | {".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
    )
    | HEIC_EXTENSIONS
)
"""Lower-case endings of the files that are taken for images."""

UNREADABLE_EXTENSIONS = frozenset(
    {".jxl", ".jxr", ".jp2", ".j2k", ".j2c", ".jpx", ".jpf", ".svg", ".svgz", ".eps", ".psd", ".psb", ".xcf"}
    | {".exr", ".hdr", ".tga", ".pcx", ".ico", ".icns", ".dcm", ".heics", ".avifs", ".raw", ".dng", ".crw"}
    | {".cr2", ".cr3", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".srw", ".orf", ".raf", ".rw2", ".rwl", ".pef"}
    | {".3fr", ".iiq", ".x3f", ".mrw", ".kdc", ".dcr", ".erf", ".mef", ".mos"}
)
"""Images too, for people; a folder that holds some gets a notice."""

HEIC_CURE = "pip install 'lookalike[heic]'"

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "PPM")
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})

PREFIX_BYTES = 64
"""Of a file, that tell its format."""

BITS_PER_PIXEL = 32
"""Up to so many bits in the file, a pixel counts once against ``max_pixels``; deeper ones count as more."""
TILE_SIDE = 1024
"""Pixels are converted in tiles of at most this many on a side, so that conversions need no second image."""
TILE_LENGTHS = (322, 323)
BITS_PER_SAMPLE = 258
"""Tags of a TIFF."""


def decode(source: bytes | Path | BinaryIO, max_pixels: int) -> Image.Image:
    """Return the image in ``source`` (bytes, a path or an open file): upright, RGB, 8 bits a channel.

    EXIF orientation is applied, the first frame of an animation and the first page of a TIFF taken,
    transparency put on white, CMYK and palettes converted. Integers of more than 8 bits are taken for 16-bit
    greys and divided by 257; floats are scaled from the smallest of the ranges 0–1, 0–255 and 0–65535 that
    holds them. What these ranges do not hold is stretched from minimum to maximum.

    Raises ImageError, whose text is a short reason without the path: the file is missing, empty, truncated,
    of no known format, or its header announces more than ``max_pixels`` pixels (of at most 32 bits; deeper
    pixels count as more); then nothing is decoded. Memory: at most about 12 bytes a pixel, whatever the file
    holds beside its pixels. Thread-safe.
    """
    try:
        with _quiet_pillow(), _opened(source) as file:
            return _decode(file, max_pixels)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("not enough memory to decode it") from error
    except OSError as error:
        raise ImageError(error.strerror or _plain(error)) from error
    except Exception as error:  # damaged headers make Pillow raise nearly anything
        too_short = isinstance(error, struct.error) or isinstance(error.__cause__, struct.error)
        raise ImageError("the file is truncated or damaged" if too_short else _plain(error)) from error


def open_file(path: str | Path) -> BinaryIO:
    """Open an image's file for :func:`decode`; ImageError with the reason when it cannot be opened."""
    try:
        return open(path, "rb")  # noqa: PTH123 (a Path costs 5 µs a file)
    except OSError as error:
        raise ImageError(error.strerror or type(error).__name__) from error


@cache
def reads_heic() -> bool:
    """Whether the package of the extra ``heic`` is installed."""
    try:
        return importlib.util.find_spec("pillow_heif") is not None
    except ImportError:
        return False


def looks_like_an_image(prefix: bytes) -> bool:
    """Whether a file is an image, whatever its name says; ``prefix``: its first :data:`PREFIX_BYTES`."""
    return _is_heic(prefix) or _format_of(prefix) is not None


def _decode(file: BinaryIO, max_pixels: int) -> Image.Image:
    with _identify(file) as image:
        _check_size(image, max_pixels)
        image.load()
        with contextlib.suppress(Exception):  # a damaged EXIF block costs the rotation, not the image
            ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image)


def _identify(file: BinaryIO) -> ImageFile.ImageFile:
    """Read the header. ``Image.open`` would do, but for its process-wide pixel limit."""
    prefix = file.read(PREFIX_BYTES)
    if not prefix:
        raise ImageError("the file is empty")
    name = _register_heic() if _is_heic(prefix) else _format_of(prefix)
    if name is None:
        raise ImageError(f"not an image in one of the formats {', '.join(_FORMATS)}")
    file.seek(0)
    factory, _ = Image.OPEN[name]
    image = factory(PixelChunks(file) if is_png(prefix) else file, "")  # type: ignore[arg-type]
    assert isinstance(image, ImageFile.ImageFile)
    return image


def _format_of(prefix: bytes) -> str | None:
    Image.preinit()
    if not set(_FORMATS) <= Image.OPEN.keys():
        Image.init()
    for name in _FORMATS:
        _, accepts = Image.OPEN.get(name, (None, None))
        # AVIF's test returns a sentence, not True, when this Pillow was built without it.
        if accepts is not None and accepts(prefix) is True:
            return name
    return None


def _is_heic(prefix: bytes) -> bool:
    """By the brands of its first box: an AVIF has the same container and brands of its own."""
    if prefix[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(prefix[:4]), len(prefix))
    brands = {prefix[8:12], *(prefix[i : i + 4] for i in range(16, end, 4))}
    return bool(brands & _HEIC_BRANDS) and not brands & _AVIF_BRANDS


def _register_heic() -> str:
    """The name that Pillow knows HEIC by; ImageError without the package that reads it."""
    if not reads_heic():
        raise ImageError(f"it is a HEIC; {HEIC_CURE} to have it read")
    import pillow_heif

    pillow_heif.register_heif_opener()
    return "HEIF"


def _check_size(image: ImageFile.ImageFile, max_pixels: int) -> None:
    """Raise ImageError when decoding would take more memory than ``max_pixels`` pixels of 32 bits do."""
    width, height = image.size
    bits = _bits_per_pixel(image)
    pixels = max(width * height, _pixels_of_a_tile(image))
    if pixels * max(bits, BITS_PER_PIXEL) > max_pixels * BITS_PER_PIXEL:
        deep = f" of {bits} bits" if bits > BITS_PER_PIXEL else ""
        tiles = " in tiles that are larger" if pixels > width * height else ""
        raise ImageError(
            f"{width} × {height} pixels{deep}{tiles} exceed dataset.max_pixels={max_pixels}; "
            "raise it to have them"
        )


def _bits_per_pixel(image: ImageFile.ImageFile) -> int:
    """Bits that the file holds for each pixel, or that its decoder holds at once where these are more."""
    if isinstance(file := image.fp, PixelChunks):
        return file.bits_per_pixel
    bands = len(image.getbands())
    if image.format == "TIFF":
        depths: tuple[int, ...] = image.tag_v2.get(BITS_PER_SAMPLE, (1,))  # type: ignore[attr-defined]
        return sum(depths) * (bands if len(depths) == 1 else 1)
    if image.format == "WEBP":
        return 48  # two canvases
    if image.info.get("progressive"):
        return 16 * bands  # the coefficients of all pixels
    return bands * (16 if image.info.get("bit_depth", 8) > 8 or image.mode in ("I", "F") else 8)


def _pixels_of_a_tile(image: ImageFile.ImageFile) -> int:
    """Of a TIFF, whose tiles are decoded as a whole, however small the image is; else 0."""
    if image.format != "TIFF":
        return 0
    width, length = (image.tag_v2.get(tag, 0) for tag in TILE_LENGTHS)  # type: ignore[attr-defined]
    return int(width) * int(length)


def _to_rgb(image: Image.Image) -> Image.Image:
    """The image on white; tile by tile where a conversion would need a second image of its size."""
    if image.mode.startswith("I") or image.mode == "F":
        return _in_tiles(image, _eight_bits(image))
    if not image.has_transparency_data:
        return image.convert("RGB")
    return _in_tiles(image, _on_white)


def _in_tiles(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    whole = Image.new("RGB", image.size)
    for box in _boxes(*image.size):
        whole.paste(convert(image.crop(box)), box)
    return whole


def _boxes(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    for top in range(0, height, TILE_SIDE):
        for left in range(0, width, TILE_SIDE):
            yield left, top, min(left + TILE_SIDE, width), min(top + TILE_SIDE, height)


def _on_white(tile: Image.Image) -> Image.Image:
    rgba = tile.convert("RGBA")
    canvas = Image.new("RGB", rgba.size, "white")
    canvas.paste(rgba, mask=rgba.getchannel("A"))
    return canvas


def _eight_bits(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """How a tile of greys of 16 or 32 bits or floats becomes RGB, see :func:`decode`."""
    ranges = [_range(_values(image.crop(box))) for box in _boxes(*image.size)]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
    white = next((top for top in whites if low >= 0 and high <= top), None)
    black = 0.0 if white is not None else low
    scale = 255.0 / (white if white is not None else (high - low) or 1.0)

    def convert(tile: Image.Image) -> Image.Image:
        grey = np.rint((_values(tile) - black) * scale).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")

    return convert


def _values(tile: Image.Image) -> np.ndarray:
    """As float64; what is not finite becomes 0."""
    return np.nan_to_num(np.asarray(tile).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _range(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


@contextlib.contextmanager
def _opened(source: bytes | Path | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, Path):
        with source.open("rb") as file:
            yield file
    else:
        source.seek(0)
        yield source


def _plain(error: Exception) -> str:
    """Pillow's reason on one line."""
    return " ".join(str(error).split()) or type(error).__name__


class _QuietPillow:
    """Silences Pillow while any thread decodes: ``warnings.catch_warnings`` alone is not thread-safe.

    Its process-wide limit of pixels is lifted as long: ours was checked before, and some formats ask again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0
        self._saved = contextlib.ExitStack()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            self._threads += 1
            if self._threads == 1:
                self._saved.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"PIL\b")
                self._saved.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
                Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            with self._lock:
                self._threads -= 1
                if self._threads == 0:
                    self._saved.close()


_quiet_pillow = _QuietPillow()
