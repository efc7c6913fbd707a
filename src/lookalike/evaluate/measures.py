"""Four measures that the literature calls Recall@K, and those of rank; each with its own name.

All of them are pure functions that return one float64 per query (nan: the query does not count for this
measure), from one of two judgements of the returned rows:

    distances    how far the returned and the exact neighbours are    knn_recall, nn_recall
    hits         whether the returned row is relevant to the query    all others

Both are made once per operating point and read at every cut-off. What holds for all of them:

- A returned row of −1 (nothing found) and a row returned twice keep their rank and never count.
- Rows that the protocol ignores (the query itself, junk) are taken out first, and what is behind them moves
  up: rank 1 is the first row that is not ignored.
- Rows at equal distance are ranked as the index returned them. trec_eval sorts equal scores by document id
  instead, so the two agree where no scores tie.
- A row is relevant or not: gains are binary. A query to which nothing is relevant does not count (nan), where
  trec_eval's averages take it as 0 if it is among the judged ones.

``evaluation`` does all of it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lookalike.evaluate.exact import Floats, Rows
from lookalike.evaluate.intervals import Values

if TYPE_CHECKING:
    from lookalike.queries.relevance import Relevance

Flags = npt.NDArray[np.bool_]


def knn_recall(found: Values, exact: Values, k: int, tolerance: float) -> Values:
    """Share of the exact k neighbours among the first k returned; compares indexes, never models.

    Rival names: "recall" (ann-benchmarks), k-recall@k, intersection measure (FAISS). ``found``, ``exact``:
    :func:`distances`, shapes (queries, ≥ k); ``exact`` ascending. The denominator is k, or the number of
    exact neighbours where the gallery has fewer; nan where it has none.

    Ties: a returned row within ``tolerance`` (relative) of the k-th exact distance counts as found, as long
    as the exact k have places at that distance: it never stands in for a nearer neighbour that is missing.
    Source: Aumüller, Bernhardsson & Faithfull, ANN-Benchmarks (2018), §2.2, made strict on ties.
    """
    found, exact = found[:, :k], exact[:, :k]
    places = np.isfinite(exact).sum(axis=1)
    kth = exact[np.arange(len(exact)), np.maximum(places - 1, 0)]
    kth = np.where(places > 0, kth, 0.0)[:, None]
    margin = tolerance * np.abs(kth)
    nearer = (exact < kth - margin).sum(axis=1)
    nearer_found = (found < kth - margin).sum(axis=1)
    tied_found = (found <= kth + margin).sum(axis=1) - nearer_found
    correct = np.minimum(nearer_found, nearer) + np.minimum(tied_found, places - nearer)
    return _share(correct, places)


def nn_recall(found: Values, exact: Values, k: int, tolerance: float) -> Values:
    """Whether the exact nearest neighbour is among the first k returned: 1 or 0.

    Rival names: "R@k" or 1-recall@k (FAISS, product-quantisation papers). Arguments as in :func:`knn_recall`.
    Ties: any row within ``tolerance`` of the nearest distance counts. nan where there is no exact neighbour.
    Source: Jégou, Douze & Schmid, Product Quantization for Nearest Neighbor Search (2011), §V-A.
    """
    nearest = exact[:, 0]
    known = np.isfinite(nearest)
    limit = np.where(known, nearest, 0.0)
    limit = limit + tolerance * np.abs(limit)
    return np.where(known, (found[:, :k] <= limit[:, None]).any(axis=1), np.nan)


def relevant_recall(hits: Flags, relevant: Rows, k: int) -> Values:
    """Share of a query's relevant images among the first k returned.

    Rival names: recall@k (information retrieval, trec_eval ``recall_k``). ``hits``:
    :func:`relevant_hits`, shape (queries, ≥ k); ``relevant``: int64, number of relevant images per query.
    The denominator is that number, also above k: with 5 relevant images, k = 1 can give at most 0.2 (capped
    variants divide by min(relevant, k), as :func:`average_precision` does). nan where nothing is relevant.
    Source: Manning, Raghavan & Schütze, Introduction to Information Retrieval (2008), §8.3.
    """
    return _share(hits[:, :k].sum(axis=1), relevant)


def hit_rate(hits: Flags, relevant: Rows, k: int) -> Values:
    """Whether any relevant image is among the first k returned: 1 or 0.

    Rival names: "Recall@K" (metric learning, image–caption retrieval), success@k (trec_eval). Arguments as in
    :func:`relevant_recall`. nan where nothing is relevant.
    Source: Oh Song et al., Deep Metric Learning via Lifted Structured Feature Embedding (2016), §6.
    """
    return np.where(relevant > 0, hits[:, :k].any(axis=1), np.nan)


def average_precision(hits: Flags, relevant: Rows, k: int) -> Values:
    """Σ precision(i)·relevant(i) for i ≤ k, over min(relevant, k); the mean over queries is mAP.

    precision(i) is the share of relevant images among the first i returned. Rival names: AP@k, mAP@k;
    trec_eval's ``map_cut`` divides by the number of relevant images, MAP@R sets k to it. Arguments as
    in :func:`relevant_recall`. nan where nothing is relevant. Source: Manning et al. (2008), §8.4; the
    denominator as in Weyand et al., Google Landmarks Dataset v2 (2020), §4.2.
    """
    hits = hits[:, :k]
    precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return _share((precision * hits).sum(axis=1), np.minimum(relevant, k))


def reciprocal_rank(hits: Flags, relevant: Rows, k: int) -> Values:
    """1 / rank of the first relevant image among the first k returned, 0 where none is; the mean is MRR.

    Rival names: MRR@k, trec_eval's ``recip_rank`` (which reads the whole answer). Arguments as in
    :func:`relevant_recall`. nan where nothing is relevant.
    Source: Voorhees, The TREC-8 Question Answering Track Report (1999).
    """
    hits = hits[:, :k]
    rank = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.inf)
    return np.where(relevant > 0, 1 / rank, np.nan)


def precision(hits: Flags, relevant: Rows, k: int) -> Values:
    """Share of the first k returned that is relevant.

    Rival names: P@k, trec_eval's ``P_k``. Arguments as in :func:`relevant_recall`. The denominator is k, also
    where fewer were returned or fewer are relevant: with 5 relevant images, k = 10 gives at most 0.5.
    nan where nothing is relevant. Source: Manning et al. (2008), §8.4.
    """
    return np.where(relevant > 0, hits[:, :k].sum(axis=1) / k, np.nan)


def ndcg(hits: Flags, relevant: Rows, k: int) -> Values:
    """Σ 1 / log2(rank + 1) over the relevant among the first k, over the most that any order could give.

    Rival names: nDCG@k, trec_eval's ``ndcg_cut_k`` of binary judgements (with gains of 0 and 1, 2^gain − 1 is
    the gain itself). Arguments as in :func:`relevant_recall`. The most is that of min(relevant, k) relevant
    images in front. nan where nothing is relevant.
    Source: Järvelin & Kekäläinen, Cumulated Gain-Based Evaluation of IR Techniques (2002), with the discount
    of Burges et al., Learning to Rank using Gradient Descent (2005), which begins at the first rank.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    most = np.concatenate([[0.0], discounts.cumsum()])[np.minimum(relevant, k)]
    return _share(hits[:, :k] @ discounts[: hits.shape[1]], most)


