"""Intervals of means: exact ones for zeros and ones, and how often they hold the truth."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.stats import beta

from lookalike.evaluate.intervals import mean_interval, mean_intervals

NAN = np.nan


def hits(n: int, missed: int) -> np.ndarray:
    return np.repeat([0.0, 1.0], [missed, n - missed])


def clustered(rng: np.random.Generator, sources: int, each: int, p: float, alike: float, trials: int):
    """Hits, a row a trial: sources of ``each`` queries, correlated by ``alike``."""
    chance = np.full((trials, sources), p)
    if alike == 1:
        chance = (rng.random((trials, sources)) < p).astype(float)
    elif alike > 0:
        concentration = (1 - alike) / alike
        chance = rng.beta(p * concentration, (1 - p) * concentration, (trials, sources))
    drawn = rng.random((trials, sources * each)) < np.repeat(chance, each, axis=1)
    return drawn.astype(np.float64), np.repeat(np.arange(sources), each)


def coverage(values: np.ndarray, sources: np.ndarray, truth: float) -> float:
    low, high = mean_intervals(list(values), sources)
    return float(((low <= truth) & (truth <= high)).mean())


@pytest.mark.parametrize("n", [5, 50, 200, 1000, 10_000])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_of_zeros_and_ones_it_is_clopper_and_pearsons(n, confidence):
    """The distance of each end from the exact one, as a share of its distance from the bounds."""
    tail = (1 - confidence) / 2
    for missed in {0, 1, 2, 5, n // 2, n - 1, n}:
        low, high = mean_interval(hits(n, missed), np.arange(n), confidence=confidence)
        exact_low = beta.ppf(tail, n - missed, missed + 1) if missed < n else 0.0
        exact_high = beta.ppf(1 - tail, n - missed + 1, missed) if missed else 1.0
        assert 1 - low == pytest.approx(1 - exact_low, rel=0.01)
        assert high == pytest.approx(exact_high, rel=0.01)


def test_of_shares_it_is_gaffkes():
    """Against Gaffke's own definition: 200,000 draws of spacings of uniform variables as weights."""
    values = np.array([0.0, 0.3, 0.9, 0.9, 1.0, 1.0, 1.0, 1.0])
    weights = np.random.default_rng(0).dirichlet(np.ones(len(values) + 1), 200_000)
    low = np.quantile(weights @ np.append(values, 0), 0.025)
    high = np.quantile(weights @ np.append(values, 1), 0.975)
    assert mean_interval(values, np.arange(8)) == pytest.approx((low, high), abs=0.003)


@pytest.mark.parametrize(("n", "p"), [(100, 0.99), (50, 0.9), (1000, 0.999), (5000, 0.9999)])
def test_it_holds_near_one(n, p):
    """The bootstrap's held .63 of the time at the first of these."""
    values = (np.random.default_rng(1).random((1000, n)) < p).astype(np.float64)
    assert coverage(values, np.arange(n), p) >= 0.93


