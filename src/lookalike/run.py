"""One experiment, from images to measures: :func:`prepare` and :func:`measure_points` are the whole story."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.datasets import ImageSet, duplicate_groups, open_dataset
from lookalike.embed import Embedder, Embeddings
from lookalike.environment import describe_machine
from lookalike.errors import ConfigError, UserError
from lookalike.exact import Neighbours, exact_neighbours, recomputed_scores
from lookalike.index import build_index, load_index, serving_memory
from lookalike.measures import distances, evaluate, knn_recall
from lookalike.models import open_model
from lookalike.precision import kept_neighbours
from lookalike.queries import QueryPlan, Relevance, plan_queries, resolve_relevance
from lookalike.record import FAILED, FINISHED, INTERRUPTED, PointRecord, Record
from lookalike.recording import describe_data, describe_index, describe_timing, point_record
from lookalike.schemas import Experiment
from lookalike.search import Point, expand_points, point_faults
from lookalike.session import Session
from lookalike.stages import StageLog
from lookalike.timing import TimedPoint, time_points
from lookalike.trials import embedded_by, trial_key


def run(experiment: Experiment, folder: Path, session: Session, overrides: Sequence[str] = ()) -> Record:
    """Perform or reuse every stage, measure every operating point, and write ``folder/record.json``.

    The record is written whatever ends the run, which is raised again afterwards; only an error that the
    user can mend leaves none when it comes before the first stage is done.
    """
    record = Record(
        name=experiment.name
        or f"{experiment.dataset.name} {embedded_by(experiment)} {experiment.index.family}",
        started=_now(),
        finished="",
        status=FINISHED,
        config=asdict(experiment),
        overrides=list(overrides),
        environment=describe_machine(),
    )
    try:
        measure_points(experiment, points_of(experiment), record, folder, session)
    except BaseException as error:
        record.status = INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED
        record.error = str(error) or type(error).__name__
        if record.stages or not isinstance(error, UserError):
            with suppress(UserError):  # a record that cannot be written does not hide what ended the run
                _put_down(record, folder)
        raise
    _put_down(record, folder)
    return record


def _put_down(record: Record, folder: Path) -> None:
    record.finished = _now()
    record.save(folder)


def points_of(experiment: Experiment) -> list[Point]:
    """The run's operating points, without those that another run of the sweep covers."""
    points, _ = expand_points(experiment.search, experiment.index)
    return [point for point in points if trial_key(experiment, point) not in experiment.sweep.skip]


@dataclass(frozen=True)
class Prepared:
    """Everything that stands before any index: what is searched, what for, and the true answers."""

    plan: QueryPlan
    """As composed; ``asked`` is the same without queries whose image is bad."""
    asked: QueryPlan
    embedder: Embedder
    gallery: Embeddings
    queries: Embeddings
    twins: npt.NDArray[np.int64] | None
    """Groups of byte-identical gallery images, where the protocol judges relevance."""
    relevance: Relevance
    exact: Neighbours


def prepare(experiment: Experiment, session: Session, stages: StageLog) -> Prepared:
    """Dataset and query protocol, then embeddings of both, then relevance and exact neighbours."""
    store, progress, model = session.store, session.progress, experiment.model

    data = (experiment.dataset, experiment.queries)
    plan = session.once(
        "plan", data, lambda: plan_queries(experiment.queries, open_dataset(experiment.dataset, progress))
    )
    session.notice(*plan.gallery.notices, *plan.notices)
    if faults := point_faults(Point.of(k=experiment.search.k), experiment.index, len(plan.gallery)):
        raise ConfigError(faults)

    embedder = session.once("embedder", model, lambda: Embedder.of(open_model(model), model, store, progress))
    gallery = stages.perform(
        "embeddings", (data, model), lambda: embedder.embed(plan.gallery), lambda made: made.artifacts
    )
    if gallery.bad:
        session.notice(
            f"{len(gallery.bad):,} of {len(plan.gallery):,} images cannot be used; "
            "record.json names them under bad_images, each with its reason"
        )
    queries = stages.perform(
        "queries", (data, model), lambda: embedder.embed(plan.queries, "queries"), lambda made: made.artifacts
    )

    twins = None
    if isinstance(plan.gallery, ImageSet) and plan.relevant_ids is not None:
        images = plan.gallery
        twins = session.once("duplicates", data, lambda: duplicate_groups(images, store, progress))
    relevance = resolve_relevance(plan, gallery.ids, queries.ids, twins, experiment.queries.duplicates)

    metric = experiment.index.metric
    depth = experiment.search.k + relevance.max_ignored + experiment.measures.extra_depth
    exact, _ = stages.perform(
        "exact",
        (gallery.key, queries.key, metric, depth),
        lambda: exact_neighbours(gallery, queries, metric, depth, store, progress=progress),
        lambda made: [made[1]],
    )
    asked = plan.take(queries.kept.tolist())
    return Prepared(plan, asked, embedder, gallery, queries, twins, relevance, exact)


