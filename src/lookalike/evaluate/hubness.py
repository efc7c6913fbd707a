"""Hubs, which are near neighbours of many queries, and anti-hubs, of few: which of them an index misses.

The k-occurrence N_k(x) of a gallery vector is the number of queries whose exact k nearest it is among.
Source: Radovanović, Nanopoulos & Ivanović, Hubs in Space (2010), §2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lookalike.evaluate.exact import Neighbours, Rows
from lookalike.evaluate.intervals import Values
from lookalike.evaluate.measures import distances, drop_ignored
from lookalike.evaluate.statistics import bootstrap_interval
from lookalike.queries.relevance import Relevance


@dataclass(frozen=True)
class MissedNeighbours:
    """How often missed neighbours are neighbours of other queries, beside found ones of the same ranks."""

    missed: int
    """Exact neighbours that were not returned, of those that count."""
    queries: int
    """Queries that miss any."""
    occurrences: float
    """Mean number of other queries that a missed neighbour is a neighbour of."""
    expected: float
    """The same of found neighbours, at the ranks of the missed ones."""
    low: float
    high: float
    """Interval, over the sources, of the mean of a query's ``occurrences − expected``; nan of one source."""


def occurrences(rows: Rows, gallery_size: int) -> Rows:
    """Return N_k of every gallery vector, int64 (gallery_size,). ``rows``: (queries, k), −1 = none."""
    return np.bincount(rows[rows >= 0], minlength=gallery_size)


def skewness(counts: Rows) -> float:
    """Return the third standardised moment of N_k over the gallery; nan when all are equal.

    The larger, the more of all neighbours are a few hubs. See :func:`skewness_by_chance`.
    """
    centred = counts - counts.mean()
    variance = (centred**2).mean()
    return float((centred**3).mean() / variance**1.5) if variance > 0 else float("nan")


def skewness_by_chance(queries: int, k: int, gallery_size: int) -> float:
    """Return what :func:`skewness` is where each query's k neighbours are drawn at random: a binomial's.

    Of few queries against a large gallery that is much by itself: most vectors are nobody's neighbour.
    """
    p = k / gallery_size
    return float((1 - 2 * p) / np.sqrt(queries * p * (1 - p))) if 0 < p < 1 else float("nan")


def exact_answers(
    exact: Neighbours, relevance: Relevance, k: int, metric: str, tolerance: float
) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Return each query's exact k neighbours without what the protocol ignores, and whether others would do.

    Rows are int64 (queries, k), −1 = none. Others would do for a query where its k-th and (k + 1)-th
    neighbours are equally far, within the relative ``tolerance``.
    """
    rows, scores = drop_ignored(exact.rows, exact.scores, relevance, k + 1)
    far = distances(rows, scores, metric)
    last, following = far[:, k - 1], far[:, -1]
    with np.errstate(invalid="ignore"):
        tied = np.isfinite(following) & (following - last <= tolerance * np.abs(last))
    return rows[:, :k], tied


def missed_neighbours(
    found: Rows,
    answers: Rows,
    counts: Rows,
    sources: Sequence[str],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> MissedNeighbours | None:
    """Return whether the neighbours that were missed are hubs or anti-hubs.

    ``found``, ``answers``: returned and exact rows without ignored ones, int64 (queries, k), −1 = none; a
    query whose answers are all −1 does not count. ``counts``: :func:`occurrences` of all exact answers. A
    missed neighbour is compared with what was found at the same rank, because far neighbours are missed more
    often and differ in their occurrences too. The query itself is not counted.
    None where fewer than 10 queries miss any; ``resamples=0``: without the interval.
    """
    missed = ~_among(answers, found) & (answers >= 0)
    of_others = np.where(answers >= 0, counts[answers] - 1, 0)
    kept = ~missed & (answers >= 0)
    found_there = kept.sum(axis=0)
    usual = np.where(kept, of_others, 0).sum(axis=0) / np.maximum(found_there, 1)
    missed &= found_there > 0
    of_query = missed.sum(axis=1)
    losing = of_query > 0
    if losing.sum() < 10:
        return None
    excess = np.where(missed, of_others - usual, 0.0).sum(axis=1)
    means: Values = np.divide(excess, of_query, out=np.full(len(excess), np.nan), where=losing)
    low = high = float("nan")
    if resamples:
        low, high = bootstrap_interval(means, sources, resamples=resamples, confidence=confidence)
    return MissedNeighbours(
        missed=int(of_query.sum()),
        queries=int(losing.sum()),
        occurrences=float(of_others[missed].mean()),
        expected=float(np.broadcast_to(usual, missed.shape)[missed].mean()),
        low=float(low),
        high=float(high),
    )


def _among(rows: Rows, others: Rows) -> npt.NDArray[np.bool_]:
    """Which of ``rows`` are among the same query's ``others``."""
    apart = int(max(rows.max(initial=0), others.max(initial=0))) + 2
    first = apart * np.arange(len(rows))[:, None]
    ascending = (np.sort(others, axis=1) + first).ravel()
    wanted = (rows + first).ravel()
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.asarray(ascending[places] == wanted).reshape(rows.shape)