@pytest.mark.parametrize("alike", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize(("sources", "p"), [(10, 0.9), (20, 0.99), (200, 0.995)])
def test_it_holds_where_queries_of_a_source_are_alike(sources, p, alike):
    values, names = clustered(np.random.default_rng(2), sources, 7, p, alike, 500)
    assert coverage(values, names, p) >= 0.93


@pytest.mark.parametrize("share", [0.5, 0.95, 0.999])
def test_it_holds_for_shares_that_are_mostly_one(share):
    """Half of what is lost is lost by queries that find nothing, half by single neighbours."""
    rng, n = np.random.default_rng(3), 200
    whole = rng.random((500, n)) < (1 - share) / 2
    single = rng.binomial(10, share / ((1 + share) / 2), (500, n)) / 10
    assert coverage(np.where(whole, 0, single), np.arange(n), share) >= 0.93


def test_copies_of_one_image_are_not_independent():
    values, names = clustered(np.random.default_rng(4), 60, 7, 0.5, 0.6, 400)
    assert coverage(values, names, 0.5) >= 0.93
    assert coverage(values, np.arange(420), 0.5) < 0.75


def test_copies_that_are_the_same_count_once_and_independent_ones_each():
    of_sources = np.array([1.0] * 37 + [0.0] * 3)
    np.testing.assert_allclose(
        mean_interval(np.repeat(of_sources, 5), np.repeat(np.arange(40), 5)),
        mean_interval(of_sources, np.arange(40)),
    )
    values, names = clustered(np.random.default_rng(5), 500, 2, 0.7, 0.0, 40)
    apart, together = (mean_intervals(list(values), by) for by in (np.arange(1000), names))
    assert np.median(np.diff(together, axis=0) / np.diff(apart, axis=0)) < 1.03


def test_nothing_missed_is_a_lower_bound_for_as_many_as_there_are_sources():
    low, high = mean_interval(np.ones(140), np.repeat(np.arange(20), 7))
    assert high == 1
    assert low == pytest.approx(0.025 ** (1 / 20), abs=0.001)
    low, high = mean_interval(np.zeros(140), np.arange(140))
    assert (low, high) == (0, pytest.approx(1 - 0.025 ** (1 / 140), abs=0.001))


def test_values_that_do_not_count():
    values = np.array([0.25, 0.5, 0.75, NAN, NAN])
    low, high = mean_intervals([values, values[::-1]], ["a", "b", "c", "a", "d"])
    counted = mean_interval(values[:3], ["a", "b", "c"])
    assert (low[0], high[0]) == counted
    assert np.isnan(mean_interval(np.array([0.1, 0.2, NAN]), ["a", "a", "b"])).all()
    assert np.isnan(mean_interval(np.array([NAN, NAN]), ["a", "b"])).all()
    assert mean_intervals([], ["a", "b"]).shape == (2, 0)


def test_neither_order_nor_names_nor_other_columns_matter():
    rng = np.random.default_rng(6)
    columns = [rng.random(60), rng.binomial(10, 0.95, 60) / 10, (rng.random(60) < 0.9).astype(float)]
    sources = np.arange(60) % 11
    ends = mean_intervals(columns, sources)
    order = rng.permutation(60)
    np.testing.assert_allclose(mean_intervals([c[order] for c in columns], sources[order]), ends)
    np.testing.assert_allclose(mean_intervals(columns, [f"image {s}" for s in sources.tolist()]), ends)
    for column, values in enumerate(columns):
        np.testing.assert_allclose(mean_interval(values, sources), ends[:, column], rtol=1e-6)
        mirrored = mean_interval(1 - values, sources)
        np.testing.assert_allclose(mirrored, 1 - ends[::-1, column], rtol=1e-6)


def test_other_bounds():
    values, sources = np.random.default_rng(7).random(50), np.arange(50)
    ends = mean_intervals([2 * values - 1], sources, lowest=-1, highest=1)
    np.testing.assert_allclose(ends, 2 * mean_intervals([values], sources) - 1)
    with pytest.raises(ValueError, match="column 1 is not between 0 and 1"):
        mean_intervals([values, values * 2], sources)
    assert np.isfinite(mean_interval(np.array([1 + 1e-15, 1.0, 0.5]), ["a", "b", "c"])).all()


def test_sources_of_unequal_numbers_of_queries():
    """One source has half of the queries: where it may fail whole, few queries say little."""
    sizes = np.array([100, *[1] * 100])
    sources = np.repeat(np.arange(101), sizes)
    low, _ = mean_interval(np.ones(200), sources)
    assert low == pytest.approx(0.025 ** (1 / (200**2 / (sizes**2).sum())), abs=0.02)


def test_memory_grows_with_the_sources_not_with_the_length_of_their_names():
    """100,000 paths of 300 letters as one array of texts would take 120 MB, and sorting it as much again."""
    n = 100_000
    sources = [f"{row:0300}" for row in range(n)]
    values = [np.arange(n) % period / period for period in (2.0, 3.0, 4.0)]
    tracemalloc.start()
    try:
        ends = mean_intervals(values, sources)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6
    assert (ends[0] < [value.mean() for value in values]).all()
    assert (ends[1] > [value.mean() for value in values]).all()