def measure_points(
    experiment: Experiment, points: Sequence[Point], record: Record, folder: Path, session: Session
) -> None:
    """Prepare, build or reuse the index, time all points, and put what they found into the record."""
    store, progress = session.store, session.progress
    index, search, measures = experiment.index, experiment.search, experiment.measures
    stages = StageLog(session)
    record.stages = stages.entries

    ready = prepare(experiment, session, stages)
    gallery, queries = ready.gallery, ready.queries

    built = stages.perform(
        "index",
        (gallery.key, index),
        lambda: build_index(index, gallery, store, progress),
        lambda made: [made.index],
    )
    session.notice(*built.notices)
    served = stages.perform(
        "serving",
        (gallery.key, index),
        lambda: serving_memory(index, built, gallery, store, progress),
        lambda made: [made],
    )
    searcher = session.once("searcher", (gallery.key, index), lambda: load_index(index, built, gallery))
    extra = ready.relevance.max_ignored
    timed = time_points(searcher, queries.matrix, points, search, extra_k=extra, progress=progress)

    record.data = describe_data(experiment, ready.plan, gallery, queries, ready.twins)
    record.model = {"name": embedded_by(experiment), "recipe": ready.embedder.recipe(ready.plan.gallery)}
    record.index = describe_index(index, built, served, searcher.load_seconds)
    record.timing = describe_timing(timed)
    record.extras = {
        **kept_neighbours(experiment, ready.embedder, ready.plan.gallery, store, progress),
        **_given_neighbours_found(ready, index.metric, measures.tie_tolerance, session),
    }
    record.points = [judge_point(experiment, ready, result, record.index, folder) for result in timed.points]


def judge_point(
    experiment: Experiment, ready: Prepared, result: TimedPoint, index: dict[str, Any], folder: Path
) -> PointRecord:
    """All measures of what one operating point found; ``index`` is the record's description of its index."""
    search, measures, metric = experiment.search, experiment.measures, experiment.index.metric
    relevance = ready.relevance
    evaluation = evaluate(
        result.rows,
        recomputed_scores(ready.gallery, ready.queries.matrix, result.rows, metric),
        ready.exact,
        relevance if relevance.judged or relevance.max_ignored else None,
        k=search.k,
        metric=metric,
        cutoffs=measures.cutoffs,
        tolerance=measures.tie_tolerance,
        sources=ready.asked.sources,
        edits=ready.asked.edits,
        resamples=measures.bootstrap,
        confidence=measures.confidence,
    )
    return point_record(
        experiment, result, evaluation, index=index, sources=ready.asked.sources, folder=folder
    )


def _given_neighbours_found(
    ready: Prepared, metric: str, tolerance: float, session: Session
) -> dict[str, float]:
    """How many of our exact neighbours those that came with the queries hold, ties credited; {} without."""
    given = ready.asked.ready_neighbours
    if given is None:
        return {}
    rows = given[:, : ready.exact.depth].astype(np.int64)
    scores = recomputed_scores(ready.gallery, ready.queries.matrix, rows, metric)
    found = distances(rows, scores, metric)
    exact = distances(ready.exact.rows, ready.exact.scores, metric)
    share = float(np.nanmean(knn_recall(found, exact, rows.shape[1], tolerance)))
    if share < 1:
        session.progress.warn(
            f"queries.neighbours holds {share:.1%} of the exact neighbours found here; "
            "they may be of another metric, gallery or order"
        )
    return {"given_neighbours_found": share}


def _now() -> str:
    return datetime.now(UTC).isoformat()