def r_precision(hits: Flags, relevant: Rows, k: int) -> Values:
    """Share of the first R returned that is relevant, R being the number of relevant images of the query.

    Rival names: Rprec (trec_eval). ``hits`` and ``relevant`` as in :func:`relevant_recall`. k is how deep the
    answers are read: where R exceeds it, the value is not known and nan, so that the query does not count
    (pytorch-metric-learning takes the first k for the first R there, which is another measure). nan as well
    where nothing is relevant. Source: Manning et al. (2008), §8.4.
    """
    among_first_r = hits[:, :k] & (np.arange(hits[:, :k].shape[1]) < relevant[:, None])
    return _known_at_r(among_first_r.sum(axis=1), relevant, k)


def average_precision_at_r(hits: Flags, relevant: Rows, k: int) -> Values:
    """Σ precision(i)·relevant(i) for i ≤ R, over R, the number of relevant images; the mean is MAP@R.

    Rival names: MAP@R, mean_average_precision_at_r (pytorch-metric-learning). Arguments, and what k means, as
    in :func:`r_precision`: nan where R is 0 or exceeds k.
    Source: Musgrave, Belongie & Lim, A Metric Learning Reality Check (2020).
    """
    among_first_r = hits[:, :k] & (np.arange(hits[:, :k].shape[1]) < relevant[:, None])
    ranks = np.arange(1, among_first_r.shape[1] + 1)
    return _known_at_r((among_first_r.cumsum(axis=1) / ranks * among_first_r).sum(axis=1), relevant, k)


