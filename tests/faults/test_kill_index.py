"""Training, adding, merging and exact neighbours, killed, disturbed or starved: the same bytes in the end."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.store import Store, upkeep
from tests.index.galleries import clustered

ROWS, DIM = 16_000, 64
PARTS = 4
PATIENCE_SECONDS = 240.0
"""Within which a process gets to what a test waits for."""
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
    command = [
        sys.executable,
        "-m",
        "tests.faults.index_process",
        str(store),
        str(vectors),
        way,
        *map(str, gate),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Read what the process says until a line holds ``text``; that line."""
    assert process.stdout
    with giving_up(process):
        for line in process.stdout:
            if text in line:
                return line
    raise AssertionError(f"it ended without saying {text!r}")


@contextmanager
def giving_up(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a process that takes longer than ``PATIENCE_SECONDS``, so that reading from it ends."""
    timer = threading.Timer(PATIENCE_SECONDS, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for the process to complete; its JSON, and all ``lines`` that it said before."""
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, out
    *lines, last = out.splitlines()
    ended: dict[str, Any] = json.loads(last)
    return ended | {"lines": lines}


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


def kill_at_random_moments(seed: int, world: World, store: Path) -> None:
    """Kill one to three processes, each at a random moment of its work, then let one complete."""
    rng = random.Random(seed)
    way = WAYS[seed % 2]
    for _ in range(rng.randint(1, 3)):
        process = start(store, world.vectors, way)
        wait_for(process, "ready")
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, 1.05 * world.seconds[way]))
        process.kill()
        process.communicate()
    before = published(store)
    ended = finish(start(store, world.vectors, way))
    for kind in ("exact", "index"):
        assert ended[kind]["reused"] == (Path(ended[kind]["path"]).name in before)
    assert before <= published(store), "what was finished is kept"
    assert_undisturbed(ended, world, store)


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_a_random_moment(seed: int, world: World, tmp_path: Path) -> None:
    kill_at_random_moments(seed, world, tmp_path / "store")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_killed_at_many_random_moments(seed: int, world: World, tmp_path: Path) -> None:
    kill_at_random_moments(seed, world, tmp_path / "store")


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
    process.kill()
    process.communicate()
    there = sorted(path.parent.name for path in store.glob("artifacts/*/*"))
    assert there == kept or sign == "bar: writing", "the last stage may end before the signal comes"
    ended = finish(start(store, world.vectors, way))
    assert not [line for line in ended["lines"] if line.startswith("bar: training")] or "trained" not in kept
    assert_undisturbed(ended, world, store)


# --- damage ------------------------------------------------------------------------------------------------


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


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
    first.kill()
    first.communicate()
    ended = finish(second)
    assert not ended["index"]["reused"]
    assert_undisturbed(ended, world, store)


# --- a full disk -------------------------------------------------------------------------------------------

ON_A_SMALL_DISK = """
mount -t tmpfs -o size=$1 none "$2" || exit 99
"$3" -m tests.faults.index_process "$2/store" "$4" "$5"
echo "code $?"
echo "published $(ls "$2/store/artifacts/index" 2>/dev/null | wc -l)"
mount -o remount,size=64m "$2"
exec "$3" -m tests.faults.index_process "$2/store" "$4" "$5"
"""


@pytest.mark.parametrize(("size", "way"), [("700k", "one-go"), ("1200k", "apart"), ("2m", "apart")])
def test_a_full_disk_is_an_error_with_a_cure_and_publishes_nothing(
    size: str, way: str, world: World, tmp_path: Path
) -> None:
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh"]
    done = subprocess.run(
        [*command, size, str(tmp_path), sys.executable, str(world.vectors), way],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    [told] = [line for line in lines if line.startswith("error: ")]
    assert "is full" in told
    assert "set paths.store to another disk, then run again" in told
    assert {"code 2", "published 0"} <= {*lines}
    assert "Traceback" not in done.stderr
    ended = json.loads(last)
    assert {kind: ended[kind]["files"] for kind in world.files} == world.files
