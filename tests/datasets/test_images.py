"""Every kind of file that a folder of images can hold becomes upright RGB, or one plain reason."""

from __future__ import annotations

import contextlib
import io
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike.datasets.images import decode
from lookalike.errors import ImageError

LIMIT = 1_000_000
RED, BLUE = (255, 0, 0), (0, 0, 255)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def two_pixels(left: tuple[int, ...], right: tuple[int, ...]) -> Image.Image:
    """16 × 8 px: the left half of one colour, the right half of another."""
    image = Image.new("RGBA" if len(left) == 4 else "RGB", (16, 8), left)
    image.paste(right, (8, 0, 16, 8))
    return image


@pytest.mark.parametrize("format", ["PNG", "GIF", "BMP", "TIFF", "PPM"])
def test_lossless_formats_come_back_as_they_were(format: str) -> None:
    image = decode(encoded(two_pixels(RED, BLUE), format), LIMIT)
    assert image.mode == "RGB"
    assert image.size == (16, 8)
    assert image.getpixel((0, 0)) == RED
    assert image.getpixel((15, 7)) == BLUE


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_lossy_formats_come_back_nearly_as_they_were(format: str) -> None:
    grey = decode(encoded(Image.new("RGB", (16, 8), (90, 120, 150)), format), LIMIT)
    assert np.abs(np.asarray(grey).astype(int) - (90, 120, 150)).max() <= 6


def test_a_path_and_its_bytes_give_the_same(tmp_path: Path) -> None:
    data = encoded(two_pixels(RED, BLUE))
    (tmp_path / "image.txt").write_bytes(data)
    assert decode(tmp_path / "image.txt", LIMIT).tobytes() == decode(data, LIMIT).tobytes()


# Where the two-coloured stripe (red left of blue) lies once the orientation is applied.
UPRIGHT = {
    1: ((0, 0), RED, (15, 0), BLUE),
    2: ((0, 0), BLUE, (15, 0), RED),
    3: ((0, 0), BLUE, (15, 0), RED),
    6: ((0, 0), RED, (0, 15), BLUE),
    8: ((0, 0), BLUE, (0, 15), RED),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied_once(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if format == "WEBP" else {}
    image = decode(encoded(two_pixels(RED, BLUE), format, exif=exif, **lossless), LIMIT)
    first, first_colour, last, last_colour = UPRIGHT[orientation]
    assert image.getpixel(first) == first_colour
    assert image.getpixel(last) == last_colour


def test_a_damaged_exif_block_costs_the_rotation_only() -> None:
    data = encoded(Image.new("RGB", (16, 8), RED), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    assert decode(data, LIMIT).size == (16, 8)


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    for format in ("GIF", "PNG", "WEBP"):
        options = {"lossless": True} if format == "WEBP" else {}
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
        assert decode(data, LIMIT).getpixel((4, 4)) == RED, format


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_greys_are_scaled_not_clipped(format: str) -> None:
    values = np.array([[0, 257, 25_700, 65_535]], dtype=np.uint16)
    image = decode(encoded(Image.fromarray(values), format), LIMIT)
    assert np.asarray(image)[0].tolist() == [[0] * 3, [1] * 3, [100] * 3, [255] * 3]


def test_a_dark_sixteen_bit_image_stays_dark() -> None:
    image = decode(encoded(Image.fromarray(np.full((2, 2), 514, dtype=np.uint16))), LIMIT)
    assert image.getpixel((0, 0)) == (2, 2, 2)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 25_700.0, 65_535.0], [0, 100, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([float("nan"), float("inf"), 1.0], [0, 0, 255]),
        ([0.0, 0.0, 0.0], [0, 0, 0]),
        ([-5.0, -5.0, -5.0], [0, 0, 0]),
    ],
)
def test_float_greys_take_the_range_that_holds_them(values: list[float], expected: list[int]) -> None:
    image = decode(encoded(Image.fromarray(np.array([values], dtype=np.float32)), "TIFF"), LIMIT)
    assert np.asarray(image)[0, :, 0].tolist() == expected


def test_large_integers_are_stretched() -> None:
    image = decode(
        encoded(Image.fromarray(np.array([[0, 500_000, 1_000_000]], dtype=np.int32)), "TIFF"), LIMIT
    )
    assert np.asarray(image)[0, :, 0].tolist() == [0, 128, 255]


def test_cmyk_becomes_rgb() -> None:
    image = decode(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100), LIMIT)
    assert image.mode == "RGB"
    assert np.abs(np.array(image.getpixel((4, 4))) - RED).max() <= 4


