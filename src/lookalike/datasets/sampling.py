"""Seeded samples that are nested: a larger one contains every smaller one of the same seed."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from hashlib import blake2b


def nested_sample(ids: Sequence[str], n: int | None, seed: int, purpose: str) -> list[int]:
    """Return the rows of ``n`` of the ``ids``, ascending; all when ``n`` is None or not below ``len(ids)``.

    Each id is ranked by a hash of (purpose, seed, id) and the first ``n`` are kept: a larger ``n`` contains
    the smaller one's sample, and one more id in the dataset displaces at most one. ``purpose`` keeps samples
    of one seed apart (the gallery's ``limit`` and the queries' ``n``). ``n`` below 1: no rows.
    """
    if n is None or n >= len(ids):
        return list(range(len(ids)))
    key = blake2b(f"{purpose} {seed}".encode()).digest()[:16]
    ranks = (blake2b(id_.encode(), digest_size=8, key=key).digest() for id_ in ids)
    return sorted(row for _, row in heapq.nsmallest(max(n, 0), zip(ranks, range(len(ids)), strict=True)))
