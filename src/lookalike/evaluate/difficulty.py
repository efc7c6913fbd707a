"""How hard a query is for any index: what its exact neighbours and a sample of the gallery say of it.

All distances are Euclidean, between the vectors as they are searched. Of unit vectors they order
neighbours as inner products do (‖q − x‖² = 2 − 2·q·x). Inner products of vectors of different lengths are no
distances: nothing here is defined for them. Gallery vectors equal to the query (the query itself, its
duplicates) are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
import numpy.typing as npt

from lookalike.evaluate.exact import Floats, Neighbours, Rows, nearest_vectors, recomputed_scores
from lookalike.evaluate.intervals import Values, mean_intervals, numbered
from lookalike.progress import SILENT, Progress
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.embed.embeddings import Embeddings

DIFFICULTY_VERSION = 1

NEIGHBOURS = 100
"""Exact neighbours of a query that are looked at, as far as there are so many."""
FEWEST_NEIGHBOURS = 10
"""The intrinsic dimension is not estimated from fewer: its relative standard error is about 1/√neighbours."""
RANK = 10
"""Which neighbour's distance says how near a query's neighbours are: the first may be its own original."""
SAMPLE = 500
"""Gallery vectors that stand for the gallery; drawn by a fixed seed."""
EQUAL, NEARLY_EQUAL = 1e-6, 0.02
"""Squared distances, as shares of the query's squared length: rounding; a cosine of 0.99 for unit vectors."""
UNEVEN_LENGTHS = 1e-3
"""Lengths that differ by more, relatively, make inner products another order than distances."""
QUARTERS, FEWEST_QUERIES = 4, 10
QUERIES_AT_ONCE = 4_096


@dataclass(frozen=True)
class Difficulty:
    """What is known of each query, whatever index answers it; nan where it is not defined."""

    lid: Values
    """:func:`intrinsic_dimension` at each query, shape (queries,)."""
    relative_contrast: Values
    """:func:`relative_contrast` of each query, shape (queries,)."""
    distances: Values
    """Distance to each query's neighbour of rank ``rank``, shape (queries,)."""
    gallery_distances: Values
    """The same of a sample of the gallery's own vectors, the vector itself left out, shape (sample,)."""
    equal: Rows
    """How many of each query's first exact neighbours are equal to it, itself included, shape (queries,)."""
    near: npt.NDArray[np.bool_]
    """Whether the nearest one that is not equal is nearly so, shape (queries,)."""
    rank: int
    neighbours: int
    """How many exact neighbours each query was judged by, equal ones included."""

    @property
    def is_defined(self) -> bool:
        """Whether anything could be said of any query."""
        return bool(np.isfinite(self.relative_contrast).any())


def intrinsic_dimension(distances: Values) -> Values:
    """Return the local intrinsic dimensionality at each query: in how many directions its neighbours spread.

    ``distances``: Euclidean, shape (queries, k), in any order; those that are 0, infinite or nan are left
    out. With m left and the largest of them r_m: (m − 2) / Σ ln(r_m / r_i), the maximum-likelihood estimate,
    made free of bias for evenly spread neighbours. float64 (queries,); nan for fewer than 10 neighbours, and
    where all are equally far. Its relative standard error is about 1/√m.
    Source: Levina & Bickel, Maximum Likelihood Estimation of Intrinsic Dimension (2004), §2, with its
    remark on m − 2; Amsaleg et al., Estimating Local Intrinsic Dimensionality (2015), §4.1, which has m.
    """
    known = np.isfinite(distances) & (distances > 0)
    count = known.sum(axis=1)
    logarithms = np.log(np.where(known, distances, 1.0), dtype=np.float64)
    largest = np.where(known, logarithms, -np.inf).max(axis=1, initial=-np.inf)
    spread = np.where(known, np.where(count > 0, largest, 0.0)[:, None] - logarithms, 0.0).sum(axis=1)
    defined = (count >= FEWEST_NEIGHBOURS) & (spread > 0)
    return _ratio(count - 2, spread, defined)


def relative_contrast(mean_distances: Values, neighbour_distances: Values) -> Values:
    """Return how much farther the gallery is than a near neighbour; near 1, nearness says little.

    ``mean_distances``: of each query from a sample of the gallery; ``neighbour_distances``: to its neighbour
    of a given rank; both (queries,). nan where either is not known or the neighbour is at distance 0.
    Source: He, Kumar & Chang, On the Difficulty of Nearest Neighbor Search (2012), §2, for k neighbours.
    """
    defined = np.isfinite(mean_distances) & (neighbour_distances > 0)
    return _ratio(mean_distances, neighbour_distances, defined)


