"""Searchers: a built index, loaded and ready, or numpy over the vectors themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from lookalike.errors import IndexingError
from lookalike.index.files import read_index
from lookalike.index.messages import translated
from lookalike.index.structure import search_parameters
from lookalike.schemas import Index

if TYPE_CHECKING:
    from lookalike.embed.embeddings import Embeddings
    from lookalike.index.build import IndexArtifacts

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

BLOCK_ROWS = 16_384
BLOCK_QUERIES = 256
"""Scores of one block of rows for one block of queries are in memory at a time: 16 MB, and 32 MB to sort."""
WORST = float(np.finfo(np.float32).max)
"""The score FAISS gives a missing neighbour: this for l2, minus this for ip."""


class Searcher(Protocol):
    """Anything that can be searched and timed."""

    def prepare(self, k: int, settings: Mapping[str, int]) -> Callable[[Floats], tuple[Floats, Rows]]:
        """A function from queries (float32, C-contiguous, (n, d)) to scores and rows, both (n, k), nearest
        first, row −1 where fewer were found. It may be called from several threads at once.
        """
        ...


class BruteForceSearcher:
    """Searches arrays of shape (rows, d), float32, numbered on from one to the next.

    One query is a matrix-vector product, more are matrix products; the k best are selected by partition,
    then sorted by score and row. Which of several rows with the same score at place k are returned is open.
    """

    def __init__(
        self,
        shards: Sequence[Floats],
        metric: str,
        block_rows: int = BLOCK_ROWS,
        block_queries: int = BLOCK_QUERIES,
    ) -> None:
        self.metric = metric
        self.block_queries = block_queries
        self.load_seconds = 0.0
        self._blocks = list(_blocks(shards, block_rows))
        self._penalties = [
            np.einsum("ij,ij->i", block, block) if metric == "l2" else None for _, block in self._blocks
        ]

    def prepare(self, k: int, settings: Mapping[str, int]) -> Callable[[Floats], tuple[Floats, Rows]]:
        """A function of queries alone; there are no settings."""
        return lambda queries: self._search(queries, k)

    def search(self, queries: Floats, k: int, settings: Mapping[str, int]) -> tuple[Floats, Rows]:
        """Scores float32 and rows int64, both (queries, k): squared distances ascending, or inner products
        descending; row −1 where the gallery has fewer than k.
        """
        return self._search(queries, k)

    def _search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        found = [
            self._search_block(queries[start : start + self.block_queries], k)
            for start in range(0, len(queries), self.block_queries)
        ]
        if len(found) == 1:
            return found[0]
        scores, rows = zip(*found, strict=True)
        return np.concatenate(scores), np.concatenate(rows)

    def _search_block(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        best: tuple[Floats, Rows] | None = None
        for (start, block), penalties in zip(self._blocks, self._penalties, strict=True):
            nearest = _smallest(_costs(queries, block, penalties), start, k)
            best = nearest if best is None else _merged(best, nearest, k)
        if best is None:
            best = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        costs, rows = _sorted(*best)
        return _padded(self._scores(queries, costs), rows, k, WORST if self.metric == "l2" else -WORST)

    def _scores(self, queries: Floats, costs: Floats) -> Floats:
        if self.metric == "ip":
            return -costs
        distances: Floats = np.maximum(costs + np.einsum("ij,ij->i", queries, queries)[:, None], 0)
        return distances


def _blocks(shards: Sequence[Floats], block_rows: int) -> Iterator[tuple[int, Floats]]:
    """Plain views (quicker than memmaps) of consecutive rows, each with its first row's number."""
    start = 0
    for shard in shards:
        plain = np.asarray(shard).view(np.ndarray)
        for first in range(0, len(plain), block_rows):
            yield start + first, plain[first : first + block_rows]
        start += len(plain)


