"""From a measured operating point back to its images: the queries on which the index lost most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.evaluate.measures import drop_ignored
from lookalike.report.missed import MissedQuery, missed_page, worst_and_best
from lookalike.report.rows import front, rows_of
from lookalike.report.samples import read_arrays
from lookalike.run import Prepared, prepare
from lookalike.runs.record import FINISHED, PointRecord, Record
from lookalike.runs.session import Session
from lookalike.runs.stages import StageLog
from lookalike.schemas import Experiment, StoreOptions, VectorDataset

PAGE = "missed.html"
FOUND_ENOUGH = 0.999
"""An operating point that misses less than this has nothing to show."""


def choose_point(records: Sequence[Record]) -> tuple[Record, PointRecord] | None:
    """The point whose losses are worth a look: of those on the Pareto front that lose anything, the best.

    None when no measured point loses anything.
    """
    rows = [row for row in rows_of(records) if row.record.status == FINISHED]
    losing = [row for row in rows if row.recall is not None and row.recall < FOUND_ENOUGH]
    if not losing:
        return None
    fast = front(losing) or losing
    best = max(fast, key=lambda row: row.recall or 0.0)
    return best.record, best.point


def write_losses(
    experiment: Experiment,
    measured: tuple[Record, PointRecord],
    *,
    run_folder: Path,
    folder: Path,
) -> Path | None:
    """Write ``folder/missed.html``: the worst and best queries of one measured point.

    ``experiment`` is what the record measured, ``run_folder`` where the record lies. Returns the page, or
    None for a gallery of ready vectors, which has no images to show.
    """
    if isinstance(experiment.dataset, VectorDataset):
        return None
    record, point = measured
    session = Session(replace(experiment, store=StoreOptions(reuse=True)))  # looking must never rebuild
    ready = prepare(experiment, session, StageLog(session))
    images = ready.plan.gallery
    if not isinstance(images, ImageSet):
        raise TypeError(f"{experiment.dataset.name} gives no images")
    gallery = images.take(ready.gallery.kept.tolist())
    recall = _recall(run_folder, point)
    worst, best = worst_and_best(recall)
    page = folder / PAGE
    missed_page(
        page,
        f"What {point.label} missed",
        f"{record.data['dataset']}: {len(gallery):,} images, {record.model['name']}; "
        f"{ready.asked.describe(len(gallery))}; "
        f"knn_recall@{point.k} is {np.nanmean(recall):.3f} over {len(recall):,} queries",
        worst=lost_queries(ready, run_folder, point, worst),
        best=lost_queries(ready, run_folder, point, best),
        gallery=gallery,
    )
    return page


def lost_queries(
    ready: Prepared, run_folder: Path, point: PointRecord, queries: Sequence[int]
) -> list[MissedQuery]:
    """Chosen queries of ``point`` beside their exact and their returned neighbours, both without junk."""
    raw = read_arrays(run_folder, point, ("rows", "scores", "knn_recall"))
    rows, scores, recall = raw["rows"], raw["scores"], raw["knn_recall"]
    asked = ready.asked.queries
    if isinstance(asked, VectorSet):
        return []
    shown = []
    for query in queries:
        one = slice(query, query + 1)
        found, _ = drop_ignored(rows[one], scores[one], ready.relevance, point.k, query)
        exact, _ = drop_ignored(
            ready.exact.rows[one], ready.exact.scores[one], ready.relevance, point.k, query
        )
        both = np.concatenate([exact, found], axis=1)
        shown.append(
            MissedQuery(
                name=ready.queries.ids[query],
                load=partial(asked.load, query),
                exact=exact[0].tolist(),
                found=found[0].tolist(),
                recall=float(recall[query]),
                relevant=both[ready.relevance.are_relevant(both, query)].tolist(),
            )
        )
    return shown


def _recall(run_folder: Path, point: PointRecord) -> np.ndarray:
    return read_arrays(run_folder, point, ("knn_recall",))["knn_recall"]
