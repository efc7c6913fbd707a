"""All measures of an operating point together: junk, cut-offs, strata, intervals and counts."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.embed.embeddings import Embeddings
from lookalike.evaluate.evaluation import Evaluation, Reference, evaluate_exact
from lookalike.evaluate.evaluation import evaluate as evaluate_found
from lookalike.evaluate.exact import Neighbours, exact_neighbours, recomputed_scores
from lookalike.queries.relevance import Relevance
from lookalike.schemas import Measures
from lookalike.store.store import Store
from tests.evaluate.test_measures import make_relevance

OPTIONS = {"metric": "l2", "cutoffs": [1, 2, 10], "tolerance": 1e-5, "resamples": 0}
EXACT = Neighbours(
    np.array([[0, 1, 2, 3, 4], [1, 0, 2, 3, 4]]),
    np.array([[0, 1, 2, 2, 4], [0, 1, 2, 3, 4]], np.float32),
)
ROWS = np.array([[0, 3, 1, 2], [0, 4, -1, -1]])
SCORES = np.array([[0, 2, 1, 2], [1, 4, np.inf, np.inf]], np.float32)

SECOND, FIRST_TWO = 1 / np.log2(3), 1 + 1 / np.log2(3)
"""What a relevant image at the second rank gains, and two in front."""


def evaluate(
    rows,
    scores,
    exact,
    relevance,
    *,
    k,
    metric,
    cutoffs,
    tolerance,
    sources,
    edits=None,
    resamples=0,
    dropped=0,
) -> Evaluation:
    return evaluate_found(
        Neighbours(rows, scores),
        Reference(exact, relevance, sources, edits),
        k=k,
        metric=metric,
        measures=Measures(
            cutoffs=cutoffs, tie_tolerance=tolerance, bootstrap=resamples, drop_first=bool(dropped)
        ),
    )


def test_two_queries_by_hand():
    relevance = make_relevance([[1, 3], []])
    result = evaluate(ROWS, SCORES, EXACT, relevance, k=3, sources=["a", "b"], **OPTIONS)
    assert result.curves == {
        "knn_recall": pytest.approx({1: 0.5, 2: 0.5, 3: (1 + 1 / 3) / 2}),
        "nn_recall": {1: 0.5, 2: 0.5, 3: 0.5},
        "relevant_recall": {1: 0.0, 2: 0.5, 3: 1.0},
        "hit_rate": {1: 0.0, 2: 1.0, 3: 1.0},
        "map": pytest.approx({1: 0.0, 2: 0.25, 3: (1 / 2 + 2 / 3) / 2}),
        "mrr": {1: 0.0, 2: 0.5, 3: 0.5},
        "precision": pytest.approx({1: 0.0, 2: 1 / 2, 3: 2 / 3}),
        "ndcg": pytest.approx({1: 0.0, 2: SECOND / FIRST_TWO, 3: (SECOND + 1 / 2) / FIRST_TWO}),
        "r_precision": {3: 0.5},
        "map_at_r": {3: 0.25},
    }
    assert (result.queries, result.without_relevance, result.relevant_beyond_k) == (2, 1, 0)
    assert (result.tied_at_k, result.missing_results) == (1, 1)
    assert (result.intervals, result.by_edit) == ({}, {})
    np.testing.assert_equal(result.per_query["hit_rate"][2], [1.0, np.nan])


def test_queries_with_more_relevant_images_than_answers_do_not_count_for_measures_at_r():
    relevance = make_relevance([[0, 1], [0, 2, 3]])
    result = evaluate(ROWS, SCORES, EXACT, relevance, k=2, sources=["a", "b"], **OPTIONS)
    assert result.relevant_beyond_k == 1
    np.testing.assert_equal(result.per_query["r_precision"], {2: [0.5, np.nan]})
    assert result.curves["r_precision"] == {2: 0.5}
    assert result.curves["precision"] == {1: 1.0, 2: 0.5}, "the others count both"
    of_one = evaluate(ROWS, SCORES, EXACT, relevance, k=1, sources=["a", "b"], **OPTIONS)
    assert of_one.relevant_beyond_k == 2
    assert not {"r_precision", "map_at_r"} & of_one.curves.keys(), "no query counts"


@pytest.mark.parametrize("dropped", [0, 1])
def test_the_exact_answer_scores_what_an_index_that_loses_nothing_would(dropped):
    relevance = make_relevance([[1, 3], [4]], [[], [1]])
    options = {**OPTIONS, "cutoffs": [1, 2]}
    flat = evaluate(
        EXACT.rows, EXACT.scores, EXACT, relevance, k=3, sources=["a", "b"], dropped=dropped, **options
    )
    measures = Measures(cutoffs=[1, 2], tie_tolerance=1e-5, drop_first=bool(dropped))
    exact = evaluate_exact(Reference(EXACT, relevance, ["a", "b"]), k=3, metric="l2", measures=measures)
    assert set(exact) == set(flat.per_query) - {"knn_recall", "nn_recall"} != set()
    for name, curve in exact.items():
        np.testing.assert_equal(curve, flat.per_query[name])
    assert evaluate_exact(Reference(EXACT, None, ["a", "b"]), k=3, metric="l2", measures=measures) == {}


def test_without_relevance_indexes_are_still_compared():
    result = evaluate(ROWS, SCORES, EXACT, None, k=3, sources=["a", "b"], **OPTIONS)
    assert list(result.curves) == ["knn_recall", "nn_recall"]
    assert result.without_relevance == 2
    nothing_relevant = make_relevance([[], []])
    again = evaluate(ROWS, SCORES, EXACT, nothing_relevant, k=3, sources=["a", "b"], **OPTIONS)
    assert again.curves == result.curves


def test_the_query_itself_is_dropped_from_found_and_exact():
    relevance = make_relevance([[], []], [[0], [1]])
    result = evaluate(ROWS, SCORES, EXACT, relevance, k=2, sources=["a", "b"], **OPTIONS)
    # left of the first: found 3, 1 of exact 1, 2 | 3 (a tie at 2); of the second: found 0, 4 of exact 0, 2
    np.testing.assert_equal(result.per_query["knn_recall"][2], [1.0, 0.5])
    np.testing.assert_equal(result.per_query["nn_recall"][1], [0.0, 1.0])
    assert result.tied_at_k == 1


def test_results_for_each_edit():
    relevance = make_relevance([[0], [0]])
    result = evaluate(
        ROWS, SCORES, EXACT, relevance, k=1, sources=["a", "a"], edits=["crop", "blur"], **OPTIONS
    )
    assert {edit: curves["nn_recall"] for edit, curves in result.by_edit.items()} == {
        "crop": {1: 1.0},
        "blur": {1: 0.0},
    }
    one_sided = make_relevance([[0], []])
    result = evaluate(
        ROWS, SCORES, EXACT, one_sided, k=1, sources=["a", "a"], edits=["crop", "blur"], **OPTIONS
    )
    assert "hit_rate" in result.by_edit["crop"]
    assert "hit_rate" not in result.by_edit["blur"]


def test_an_interval_for_every_mean_that_has_one():
    options = {**OPTIONS, "resamples": 200}
    result = evaluate(ROWS, SCORES, EXACT, make_relevance([[0], []]), k=3, sources=["a", "b"], **options)
    assert set(result.intervals) == {"knn_recall", "nn_recall"}, "one source says nothing of relevance"
    low, high = result.intervals["nn_recall"][1]
    assert (low, high) == pytest.approx((0.0126, 0.9874), abs=0.0005), "one of two hit: Clopper and Pearson"
    assert set(result.intervals["knn_recall"]) == {1, 2, 3}


def test_what_was_missed_is_counted():
    """Of the second query's exact neighbours two of three are missed; relevance counts queries."""
    result = evaluate(ROWS, SCORES, EXACT, make_relevance([[1, 3], []]), k=3, sources=["a", "b"], **OPTIONS)
    assert result.missed == {
        "knn_recall": {1: (1, 2), 2: (2, 4), 3: (2, 6)},
        "nn_recall": {1: (1, 2), 2: (1, 2), 3: (1, 2)},
        "hit_rate": {1: (1, 1), 2: (0, 1), 3: (0, 1)},
    }


