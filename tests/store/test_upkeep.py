from __future__ import annotations

import gc
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lookalike.store import upkeep
from lookalike.store.lease import keys_in_use
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store
from lookalike.store.upkeep import DAY_SECONDS

from .builders import Builder, recipe_of, scratch


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY_SECONDS
    os.utime(path, (then, then))


def leave(store: Store, recipe: Recipe, bench_days: float = 0) -> None:
    """What a killed builder leaves: a lease, half a draft and a workbench."""
    key = recipe.key
    (store.root / "leases" / key).write_text("")
    age(store.root / "leases" / key, 1)
    for name in (f"{key}.0.draft", f"{key}.0.workbench"):
        (store.root / "scratch" / name).mkdir()
        (store.root / "scratch" / name / "half").write_bytes(b"12345")
    age(store.root / "scratch" / f"{key}.0.workbench", bench_days)


def test_entries_tell_what_is_there(store: Store) -> None:
    store.obtain(recipe_of(64), Builder())
    (entry,) = upkeep.entries(store, "index")
    assert (entry.kind, entry.key, entry.bytes, entry.files) == ("index", recipe_of(64).key, 10, 2)
    assert entry.parameters == {"nlist": 64}
    assert entry.reason == "first of its kind"
    assert abs(entry.used_at - time.time()) < 60
    assert upkeep.entries(store, "exact") == []


def test_verify_finds_every_damage_and_nothing_else(store: Store) -> None:
    artifacts = [store.obtain(recipe_of(nlist), Builder()) for nlist in (1, 2, 3)]
    artifacts[1].file("ids.bin").write_bytes(b"sdi")
    problems = {finding.key: finding.problem for finding in upkeep.verify(store)}
    assert problems == {
        artifacts[0].key: None,
        artifacts[1].key: "ids.bin was damaged",
        artifacts[2].key: None,
    }
    assert not artifacts[1].path.exists()
    assert len(list(upkeep.verify(store))) == 2


def test_prune_lists_and_removes_what_is_left_over(store: Store, tmp_path: Path) -> None:
    sound = store.obtain(recipe_of(1), Builder())
    damaged = store.obtain(recipe_of(2), Builder())
    damaged.file("ids.bin").unlink()
    assert store.find(recipe_of(2)) is None
    leave(store, recipe_of(3), bench_days=8)
    (tmp_path / "weights").write_bytes(b"x")
    store.file_hash(tmp_path / "weights")
    (tmp_path / "weights").unlink()

    planned = upkeep.prune(store)
    assert sorted((removal.what, removal.bytes) for removal in planned if removal.what != "file hash") == [
        ("checkpoints", 5),
        ("damaged copy", sum(path.stat().st_size for path in planned_damage(store))),
        ("lease", 0),
        ("unfinished build", 5),
    ]
    assert all(removal.path.exists() for removal in planned)
    assert upkeep.prune(store, dry_run=False) == planned
    assert not any(removal.path.exists() for removal in planned)
    assert upkeep.prune(store) == []
    assert store.find(recipe_of(1))
    assert sound.path.exists()


def planned_damage(store: Store) -> list[Path]:
    return [path for path in (store.root / "damaged").rglob("*/*") if path.is_file()]


def test_a_fresh_workbench_is_kept_unless_its_artifact_is_published(store: Store) -> None:
    store.obtain(recipe_of(1), Builder())
    leave(store, recipe_of(1))
    leave(store, recipe_of(2))
    benches = [
        removal.path.name for removal in upkeep.prune(store, dry_run=False) if removal.what == "checkpoints"
    ]
    assert benches == [f"{recipe_of(1).key}.0.workbench"]


def test_what_is_being_built_stays(store: Store) -> None:
    store.obtain(recipe_of(), Builder())
    rebuilding = Store(store.root, reuse=False)
    found = []

    def build(draft: Path) -> None:
        (rebuilding.checkpoints(recipe_of()) / "block").write_bytes(b"x")
        found.extend(upkeep.prune(store, unused_days=0, dry_run=False))

    rebuilding.obtain(recipe_of(), build)
    assert found == []


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, []),
        ({"kinds": ["index"]}, ["index"]),
        ({"unused_days": 30}, ["embeddings", "trained"]),
        ({"unused_days": 0, "kinds": ["trained", "index"]}, ["index", "trained"]),
        ({"unused_days": 30, "kinds": ["index"]}, []),
        ({"keep": ["INDEX"]}, ["exact"]),
        ({"keep": []}, ["embeddings", "exact", "index", "trained"]),
        ({"keep": ["EXACT"], "unused_days": 30}, ["trained"]),
    ],
)
def test_artifacts_go_when_all_conditions_apply(
    store: Store, conditions: dict[str, object], expected: list[str]
) -> None:
    # embeddings ← trained ← index, embeddings ← exact; two were not used for a month
    embeddings = store.obtain(Recipe("embeddings", 1, {}, {}), Builder())
    trained = store.obtain(Recipe("trained", 1, {}, {"embeddings": embeddings.key}), Builder())
    index = store.obtain(Recipe("index", 1, {}, {"trained": trained.key}), Builder())
    exact = store.obtain(Recipe("exact", 1, {}, {"embeddings": embeddings.key}), Builder())
    for artifact in (embeddings, trained):
        age(artifact.path / "stamps.json", 31)
    keys = {"INDEX": index.key, "EXACT": exact.key}
    if isinstance(keep := conditions.get("keep"), list):
        conditions = {**conditions, "keep": [keys[name] for name in keep]}
    assert sorted(removal.what for removal in upkeep.prune(store, **conditions)) == expected  # type: ignore[arg-type]
    upkeep.prune(store, **conditions, dry_run=False)  # type: ignore[arg-type]
    kinds = {"embeddings", "trained", "index", "exact"}
    assert {artifact.kind for artifact in store.artifacts()} == kinds - set(expected)


