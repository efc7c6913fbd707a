"""Four measures that the literature calls Recall@K, and mean average precision; each with its own name.

All of them are pure functions that return one float64 per query (nan: the query does not count for this
measure), from one of two judgements of the returned rows:

    distances    how far the returned and the exact neighbours are         knn_recall, nn_recall
    hits         whether the returned row is relevant to the query         relevant_recall, hit_rate,
                                                                           average_precision

Both are made once per operating point and read at every cut-off. A returned row of −1 (nothing found) and
a row returned twice keep their rank and never count. :func:`evaluate` does all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lookalike.evaluate.exact import Floats, Neighbours, Rows
from lookalike.evaluate.statistics import Values, bootstrap_intervals
from lookalike.machine.mapping import forget

if TYPE_CHECKING:
    from lookalike.queries.relevance import Relevance

Flags = npt.NDArray[np.bool_]

PLACES_AT_ONCE = 1 << 21
"""Bounds memory: queries × neighbours that are judged together."""
Curve = dict[int, float]


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
    {"relevant_recall": relevant_recall, "hit_rate": hit_rate, "map": average_precision}
)


def meaning_of(measure: str) -> str:
    """Return what a measure is, for a reader of the report: the first line of its function's docstring."""
    function = {**VS_EXACT, **VS_RELEVANCE}[measure]
    return (function.__doc__ or "").partition("\n")[0].rstrip(".")


@dataclass(frozen=True)
class Evaluation:
    """What one operating point scored; measures that no query counts for are left out."""

    curves: dict[str, Curve]
    """Measure → cut-off → mean over the queries that count."""
    intervals: dict[str, dict[int, tuple[float, float]]]
    """Measure → cut-off → bootstrap confidence interval of that mean."""
    by_edit: dict[str, dict[str, Curve]]
    """Edit → measure → cut-off → mean; empty when the protocol has no edits."""
    per_query: dict[str, dict[int, Values]]
    """Measure → cut-off → one value per query, nan where it does not count."""
    queries: int
    without_relevance: int
    """Queries to which no gallery image is relevant; all of them when the protocol has no relevance."""
    tied_at_k: int
    """Queries whose k-th and (k + 1)-th exact distances are equal within the tolerance."""
    missing_results: int
    """Places among the first k for which the index returned nothing though the gallery had a row."""