@dataclass(frozen=True)
class Quarter:
    """A quarter of the queries, by how hard they are."""

    low: float
    high: float
    """The quantity that orders the queries, at the ends of the quarter."""
    queries: int
    mean: float
    """Of the measure, over these queries."""
    mean_low: float
    mean_high: float
    """The interval of that mean; nan where it is not defined."""


def by_quarter(
    quantity: Values,
    values: Values,
    sources: Sequence[str],
    *,
    hardest: str,
    confidence: float | None = 0.95,
) -> list[Quarter]:
    """Return the mean of ``values`` in quarters of the queries, from the easiest to the hardest.

    ``quantity``: what orders the queries, (queries,); ``hardest``: ``high`` or ``low``. Queries at which
    either is nan do not count; equal quantities stay in the order of the queries. ``values`` lie between 0
    and 1; queries of one of the ``sources`` may be alike. ``confidence`` None: without intervals. Empty where
    a quarter would have fewer than 10 queries.
    """
    known = np.flatnonzero(np.isfinite(quantity) & np.isfinite(values))
    sign = 1 if hardest == "high" else -1
    quarters = np.array_split(known[np.argsort(sign * quantity[known], kind="stable")], QUARTERS)
    if min(map(len, quarters)) < FEWEST_QUERIES:
        return []
    columns = []
    for quarter in quarters:
        column = np.full(len(values), np.nan)
        column[quarter] = values[quarter]
        columns.append(column)
    ends = np.full((2, QUARTERS), np.nan)
    if confidence is not None:
        ends = mean_intervals(columns, sources, confidence=confidence)
    return [
        Quarter(
            low=float(quantity[quarter].min()),
            high=float(quantity[quarter].max()),
            queries=len(quarter),
            mean=float(values[quarter].mean()),
            mean_low=low,
            mean_high=high,
        )
        for quarter, (low, high) in zip(quarters, ends.T.tolist(), strict=True)
    ]


def ratio_of_medians(difficulty: Difficulty, sources: Sequence[str]) -> tuple[float, float, float] | None:
    """Return how many times as far the queries lie from the gallery as its own vectors from each other.

    The median distance to the neighbour of rank :attr:`Difficulty.rank`, of the queries over that of a sample
    of the gallery: 1 for queries of the gallery's distribution, however they were drawn; above 1 for queries
    from elsewhere. With it its low and high end: the 95 % intervals of both medians (binomial ranks), taken
    at their far ends, which is wider than need be. Queries of one of the ``sources`` count as their mean.
    None where either has fewer than 10 values.
    Source: the shift that Jaiswal et al., OOD-DiskANN (2022), §2, describe, on neighbours' distances.
    """
    known = np.isfinite(difficulty.distances)
    place, total = numbered(sources)
    sums = np.bincount(place, np.where(known, difficulty.distances, 0.0), minlength=total)
    counts = np.bincount(place, known, minlength=total)
    queries = sums[counts > 0] / counts[counts > 0]
    gallery = difficulty.gallery_distances[np.isfinite(difficulty.gallery_distances)]
    if min(len(queries), len(gallery)) < FEWEST_QUERIES:
        return None
    (low, middle, high), (least, usual, most) = _median(queries), _median(gallery)
    return middle / usual, low / most, high / least


def _median(values: Values) -> tuple[float, float, float]:
    """The median between the ends of its 95 % interval (Conover 1999, §3.2)."""
    ordered, n = np.sort(values), len(values)
    reach = 1.96 * np.sqrt(n) / 2
    low, high = int(max(0, np.floor(n / 2 - reach))), int(min(n - 1, np.ceil(n / 2 + reach)))
    return float(ordered[low]), float(np.median(ordered)), float(ordered[high])


