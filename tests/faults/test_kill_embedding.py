"""Embedding that is killed, disturbed or starved: it goes on from its blocks and ends with the same bytes."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike.embed.blocks import Block
from tests.faults import processes
from tests.faults.embedding_process import BLOCK_ROWS
from tests.faults.processes import (
    PATIENCE_SECONDS,
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

IMAGES = 3000


@dataclass(frozen=True)
class World:
    """Images, what embedding them undisturbed leaves, and how long that takes."""

    images: Path
    files: dict[str, str]
    """SHA-256 by name."""
    seconds: float


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """3,000 seeded images, a few of which cannot be decoded."""
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 4, 4, 3), dtype=np.uint8)
    for number, one in enumerate(pixels):
        path = folder / f"{number:05}.png"
        Image.fromarray(one).save(path)
        if number % 700 == 5:
            path.write_bytes(path.read_bytes()[:40])
    process = start(tmp_path_factory.mktemp("undisturbed") / "store", folder)
    wait_for(process, "ready")
    began = time.monotonic()
    ended = finish(process)
    return World(folder, ended["files"], time.monotonic() - began)


def start(store: Path, images: Path, *more: Path) -> subprocess.Popen[str]:
    return processes.start("embedding_process", store, images, *more)


def blocks(store: Path) -> list[Path]:
    return sorted(store.glob("scratch/*.workbench/block-*.npz"))


def rows_in(paths: list[Path]) -> int:
    loaded = [Block.load(path) for path in paths]
    return sum(len(block.rows) + len(block.bad) for block in loaded)


def published(store: Path) -> list[Path]:
    return sorted(store.glob("artifacts/embeddings/*/embeddings.npy"))


def wait_until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not seen():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.001)


def stop_midway(store: Path, world: World, gate: Path, number: signal.Signals = signal.SIGKILL) -> None:
    """Embed until half of the images are done, then send the signal; the process must end of it."""
    process = start(store, world.images, gate)
    wait_until(lambda: len(blocks(store)) >= IMAGES // 2 // BLOCK_ROWS)
    process.send_signal(number)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -number
    assert not published(store)


def assert_undisturbed(ended: dict[str, Any], world: World, store: Path) -> None:
    """The one artifact in the store is, byte by byte, what an undisturbed process makes; no more is left."""
    assert ended["files"] == world.files
    [vectors] = published(store)
    assert hashlib.sha256(vectors.read_bytes()).hexdigest() == world.files[vectors.name]
    assert not list(store.glob("scratch/*"))
    assert not list(store.glob("leases/*"))


# --- kill -9 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", seeds(3))
def test_killed_at_random_moments(seed: int, world: World, tmp_path: Path) -> None:
    """Some processes are killed; the next one completes."""
    store = tmp_path / "store"
    kill_some(seed, partial(start, store, world.images), world.seconds)
    before = published(store)
    kept = rows_in(blocks(store))

    ended = finish(start(store, world.images))

    assert ended["files"] == world.files
    assert ended["reused"] == bool(before)
    assert before or ended["resumed"] == kept, "every finished block is used, and nothing else"
    assert len(published(store)) == 1
    if not before:  # else it was killed while it cleared up, which is left to `lookalike store prune`
        assert not list(store.glob("scratch/*.draft")) + list(store.glob("scratch/*.workbench"))
        assert not list(store.glob("leases/*"))


# --- taken off the machine ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_preempted_process_goes_on_from_its_blocks(
    number: signal.Signals, world: World, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    stop_midway(store, world, tmp_path / "gate", number)
    kept = rows_in(blocks(store))
    assert kept >= IMAGES // 2 // BLOCK_ROWS * BLOCK_ROWS

    ended = finish(start(store, world.images))

    assert ended["resumed"] == kept
    assert f"{kept:,} of {IMAGES:,} were embedded by an earlier attempt" in ended["lines"]
    assert_undisturbed(ended, world, store)


# --- damage ------------------------------------------------------------------------------------------------


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut_short, flip_a_byte])
def test_a_damaged_block_is_told_of_and_embedded_again(
    damage: Callable[[Path], None], world: World, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    stop_midway(store, world, tmp_path / "gate")
    first, *others = blocks(store)
    kept = rows_in(others)
    damage(first)

    ended = finish(start(store, world.images))

    assert f"warning: {first.name} is damaged; its {BLOCK_ROWS} rows are embedded again" in ended["lines"]
    assert ended["resumed"] == kept
    assert_undisturbed(ended, world, store)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("embeddings.npy", cut_short),
        ("embeddings.npy", flip_a_byte),
        ("metadata.parquet", flip_a_byte),
        ("bad.json", empty),
    ],
)
def test_a_damaged_shard_is_told_of_and_built_again(
    name: str, damage: Callable[[Path], None], world: World, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    finish(start(store, world.images))
    [vectors] = published(store)
    damage(vectors.with_name(name))

    ended = finish(start(store, world.images))

    [told] = [line for line in ended["lines"] if line.startswith("warning: embeddings")]
    assert name in told
    assert not ended["reused"]
    assert name in ended["reason"]
    assert_undisturbed(ended, world, store)


# --- company -----------------------------------------------------------------------------------------------


def test_of_two_processes_one_works_and_the_other_waits(world: World, tmp_path: Path) -> None:
    store, gate = tmp_path / "store", tmp_path / "gate"
    first = start(store, world.images, gate)
    wait_until(lambda: bool(blocks(store)))
    second = start(store, world.images, gate)
    assert str(first.pid) in wait_for(second, "waiting for")
    gate.touch()

    made, taken = finish(first), finish(second)

    assert (made["reused"], taken["reused"]) == (False, True)
    assert made["resumed"] == 0
    assert made["path"] == taken["path"]
    assert_undisturbed(made, world, store)


def test_who_waits_takes_over_when_the_other_is_killed(world: World, tmp_path: Path) -> None:
    store, gate = tmp_path / "store", tmp_path / "gate"
    first = start(store, world.images, gate)
    wait_until(lambda: len(blocks(store)) >= 3)
    second = start(store, world.images)
    wait_for(second, "waiting for")
    kill(first)

    ended = finish(second)

    assert not ended["reused"]
    assert ended["resumed"] >= 3 * BLOCK_ROWS
    assert_undisturbed(ended, world, store)


# --- a full disk -------------------------------------------------------------------------------------------


@pytest.mark.mounts
@pytest.mark.parametrize(
    "size", [pytest.param("200k", id="among the blocks"), pytest.param("900k", id="late")]
)
def test_a_full_disk_is_an_error_with_a_cure_and_costs_no_finished_block(
    size: str, world: World, tmp_path: Path
) -> None:
    lines, ended = start_on_a_small_disk(size, tmp_path, "embeddings", "embedding_process", world.images)
    assert_told_that_the_disk_is_full(lines)
    assert ended["resumed"] > 0
    assert ended["resumed"] % BLOCK_ROWS in (0, IMAGES % BLOCK_ROWS)
    assert ended["files"] == world.files