@pytest.mark.parametrize(("k", "message"), [(5, "search for 5 and keep at least 6"), (4, "search for 5")])
def test_answers_that_are_not_deep_enough(k, message):
    relevance = make_relevance([[], []], [[0], []]) if k == 4 else None
    with pytest.raises(ValueError, match=message):
        evaluate(ROWS, SCORES, EXACT, relevance, k=k, sources=["a", "b"], **OPTIONS)


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_exhaustive_search_is_perfect_whatever_the_duplicates(metric, tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((90, 16)).astype(np.float32)[rng.integers(0, 90, 300)]
    gallery, queries = Embeddings.from_array(vectors, key="g"), Embeddings.from_array(vectors[:50], key="q")
    exact, _ = exact_neighbours(gallery, queries, metric, 15, Store(tmp_path))
    scores = recomputed_scores(gallery, vectors[:50], np.tile(np.arange(300), (50, 1)), metric)
    shuffled = np.argsort(rng.random(scores.shape), axis=1)  # so that ties come in any order
    sign = 1 if metric == "l2" else -1
    order = np.argsort(np.take_along_axis(sign * scores, shuffled, axis=1), axis=1, kind="stable")
    rows = np.take_along_axis(shuffled, order, axis=1)[:, :10]
    result = evaluate(
        rows,
        recomputed_scores(gallery, vectors[:50], rows, metric),
        exact,
        None,
        k=10,
        sources=[str(row) for row in range(50)],
        **{**OPTIONS, "metric": metric},
    )
    assert (rows != exact.rows[:, :10]).any()
    assert result.curves["knn_recall"] == {1: 1.0, 2: 1.0, 10: 1.0}
    assert result.curves["nn_recall"] == {1: 1.0, 2: 1.0, 10: 1.0}


def test_queries_are_judged_alike_in_whatever_blocks():
    n, depth = 30_000, 81  # more than one block
    rng = np.random.default_rng(1)
    exact = Neighbours(
        (np.arange(n)[:, None] + np.arange(depth) * 7) % n,
        np.sort(rng.integers(0, 30, (n, depth)).astype(np.float32), axis=1),
    )
    rows = np.where(rng.random((n, depth)) < 0.2, -1, exact.rows)
    scores = np.where(rows < 0, np.inf, exact.scores)
    relevance = make_relevance([[(row + 7) % n] for row in range(n)], [[row] for row in range(n)], n)
    options = {"k": 79, **OPTIONS}
    whole = evaluate(rows, scores, exact, relevance, sources=list(map(str, range(n))), **options)
    part = slice(n - 9, n)
    last = Relevance.of_rows(
        [[(row + 7) % n] for row in range(n)][part], [[row] for row in range(n)][part], n
    )
    alone = evaluate(
        rows[part],
        scores[part],
        Neighbours(exact.rows[part], exact.scores[part]),
        last,
        sources=list(map(str, range(9))),
        **options,
    )
    for name, curve in alone.per_query.items():
        for cutoff, values in curve.items():
            np.testing.assert_array_equal(whole.per_query[name][cutoff][part], values)
    assert whole.queries == n
