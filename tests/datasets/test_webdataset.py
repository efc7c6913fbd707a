"""Tar shards read in place: every image by its offset, every damaged or hostile tar survived."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from lookalike.datasets.duplicates import duplicate_groups
from lookalike.datasets.fingerprints import ENDS_BYTES
from lookalike.datasets.images import decode
from lookalike.datasets.webdataset.headers import read_members
from lookalike.errors import DatasetError, ImageError
from lookalike.store.store import Store
from lookalike.ui.thumbnails import Thumbnails
from tests.datasets.shards import jpeg, opened, write_shard, write_tar, write_two_shards
from tests.pipeline.command_line import QUICK, files_below, records

IDS = ["00000/000000000.jpg", "00000/000000002.jpg", "00000/000000003.jpg", "00001/000010000.jpg"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_two_shards(tmp_path / "shards")


# --- what img2dataset writes -------------------------------------------------------------------------------


def test_images_come_tar_by_tar_and_by_name_with_their_own_captions(root: Path) -> None:
    images = opened(root)
    assert list(images.ids) == IDS
    assert images.captions == [f'photo "{key}",\tof shard {n}' for key, n in ((0, 0), (2, 0), (3, 0), (0, 1))]
    assert images.locations[1] == f"{root / '00000.tar'}, member 000000002.jpg"
    assert images.read is not None and images.size is not None
    for row, seed in enumerate((0, 2, 3, 1000)):
        assert images.read(row) == jpeg(seed)
        assert images.size(row) == len(jpeg(seed))
        assert images.load(row).tobytes() == decode(jpeg(seed), 10**6).tobytes()


def test_links_that_failed_are_counted(root: Path) -> None:
    images = opened(root)
    assert images.missing == 2
    [notice] = images.notices
    assert notice.startswith("2 samples have no image (1 failed to download, 1 failed to resize)")


def test_annotations_come_from_the_parquets_too(root: Path) -> None:
    images = opened(root, captions="caption", labels="width")
    assert images.captions == ["column 0 of 0", "column 2 of 0", "column 3 of 0", "column 0 of 1"]
    assert images.labels == ["12", "14", "15", "12"]
    assert opened(root, captions=None).captions is None


def test_classes_and_captions_of_other_webdatasets(tmp_path: Path) -> None:
    members = [("a/x.jpg", jpeg(1)), ("a/x.cls", b"7\n"), ("a/y.PNG", jpeg(2)), ("a/y.seg.png", jpeg(3))]
    write_tar(tmp_path / "train.tar", members)
    images = opened(tmp_path, labels=".cls")
    assert list(images.ids) == ["train/a/x.jpg", "train/a/y.PNG", "train/a/y.seg.png"]
    assert images.labels == ["7", None, None]
    assert images.captions is None, "no sample has a text"


# --- every image member is used, or named and counted ------------------------------------------------------


def test_dots_in_a_name_cost_no_image_and_no_text(tmp_path: Path) -> None:
    members = [
        ("IMG_2020.01.05.jpg", jpeg(1)),
        ("IMG_2020.01.05.txt", b"of the fifth"),
        ("IMG_2020.01.06.JPG", jpeg(2)),
        ("v1.2/k.input.jpg", jpeg(3)),
        ("v1.2/k.target.png", jpeg(4)),
        ("v1.2/k.target.txt", b"of the target"),
        ("v1.2/k.txt", b"of both"),
    ]
    write_tar(tmp_path / "a.tar", members)
    images = opened(tmp_path)
    assert list(images.ids) == [f"a/{name}" for name, _ in members if not name.endswith(".txt")]
    assert images.captions == ["of the fifth", None, "of both", "of the target"]
    assert [images.load(row).tobytes() for row in range(4)] == [
        decode(jpeg(seed), 10**6).tobytes() for seed in (1, 2, 3, 4)
    ]
    [notice] = images.notices
    assert notice.startswith("4 images share their sample with others (a.tar, sample IMG_2020)")


def test_members_that_are_no_images_are_named_and_counted(tmp_path: Path) -> None:
    others = [("a.npy", b"x"), ("b.npy", b"x"), ("c.psd", b"x"), ("readme", b"x"), ("._a.jpg", b"x")]
    write_tar(tmp_path / "a.tar", [*others, ("a.json", b"{}"), ("a.txt", b"text")])
    said = "5 members of the tars (2 .npy, 1 ._*, 1 .psd, 1 no ending)"
    with pytest.raises(DatasetError, match=f"hold no images, but {re.escape(said)}; name other tars"):
        opened(tmp_path)
    write_tar(tmp_path / "a.tar", [*others, ("a.jpg", jpeg(1)), ("a.jpg", jpeg(2))])
    images = opened(tmp_path, Store(tmp_path / "store"))
    assert list(images.ids) == ["a/a.jpg"]
    assert f"{said} are not images and were left out" in images.notices
    assert any("1 images are replaced by a later member of the same name" in text for text in images.notices)
    assert opened(tmp_path, Store(tmp_path / "store")).notices == images.notices, "kept with the listing"


@pytest.mark.parametrize("keys", [[0, 2, 3, 9], [0.0, 2.0, 3.0, None], ["0", "02", "003", "9"]])
def test_keys_that_became_numbers_are_the_same_keys(root: Path, keys: list[object]) -> None:
    table = pyarrow.table({"key": keys, "caption": [f"of {key}" for key in keys]})
    parquet.write_table(table, root / "00000.parquet")
    images = opened(root, captions="caption")
    assert images.captions == [*(f"of {key}" for key in keys[:3]), "column 0 of 1"]
    assert images.missing == (0 if keys[3] is None else 1)


def test_a_parquet_of_other_samples_says_so(root: Path) -> None:
    table = pyarrow.table({"key": ["cat", "dog"], "caption": ["a", "b"]})
    parquet.write_table(table, root / "00000.parquet")
    with pytest.raises(DatasetError, match=r"its key is like cat, and the images' like 000000000"):
        opened(root, captions="caption")
    table = pyarrow.table({"key": ["000000000"] * 2, "caption": ["a", "b"]})
    parquet.write_table(table, root / "00000.parquet")
    with pytest.raises(DatasetError, match="has the key 000000000 twice, with other caption"):
        opened(root, captions="caption")


def test_numbers_that_mean_two_samples_are_not_mixed_up(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("3.jpg", jpeg(1)), ("03.jpg", jpeg(2))])
    parquet.write_table(
        pyarrow.table({"key": ["3", "03"], "t": ["three", "zero three"]}), tmp_path / "a.parquet"
    )
    images = opened(tmp_path, captions="t")
    assert list(zip(images.ids, images.captions or [], strict=True)) == [
        ("a/03.jpg", "zero three"),
        ("a/3.jpg", "three"),
    ]


def test_one_tar_may_be_named(root: Path) -> None:
    assert list(opened(root / "00001.tar").ids) == IDS[3:]


def test_a_member_that_comes_twice_is_what_came_last(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "a.tar", [("x.jpg", jpeg(1)), ("x.txt", b"old"), ("x.jpg", jpeg(2)), ("x.txt", b"new")]
    )
    images = opened(tmp_path)
    assert images.captions == ["new"]
    assert images.load(0).tobytes() == decode(jpeg(2), 10**6).tobytes()


def test_many_threads_read_at_once(root: Path) -> None:
    write_shard(root, 2, range(50))
    images = opened(root)
    rows = [row for _ in range(20) for row in range(len(images))]
    expected = [images.load(row).tobytes() for row in range(len(images))]
    with ThreadPoolExecutor(8) as pool:
        for row, pixels in zip(rows, pool.map(lambda row: images.load(row).tobytes(), rows), strict=True):
            assert pixels == expected[row]


def test_a_sample_and_a_selection_keep_what_belongs_to_each_image(root: Path) -> None:
    everything, some = opened(root), opened(root, limit=2)
    assert len(some) == 2
    some = some.take([1, 0])
    assert some.read is not None and everything.read is not None and some.size is not None
    assert some.captions is not None and everything.captions is not None
    for row, id_ in enumerate(some.ids):
        same = list(everything.ids).index(id_)
        assert some.read(row) == everything.read(same)
        assert some.size(row) == len(everything.read(same))
        assert some.captions[row] == everything.captions[same]
        assert some.fingerprints[row] == everything.fingerprints[same]


def test_thumbnails_and_duplicates_need_no_file_of_their_own(root: Path, tmp_path: Path) -> None:
    write_tar(root / "twin.tar", [("again.jpg", jpeg(2)), ("longer.jpg", jpeg(2) + b"\0")])
    images = opened(root)
    [picture] = Thumbnails(tmp_path / "thumbnails").of(images, [1])
    assert picture is not None
    assert duplicate_groups(images, Store(tmp_path / "store")).tolist() == [0, 1, 2, 3, 1, 5]


@pytest.mark.parametrize(
    "format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["ustar", "gnu", "pax"]
)
def test_members_lie_where_tarfile_finds_them(tmp_path: Path, format: int) -> None:
    names = ["a.jpg", "d/" * 60 + "b.jpg", "c" * 96 + ".jpg", "./e.jpg", "ü.jpg"]
    if format != tarfile.USTAR_FORMAT:
        names += ["f" * 300 + ".jpg", "g/" * 200 + "新.jpg"]
    path = write_tar(tmp_path / "a.tar", [(name, os.urandom(len(name) * 7)) for name in names], format, 1e9)
    with tarfile.open(path) as tar:
        expected = [
            (m.name.removeprefix("./"), m.offset_data, m.size, int(m.mtime)) for m in tar.getmembers()
        ]
    with path.open("rb") as file:
        members = read_members(file, path)
    assert [(m.name, m.offset, m.size, m.mtime) for m in members.files] == expected
    assert (members.left_out, members.cut) == (0, None)


# --- listed once -------------------------------------------------------------------------------------------


def test_headers_are_read_once_and_again_when_a_tar_changes(root: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    before = opened(root, store)
    tar = root / "00000.tar"
    status = tar.stat()
    with tar.open("r+b") as file:
        file.seek(ENDS_BYTES)
        file.write(b"\xff" * 1024)  # headers are damaged, as a look at them would show
    os.utime(tar, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert list(opened(root, store).ids) == list(before.ids)
    assert len(opened(root)) < len(before)
    os.utime(tar, ns=(1, 1))
    assert len(opened(root, store)) < len(before)


def test_a_tar_that_changed_since_says_so_and_has_other_fingerprints(root: Path) -> None:
    before = opened(root)
    prints = list(before.fingerprints)
    write_shard(root, 1, [0, 1])
    with pytest.raises(ImageError, match="its tar has changed since it was listed"):
        before.load(3)
    after = list(opened(root).fingerprints)
    assert after[:3] == prints[:3]
    assert after[3] != prints[3]


def test_a_fingerprint_of_the_content_survives_a_touch_and_a_move(root: Path) -> None:
    before = opened(root, fingerprint="content").fingerprints
    os.utime(root / "00000.tar", ns=(1, 1))
    moved = root.rename(root.with_name("moved"))
    assert opened(moved, fingerprint="content").fingerprints == before
    assert len(set(before)) == 4


# --- tars that are cut short -------------------------------------------------------------------------------


def test_a_tar_cut_anywhere_gives_the_images_before_the_cut(tmp_path: Path) -> None:
    whole = write_shard(tmp_path / "whole", 0, range(4))
    content = whole.read_bytes()
    with tarfile.open(whole) as tar:
        ends = {m.name: m.offset_data + m.size for m in tar.getmembers() if m.name.endswith(".jpg")}
        data_ends = max(m.offset_data + -(-m.size // 512) * 512 for m in tar.getmembers())
    cut = tmp_path / "cut/00000.tar"
    cut.parent.mkdir()
    cut.with_suffix(".parquet").write_bytes(whole.with_suffix(".parquet").read_bytes())
    for length in [*range(0, data_ends + 1024, 256), *(end + 1 for end in ends.values())]:
        cut.write_bytes(content[:length])
        usable = sorted(f"00000/{name}" for name, end in ends.items() if end <= length)
        if not usable:
            with pytest.raises(DatasetError, match="hold no images"):
                opened(cut.parent)
            continue
        images = opened(cut.parent)
        assert list(images.ids) == usable
        assert images.missing == 4 - len(usable)
        for row in range(len(images)):
            images.load(row)
        said = "00000.tar is cut short" in " ".join(images.notices)
        assert said == (length < data_ends + 512), length


def test_a_cut_tar_is_said_by_the_run_which_uses_the_rest(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lookalike.cli import main

    tar = root / "00000.tar"
    os.truncate(tar, 5000)
    home = tmp_path / "home"
    asked = ["dataset=webdataset", f"dataset.root={root}", "queries=in_gallery", f"paths.root={home}"]
    before = files_below(root)
    for outcome in ("built", "reused"):
        assert main(["run", *asked, *QUICK, "search.k=1"]) == 0
        record = records(home)[-1]
        assert record["stages"][0]["outcome"] == outcome
        assert record["data"]["missing_images"] + record["data"]["gallery_size"] == 6
        assert "notice: 00000.tar is cut short (it ends inside" in capsys.readouterr().err
    assert files_below(root) == before, "nothing is unpacked or left beside the tars"


# --- what does not fit -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"captions": ".json"}, r"dataset\.captions=\.json is not a text of a sample; choose \.txt or \.cls"),
        ({"labels": "colour"}, "has no column colour"),
    ],
)
def test_an_annotation_that_is_not_there_is_an_error(
    root: Path, options: dict[str, str], reason: str
) -> None:
    with pytest.raises(DatasetError, match=reason):
        opened(root, **options)


def test_a_column_needs_parquets_and_a_tar_may_lack_its_own(root: Path) -> None:
    (root / "00001.parquet").unlink()
    assert opened(root, captions="caption").captions == [*(f"column {key} of 0" for key in (0, 2, 3)), None]
    (root / "00000.parquet").unlink()
    assert opened(root).missing == 0
    with pytest.raises(DatasetError, match="is a column of the parquets beside the tars, and there are none"):
        opened(root, captions="caption")


def test_a_parquet_of_others_counts_what_its_keys_name(root: Path) -> None:
    parquet.write_table(pyarrow.table({"key": ["000010000", "000010001"]}), root / "00001.parquet")
    images = opened(root)
    assert images.missing == 3
    parquet.write_table(pyarrow.table({"url": ["http://127.0.0.1"]}), root / "00001.parquet")
    assert opened(root).missing == 2


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (lambda tmp: None, r"dataset\.root is not set"),
        (lambda tmp: tmp / "nowhere", "does not exist"),
        (lambda tmp: tmp, r"holds no \.tar file"),
    ],
)
def test_a_place_without_tars_is_an_error(
    tmp_path: Path, path: Callable[[Path], Path | None], reason: str
) -> None:
    with pytest.raises(DatasetError, match=reason):
        opened(path(tmp_path))
