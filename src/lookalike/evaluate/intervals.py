"""Confidence intervals of means of bounded values, of queries that may belong together.

Near 1, where recall is wanted, the usual intervals fail: a bootstrap of 100 queries that all hit says 1 to 1.
These use what is known of the values, their bounds: to those that were seen one is added at the lowest
possible value (for the lower end; at the highest for the upper), all are weighted at random, and the end is a
quantile of the weighted mean. Of zeros and ones that is the interval of Clopper & Pearson.

``experiments/truth`` shows by simulation how often they hold the truth, and how wide they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

BINS = 256
"""Values are counted in so many bins, each standing at the mean of what it holds: k + 1 shares of up to 100
neighbours keep a bin each."""
ALIKE = 0.5
"""Misses of whole clusters that are taken to have been seen beside the ones that were."""
ROUNDING = 1e-6
"""How far a value may lie beyond its bounds: a sum of shares does, by rounding."""
STEPS = 60
"""Of the search for a quantile, at most."""


def mean_intervals(
    columns: Sequence[Values],
    sources: Sequence[str] | npt.NDArray[Any],
    *,
    confidence: float = 0.95,
    lowest: float = 0.0,
    highest: float = 1.0,
) -> Values:
    """Confidence intervals of the means of m columns, shape (2, m): lower and upper ends.

    ``columns``: float64 of shape (queries,) each, nan = not counted, all others between ``lowest`` and
    ``highest`` (else ValueError); ``sources``: one name per query, equal for queries that may be alike. Of
    independent values it is Gaffke's interval, of zeros and ones Clopper and Pearson's: it holds the mean
    with the stated confidence whatever the values' distribution. Where every value is ``highest``, the upper
    end is too, and the interval is a lower bound. Fewer than two sources with a value say nothing of how
    alike a source's queries are: the interval is nan. Nothing is drawn at random.

    Queries of one source count as the number of independent ones that say as much, n / deff. The design
    effect is deff = 1 + ρ·(Σ n_s² / n − 1), n_s of n queries being of source s. ρ, how alike a source's
    queries are, is estimated by analysis of variance, between 0 and 1, as if half a miss more had been seen,
    of a whole source: (f·ρ + ½) / (f + ½), where f = Σ |value − median| / (highest − lowest) / deff is the
    number of independent misses. So few misses leave room for sources that fail whole, and where all values
    are the same, n / deff is the number of sources (of equally many queries).

    Source: Gaffke, Three test statistics for a nonparametric one-sided hypothesis on the mean of a
    nonnegative variable (2005), as in Learned-Miller & Thomas, A New Confidence Interval for the Mean of a
    Bounded Random Variable (2020); Clopper & Pearson (1934); Korn & Graubard, Confidence Intervals for
    Proportions with Small Expected Number of Positive Counts Estimated from Survey Data (1998), for the
    effective number; Kish, Survey Sampling (1965), §5.4, for deff and ρ. The quantile is Barndorff-Nielsen's
    r*; its tail is a Beta's to 5 %, mostly 0.1 %.
    """
    source, total = numbered(sources)
    sizes = np.bincount(source, minlength=total).astype(np.float64)
    ends = np.full((2, len(columns)), np.nan)
    kept: list[int] = []
    binned: list[tuple[Values, Values]] = []
    for column, values in enumerate(columns):
        counted = ~np.isnan(values)
        whole = bool(counted.all())
        scaled = ((values if whole else values[counted]) - lowest) / (highest - lowest)
        if len(scaled) and not (scaled.min() >= -ROUNDING and scaled.max() <= 1 + ROUNDING):
            raise ValueError(f"a value of column {column} is not between {lowest:g} and {highest:g}")
        scaled = np.clip(scaled, 0, 1)
        of_source = source if whole else source[counted]
        of_size = sizes if whole else np.bincount(of_source, minlength=total).astype(np.float64)
        if np.count_nonzero(of_size) > 1:
            at, count = _counted(scaled)
            alike = _effective(scaled, of_source, of_size, at, count) / len(scaled)
            kept.append(column)
            binned.append((at, count * alike))
    z = NormalDist().inv_cdf((1 - confidence) / 2)
    ends[0, kept] = lowest + (highest - lowest) * _lower_ends(binned, z)
    ends[1, kept] = highest - (highest - lowest) * _lower_ends([(1 - at, n) for at, n in binned], z)
    return ends


def mean_interval(
    values: Values, sources: Sequence[str] | npt.NDArray[Any], *, confidence: float = 0.95
) -> tuple[float, float]:
    """:func:`mean_intervals` of one column between 0 and 1."""
    low, high = mean_intervals([values], sources, confidence=confidence)[:, 0].tolist()
    return low, high


def numbered(sources: Sequence[str] | npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], int]:
    """Return each source's place among the sorted different ones, int64, and how many these are.

    A million file names are not made one array of texts, each as wide as the longest of them.
    """
    if isinstance(sources, np.ndarray):
        different, places = np.unique(sources, return_inverse=True)
        return places.astype(np.int64), len(different)
    place_of = {source: place for place, source in enumerate(sorted(set(sources)))}
    return np.fromiter((place_of[source] for source in sources), np.int64, len(sources)), len(place_of)


def _counted(scaled: Values) -> tuple[Values, Values]:
    """The mean and the number of the values of each bin that holds any."""
    places = np.minimum((scaled * BINS).astype(np.int64), BINS)
    counts = np.bincount(places, minlength=BINS + 1)
    sums = np.bincount(places, scaled, minlength=BINS + 1)
    some = counts > 0
    return np.clip(sums[some] / counts[some], 0, 1), counts[some].astype(np.float64)


def _effective(
    scaled: Values, source: npt.NDArray[np.int64], sizes: Values, at: Values, count: Values
) -> float:
    """How many independent values say as much of the mean; ``at`` and ``count`` are :func:`_counted`'s."""
    n, clusters = len(scaled), np.count_nonzero(sizes)
    if clusters == n:
        return float(n)
    size = float(sizes @ sizes) / n
    off = scaled - count @ at / n
    totals = np.bincount(source, off, minlength=len(sizes))
    between = float(totals @ (totals / np.maximum(sizes, 1)))
    mean_square = between / (clusters - 1)
    within = max(0.0, float(off @ off) - between) / (n - clusters)
    spread = mean_square + ((n - size) / (clusters - 1) - 1) * within
    alike = min(1.0, max(0.0, (mean_square - within) / spread)) if spread > 1e-12 else 1.0
    median = at[np.searchsorted(count.cumsum(), n / 2)]
    misses = float(count @ np.abs(at - median)) / (1 + alike * (size - 1))
    alike = (misses * alike + ALIKE) / (misses + ALIKE)
    return n / (1 + alike * (size - 1))


