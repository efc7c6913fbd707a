from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lookalike.embed.embeddings import Embeddings
from lookalike.errors import IndexingError
from lookalike.index.build import build_index
from lookalike.index.families.brute_force import BruteForceIndex
from lookalike.index.families.flat import FlatIndex
from lookalike.index.serving import serving_memory
from lookalike.store.store import Store
from tests.index.galleries import D, clustered, sharded

MB = 1_000_000
GALLERY = np.tile(clustered(50_000), (1, 10))  # 32 MB
BIG = replace(Embeddings.from_array(GALLERY), dim=10 * D)
FLAT = FlatIndex()


def test_an_index_read_into_memory_is_anonymous_a_mapped_one_file_backed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    built = build_index(FLAT, BIG, store)
    read = serving_memory(FLAT, built, BIG, store)
    assert 32 * MB <= read.facts["anonymous_bytes"] < 40 * MB
    assert read.facts["file_backed_bytes"] < 10 * MB
    mapped = serving_memory(replace(FLAT, mmap=True), built, BIG, store)
    assert mapped.facts["anonymous_bytes"] < 10 * MB
    assert 32 * MB <= mapped.facts["file_backed_bytes"] < 42 * MB
    for artifact in (read, mapped):
        facts = artifact.facts
        assert facts["serving_memory_bytes"] == facts["anonymous_bytes"] + facts["file_backed_bytes"]
        assert artifact.bytes == 0
    assert serving_memory(FLAT, built, BIG, store).reused


def test_brute_force_serves_the_vectors_themselves(tmp_path: Path) -> None:
    store, config = Store(tmp_path / "store"), BruteForceIndex()
    np.save(tmp_path / "shard.npy", GALLERY)
    mapped = replace(BIG, shards=(np.load(tmp_path / "shard.npy", mmap_mode="r"),))
    for gallery in (mapped, replace(BIG, keys=("other",))):
        served = serving_memory(config, build_index(config, gallery, store), gallery, store)
        assert 32 * MB <= served.facts["serving_memory_bytes"] < 45 * MB
        assert served.bytes == 0


def test_a_process_that_fails_is_a_user_error(tmp_path: Path) -> None:
    gallery = sharded(clustered(100), 50)
    built = build_index(FLAT, gallery, Store(tmp_path / "store"))
    broken = SimpleNamespace(key="k", file=lambda name: tmp_path / "missing.faiss")
    with pytest.raises(IndexingError, match=r"could not serve the index .*missing\.faiss"):
        serving_memory(FLAT, replace(built, index=broken), gallery, Store(tmp_path / "other"))  # type: ignore[arg-type]