def query_difficulty(
    gallery: Embeddings,
    queries: Embeddings,
    exact: Neighbours,
    metric: str,
    store: Store,
    *,
    progress: Progress = SILENT,
) -> Difficulty:
    """Return the difficulty of ``queries``, found or reused; ``exact``: their neighbours by ``metric``.

    Memory is bounded by a block of the gallery, one of queries and a sample; what it takes, by searching the
    gallery for that sample.
    """
    parameters = {"metric": metric, "depth": exact.depth}
    parents = {"gallery": gallery.key, "queries": queries.key}
    recipe = Recipe("difficulty", DIFFICULTY_VERSION, parameters, parents)

    def build(draft: Path) -> dict[str, Any]:
        arrays, facts = _measure(gallery, queries, exact, metric, progress)
        np.savez(draft / "difficulty.npz", allow_pickle=False, **arrays)
        return facts

    artifact = store.obtain(recipe, build)
    with np.load(artifact.file("difficulty.npz"), allow_pickle=False) as arrays:
        return Difficulty(**arrays, **artifact.facts)


def _measure(
    gallery: Embeddings, queries: Embeddings, exact: Neighbours, metric: str, progress: Progress
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, int]]:
    depth = min(NEIGHBOURS, exact.depth)
    rank = max(1, min(RANK, depth - 1, len(gallery) - 1))
    drawn = np.random.default_rng(0).choice(len(gallery), min(SAMPLE, len(gallery)), replace=False)
    sample = gallery.rows(np.sort(drawn))
    n = len(queries)
    arrays: dict[str, npt.NDArray[Any]] = {
        "lid": np.full(n, np.nan),
        "relative_contrast": np.full(n, np.nan),
        "distances": np.full(n, np.nan),
        "gallery_distances": np.full(len(sample), np.nan),
        "equal": np.zeros(n, np.int64),
        "near": np.zeros(n, bool),
    }
    facts = {"rank": rank, "neighbours": depth}
    if metric == "ip" and _lengths_differ(sample):
        return arrays, facts
    for first in range(0, n, QUERIES_AT_ONCE):
        part = slice(first, min(n, first + QUERIES_AT_ONCE))
        vectors = queries.rows(np.arange(part.start, part.stop))
        distances, equal = _distances(gallery, vectors, exact.rows[part, :depth])
        arrays["lid"][part] = intrinsic_dimension(distances)
        arrays["distances"][part] = near = _of_rank(distances, rank)
        arrays["relative_contrast"][part] = relative_contrast(_mean_distances(vectors, sample), near)
        arrays["equal"][part] = equal
        limit = np.sqrt(NEARLY_EQUAL) * np.linalg.norm(vectors, axis=1)
        arrays["near"][part] = _of_rank(distances, 1) <= limit
    found = nearest_vectors(gallery, sample, metric, NEIGHBOURS, progress)
    arrays["gallery_distances"] = _of_rank(_distances(gallery, sample, found.rows)[0], rank)
    return arrays, facts


def _lengths_differ(sample: Floats) -> bool:
    lengths = np.linalg.norm(sample, axis=1)
    return bool(lengths.size and lengths.max() - lengths.min() > UNEVEN_LENGTHS * lengths.max())


def _distances(gallery: Embeddings, vectors: Floats, rows: Rows) -> tuple[Values, Rows]:
    """Distances to these gallery rows, nan for missing ones and for equals; and how many equals there are."""
    squared = recomputed_scores(gallery, vectors, np.ascontiguousarray(rows), "l2").astype(np.float64)
    lengths = np.einsum("qd,qd->q", vectors, vectors, dtype=np.float64)
    equal = squared <= EQUAL * lengths[:, None]
    return np.sqrt(np.where(equal | (rows < 0), np.nan, squared)), equal.sum(axis=1)


def _of_rank(distances: Values, rank: int) -> Values:
    """Each query's ``rank``-th smallest distance of those that are known; nan where there are fewer."""
    if distances.shape[1] < rank:
        return np.full(len(distances), np.nan)
    return np.partition(distances, rank - 1, axis=1)[:, rank - 1]  # nan sorts last


def _mean_distances(vectors: Floats, sample: Floats) -> Values:
    """Of each vector from the sample, without what is equal to it; nan where nothing is left."""
    squared = faiss.pairwise_distances(vectors, sample)
    lengths = np.einsum("qd,qd->q", vectors, vectors, dtype=np.float64)
    other = squared > EQUAL * lengths[:, None]
    total = np.sqrt(np.where(other, squared, 0.0), dtype=np.float64).sum(axis=1)
    count = other.sum(axis=1)
    return _ratio(total, count, count > 0)


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any], defined: npt.NDArray[np.bool_]) -> Values:
    ratio: Values = np.divide(part, whole, out=np.full(len(whole), np.nan), where=defined)
    return ratio
