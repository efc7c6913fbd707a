"""Whether a point's calls took longer in some of its turns than in the others.

Each point is its own anchor. The order of the queries is shuffled, so without drift every order of its
samples is as likely as any other; a stretch of turns whose samples rank too high or too low speaks against
that, however different the queries are.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

DRIFT_LIMIT = 0.05
"""Relative change of the median from which on a timing is doubtful."""
SIGNIFICANT = 4.0
"""Standard errors of a mean rank: of a thousand points that do not drift, about one differs by more."""


def drift(seconds: npt.NDArray[np.float64], turn: npt.NDArray[np.int16]) -> float | None:
    """Return how much longer calls took in some consecutive turns than in the others; None with one turn.

    ``seconds`` and ``turn``: one a call. Each stretch of a third to two thirds of the turns (with fewer than
    three turns: each turn) is compared with the rest by the mean rank of its calls, ties sharing theirs. Of
    the stretch that differs most, the median of the slower ones, it or the rest, over that of the faster
    ones, minus 1; 0 where it differs no more than chance explains.
    Source: Kruskal & Wallis, Use of Ranks in One-Criterion Variance Analysis (1952), for two groups.
    """
    turns, place = np.unique(turn, return_inverse=True)
    count, n = len(turns), len(seconds)
    if count < 2:
        return None
    _, tied, sizes = np.unique(seconds, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[tied]
    spread = float(np.mean((ranks - (n + 1) / 2) ** 2)) * n / (n - 1)
    if spread == 0:
        return 0.0
    ranks_before = np.concatenate([[0.0], np.cumsum(np.bincount(place, ranks))])
    calls_before = np.concatenate([[0], np.cumsum(np.bincount(place))])
    shortest = max(1, count // 3)
    best, stretch = 0.0, (0, 1)
    for first, last in combinations(range(count + 1), 2):
        if not shortest <= last - first <= count - shortest:
            continue
        inside = int(calls_before[last] - calls_before[first])
        mean = (ranks_before[last] - ranks_before[first]) / inside
        error = np.sqrt(spread * (1 / inside - 1 / n))
        if (deviation := abs(mean - (n + 1) / 2) / error) > best:
            best, stretch = float(deviation), (first, last)
    within = (place >= stretch[0]) & (place < stretch[1])
    faster, slower = sorted((float(np.median(seconds[within])), float(np.median(seconds[~within]))))
    return slower / faster - 1 if faster > 0 and best > SIGNIFICANT else 0.0