def distances(rows: Rows, scores: Floats, metric: str) -> Values:
    """Scores (l2 | ip) as float64 that are the smaller, the nearer: inner products are negated.

    +inf where the row is −1 or was returned before in the same answer.
    """
    nearer_is_smaller = scores.astype(np.float64) * (1 if metric == "l2" else -1)
    return np.where(_countable(rows), nearer_is_smaller, np.inf)


def relevant_hits(rows: Rows, relevance: Relevance, first: int = 0) -> Flags:
    """Which of the returned rows are relevant to their query; a repeated row only the first time.

    ``rows``: shape (n, k), of the queries from ``first`` on.
    """
    return _countable(rows) & relevance.are_relevant(rows, first)


def drop_ignored(
    rows: Rows, scores: Floats, relevance: Relevance, k: int, first: int = 0
) -> tuple[Rows, Floats]:
    """Take out the rows that the protocol ignores (the query itself, junk), then cut to the first k.

    ``rows``, ``scores``: shape (n, depth), of the found or of the exact neighbours of the queries from
    ``first`` on; the order of what stays is kept. Where fewer than k stay, the row is −1 and the score nan.
    To leave k for every query, search for k + ``relevance.max_ignored``.
    """
    ignored = relevance.are_ignored(rows, first)
    kept, kept_scores = np.array(rows[:, :k]), np.array(scores[:, :k])
    some = np.flatnonzero(ignored.any(axis=1))
    order = np.argsort(ignored[some], axis=1, kind="stable")[:, :k]
    dropped = np.take_along_axis(ignored[some], order, axis=1)
    kept[some] = np.where(dropped, -1, np.take_along_axis(rows[some], order, axis=1))
    of_kept = np.take_along_axis(scores[some], order, axis=1)
    kept_scores[some] = np.where(dropped, np.float32(np.nan), of_kept)
    return kept, kept_scores


VS_EXACT = MappingProxyType({"knn_recall": knn_recall, "nn_recall": nn_recall})
VS_RELEVANCE = MappingProxyType(
    {
        "relevant_recall": relevant_recall,
        "hit_rate": hit_rate,
        "map": average_precision,
        "mrr": reciprocal_rank,
        "precision": precision,
        "ndcg": ndcg,
        "r_precision": r_precision,
        "map_at_r": average_precision_at_r,
    }
)
AT_R = frozenset({"r_precision", "map_at_r"})
"""Measures whose cut-off is each query's own R: they are read once, as deep as the search went."""
HIT_OR_MISS = frozenset({"nn_recall", "hit_rate"})
"""Measures that are 1 or 0 for a query, so that misses can be counted."""


def meaning_of(measure: str) -> str:
    """Return what a measure is, for a reader of the report: the first line of its function's docstring."""
    function = {**VS_EXACT, **VS_RELEVANCE}[measure]
    return (function.__doc__ or "").partition("\n")[0].rstrip(".")


def _known_at_r(part: npt.NDArray[np.generic], relevant: Rows, k: int) -> Values:
    return np.where(relevant <= k, _share(part, relevant), np.nan)


def _share(part: npt.NDArray[np.generic], whole: Rows | Values) -> Values:
    share: Values = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return share


def _countable(rows: Rows) -> Flags:
    """Neither −1 nor a repetition of a row further left."""
    countable = rows >= 0
    ordered = np.sort(rows, axis=1)
    suspects = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if suspects.any():
        countable[suspects] = _first_of_each(rows[suspects])
    return countable


def _first_of_each(rows: Rows) -> Flags:
    """As :func:`_countable`, for answers in which a row is repeated."""
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    fresh = ordered >= 0
    fresh[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    countable = np.empty_like(fresh)
    np.put_along_axis(countable, order, fresh, axis=1)
    return countable
