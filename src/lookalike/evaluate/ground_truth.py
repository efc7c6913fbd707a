"""The ground truth that came with the queries, compared with ours: is it of the same vectors and metric?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.embed.embeddings import Embeddings
from lookalike.evaluate.exact import Neighbours, recomputed_scores
from lookalike.evaluate.measures import distances, knn_recall
from lookalike.progress import SILENT, Progress
from lookalike.queries.plan import QueryPlan

SAME_DISTANCE = 1e-3
"""Relative: float32 of another library's kernels comes closer than this."""


def compare_ground_truth(
    plan: QueryPlan,
    gallery: Embeddings,
    queries: Embeddings,
    exact: Neighbours,
    *,
    metric: str,
    tolerance: float,
    progress: Progress = SILENT,
) -> dict[str, float]:
    """Return how far the neighbours that came with the queries agree with ours; {} when none came.

    ``given_neighbours_found``: the share of our nearest that they hold, of as many as each query has there
    (−1 fills up what has fewer: it is not a wrong neighbour), ties within ``tolerance`` credited.
    ``given_distances_error``: the largest relative difference (absolute below 1) between their distances and
    those that the same rows have here; only where distances came along. Warns when either is off.
    """
    truth = plan.ready_neighbours
    if truth is None:
        return {}
    rows = _nearest_first(truth[:, : exact.depth])
    scores = recomputed_scores(gallery, queries.matrix, rows, metric)
    ours, theirs = distances(exact.rows, exact.scores, metric), distances(rows, scores, metric)
    known = (rows >= 0).sum(axis=1)
    shares = np.full(len(rows), np.nan)
    for k in np.unique(known[known > 0]).tolist():
        of_k = known == k
        shares[of_k] = knn_recall(theirs[of_k], ours[of_k], k, tolerance)
    if not known.any():
        progress.warn("queries.neighbours holds no neighbour at all, only −1; nothing was compared")
        return {}
    share = float(np.nanmean(shares))
    if share < 1:
        progress.warn(
            f"queries.neighbours holds {share:.1%} of the exact neighbours found here; "
            "they may be of another metric, gallery or order"
        )
    found = {"given_neighbours_found": share}
    if plan.ready_distances is None or plan.ready_distance not in ("angular", "euclidean"):
        return found
    in_order = truth[:, : exact.depth].astype(np.int64)
    here = _measured(gallery, queries, in_order, plan.ready_distance)
    theirs = plan.ready_distances[:, : rows.shape[1]]
    error = float(np.nanmax(np.abs(theirs - here) / np.maximum(np.abs(here), 1), initial=0))
    if error > SAME_DISTANCE:
        progress.warn(
            f"the distances that came with queries.neighbours differ from ours by up to {error:.2g}; "
            "check dataset.normalize and what the file was made of"
        )
    return {**found, "given_distances_error": error}


def _nearest_first(rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    """The same rows with every −1 behind the others."""
    wide = rows.astype(np.int64)
    return np.take_along_axis(wide, np.argsort(wide < 0, axis=1, kind="stable"), axis=1)


def _measured(
    gallery: Embeddings, queries: Embeddings, rows: npt.NDArray[np.int64], distance: str
) -> npt.NDArray[np.float64]:
    """The rows' distances as ann-benchmarks defines them; NaN where a row is −1."""
    if distance == "euclidean":
        squares = recomputed_scores(gallery, queries.matrix, rows, "l2").astype(np.float64)
        measured = np.sqrt(squares)
    else:
        measured = 1 - recomputed_scores(gallery, queries.matrix, rows, "ip").astype(np.float64)
    return np.where(rows < 0, np.nan, measured)
