"""Each measure against cases worked out by hand, FAISS's own evaluation and a naive implementation."""

from __future__ import annotations

import numpy as np
import pytest
from faiss.contrib.evaluation import knn_intersection_measure
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.evaluate import measures
from lookalike.queries.relevance import Relevance
from tests.evaluate import naive_measures

NAN, INF = np.nan, np.inf
TOLERANCE = 1e-5


def make_relevance(
    relevant: list[list[int]], ignored: list[list[int]] | None = None, gallery_size: int = 20
) -> Relevance:
    return Relevance.of_rows(relevant, ignored or [[] for _ in relevant], gallery_size)


# --- vs exact ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "k", "expected"),
    [
        pytest.param([1, 2, 3], 3, 1.0, id="all"),
        pytest.param([3, 1, 2], 3, 1.0, id="order does not matter"),
        pytest.param([1, 5, 2], 3, 2 / 3, id="one missed"),
        pytest.param([1, 5, 2], 2, 1 / 2, id="only the first k are read"),
        pytest.param([INF, INF, INF], 3, 0.0, id="nothing found"),
        pytest.param([2.00001, 1, 3], 2, 1.0, id="a tie within the tolerance"),
        pytest.param([2.0001, 1, 3], 2, 1 / 2, id="no tie beyond the tolerance"),
    ],
)
def test_knn_recall_by_hand(found, k, expected):
    exact = np.array([[1.0, 2, 3, 4]])
    assert measures.knn_recall(np.array([found], float), exact, k, TOLERANCE) == pytest.approx([expected])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param([2, 2, 1], 1.0, id="ties may be any rows"),
        pytest.param([2, 2, 2], 2 / 3, id="a third tie does not stand in for the nearer one"),
        pytest.param([1, 1, 2], 2 / 3, id="nor more near ones than there are"),
    ],
)
def test_knn_recall_counts_a_tie_only_where_there_is_a_place(found, expected):
    exact = np.array([[1.0, 2, 2, 2, 2]])
    assert measures.knn_recall(np.array([found], float), exact, 3, TOLERANCE) == pytest.approx([expected])


def test_knn_recall_of_a_gallery_smaller_than_k():
    exact = np.array([[1.0, 2, INF, INF], [INF, INF, INF, INF]])
    found = np.array([[2.0, INF, INF, INF], [INF, INF, INF, INF]])
    np.testing.assert_equal(measures.knn_recall(found, exact, 4, TOLERANCE), [0.5, NAN])


def test_distances_of_zero_and_below_zero():
    zero = np.zeros((1, 2))
    assert measures.knn_recall(np.array([[0.0, 1e-9]]), zero, 2, TOLERANCE).tolist() == [0.5]
    by_product = -np.array([[0.9, 0.8]])
    found = -np.array([[0.9, 0.8 * (1 - 9e-6)]])
    assert measures.knn_recall(found, by_product, 2, TOLERANCE).tolist() == [1.0]
    found = -np.array([[0.9, 0.8 * (1 - 2e-5)]])
    assert measures.knn_recall(found, by_product, 2, TOLERANCE).tolist() == [0.5]


def test_nn_recall_by_hand():
    exact = np.array([[1.0, 2, 3]] * 3 + [[INF, INF, INF]])
    found = np.array([[3.0, 2, 1], [2, 3, 4], [1.000001, 2, 3], [INF, INF, INF]])
    np.testing.assert_equal(measures.nn_recall(found, exact, 3, TOLERANCE), [1, 0, 1, NAN])
    np.testing.assert_equal(measures.nn_recall(found, exact, 2, TOLERANCE), [0, 0, 1, NAN])


def test_distances_of_both_metrics_and_what_does_not_count():
    rows = np.array([[4, 4, -1, 2, 4]])
    scores = np.array([[1, 1, 0, 3, 1]], np.float32)
    assert measures.distances(rows, scores, "l2").tolist() == [[1, INF, INF, 3, INF]]
    assert measures.distances(rows, scores, "ip").tolist() == [[-1, INF, INF, -3, INF]]


def test_faiss_counts_the_same_where_nothing_ties():
    rng = np.random.default_rng(0)
    gallery = rng.random((40, 60)).astype(np.float32)
    exact = np.argsort(gallery, axis=1)
    found = np.argsort(gallery + rng.normal(0, 0.1, gallery.shape), axis=1)
    for k in (1, 7, 60):
        ours = measures.knn_recall(
            *(measures.distances(r, np.take_along_axis(gallery, r, axis=1), "l2") for r in (found, exact)),
            k,
            TOLERANCE,
        )
        assert ours.mean() == pytest.approx(knn_intersection_measure(found[:, :k], exact[:, :k]))


