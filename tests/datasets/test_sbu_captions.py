"""SBU Captions as people have it: annotations in two forms, photos in numbered folders, many of them gone."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike.datasets import open_dataset
from lookalike.datasets.sbu_captions import JSON_NAME, LINES_NAME, URLS_NAME, photo_path, read_captions
from lookalike.datasets.sets import ImageSet
from lookalike.errors import DatasetError
from lookalike.schemas import SbuCaptionsDataset
from tests.pipeline.command_line import QUICK, records

ODD = [
    "a\ttab",
    'a "quote',
    "line\u2028separator",
    "next\x85line",
    "carriage\rreturn",
    "",
    "form\x0cfeed",
    "plain",
]
"""What splits lines elsewhere, and an empty one."""


def write_json(folder: Path, captions: Sequence[str]) -> Path:
    n = len(captions)
    lists = {"image_urls": ["http://127.0.0.1/a.jpg"] * n, "user_ids": ["u"] * n, "captions": list(captions)}
    (folder / JSON_NAME).write_text(json.dumps(lists), encoding="utf-8")
    return folder / JSON_NAME


def write_lines(folder: Path, captions: Sequence[str], urls: int | None = None) -> Path:
    (folder / LINES_NAME).write_bytes("".join(f"{caption}\n" for caption in captions).encode())
    count = len(captions) if urls is None else urls
    (folder / URLS_NAME).write_text("http://127.0.0.1/a.jpg\n" * count)
    return folder / LINES_NAME


def paint(root: Path, row: int) -> Path:
    path = root / photo_path(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), (row % 256, 10, 20)).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Eight captions, the photos 0, 1, 4 and 7."""
    root = tmp_path / "sbu"
    for row in (0, 1, 4, 7):
        paint(root, row)
    write_json(root, ODD)
    return root


def opened(root: Path | None, **options: object) -> ImageSet:
    images = open_dataset(SbuCaptionsDataset(root=None if root is None else str(root), **options))  # type: ignore[arg-type]
    assert isinstance(images, ImageSet)
    return images


# --- which photo has which caption -------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_json, write_lines])
def test_every_form_gives_each_photo_its_own_caption(root: Path, write: object) -> None:
    (root / JSON_NAME).unlink()
    write(root, ODD)  # type: ignore[operator]
    images = opened(root)
    assert list(images.ids) == ["0000/000.jpg", "0000/001.jpg", "0000/004.jpg", "0000/007.jpg"]
    assert images.captions == [ODD[row] for row in (0, 1, 4, 7)]
    assert images.load(2).getpixel((0, 0))[0] == pytest.approx(4, abs=3)  # type: ignore[index]
    assert images.locations[3] == str(root / "0000/007.jpg")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    captions=st.lists(
        st.text().map(lambda text: text.replace("\n", " ").lstrip("\ufeff")), min_size=1, max_size=8
    )
)
def test_no_character_of_a_caption_shifts_the_others(tmp_path: Path, captions: list[str]) -> None:
    captions = [caption.encode("utf-8", "replace").decode() for caption in captions]
    expected = [caption.strip() or None for caption in captions]
    assert read_captions(write_json(tmp_path, captions)) == (expected, 0)
    assert read_captions(write_lines(tmp_path, captions)) == (expected, 0)


def test_lines_that_end_as_on_windows_and_a_last_one_without_an_end(tmp_path: Path) -> None:
    file = tmp_path / LINES_NAME
    file.write_bytes(b"one\r\ntwo\r\n caf\xe9 ")
    assert read_captions(file) == (["one", "two", "caf\\xe9"], 1)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / LINES_NAME
    file.write_bytes("café\n李\n".encode(encoding))
    assert read_captions(file) == (["café", "李"], 0)


def test_captions_that_are_not_utf8_are_counted(root: Path) -> None:
    (root / JSON_NAME).unlink()
    (root / LINES_NAME).write_bytes(b"one\ncaf\xe9\n" + b"three\n" * 6)
    [notice] = [text for text in opened(root).notices if "UTF-8" in text]
    assert notice.startswith(f"1 captions of {LINES_NAME} are not UTF-8")
    assert "iconv" in notice


def test_a_list_of_captions_that_stands_twice_is_an_error(root: Path) -> None:
    (root / JSON_NAME).write_text('{"captions": ["a"], "captions": ["b"]}')
    with pytest.raises(DatasetError, match="several lists called captions"):
        opened(root)


def test_a_folder_holds_a_thousand_photos(tmp_path: Path) -> None:
    for row in (999, 1000, 2345):
        paint(tmp_path, row)
    write_lines(tmp_path, [f"caption {row}" for row in range(2400)])
    images = opened(tmp_path)
    assert list(images.ids) == ["0000/999.jpg", "0001/000.jpg", "0002/345.jpg"]
    assert images.captions == ["caption 999", "caption 1000", "caption 2345"]


