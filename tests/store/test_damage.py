"""Damaged artifacts: noticed, told and mended."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable

import pytest

from lookalike.store import upkeep
from lookalike.store.artifact import Artifact
from lookalike.store.store import Store

from .builders import Builder, Listener, recipe_of

Damage = Callable[[Artifact], object]


def flip_a_byte(artifact: Artifact) -> None:
    artifact.file("part/lists.bin").write_bytes(b"vectorz")


def truncate(artifact: Artifact) -> None:
    os.truncate(artifact.file("part/lists.bin"), 3)


def delete(artifact: Artifact) -> None:
    artifact.file("part/lists.bin").unlink()


def delete_the_folder(artifact: Artifact) -> None:
    shutil.rmtree(artifact.path / "part")


def edit_the_manifest(artifact: Artifact) -> None:
    path = artifact.path / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 3', '"rows": 4'))


def truncate_the_manifest(artifact: Artifact) -> None:
    os.truncate(artifact.path / "manifest.json", 100)


def delete_the_manifest(artifact: Artifact) -> None:
    (artifact.path / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (flip_a_byte, "part/lists.bin was damaged"),
        (truncate, "part/lists.bin was damaged"),
        (delete, "part/lists.bin was missing"),
        (delete_the_folder, "part/lists.bin was missing"),
        (edit_the_manifest, "manifest.json was damaged"),
        (truncate_the_manifest, "manifest.json was damaged"),
        (delete_the_manifest, "manifest.json was missing"),
    ],
)
def test_damage_is_noticed_told_and_mended(store: Store, harm: Damage, reason: str) -> None:
    harm(store.obtain(recipe_of(), Builder()))
    progress = Listener()
    assert Store(store.root, progress=progress).find(recipe_of()) is None
    assert reason in progress.lines[0]
    rebuilt = Store(store.root).obtain(recipe_of(), Builder())
    assert (rebuilt.reused, rebuilt.reason) == (False, reason)
    assert store.obtain(recipe_of(), Builder()).reused
    shutil.rmtree(rebuilt.path)
    assert store.obtain(recipe_of(), Builder()).reason == "first of its kind"


def touch(artifact: Artifact) -> None:
    os.utime(artifact.file("ids.bin"), (1, 1))


def copy(artifact: Artifact) -> None:
    shutil.copytree(artifact.path, artifact.path.with_name("copy"))
    shutil.rmtree(artifact.path)
    artifact.path.with_name("copy").rename(artifact.path)


def lose_the_stamps(artifact: Artifact) -> None:
    (artifact.path / "stamps.json").unlink()


def spoil_the_stamps(artifact: Artifact) -> None:
    (artifact.path / "stamps.json").write_text("[")


@pytest.mark.parametrize("change", [touch, copy, lose_the_stamps, spoil_the_stamps])
def test_what_only_looks_changed_is_stamped_anew(store: Store, change: Damage) -> None:
    change(store.obtain(recipe_of(), Builder()))
    found = store.find(recipe_of())
    assert found
    stamps = json.loads((found.path / "stamps.json").read_text())
    for name in found.manifest["files"]:
        status = found.file(name).stat()
        assert stamps[name] == [status.st_size, status.st_mtime_ns, status.st_ino]


def test_a_stamped_file_is_believed_unread(store: Store) -> None:
    # The reason why a 5 GB index loads at disk speed, and why `verify` exists.
    artifact = store.obtain(recipe_of(), Builder())
    path = artifact.file("ids.bin")
    before = path.stat()
    path.write_bytes(b"sdi")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.find(recipe_of())
    assert [finding.problem for finding in upkeep.verify(store)] == ["ids.bin was damaged"]
    assert store.obtain(recipe_of(), Builder()).reason == "ids.bin was damaged"
