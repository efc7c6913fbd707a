"""Difficulty against what is known: dimensions, definitions computed bare, shifted and unshifted queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lookalike.embed.embeddings import Embeddings
from lookalike.evaluate.difficulty import (
    NEIGHBOURS,
    RANK,
    Difficulty,
    by_quarter,
    intrinsic_dimension,
    query_difficulty,
    ratio_of_medians,
    relative_contrast,
)
from lookalike.evaluate.exact import exact_neighbours, nearest_vectors
from lookalike.store.store import Store


def ball(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Points spread evenly in the unit ball."""
    directions = rng.normal(size=(n, dim))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions * rng.random((n, 1)) ** (1 / dim)


def difficulty_of(
    gallery: np.ndarray, queries: np.ndarray, root: Path, metric: str = "l2", depth: int = 60
) -> Difficulty:
    vectors, asked = Embeddings.from_array(gallery, key="g"), Embeddings.from_array(queries, key="q")
    store = Store(root / f"store {metric} {depth}")
    exact, _ = exact_neighbours(vectors, asked, metric, depth, store)
    return query_difficulty(vectors, asked, exact, metric, store)


@pytest.mark.parametrize("dim", [2, 8, 24])
@pytest.mark.parametrize("neighbours", [20, 100])
def test_the_intrinsic_dimension_of_an_even_ball_is_its_dimension(dim: int, neighbours: int) -> None:
    """At the centre distances have the law r^dim exactly, so that the estimate has no bias at all."""
    rng = np.random.default_rng(dim)
    distances = np.sort(np.linalg.norm(ball(rng, 400 * 1_000, dim), axis=1).reshape(400, 1_000), axis=1)
    estimates = intrinsic_dimension(distances[:, :neighbours])
    assert estimates.mean() == pytest.approx(dim, abs=4 * estimates.std() / np.sqrt(400))
    assert estimates.std() == pytest.approx(dim / np.sqrt(neighbours - 3), rel=0.2), "Levina & Bickel, §3"


def test_the_intrinsic_dimension_by_hand_whatever_order_and_what_is_left_out() -> None:
    radii = np.arange(1.0, 13)
    expected = (12 - 2) / sum(np.log(12 / r) for r in radii)
    shuffled = np.random.default_rng(0).permutation(np.concatenate([radii, [0, 0, np.inf, np.nan]]))
    same = np.full(16, 3.0)
    too_few = np.concatenate([np.arange(1.0, 10), np.full(7, np.nan)])
    assert intrinsic_dimension(np.stack([shuffled, same, too_few])) == pytest.approx(
        [expected, np.nan, np.nan], nan_ok=True
    )
    assert intrinsic_dimension(7 * radii[None]) == pytest.approx([expected]), "whatever the unit"


def test_a_plane_in_many_dimensions_has_two() -> None:
    rng = np.random.default_rng(1)
    plane = (rng.random((8_000, 2)) @ rng.normal(size=(2, 64))).astype(np.float32)
    found = nearest_vectors(Embeddings.from_array(plane), plane[:200], "l2", 51)
    lid = intrinsic_dimension(np.sqrt(found.scores[:, 1:]))
    assert np.median(lid) == pytest.approx(2, abs=0.15)


def test_contrast_and_distance_are_what_brute_force_gives(tmp_path: Path) -> None:
    """A gallery of 300 is its own sample: every mean is over all of it."""
    rng = np.random.default_rng(2)
    gallery = rng.normal(size=(300, 12)).astype(np.float32)
    queries = np.concatenate([rng.normal(size=(6, 12)).astype(np.float32), gallery[[7]]])
    gallery[8:10] = gallery[7]  # so that the last query has three equals
    gallery[20] = queries[0] + 0.05  # and the first one that is nearly equal
    found = difficulty_of(gallery, queries, tmp_path)
    all_distances = np.linalg.norm(gallery[None].astype(np.float64) - queries[:, None], axis=2)
    for query, distances in enumerate(all_distances):
        others = np.sort(distances[distances > 0])
        assert found.distances[query] == pytest.approx(others[RANK - 1], rel=1e-5)
        assert found.relative_contrast[query] == pytest.approx(others.mean() / others[RANK - 1], rel=1e-5)
        last = np.sort(distances)[59]
        assert found.lid[query] == pytest.approx(
            (np.sum(others <= last) - 2) / np.log(last / others[others <= last]).sum(), rel=1e-4
        )
    assert found.equal.tolist() == [0] * 6 + [3]
    nearest = [distances[distances > 0].min() for distances in all_distances]
    lengths = np.linalg.norm(queries, axis=1)
    assert found.near.tolist() == (nearest <= np.sqrt(0.02) * lengths).tolist()
    between = np.linalg.norm(gallery[None].astype(np.float64) - gallery[:, None], axis=2)
    expected = [np.sort(row[row > 0])[RANK - 1] for row in between]
    assert found.gallery_distances == pytest.approx(expected, rel=1e-4)


