"""Whether one operating point is really better than another, and how sure a mean without bounds is.

Queries are not independent: seven edited copies of one image fail together. So what is permuted, resampled
and halved is always the query's *source* (the image it was made from). Per-query values are float64; nan
means that the query does not count for that value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from lookalike.evaluate.intervals import Values, mean_intervals, numbered

AT_ONCE = 1 << 20
"""Bounds memory: resamples, or permutations, × sources that are drawn together."""


@dataclass(frozen=True)
class PairedDifference:
    """How much ``a`` exceeds ``b`` on the same queries."""

    mean: float
    low: float
    high: float
    p_value: float
    queries: int
    """Queries that count for both."""


def paired_difference(
    a: Values,
    b: Values,
    sources: Sequence[str],
    *,
    permutations: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """Mean of ``a − b`` over the same queries, its confidence interval and a permutation p-value.

    ``a``, ``b``: shape (queries,), between 0 and 1, in the same order; a query that is nan in either does not
    count. The interval is that of :func:`lookalike.evaluate.intervals.mean_intervals` between −1 and 1: where
    no query differs it still says how large a difference was not seen. The two-sided p-value comes from
    flipping the sign of all differences of a source together: (1 + at least as extreme) / (1 + permutations),
    never 0. Raises ValueError when no query counts for both.
    Source: Good, Permutation, Parametric and Bootstrap Tests of Hypotheses (2005), §3.7; Phipson & Smyth,
    Permutation P-values Should Never Be Zero (2010).
    """
    difference = a - b
    counted = ~np.isnan(difference)
    queries = int(counted.sum())
    if not queries:
        raise ValueError("no query counts in both runs; compare runs over the same queries")
    ends = mean_intervals([difference], sources, confidence=confidence, lowest=-1, highest=1)
    source, total = numbered(sources)
    sums = np.bincount(source, np.where(counted, difference, 0.0), minlength=total)
    rng = np.random.default_rng(seed)
    extreme = 0
    for size in _batches(permutations, total):
        signs = 2.0 * rng.integers(0, 2, (size, total)) - 1
        extreme += int((np.abs(signs @ sums) >= abs(sums.sum()) * (1 - 1e-9)).sum())
    return PairedDifference(
        float(sums.sum()) / queries,
        float(ends[0, 0]),
        float(ends[1, 0]),
        (1 + extreme) / (1 + permutations),
        queries,
    )


def bootstrap_interval(
    values: Values, sources: Sequence[str], *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile confidence interval of a mean of values without bounds, resampling sources.

    ``values``: shape (queries,), nan = not counted; ``sources``: one name per query. As sources may have
    different numbers of queries, each resample's mean is a ratio (sum of values over number of values). Of
    values that are nearly all the same it is too narrow: those between 0 and 1 have
    :func:`lookalike.evaluate.intervals.mean_intervals`. Fewer than two sources with a value: nan.
    Source: Davison & Hinkley, Bootstrap Methods and their Application (1997), §3.8 (resampling clusters).
    """
    counted = ~np.isnan(values)
    source, different = numbered([name for name, counts in zip(sources, counted, strict=True) if counts])
    if different < 2:
        return float("nan"), float("nan")
    sums, counts = np.bincount(source, values[counted]), np.bincount(source)
    rng, means = np.random.default_rng(seed), []
    for size in _batches(resamples, different):
        drawn = rng.integers(0, different, (size, different))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return low, high


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


def split_sources(
    sources: Sequence[str], share: float = 0.5, seed: int = 0
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Two complementary masks over the queries: choose the best of many on the first, state it on the second.

    All queries of a source fall into the same part; which one depends on the set of sources, ``share`` and
    ``seed`` only. The first part has a ``share`` of the sources, rounded up, but leaves one where there are
    two or more; of one source the second is empty.
    """
    source, total = numbered(sources)
    shuffled = np.random.default_rng(seed).permutation(total)
    first = np.isin(source, shuffled[: max(1, min(ceil(share * total), total - 1))])
    return first, ~first


def _batches(draws: int, sources: int) -> Iterator[int]:
    most = max(1, AT_ONCE // max(1, sources))
    for start in range(0, draws, most):
        yield min(most, draws - start)
