"""Artifacts are built once and reused."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.errors import StoreError
from lookalike.progress import Bar, Progress
from lookalike.store import upkeep
from lookalike.store.artifact import BAR_FROM_BYTES
from lookalike.store.store import Store

from .builders import Builder, Listener, recipe_of, scratch

# --- reuse -------------------------------------------------------------------------------------------------


def test_built_once_then_reused(store: Store) -> None:
    builder = Builder()
    built = store.obtain(recipe_of(), builder)
    again = Store(store.root).obtain(recipe_of(), builder)
    assert builder.count == 1
    assert (built.reused, built.reason) == (False, "first of its kind")
    assert (again.reused, again.reason) == (True, "")
    assert again.file("part/lists.bin").read_bytes() == b"vectors"
    assert again.facts == {"rows": 3}
    assert again.build_seconds == built.build_seconds > 0
    assert again.bytes == len(b"vectors" + b"ids")
    assert scratch(store) == []


def test_the_manifest_says_what_made_it(store: Store) -> None:
    artifact = store.obtain(recipe_of(seed=7), Builder())
    manifest = json.loads((artifact.path / "manifest.json").read_text())
    assert manifest["parameters"] == {"nlist": 64, "seed": 7}
    assert manifest["parents"] == {"embeddings": "e1"}
    assert manifest["files"]["ids.bin"] == {
        "bytes": 3,
        "sha256": "23466067f626bf8a3ae1a39cdf81f31303220b331b5064c6e00662dcc34deaaf",
    }
    assert set(manifest["machine"]) == {"hostname", "cpu", "cores", "job"}
    assert manifest["reason"] == "first of its kind"


def test_a_file_that_is_not_there_is_a_key_error(store: Store) -> None:
    with pytest.raises(KeyError, match=r"no file 'index\.faiss'"):
        store.obtain(recipe_of(), Builder()).file("index.faiss")


def test_nothing_is_written_by_looking(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.find(recipe_of()) is None
    assert list(store.artifacts()) == []
    assert upkeep.prune(store) == []
    assert not store.root.exists()


def test_a_hit_is_quick(store: Store) -> None:
    recipe = recipe_of()
    store.obtain(recipe, Builder())
    times = []
    for _ in range(20):
        started = time.perf_counter()
        store.find(recipe)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.005


def test_reasons_name_what_changed(store: Store) -> None:
    store.obtain(recipe_of(64), Builder())
    assert store.obtain(recipe_of(128), Builder()).reason == "nlist 64 → 128"
    assert store.obtain(recipe_of(128, embeddings="e2"), Builder()).reason == "new embeddings"
    assert store.obtain(recipe_of(kind="exact"), Builder()).reason == "first of its kind"


def test_what_may_not_be_reused_is_built_again_once(store: Store) -> None:
    store.obtain(recipe_of(), Builder(b"old"))
    builder = Builder(b"new")
    fresh = Store(store.root, reuse=False)
    rebuilt = fresh.obtain(recipe_of(), builder)
    assert (rebuilt.reused, rebuilt.reason) == (False, "reuse is off")
    assert fresh.obtain(recipe_of(), builder).reused
    assert builder.count == 1
    assert Store(store.root).obtain(recipe_of(), builder).file("part/lists.bin").read_bytes() == b"new"
    assert scratch(store) == []


def test_reuse_may_name_kinds(store: Store) -> None:
    for kind in ("index", "exact"):
        store.obtain(recipe_of(kind=kind), Builder())
    chosen = Store(store.root, reuse=["exact"])
    assert chosen.obtain(recipe_of(kind="exact"), Builder()).reused
    assert not chosen.obtain(recipe_of(kind="index"), Builder()).reused


def test_a_failed_rebuild_keeps_what_was_there(store: Store) -> None:
    store.obtain(recipe_of(), Builder(b"old"))

    def fail(draft: Path) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Store(store.root, reuse=False).obtain(recipe_of(), fail)
    found = store.find(recipe_of())
    assert found and found.file("part/lists.bin").read_bytes() == b"old"


def test_who_loses_the_race_discards_and_reuses(store: Store, tmp_path: Path) -> None:
    winner = Store(tmp_path / "elsewhere").obtain(recipe_of(), Builder(b"winner"))

    def slow(draft: Path) -> None:
        (draft / "x").write_bytes(b"loser")
        shutil.copytree(winner.path, store.layout.artifact("index", recipe_of().key))

    artifact = store.obtain(recipe_of(), slow)
    assert artifact.reused
    assert artifact.file("part/lists.bin").read_bytes() == b"winner"
    assert not (artifact.path / "x").exists()
    assert scratch(store) == []


def test_who_was_taken_over_and_finds_its_draft_gone_reuses(store: Store) -> None:
    def slow(draft: Path) -> None:
        store.layout.lease(recipe_of().key).unlink()  # as if it had expired
        Store(store.root).obtain(recipe_of(), Builder(b"winner"))
        (draft / "x").write_bytes(b"loser")

    artifact = store.obtain(recipe_of(), slow)
    assert artifact.reused
    assert artifact.file("part/lists.bin").read_bytes() == b"winner"
    assert scratch(store) == []


def lose_the_lease(store: Store) -> Path:
    """As if another machine had taken it over."""
    lease = store.layout.lease(recipe_of().key)
    lease.unlink()
    lease.write_text("")
    return lease


def test_who_was_taken_over_leaves_the_workbench_to_its_new_owner(store: Store) -> None:
    def slow(draft: Path) -> None:
        (store.checkpoints(recipe_of()) / "block").write_bytes(b"x")
        lose_the_lease(store)

    store.obtain(recipe_of(), slow)
    assert [path.name for path in store.layout.scratch.glob("*/*")] == ["block"]


def test_who_was_taken_over_gets_no_workbench_until_it_is_its_turn_again(store: Store) -> None:
    refusals: list[str] = []

    def build(draft: Path) -> None:
        if not refusals:
            lease = lose_the_lease(store)
            store.progress = Listener(act=lambda line: lease.unlink())  # the new owner gives up
            refusals.append("lost")
        store.checkpoints(recipe_of())
        refusals.append("granted")

    assert not store.obtain(recipe_of(), build).reused
    assert refusals == ["lost", "granted"]
    assert scratch(store) == []


def test_artifacts_come_newest_first(store: Store) -> None:
    for age, nlist in enumerate((1, 2, 3)):
        path = store.obtain(recipe_of(nlist), Builder()).path / "manifest.json"
        os.utime(path, (1000 - age, 1000 - age))
    store.obtain(recipe_of(kind="exact"), Builder())
    assert [artifact.manifest["parameters"]["nlist"] for artifact in store.artifacts("index")] == [1, 2, 3]
    assert len(list(store.artifacts())) == 4


def test_only_sound_artifacts_open_to_reuse_are_usable(store: Store) -> None:
    first, second = (store.obtain(recipe_of(nlist), Builder()) for nlist in (1, 2))
    store.obtain(recipe_of(kind="exact"), Builder())
    assert {artifact.key for artifact in store.usable("index")} == {first.key, second.key}
    second.file("ids.bin").write_bytes(b"sdi")
    assert [artifact.key for artifact in store.usable("index")] == [first.key]
    fresh = Store(store.root, reuse=["exact"])
    assert list(fresh.usable("index")) == []
    third = fresh.obtain(recipe_of(3), Builder())
    assert [artifact.key for artifact in fresh.usable("index")] == [third.key]


@pytest.mark.parametrize(
    "name",
    ["my photos/été", 'it\'s "quoted"', "a\nb", "日本/🙂.png", "..\\..", os.fsdecode(b"caf\xe9.jpg"), ""],
)
def test_hostile_names_are_only_parameters_and_files(store: Store, name: str) -> None:
    def build(draft: Path) -> dict[str, str]:
        (draft / (name.replace("/", "_") or "empty")).write_bytes(b"x")
        return {"name": name}

    built = store.obtain(recipe_of(path=name), build)
    found = Store(store.root).find(recipe_of(path=name))
    assert found and found.facts["name"] == built.manifest["parameters"]["path"] == name
    assert store.obtain(recipe_of(path="other"), Builder()).reason.startswith("path")


# --- what builders may not do ------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), SystemExit(1), OSError("x")])
def test_an_interrupted_build_leaves_nothing(store: Store, error: BaseException) -> None:
    def build(draft: Path) -> None:
        (draft / "half").write_bytes(b"x")
        raise error

    with pytest.raises(type(error)):
        store.obtain(recipe_of(), build)
    assert store.find(recipe_of()) is None
    assert scratch(store) == []
    assert not store.obtain(recipe_of(), Builder()).reused


def take_the_manifests_name(draft: Path) -> None:
    (draft / "manifest.json").write_text("{}")


def leave_a_link(draft: Path) -> None:
    (draft / "link").symlink_to("/dev/null")


def tell_what_is_not_json(draft: Path) -> dict[str, Any]:
    return {"path": draft}


@pytest.mark.parametrize("build", [take_the_manifests_name, leave_a_link, tell_what_is_not_json])
def test_faulty_builders_publish_nothing(store: Store, build: Callable[[Path], Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        store.obtain(recipe_of(), build)
    assert store.find(recipe_of()) is None
    assert scratch(store) == []


def raise_enospc(draft: Path) -> None:
    raise OSError(28, "No space left on device")


def save_array_on_a_full_disk(draft: Path) -> None:
    with Path("/dev/full").open("wb") as file:
        np.save(file, np.zeros(100_000))


def write_index_on_a_full_disk(draft: Path) -> None:
    import faiss

    index = faiss.index_factory(1024, "Flat")
    index.add(np.zeros((100, 1024), np.float32))
    faiss.write_index(index, "/dev/full")


@pytest.mark.parametrize("build", [raise_enospc, save_array_on_a_full_disk, write_index_on_a_full_disk])
def test_a_full_disk_is_told_with_a_cure(store: Store, build: Callable[[Path], Any]) -> None:
    def build_half(draft: Path) -> None:
        (draft / "half").write_bytes(b"x")
        build(draft)

    with pytest.raises(StoreError, match=r"is full, [\d.]+ .?B free; free some space .*paths\.store"):
        store.obtain(recipe_of(), build_half)
    assert scratch(store) == []


# --- workbench and file hashes -----------------------------------------------------------------------------


def test_a_workbench_survives_until_publication(store: Store) -> None:
    recipe = recipe_of()

    def first(draft: Path) -> None:
        (store.checkpoints(recipe) / "block-0").write_bytes(b"done")
        raise KeyboardInterrupt

    def second(draft: Path) -> None:
        (store.checkpoints(recipe) / "block-0").rename(draft / "block-0")

    with pytest.raises(KeyboardInterrupt):
        store.obtain(recipe, first)
    artifact = store.obtain(recipe, second)
    assert artifact.file("block-0").read_bytes() == b"done"
    assert scratch(store) == []


def test_a_workbench_needs_the_lease(store: Store) -> None:
    with pytest.raises(RuntimeError, match="inside the build"):
        store.checkpoints(recipe_of())


def test_a_file_hash_is_remembered_until_the_file_changes(store: Store, tmp_path: Path) -> None:
    path = tmp_path / 'weights "of" été.bin'
    path.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert store.file_hash(path) == digest
    memory = next((store.root / "hashes").iterdir())
    memory.write_text(memory.read_text().replace(digest, "remembered"))
    assert Store(store.root).file_hash(path) == "remembered"
    path.write_bytes(b"abcd")
    assert store.file_hash(path) != "remembered"
    memory.write_text("{")
    assert len(store.file_hash(path)) == 64


def test_a_file_is_hashed_even_if_the_store_cannot_remember(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert Store(tmp_path / "file" / "store").file_hash(tmp_path / "file").startswith("ba7816bf")


def test_a_missing_file_has_no_hash(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.file_hash(tmp_path / "nothing")


def test_a_file_that_changes_while_it_is_hashed_is_not_remembered(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.touch()
    os.truncate(path, BAR_FROM_BYTES)

    class Intruder(Progress):
        @contextmanager
        def bar(self, description: str, total: int | None, unit: str = "") -> Iterator[Bar]:
            yield Bar()
            path.write_bytes(b"changed")

    store.progress = Intruder()
    store.file_hash(path)
    assert not store.layout.hashes.exists()
