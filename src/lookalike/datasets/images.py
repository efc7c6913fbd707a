"""From any common image file to an upright 8-bit RGB image on white, or to one plain reason why not.

Pillow does the decoding. Its formats are restricted to those below, the limit of an image's size is ours (a
call's, not Pillow's process-wide one), and whatever a hostile file provokes leaves here as an ImageError.
"""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from lookalike.errors import ImageError

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".avif", ".bmp", ".dib"}
    | {".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
)
"""Lower-case endings of the files that are taken for images."""

UNREADABLE_EXTENSIONS = frozenset(
    {".heic", ".heif", ".jxl", ".jp2", ".svg", ".psd"}
    | {".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"}
)
"""Images too, for people; a folder that holds some gets a notice."""

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "PPM")


def decode(source: bytes | Path, max_pixels: int) -> Image.Image:
    """Return the image in ``source``, a file's bytes or its path, upright, RGB, 8 bits a channel.

    EXIF orientation is applied, the first frame of an animation taken, transparency put on white, CMYK and
    palettes converted. Integers of more than 8 bits are taken for 16-bit greys and divided by 257; floats are
    scaled from the smallest of the ranges 0–1, 0–255 and 0–65535 that holds them. What these ranges do not
    hold is stretched from minimum to maximum.

    Raises ImageError, whose text is a short reason without the path: the file is missing, empty, truncated,
    of no known format, or its header announces more than ``max_pixels`` pixels (then nothing is decoded).
    Thread-safe.
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
        raise ImageError(_plain(error)) from error


def _decode(file: BinaryIO, max_pixels: int) -> Image.Image:
    with _identify(file) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise ImageError(
                f"{width} × {height} pixels exceed dataset.max_pixels={max_pixels}; raise it to have them"
            )
        image.load()
        with contextlib.suppress(Exception):  # a damaged EXIF block costs the rotation, not the image
            ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image)


def _identify(file: BinaryIO) -> Image.Image:
    """Read the header. ``Image.open`` would do, but for its process-wide pixel limit."""
    prefix = file.read(16)
    if not prefix:
        raise ImageError("the file is empty")
    Image.preinit()
    if not set(_FORMATS) <= Image.OPEN.keys():
        Image.init()
    for name in _FORMATS:
        factory, accepts = Image.OPEN.get(name, (None, None))
        # AVIF's test returns a sentence, not True, when this Pillow was built without it.
        if factory is not None and accepts is not None and accepts(prefix) is True:
            file.seek(0)
            return factory(file, "")
    raise ImageError(f"not an image in one of the formats {', '.join(_FORMATS)}")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    canvas = Image.new("RGB", rgba.size, "white")
    canvas.paste(rgba, mask=rgba.getchannel("A"))
    return canvas


def _eight_bits(image: Image.Image) -> np.ndarray:
    """Scale greys of 16 or 32 bits or floats to uint8, see :func:`decode`; what is not finite becomes 0."""
    values = np.nan_to_num(np.asarray(image).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    ranges = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
    white = next((top for top in ranges if low >= 0 and high <= top), None)
    if white is None:
        values, white = values - low, (high - low) or 1.0
    return np.rint(values * (255.0 / white)).astype(np.uint8)


@contextlib.contextmanager
def _opened(source: bytes | Path) -> Iterator[BinaryIO]:
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        yield file


def _plain(error: Exception) -> str:
    """One line, whatever Pillow said."""
    return " ".join(str(error).split()) or type(error).__name__


class _QuietPillow:
    """Silences Pillow while any thread decodes: ``warnings.catch_warnings`` alone is not thread-safe."""

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
        try:
            yield
        finally:
            with self._lock:
                self._threads -= 1
                if self._threads == 0:
                    self._saved.close()


_quiet_pillow = _QuietPillow()
