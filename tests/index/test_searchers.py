"""Searchers find what an exhaustive comparison finds; numpy's is the comparison."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from lookalike.embed.embeddings import Embeddings
from lookalike.errors import IndexingError
from lookalike.index import searchers
from lookalike.index.build import build_index
from lookalike.index.searchers import BruteForceSearcher, FaissSearcher, load_index
from lookalike.index.structure import blank_index, centroids_of, search_parameters, varies_with_threads
from lookalike.index.training import train
from lookalike.machine.environment import threads
from lookalike.store.store import Store
from tests.index.galleries import D, clustered, families

GALLERY = clustered(900)
QUERIES = np.random.default_rng(1).standard_normal((40, D)).astype(np.float32)
STRINGS = [
    "Flat",
    "IVF8,Flat",
    "IVF8,SQ8",
    "IVF8,PQ8x4np",
    "IVF8,PQ8x4fs,Refine(SQ8)",
    "IVF8,PQ8x4fs,RFlat",
    "OPQ8_8,IVF8,PQ8x4np",
    "HNSW8,Flat",
    "HNSW8,SQ8",
    "RR16,IVF8,RaBitQ1,Refine(SQ8)",
    "RR16,IVF8,RaBitQfs4",
    "PCA8,IVF8,SQ8,Refine(Flat)",
    "IVF32_HNSW4,Flat",
    "IVF8,Flat,RFlat",
    "PQ8x4fs,RFlat",
    "IVF8,SQ8,RefinePanorama(FlatL2Panorama8_1)",
    "NSG8,Flat",
]


def mutate(index: Any, settings: dict[str, int]) -> None:
    """Set search settings as FAISS's own examples do: on the index."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        mutate(index.index, settings)
    elif isinstance(index, faiss.IndexRefine):
        index.k_factor = settings["k_factor"]
        mutate(index.base_index, settings)
    elif isinstance(index, faiss.IndexIVF):
        index.nprobe = settings["nprobe"]
        mutate(index.quantizer, settings)
    elif hasattr(index, "hnsw"):
        index.hnsw.efSearch = settings["ef_search"]


def built(factory: str, metric: str = "l2") -> Any:
    index = blank_index(factory, D, metric)
    if not index.is_trained:
        with threads(1):
            train(index, GALLERY, 1)
    index.add(GALLERY)
    return index


@pytest.mark.parametrize("factory", STRINGS)
def test_parameters_do_what_mutating_does_and_leave_the_index_alone(factory: str) -> None:
    index = built(factory)
    searcher = FaissSearcher(index)
    before = index.search(QUERIES, 10)
    results = []
    for settings in (
        {"nprobe": 1, "ef_search": 12, "k_factor": 2},
        {"nprobe": 8, "ef_search": 200, "k_factor": 9},
    ):
        scores, rows = searcher.search(QUERIES, 10, {**settings, "k": 10})
        results.append(rows)
        copy = faiss.deserialize_index(faiss.serialize_index(index))
        mutate(copy, settings)
        expected_scores, expected_rows = copy.search(QUERIES, 10)
        np.testing.assert_array_equal(rows, expected_rows)
        np.testing.assert_array_equal(scores, expected_scores)
    for now, then in zip(index.search(QUERIES, 10), before, strict=True):
        np.testing.assert_array_equal(now, then)
    if factory not in ("Flat", "NSG8,Flat"):
        assert (results[0] != results[1]).any(), "the settings reached nothing"


def test_settings_left_out_are_the_index_own() -> None:
    index = built("IVF8,Flat")
    index.nprobe = 3
    assert search_parameters(index, {}).nprobe == 3
    assert search_parameters(index, {"nprobe": 5}).nprobe == 5
    assert search_parameters(built("Flat"), {"nprobe": 5}) is None


def test_missing_neighbours_are_minus_one() -> None:
    index = built("IVF8,Flat")
    _, rows = FaissSearcher(index).search(QUERIES, 900, {"nprobe": 1})
    assert (rows == -1).any()


def test_threads_share_a_searcher() -> None:
    search = FaissSearcher(built("OPQ8_8,IVF8,PQ8x4np")).prepare(10, {"nprobe": 8})
    expected = [search(QUERIES[row : row + 1])[1] for row in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: search(QUERIES[row : row + 1])[1], list(range(40)) * 5))
    np.testing.assert_array_equal(found, expected * 5)


@pytest.mark.parametrize("queries", [np.zeros((1, D + 1), np.float32)])
def test_faiss_errors_are_translated(queries: np.ndarray) -> None:
    with pytest.raises(IndexingError, match="FAISS cannot search the index"):
        FaissSearcher(built("Flat")).search(queries, 1, {})


