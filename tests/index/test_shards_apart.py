"""index.shards_apart: another way to the same index, whose parts are artifacts of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from lookalike import schemas
from lookalike.embed.embeddings import Embeddings
from lookalike.errors import IndexingError
from lookalike.index.build import PART_FILE, PART_VERSION, build_index, build_parts
from lookalike.index.families.factory import FactoryIndex
from lookalike.index.families.ivf_flat import IvfFlatIndex
from lookalike.index.merging import why_unmergeable
from lookalike.index.searchers import load_index
from lookalike.index.structure import blank_index
from lookalike.store.artifact import Artifact
from lookalike.store.store import Store
from tests.index.galleries import D, clustered, families, sharded

GALLERY = sharded(clustered(900), 100, 700, 880)
"""Unequal shards, a last short one."""
QUERIES = clustered(60, seed=1)
IVF = IvfFlatIndex(nlist=8, threads=1, point={"nprobe": 8})
MORE = [
    FactoryIndex(factory=factory, threads=1)
    for factory in ("PCA8,Flat", "PQ8x4fs", "RR16,IVF8,RaBitQ", "IVF8_HNSW8,SQ8", "SQ8")
]


def can_merge(config: schemas.Index) -> bool:

    factory = config.factory_string(D)
    return bool(factory) and why_unmergeable(blank_index(factory, D, config.metric)) is None


def index_of(store: Store, config: schemas.Index, gallery: Embeddings = GALLERY) -> Artifact:
    built = build_index(config, gallery, store)
    assert built.index is not None
    return built.index


@pytest.mark.parametrize("config", [*filter(can_merge, [*families(), *MORE])])
def test_built_apart_and_merged_is_built_in_one_go(config: schemas.Index, tmp_path: Path) -> None:
    apart = build_index(replace(config, shards_apart=True), GALLERY, Store(tmp_path / "apart"))
    single = build_index(config, GALLERY, Store(tmp_path / "single"))
    assert apart.index is not None
    assert single.index is not None
    assert apart.index.key == single.index.key
    if "fs" not in apart.factory:  # fast-scan codes are padded with what was there before
        assert apart.index.file("index.faiss").read_bytes() == single.index.file("index.faiss").read_bytes()
    settings = {"nprobe": 8} if "IVF" in apart.factory else {}
    found = [load_index(config, built, GALLERY).search(QUERIES, 10, settings) for built in (apart, single)]
    np.testing.assert_array_equal(found[0][1], found[1][1])
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-5)
    assert apart.index.facts["parts"] == 4
    assert apart.add_seconds >= apart.index.facts["merge_seconds"] > 0


@pytest.mark.parametrize("config", [config for config in families()[1:] if not can_merge(config)])
def test_families_that_cannot_say_so_and_how_to_go_on(config: schemas.Index, tmp_path: Path) -> None:
    with pytest.raises(
        IndexingError, match=rf"index\.shards_apart=true .*leave it out of index={config.family}"
    ):
        build_index(replace(config, shards_apart=True, threads=1), GALLERY, Store(tmp_path))
    assert not list(Store(tmp_path).artifacts())


def test_parts_are_found_again_and_hold_rows_of_the_gallery(tmp_path: Path) -> None:
    store = Store(tmp_path)
    third, first = build_parts(IVF, GALLERY, [2, 0], store)
    assert [artifact.kind for artifact in store.artifacts()].count("trained") == 1
    assert third.reason.startswith("first of its kind")
    index = faiss.read_index(str(third.file(PART_FILE)))
    _, rows = index.search(GALLERY.shards[2][:5], 1, params=faiss.SearchParametersIVF(nprobe=8))
    np.testing.assert_array_equal(rows[:, 0], 700 + np.arange(5))
    assert (index.ntotal, third.facts["vectors"]) == (180, 180)

    again = Store(tmp_path)
    made = index_of(again, replace(IVF, shards_apart=True))
    assert not made.reused
    parts = {artifact.key: artifact for artifact in again.artifacts("part")}
    assert len(parts) == 4
    assert {first.key, third.key} < set(parts)
    assert parts[first.key].manifest == first.manifest, "it was not built again"


def test_an_index_of_one_way_is_reused_by_the_other(tmp_path: Path) -> None:
    assert not index_of(Store(tmp_path), replace(IVF, shards_apart=True)).reused
    assert index_of(Store(tmp_path), IVF).reused


def test_the_whole_can_be_merged_without_the_trained_index(tmp_path: Path) -> None:
    """Parts that were copied from elsewhere, or whose quantiser was pruned, serve all the same."""
    before = index_of(Store(tmp_path), replace(IVF, shards_apart=True))
    content = before.file("index.faiss").read_bytes()
    rebuilt = index_of(Store(tmp_path, reuse=["part", "trained"]), replace(IVF, shards_apart=True))
    assert not rebuilt.reused
    assert rebuilt.file("index.faiss").read_bytes() == content


def test_a_shard_without_vectors_is_a_part_too(tmp_path: Path) -> None:
    gallery = sharded(clustered(900), 100, 100)
    apart = index_of(Store(tmp_path / "a"), replace(IVF, shards_apart=True), gallery)
    single = index_of(Store(tmp_path / "b"), IVF, gallery)
    assert apart.file("index.faiss").read_bytes() == single.file("index.faiss").read_bytes()


@pytest.mark.parametrize("number", [-1, 4])
def test_there_is_no_such_shard(number: int, tmp_path: Path) -> None:
    with pytest.raises(
        IndexingError, match=f"there is no shard {number}; the gallery has 4, numbered from 0"
    ):
        build_parts(IVF, GALLERY, [0, number], Store(tmp_path))


def test_what_a_version_produces(tmp_path: Path) -> None:
    """When this changes on purpose, raise PART_VERSION beside it: what makes a part, and the ids in it."""
    [part] = build_parts(IVF, GALLERY, [1], Store(tmp_path))
    index = faiss.read_index(str(part.file(PART_FILE)))
    lists = index.invlists
    ids = [
        faiss.rev_swig_ptr(lists.get_ids(number), size).copy()
        for number in range(8)
        if (size := lists.list_size(number))
    ]
    assert sorted(np.concatenate(ids)) == list(range(100, 700))
    assert (PART_VERSION, sorted(part.manifest["parents"]), part.manifest["parameters"]["first_row"]) == (
        1,
        ["embeddings", "trained"],
        100,
    )
