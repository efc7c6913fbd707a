from __future__ import annotations

import numpy as np
import pytest

from lookalike.index import brute_force
from lookalike.index.brute_force import BruteForceSearcher
from tests.index.galleries import D, clustered


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


@pytest.mark.parametrize(("metric", "worst"), [("l2", brute_force.WORST), ("ip", -brute_force.WORST)])
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
