"""Names find files however a table writes them; samples of one seed are nested."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookalike.datasets import open_dataset
from lookalike.datasets.duplicates import duplicate_groups
from lookalike.datasets.ids import Names, id_of, nested_sample
from lookalike.datasets.sets import ImageSet
from lookalike.queries.judgements import read_judgements
from lookalike.schemas import FolderDataset, WebdatasetDataset
from lookalike.store.store import Store
from tests.datasets.shards import jpeg, write_tar

NAMES = ("Café/Müller.jpg", "Ångström.jpg", "한국.jpg", "がぎ.jpg", "plain.jpg")
"""Composed: other decomposed, in Latin, Hangul and Kana."""


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def paint(root: Path, *names: str | bytes) -> Path:
    for number, name in enumerate(names):
        path = root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(path, "PNG")
    return root


def opened(root: Path, **options: str) -> ImageSet:
    images = open_dataset(FolderDataset(root=str(root), **options))  # type: ignore[arg-type]
    assert isinstance(images, ImageSet)
    return images


@pytest.mark.parametrize("on_disk", [composed, decomposed])
@pytest.mark.parametrize("in_table", [composed, decomposed])
@pytest.mark.parametrize("absolute", [False, True])
def test_tables_and_file_names_may_be_composed_or_not(
    tmp_path: Path, on_disk: object, in_table: object, absolute: bool
) -> None:
    root = paint(tmp_path / "photos", *map(on_disk, NAMES))  # type: ignore[arg-type]
    rows = [f"{root / name if absolute else name},caption of {name}" for name in map(in_table, NAMES)]  # type: ignore[arg-type]
    (root / "table.csv").write_text("\n".join(["path,caption", *rows]), encoding="utf-8")
    images = opened(root, table="table.csv", captions="caption")
    assert images.notices == ()
    assert images.captions is not None
    assert [composed(str(caption)) for caption in images.captions] == [
        f"caption of {composed(id_)}" for id_ in images.ids
    ]
    (root / "relevant.csv").write_text(
        "query,relevant\n" + "\n".join(f"{in_table(name)},{in_table('plain.jpg')}" for name in NAMES),  # type: ignore[operator]
        encoding="utf-8",
    )
    judged = read_judgements(root / "relevant.csv", images.ids, images.ids, None)
    assert judged.relevant_ids == [("plain.jpg",)] * len(NAMES)


def test_two_files_that_differ_in_composition_alone_are_told_apart(tmp_path: Path) -> None:
    root = paint(tmp_path, composed("é.jpg"), decomposed("é.jpg"))
    (root / "table.csv").write_text(f"path,caption\n{composed('é.jpg')},one\n{decomposed('é.jpg')},two\n")
    images = opened(root, table="table.csv", captions="caption")
    assert images.captions is not None
    assert dict(zip(images.ids, images.captions, strict=True)) == {
        composed("é.jpg"): "one",
        decomposed("é.jpg"): "two",
    }
    names = Names([decomposed("ấ"), "a\u0302\u0301x", "â\u0301"])
    assert names.find(composed("ấ")) is None, "two may be meant"


RAW_NAMES = (b"\xff.png", b"\\xff.png", b"\xfe.png", b"\\xff\xfe.png", b"\xff\\xfe.png", b"caf\xe9/a.png")


def test_names_that_are_no_utf8_share_no_id(tmp_path: Path) -> None:
    assert len({id_of(name) for name in RAW_NAMES}) == len(RAW_NAMES)
    images = opened(paint(tmp_path / "photos", *RAW_NAMES), labels="folder")
    assert len(set(images.ids)) == len(images) == len(RAW_NAMES)
    assert "\\xff.png" in images.ids, "a file that is really called so keeps its name"
    colours = {images.load(row).getpixel((0, 0)) for row in range(len(images))}
    assert len(colours) == len(RAW_NAMES)
    assert "caf\\xe9" in (images.labels or ())
    for id_ in images.ids:
        id_.encode()  # as parquet and JSON want it


def test_duplicates_of_files_with_such_names_are_found(tmp_path: Path) -> None:
    paint(tmp_path / "photos", b"\xff.png")
    (tmp_path / "photos/z.png").write_bytes(
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/photos/\xff.png")).read_bytes()
    )
    groups = duplicate_groups(opened(tmp_path / "photos"), Store(tmp_path / "store"))
    assert groups.tolist() == [0, 0]


def test_members_of_tars_with_such_names_share_no_id(tmp_path: Path) -> None:
    names = [os.fsdecode(name) for name in (b"\xff.jpg", b"\\xff.jpg", b"\xff\\xfe.jpg")]
    write_tar(tmp_path / "00000.tar", [(name, jpeg(number)) for number, name in enumerate(names)])
    images = open_dataset(WebdatasetDataset(root=str(tmp_path)))
    assert len(set(images.ids)) == len(images) == 3


IDS = [f"{number:04}.png" for number in range(1000)]


def taken(n: int | None, seed: int = 0, purpose: str = "dataset", ids: list[str] = IDS) -> set[str]:
    return {ids[row] for row in nested_sample(ids, n, seed, purpose)}


def test_rows_ascend_and_are_as_many_as_asked_for() -> None:
    rows = nested_sample(IDS, 100, 0, "dataset")
    assert len(rows) == 100
    assert rows == sorted(set(rows))


def test_none_and_too_many_mean_all_and_below_one_means_none() -> None:
    assert taken(None) == taken(1000) == taken(5000) == set(IDS)
    assert taken(0) == taken(-3) == set()


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(-3, 3))
def test_a_larger_sample_contains_the_smaller_one(a: int, b: int, seed: int) -> None:
    assert taken(min(a, b), seed) <= taken(max(a, b), seed)


def test_one_more_image_displaces_at_most_one() -> None:
    assert len(taken(100) - taken(100, ids=["0000-first.png", *IDS])) <= 1


def test_seeds_and_purposes_give_samples_that_have_nothing_to_do_with_each_other() -> None:
    # 100 of 1,000 twice share 10 on average; 30 is six standard deviations away.
    assert len(taken(100) & taken(100, seed=1)) < 30
    assert len(taken(100) & taken(100, purpose="queries")) < 30


def test_the_sample_is_the_same_on_every_machine() -> None:
    assert nested_sample(IDS, 5, 0, "dataset") == [10, 141, 175, 246, 646]
