"""How sure a mean is, and whether one operating point is really better than another.

Queries are not independent: seven edited copies of one image fail together. So the unit that is resampled is
always the query's *source* (the image it was made from). Per-query values are float64; nan means that the
query does not count for that value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

RESAMPLES_AT_ONCE = 1 << 22
"""Bounds memory: resamples × sources drawn together."""


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
    columns = values.reshape(len(values), -1)
    sums, counts = _totals_by_source(columns, sources)
    means = np.concatenate(
        [
            _ratio(weights @ sums, weights @ counts)
            for weights in _resampled_weights(len(sums), resamples, np.random.default_rng(seed))
        ]
    )
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    interval = np.full((2, columns.shape[1]), np.nan)
    whole = ~np.isnan(means).any(axis=0)
    interval[:, whole] = np.quantile(means[:, whole], tails, axis=0)
    spread = (counts > 0).sum(axis=0) > 1
    for column in np.flatnonzero(~whole & spread):
        interval[:, column] = np.nanquantile(means[:, column], tails)
    interval[:, ~spread] = np.nan
    return interval.reshape(2, *values.shape[1:])


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
    sums, counts = _totals_by_source(difference[:, None], sources)
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
    names, source = np.unique(np.asarray(sources), return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    first = np.isin(source, shuffled[: (len(names) + 1) // 2])
    return first, ~first


def _totals_by_source(columns: Values, sources: Sequence[str]) -> tuple[Values, Values]:
    """Sum and number of the values of each source: two arrays of shape (sources, columns)."""
    names, source = np.unique(np.asarray(sources), return_inverse=True)
    counted = ~np.isnan(columns)
    order = np.argsort(source, kind="stable")
    starts = np.searchsorted(source[order], np.arange(len(names)))
    sums = np.add.reduceat(np.where(counted, columns, 0.0)[order], starts, axis=0)
    counts = np.add.reduceat(counted.astype(np.float64)[order], starts, axis=0)
    return sums, counts


def _resampled_weights(sources: int, resamples: int, rng: np.random.Generator) -> Iterator[Values]:
    """How often each source was drawn, in as many draws as there are sources: rows of resamples."""
    for size in _batches(resamples, sources):
        drawn = rng.integers(0, sources, (size, sources)) + np.arange(size)[:, None] * sources
        yield np.bincount(drawn.ravel(), minlength=size * sources).reshape(size, sources).astype(np.float64)


def _batches(resamples: int, sources: int) -> Iterator[int]:
    most = max(1, RESAMPLES_AT_ONCE // max(1, sources))
    for start in range(0, resamples, most):
        yield min(most, resamples - start)


def _ratio(sums: Values, counts: Values) -> Values:
    """``sums / counts``, nan where nothing was counted."""
    ratio: Values = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return ratio
