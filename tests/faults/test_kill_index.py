"""Training, adding, merging and exact neighbours, killed, disturbed or starved: the same bytes in the end."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.store import upkeep
from lookalike.store.store import Store
from tests.faults import processes
from tests.faults.processes import (
    assert_told_that_the_disk_is_full,
    cut_short,
    finish,
    flip_a_byte,
    kill,
    kill_some,
    seeds,
    start_on_a_small_disk,
    wait_for,
)
from tests.index.galleries import clustered

ROWS, DIM = 16_000, 64
PARTS = 4
WAYS = ("one-go", "apart")


@dataclass(frozen=True)
class World:
    """Vectors, what an undisturbed process makes of them, and how long that takes each way."""

    vectors: Path
    files: dict[str, dict[str, str]]
    """SHA-256 by name, of the exact neighbours and of the index."""
    seconds: dict[str, float]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """16,000 vectors in four shards, the last one short."""
    vectors = tmp_path_factory.mktemp("vectors") / "vectors.npy"
    np.save(vectors, clustered(ROWS, d=DIM))
    seconds, files = {}, []
    for way in WAYS:
        process = start(tmp_path_factory.mktemp(way) / "store", vectors, way)
        wait_for(process, "ready")
        began = time.monotonic()
        ended = finish(process)
        seconds[way] = time.monotonic() - began
        files.append({kind: ended[kind]["files"] for kind in ("exact", "index")})
    assert files[0] == files[1], "both ways lead to the same bytes"
    return World(vectors, files[0], seconds)


def start(store: Path, vectors: Path, way: str, *gate: Path) -> subprocess.Popen[str]:
    return processes.start("index_process", store, vectors, way, *gate)


def published(store: Path) -> set[str]:
    """Keys of what is in the store."""
    return {path.name for path in store.glob("artifacts/*/*")}


def assert_undisturbed(ended: dict[str, Any], world: World, store: Path) -> None:
    """What is told, and what lies there, is what an undisturbed process makes; nothing piles up beside it."""
    for kind, files in world.files.items():
        assert ended[kind]["files"] == files
        for name, sha256 in files.items():
            content = (Path(ended[kind]["path"]) / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == sha256
    left = [*store.glob("scratch/*"), *store.glob("leases/*")]
    # Killed while it cleared up after publishing: a lease or so of what will not be built again.
    assert {path.name.split(".")[0] for path in left} <= published(store)
    assert not list(store.glob("damaged/*/*"))
    upkeep.prune(Store(store), dry_run=False)
    assert not [*store.glob("scratch/*"), *store.glob("leases/*")]


# --- kill -9 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", seeds(4))
def test_killed_at_random_moments(seed: int, world: World, tmp_path: Path) -> None:
    """Some processes are killed; the next one completes."""
    store, way = tmp_path / "store", WAYS[seed % 2]
    kill_some(seed, partial(start, store, world.vectors, way), world.seconds[way])
    before = published(store)
    ended = finish(start(store, world.vectors, way))
    for kind in ("exact", "index"):
        assert ended[kind]["reused"] == (Path(ended[kind]["path"]).name in before)
    assert before <= published(store), "what was finished is kept"
    assert_undisturbed(ended, world, store)


@pytest.mark.parametrize(
    ("sign", "way", "kept"),
    [
        ("bar: exact", "one-go", []),
        ("bar: training", "one-go", ["exact"]),
        ("bar: sorting", "one-go", ["exact", "trained"]),
        ("bar: indexing", "one-go", ["exact", "trained"]),
        ("bar: writing", "one-go", ["exact", "trained"]),
        ("shard 3 of 4", "apart", ["exact", "part", "part", "trained"]),
        ("bar: merging", "apart", ["exact", *["part"] * PARTS, "trained"]),
    ],
)
def test_killed_in_a_stage_the_earlier_ones_are_kept(
    sign: str, way: str, kept: list[str], world: World, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    process = start(store, world.vectors, way, *([tmp_path / "gate"] if sign == "bar: indexing" else []))
    wait_for(process, sign)
    kill(process)
    there = sorted(path.parent.name for path in store.glob("artifacts/*/*"))
    assert there == kept or sign == "bar: writing", "the last stage may end before the signal comes"
    ended = finish(start(store, world.vectors, way))
    assert not [line for line in ended["lines"] if line.startswith("bar: training")] or "trained" not in kept
    assert_undisturbed(ended, world, store)


# --- damage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [cut_short, flip_a_byte])
@pytest.mark.parametrize(
    ("kind", "name"), [("index", "index.faiss"), ("part", "part.faiss"), ("trained", "trained.faiss")]
)
def test_a_damaged_file_is_told_of_and_built_again(
    kind: str, name: str, damage: Callable[[Path], None], world: World, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    whole = finish(start(store, world.vectors, "apart"))
    if kind != "index":  # else nobody would look at the parts that it was made of
        for file in Path(whole["index"]["path"]).iterdir():
            file.unlink()
        Path(whole["index"]["path"]).rmdir()
    if kind == "trained":
        for part in store.glob("artifacts/part/*"):
            for file in part.iterdir():
                file.unlink()
            part.rmdir()
    damaged = min(store.glob(f"artifacts/{kind}/*/{name}"))
    damage(damaged)

    ended = finish(start(store, world.vectors, "apart"))

    [told] = [line for line in ended["lines"] if line.startswith("warning: ")]
    assert told.startswith(f"warning: {kind} {damaged.parent.name}: {name} was damaged")
    assert damaged.exists(), "it was built again, under the same key"
    assert not ended["index"]["reused"]
    assert ended["index"]["files"] == world.files["index"]
    if kind == "index":
        assert f"{name} was damaged" in ended["index"]["reason"]


# --- company -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_of_two_processes_one_builds_and_the_other_waits(way: str, world: World, tmp_path: Path) -> None:
    store, gate = tmp_path / "store", tmp_path / "gate"
    first = start(store, world.vectors, way, gate)
    wait_for(first, "bar: indexing")
    second = start(store, world.vectors, way, gate)
    assert str(first.pid) in wait_for(second, "index: waiting for")
    gate.touch()
    made, taken = finish(first), finish(second)
    assert (made["index"]["reused"], taken["index"]["reused"]) == (False, True)
    assert made["index"]["path"] == taken["index"]["path"]
    assert_undisturbed(made, world, store)


def test_who_waits_takes_over_when_the_other_is_killed(world: World, tmp_path: Path) -> None:
    store, gate = tmp_path / "store", tmp_path / "gate"
    first = start(store, world.vectors, "one-go", gate)
    wait_for(first, "bar: indexing")
    second = start(store, world.vectors, "one-go")
    wait_for(second, "index: waiting for")
    kill(first)
    ended = finish(second)
    assert not ended["index"]["reused"]
    assert_undisturbed(ended, world, store)


# --- a full disk -------------------------------------------------------------------------------------------


@pytest.mark.mounts
@pytest.mark.parametrize(("size", "way"), [("700k", "one-go"), ("1200k", "apart"), ("2m", "apart")])
def test_a_full_disk_is_an_error_with_a_cure_and_publishes_nothing(
    size: str, way: str, world: World, tmp_path: Path
) -> None:
    lines, ended = start_on_a_small_disk(size, tmp_path, "index", "index_process", world.vectors, way)
    assert_told_that_the_disk_is_full(lines)
    assert {kind: ended[kind]["files"] for kind in world.files} == world.files
