"""How sure a percentile of latencies is, when queries are asked again and the machine has better moments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

Seconds = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.integer]

BEYOND = 10
"""Queries (and samples) that must be expected beyond a percentile, or its interval is not known."""
NORMAL = 1.959964
"""Two-sided 95 % point of the normal distribution."""


def percentile_intervals(
    seconds: Seconds, query: Numbers, turn: Numbers, percentiles: Iterable[int] = (50, 95, 99)
) -> Mapping[int, tuple[float, float]]:
    """Return 95 % intervals of percentiles over queries like these and turns like these, in seconds.

    ``seconds``, ``query``, ``turn``: one a call. A percentile without ten different queries and ten calls
    expected beyond it has none. Calls of one query are alike, and so are calls of one turn: the variance of
    the share of calls below the percentile counts queries as clusters, and adds what turns vary beyond that.
    The interval of that share, Wilson's with Student's t and the effective number of calls, is read off the
    sorted calls.
    Source: Woodruff, Confidence Intervals for Medians and Other Position Measures (1952); two-way clusters:
    Cameron, Gelbach & Miller, Robust Inference with Multiway Clustering (2011), eq. 2.13, the part of turns
    no less than 0; effective numbers: Korn & Graubard, Confidence Intervals for Proportions (1998).
    """
    ordered, calls = np.sort(seconds), len(seconds)
    queries, asked = np.unique(query, return_inverse=True)
    turns, taken = np.unique(turn, return_inverse=True)
    _, together = np.unique(asked * len(turns) + taken, return_inverse=True)
    intervals = {}
    for percentile in percentiles:
        share = percentile / 100
        if min(len(queries), calls) * min(share, 1 - share) < BEYOND - 1e-9:
            continue
        estimate = float(np.percentile(seconds, percentile))
        below = (seconds <= estimate).astype(np.float64)
        below -= below.mean()
        of_queries = max(_variance(below, asked), share * (1 - share) / calls)
        of_turns = max(0.0, _variance(below, taken) - _variance(below, together)) if len(turns) > 1 else 0.0
        variance = of_queries + of_turns
        freedom = variance**2 / (of_queries**2 / (len(queries) - 1) + of_turns**2 / max(1, len(turns) - 1))
        low, high = _wilson(share, share * (1 - share) / variance, _student(freedom))
        ends = ordered[int(calls * low)], ordered[int(np.ceil(calls * high)) - 1]
        intervals[percentile] = (min(float(ends[0]), estimate), max(float(ends[1]), estimate))
    return intervals


def _variance(centred: Seconds, cluster: Numbers) -> float:
    """Variance of the mean of values whose clusters were drawn."""
    sums = np.bincount(cluster, centred)
    return float(len(sums) / (len(sums) - 1) * (sums @ sums) / len(centred) ** 2)


def _wilson(share: float, number: float, critical: float) -> tuple[float, float]:
    """Ends of Wilson's interval, corrected for continuity, of a share seen in ``number`` independent draws.

    Source: Newcombe, Two-sided Confidence Intervals for the Single Proportion (1998), method 4.
    """
    square, yes, no = critical**2, number * share, number * (1 - share)
    below = critical * np.sqrt(max(0.0, square - 2 - 1 / number + 4 * share * (no + 1)))
    above = critical * np.sqrt(max(0.0, square + 2 - 1 / number + 4 * share * (no - 1)))
    low = (2 * yes + square - 1 - below) / (2 * (number + square))
    high = (2 * yes + square + 1 + above) / (2 * (number + square))
    return max(0.0, float(low)), min(1.0, float(high))


def _student(freedom: float) -> float:
    """Two-sided 95 % point of Student's t, to .01 from 6 degrees of freedom on.

    Source: Abramowitz & Stegun, Handbook of Mathematical Functions (1964), 26.7.5, to its third term.
    """
    z = NORMAL
    return float(z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2))
