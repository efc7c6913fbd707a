"""The same answers judged by ir_measures (trec_eval) and pytorch-metric-learning, query by query."""

from __future__ import annotations

import sys
from types import ModuleType

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, P, R, Rprec, Success, nDCG

from lookalike.evaluate import measures
from tests.evaluate.test_measures import make_relevance

QUERIES, GALLERY, DEPTH = 60, 40, 30


@pytest.fixture(scope="module")
def answers() -> tuple[np.ndarray, list[list[int]]]:
    """Rows as an index might return them, and what is relevant: from one image to more than are returned."""
    rng = np.random.default_rng(5)
    rows = np.array([rng.permutation(GALLERY)[:DEPTH] for _ in range(QUERIES)])
    rows[rng.random(rows.shape) < 0.05] = -1
    relevant = [sorted(rng.permutation(GALLERY)[: rng.integers(1, GALLERY)].tolist()) for _ in rows]
    return rows, relevant


TREC = {
    "relevant_recall": R,
    "hit_rate": Success,
    "precision": P,
    "ndcg": nDCG,
    "mrr": RR,
}


def by_ir_measures(measure, rows, relevant) -> np.ndarray:
    """One value a query; scores fall with the rank, so that no two tie."""
    qrels = {str(query): {str(row): 1 for row in some} for query, some in enumerate(relevant)}
    run = {
        str(query): {str(row): float(DEPTH - rank) for rank, row in enumerate(answer) if row >= 0}
        for query, answer in enumerate(rows)
    }
    values = {int(found.query_id): found.value for found in ir_measures.iter_calc([measure], qrels, run)}
    return np.array([values[query] for query in range(len(rows))])


def without_gaps(rows: np.ndarray) -> np.ndarray:
    """A run of trec_eval has no gaps: what was found moves up."""
    order = np.argsort(rows < 0, axis=1, kind="stable")
    return np.take_along_axis(rows, order, axis=1)


@pytest.mark.parametrize("k", [1, 7, DEPTH])
@pytest.mark.parametrize("name", TREC)
def test_ir_measures_gives_the_same_for_every_query(name, k, answers):
    rows, relevant = without_gaps(answers[0]), answers[1]
    relevance = make_relevance(relevant, gallery_size=GALLERY)
    hits = measures.relevant_hits(rows, relevance)
    ours = measures.VS_RELEVANCE[name](hits, relevance.relevant_counts, k)
    np.testing.assert_allclose(ours, by_ir_measures(TREC[name] @ k, rows, relevant), rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("k", [1, 7, DEPTH])
def test_average_precision_is_that_of_trec_over_another_denominator(k, answers):
    rows, relevant = without_gaps(answers[0]), answers[1]
    relevance = make_relevance(relevant, gallery_size=GALLERY)
    hits, counts = measures.relevant_hits(rows, relevance), relevance.relevant_counts
    ours = measures.average_precision(hits, counts, k) * np.minimum(counts, k) / counts
    np.testing.assert_allclose(ours, by_ir_measures(AP @ k, rows, relevant), rtol=1e-6)


def test_r_precision_is_that_of_trec_where_enough_was_returned(answers):
    rows, relevant = without_gaps(answers[0]), answers[1]
    relevance = make_relevance(relevant, gallery_size=GALLERY)
    hits, counts = measures.relevant_hits(rows, relevance), relevance.relevant_counts
    ours = measures.r_precision(hits, counts, DEPTH)
    theirs = np.where(counts <= DEPTH, by_ir_measures(Rprec, rows, relevant), np.nan)
    assert 0 < np.isnan(ours).sum() < QUERIES, "both kinds of query are there"
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_pytorch_metric_learning_has_the_same_r_precision_and_map_at_r(monkeypatch: pytest.MonkeyPatch):
    import torch

    patches_faiss = "faiss.contrib.torch_utils"  # of the whole process, for all tests to come
    monkeypatch.setitem(sys.modules, patches_faiss, ModuleType(patches_faiss))
    from pytorch_metric_learning.utils.accuracy_calculator import mean_average_precision, r_precision

    rng = np.random.default_rng(6)
    labels = rng.integers(0, 4, GALLERY)
    of_query = rng.integers(0, 4, QUERIES)
    rows = np.array([rng.permutation(GALLERY) for _ in of_query])
    relevance = make_relevance(
        [np.flatnonzero(labels == label).tolist() for label in of_query], None, GALLERY
    )
    hits, counts = measures.relevant_hits(rows, relevance), relevance.relevant_counts
    values, label_counts = np.unique(labels, return_counts=True)
    shared = {
        "knn_labels": torch.from_numpy(labels[rows])[:, :, None],
        "gt_labels": torch.from_numpy(of_query)[:, None],
        "ref_includes_query": False,
        "label_counts": (torch.from_numpy(values)[:, None], label_counts.tolist()),
        "avg_of_avgs": False,
        "return_per_class": False,
        "label_comparison_fn": lambda of, found: (of[:, None] == found).all(dim=2),
    }
    assert measures.r_precision(hits, counts, GALLERY).mean() == pytest.approx(r_precision(**shared))
    ours = measures.average_precision_at_r(hits, counts, GALLERY).mean()
    assert ours == pytest.approx(mean_average_precision(**shared, at_r=True))
    assert ours != pytest.approx(mean_average_precision(**shared), abs=0.01), "MAP@R is not mAP"
