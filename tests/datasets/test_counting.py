"""Rows of a dataset are counted by listing and headers: as many as opening it gives, and no image is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lookalike import schemas
from lookalike.datasets import count_rows, open_dataset
from lookalike.errors import DatasetError
from lookalike.schemas import Dataset
from lookalike.store.store import Store
from tests.datasets.shards import write_two_shards
from tests.datasets.test_huggingface import as_parquet, saved, saved_splits
from tests.datasets.vector_worlds import WRITERS, random_vectors, written
from tests.notes import Notes


def folder(root: Path) -> Dataset:
    """Files that only have an image's name: whoever decoded one would fail."""
    for name in ("a.jpg", "deep/b.PNG", "deep/er/c.webp", ".hidden/d.jpg", ".e.jpg", "notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"no image")
    return schemas.FolderDataset(root=str(root))


def photos(root: Path) -> Dataset:
    (root / "0000").mkdir(parents=True)
    for row in (0, 2):
        (root / f"0000/{row:03}.jpg").write_bytes(b"no image")
    (root / "SBU_captioned_photo_dataset_captions.txt").write_text("a\nb\nc\n", encoding="utf-8")
    return schemas.SbuCaptionsDataset(root=str(root))


def parts(root: Path) -> Dataset:
    root.mkdir()
    for number, rows in enumerate((3, 4)):
        WRITERS["fvecs"][1](root / f"{number}.fvecs", random_vectors(rows))
    return schemas.EmbeddingsDataset(root=str(root))


SOURCES: dict[str, tuple[Callable[[Path], Dataset], int]] = {
    "folder": (folder, 3),
    "twemoji": (lambda root: schemas.TwemojiDataset(), 4009),
    "sbu_captions": (photos, 2),
    "webdataset": (lambda root: schemas.WebdatasetDataset(root=str(write_two_shards(root))), 4),
    "parts": (parts, 7),
    "synthetic": (lambda root: schemas.SyntheticDataset(n=12, dim=2), 12),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_as_many_as_opening_it_gives(kind: str, tmp_path: Path) -> None:
    make, rows = SOURCES[kind]
    dataset = make(tmp_path / "data")
    assert count_rows(dataset) == rows == len(open_dataset(dataset))
    dataset.limit = 2
    assert count_rows(dataset) == 2
    dataset.limit = 10_000
    assert count_rows(dataset) == rows


@pytest.mark.parametrize("kind", WRITERS)
def test_vectors_of_every_format(kind: str, tmp_path: Path) -> None:
    file = written(kind, tmp_path, random_vectors(23))
    assert count_rows(schemas.EmbeddingsDataset(root=str(file))) == 23


@pytest.mark.parametrize("make", [saved, saved_splits, as_parquet])
def test_datasets_of_hugging_face(make: Callable[[Path], Path], tmp_path: Path) -> None:
    dataset = schemas.HuggingfaceDataset(name_or_path=str(make(tmp_path)))
    assert count_rows(dataset) == len(open_dataset(dataset)) == 6
    dataset.split = "train[:4]"
    if make is as_parquet:
        assert count_rows(dataset) == 4


def test_tars_are_listed_once_for_the_count_and_the_run(tmp_path: Path) -> None:
    dataset = schemas.WebdatasetDataset(root=str(write_two_shards(tmp_path / "tars")))
    store = Store(tmp_path / "store")
    count_rows(dataset, Notes(), store)
    kept = {artifact.key for artifact in store.artifacts("tar-listing")}
    assert len(kept) == 2
    open_dataset(dataset, Notes(), store)
    assert {artifact.key for artifact in store.artifacts("tar-listing")} == kept


@pytest.mark.parametrize(
    "dataset",
    [
        schemas.FolderDataset(root="/nowhere"),
        schemas.FolderDataset(),
        schemas.WebdatasetDataset(root="/nowhere"),
        schemas.EmbeddingsDataset(root="/nowhere"),
        schemas.EmbeddingsDataset(),
        schemas.SbuCaptionsDataset(root="/nowhere"),
        schemas.HuggingfaceDataset(name_or_path="/nowhere"),
    ],
)
def test_what_is_not_there_is_an_error_of_the_dataset(dataset: Dataset) -> None:
    with pytest.raises(DatasetError):
        count_rows(dataset)
