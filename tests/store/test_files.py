"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lookalike.store.files import atomic_write, is_draft, publish_new, remove_stale_drafts, write_json


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with atomic_write(path) as draft:
        draft.write_text("half")
        assert path.read_text() == "old"
        assert draft.suffix == ".csv" and is_draft(draft)
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, [1, float("nan")])
    assert path.read_text() == "1\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("has_links", [True, False])
def test_what_is_there_is_not_overwritten_where_that_is_asked(
    tmp_path: Path, has_links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "points.npz"
    for content in ("first", "second"):
        try:
            with atomic_write(path, publish_new) as draft:
                draft.write_text(content)
        except FileExistsError:
            assert content == "second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_synced_before_and_after_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: steps.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    with atomic_write(tmp_path / "file", lambda draft, path: steps.append("published")) as draft:
        draft.touch()
    assert steps == [str(draft), "published", str(tmp_path)]
    steps.clear()
    with atomic_write(tmp_path / "file", durable=False) as draft:
        draft.touch()
    assert steps == []


def test_drafts_of_killed_processes_go_when_they_are_old(tmp_path: Path) -> None:
    old = [tmp_path / ".0123456789ab.record.json", tmp_path / ".record.json.0123456789ab"]
    fresh = tmp_path / ".ba9876543210.record.json"
    for path in [*old, fresh, tmp_path / "record.json"]:
        path.touch()
        assert is_draft(path) == (path.name != "record.json")
    for path in [*old, tmp_path / "record.json"]:
        os.utime(path, (1, 1))
    remove_stale_drafts(tmp_path / "record.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == [fresh.name, "record.json"]
