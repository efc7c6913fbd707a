"""Intervals of latency percentiles: queries and turns as clusters."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.evaluate.timing.drift import drift
from lookalike.evaluate.timing.intervals import percentile_intervals

RNG = np.random.default_rng(0)
QUERY = np.arange(1000)
TURN = QUERY * 9 // 1000


def test_independent_calls_are_read_off_the_binomial() -> None:
    """Calls 1, 2 … 1,000, each of its own query: the ranks of Wilson's interval, corrected, of 1,000."""
    seconds = RNG.permutation(QUERY) + 1.0
    found = percentile_intervals(seconds, QUERY, np.zeros(1000, np.int16))
    # by hand from Newcombe's (1998) formulas, z = 1.96: p50 .4686 .5314; p95 .9342 .9623; p99 .9811 .9949
    assert found[50] == pytest.approx((469, 532), abs=1)
    assert found[95] == pytest.approx((935, 963), abs=1)
    assert found[99] == pytest.approx((982, 995), abs=1)


def test_calls_of_one_query_are_not_independent() -> None:
    """Queries asked nine times each say what they say asked once."""
    once = RNG.lognormal(0, 0.5, 200)
    query, turn = np.tile(np.arange(200), 9), np.repeat(np.arange(9), 200)
    again = percentile_intervals(once[query], query, turn)
    single = percentile_intervals(once, np.arange(200), np.zeros(200, np.int16))
    assert set(again) == set(single) == {50, 95}
    for percentile, (low, high) in single.items():
        assert again[percentile] == pytest.approx((low, high), rel=0.1)
    independent = percentile_intervals(once[query], np.arange(1800), np.zeros(1800, np.int16))
    assert again[50][1] - again[50][0] > 2 * (independent[50][1] - independent[50][0])


def test_turns_that_differ_widen_the_interval() -> None:
    noise = np.exp(RNG.normal(0, 0.005, 1000))
    levels = np.exp(0.02 * np.array([1, -1, 0.5, -0.5, 0, 1, -1, 0.3, -0.3]))
    even, uneven = (
        percentile_intervals(noise, QUERY, TURN),
        percentile_intervals(noise * levels[TURN], QUERY, TURN),
    )
    assert even[50][1] - even[50][0] < 0.002
    assert uneven[50][0] < 0.99
    assert uneven[50][1] > 1.01


@pytest.mark.parametrize(
    ("calls", "queries", "known"),
    [(1000, 1000, {50, 95, 99}), (1000, 999, {50, 95}), (1000, 199, {50}), (150, 150, {50}), (19, 19, set())],
)
def test_no_interval_without_queries_beyond_the_percentile(calls: int, queries: int, known: set[int]) -> None:
    query = np.arange(calls) % queries
    found = percentile_intervals(RNG.lognormal(size=calls), query, np.arange(calls) * 9 // calls)
    assert set(found) == known
    assert all(low <= high for low, high in found.values())


def test_drift_by_hand() -> None:
    slower = np.where((TURN >= 3) & (TURN < 6), 1.5, 1.0)
    assert drift(slower, TURN) == pytest.approx(0.5)
    assert drift(1 / slower, TURN) == pytest.approx(0.5)  # the others are the slower ones
    assert drift(np.ones(1000), TURN) == 0
    assert drift(slower, np.zeros(1000, np.int16)) is None


def test_different_queries_are_no_drift() -> None:
    assert drift(RNG.lognormal(0, 1, 1000), TURN) == 0
