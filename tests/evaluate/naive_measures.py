"""The measures as plain as can be: one query at a time, in lists and sets, by their definitions.

``answer`` is the list of returned rows (None: nothing), ``gallery`` the distance of every gallery row.
"""

from __future__ import annotations

from itertools import combinations
from math import log2


def first_k(answer: list[int | None], k: int) -> set[int]:
    return {row for row in answer[:k] if row is not None}


def knn_recall(answer: list[int | None], gallery: list[int], k: int) -> float | None:
    """The largest overlap with any k rows that have a right to be called the k nearest."""
    size = min(k, len(gallery))
    nearest = sorted(gallery)[:size]
    valid = [
        set(rows)
        for rows in combinations(range(len(gallery)), size)
        if sorted(gallery[row] for row in rows) == nearest
    ]
    return max(len(first_k(answer, k) & rows) for rows in valid) / size if size else None


def nn_recall(answer: list[int | None], gallery: list[int], k: int) -> float | None:
    if not gallery:
        return None
    return float(any(gallery[row] == min(gallery) for row in first_k(answer, k)))


def relevant_recall(answer: list[int | None], relevant: set[int], k: int) -> float | None:
    return len(first_k(answer, k) & relevant) / len(relevant) if relevant else None


def hit_rate(answer: list[int | None], relevant: set[int], k: int) -> float | None:
    return float(bool(first_k(answer, k) & relevant)) if relevant else None


def average_precision(answer: list[int | None], relevant: set[int], k: int) -> float | None:
    if not relevant:
        return None
    total = 0.0
    for rank, row in enumerate(answer[:k], start=1):
        if row in relevant and row not in answer[: rank - 1]:
            total += len(first_k(answer, rank) & relevant) / rank
    return total / min(len(relevant), k)


def first_hits(answer: list[int | None], relevant: set[int], k: int) -> list[int]:
    """Ranks of the relevant rows among the first k, each row the first time that it is returned."""
    return [
        rank
        for rank, row in enumerate(answer[:k], start=1)
        if row in relevant and row not in answer[: rank - 1]
    ]


def reciprocal_rank(answer: list[int | None], relevant: set[int], k: int) -> float | None:
    ranks = first_hits(answer, relevant, k)
    return None if not relevant else 1 / ranks[0] if ranks else 0.0


def precision(answer: list[int | None], relevant: set[int], k: int) -> float | None:
    return len(first_hits(answer, relevant, k)) / k if relevant else None


def ndcg(answer: list[int | None], relevant: set[int], k: int) -> float | None:
    if not relevant:
        return None
    gained = sum(1 / log2(rank + 1) for rank in first_hits(answer, relevant, k))
    return gained / sum(1 / log2(rank + 1) for rank in range(1, min(len(relevant), k) + 1))


def r_precision(answer: list[int | None], relevant: set[int], k: int) -> float | None:
    r = len(relevant)
    return len(first_hits(answer, relevant, r)) / r if 0 < r <= k else None


def average_precision_at_r(answer: list[int | None], relevant: set[int], k: int) -> float | None:
    r = len(relevant)
    if not 0 < r <= k:
        return None
    ranks = first_hits(answer, relevant, r)
    return sum(place / rank for place, rank in enumerate(ranks, start=1)) / r
