"""Hubs and which of them are missed, by hand and where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.evaluate.exact import Neighbours
from lookalike.evaluate.hubness import (
    exact_answers,
    missed_neighbours,
    occurrences,
    skewness,
    skewness_by_chance,
)
from lookalike.queries.relevance import Relevance


def test_occurrences_by_hand() -> None:
    rows = np.array([[0, 2], [2, 3], [2, -1]])
    assert occurrences(rows, 5).tolist() == [1, 0, 3, 1, 0]
    assert occurrences(np.empty((0, 2), np.int64), 2).tolist() == [0, 0]


def test_skewness_is_the_third_standardised_moment() -> None:
    counts = np.array([0, 0, 0, 1, 9])
    standard = (counts - 2) / counts.std()
    assert skewness(counts) == pytest.approx((standard**3).mean())
    assert np.isnan(skewness(np.ones(3, np.int64)))


def test_chance_alone_has_the_skewness_of_chance() -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([rng.choice(2_000, 10, replace=False) for _ in range(400)])
    assert skewness(occurrences(drawn, 2_000)) == pytest.approx(skewness_by_chance(400, 10, 2_000), rel=0.15)


def test_answers_leave_out_what_is_ignored_and_say_which_may_be_others() -> None:
    exact = Neighbours(
        np.array([[5, 1, 2, 3], [7, 1, 2, 3]]), np.array([[0, 1, 2, 2], [0, 1, 2, 4]], np.float32)
    )
    relevance = Relevance.of_rows([[], []], [[5], []], 8)
    rows, tied = exact_answers(exact, relevance, 2, "l2", 1e-5)
    assert rows.tolist() == [[1, 2], [7, 1]]
    assert tied.tolist() == [True, False], "rows 2 and 3 are equally far from the first query"
    rows, tied = exact_answers(exact, relevance, 3, "ip", 1e-5)
    assert rows[0].tolist() == [1, 2, 3] and not tied[0], "there is no fourth"


def crowd(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Exact answers of 60 queries: at each of 10 ranks half of them have a hub, half a row of their own."""
    answers = np.arange(600).reshape(60, 10) + 10
    for rank in range(10):
        answers[rng.permutation(60)[:30], rank] = rank
    return answers, occurrences(answers, 610)


@pytest.mark.parametrize("missing", ["hubs", "antihubs", "any"])
def test_which_neighbours_are_missed(missing: str) -> None:
    rng = np.random.default_rng(1)
    answers, counts = crowd(rng)
    lost = {"hubs": answers < 10, "antihubs": answers >= 10, "any": np.ones(answers.shape, bool)}[missing]
    lost = lost & (rng.random(answers.shape) < 0.3)
    found = np.where(lost, -1, answers)[:, ::-1]  # in another order
    missed = missed_neighbours(found, answers, counts, [str(row) for row in range(60)])
    assert missed is not None
    assert missed.missed == lost.sum()
    assert missed.queries == lost.any(axis=1).sum()
    assert missed.occurrences == pytest.approx(counts[answers[lost]].mean() - 1)
    if missing == "hubs":
        assert missed.low > 0 and missed.occurrences == 29 > missed.expected
    elif missing == "antihubs":
        assert missed.high < 0 and missed.occurrences == 0 < missed.expected
    else:
        assert missed.low < 0 < missed.high


def test_a_rank_is_compared_with_itself() -> None:
    """Far neighbours are missed more often and are hubs here: that alone makes no difference."""
    rng = np.random.default_rng(2)
    answers = np.arange(600).reshape(60, 10) + 10
    answers[:, 5:] = np.arange(5)  # the last five of all queries are hubs
    lost = rng.random(answers.shape) < np.where(np.arange(10) >= 5, 0.5, 0.05)
    missed = missed_neighbours(
        np.where(lost, -1, answers), answers, occurrences(answers, 610), [str(row) for row in range(60)]
    )
    assert missed is not None
    assert missed.occurrences == pytest.approx(missed.expected)
    assert missed.low == missed.high == 0


def test_few_losses_say_nothing() -> None:
    answers, counts = crowd(np.random.default_rng(3))
    found = answers.copy()
    found[:9, 0] = -1
    assert missed_neighbours(found, answers, counts, [str(row) for row in range(60)]) is None
