"""All measures of one operating point: what was found, judged against exact neighbours and relevance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lookalike.evaluate.classes import ClassResults, NumberedClasses, results_by_class
from lookalike.evaluate.exact import Neighbours, Rows
from lookalike.evaluate.intervals import Values, mean_intervals
from lookalike.evaluate.measures import (
    AT_R,
    HIT_OR_MISS,
    VS_EXACT,
    VS_RELEVANCE,
    Flags,
    distances,
    drop_ignored,
    relevant_hits,
)
from lookalike.machine.mapping import release_pages
from lookalike.schemas import Measures

if TYPE_CHECKING:
    from lookalike.queries.relevance import Relevance

PLACES_AT_ONCE = 1 << 21
"""Bounds memory: queries × neighbours that are judged together."""
PRECISION_CUTOFF = 10
"""Where the precision of each class is read, if it is among the cut-offs."""
Curve = dict[int, float]
PerQuery = dict[str, dict[int, Values]]
"""Measure → cut-off → one value per query, nan where it does not count."""


@dataclass(frozen=True)
class Reference:
    """What the answers to the queries are judged against."""

    exact: Neighbours
    relevance: Relevance | None
    """None: the answers are compared with the exact ones only."""
    sources: Sequence[str]
    """Per query, equal for those that may be alike: edited copies of one image, images of one class."""
    edits: Sequence[str] | None = None
    """Per query, the stratum that results are also given for."""
    classes: NumberedClasses | None = None
    """Where relevance is by class."""


@dataclass(frozen=True)
class Evaluation:
    """What one operating point scored; measures that no query counts for are left out."""

    curves: dict[str, Curve]
    """Measure → cut-off → mean over the queries that count."""
    intervals: dict[str, dict[int, tuple[float, float]]]
    """Measure → cut-off → confidence interval of that mean."""
    missed: dict[str, dict[int, tuple[int, int]]]
    """Measure → cut-off → how many were missed, of how many: exact neighbours of all queries together for
    knn_recall, queries for measures that are 1 or 0; other measures count nothing."""
    by_edit: dict[str, dict[str, Curve]]
    """Edit → measure → cut-off → mean; empty when the protocol has no edits."""
    by_class: ClassResults | None
    """None when relevance is not by class."""
    per_query: PerQuery
    queries: int
    without_relevance: int
    """Queries to which no gallery image is relevant; all of them when the protocol has no relevance."""
    relevant_beyond_k: int
    """Queries to which more than k gallery images are relevant: those measures do not count them that need
    as many answers (:data:`~lookalike.evaluate.measures.AT_R`).
    """
    tied_at_k: int
    """Queries whose k-th and (k + 1)-th exact distances are equal within the tolerance."""
    missing_results: int
    """Places among the first k for which the index returned nothing though the gallery had a row."""


def evaluate(
    found: Neighbours, reference: Reference, *, k: int, metric: str, measures: Measures
) -> Evaluation:
    """Return all measures of one operating point, at the cut-offs of ``measures`` up to k and at k itself.

    ``found``: what the index returned, best first, −1 = nothing, with recomputed scores; it is k + ignored
    deep or deeper, where ignored is the largest number of rows that any query ignores, and one more with
    ``measures.drop_first``, behind whose row relevance is judged. The exact neighbours of ``reference`` are
    at least k + ignored + 1 deep (−1 beyond the gallery's end). Without its relevance there are knn_recall
    and nn_recall only; ``measures.bootstrap=0`` leaves the intervals out.
    Raises ValueError when found or exact neighbours are not deep enough.
    """
    relevance, n = reference.relevance, len(found)
    _check_depths(found.depth - int(measures.drop_first), reference.exact.depth, k, relevance)
    cutoffs = sorted({cutoff for cutoff in measures.cutoffs if cutoff < k} | {k})
    names = VS_EXACT if relevance is None else (*VS_EXACT, *VS_RELEVANCE)
    per_query = {name: {at: np.empty(n) for at in ([k] if name in AT_R else cutoffs)} for name in names}
    first, first_is_right = np.full(n, -1), np.zeros(n, bool)
    missed = dict.fromkeys(cutoffs, (0, 0))
    tied_at_k = missing_results = 0
    for part in _blocks(n, max(found.depth, reference.exact.depth)):
        judged = _judge(found, reference, part, k=k, metric=metric, dropped=int(measures.drop_first))
        for cutoff in cutoffs:
            for name, values in _measure(judged, cutoff, k, measures.tie_tolerance).items():
                per_query[name][cutoff][part] = values
            places = np.isfinite(judged.exact[:, :cutoff]).sum(axis=1)
            lost = np.nansum((1 - per_query["knn_recall"][cutoff][part]) * places)
            missed[cutoff] = (missed[cutoff][0] + round(lost), missed[cutoff][1] + int(places.sum()))
        if judged.hits is not None:
            first[part], first_is_right[part] = judged.first, judged.hits[:, 0]
        tied_at_k += _count_ties(judged.exact, k, measures.tie_tolerance)
        missing_results += judged.missing
    per_query = {name: curve for name, curve in per_query.items() if not np.isnan(curve[k]).all()}
    return Evaluation(
        curves=_mean_curves(per_query, np.ones(n, bool)),
        intervals=_intervals(per_query, reference.sources, measures),
        missed=({"knn_recall": missed} if "knn_recall" in per_query else {}) | _missed(per_query),
        by_edit=_curves_by_edit(per_query, reference.edits),
        by_class=_by_class(reference, first, first_is_right, per_query, k),
        per_query=per_query,
        queries=n,
        without_relevance=n if relevance is None else int((relevance.relevant_counts == 0).sum()),
        relevant_beyond_k=0 if relevance is None else int((relevance.relevant_counts > k).sum()),
        tied_at_k=tied_at_k,
        missing_results=missing_results,
    )


def evaluate_exact(reference: Reference, *, k: int, metric: str, measures: Measures) -> PerQuery:
    """Return what the exact neighbours themselves score per query against relevance; {} without relevance.

    It is what the queries would get of an index that loses nothing: the yardstick of what a loss of
    ``knn_recall`` costs. Cut-offs, ignored rows and ``drop_first`` as in :func:`evaluate`.
    """
    if reference.relevance is None:
        return {}
    without_intervals = replace(measures, bootstrap=0)
    answer = evaluate(reference.exact, reference, k=k, metric=metric, measures=without_intervals)
    return {name: curve for name, curve in answer.per_query.items() if name in VS_RELEVANCE}


def _check_depths(returned: int, exact: int, k: int, relevance: Relevance | None) -> None:
    needed = k + (0 if relevance is None else relevance.max_ignored)
    if returned < needed or exact <= needed:
        raise ValueError(
            f"{returned} returned and {exact} exact neighbours per query are too few for k = {k}; "
            f"search for {needed} and keep at least {needed + 1} exact ones"
        )


def _blocks(n: int, depth: int) -> Iterator[slice]:
    size = max(1, PLACES_AT_ONCE // max(1, depth))
    yield from (slice(first, first + size) for first in range(0, n, size))


@dataclass(frozen=True)
class _Judged:
    """A block of answers without the rows that the protocol ignores, and the exact ones beside them."""

    found: Values
    """Distances, shape (queries, k)."""
    exact: Values
    """Distances, shape (queries, depth)."""
    missing: int
    """Places for which nothing was returned though the gallery had a row."""
    hits: Flags | None = None
    """Which returned rows are relevant, shape (queries, k); None without relevance."""
    first: Rows | None = None
    """The first of them, whether it is relevant or not."""
    relevant_counts: np.ndarray | None = None


def _judge(
    found: Neighbours, reference: Reference, part: slice, *, k: int, metric: str, dropped: int
) -> _Judged:
    rows, scores = found.rows[part], found.scores[part]
    exact, relevance = reference.exact, reference.relevance
    exact_rows, exact_scores = exact.rows[part], exact.scores[part]
    hits = leading = counts = None
    if relevance is not None:
        first = part.start
        rows, scores = drop_ignored(rows, scores, relevance, k + dropped, first)
        exact_rows, exact_scores = drop_ignored(exact_rows, exact_scores, relevance, exact.depth, first)
        hits, leading = relevant_hits(rows[:, dropped : k + dropped], relevance, first), rows[:, dropped]
        counts = relevance.relevant_counts[part]
    exact_distances = distances(exact_rows, exact_scores, metric)
    missing = int(((rows[:, :k] < 0) & np.isfinite(exact_distances[:, :k])).sum())
    for mapped in (exact.rows, exact.scores):
        release_pages(mapped)
    found_distances = distances(rows[:, :k], scores[:, :k], metric)
    return _Judged(found_distances, exact_distances, missing, hits, leading, counts)


def _measure(judged: _Judged, cutoff: int, k: int, tolerance: float) -> dict[str, Values]:
    values = {
        name: against_exact(judged.found, judged.exact, cutoff, tolerance)
        for name, against_exact in VS_EXACT.items()
    }
    if judged.hits is not None and judged.relevant_counts is not None:
        for name, against_relevance in VS_RELEVANCE.items():
            if cutoff == k or name not in AT_R:
                values[name] = against_relevance(judged.hits, judged.relevant_counts, cutoff)
    return values


def _count_ties(exact: Values, k: int, tolerance: float) -> int:
    """Queries whose exact neighbours k and k + 1 are equally near."""
    last, following = exact[:, k - 1], exact[:, k]
    known = np.isfinite(following)
    return int((following[known] - last[known] <= tolerance * np.abs(last[known])).sum())


def _mean_curves(per_query: PerQuery, chosen: Flags) -> dict[str, Curve]:
    """Means over the chosen queries; a measure that none of them counts for is left out."""
    curves = {}
    for name, curve in per_query.items():
        values = {cutoff: of_all[chosen] for cutoff, of_all in curve.items()}
        if not any(np.isnan(of_chosen).all() for of_chosen in values.values()):
            curves[name] = {cutoff: float(np.nanmean(of_chosen)) for cutoff, of_chosen in values.items()}
    return curves


def _curves_by_edit(per_query: PerQuery, edits: Sequence[str] | None) -> dict[str, dict[str, Curve]]:
    if edits is None:
        return {}
    names = np.asarray(edits)
    return {edit: _mean_curves(per_query, names == edit) for edit in dict.fromkeys(edits)}


def _by_class(
    reference: Reference, first: Rows, right: Flags, per_query: PerQuery, k: int
) -> ClassResults | None:
    """The results of each class, with means where a table has room: precision at 10, recall at k."""
    if reference.classes is None or reference.relevance is None or "precision" not in per_query:
        return None
    at = PRECISION_CUTOFF if PRECISION_CUTOFF in per_query["precision"] else k
    means = {f"precision@{at}": per_query["precision"][at]}
    means[f"relevant_recall@{k}"] = per_query["relevant_recall"][k]
    return results_by_class(reference.classes, first, right, reference.relevance.relevant_counts, means)


def _missed(per_query: PerQuery) -> dict[str, dict[int, tuple[int, int]]]:
    """Of the measures that are 1 or 0: the queries that missed, and those that count."""
    return {
        name: {
            cutoff: (int((values == 0).sum()), int((~np.isnan(values)).sum()))
            for cutoff, values in curve.items()
        }
        for name, curve in per_query.items()
        if name in HIT_OR_MISS
    }


def _intervals(
    per_query: PerQuery, sources: Sequence[str], measures: Measures
) -> dict[str, dict[int, tuple[float, float]]]:
    """All intervals; those that are not defined (one source) are left out."""
    columns = [(name, cutoff) for name, curve in per_query.items() for cutoff in curve]
    if not measures.bootstrap or not columns:
        return {}
    values = [per_query[name][cutoff] for name, cutoff in columns]
    ends = mean_intervals(values, sources, confidence=measures.confidence)
    intervals: dict[str, dict[int, tuple[float, float]]] = {}
    for (name, cutoff), (low, high) in zip(columns, ends.T.tolist(), strict=True):
        if not np.isnan(low):
            intervals.setdefault(name, {})[cutoff] = (low, high)
    return intervals
