"""Shares of queries and lower percentiles, by hand, and against numpy's definition of the same name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.evaluate.robustness import lower_percentile, robustness_metrics, share_at_least

NAN = np.nan


@pytest.mark.parametrize(
    ("values", "least", "expected"),
    [
        ([1, 0.9, 0.5, 0], 0.9, 0.5),
        ([1, 0.9, 0.5, 0], 0.91, 0.25),
        ([1, 0.9, 0.5, 0], 0, 1),
        ([0.9, NAN, NAN, 0.2], 0.5, 0.5),
        ([NAN, NAN], 0.5, None),
        ([], 0.5, None),
    ],
)
def test_share_of_queries_by_hand(values, least, expected):
    assert share_at_least(np.array(values, float), least) == expected


@pytest.mark.parametrize("k", [10, 30, 100, 1000])
def test_a_share_that_is_reached_exactly_counts_whatever_the_rounding(k):
    """9 of 10, 27 of 30, 90 of 100 neighbours are a recall of at least .9."""
    for least in (0.5, 0.8, 0.9):
        assert share_at_least(np.array([round(least * k) / k]), least) == 1


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        (range(100), 1, 0),
        (range(100), 5, 4),
        (range(101), 1, 1),
        (range(200), 1, 1),
        ([0.2] * 5 + [1.0] * 95, 5, 0.2),
        ([0.2] * 4 + [1.0] * 96, 5, 1.0),
        (range(99), 1, None),
        (range(19), 5, None),
        (range(20), 5, 0),
        ([NAN] * 100 + [0.5] * 19, 5, None),
    ],
)
def test_lower_percentile_by_hand(values, percent, expected):
    shuffled = np.random.default_rng(0).permutation(np.array(list(values), float))
    assert lower_percentile(shuffled, percent) == expected


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=100, max_size=300), st.sampled_from([1, 5]))
def test_all_but_so_many_queries_reach_the_percentile(values, percent):
    array = np.array(values)
    found = lower_percentile(array, percent)
    assert found == np.percentile(array, percent, method="inverted_cdf")
    assert (array >= found).mean() >= 1 - percent / 100
    assert (array > found).mean() < 1 - percent / 100, "no higher value would do"


def test_the_same_mean_may_be_even_or_not():
    even, uneven = np.full(200, 0.95), np.array([1.0] * 190 + [0.0] * 10)
    assert even.mean() == pytest.approx(uneven.mean())
    of_even = robustness_metrics({"knn_recall": {100: even}}, 100)
    of_uneven = robustness_metrics({"knn_recall": {100: uneven}}, 100)
    assert of_even["knn_recall_at_100_share_0.9"] == 1
    assert of_uneven == {
        "knn_recall_at_100_share_0.5": 0.95,
        "knn_recall_at_100_share_0.8": 0.95,
        "knn_recall_at_100_share_0.9": 0.95,
        "knn_recall_at_100_p01": 0.0,
        "knn_recall_at_100_p05": 0.0,
    }


def test_what_is_not_defined_is_left_out():
    per_query = {"knn_recall": {10: np.ones(30)}, "relevant_recall": {10: np.full(30, NAN)}, "map": {}}
    assert set(robustness_metrics(per_query, 10)) == {
        "knn_recall_at_10_share_0.5",
        "knn_recall_at_10_share_0.8",
        "knn_recall_at_10_share_0.9",
        "knn_recall_at_10_p05",
    }