@pytest.mark.parametrize("position", range(1, 10))
def test_a_mapped_index_finds_the_same(position: int, tmp_path: Path) -> None:
    config, gallery = families()[position], Embeddings.from_array(GALLERY)
    made = build_index(config, gallery, Store(tmp_path))
    read, mapped = (load_index(replace(config, mmap=mmap), made, gallery) for mmap in (False, True))
    for one, other in zip(
        read.search(QUERIES, 10, config.point), mapped.search(QUERIES, 10, config.point), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("factory", "centroids"),
    [
        ("Flat", 0),
        ("SQ8", 0),
        ("IVF64,SQ8", 64),
        ("IVF8,PQ8x4np", 16),
        ("IVF64,PQ8x4fs,RFlat", 64),
        ("OPQ8,IVF64,PQ8x4np", 256),
        ("HNSW8_PQ8x6", 64),
        ("IMI2x3,Flat", 8),
        ("IVF16_HNSW8,Flat", 16),
        ("PQ8,Refine(PQ8x9)", 512),
    ],
)
def test_centroids(factory: str, centroids: int) -> None:
    assert centroids_of(blank_index(factory, D, "l2")) == centroids


@pytest.mark.parametrize(
    ("factory", "varies"),
    [
        ("IVF8,Flat", False),
        ("HNSW8", False),
        ("RR16,IVF8,RaBitQ", True),
        ("PCA8,Flat", True),
        ("OPQ8,Flat", True),
        ("L2norm,Flat", False),
    ],
)
def test_what_varies_with_threads(factory: str, varies: bool) -> None:
    assert varies_with_threads(blank_index(factory, D, "l2")) is varies


def reference(gallery: np.ndarray, queries: np.ndarray, k: int, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """All scores in float64, sorted by score and row."""
    wide, asked = gallery.astype(np.float64), queries.astype(np.float64)
    costs = ((asked[:, None] - wide[None]) ** 2).sum(axis=2) if metric == "l2" else -(asked @ wide.T)
    rows = np.argsort(costs, axis=1, kind="stable")[:, :k]
    scores = np.take_along_axis(costs, rows, axis=1)
    return (scores if metric == "l2" else -scores), rows


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("n_queries", [1, 7])
@pytest.mark.parametrize("bounds", [(), (3, 200), (499,)])
@pytest.mark.parametrize("blocks", [(16_384, 256), (64, 3)])
def test_finds_what_the_definition_finds(
    metric: str, n_queries: int, bounds: tuple[int, ...], blocks: tuple[int, int]
) -> None:
    gallery, queries = 3 * clustered(500), clustered(n_queries, seed=1)
    scores, rows = BruteForceSearcher(np.split(gallery, bounds), metric, *blocks).search(queries, 20, {})
    true_scores, true_rows = reference(gallery, queries, 20, metric)
    np.testing.assert_array_equal(rows, true_rows)
    np.testing.assert_allclose(scores, true_scores, rtol=1e-5)
    assert scores.dtype == np.float32
    assert rows.dtype == np.int64


def test_hand_computed_distances_in_order_with_ties_by_row() -> None:
    gallery = np.array([[3, 0], [0, 1], [0, 1], [0, 0]], np.float32)
    query = np.array([[0, 0]], np.float32)
    scores, rows = BruteForceSearcher([gallery], "l2").search(query, 4, {})
    assert rows.tolist() == [[3, 1, 2, 0]]
    assert scores.tolist() == [[0, 1, 1, 9]]
    scores, rows = BruteForceSearcher([gallery], "ip").search(np.array([[1, 2]], np.float32), 4, {})
    assert rows.tolist() == [[0, 1, 2, 3]]
    assert scores.tolist() == [[3, 2, 2, 0]]


@pytest.mark.parametrize(("metric", "worst"), [("l2", searchers.WORST), ("ip", -searchers.WORST)])
def test_missing_neighbours_are_marked(metric: str, worst: float) -> None:
    scores, rows = BruteForceSearcher([clustered(3)], metric).search(clustered(2, seed=1), 5, {})
    assert (rows[:, 3:] == -1).all()
    assert (scores[:, 3:] == worst).all()
    assert np.sort(rows[:, :3], axis=1).tolist() == [[0, 1, 2]] * 2


def test_an_equal_vector_is_at_no_negative_distance() -> None:
    gallery = clustered(300)
    scores, rows = BruteForceSearcher([gallery], "l2").search(gallery, 1, {})
    assert rows[:, 0].tolist() == list(range(300))
    assert (scores >= 0).all()
    assert scores.max() < 1e-5


def test_memory_maps_are_searched_as_they_lie(tmp_path: object) -> None:
    path = f"{tmp_path}/vectors.npy"
    np.save(path, clustered(100))
    mapped = np.load(path, mmap_mode="r")
    _, rows = BruteForceSearcher([mapped], "l2").search(np.array(mapped[5:6]), 1, {})
    assert rows.tolist() == [[5]]
    assert mapped.shape[1] == D
