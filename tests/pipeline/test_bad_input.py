"""Bad input as a user meets it: one line of cause and cure, exit code 2, nothing half-written."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lookalike.cli import main
from tests.pipeline.command_line import QUICK, Ended, artifacts, drafts, files_below, records
from tests.pipeline.conftest import paint

Run = Callable[..., Ended]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where everything is written."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def run(home: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """``lookalike run`` in this process; FAISS's own words are captured as well."""

    def perform(*overrides: str) -> Ended:
        capfd.readouterr()
        code = main(["run", f"paths.root={home}", *QUICK, *overrides])
        return Ended(code, *capfd.readouterr())

    return perform


def few_pictures(folder: Path, count: int = 12) -> Path:
    for number in range(count):
        paint(folder / f"{number:02}.png", number)
    return folder


def images(tmp_path: Path, *more: str) -> list[str]:
    """Twelve pictures, three of them asked for."""
    root = few_pictures(tmp_path / "pictures")
    return ["dataset=folder", f"dataset.root={root}", "queries.n=3", *more]


def table(tmp_path: Path, text: str, *more: str) -> list[str]:
    """Twelve pictures and a table of ``text`` beside them."""
    (tmp_path / "table.csv").write_text(text)
    return images(tmp_path, f"dataset.table={tmp_path / 'table.csv'}", *more)


def random_vectors(rows: int = 40, dim: int = 8) -> np.ndarray:
    return np.random.default_rng(7).standard_normal((rows, dim)).astype(np.float32)


def vectors(tmp_path: Path, array: np.ndarray, *more: str, ids: list[str] | None = None) -> list[str]:
    """Ready vectors, with ids if there are some."""
    folder = tmp_path / "vectors"
    folder.mkdir()
    np.save(folder / "part_0.npy", array)
    if ids is not None:
        pq.write_table(pa.table({"id": ids}), folder / "part_0.parquet")
    return ["dataset=embeddings", f"dataset.root={folder}", "queries=in_gallery", "queries.n=3", *more]


def spoiled(value: float, whole_row: bool = False) -> np.ndarray:
    """Vectors of which row 17 has one odd value, or nothing else."""
    array = random_vectors()
    array[17, slice(None) if whole_row else 3] = value
    return array


def query_vectors(tmp_path: Path, array: np.ndarray) -> list[str]:
    np.save(tmp_path / "queries.npy", array)
    return vectors(tmp_path, random_vectors(), "queries=vectors", f"queries.file={tmp_path / 'queries.npy'}")


def two_models(tmp_path: Path) -> list[str]:
    overrides = vectors(tmp_path, random_vectors())
    np.save(tmp_path / "vectors" / "part_1.npy", random_vectors(dim=4))
    return overrides


def empty_folder(tmp_path: Path) -> list[str]:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "notes.txt").write_text("no image")
    return ["dataset=folder", f"dataset.root={tmp_path / 'nothing'}"]


def store_of(tmp_path: Path, name: str, text: str) -> list[str]:
    """A folder in the store's place that this version did not write."""
    (tmp_path / "home" / "store").mkdir()
    (tmp_path / "home" / "store" / name).write_text(text)
    return images(tmp_path)


def other_store(tmp_path: Path) -> list[str]:
    return store_of(tmp_path, "format.json", '{"format": 99, "written_by": "lookalike"}')


LABELS = ("queries=labels", "dataset.labels=animal")
FACTORY = "index=factory"


@dataclass(frozen=True)
class Case:
    """What somebody does wrong, and what they have to be told."""

    overrides: Callable[[Path], list[str]]
    cause: str
    cure: str