def test_finding_an_artifact_is_a_use(store: Store) -> None:
    artifact = store.obtain(recipe_of(), Builder())
    age(artifact.path / "stamps.json", 31)
    store.find(recipe_of())
    assert upkeep.prune(store, unused_days=30) == []


USER = """
    import sys
    from pathlib import Path
    from lookalike.store.recipe import Recipe
    from lookalike.store.store import Store
    store = Store(Path(sys.argv[1]))
    store.find(Recipe("index", 1, {"nlist": 64}, {"embeddings": "e1"}))
    print("found")
    sys.stdin.readline()
"""


def test_what_a_living_process_uses_stays(store: Store, python: Callable[..., subprocess.Popen[str]]) -> None:
    store.obtain(recipe_of(64), Builder())
    unused = store.obtain(recipe_of(128), Builder())
    user = python(USER, store.root)
    assert user.stdout
    assert user.stdout.readline() == "found\n"
    assert keys_in_use(store.layout.uses, besides=store.uses).keys() == {recipe_of(64).key}
    removed = upkeep.prune(store, kinds=["index"], dry_run=False)
    assert [removal.path for removal in removed] == [unused.path]
    assert [artifact.key for artifact in store.artifacts()] == [recipe_of(64).key]

    user.kill()  # a process that is killed leaves its list, which counts no longer
    user.wait()
    removed = upkeep.prune(store, kinds=["index"], dry_run=False)
    assert [removal.what for removal in removed] == ["index", "list of uses", "list of uses"]
    assert list(store.artifacts()) == []


def test_a_list_of_uses_goes_with_its_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.obtain(recipe_of(), Builder())
    folder = store.layout.uses
    assert len(list(folder.iterdir())) == 2
    del store
    gc.collect()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("moment", ["before the rename", "after the rename"])
def test_an_artifact_that_is_used_while_it_is_pruned_stays(
    store: Store, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instant is forced: another process finds the artifact between the listing and the deletion."""
    artifact = store.obtain(recipe_of(), Builder())
    age(artifact.path / "stamps.json", 31)
    other = Store(store.root)
    rename = Path.rename

    def use_then_rename(path: Path, target: Path) -> Path:
        if path == artifact.path and moment == "after the rename":
            other.uses.add(artifact.key)  # it has listed its use, and opened the artifact, a moment before
        return rename(path, target)

    listed = upkeep._chosen_artifacts

    def list_then_use(*arguments: Any) -> Iterator[upkeep.Removal]:
        yield from listed(*arguments)
        if moment == "before the rename":
            assert other.find(recipe_of())

    monkeypatch.setattr(Path, "rename", use_then_rename)
    monkeypatch.setattr(upkeep, "_chosen_artifacts", list_then_use)
    assert upkeep.prune(store, unused_days=30, dry_run=False) == []
    assert store.find(recipe_of())
    assert scratch(store) == []


def test_an_artifact_without_stamps_is_as_old_as_its_manifest(store: Store) -> None:
    """Stamps only save time: one who deletes them does not make the artifact ten thousand days old."""
    artifact = store.obtain(recipe_of(), Builder())
    (artifact.path / "stamps.json").unlink()
    assert upkeep.prune(store, unused_days=30) == []


def test_files_that_a_killed_process_was_writing_go(store: Store) -> None:
    artifact = store.obtain(recipe_of(), Builder())
    drafts = [
        folder / f".{name}.0123456789ab"
        for folder, name in ((artifact.path, "stamps.json"), (store.root, "format.json"))
    ]
    for draft in drafts:
        draft.write_text("{")
    assert upkeep.prune(store) == []  # a living process may be writing them
    for draft in drafts:
        age(draft, 2)
    removed = upkeep.prune(store, dry_run=False)
    assert sorted(removal.path for removal in removed) == sorted(drafts)
    assert store.find(recipe_of())


def test_vanished_artifacts_are_named_once(store: Store) -> None:
    artifact = store.obtain(recipe_of(), Builder())
    assert store.vanished() == []
    shutil.rmtree(artifact.path)
    assert store.vanished() == [artifact.key]
    assert store.vanished() == []