def evaluate(
    rows: Rows,
    scores: Floats,
    exact: Neighbours,
    relevance: Relevance | None,
    *,
    k: int,
    metric: str,
    cutoffs: Sequence[int],
    tolerance: float,
    sources: Sequence[str],
    edits: Sequence[str] | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    dropped: int = 0,
) -> Evaluation:
    """All measures of one operating point, at the cut-offs up to k and at k itself.

    ``rows``: what the index returned, int64 (queries, ≥ k + ignored), best first, −1 = nothing; ``scores``:
    their recomputed scores, float32, same shape; ``exact``: at least k + ignored + 1 deep (−1 beyond the
    gallery's end), where ignored is the largest number that any query ignores; ``sources``, ``edits``: one
    per query. Without ``relevance`` there are knn_recall and nn_recall only; ``resamples=0`` leaves the
    intervals out. Relevance is judged behind the first ``dropped`` rows, which the answers have to be deeper
    by. Raises ValueError when answers or exact neighbours are not deep enough.
    """
    _check_depths(rows.shape[1] - dropped, exact.depth, k, relevance)
    kept = sorted({cutoff for cutoff in cutoffs if cutoff < k} | {k})
    names = VS_EXACT if relevance is None else (*VS_EXACT, *VS_RELEVANCE)
    per_query = {name: {cutoff: np.empty(len(rows)) for cutoff in kept} for name in names}
    tied_at_k = missing_results = 0
    block = max(1, PLACES_AT_ONCE // max(1, rows.shape[1], exact.depth))
    for first in range(0, len(rows), block):
        part = slice(first, first + block)
        found_rows, found_scores = rows[part], scores[part]
        exact_rows, exact_scores = exact.rows[part], exact.scores[part]
        if relevance is not None:
            found_rows, found_scores = drop_ignored(found_rows, found_scores, relevance, k + dropped, first)
            exact_rows, exact_scores = drop_ignored(exact_rows, exact_scores, relevance, exact.depth, first)
        found_distances = distances(found_rows[:, :k], found_scores[:, :k], metric)
        exact_distances = distances(exact_rows, exact_scores, metric)
        for name, against_exact in VS_EXACT.items():
            for cutoff in kept:
                per_query[name][cutoff][part] = against_exact(
                    found_distances, exact_distances, cutoff, tolerance
                )
        if relevance is not None:
            hits = relevant_hits(found_rows[:, dropped : k + dropped], relevance, first)
            for name, against_relevance in VS_RELEVANCE.items():
                for cutoff in kept:
                    per_query[name][cutoff][part] = against_relevance(
                        hits, relevance.relevant_counts[part], cutoff
                    )
        tied_at_k += _count_ties(exact_distances, k, tolerance)
        missing_results += int(((found_rows[:, :k] < 0) & np.isfinite(exact_distances[:, :k])).sum())
        for mapped in (exact.rows, exact.scores):
            forget(mapped)
    per_query = {name: curve for name, curve in per_query.items() if not np.isnan(curve[k]).all()}
    without = len(rows) if relevance is None else int((relevance.relevant_counts == 0).sum())
    return Evaluation(
        curves=_mean_curves(per_query, np.ones(len(rows), bool)),
        intervals=_intervals(per_query, sources, resamples, confidence, seed),
        by_edit=_curves_by_edit(per_query, edits),
        per_query=per_query,
        queries=len(rows),
        without_relevance=without,
        tied_at_k=tied_at_k,
        missing_results=missing_results,
    )


def _check_depths(returned: int, exact: int, k: int, relevance: Relevance | None) -> None:
    needed = k + (0 if relevance is None else relevance.max_ignored)
    if returned < needed or exact <= needed:
        raise ValueError(
            f"{returned} returned and {exact} exact neighbours per query are too few for k = {k}; "
            f"search for {needed} and keep at least {needed + 1} exact ones"
        )


def _share(part: npt.NDArray[np.generic], whole: Rows) -> Values:
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


def _count_ties(exact: Values, k: int, tolerance: float) -> int:
    """Queries whose exact neighbours k and k + 1 are equally near."""
    last, following = exact[:, k - 1], exact[:, k]
    known = np.isfinite(following)
    return int((following[known] - last[known] <= tolerance * np.abs(last[known])).sum())


def _mean_curves(per_query: dict[str, dict[int, Values]], chosen: Flags) -> dict[str, Curve]:
    """Means over the chosen queries; a measure that none of them counts for is left out."""
    curves = {}
    for name, curve in per_query.items():
        values = {cutoff: of_all[chosen] for cutoff, of_all in curve.items()}
        if not any(np.isnan(of_chosen).all() for of_chosen in values.values()):
            curves[name] = {cutoff: float(np.nanmean(of_chosen)) for cutoff, of_chosen in values.items()}
    return curves


def _curves_by_edit(
    per_query: dict[str, dict[int, Values]], edits: Sequence[str] | None
) -> dict[str, dict[str, Curve]]:
    if edits is None:
        return {}
    names = np.asarray(edits)
    return {edit: _mean_curves(per_query, names == edit) for edit in dict.fromkeys(edits)}


def _intervals(
    per_query: dict[str, dict[int, Values]],
    sources: Sequence[str],
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, dict[int, tuple[float, float]]]:
    """All intervals from the same resamples; those that are not defined (one source) are left out."""
    columns = [(name, cutoff) for name, curve in per_query.items() for cutoff in curve]
    if not resamples or not columns:
        return {}
    values = [per_query[name][cutoff] for name, cutoff in columns]
    ends = bootstrap_intervals(values, sources, resamples=resamples, confidence=confidence, seed=seed)
    intervals: dict[str, dict[int, tuple[float, float]]] = {}
    for (name, cutoff), (low, high) in zip(columns, ends.T.tolist(), strict=True):
        if not np.isnan(low):
            intervals.setdefault(name, {})[cutoff] = (low, high)
    return intervals