CASES = {
    "missing folder": Case(
        lambda tmp: ["dataset=folder", f"dataset.root={tmp / 'nowhere'}"],
        r"dataset\.root=\S+nowhere does not exist",
        "name a folder of images",
    ),
    "folder not named": Case(
        lambda tmp: ["dataset=folder"], r"dataset\.root is not set", r"dataset\.root=~/Pictures"
    ),
    "empty folder": Case(empty_folder, r"nothing holds no images \(1 files seen", "name another folder"),
    "labels without a table": Case(
        lambda tmp: images(tmp, *LABELS), "dataset.labels=animal is a column of no table", "set dataset.table"
    ),
    "table missing": Case(
        lambda tmp: images(tmp, *LABELS, "dataset.table=gone.csv"),
        r"dataset\.table=gone\.csv does not exist",
        "name a CSV or parquet file",
    ),
    "label column missing": Case(
        lambda tmp: table(tmp, "path,species\n00.png,cat\n", *LABELS),
        r"table\.csv has no column animal",
        "it has path, species",
    ),
    "labels of other images": Case(
        lambda tmp: table(tmp, "path,animal\nx.png,cat\ny.png,cat\n", *LABELS),
        r"table\.csv names none of the images: its column path holds x\.png",
        r"write paths relative to \S+pictures, or set dataset\.table_path_column",
    ),
    "labels that nobody shares": Case(
        lambda tmp: table(tmp, "path,animal\n00.png,cat\n01.png,dog\n", *LABELS),
        "no two images share a label",
        "use other labels or queries=in_gallery",
    ),
    "image named twice": Case(
        lambda tmp: table(tmp, "path,animal\n00.png,cat\n./00.png,dog\n", *LABELS),
        r"names 00\.png twice \(rows 1 and 2\)",
        "keep one of them",
    ),
    "captions of other images": Case(
        lambda tmp: table(tmp, "path,text\nx.png,a cat\n", "dataset.captions=text", "queries=copies"),
        r"table\.csv names none of the images",
        "write paths relative to",
    ),
    "captions without a text tower": Case(
        lambda tmp: table(tmp, "path,text\n00.png,a cat\n", "dataset.captions=text", "queries=captions"),
        "pixels.* text",
        r"; .*(use|choose) ",
    ),
    "NaN": Case(
        lambda tmp: vectors(tmp, spoiled(np.nan)),
        r"part_0\.npy, row 17 holds NaN or infinity",
        "remove it or",
    ),
    "Inf": Case(
        lambda tmp: vectors(tmp, spoiled(np.inf)),
        r"part_0\.npy, row 17 holds NaN or infinity",
        "remove it or",
    ),
    "zero vector": Case(
        lambda tmp: vectors(tmp, spoiled(0, whole_row=True)),
        r"part_0\.npy, row 17 is all zeros",
        "remove it or embed its image again",
    ),
    "repeated ids": Case(
        lambda tmp: vectors(tmp, random_vectors(3), "search.k=2", ids=["a", "b", "a"]),
        "the id a stands at 2 vectors",
        r"set dataset\.id_column to unique ids",
    ),
    "more vectors than ids": Case(
        lambda tmp: vectors(tmp, random_vectors(3), "search.k=2", ids=["a", "b"]),
        r"part_0\.parquet has 2 rows, but \S+part_0\.npy has 3 vectors",
        "both have to be of one run",
    ),
    "shards of different dimensions": Case(
        two_models, r"part_1\.npy has 4 dimensions, but part_0\.npy has 8", "keep only vectors of one model"
    ),
    "vectors without dimensions": Case(
        lambda tmp: vectors(tmp, random_vectors()[:, 0]),
        r"part_0\.npy holds float32 of shape \(40,\)",
        r"vectors are float16, float32, float64 or uint8 of shape \(rows, dimensions\)",
    ),
    "queries of other dimensions": Case(
        lambda tmp: query_vectors(tmp, random_vectors(5, 4)),
        r"queries\.npy has 4 dimensions and the gallery 8",
        "use vectors of one model",
    ),
    "pq_m that does not divide": Case(
        lambda tmp: vectors(tmp, random_vectors(), "index=ivf_pq", "index.nlist=4", "index.pq_m=5"),
        "index.pq_m=5 does not divide the vectors' 8 dimensions",
        "try 8 or 4",
    ),
    "unknown factory": Case(
        lambda tmp: images(tmp, FACTORY, "index.factory=Mystery7"),
        "index.factory=Mystery7 is nothing FAISS can make: could not parse index string Mystery7",
        "mend the string",
    ),
    "factory with an unquoted comma": Case(
        lambda tmp: images(tmp, FACTORY, "index.factory=IVF4,Flat"),
        "index.factory=IVF4,Flat holds a comma, which means a sweep",
        "quote it twice: 'index.factory=\"IVF4,Flat\"'",
    ),
    "zero K": Case(lambda tmp: images(tmp, "search.k=0"), "search.k=0 is no positive whole number", "give 1"),
    "negative K": Case(
        lambda tmp: images(tmp, "search.k=-5"), "search.k=-5 is no positive whole number", "give 1 or more"
    ),
    "K that is no number": Case(
        lambda tmp: images(tmp, "search.k=many"), "search.k=many: .*could not be converted", "give a value of"
    ),
    "K above the number of images": Case(
        lambda tmp: images(tmp, "search.k=13"),
        "search.k=13 exceeds the gallery's 12 images",
        "lower k or take more images",
    ),
    "K above the sample": Case(
        lambda tmp: images(tmp, "search.k=11", "dataset.limit=10"),
        "search.k=11 exceeds the gallery's 10 images",
        "lower k or take more images",
    ),
    "K above the number of vectors": Case(
        lambda tmp: vectors(tmp, random_vectors(), "search.k=41"),
        "search.k=41 exceeds the gallery's 40 images",
        "lower k or take more images",
    ),
    "fewer images than lists": Case(
        lambda tmp: images(tmp, "index=ivf_flat", "index.nlist=13"),
        "index.nlist needs 13 centroids and the gallery has 12 vectors",
        "lower nlist, or take more images",
    ),
    "fewer images than codewords": Case(
        lambda tmp: images(tmp, "index=ivf_pq", "index.nlist=2"),
        "index.pq_bits needs 256 centroids and the gallery has 12 vectors",
        "lower pq_bits, or take more images",
    ),
    "fewer training vectors than lists": Case(
        lambda tmp: images(tmp, "index=ivf_flat", "index.nlist=4", "index.train_size=3"),
        "index.nlist needs 4 centroids and index.train_size=3 is fewer vectors",
        "raise index.train_size to 156 or more",
    ),
    "store of another version": Case(
        other_store,
        "store was written in store format 99, this Lookalike reads format 1",
        "set paths.store to a new folder, or use the version of Lookalike that wrote it",
    ),
    "store in a folder of other things": Case(
        lambda tmp: store_of(tmp, "holiday.jpg", "not ours"),
        "store is a folder of other things",
        "set paths.store to a new folder",
    ),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_refused_with_cause_and_cure_and_nothing_written(
    case: Case, run: Run, home: Path, tmp_path: Path
) -> None:
    overrides = case.overrides(tmp_path)
    before = files_below(home)
    refusal = run(*overrides).refusal()
    assert re.search(f"{case.cause}.*{case.cure}", refusal), refusal
    assert files_below(home) - {"store/format.json"} == before - {"store/format.json"}
    assert not (home / "outputs").exists()


def test_all_faults_are_said_together(run: Run, tmp_path: Path) -> None:
    ended = run("dataset=folder", f"dataset.root={tmp_path / 'nowhere'}", "search.k=0", "index.threads=0")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 3
    assert all(line.startswith("error: ") and "; " in line for line in ended.err.splitlines())


def test_bad_queries_leave_the_sound_gallery_and_a_failed_record(
    run: Run, home: Path, tmp_path: Path
) -> None:
    refusal = run(*query_vectors(tmp_path, spoiled(np.nan)[10:20]), "queries.n=null").refusal()
    assert re.search(r"queries\.npy, row 7 holds NaN or infinity; remove it", refusal)
    assert artifacts(home) == ["embeddings"]
    assert drafts(home) == []
    [record] = records(home)
    assert (record["status"], record["error"], record["points"]) == ("failed", refusal, [])


# --- images ------------------------------------------------------------------------------------------------


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


# --- FAISS -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "notice"),
    [
        (["index=ivf_flat"], "300 training vectors are few for 16 centroids (FAISS advises 624)"),
        (["index=ivf_pq", "index.pq_m=4"], "300 training vectors are few for 256 centroids"),
        (["index=opq_ivf_pq", "index.pq_m=4", "index.opq_d=8"], "300 training vectors are few for 256 cen"),
    ],
)
def test_few_training_vectors_are_one_notice_in_our_words(
    run: Run, tmp_path: Path, overrides: list[str], notice: str
) -> None:
    ended = run(*vectors(tmp_path, random_vectors(300)), *overrides, "index.nlist=16")
    assert ended.code == 0
    said = [line for line in ended.err.splitlines() if re.search("few|centroid", line, re.IGNORECASE)]
    assert len(said) == 1
    assert said[0].startswith(f"notice: {notice}")
    assert said[0].endswith("take fewer centroids, or more images")
    ours = re.compile(r"(embeddings|queries|exact|index|serving): (built|reused)|notice: ")
    assert [line for line in ended.err.splitlines() if not ours.match(line)] == []
    assert "WARNING" not in ended.out