def _costs(queries: Floats, block: Floats, penalties: Floats | None) -> Floats:
    """(queries, rows), the smaller the nearer: ‖x‖² − 2q·x, which orders as the distance does, or −q·x."""
    costs: Floats = (block @ queries[0])[None] if len(queries) == 1 else queries @ block.T
    costs *= -1 if penalties is None else -2
    if penalties is not None:
        costs += penalties
    return costs


def _smallest(costs: Floats, start: int, k: int) -> tuple[Floats, Rows]:
    """Costs and rows of the k smallest (or all), in no order; column 0 is row ``start``."""
    if k >= costs.shape[1]:
        return costs, np.broadcast_to(np.arange(start, start + costs.shape[1]), costs.shape)
    columns = np.argpartition(costs, k - 1, axis=1)[:, :k]
    return np.take_along_axis(costs, columns, axis=1), columns + start


def _merged(best: tuple[Floats, Rows], more: tuple[Floats, Rows], k: int) -> tuple[Floats, Rows]:
    smallest, columns = _smallest(np.concatenate([best[0], more[0]], axis=1), 0, k)
    rows = np.concatenate([best[1], more[1]], axis=1)
    return smallest, np.take_along_axis(rows, columns, axis=1)


def _sorted(costs: Floats, rows: Rows) -> tuple[Floats, Rows]:
    order = np.lexsort((rows, costs), axis=1)
    return np.take_along_axis(costs, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _padded(scores: Floats, rows: Rows, k: int, worst: float) -> tuple[Floats, Rows]:
    missing = k - rows.shape[1]
    if missing <= 0:
        return scores, rows
    return (
        np.pad(scores, ((0, 0), (0, missing)), constant_values=worst),
        np.pad(rows, ((0, 0), (0, missing)), constant_values=-1),
    )


class FaissSearcher:
    """Searches a FAISS index without ever changing it, so several threads may share it."""

    def __init__(self, index: Any, load_seconds: float = 0.0) -> None:
        self.index = index
        self.load_seconds = load_seconds

    @classmethod
    def read(cls, path: Path, mmap: bool = False) -> FaissSearcher:
        """Read an index file and take the time, see :func:`~lookalike.index.files.read_index`."""
        start = time.perf_counter()
        index = read_index(path, mmap)
        return cls(index, time.perf_counter() - start)

    def prepare(self, k: int, settings: Mapping[str, int]) -> Callable[[Floats], tuple[Floats, Rows]]:
        """A function of queries alone, with FAISS's parameters made beforehand."""
        index, parameters = self.index, search_parameters(self.index, settings)

        def search(queries: Floats) -> tuple[Floats, Rows]:
            try:
                found: tuple[Floats, Rows] = index.search(queries, k, params=parameters)
            except (RuntimeError, AssertionError, MemoryError):
                with translated("search the index"):
                    raise
            return found

        return search

    def search(self, queries: Floats, k: int, settings: Mapping[str, int]) -> tuple[Floats, Rows]:
        """Scores float32 and rows int64, both (queries, k), nearest first; row −1 where fewer were found.

        ``queries``: float32, C-contiguous, (queries, d). ``settings``: see ``Index.search_settings``.
        """
        return self.prepare(k, settings)(queries)


def load_index(
    config: Index, built: IndexArtifacts, gallery: Embeddings
) -> FaissSearcher | BruteForceSearcher:
    """Load what :func:`build_index` built; ``load_seconds`` of the result says how long it took.

    Raises IndexingError when the file cannot be read or is not an index of this gallery.
    """
    if built.index is None:
        start = time.perf_counter()
        searcher = BruteForceSearcher(gallery.shards, config.metric)
        searcher.load_seconds = time.perf_counter() - start
        return searcher
    loaded = FaissSearcher.read(built.index.file("index.faiss"), config.mmap)
    there, wanted = (loaded.index.ntotal, loaded.index.d), (len(gallery), gallery.dim)
    if there != wanted:
        raise IndexingError(
            f"the index holds (vectors, dimensions) {there} and the gallery has {wanted}; "
            "build it again with store.reuse=false"
        )
    return loaded
