"""A folder tree becomes images with stable ids, fingerprints and annotations, or one clear error."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from lookalike.datasets import count_rows, open_dataset
from lookalike.datasets.sets import ImageSet
from lookalike.errors import DatasetError, ImageError
from lookalike.schemas import FolderDataset


def paint(path: Path, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), colour).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    paint(root / "cats/tabby.png", "orange")
    paint(root / "cats/old/Tom.JPG", "grey")
    paint(root / "dogs/rex.png", "brown")
    paint(root / "sky.png", "blue")
    return root


def opened(root: Path | str | None, **options: object) -> ImageSet:
    images = open_dataset(FolderDataset(root=None if root is None else str(root), **options))  # type: ignore[arg-type]
    assert isinstance(images, ImageSet)
    return images


IDS = ["cats/old/Tom.JPG", "cats/tabby.png", "dogs/rex.png", "sky.png"]


# --- what is found -----------------------------------------------------------------------------------------


def test_images_are_found_recursively_and_sorted_by_id(root: Path) -> None:
    images = opened(root)
    assert images.ids == IDS
    assert images.locations == [str(root / id_) for id_ in IDS]
    assert images.load(3).getpixel((0, 0)) == (0, 0, 255)
    assert images.labels is images.groups is images.captions is None
    assert images.notices == ()


def test_hidden_files_folders_and_other_files_are_left_out(root: Path) -> None:
    paint(root / ".cache/x.png")
    paint(root / "cats/._tabby.png")
    (root / "notes.txt").write_text("no image")
    (root / "folder.png").mkdir()
    assert opened(root).ids == IDS


def test_formats_that_are_not_read_are_a_notice(root: Path) -> None:
    for name in ("a.JXL", "b.jxl", "c.svg", "d.dng", "notes.txt", "Makefile"):
        (root / name).touch()
    shutil.copyfile(root / opened(root).ids[0], root / "IMG_0001")
    assert opened(root).notices == (
        "5 images were left out (2 .jxl, 1 .dng, 1 .svg, 1 without an ending); "
        "give images without an ending their own: .jpg, .png, convert the others to JPEG or PNG",
    )


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), r"holds no images \(0 files seen\); name another folder"),
        (
            ("a.jxl", "b.JXL"),
            r"no images that can be read \(2 files seen: 2 .jxl\); convert them to",
        ),
        (("a.dng", "README"), r"\(2 files seen: 1 .dng, 1 without an ending\); convert them"),
        (("README", "x.tar.gz", "1. my notes"), r"no images \(3 files seen: 2 without an ending, 1 .gz\)"),
        (tuple(f"a.x{i}" for i in range(9)), r"1 .x4, 1 .x5 and 3 more\)"),
    ],
    ids=["empty", "one kind", "raw", "none", "many"],
)
def test_a_folder_without_an_image_says_what_it_holds(
    tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(DatasetError, match=said):
        opened(tmp_path)


def test_images_that_have_no_ending_are_recognised_and_named(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "IMG_0001", "PNG")
    with pytest.raises(DatasetError, match=r"1 without an ending\); give images without an ending their own"):
        opened(tmp_path)


def test_a_home_folder_is_expanded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    assert opened("~/photos").ids == IDS


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (None, "dataset.root is not set"),
        ("", "dataset.root is not set"),
        ("/no/such/folder", "does not exist"),
        (__file__, "is not a folder"),
    ],
)
def test_a_root_that_is_no_folder_is_an_error(path: str | None, reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):
        opened(path)


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DatasetError, match=r"holds no images \(1 file seen: 1 .txt\); name another"):
        opened(tmp_path)


def test_links_are_followed_but_loops_are_not(root: Path, tmp_path: Path) -> None:
    paint(tmp_path / "elsewhere/bird.png")
    (root / "birds").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "cats/again").symlink_to(root, target_is_directory=True)
    (root / "gone.png").symlink_to(root / "nowhere.png")
    images = opened(root)
    assert images.ids == ["birds/bird.png", *IDS]
    assert images.notices == ("1 link to a folder above, which would lead round in a circle: not followed",)


@pytest.mark.parametrize(
    "name", ["with space.png", "quote'\".png", "新しい.png", "#hash.png", "new\nline.png"]
)
def test_any_file_name_is_an_id(tmp_path: Path, name: str) -> None:
    paint(tmp_path / name)
    images = opened(tmp_path)
    assert images.ids == [name]
    assert images.load(0).size == (4, 4)


def test_a_name_that_is_not_utf8_gets_a_printable_id(tmp_path: Path) -> None:
    paint(tmp_path / "ok.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    images = opened(tmp_path)
    assert images.ids == ["./caf\\xe9.png"]
    assert images.load(0).size == (4, 4)


def test_a_bad_image_is_found_when_it_is_loaded(root: Path) -> None:
    (root / "empty.png").touch()
    images = opened(root)
    with pytest.raises(ImageError, match="the file is empty"):
        images.load(list(images.ids).index("empty.png"))


# --- fingerprints ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stat", "content"])
def test_a_changed_image_changes_its_fingerprint_alone(root: Path, kind: str) -> None:
    before = opened(root, fingerprint=kind).fingerprints
    assert opened(root, fingerprint=kind).fingerprints == before
    paint(root / "sky.png", "black")
    after = opened(root, fingerprint=kind).fingerprints
    assert after[:3] == before[:3]
    assert after[3] != before[3]


def test_fingerprints_survive_a_move_and_those_of_content_a_touch(root: Path) -> None:
    stat, content = opened(root), opened(root, fingerprint="content")
    os.utime(root / "sky.png", ns=(1, 1))
    assert opened(root).fingerprints[3] != stat.fingerprints[3]
    moved = root.rename(root.with_name("moved"))
    assert [opened(moved).fingerprints[row] for row in (0, 1, 2)] == stat.fingerprints[:3]
    assert opened(moved, fingerprint="content").fingerprints == content.fingerprints


def test_same_names_sizes_and_times_in_two_folders_are_not_taken_for_the_same(tmp_path: Path) -> None:
    for folder, colour in (("a", "red"), ("b", "blue")):
        path = tmp_path / folder / "x.ppm"
        paint(path, colour)
        os.utime(path, ns=(0, 0))
    assert opened(tmp_path / "a").fingerprints != opened(tmp_path / "b").fingerprints


# --- samples -----------------------------------------------------------------------------------------------


def test_a_sample_keeps_what_belongs_to_each_image(root: Path) -> None:
    everything, some = opened(root, labels="folder"), opened(root, labels="folder", limit=2)
    assert len(some) == 2
    assert sorted(some.ids) == some.ids
    for row, id_ in enumerate(some.ids):
        same = everything.ids.index(id_)
        assert some.fingerprints[row] == everything.fingerprints[same]
        assert some.labels is not None and everything.labels is not None
        assert some.labels[row] == everything.labels[same]
        assert some.load(row).tobytes() == everything.load(same).tobytes()


# --- annotations -------------------------------------------------------------------------------------------


def test_folders_are_labels(root: Path) -> None:
    assert opened(root, labels="folder").labels == ["old", "cats", "dogs", "photos"]


TABLE = """path,kind,product,text
./cats/tabby.png,cat,p1,"a cat, sleeping"
dogs\\rex.png,dog,p1,
cats//old/Tom.JPG,cat,,an old cat
missing.png,cat,p2,not there
"""


@pytest.mark.parametrize("format", ["csv", "tsv", "parquet"])
def test_a_table_annotates_the_images(root: Path, format: str) -> None:
    table = root / f"table.{format}"
    rows = [line.split(",", 3) for line in TABLE.strip().splitlines()]
    rows = [[cell.strip('"') for cell in row] for row in rows]
    if format == "csv":
        table.write_text("\ufeff" + TABLE, encoding="utf-8")
    elif format == "tsv":
        table.write_text("".join("\t".join(row) + "\n" for row in rows))
    else:
        columns = zip(*rows, strict=True)
        parquet.write_table(pyarrow.table({name: values for name, *values in columns}), table)
    images = opened(root, table=table.name, labels="kind", groups="product", captions="text")
    assert images.labels == ["cat", "cat", "dog", None]
    assert images.groups == [None, "p1", "p1", None]
    assert images.captions == ["an old cat", "a cat, sleeping", None, None]
    assert images.notices == (
        f"1 of 4 images have no row in {table.name}",
        f"1 rows of {table.name} name no image below {root}",
    )


def test_parquet_values_that_are_no_text_become_text(root: Path) -> None:
    columns = {"path": ["sky.png", "dogs/rex.png"], "kind": [3, None], "text": [float("nan"), 1.5]}
    parquet.write_table(pyarrow.table(columns), root / "t.parquet")
    images = opened(root, table="t.parquet", labels="kind", captions="text")
    assert images.labels == [None, None, None, "3"]
    assert images.captions == [None, None, "1.5", None]


def test_folder_labels_and_a_table_go_together(root: Path) -> None:
    (root / "t.csv").write_text("path,text\nsky.png,blue sky\n")
    images = opened(root, table="t.csv", labels="folder", captions="text")
    assert images.labels == ["old", "cats", "dogs", "photos"]
    assert images.captions == [None, None, None, "blue sky"]


def test_a_table_may_lie_elsewhere_and_name_absolute_paths(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f"file,kind\n{root / 'sky.png'},sky\n")
    assert opened(root, table=str(table), table_path_column="file", labels="kind").labels == [None] * 3 + [
        "sky"
    ]


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (None, {"labels": "kind"}, "dataset.labels=kind needs a table"),
        (None, {"labels": "kind", "table": "t.csv"}, "does not exist"),
        ("path,kind\nsky.png,x\n", {"labels": "sort", "table": "t.csv"}, "no column sort; it has path, kind"),
        ("file,kind\nsky.png,x\n", {"labels": "kind", "table": "t.csv"}, "no column path"),
        ("", {"labels": "kind", "table": "t.csv"}, "no columns at all"),
        (
            "path,kind\nsky.png,x\n./sky.png,y\n",
            {"labels": "kind", "table": "t.csv"},
            r"sky.png twice \(rows 1 and 2",
        ),
        (
            "path,kind\na.png,x\n",
            {"labels": "kind", "table": "t.csv"},
            "names none of the images.*holds a.png",
        ),
        ("path,kind\nsky.png,\xe9\n", {"labels": "kind", "table": "t.csv"}, "is not UTF-8"),
        ('path,kind\n"sky.png,x\n', {"labels": "kind", "table": "t.csv"}, "not a readable CSV"),
        ("not parquet", {"labels": "kind", "table": "t.parquet"}, "not a readable parquet"),
        ("{}", {"labels": "kind", "table": "t.json"}, "is not a table"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error(
    root: Path, content: str | None, options: dict[str, str], reason: str
) -> None:
    if content is not None:
        (root / options["table"]).write_text(content, encoding="latin-1")
    with pytest.raises(DatasetError, match=reason):
        opened(root, **options)


def test_the_gallery_can_be_the_rows_of_the_table(tmp_path: Path) -> None:
    for name in "abcdef":
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    (tmp_path / "some.csv").write_text("path,kind\nb.png,x\nd.png,y\ne.png,x\n")
    config = FolderDataset(root=str(tmp_path), table="some.csv", table_only=True)
    chosen = open_dataset(config)
    assert isinstance(chosen, ImageSet)
    assert list(chosen.ids) == ["b.png", "d.png", "e.png"]
    assert any("3 of 6 images have no row in some.csv and were left out" in said for said in chosen.notices)
    assert count_rows(config) == 3
    labelled = open_dataset(replace(config, labels="kind", limit=2))
    assert len(labelled) == 2, "the limit counts what the table names"
    assert None not in (labelled.labels or [None])