@pytest.mark.parametrize("mode", ["1", "L", "P", "YCbCr"])
def test_other_modes_become_rgb(mode: str) -> None:
    format = "TIFF" if mode == "YCbCr" else "PNG"
    image = decode(encoded(Image.new("RGB", (4, 4), "white").convert(mode), format), LIMIT)
    assert image.getpixel((1, 1)) == (255, 255, 255)


def palette_with_transparent_blue() -> bytes:
    image = Image.new("P", (16, 8), 0)
    image.putpalette([*RED, *BLUE])
    image.paste(1, (8, 0, 16, 8))
    return encoded(image, transparency=1)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("RGBA", encoded(two_pixels((*RED, 255), (*BLUE, 0)))),
        ("palette and one index", palette_with_transparent_blue()),
        ("palette and alpha bytes", encoded(two_pixels((*RED, 255), (*BLUE, 0)).quantize(4))),
        ("colour key", encoded(two_pixels(RED, BLUE), transparency=BLUE)),
        ("GIF", encoded(two_pixels((*RED, 255), (*BLUE, 0)), "GIF")),
        ("WebP", encoded(two_pixels((*RED, 255), (*BLUE, 0)), "WEBP", lossless=True)),
    ],
)
def test_transparency_is_put_on_white(name: str, data: bytes) -> None:
    image = decode(data, LIMIT)
    assert image.getpixel((0, 0)) == RED
    assert image.getpixel((15, 7)) == (255, 255, 255)


def test_half_transparent_black_is_grey() -> None:
    assert decode(encoded(Image.new("LA", (1, 1), (0, 128))), LIMIT).getpixel((0, 0)) == (127, 127, 127)


def test_one_pixel_is_an_image() -> None:
    assert decode(encoded(Image.new("RGB", (1, 1), RED)), LIMIT).getpixel((0, 0)) == RED


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that announces a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_a_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(ImageError, match=r"30000 × 40000 pixels exceed dataset\.max_pixels=1000000"):
        decode(png_header(30_000, 40_000), LIMIT)


def test_the_limit_is_ours_not_that_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(encoded(two_pixels(RED, BLUE)), 128).size == (16, 8)
    with pytest.raises(ImageError, match="exceed"):
        decode(encoded(two_pixels(RED, BLUE)), 127)