def test_unit_vectors_have_the_same_difficulty_by_both_metrics(tmp_path: Path) -> None:
    vectors = np.random.default_rng(3).normal(size=(500, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    by_l2, by_ip = (difficulty_of(vectors[50:], vectors[:50], tmp_path, metric) for metric in ("l2", "ip"))
    for name in ("lid", "relative_contrast", "distances", "gallery_distances"):
        assert getattr(by_l2, name) == pytest.approx(getattr(by_ip, name), rel=1e-4)


def test_inner_products_of_vectors_of_different_lengths_are_no_distances(tmp_path: Path) -> None:
    vectors = np.random.default_rng(4).normal(size=(300, 16)).astype(np.float32)
    found = difficulty_of(vectors[50:], vectors[:50], tmp_path, "ip")
    assert not found.is_defined
    assert ratio_of_medians(found, [str(row) for row in range(50)]) is None
    assert by_quarter(found.lid, np.ones(50), [""] * 50, hardest="high") == []


@pytest.mark.parametrize("gallery_size", [1, 2, 12])
def test_a_gallery_of_a_few_vectors_says_what_it_can(tmp_path: Path, gallery_size: int) -> None:
    vectors = np.random.default_rng(5).normal(size=(gallery_size + 3, 4)).astype(np.float32)
    found = difficulty_of(vectors[3:], vectors[:3], tmp_path, depth=25)
    assert found.is_defined
    assert np.isfinite(found.lid).all() == (gallery_size >= 10)


def test_queries_of_the_gallery_are_as_near_as_the_gallery_and_others_are_not(tmp_path: Path) -> None:
    """Clusters of uneven density, each with near-duplicates; captions have a direction of their own."""
    rng = np.random.default_rng(6)
    centres = rng.normal(size=(30, 32))
    points = centres[rng.integers(0, 30, 4_200)] + rng.gamma(2, 0.2, (4_200, 1)) * rng.normal(
        size=(4_200, 32)
    )
    points[:800] = points[800:1_600] + 1e-3 * rng.normal(size=(800, 32))
    points = rng.permutation(points)
    captions = points[:200] + 2 * rng.normal(size=32)
    gallery, held_out, captions = (
        (each / np.linalg.norm(each, axis=1, keepdims=True)).astype(np.float32)
        for each in (points[200:], points[:200], captions)
    )
    sources = [str(row) for row in range(200)]
    middle, low, high = ratio_of_medians(difficulty_of(gallery, held_out, tmp_path / "a"), sources) or (
        0,
        0,
        0,
    )
    assert low < 1 < high
    assert middle == pytest.approx(1, abs=0.1)
    within = ratio_of_medians(difficulty_of(gallery, gallery[:200], tmp_path / "b"), sources) or (0, 0, 0)
    assert within[1] < 1 < within[2], "a query that is in the gallery is not its own neighbour"
    shifted = ratio_of_medians(difficulty_of(gallery, captions, tmp_path / "c"), sources) or (0, 0, 0)
    assert shifted[1] > 1.3


def test_copies_of_one_image_count_once(tmp_path: Path) -> None:
    vectors = np.random.default_rng(7).normal(size=(400, 8)).astype(np.float32)
    once = difficulty_of(vectors[20:], vectors[:20], tmp_path / "a")
    often = difficulty_of(vectors[20:], np.repeat(vectors[:20], [50] + [1] * 19, axis=0), tmp_path / "b")
    sources = [str(row) for row in range(20)]
    assert ratio_of_medians(often, ["0"] * 50 + sources[1:]) == ratio_of_medians(once, sources)


def test_what_was_measured_is_found_again(tmp_path: Path) -> None:
    vectors = np.random.default_rng(8).normal(size=(200, 8)).astype(np.float32)
    first, second = (difficulty_of(vectors[20:], vectors[:20], tmp_path) for _ in range(2))
    assert len(list((tmp_path / "store l2 60" / "artifacts" / "difficulty").iterdir())) == 1
    assert first.lid.tolist() == second.lid.tolist()
    assert first.neighbours == second.neighbours == min(60, NEIGHBOURS)


def test_quarters_go_from_easy_to_hard_and_hold_the_queries_that_count() -> None:
    quantity = np.arange(44.0)
    quantity[:4] = np.nan
    recall = np.linspace(1, 0, 44)
    sources = [str(row) for row in range(44)]
    high = by_quarter(quantity, recall, sources, hardest="high")
    assert [(part.low, part.high, part.queries) for part in high] == [
        (4, 13, 10),
        (14, 23, 10),
        (24, 33, 10),
        (34, 43, 10),
    ]
    assert [part.mean for part in high] == pytest.approx(
        [recall[first : first + 10].mean() for first in (4, 14, 24, 34)]
    )
    assert all(part.mean_low < part.mean < part.mean_high for part in high)
    low = by_quarter(quantity, recall, sources, hardest="low")
    assert [part.mean for part in low] == [part.mean for part in high[::-1]]
    assert by_quarter(quantity[:43], recall[:43], sources[:43], hardest="high") == []
    [bare, *_] = by_quarter(quantity, recall, sources, hardest="high", confidence=None)
    assert np.isnan([bare.mean_low, bare.mean_high]).all()


def test_contrast_needs_a_neighbour_at_a_distance() -> None:
    means, near = np.array([3.0, 3, np.nan, 3]), np.array([1.5, 0, 1, np.nan])
    assert relative_contrast(means, near) == pytest.approx([2, np.nan, np.nan, np.nan], nan_ok=True)
