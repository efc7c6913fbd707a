"""Made-up vectors: the same however they are asked for, shaped as their settings say, named as such."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lookalike.config.composing import compose
from lookalike.config.faults import known_dim
from lookalike.config.planning import find_faults, plan
from lookalike.datasets import count_rows, open_dataset
from lookalike.datasets.sets import Rows, VectorSet
from lookalike.datasets.synthetic import BLOCK_ROWS
from lookalike.machine.environment import threads
from lookalike.run import run
from lookalike.runs.record import Record
from lookalike.runs.session import Session
from lookalike.schemas import HeldOutQueries, InGalleryQueries, SyntheticDataset
from tests.pipeline.conftest import small_experiment

SMALL = SyntheticDataset(n=700, dim=24, clusters=9)


def opened(config: SyntheticDataset) -> VectorSet:
    vectors = open_dataset(config)
    assert isinstance(vectors, VectorSet)
    return vectors


def rows_of(config: SyntheticDataset) -> Rows:
    return opened(config).arrays[0]


def whole(config: SyntheticDataset) -> np.ndarray:
    return rows_of(config)[:]


def test_a_row_is_the_same_whatever_is_asked_for_beside_it() -> None:
    rows, expected = rows_of(SMALL), whole(SMALL)
    assert expected.shape == rows.shape == (len(rows), 24) == (700, 24)
    assert expected.dtype == rows.dtype == np.float32
    for size in (1, 50, BLOCK_ROWS, BLOCK_ROWS + 1, 699):
        parts = [rows[start : start + size] for start in range(0, 700, size)]
        np.testing.assert_array_equal(np.concatenate(parts), expected)
    scattered = np.array([699, 0, 300, 300, 5, 128, 127])
    np.testing.assert_array_equal(rows_of(SMALL)[scattered], expected[scattered])
    assert rows[np.empty(0, np.int64)].shape == (0, 24)


def test_threads_change_nothing() -> None:
    with threads(1):
        alone = whole(SMALL)
    with threads(2):
        np.testing.assert_array_equal(whole(SMALL), alone)


def test_a_larger_set_contains_every_smaller_one() -> None:
    np.testing.assert_array_equal(whole(replace(SMALL, n=701))[:10], whole(replace(SMALL, n=10)))
    larger, smaller = opened(replace(SMALL, n=701)), opened(replace(SMALL, n=10))
    assert list(larger.fingerprints)[:10] == list(smaller.fingerprints)
    assert list(larger.ids)[:10] == list(smaller.ids)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"dim": 25}, {"clusters": 8}, {"spread": 0.5}, {"exponent": 2.0}], ids=str
)
def test_other_settings_make_other_vectors_of_other_fingerprints(change: dict[str, float]) -> None:
    other = replace(SMALL, **change)
    assert not np.allclose(whole(other)[:, :24], whole(SMALL))
    assert set(opened(other).fingerprints).isdisjoint(opened(SMALL).fingerprints)


def test_lengths_are_one() -> None:
    np.testing.assert_allclose(np.linalg.norm(whole(SMALL), axis=1), 1, atol=1e-6)


def test_without_spread_only_the_centres_are_left() -> None:
    distinct = np.unique(whole(replace(SMALL, spread=0.0)).round(5), axis=0)
    assert len(distinct) == 9


def test_the_spread_is_what_keeps_a_cluster_apart() -> None:
    """Two of a cluster have the cosine 1 / (1 + spread²), where directions are many and alike."""
    means = []
    for spread in (0.5, 2.0):
        vectors = whole(replace(SMALL, n=4000, dim=256, clusters=1, spread=spread, exponent=0.0))
        cosines = vectors @ vectors.T
        means.append(cosines[np.triu_indices(4000, 1)].mean())
        assert means[-1] == pytest.approx(1 / (1 + spread**2), rel=0.2)
    assert means[0] > means[1]


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_the_spectrum_falls_by_the_power_law(exponent: float) -> None:
    config = SyntheticDataset(n=20_000, dim=16, clusters=20_000, exponent=exponent)
    spectrum = np.linalg.eigvalsh(np.cov(whole(config).T.astype(np.float64)))[::-1]
    order = np.arange(1, 17)
    slope = np.polyfit(np.log(order[1:]), np.log(spectrum[1:]), 1)[0]
    # scaling to unit length shortens what the first components lengthen: the slope is a little flatter
    assert slope == pytest.approx(-exponent, abs=0.15 + 0.2 * exponent)


def test_no_axis_is_special() -> None:
    """A product quantiser cuts vectors along their axes: no cut may hold all the variance."""
    variances = whole(SyntheticDataset(n=5000, dim=64, exponent=1.5)).var(axis=0)
    assert variances.max() < 10 * np.median(variances)


def test_ten_million_cost_nothing_until_they_are_read() -> None:
    vectors = opened(SyntheticDataset(n=10_000_000, dim=32))
    last = vectors.take(range(9_999_990, 10_000_000))
    assert list(last.ids)[-1] == "9999999"
    [(_, block)] = list(last.blocks(100))
    np.testing.assert_array_equal(block, vectors.arrays[0][9_999_990:])


def test_a_limit_is_a_nested_sample() -> None:
    few, more = opened(replace(SMALL, limit=20)), opened(replace(SMALL, limit=50))
    assert len(few) == 20
    assert set(few.ids) < set(more.ids)
    [(_, block)] = few.blocks(100)
    np.testing.assert_array_equal(block, whole(SMALL)[[int(id_) for id_ in few.ids]])


def perform(
    root: Path, name: str, config: SyntheticDataset, queries: HeldOutQueries | InGalleryQueries
) -> Record:
    experiment = small_experiment(root, root, dataset=config, queries=queries)
    return run(plan(experiment), root / name, Session(experiment))


@pytest.mark.parametrize("queries", [HeldOutQueries(n=20), InGalleryQueries(n=20)], ids=lambda q: q.name)
def test_a_run_says_that_its_vectors_are_made_up(
    tmp_path: Path, queries: HeldOutQueries | InGalleryQueries
) -> None:
    record = perform(tmp_path, "run", SMALL, queries)
    assert record.data["dataset"] == "synthetic"
    assert record.model["name"] == "synthetic vectors"
    assert record.name == "synthetic vectors ivf_flat"
    assert record.data["gallery_size"] == (680 if isinstance(queries, HeldOutQueries) else 700)
    assert 0 < record.points[0].metrics["knn_recall_at_10"] <= 1


def test_shards_change_nothing_that_is_found(tmp_path: Path) -> None:
    one = perform(tmp_path, "one", SMALL, HeldOutQueries(n=20))
    many = perform(tmp_path, "many", replace(SMALL, shard_size=99), HeldOutQueries(n=20))
    assert len(next(stage for stage in many.stages if stage["stage"] == "embeddings")["keys"]) == 7
    found = [
        np.load(tmp_path / name / record.points[0].neighbours)
        for name, record in (("one", one), ("many", many))
    ]
    np.testing.assert_array_equal(found[0]["rows"], found[1]["rows"])
    assert one.points[0].trial_key == many.points[0].trial_key


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("dataset.n=0", "dataset.n must be a positive integer, not 0"),
        ("dataset.n=50 search.k=100", "search.k=100 exceeds the gallery's 38 images"),
        ("dataset.dim=0", "dataset.dim must be a positive integer, not 0"),
        ("dataset.clusters=0", "dataset.clusters must be a positive integer, not 0"),
        ("dataset.spread=-1", "dataset.spread must be a number of 0 or more, not -1.0"),
        ("dataset.exponent=-0.5", "dataset.exponent must be a number of 0 or more, not -0.5"),
        ("dataset.seed=-1", "dataset.seed must be an integer of 0 or more, not -1"),
        ("queries=copies", "queries=copies needs images, and dataset=synthetic has vectors only"),
        ("queries=labels", "which made-up vectors do not have; choose held_out or in_gallery"),
        ("index=ivf_pq", "index.pq_m="),
    ],
)
def test_faults_are_found_before_any_work(override: str, fault: str) -> None:
    faults = find_faults(
        compose(["dataset=synthetic", "dataset.dim=50", "queries=held_out", *override.split()])
    )
    assert any(fault in said for said in faults), faults


def test_size_and_dimensions_are_known_without_making_any() -> None:
    experiment = compose(["dataset=synthetic", "dataset.n=1234", "dataset.dim=99", "queries=held_out"])
    assert (count_rows(experiment.dataset), known_dim(experiment)) == (1234, 99)
    assert find_faults(experiment) == []
