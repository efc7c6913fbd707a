"""Images that cannot be used, and odd ones that can."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from tests.pipeline.command_line import Run, artifacts, drafts, records
from tests.pipeline.inputs import few_pictures, images, table

LABELS = ("queries=labels", "dataset.labels=animal")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb() -> bytes:
    """A PNG of a hundred bytes whose header announces 3.6 gigapixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(bytes(100)))
        + png_chunk(b"IEND", b"")
    )


def add_bad_images(root: Path) -> dict[str, str]:
    """Five images that cannot be used, each with what the ledger has to say of it."""
    whole = (root / "00.png").read_bytes()
    (root / "bomb.png").write_bytes(bomb())
    (root / "text.jpg").write_text("I am no image")
    (root / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (root / "zero.png").write_bytes(b"")
    (root / "unreadable.png").symlink_to("/proc/self/mem")  # opens, but reading fails, for root as well
    return {
        "bomb.png": r"60000 × 60000 pixels exceed dataset\.max_pixels",
        "text.jpg": "not an image in one of the formats",
        "truncated.png": "truncated",
        "zero.png": "the file is empty",
        "unreadable.png": "Input/output error",
    }


def add_odd_images(root: Path) -> dict[str, str]:
    """Images of unusual kinds, each with a plain one that it has to look like."""
    sound = Image.open(root / "01.png").convert("RGB")
    grey = sound.convert("L")

    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: a quarter clockwise makes it upright
    sound.transpose(Image.Transpose.ROTATE_90).save(root / "rotated.png", exif=exif)

    other = Image.open(root / "02.png").convert("RGB")
    sound.save(root / "animated.png", save_all=True, append_images=[other], default_image=False)

    grey.save(root / "grey.png")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(root / "sixteen_bit.png")

    palette = Image.new("P", (48, 48), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(1, (24, 0, 48, 48))
    palette.save(root / "palette.png", transparency=1)
    half_white = Image.new("RGB", (48, 48), "white")
    half_white.paste((255, 0, 0), (0, 0, 24, 48))
    half_white.save(root / "half_white.png")

    Image.new("CMYK", (48, 48), (0, 255, 255, 0)).save(root / "cmyk.tif")
    Image.new("RGB", (1, 1), (255, 0, 0)).save(root / "one_pixel.png")
    Image.new("RGB", (48, 48), (255, 0, 0)).save(root / "red.png")
    return {
        "rotated.png": "01.png",
        "animated.png": "01.png",
        "sixteen_bit.png": "grey.png",
        "palette.png": "half_white.png",
        "cmyk.tif": "red.png",
        "one_pixel.png": "red.png",
    }


def embedded(home: Path) -> dict[str, np.ndarray]:
    """The gallery's vectors by id."""
    [folder] = (home / "store" / "artifacts" / "embeddings").iterdir()
    ids = pq.read_table(folder / "metadata.parquet")["id"].to_pylist()
    return dict(zip(ids, np.load(folder / "embeddings.npy"), strict=True))


def test_bad_images_go_to_the_ledger_and_the_run_goes_on(run: Run, home: Path, tmp_path: Path) -> None:
    overrides = images(tmp_path, "dataset.max_bad_fraction=0.5", "dataset.max_pixels=1_000_000")
    root = tmp_path / "pictures"
    reasons = add_bad_images(root)

    ended = run(*overrides)

    assert (ended.code, "Traceback" in ended.err) == (0, False)
    assert "notice: 5 of 17 images cannot be used; record.json names them under bad_images" in ended.err
    [record] = records(home)
    ledger = {image["id"]: image for image in record["data"]["bad_images"]}
    assert {name.partition("#")[0] for name in ledger} == reasons.keys(), "copies of bad images are bad too"
    for name, reason in reasons.items():
        assert re.search(reason, ledger[name]["reason"]), ledger[name]
        assert ledger[name]["location"] == str(root / name)
    assert (record["status"], record["data"]["gallery_size"]) == ("finished", 12)


def test_odd_images_are_embedded_as_what_they_show(run: Run, home: Path, tmp_path: Path) -> None:
    overrides = images(tmp_path)
    pairs = add_odd_images(tmp_path / "pictures")

    assert run(*overrides).code == 0

    [record] = records(home)
    assert record["data"]["bad_images"] == []
    found = embedded(home)
    for odd, plain in pairs.items():
        np.testing.assert_allclose(found[odd], found[plain], atol=1e-6, err_msg=odd)


def test_too_many_bad_images_end_the_run_and_its_advice_helps(run: Run, home: Path, tmp_path: Path) -> None:
    few_pictures(tmp_path / "pictures", 34)  # 5 bad ones of 39 are 12.82 %: rounded to nearest, too little
    overrides = images(tmp_path)
    add_bad_images(tmp_path / "pictures")

    refusal = run(*overrides, "dataset.max_bad_fraction=0.12").refusal()

    assert re.search(r"5 of 39 images cannot be used \(\S+bomb\.png: .*; mend or remove them", refusal)
    assert not (home / "outputs").exists()
    assert (artifacts(home), drafts(home)) == (["embeddings"], [])

    advice = re.search(r"dataset\.max_bad_fraction=\S+", refusal)
    assert advice
    ended = run(*overrides, advice[0])
    assert ended.code == 0
    assert "embeddings: reused" in ended.err.splitlines()


def test_a_sample_with_more_bad_images_than_the_gallery_goes_on(run: Run, home: Path, tmp_path: Path) -> None:
    overrides = images(tmp_path, "queries=copies", "queries.n=null", "dataset.max_bad_fraction=0.1")
    (tmp_path / "pictures" / "zero.png").write_bytes(b"")
    assert run(*overrides).code == 0
    smallest = next(n for n in range(1, 13) if "zero.png#crop" in asked(run, home, overrides, n))
    assert smallest < 10, "one bad image of these originals is more than a tenth"


def asked(run: Run, home: Path, overrides: list[str], n: int) -> set[str]:
    """Ids of the bad images of a run with ``n`` originals."""
    assert run(*overrides, f"queries.n={n}").code == 0
    return {image["id"] for image in records(home)[-1]["data"]["bad_images"]}


def test_no_usable_image_is_an_error_whatever_is_allowed(run: Run, home: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "broken" / name).write_bytes(b"")
    overrides = ["dataset=folder", f"dataset.root={tmp_path / 'broken'}", "dataset.max_bad_fraction=1"]
    refusal = run(*overrides, "search.k=1", "queries.n=1").refusal()
    assert re.search(
        r"2 of 2 images cannot be used \(.*: the file is empty.*\); mend or remove them$", refusal
    )
    assert not (home / "outputs").exists()


def test_images_without_a_label_are_a_notice(run: Run, tmp_path: Path) -> None:
    ended = run(*table(tmp_path, "path,animal\n00.png,cat\n01.png,cat\nx.png,cat\n", *LABELS))
    assert ended.code == 0
    notices = [line for line in ended.err.splitlines() if line.startswith("notice: ")]
    assert "notice: 10 of 12 images have no row in table.csv" in notices
    assert any(re.search(r"1 rows of table\.csv name no image below \S+pictures$", line) for line in notices)
