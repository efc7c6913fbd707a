"""Paired comparison, correction for many comparisons and halves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.evaluate.statistics import (
    bootstrap_interval,
    holm,
    paired_difference,
    split_sources,
)

NAN = np.nan


def clustered_values(rng: np.random.Generator, sources: int, per_source: int) -> np.ndarray:
    """Hits of queries whose sources differ in how hard they are; the expected mean is one half."""
    chance = np.repeat(rng.beta(0.5, 0.5, sources), per_source)
    return (rng.random(sources * per_source) < chance).astype(np.float64)


def test_a_difference_on_every_query_is_sure():
    rng = np.random.default_rng(2)
    b = rng.random(80)
    a = b + 0.1 + rng.normal(0, 0.01, 80)
    difference = paired_difference(a, b, [str(number) for number in range(80)])
    assert difference.mean == pytest.approx(0.1, abs=0.005)
    assert 0.05 < difference.low < difference.mean < difference.high < 0.15
    assert difference.p_value == pytest.approx(1 / 1001)
    turned = paired_difference(b, a, [str(number) for number in range(80)])
    assert (turned.mean, turned.p_value) == (pytest.approx(-difference.mean), difference.p_value)


def test_the_p_value_by_hand():
    """Three sources with differences 1, 1, 1: of 8 sign patterns 2 are as extreme, so p is 1/4."""
    difference = paired_difference(np.ones(3), np.zeros(3), ["a", "b", "c"], permutations=20_000)
    assert difference.p_value == pytest.approx(0.25, abs=0.015)
    same_source = paired_difference(np.ones(3), np.zeros(3), ["a", "a", "a"], permutations=200)
    assert same_source.p_value == 1.0


def test_no_difference_is_rarely_called_one():
    rng = np.random.default_rng(3)
    sources = [str(number) for number in np.repeat(np.arange(30), 3)]
    p_values = [
        paired_difference(
            clustered_values(rng, 30, 3), clustered_values(rng, 30, 3), sources, permutations=200
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
    assert (difference.mean, difference.p_value) == (0, 1)
    assert difference.high == -difference.low == pytest.approx(1 - 0.025 ** (1 / 3), abs=0.01)


def test_a_difference_that_was_not_seen_is_bounded():
    """None of 1,000 queries differs: by more than .004 of them they would hardly not have been seen."""
    values = np.ones(1000)
    difference = paired_difference(values, values, [str(number) for number in range(1000)])
    assert difference.high == -difference.low == pytest.approx(0.0037, abs=0.0002)


@pytest.mark.parametrize("worse", [5, 6, 7])
def test_interval_and_p_value_agree(worse):
    """Queries that one loses and the other never: six of a thousand are the first to be told from chance."""
    a, b = np.ones(1000), np.ones(1000)
    b[:worse] = 0
    sources = [str(number) for number in range(1000)]
    difference = paired_difference(a, b, sources, permutations=4000)
    assert (difference.low > 0) == (worse >= 6) == (difference.p_value < 0.05)


@pytest.mark.parametrize(("better", "worse"), [(0.0, 0.002), (0.1, 0.02)])
def test_the_interval_of_a_difference_holds(better, worse):
    rng, held = np.random.default_rng(4), 0
    sources = [str(number) for number in range(300)]
    for _ in range(200):
        chance = rng.random(300)
        a, b = (chance >= worse).astype(float), (chance <= 1 - better).astype(float)
        difference = paired_difference(a, b, sources, permutations=1)
        held += difference.low <= better - worse <= difference.high
    assert held / 200 >= 0.93


def test_the_bootstrap_is_of_a_ratio():
    """Sources of 1 value of 8 and 3 values of 0: a resampled mean is 0, 2, 2 or 8, equally often."""
    values, sources = np.array([8.0, 0.0, 0.0, 0.0, NAN]), ["a", "b", "b", "b", "c"]
    assert bootstrap_interval(values, sources, resamples=4000, confidence=0.4) == (2, 2)
    assert bootstrap_interval(values, sources, resamples=4000, confidence=0.95) == (0, 8)
    assert np.isnan(bootstrap_interval(values, ["a", "a", "a", "a", "b"])).all()


def test_the_bootstrap_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    sources = np.repeat(np.arange(60), 7).tolist()
    held = 0
    for _ in range(300):
        low, high = bootstrap_interval(
            np.repeat(rng.normal(0, 1, 60), 7) + rng.normal(0, 1, 420), sources, resamples=400, confidence=0.9
        )
        held += low <= 0 <= high
    assert 0.85 <= held / 300 <= 0.94


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1.0, 1.0])
    assert holm([]).tolist() == []


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1), st.integers(0, 5))
def test_halves_keep_sources_whole(sources, seed):
    first, second = split_sources(sources, seed=seed)
    assert (first != second).all()
    halves = [
        {source for source, here in zip(sources, half, strict=True) if here} for half in (first, second)
    ]
    assert not halves[0] & halves[1]
    assert 0 <= len(halves[0]) - len(halves[1]) <= 1
    turned, _ = split_sources(sources[::-1], seed=seed)
    assert (turned[::-1] == first).all()


def test_seeds_split_differently():
    sources = [str(number) for number in range(20)]
    assert (split_sources(sources, seed=0)[0] != split_sources(sources, seed=1)[0]).any()


@pytest.mark.parametrize(("total", "first"), [(1, 1), (2, 1), (3, 2), (4, 3), (100, 75)])
def test_a_part_that_is_larger_leaves_some_for_the_other(total, first):
    sources = [str(query // 2) for query in range(2 * total)]
    parts = split_sources(sources, 0.75)
    assert [part.sum() for part in parts] == [2 * first, 2 * (total - first)]
