"""How sure a mean is, and whether one operating point is really better than another.

Queries are not independent: seven edited copies of one image fail together. So the unit that is resampled is
always the query's *source* (the image it was made from). Per-query values are float64; nan means that the
query does not count for that value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

RESAMPLES_AT_ONCE, DRAWS_AT_ONCE = 1 << 24, 1 << 20
"""Bound memory: resamples × sources that are weighed together, and that are drawn together."""


@dataclass(frozen=True)
class PairedDifference:
    """How much ``a`` exceeds ``b`` on the same queries."""

    mean: float
    low: float
    high: float
    p_value: float
    queries: int
    """Queries that count for both."""


def bootstrap_interval(
    values: Values, sources: Sequence[str], *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> Values:
    """Percentile confidence interval of the mean, resampling sources with replacement.

    ``values``: shape (queries,) or (queries, m), nan = not counted; ``sources``: one name per query. Returns
    shape (2,) or (2, m): the lower and upper ends. The same resamples serve all m columns. As sources may
    have different numbers of queries, each resample's mean is a ratio (sum of values over number of values).
    Fewer than two sources with a value say nothing of the spread: the interval is nan.
    Source: Davison & Hinkley, Bootstrap Methods and their Application (1997), §3.8 (resampling clusters).
    """
    columns = list(values.reshape(len(values), -1).T)
    ends = bootstrap_intervals(columns, sources, resamples=resamples, confidence=confidence, seed=seed)
    return ends.reshape(2, *values.shape[1:])


def bootstrap_intervals(
    columns: Sequence[Values],
    sources: Sequence[str],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Values:
    """:func:`bootstrap_interval` of m columns that are not one array; memory: 8 bytes a source and column."""
    sums, counts, count_of = _totals_by_source(columns, sources)
    means = np.empty((resamples, len(columns)))
    done = 0
    for weights in _resampled_weights(len(sums), resamples, np.random.default_rng(seed)):
        counted = (weights @ counts)[:, count_of]
        means[done : done + len(weights)] = _ratio(weights @ sums, counted)
        done += len(weights)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    interval = np.full((2, len(columns)), np.nan)
    whole = ~np.isnan(means).any(axis=0)
    interval[:, whole] = np.quantile(means[:, whole], tails, axis=0)
    spread = ((counts > 0).sum(axis=0) > 1)[count_of]
    for column in np.flatnonzero(~whole & spread):
        interval[:, column] = np.nanquantile(means[:, column], tails)
    interval[:, ~spread] = np.nan
    return interval


def paired_difference(
    a: Values,
    b: Values,
    sources: Sequence[str],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """Mean of ``a − b`` over the same queries, its bootstrap interval and a permutation p-value.

    ``a``, ``b``: shape (queries,), in the same order; a query that is nan in either does not count. The
    two-sided p-value comes from flipping the sign of all differences of a source together: (1 + at least as
    extreme) / (1 + resamples), never 0. Raises ValueError when no query counts for both.
    Source: Good, Permutation, Parametric and Bootstrap Tests of Hypotheses (2005), §3.7; Phipson & Smyth,
    Permutation P-values Should Never Be Zero (2010).
    """
    difference = a - b
    sums, counts, _ = _totals_by_source([difference], sources)
    total, queries = float(sums.sum()), int(counts.sum())
    if not queries:
        raise ValueError("no query counts in both runs; compare runs over the same queries")
    low, high = bootstrap_interval(difference, sources, resamples=resamples, confidence=confidence, seed=seed)
    rng = np.random.default_rng(seed)
    extreme = 0
    for size in _batches(resamples, len(sums)):
        signs = 2.0 * rng.integers(0, 2, (size, len(sums))) - 1
        extreme += int((np.abs(signs @ sums[:, 0]) >= abs(total) * (1 - 1e-9)).sum())
    return PairedDifference(
        total / queries, float(low), float(high), (1 + extreme) / (1 + resamples), queries
    )


def holm(p_values: Sequence[float]) -> Values:
    """Adjusted p-values, in the given order: reject those ≤ α and the chance of any false alarm is ≤ α.

    Source: Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepwise = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepwise), 1)
    return adjusted


def split_halves(
    sources: Sequence[str], seed: int = 0
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Two complementary masks over the queries: choose the best of many on one, report it on the other.

    All queries of a source fall into the same half; which half depends on the set of sources and ``seed``
    only. The first half has as many sources as the second or one more, so of one source the second is empty.
    """
    source, total = numbered(sources)
    shuffled = np.random.default_rng(seed).permutation(total)
    first = np.isin(source, shuffled[: (total + 1) // 2])
    return first, ~first


def numbered(sources: Sequence[str] | npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], int]:
    """Return each source's place among the sorted different ones, int64, and how many these are.

    A million file names are not made one array of texts, each as wide as the longest of them.
    """
    if isinstance(sources, np.ndarray):
        different, places = np.unique(sources, return_inverse=True)
        return places.astype(np.int64), len(different)
    place_of = {source: place for place, source in enumerate(sorted(set(sources)))}
    return np.fromiter((place_of[source] for source in sources), np.int64, len(sources)), len(place_of)


def _totals_by_source(
    columns: Sequence[Values], sources: Sequence[str]
) -> tuple[Values, Values, npt.NDArray[np.int64]]:
    """Sums of the values of each source, shape (sources, m), and numbers of them where these differ.

    Columns that count the same queries share one column of numbers: ``counts[:, count_of]`` has all m.
    """
    source, total = numbered(sources)
    sums = np.empty((total, len(columns)))
    counts: list[Values] = []
    number_of: dict[bytes, int] = {}
    count_of = np.empty(len(columns), np.int64)
    for column, values in enumerate(columns):
        counted = ~np.isnan(values)
        sums[:, column] = np.bincount(source, np.where(counted, values, 0.0), minlength=total)
        same = number_of.setdefault(np.packbits(counted).tobytes(), len(counts))
        if same == len(counts):
            counts.append(np.bincount(source, counted, minlength=total).astype(np.float64))
        count_of[column] = same
    return sums, np.stack(counts, axis=1) if counts else np.empty((total, 0)), count_of


def _resampled_weights(sources: int, resamples: int, rng: np.random.Generator) -> Iterator[Values]:
    """How often each source was drawn, in as many draws as there are sources: rows of resamples."""
    for size in _batches(resamples, sources):
        weights = np.empty((size, sources))
        most = max(1, DRAWS_AT_ONCE // max(1, sources))
        for first in range(0, size, most):
            part = weights[first : first + most]
            drawn = rng.integers(0, sources, part.shape) + np.arange(len(part))[:, None] * sources
            part[:] = np.bincount(drawn.ravel(), minlength=part.size).reshape(part.shape)
        yield weights


def _batches(resamples: int, sources: int) -> Iterator[int]:
    most = max(1, RESAMPLES_AT_ONCE // max(1, sources))
    for start in range(0, resamples, most):
        yield min(most, resamples - start)


def _ratio(sums: Values, counts: Values) -> Values:
    """``sums / counts``, nan where nothing was counted."""
    ratio: Values = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return ratio