def _lower_ends(binned: Sequence[tuple[Values, Values]], z: float) -> Values:
    """The quantile Φ(z) of the mean of each column's values and one 0, weighted by Gamma variables.

    Columns of few different values are searched together, and so are those of many.
    """
    ends = np.empty(len(binned))
    widths = np.array([len(at) for at, _ in binned], np.int64)
    for few in (True, False):
        chosen = np.flatnonzero((widths <= 2) == few)
        if not len(chosen):
            continue
        at = np.zeros((len(chosen), widths[chosen].max() + 1))
        number = np.zeros(at.shape)
        number[:, 0] = 1
        for row, column in enumerate(chosen.tolist()):
            places = slice(1, widths[column] + 1)
            at[row, places], number[row, places] = binned[column]
        ends[chosen] = _quantile(at, number, z)
    return ends


def _quantile(at: Values, number: Values, z: float) -> Values:
    """Where r* of the weighted mean is z: how far the weights have to lean towards 0, and the mean there.

    log(−r*) rises nearly as straight as the logarithm of the lean, so that a secant is soon there; where it
    leaves what is known to hold the answer, that is halved.
    """
    low, high = np.full(len(at), -30.0), np.full(len(at), 60.0)
    middle = (number * at).sum(axis=1) / number.sum(axis=1)
    spread = np.sqrt((number * (at - middle[:, None]) ** 2).sum(axis=1))
    lean = np.clip(np.log(-z / np.maximum(spread, 1e-12)), -29, 59)
    before, off_before = lean - 1, np.full(len(at), -1.0)
    means: Values = middle
    for _ in range(STEPS):
        means, r_star = _leaning(at, number, lean)
        off = np.where(r_star < 0, np.log(np.maximum(-r_star, 1e-300) / -z), -np.inf)
        if (np.abs(off)[spread > 0] < 1e-10).all() or (high - low).max() < 1e-9:
            break
        high, low = np.where(off > 0, lean, high), np.where(off > 0, low, lean)
        with np.errstate(all="ignore"):
            following = lean - off * (lean - before) / (off - off_before)
        inside = (following > low) & (following < high)
        before, off_before = lean, off
        lean = np.where(inside, following, (low + high) / 2)
    return means


def _leaning(at: Values, number: Values, lean: Values) -> tuple[Values, Values]:
    """Weighted means, and the standard normal deviates of the chances to be below them.

    The mean is at most c where Σ G·(at − c) ≤ 0, G ~ Gamma(number): a saddlepoint approximation, its
    saddlepoint given and c the outcome.
    """
    tilt: Values = 1 + np.exp(lean)[:, None] * at
    weights = number / tilt
    means: Values = (weights * at).sum(axis=1) / weights.sum(axis=1)
    scale = 1 + np.exp(lean) * means
    ratio = tilt / scale[:, None]
    root = -np.sqrt(np.maximum(2 * (number * np.log(ratio)).sum(axis=1), 0))
    spread = np.sqrt((number * ((at - means[:, None]) / ratio) ** 2).sum(axis=1))
    far = root < -0.05
    skew = np.divide(-np.exp(lean) / scale * spread, root, out=np.ones(len(at)), where=far)
    return means, root + np.divide(np.log(skew), root, out=np.zeros(len(at)), where=far)
