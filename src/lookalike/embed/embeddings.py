"""Vectors of a set of images, captions or ready vectors, with their ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.machine.mapping import release_pages
from lookalike.store.artifact import Artifact

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class BadImage:
    """An image that has no embedding, and why."""

    id: str
    location: str
    reason: str


@dataclass(frozen=True)
class Embeddings:
    """Vectors of a set, in its order, without the rows that could not be embedded.

    ``shards`` are float32 arrays of shape (rows, dim), memory-mapped where they come from a file: one for
    each artifact, or several where an artifact uses vectors of several files in place; ``kept`` holds, for
    each vector, its row in the set that was embedded.
    """

    shards: tuple[Floats, ...]
    ids: Sequence[str]
    kept: npt.NDArray[np.int64]
    keys: tuple[str, ...]
    dim: int
    bad: tuple[BadImage, ...] = ()
    artifacts: tuple[Artifact, ...] = field(default=(), repr=False)

    @classmethod
    def from_array(
        cls, array: npt.ArrayLike, ids: Sequence[str] | None = None, key: str = "array"
    ) -> Embeddings:
        """Embeddings of one shard, held in memory."""
        vectors = np.ascontiguousarray(array, dtype=np.float32)
        names = [str(row) for row in range(len(vectors))] if ids is None else ids
        return cls((vectors,), names, np.arange(len(vectors)), (key,), vectors.shape[1])

    def __len__(self) -> int:
        return sum(len(shard) for shard in self.shards)

    @property
    def key(self) -> str:
        """One key for all shards together."""
        return (
            self.keys[0]
            if len(self.keys) == 1
            else hashlib.sha256("".join(self.keys).encode()).hexdigest()[:32]
        )

    @property
    def unit_length(self) -> bool:
        """Whether every vector is known to have unit length: scaled to it, or found to have it already."""
        return bool(self.artifacts) and all(
            artifact.facts.get("unit_length", artifact.manifest["parameters"].get("normalize", False))
            for artifact in self.artifacts
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all vectors."""
        return len(self) * self.dim * 4

    def rows(self, rows: npt.NDArray[np.integer[Any]]) -> Floats:
        """Gather vectors by row number: float32, C-contiguous, shape (len(rows), dim)."""
        gathered = np.empty((len(rows), self.dim), np.float32)
        start = 0
        for shard in self.shards:
            inside = (rows >= start) & (rows < start + len(shard))
            if inside.any():
                gathered[inside] = shard[rows[inside] - start]
                release_pages(shard)
            start += len(shard)
        return gathered

    def blocks(self, rows_per_block: int) -> Iterator[tuple[int, Floats]]:
        """Views of at most ``rows_per_block`` consecutive vectors, each with its first row's number.

        Memory of mapped files that a block took is given back before the next one.
        """
        start = 0
        for shard in self.shards:
            for first in range(0, len(shard), rows_per_block):
                block = shard[first : first + rows_per_block]
                yield start + first, block
                release_pages(block)
            start += len(shard)

    @cached_property
    def matrix(self) -> Floats:
        """All vectors as one array; no copy when there is one shard."""
        return self.shards[0] if len(self.shards) == 1 else np.concatenate(self.shards)