# --- vs relevance ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "recall", "hit", "precision"),
    [
        (1, [0, 1 / 3, NAN, 0], [0, 1, NAN, 0], [0, 1, NAN, 0]),
        (2, [1, 1 / 3, NAN, 0], [1, 1, NAN, 0], [1 / 2, 1 / 2, NAN, 0]),
        (4, [1, 1, NAN, 0], [1, 1, NAN, 0], [1 / 2, (1 + 2 / 3 + 3 / 4) / 3, NAN, 0]),
    ],
)
def test_relevance_measures_by_hand(k, recall, hit, precision):
    rows = np.array([[9, 5, 5, 7], [1, 8, 2, 3], [1, 2, 3, 4], [-1, -1, -1, -1]])
    relevance = make_relevance([[5], [1, 2, 3], [], [6]])
    hits, relevant = measures.relevant_hits(rows, relevance), relevance.relevant_counts
    np.testing.assert_allclose(measures.relevant_recall(hits, relevant, k), recall)
    np.testing.assert_allclose(measures.hit_rate(hits, relevant, k), hit)
    np.testing.assert_allclose(measures.average_precision(hits, relevant, k), precision)


def test_more_relevant_than_k():
    rows, relevance = np.array([[0, 1]]), make_relevance([[0, 1, 2, 3, 4]])
    hits, relevant = measures.relevant_hits(rows, relevance), np.array([5])
    assert measures.relevant_recall(hits, relevant, 2).tolist() == [0.4]
    assert measures.average_precision(hits, relevant, 2).tolist() == [1.0]


def test_hits_belong_to_their_own_query():
    rows = np.array([[1, 2], [1, 2], [0, 3]])
    hits = measures.relevant_hits(rows, make_relevance([[1], [2], [1, 2]]))
    assert hits.tolist() == [[True, False], [False, True], [False, False]]


def test_ignored_rows_leave_no_gap():
    rows = np.array([[7, 1, 2, 3], [1, 2, 7, 3], [1, 7, -1, -1]])
    scores = np.array([[0, 1, 2, 3], [1, 2, 7, 3], [1, 7, INF, INF]], np.float32)
    relevance = make_relevance([[], [], []], [[7], [8], [1, 7]])
    kept, kept_scores = measures.drop_ignored(rows, scores, relevance, 3)
    assert kept.tolist() == [[1, 2, 3], [1, 2, 7], [-1, -1, -1]]
    np.testing.assert_equal(kept_scores, np.array([[1, 2, 3], [1, 2, 7], [INF, INF, NAN]], np.float32))


def test_nothing_ignored_is_only_cut():
    rows, scores = np.array([[3, 1, 2]]), np.array([[0, 1, 2]], np.float32)
    kept, kept_scores = measures.drop_ignored(rows, scores, make_relevance([[3]]), 2)
    assert (kept.tolist(), kept_scores.tolist()) == ([[3, 1]], [[0.0, 1.0]])


LOG3 = float(np.log2(3))
BY_HAND = [
    # hits, number of relevant images, k, then: mrr, precision, ndcg, r_precision, map_at_r
    pytest.param([1, 1, 0, 0], 2, 4, (1, 2 / 4, 1, 1, 1), id="all in front"),
    pytest.param([0, 1, 0, 1], 2, 4, (1 / 2, 2 / 4, None, 1 / 2, (1 / 2) / 2), id="second and fourth"),
    pytest.param(
        [0, 1, 0, 1], 2, 3, (1 / 2, 1 / 3, (1 / LOG3) / (1 + 1 / LOG3), 1 / 2, 1 / 4), id="cut at 3"
    ),
    pytest.param([0, 1, 0, 1], 2, 1, (0, 0, 0, NAN, NAN), id="R beyond k is not known"),
    pytest.param([1, 0, 0, 0], 9, 4, (1, 1 / 4, None, NAN, NAN), id="more relevant than k"),
    pytest.param([0, 0, 0, 0], 3, 4, (0, 0, 0, 0, 0), id="nothing found"),
    pytest.param([0, 0, 0, 0], 0, 4, (NAN, NAN, NAN, NAN, NAN), id="nothing to find"),
    pytest.param([1, 0, 1, 1], 3, 4, (1, 3 / 4, None, 2 / 3, (1 + 2 / 3) / 3), id="one behind R"),
    pytest.param([1], 1, 1, (1, 1, 1, 1, 1), id="one of one"),
]


@pytest.mark.parametrize(("hits", "relevant", "k", "expected"), BY_HAND)
def test_measures_of_rank_by_hand(hits, relevant, k, expected):
    names = ("mrr", "precision", "ndcg", "r_precision", "map_at_r")
    flags, counts = np.array([hits], bool), np.array([relevant])
    for name, value in zip(names, expected, strict=True):
        if value is not None:
            ours = measures.VS_RELEVANCE[name](flags, counts, k)
            np.testing.assert_allclose(ours, [value], err_msg=name)


