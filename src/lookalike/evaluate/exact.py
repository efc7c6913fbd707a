"""The true nearest gallery vectors of every query: what approximate search is measured against.

FAISS's matrix kernels find candidates quickly, but their rounding and their order of ties vary with
threads, batch and block. So each query keeps a few more candidates than asked for; these are scored again one
pair at a time (:func:`recomputed_scores`: always the same float32 for the same two vectors) and sorted by
score, then row. A bound on the matrix kernels' rounding proves that no other row can belong to the answer;
queries for which it cannot, because vectors tie across the last place, get a second pass over the gallery.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import faiss
import numpy as np
import numpy.typing as npt

from lookalike.errors import QueryError
from lookalike.progress import SILENT, Bar, Progress
from lookalike.store.artifact import Artifact
from lookalike.store.files import new_array
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store

if TYPE_CHECKING:
    from lookalike.embed.embeddings import Embeddings

EXACT_VERSION = 1

BLOCK_BYTES = 512 << 20
"""Gallery vectors given to FAISS at a time: starting a block costs as much as searching 8 MB of one."""
BLOCK_QUERIES = 4_096
"""Queries answered in one pass over the gallery (FAISS's own batch)."""
SPARE_CANDIDATES = 16
"""Candidates kept beyond the depth, so that only real ties need the second pass."""
TILE_QUERIES, TILE_ROWS = 256, 8_192
"""Pairs looked at together in the second pass."""
GPU_WIDTH = 2_048
"""More candidates a query than that FAISS cannot select on a GPU."""

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Knn = Callable[[Floats, Floats, int, int], tuple[Floats, Rows]]
"""Queries, vectors, k and FAISS's metric to scores and rows, both (queries, k): one block by brute force."""


@dataclass(frozen=True)
class Neighbours:
    """Gallery rows and scores of each query's nearest vectors, nearest first, ties by ascending row.

    ``rows``: int64, shape (queries, depth), −1 where the gallery has fewer vectors. ``scores``: float32, same
    shape; squared distances (ascending) for l2, inner products (descending) for ip, +inf and −inf where
    the row is −1.
    """

    rows: Rows
    scores: Floats

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def depth(self) -> int:
        """How many neighbours each query has, missing ones included."""
        return int(self.rows.shape[1])

    @classmethod
    def create(cls, folder: Path, queries: int, depth: int) -> Neighbours:
        """New memory-mapped files in ``folder``, to be filled in."""
        rows, scores = (
            new_array(folder / name, dtype, (queries, depth))
            for name, dtype in (("neighbours.npy", np.int64), ("scores.npy", np.float32))
        )
        return cls(rows, scores)

    @classmethod
    def load(cls, folder: Path) -> Neighbours:
        """Read-only memory maps of what :meth:`create` made."""
        rows, scores = (
            np.load(folder / name, mmap_mode="r", allow_pickle=False)
            for name in ("neighbours.npy", "scores.npy")
        )
        return cls(rows, scores)


def exact_neighbours(
    gallery: Embeddings,
    queries: Embeddings,
    metric: str,
    depth: int,
    store: Store,
    *,
    progress: Progress = SILENT,
    library: Any = faiss,
) -> tuple[Neighbours, Artifact]:
    """The ``depth`` nearest gallery vectors of each query by ``metric`` (l2 | ip), found or reused.

    The answer is the first ``depth`` rows of the whole gallery when sorted by (:func:`recomputed_scores`,
    row): identical whatever the threads, blocks and shards, also when hundreds of equal vectors tie
    across the last place. Memory is bounded by a block of the gallery and a block of the queries. Candidates
    are found on a GPU where ``library`` (FAISS) has one.
    Raises QueryError when queries and gallery differ in dimension, ValueError when ``depth`` is below 1.
    """
    if depth < 1:
        raise ValueError(f"depth is {depth}; ask for at least 1 neighbour")
    if queries.dim != gallery.dim:
        raise QueryError(
            f"queries have {queries.dim} dimensions and the gallery has {gallery.dim}; "
            "embed both with the same model"
        )
    recipe = Recipe(
        "exact",
        EXACT_VERSION,
        {"metric": metric, "depth": depth},
        {"gallery": gallery.key, "queries": queries.key},
    )
    search = _Search(gallery, _KERNELS[metric], depth, library)
    artifact = store.obtain(recipe, lambda draft: _build(search, queries, draft, progress))
    return Neighbours.load(artifact.path), artifact


def recomputed_scores(gallery: Embeddings, queries: Floats, rows: Rows, metric: str) -> Floats:
    """Scores of given gallery rows, from the stored vectors, one pair at a time.

    ``queries``: float32 (queries, d); ``rows``: int64 (queries, k), −1 = missing. Returns float32 of the
    shape of ``rows``: squared distances (l2; sums of squared differences, so equal vectors are at 0) or inner
    products (ip); the worst score, +inf or −inf, where the row is missing. A pair's score depends on nothing
    but its two vectors (and the instruction set FAISS runs on). Vectors are read where they lie.
    """
    return _score_rows(gallery, np.ascontiguousarray(queries, np.float32), rows, _KERNELS[metric])


def nearest_vectors(
    gallery: Embeddings, vectors: Floats, metric: str, depth: int, progress: Progress = SILENT
) -> Neighbours:
    """The up to ``depth`` nearest gallery rows of a few ``vectors``, float32 (n, d), held in memory.

    As :func:`exact_neighbours` without its second pass: where vectors tie across the last place, which of
    them are named may vary with threads; distances do not. Nothing is kept.
    """
    search = _Search(gallery, _KERNELS[metric], min(depth, len(gallery)))
    with progress.bar("neighbours of the gallery", len(vectors) * len(gallery), "pairs") as bar:
        rows, scores, _ = search.nearest(np.ascontiguousarray(vectors, np.float32), bar)
    return Neighbours(rows, scores)


@dataclass(frozen=True)
class _Kernels:
    """FAISS's functions for one metric; ``sign`` × score is the smaller, the nearer."""

    metric: int
    sign: int
    score_rows: Callable[..., None]
    score_pairs: Callable[..., None]


_KERNELS = {
    "l2": _Kernels(faiss.METRIC_L2, 1, faiss.fvec_L2sqr_by_idx, faiss.pairwise_indexed_L2sqr),
    "ip": _Kernels(
        faiss.METRIC_INNER_PRODUCT,
        -1,
        faiss.fvec_inner_products_by_idx,
        faiss.pairwise_indexed_inner_product,
    ),
}


def _build(search: _Search, queries: Embeddings, draft: Path, progress: Progress) -> dict[str, Any]:
    """Write ``neighbours.npy`` and ``scores.npy``: all queries by candidates, the doubtful ones again."""
    gallery_size = len(search.gallery)
    found = Neighbours.create(draft, len(queries), search.depth)
    proven = np.empty(len(queries), bool)
    with progress.bar("exact neighbours", len(queries) * gallery_size, "pairs") as bar:
        for start, block in queries.blocks(BLOCK_QUERIES):
            part = slice(start, start + len(block))
            found.rows[part], found.scores[part], proven[part] = search.nearest(block, bar)
    doubtful = np.flatnonzero(~proven)
    with progress.bar("exact neighbours: ties", len(doubtful) * gallery_size, "pairs") as bar:
        for start in range(0, len(doubtful), TILE_QUERIES):
            tile = doubtful[start : start + TILE_QUERIES]
            found.rows[tile], found.scores[tile] = search.nearest_of_ties(
                queries.rows(tile), found.scores[tile, -1], bar
            )
    return {"queries": len(queries), "gallery": gallery_size, "second_pass_queries": len(doubtful)}


class _Search:
    """The ``depth`` nearest vectors of one gallery."""

    def __init__(self, gallery: Embeddings, kernels: _Kernels, depth: int, library: Any = faiss) -> None:
        self.gallery, self.kernels, self.depth = gallery, kernels, depth
        self.width = min(depth + SPARE_CANDIDATES, len(gallery))
        self.knn = fastest_knn(self.width, library)

    def nearest(self, queries: Floats, bar: Bar) -> tuple[Rows, Floats, npt.NDArray[np.bool_]]:
        """Rows and scores, sorted, and for which queries they are proven to be the answer."""
        candidates, farthest = self._candidates(queries, bar)
        scores = _score_rows(self.gallery, queries, candidates, self.kernels)
        rows, scores = _nearest_first(candidates, scores, self.depth, self.kernels)
        if self.width == len(self.gallery):
            return rows, scores, np.ones(len(queries), bool)
        last = scores[:, -1].astype(np.float64)
        proven = farthest > self.kernels.sign * last + self._rounding(queries, last)
        return rows, scores, proven

    def nearest_of_ties(self, queries: Floats, last: Floats, bar: Bar) -> tuple[Rows, Floats]:
        """Rows and scores, sorted, of all that is no worse than ``last``: each query has enough of that."""
        sign = self.kernels.sign
        limit = sign * last
        loose_limit = (limit + self._rounding(queries, last.astype(np.float64)))[:, None]
        best = np.empty((3, 0))
        for start, block in self.gallery.blocks(TILE_ROWS):
            approximate = sign * faiss.pairwise_distances(queries, block, self.kernels.metric)
            query, row = map(np.ascontiguousarray, np.nonzero(approximate <= loose_limit))
            scores = np.empty(len(query), np.float32)
            arrays = (queries, query, block, row, scores)
            self.kernels.score_pairs(self.gallery.dim, len(query), *map(faiss.swig_ptr, arrays))
            good = sign * scores <= limit[query]
            new = np.stack([query[good], sign * scores[good], row[good] + start])
            best = _keep_first(np.concatenate([best, new], axis=1), len(queries), self.depth)
            bar.advance(len(queries) * len(block))
        _, distances, rows = best.reshape(3, len(queries), self.depth)
        return rows.astype(np.int64), (sign * distances).astype(np.float32)

    def _candidates(self, queries: Floats, bar: Bar) -> tuple[Rows, Values]:
        """The ``width`` best rows by the matrix kernel, in no order; sign × score of the worst of them."""
        sign = self.kernels.sign
        best = faiss.ResultHeap(len(queries), self.width, keep_max=sign < 0)
        for start, block in self.gallery.blocks(_rows_per_block(self.gallery)):
            scores, rows = self.knn(queries, block, min(self.width, len(block)), self.kernels.metric)
            rows[rows >= 0] += start
            best.add_result(scores, rows)
            bar.advance(len(queries) * len(block))
        return best.I, (sign * best.D).max(axis=1, initial=-np.inf).astype(np.float64)

    def _rounding(self, queries: Floats, last: Values) -> Values:
        """By how much matrix and pair kernel may differ for a row no worse than a query's ``last`` score.

        A float32 dot product of d terms, summed in any order, is off by at most γ‖q‖‖x‖, γ = d·2⁻²⁴ (Higham,
        Accuracy and Stability of Numerical Algorithms, §3.1). The matrix kernel's squared distances are
        ‖q‖² + ‖x‖² − 2q·x, hence γ(‖q‖ + ‖x‖)², where ‖x‖ ≤ ‖q‖ + √last; the pair kernel's are
        off by at most γ times themselves.
        """
        relative = (self.gallery.dim + 8) * 2.0**-24
        lengths: Values = np.linalg.norm(queries.astype(np.float64), axis=1)
        if self.kernels.metric == faiss.METRIC_INNER_PRODUCT:
            return 2 * relative * self._longest * lengths
        return relative * ((2 * lengths + np.sqrt(last)) ** 2 + last)

    @cached_property
    def _longest(self) -> float:
        """The largest norm in the gallery."""
        longest = 0.0
        for _, block in self.gallery.blocks(TILE_ROWS):
            norms = np.empty(len(block), np.float32)
            faiss.fvec_norms_L2(*map(faiss.swig_ptr, (norms, block)), self.gallery.dim, len(block))
            longest = max(longest, float(norms.max(initial=0)))
        return longest


def fastest_knn(width: int, library: Any = faiss) -> Knn:
    """``library``'s brute force for ``width`` candidates: on a GPU where there is one that can, else here."""
    if width > GPU_WIDTH or library.get_num_gpus() == 0:
        return cast(Knn, library.knn)
    resources = library.StandardGpuResources()
    return lambda queries, block, k, metric: library.knn_gpu(resources, queries, block, k, metric=metric)


def _score_rows(gallery: Embeddings, queries: Floats, rows: Rows, kernels: _Kernels) -> Floats:
    """See :func:`recomputed_scores`; each block fills in the rows that lie in it.

    Block by block, not query by query: what is mapped stays small, and each page is mapped once for all
    queries of a pass.
    """
    scores = np.full(rows.shape, kernels.sign * np.inf, np.float32)
    for first in range(0, len(rows), BLOCK_QUERIES):
        tile = slice(first, first + BLOCK_QUERIES)
        for start, block in gallery.blocks(_rows_per_block(gallery)):
            inside = (rows[tile] >= start) & (rows[tile] < start + len(block))
            if inside.any():
                local = np.where(inside, rows[tile] - start, -1).astype(np.int64, copy=False)
                of_block = np.empty(local.shape, np.float32)
                arrays = (of_block, queries[tile], block, local)
                kernels.score_rows(*map(faiss.swig_ptr, arrays), gallery.dim, *local.shape)
                np.copyto(scores[tile], of_block, where=inside)
    return scores


def _rows_per_block(gallery: Embeddings) -> int:
    return max(1, BLOCK_BYTES // (4 * gallery.dim))


def _nearest_first(rows: Rows, scores: Floats, depth: int, kernels: _Kernels) -> tuple[Rows, Floats]:
    """Sort each query's rows by score, then row; cut or pad them to ``depth``."""
    distances = kernels.sign * scores
    order = np.argsort(distances, axis=1)
    ordered = np.take_along_axis(distances, order, axis=1)
    tied = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    order[tied] = np.lexsort((rows[tied], distances[tied]), axis=1)
    order = order[:, :depth]
    missing = ((0, 0), (0, depth - order.shape[1]))
    return (
        np.pad(np.take_along_axis(rows, order, axis=1), missing, constant_values=-1),
        np.pad(np.take_along_axis(scores, order, axis=1), missing, constant_values=kernels.sign * np.inf),
    )


def _keep_first(triples: Values, queries: int, depth: int) -> Values:
    """Of (query, distance, row) columns, each query's first ``depth`` by distance, then row; sorted."""
    query, distance, row = triples
    triples = triples[:, np.lexsort((row, distance, query))]
    query = triples[0].astype(np.int64)
    first_of_query = np.searchsorted(query, np.arange(queries))
    return triples[:, np.arange(len(query)) - first_of_query[query] < depth]
