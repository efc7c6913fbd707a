"""The folder that a store lies in."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.errors import StoreError
from lookalike.store.store import Store

from .builders import Builder, recipe_of


def test_another_format_is_refused(store: Store) -> None:
    store.obtain(recipe_of(), Builder())
    (store.root / "format.json").write_text('{"format": 2}')
    with pytest.raises(StoreError, match=r"store format 2, this Lookalike reads format 1; set paths\.store"):
        Store(store.root)


@pytest.mark.parametrize("text", ["", "[]", "{}", "\0"])
def test_an_unreadable_format_is_refused(store: Store, text: str) -> None:
    store.root.mkdir()
    (store.root / "format.json").write_text(text)
    with pytest.raises(StoreError, match="format unknown"):
        Store(store.root)


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        Store(tmp_path / "store")


def test_a_folder_of_photos_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_text("x")
    with pytest.raises(StoreError, match="folder of other things"):
        Store(tmp_path)


def test_a_folder_of_hidden_files_may_become_one(tmp_path: Path) -> None:
    (tmp_path / ".gitkeep").write_text("")
    Store(tmp_path).obtain(recipe_of(), Builder())
    assert Store(tmp_path).find(recipe_of())


def test_a_root_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"cannot be written .*paths\.store"):
        Store(tmp_path / "file" / "store").obtain(recipe_of(), Builder())
