"""What a power cut may not take: a record on the disk names nothing that is not there too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.pipeline.conftest import RunOf


def test_results_are_on_the_disk_before_the_record_that_names_them(
    run_of: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen by what is synced, in order: a file's bytes, then the folder that holds its name."""
    synced: list[Path] = []
    fsync = os.fsync

    def remember(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", remember)
    run_of()
    folder = tmp_path / "outputs" / "1"
    raw = [file.name for file in (folder / "points").iterdir()]

    def first(match: str, parent: Path) -> int:
        return next(i for i, path in enumerate(synced) if path.parent == parent and match in path.name)

    order = [
        max(first(name, folder / "points") for name in raw),
        len(synced) - 1 - synced[::-1].index(folder / "points"),
        first("record.json", folder),
        len(synced) - 1 - synced[::-1].index(folder),
    ]
    assert order == sorted(order), synced
    store = tmp_path / "store"
    assert store in synced, "the store's format has its name"
    kinds = store / "artifacts"
    assert {kinds, *kinds.iterdir()} <= set(synced), "new kinds and new artifacts have their names"