# --- a full disk -------------------------------------------------------------------------------------------

FULL_DISK = """\
set -u
disk=$1 size=$2; shift 2
mount -t tmpfs -o size=$size tmpfs "$disk" || exit 99
"$@"; code=$?
(cd "$disk" && find . -type f) | sort
mount -o remount,size=64m "$disk"
"$@" >&2; echo "$code $?"
"""
"""Runs a command on a small disk, lists what it left, and runs it again with room; prints both exit codes."""


def in_own_mounts() -> list[str]:
    """How to run something whose mounts nobody else sees; root needs no user namespace for that."""
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", "--mount", *as_root, "sh", "-c", FULL_DISK, "sh"]


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs and mount namespaces are Linux's")
@pytest.mark.parametrize(
    ("size", "kept"),
    [
        pytest.param("48k", [], id="embeddings"),
        pytest.param("2500k", ["embeddings", "exact", "queries"], id="index"),
    ],
)
def test_a_full_disk_publishes_nothing_by_halves(tmp_path: Path, size: str, kept: list[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    overrides = vectors(tmp_path, random_vectors(2000, 256))
    command = [sys.executable, "-m", "lookalike", "run", f"paths.root={disk}", *QUICK, *overrides]

    done = subprocess.run(
        [*in_own_mounts(), str(disk), size, *command], capture_output=True, text=True, check=False
    )

    *left, codes = done.stdout.splitlines()
    assert codes == "2 0", done
    assert "Traceback" not in done.stderr
    [refusal] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert re.search(r"the disk \(or quota\) of the store in \S+disk/store is full, .*; free some", refusal)
    published = {path.split("/")[3] for path in left if path.startswith("./store/artifacts/")}
    assert sorted(published) == kept
    assert not [path for path in left if path.startswith("./store/scratch/")]
    again = done.stderr.partition(refusal)[2].splitlines()
    assert [line for line in again if line.endswith(": reused")] == [
        f"{stage}: reused" for stage in ("embeddings", "queries", "exact") if stage in kept
    ]


def test_a_disk_that_fills_up_under_the_results_leaves_none(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = images(tmp_path)
    real = os.fsync

    def full(descriptor: int) -> None:
        if "record.json" in Path(f"/proc/self/fd/{descriptor}").readlink().name:
            raise OSError(28, os.strerror(28))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refusal = run(*overrides).refusal()
    assert re.search(
        r"results cannot be written to \S+ \(No space left on device\); free some space", refusal
    )
    assert not (home / "outputs").exists()
    assert drafts(home) == []
    assert run(*overrides).code == 0
