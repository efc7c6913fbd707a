"""Byte-identical images share a number, are read once, and are looked for again when the images change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lookalike.datasets import open_dataset
from lookalike.datasets.duplicates import duplicate_groups
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.schemas import FolderDataset
from lookalike.store.store import Store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    root.mkdir()
    contents = {"a.png": b"same", "b.png": b"same", "c.png": b"SAME", "d.png": b"longer", "e.png": b"same"}
    for name, content in contents.items():
        (root / name).write_bytes(content)
    return root


def opened(root: Path) -> ImageSet:
    images = open_dataset(FolderDataset(root=str(root)))
    assert isinstance(images, ImageSet)
    return images


def test_equal_bytes_share_the_first_row(root: Path, tmp_path: Path) -> None:
    groups = duplicate_groups(opened(root), Store(tmp_path / "store"))
    assert groups.dtype == np.int64
    assert groups.tolist() == [0, 0, 2, 3, 0]


def test_the_store_remembers_until_an_image_changes(root: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    images = opened(root)
    duplicate_groups(images, store)
    (root / "c.png").write_bytes(b"same")
    assert duplicate_groups(images, store).tolist() == [0, 0, 2, 3, 0], "equal ids and fingerprints: not read"
    assert duplicate_groups(opened(root), store).tolist() == [0, 0, 0, 3, 0]
    assert len(list(store.artifacts("duplicates"))) == 2


def test_what_cannot_be_read_is_nobodys_duplicate(root: Path, tmp_path: Path) -> None:
    images = opened(root)
    (root / "a.png").unlink()
    assert duplicate_groups(images, Store(tmp_path / "store")).tolist() == [0, 1, 2, 3, 1]


def test_ready_vectors_have_none(tmp_path: Path) -> None:
    vectors = VectorSet(["a", "b"], [np.ones((2, 3), np.float32)], ["v.npy"], ["1"])
    assert duplicate_groups(vectors, Store(tmp_path / "store")).tolist() == [0, 1]
