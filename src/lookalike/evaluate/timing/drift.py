"""Whether a point's calls took longer in some of its turns than in the others.

Each point is its own anchor. The order of the queries is shuffled, so without drift every order of its
samples is as likely as any other; a stretch of turns whose samples rank too high or too low speaks against
that, however different the queries are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

DRIFT_LIMIT = 0.05
"""Relative change of the median from which on a timing is doubtful."""
SIGNIFICANT = 4.0
"""Standard errors: of a thousand points that do not drift, fewer than one deviates so much by chance."""


@dataclass(frozen=True)
class Drift:
    """The stretch of turns that differs most from all others."""

    change: float
    """Median call of the slower ones, these or the others, over that of the faster ones, minus 1."""
    standard_errors: float
    """How far the stretch's mean rank lies from what chance gives."""

    @property
    def doubtful(self) -> bool:
        """Whether the change is large and more than chance."""
        return self.change > DRIFT_LIMIT and self.standard_errors > SIGNIFICANT


def drift(seconds: npt.NDArray[np.float64], turn: npt.NDArray[np.int16]) -> Drift | None:
    """Return how much the calls of some consecutive turns differ from the others; None with one turn.

    ``seconds`` and ``turn``: one a call. Compared is each stretch of a third to two thirds of the turns with
    the rest (with fewer than three turns: each turn) by the mean rank of its calls, ties sharing theirs.
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
        return Drift(0.0, 0.0)
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
    return Drift(slower / faster - 1 if faster > 0 else 0.0, best)
