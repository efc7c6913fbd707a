"""What families with inverted lists share: how many lists, and what is divided among a product quantiser."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lookalike.index.families.family import Centroids, Family
from lookalike.schemas import Index
from lookalike.schemas.fields import bounded

POINTS_PER_LIST = 39
"""FAISS calls a training set with fewer vectors for each centroid too small."""
PLENTY_PER_LIST, PLENTY_TO_TRAIN = 64, 1 << 18
"""Of more than 1,024 lists, what is enough to train them on: k-means over all of a gallery takes minutes."""
CODE_DIMENSIONS = (16, 8, 4, 2)
"""Dimensions that one code of a product quantiser stands for, from coarse to fine."""


@dataclass
class InvertedLists(Family):
    """Lists of the vectors nearest to each of ``nlist`` centroids; a search visits ``nprobe`` of them."""

    nlist: int | None = bounded(None, minimum=1)
    """Number of inverted lists; null: what suits N vectors."""

    def factory_string(self, d: int) -> str:
        if self.nlist is None:
            raise ValueError("index.nlist is null; resolve the experiment first")
        return f"IVF{self.nlist},{self.codes()}"

    def codes(self) -> str:
        """Return what FAISS's factory calls the vectors in the lists."""
        raise NotImplementedError

    def search_settings(self) -> tuple[str, ...]:
        return ("nprobe",)

    def list_count(self) -> int | None:
        return self.nlist

    def merge_faults(self, d: int | None) -> Iterator[str]:
        if self.nlist is not None:  # else the index is looked at again when its number of lists is chosen
            yield from super().merge_faults(d)

    def centroids(self, d: int | None) -> Iterable[Centroids]:
        return [Centroids("index.nlist", self.nlist or 0, "lower nlist, or take more images")]

    def resolved(self, n: int, k: int) -> Index:
        if self.nlist is not None:
            return super().resolved(n, k)
        nlist = lists_for(n, self.train_size)
        train_size = self.train_size or _train_size(nlist, n)
        return replace(self, nlist=nlist, train_size=train_size).resolved(n, k)

    def builds(self, n: int, d: int) -> Iterable[dict[str, Any]]:
        """Yield the lists that are set, else a quarter of what suits ``n`` vectors, that, and 4 × that."""
        if self.nlist is not None:
            yield {}
            return
        suitable = lists_for(n, self.train_size)
        for nlist in sorted({max(suitable // 4, 1), suitable, 4 * suitable}):
            if nlist == suitable or nlist * POINTS_PER_LIST <= min(n, self.train_size or n):
                yield {"nlist": nlist, "train_size": self.train_size or _train_size(nlist, n)}


def lists_for(n: int, sample: int | None = None) -> int:
    """Return how many inverted lists suit ``n`` vectors: the power of two nearest to 4·√n, as FAISS advises,
    with 39 vectors of the training ``sample`` (all, if it is not smaller) for each; 1 or more.
    """
    lists = 2 ** round(math.log2(4 * math.sqrt(max(n, 1))))
    while lists > 1 and lists * POINTS_PER_LIST > min(n, sample or n):
        lists //= 2
    return int(lists)


def _train_size(nlist: int, n: int) -> int | None:
    """None, which means 256 vectors a list, unless that is a long training for little."""
    enough = max(PLENTY_PER_LIST * nlist, PLENTY_TO_TRAIN)
    return enough if nlist > PLENTY_TO_TRAIN // 256 and enough < n else None


def division_faults(pq_m: int, dimensions: int | None, target: str) -> Iterator[str]:
    """Yield why a product quantiser cannot cut ``dimensions`` (``target`` names them) into ``pq_m`` parts."""
    if dimensions is None or dimensions % pq_m == 0:
        return
    divisors = [m for m in range(1, dimensions + 1) if dimensions % m == 0]
    below = max((m for m in divisors if m < pq_m), default=None)
    above = min((m for m in divisors if m > pq_m), default=None)
    near = " or ".join(str(m) for m in (above, below) if m is not None)
    yield f"index.pq_m={pq_m} does not divide {target}; try {near}"


def parts_worth_trying(dimensions: int) -> list[int]:
    """Return numbers of parts that a product quantiser can cut ``dimensions`` into, coarse codes first."""
    return [dimensions // size for size in CODE_DIMENSIONS if dimensions % size == 0] or [1]
