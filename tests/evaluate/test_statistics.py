"""Intervals, paired comparison, correction for many comparisons and halves."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.evaluate.statistics import (
    bootstrap_interval,
    bootstrap_intervals,
    holm,
    paired_difference,
    split_halves,
)

NAN = np.nan


def clustered_values(rng: np.random.Generator, sources: int, per_source: int) -> np.ndarray:
    """Hits of queries whose sources differ in how hard they are; the expected mean is one half."""
    chance = np.repeat(rng.beta(0.5, 0.5, sources), per_source)
    return (rng.random(sources * per_source) < chance).astype(np.float64)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    sources = [f"image {number}" for number in np.repeat(np.arange(60), 7)]
    simulated = np.stack([clustered_values(rng, 60, 7) for _ in range(600)], axis=1)
    low, high = bootstrap_interval(simulated, sources, resamples=400, confidence=0.9)
    covered = ((low <= 0.5) & (high >= 0.5)).mean()
    assert 0.86 <= covered <= 0.93
    queries = [str(number) for number in range(60 * 7)]
    low, high = bootstrap_interval(simulated, queries, resamples=400, confidence=0.9)
    assert ((low <= 0.5) & (high >= 0.5)).mean() < 0.75, "copies of one image are not independent"


def test_the_interval_is_that_of_a_ratio():
    """Sources of 1 value of 1 and 3 values of 0: a resampled mean is 0, 1/4, 1/4 or 1, equally often."""
    values = np.array([1.0, 0.0, 0.0, 0.0])
    low, high = bootstrap_interval(values, ["a", "b", "b", "b"], resamples=4000, confidence=0.4)
    assert (low, high) == (0.25, 0.25)
    low, high = bootstrap_interval(values, ["a", "b", "b", "b"], resamples=4000, confidence=0.95)
    assert (low, high) == (0.0, 1.0)


def test_values_that_do_not_count():
    values = np.array([[0.25, NAN, 1.0], [0.25, 0.5, NAN], [0.25, 0.5, NAN], [0.25, NAN, NAN]])
    interval = bootstrap_interval(values, ["a", "a", "b", "c"], resamples=50)
    np.testing.assert_equal(interval, [[0.25, 0.5, NAN], [0.25, 0.5, NAN]])
    assert np.isnan(bootstrap_interval(values[:, 0], ["same"] * 4)).all()


def test_the_seed_decides_and_order_of_columns_does_not():
    values = np.random.default_rng(1).random((30, 3))
    sources = [str(number % 11) for number in range(30)]
    one = bootstrap_interval(values, sources, seed=5)
    np.testing.assert_allclose(bootstrap_interval(values[:, ::-1], sources, seed=5)[:, ::-1], one)
    np.testing.assert_allclose(bootstrap_interval(values[:, 1], sources, seed=5), one[:, 1])
    assert (bootstrap_interval(values, sources, seed=6) != one).any()


def test_a_difference_on_every_query_is_sure():
    rng = np.random.default_rng(2)
    b = rng.random(80)
    a = b + 0.1 + rng.normal(0, 0.01, 80)
    difference = paired_difference(a, b, [str(number) for number in range(80)])
    assert difference.mean == pytest.approx(0.1, abs=0.005)
    assert 0.09 < difference.low < difference.mean < difference.high < 0.11
    assert difference.p_value == pytest.approx(1 / 1001)
    turned = paired_difference(b, a, [str(number) for number in range(80)])
    assert (turned.mean, turned.p_value) == (pytest.approx(-difference.mean), difference.p_value)


def test_the_p_value_by_hand():
    """Three sources with differences 1, 1, 1: of 8 sign patterns 2 are as extreme, so p is 1/4."""
    difference = paired_difference(np.ones(3), np.zeros(3), ["a", "b", "c"], resamples=20_000)
    assert difference.p_value == pytest.approx(0.25, abs=0.015)
    same_source = paired_difference(np.ones(3), np.zeros(3), ["a", "a", "a"], resamples=200)
    assert same_source.p_value == 1.0


def test_no_difference_is_rarely_called_one():
    rng = np.random.default_rng(3)
    sources = [str(number) for number in np.repeat(np.arange(30), 3)]
    p_values = [
        paired_difference(
            clustered_values(rng, 30, 3), clustered_values(rng, 30, 3), sources, resamples=200
        ).p_value
        for _ in range(300)
    ]
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.09


def test_only_queries_that_count_for_both_are_compared():
    a, b = np.array([1.0, NAN, 0.5, 0.0]), np.array([0.0, 0.0, NAN, 0.0])
    difference = paired_difference(a, b, ["a", "b", "c", "d"])
    assert (difference.mean, difference.queries) == (0.5, 2)
    with pytest.raises(ValueError, match="no query counts in both"):
        paired_difference(a[1:3], b[1:3], ["b", "c"])


def test_equal_runs():
    values = np.array([0.2, 0.4, 0.9])
    difference = paired_difference(values, values, ["a", "b", "c"])
    assert (difference.mean, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1.0, 1.0])
    assert holm([]).tolist() == []


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1), st.integers(0, 5))
def test_halves_keep_sources_whole(sources, seed):
    first, second = split_halves(sources, seed)
    assert (first != second).all()
    halves = [
        {source for source, here in zip(sources, half, strict=True) if here} for half in (first, second)
    ]
    assert not halves[0] & halves[1]
    assert 0 <= len(halves[0]) - len(halves[1]) <= 1
    turned, _ = split_halves(sources[::-1], seed)
    assert (turned[::-1] == first).all()


def test_seeds_split_differently():
    sources = [str(number) for number in range(20)]
    assert (split_halves(sources, 0)[0] != split_halves(sources, 1)[0]).any()


def test_memory_grows_with_the_sources_not_with_the_length_of_their_names():
    """100,000 paths of 300 letters as one array of texts would take 120 MB, and sorting it as much again."""
    n = 100_000
    sources = [f"{row:0300}" for row in range(n)]
    values = [np.arange(n) % period / period for period in (2.0, 3.0, 4.0)]
    tracemalloc.start()
    try:
        ends = bootstrap_intervals(values, sources, resamples=40)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6
    assert (ends[0] < [value.mean() for value in values]).all()
    assert (ends[1] > [value.mean() for value in values]).all()