JPEG = encoded(Image.effect_noise((64, 64), 50).convert("RGB"), "JPEG")
PNG = encoded(Image.effect_noise((64, 64), 50).convert("RGB"))


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("zero bytes", b"", "the file is empty"),
        ("text", b"<html>not found</html>", "not an image in one of the formats JPEG, PNG"),
        ("a truncated JPEG", JPEG[: len(JPEG) // 2], "truncated"),
        ("a truncated PNG", PNG[: len(PNG) // 2], "truncated"),
        ("a JPEG's first bytes", JPEG[:20], "."),
        ("a PNG's first bytes", PNG[:20], "."),
        ("PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
)
def test_what_is_no_image_has_a_reason_of_one_line(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as raised:
        decode(data, LIMIT)
    assert str(raised.value).strip()
    assert "\n" not in str(raised.value)


def test_a_missing_file_and_a_folder_have_a_reason(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        decode(tmp_path / "gone.png", LIMIT)
    with pytest.raises(ImageError, match="directory"):
        decode(tmp_path, LIMIT)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "AVIF"])
def test_damaged_bytes_never_crash_or_warn(format: str) -> None:
    random = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if format in ("PNG", "JPEG", "TIFF", "WEBP") else {}
    sound = encoded(two_pixels(RED, BLUE), format, **options)
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        for _ in range(150):
            data = bytearray(sound)
            for place in random.integers(0, len(data), size=3):
                data[place] = random.integers(256)
            with contextlib.suppress(ImageError):
                assert decode(bytes(data), LIMIT).mode == "RGB"
    assert leaked == []


def test_threads_decode_quietly_and_leave_the_filters_as_they_were() -> None:
    noisy = encoded(Image.new("RGB", (16, 8), RED), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        with ThreadPoolExecutor(8) as pool:
            images = list(pool.map(lambda _: decode(noisy, LIMIT), range(64)))
        assert warnings.filters == before
    assert {image.size for image in images} == {(16, 8)}
    assert leaked == []


def png_with(*chunks: tuple[bytes, bytes], image: Image.Image | None = None) -> bytes:
    """A PNG of two colours with ``chunks`` (name, data) behind its header."""
    data = encoded(two_pixels(RED, BLUE) if image is None else image)
    framed = (
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    return data[:33] + b"".join(framed) + data[33:]


MANY_BYTES = bytes(range(256)) * 20_000
PACKED = zlib.compress(b"words " * 1_000_000)


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"tEXt", b"Comment\0" + MANY_BYTES.replace(b"\0", b" "))],
        [(b"zTXt", b"Comment\0\0" + PACKED)],
        [(b"zTXt", b"Comment\0\0" + zlib.compress(MANY_BYTES, 0))],
        [(b"iTXt", b"Comment\0\1\0\0\0" + PACKED)],
        [(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + PACKED)],
        [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"<x/>" * 1_000_000)],
        [(b"zTXt", b"Raw profile type exif\0\0" + PACKED)],
        [(b"iCCP", b"profile\0\0" + PACKED)],
        [(b"iCCP", b"profile\0\0" + b"no profile at all")],
        [(b"zTXt", b"Comment %d\0\0" % i + zlib.compress(bytes(1_000_000))) for i in range(100)],
        [(b"eXIf", b"II*\0" + MANY_BYTES)],
        [(b"prVt", MANY_BYTES)],
    ],
    ids=lambda chunks: f"{len(chunks)} {chunks[0][0].decode()} {len(chunks[0][1]):,}",
)
def test_what_a_png_holds_beside_its_pixels_does_not_matter(chunks: list[tuple[bytes, bytes]]) -> None:
    image = decode(png_with(*chunks), LIMIT)
    assert image.tobytes() == two_pixels(RED, BLUE).tobytes()


def exif_turned() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return exif.tobytes()


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize(
    "chunk",
    [
        (b"eXIf", exif_turned().removeprefix(b"Exif\0\0")),
        (
            b"tEXt",
            b"Raw profile type exif\0\nexif\n%8d\n" % len(exif_turned()) + exif_turned().hex().encode(),
        ),
        (
            b"zTXt",
            b"Raw profile type exif\0\0"
            + zlib.compress(b"\nexif\n%8d\n" % len(exif_turned()) + exif_turned().hex().encode()),
        ),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
    ],
    ids=["eXIf", "tEXt", "zTXt", "XMP", "packed XMP"],
)
def test_the_orientation_of_a_png_is_applied_wherever_it_stands(chunk: tuple[bytes, bytes]) -> None:
    text = (b"zTXt", b"Comment\0\0" + PACKED)
    image = decode(png_with(text, chunk, text), LIMIT)
    assert image.size == (8, 16)
    assert (image.getpixel((0, 0)), image.getpixel((0, 15))) == (RED, BLUE)


def test_an_animated_png_is_its_default_image() -> None:
    first, second = two_pixels(RED, BLUE), two_pixels(BLUE, RED)
    data = encoded(first, save_all=True, append_images=[second] * 3)
    assert decode(data, LIMIT).tobytes() == first.tobytes()


def test_transparency_of_a_palette_survives() -> None:
    data = encoded(Image.new("P", (4, 4), 0), transparency=0)
    assert decode(data, LIMIT).getpixel((0, 0)) == (255, 255, 255)


def white_png(width: int, height: int, depth: int, colour_type: int) -> bytes:
    """A PNG of few bytes, made row by row."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    packer = zlib.compressobj(1)
    row = b"\0" + b"\xff" * (width * channels * depth // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


BYTES_PER_PIXEL = 12
"""The most that :func:`decode` promises to take."""


def test_decoding_takes_so_many_bytes_a_pixel_and_no_more(tmp_path: Path) -> None:
    """Measured in a child, file after file, the cheapest first: its peak only grows."""
    side = 1800
    grey, colour = Image.new("L", (side, side), 99), Image.new("RGB", (side, side), RED)
    files = {
        "palette.gif": encoded(grey, "GIF", save_all=True, append_images=[colour.convert("P")] * 3),
        "16-bit grey.png": white_png(side, side, 16, 0),
        "float.tif": encoded(Image.new("F", (side, side), 0.5), "TIFF", compression="tiff_deflate"),
        "transparent.png": white_png(side, side, 8, 6),
        "16-bit transparent.png": white_png(side, side, 16, 6),
        "cmyk.tif": encoded(colour.convert("CMYK"), "TIFF", compression="tiff_lzw", tiffinfo={278: side}),
        "progressive.jpg": encoded(colour, "JPEG", progressive=True, subsampling=0),
        "text.png": png_with(
            *[(b"zTXt", b"%d\0\0" % i + zlib.compress(bytes(900_000))) for i in range(60)], image=grey
        ),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    measured = subprocess.run(
        [sys.executable, "-P", "-c", MEASURE, str(side * side), *(str(tmp_path / name) for name in files)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    taken = dict(zip(files, map(float, measured.split()), strict=True))
    assert max(taken.values()) < BYTES_PER_PIXEL + 2, taken


MEASURE = """
import resource, sys
from pathlib import Path
from lookalike.datasets.images import decode

def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

pixels = int(sys.argv[1])
before = peak()
for file in sys.argv[2:]:
    decode(Path(file), pixels * 2)
    print((peak() - before) / pixels)
"""


@pytest.mark.parametrize(
    ("data", "bits"),
    [
        (white_png(100, 100, 16, 6), 64),
        (white_png(100, 100, 16, 2), 48),
        (encoded(Image.new("RGB", (100, 100)), "JPEG", progressive=True), 48),
        (encoded(Image.new("CMYK", (100, 100)), "JPEG", progressive=True), 64),
    ],
    ids=["RGBA 16", "RGB 16", "progressive", "progressive CMYK"],
)
def test_pixels_deeper_than_32_bits_count_as_more(data: bytes, bits: int) -> None:
    decode(data, 100 * 100 * bits // 32)
    with pytest.raises(ImageError, match=f"100 × 100 pixels of {bits} bits exceed dataset.max_pixels"):
        decode(data, 100 * 100 * bits // 32 - 1)


def test_a_tiff_whose_tiles_are_larger_than_allowed_is_not_decoded() -> None:
    data = bytearray(encoded(Image.new("L", (64, 64)), "TIFF", compression="tiff_deflate"))
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    tags = {273: 324, 278: 322, 279: 325}  # strips become tiles
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", data, entry)
        if tag in tags:
            struct.pack_into("<H", data, entry, tags[tag])
        if tag == 278:
            struct.pack_into("<HII", data, entry + 2, 4, 1, 65_536)
        if tag == 262:  # of no use here: it becomes the tiles' height
            struct.pack_into("<HHII", data, entry, 323, 4, 1, 65_536)
    with pytest.raises(ImageError, match="in tiles that are larger exceed"):
        decode(bytes(data), LIMIT)


def test_heic_is_read_upright(tmp_path: Path) -> None:
    import pillow_heif

    file = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    turned = two_pixels(RED, BLUE).resize((64, 32), Image.Resampling.NEAREST)
    pillow_heif.from_pillow(turned).save(file, quality=90, exif=exif.tobytes())
    image = decode(file.getvalue(), LIMIT)
    assert image.size == (32, 64)
    top, bottom = image.getpixel((16, 8)), image.getpixel((16, 56))
    assert top[0] > 150 > top[2]  # type: ignore[index]
    assert bottom[2] > 150 > bottom[0]  # type: ignore[index]
    with pytest.raises(ImageError, match=r"exceed dataset\.max_pixels"):
        decode(file.getvalue(), 100)


@pytest.mark.parametrize(
    ("brand", "compatible", "reason"),
    [
        (b"mif1", b"mif1heic", "HEI|heif|Invalid"),
        (b"mif1", b"mif1avif", "AVIF|avif|decode"),
        (b"isom", b"mp42", "not an image"),
    ],
)
def test_brands_tell_heic_from_avif_and_video(brand: bytes, compatible: bytes, reason: str) -> None:
    data = struct.pack(">I", 16 + len(compatible)) + b"ftyp" + brand + bytes(4) + compatible + bytes(64)
    with pytest.raises(ImageError, match=reason):
        decode(data, LIMIT)


def test_heic_without_its_package_names_the_extra(tmp_path: Path) -> None:
    """In a child where the package cannot be found: a folder of them, a mixed one, and one file."""
    for folder in ("only", "mixed"):
        (tmp_path / folder).mkdir()
        for name in ("a.heic", "b.HEIF", "c.hif", "notes.txt"):
            (tmp_path / folder / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(16))
    (tmp_path / "mixed" / "d.png").write_bytes(encoded(two_pixels(RED, BLUE)))
    ended = subprocess.run(
        [sys.executable, "-P", "-c", WITHOUT_HEIC, tmp_path], capture_output=True, text=True, check=True
    )
    lines = ended.stdout.splitlines()
    cure = "pip install 'lookalike[heic]' to have .heic read"
    assert lines == [
        f"{tmp_path / 'only'} holds no images that can be read (4 files seen: 1 .heic, 1 .heif, 1 .hif, "
        f"1 .txt); {cure}",
        f"3 images were left out (1 .heic, 1 .heif, 1 .hif); {cure}",
        f"it is a HEIC; {cure.removesuffix(' to have .heic read')} to have it read",
    ]


WITHOUT_HEIC = """
import importlib.abc, sys
from pathlib import Path

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "pillow_heif":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from lookalike import schemas
from lookalike.datasets import open_dataset
from lookalike.datasets.images import decode
from lookalike.errors import UserError, ImageError

root = Path(sys.argv[1])
for folder in ("only", "mixed"):
    try:
        print(*open_dataset(schemas.FolderDataset(root=str(root / folder))).notices)
    except UserError as error:
        print(error)
try:
    decode(root / "only" / "a.heic", 100)
except ImageError as error:
    print(error)
"""


def test_a_png_of_too_many_chunks_is_refused_soon() -> None:
    chunk = struct.pack(">I", 0) + b"prVt" + struct.pack(">I", zlib.crc32(b"prVt"))
    data = encoded(two_pixels(RED, BLUE))
    with pytest.raises(ImageError, match="more than 100,000 chunks beside its pixels"):
        decode(data[:33] + chunk * 100_001 + data[33:], LIMIT)


def test_a_chunk_longer_than_its_file_is_a_truncated_file() -> None:
    data = encoded(two_pixels(RED, BLUE))
    with pytest.raises(ImageError, match="truncated"):
        decode(data[:33] + struct.pack(">I", 2**31 - 1) + b"zTXt" + data[33:], LIMIT)


def test_the_limit_of_pixels_is_the_call_s_and_not_the_process_s(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("L", (300, 300)), "TIFF", compression="tiff_deflate")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert decode(data, 90_000).size == (300, 300)
    assert Image.MAX_IMAGE_PIXELS == 1000