def test_ndcg_by_hand():
    hits, relevant = np.array([[0, 1, 1, 0]], bool), np.array([2])
    gained, most = 1 / np.log2(3) + 1 / np.log2(4), 1 / np.log2(2) + 1 / np.log2(3)
    assert measures.ndcg(hits, relevant, 4) == pytest.approx([gained / most])
    assert measures.ndcg(hits, np.array([5]), 2) == pytest.approx([(1 / np.log2(3)) / most])


def test_what_is_ignored_gives_its_rank_away():
    """The query itself comes first in its own answer, as in leave-one-out by label."""
    rows, scores = np.array([[0, 7, 3, 4]]), np.zeros((1, 4), np.float32)
    relevance = make_relevance([[3, 4]], [[0]])
    kept, _ = measures.drop_ignored(rows, scores, relevance, 3)
    hits, relevant = measures.relevant_hits(kept, relevance), relevance.relevant_counts
    assert measures.reciprocal_rank(hits, relevant, 3).tolist() == [1 / 2]
    assert measures.precision(hits, relevant, 3) == pytest.approx([2 / 3])
    assert measures.r_precision(hits, relevant, 3).tolist() == [1 / 2]


# --- any answer to any query -------------------------------------------------------------------------------


@st.composite
def answers(draw):
    """A small gallery with many ties, an answer with gaps and repetitions, and what is relevant."""
    gallery = draw(st.lists(st.integers(0, 3), min_size=0, max_size=6))
    row = st.one_of(st.none(), st.integers(0, len(gallery) - 1)) if gallery else st.none()
    answer = draw(st.lists(row, min_size=8, max_size=8))
    relevant = draw(st.sets(st.integers(0, max(0, len(gallery) - 1)))) if gallery else set()
    return gallery, answer, relevant


def judge(gallery, answer, relevant, metric="l2"):
    """The arrays that the measures read, for one query."""
    sign = 1 if metric == "l2" else -1
    rows = np.array([[-1 if row is None else row for row in answer]])
    scores = np.array([[sign * gallery[row] if row is not None else 0 for row in answer]], np.float32)
    found = measures.distances(rows, scores, metric)
    exact = np.full((1, 9), INF)
    exact[0, : len(gallery)] = sorted(gallery)
    hits = measures.relevant_hits(rows, make_relevance([list(relevant)]))
    return found, exact, hits, np.array([len(relevant)])


@settings(max_examples=300, deadline=None)
@given(case=answers(), k=st.integers(1, 8), metric=st.sampled_from(["l2", "ip"]))
def test_a_naive_implementation_agrees(case, k, metric):
    gallery, answer, relevant = case
    found, exact, hits, count = judge(*case, metric)
    expected = [naive_measures.knn_recall(answer, gallery, k), naive_measures.nn_recall(answer, gallery, k)]
    ours = [measure(found, exact, k, TOLERANCE) for measure in measures.VS_EXACT.values()]
    for measure in measures.VS_RELEVANCE.values():
        expected.append(getattr(naive_measures, measure.__name__)(answer, relevant, k))
        ours.append(measure(hits, count, k))
    np.testing.assert_allclose(np.concatenate(ours), np.array(expected, float))


@settings(max_examples=100, deadline=None)
@given(case=answers())
def test_more_results_never_lower_what_counts_them(case):
    found, exact, hits, count = judge(*case)
    for curve in (
        [measures.nn_recall(found, exact, k, TOLERANCE) for k in range(1, 9)],
        [measures.relevant_recall(hits, count, k) for k in range(1, 9)],
        [measures.hit_rate(hits, count, k) for k in range(1, 9)],
        [measures.reciprocal_rank(hits, count, k) for k in range(1, 9)],
    ):
        values = np.concatenate(curve)
        assert np.isnan(values).all() or (np.diff(values) >= 0).all()


@settings(max_examples=100, deadline=None)
@given(gallery=st.lists(st.integers(0, 3), min_size=1, max_size=8), data=st.data())
def test_any_order_of_ties_is_a_perfect_answer(gallery, data):
    shuffled = data.draw(st.permutations(range(len(gallery))))
    answer = sorted(shuffled, key=lambda row: gallery[row])
    answer += [None] * (8 - len(answer))
    found, exact, _, _ = judge(gallery, answer, set())
    for k in range(1, 9):
        assert measures.knn_recall(found, exact, k, TOLERANCE).tolist() == [1.0]
        assert measures.nn_recall(found, exact, k, TOLERANCE).tolist() == [1.0]