# --- what is missing ---------------------------------------------------------------------------------------


def test_missing_photos_are_counted_and_no_rows(root: Path) -> None:
    images = opened(root)
    assert len(images) == 4
    assert images.missing == 4
    assert images.notices == ("4 of 8 photos are missing, as dead links leave them; 4 are there",)


def test_a_whole_copy_says_nothing(tmp_path: Path) -> None:
    paint(tmp_path, 0)
    write_lines(tmp_path, ["one"])
    images = opened(tmp_path)
    assert (images.missing, images.notices) == (0, ())


def test_photos_beyond_the_captions_and_other_files_are_left_out(root: Path) -> None:
    paint(root, 8)
    paint(root, 5000)
    for stray in ("0000/12.jpg", "0000/0123.jpg", "0000/002.png", "notes/003.jpg", "00000/003.jpg", "0003"):
        (root / stray).parent.mkdir(exist_ok=True)
        (root / stray).touch()
    images = opened(root)
    assert len(images) == 4
    assert images.notices[1] == f"2 photos are beyond the last line of {JSON_NAME} and were left out"


def test_a_run_counts_them_and_ends_well(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lookalike.cli import main

    home = tmp_path / "home"
    asked = ["dataset=sbu_captions", f"dataset.root={root}", "queries=in_gallery", f"paths.root={home}"]
    assert main(["run", *asked, *QUICK, "search.k=2"]) == 0
    [record] = records(home)
    assert record["data"]["missing_images"] == 4
    assert record["data"]["gallery_size"] == 4
    assert "notice: 4 of 8 photos are missing" in capsys.readouterr().err


# --- samples and fingerprints ------------------------------------------------------------------------------


def test_a_sample_keeps_what_belongs_to_each_photo(root: Path) -> None:
    everything, some = opened(root), opened(root, limit=2)
    assert len(some) == 2
    for row, id_ in enumerate(some.ids):
        same = list(everything.ids).index(id_)
        assert some.captions is not None and everything.captions is not None
        assert some.captions[row] == everything.captions[same]
        assert some.fingerprints[row] == everything.fingerprints[same]
        assert some.load(row).tobytes() == everything.load(same).tobytes()


@pytest.mark.parametrize("kind", ["stat", "content"])
def test_a_changed_photo_changes_its_fingerprint_alone(root: Path, kind: str) -> None:
    before = list(opened(root, fingerprint=kind).fingerprints)
    Image.new("RGB", (9, 9), "black").save(root / "0000/001.jpg")
    os.utime(root / "0000/001.jpg", ns=(1, 1))
    after = list(opened(root, fingerprint=kind).fingerprints)
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True, True]


# --- where the annotations are -----------------------------------------------------------------------------


def test_annotations_lie_beside_the_folders_above_them_or_where_the_config_says(root: Path) -> None:
    expected = opened(root).captions
    (root / JSON_NAME).rename(root.parent / JSON_NAME)
    assert opened(root).captions == expected
    (root.parent / JSON_NAME).rename(root.parent / "mine.json")
    assert opened(root, annotations=str(root.parent / "mine.json")).captions == expected
    assert opened(root, annotations="../mine.json").captions == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "is not whole JSON"),
        (b"[" * 100_000, "is not whole JSON"),
        (b"[]", "is not one object of parallel lists"),
        (b'{"captions": [1, 2]}', "has no list of texts called captions"),
        (b'{"image_urls": ["a"]}', "has no list of texts called captions"),
        (
            b'{"image_urls": ["a", "b"], "user_ids": ["u"], "captions": ["c"]}',
            "not parallel .2 image_urls, 1",
        ),
        (b"\xff\xfe\x00", "is not whole JSON"),
    ],
)
def test_a_json_file_that_is_not_as_published_is_an_error(root: Path, content: bytes, reason: str) -> None:
    (root / JSON_NAME).write_bytes(content)
    with pytest.raises(DatasetError, match=reason):
        opened(root)


def test_captions_that_do_not_fit_the_urls_are_an_error(root: Path) -> None:
    (root / JSON_NAME).unlink()
    write_lines(root, ODD, urls=7)
    with pytest.raises(DatasetError, match=r"8 lines and .* 7, so captions would be those of other photos"):
        opened(root)


def test_what_is_not_there_is_an_error(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"dataset\.root is not set"):
        opened(None)
    with pytest.raises(DatasetError, match=r"dataset\.annotations=nope\.json does not exist"):
        opened(root, annotations="nope.json")
    (tmp_path / "empty").mkdir()
    (root / JSON_NAME).rename(tmp_path / "elsewhere.json")
    with pytest.raises(DatasetError, match="put one there, or name it"):
        opened(root)
    with pytest.raises(DatasetError, match="holds none of the photos"):
        opened(tmp_path / "empty", annotations=str(tmp_path / "elsewhere.json"))
