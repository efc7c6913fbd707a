"""One experiment, from images to measures: :func:`prepare` and :func:`measure_points` are the whole story."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.datasets import open_dataset
from lookalike.datasets.counting import count_rows
from lookalike.datasets.duplicates import duplicate_groups
from lookalike.datasets.known import settle_fingerprints
from lookalike.datasets.sets import ImageSet
from lookalike.embed.embedder import Embedder, count_shards, shard_faults
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.models import open_model
from lookalike.embed.precision import kept_neighbours
from lookalike.errors import ConfigError, UserError
from lookalike.evaluate.exact import Neighbours, exact_neighbours, recomputed_scores
from lookalike.evaluate.ground_truth import compare_given
from lookalike.evaluate.measures import evaluate
from lookalike.evaluate.points import Point, asked_k, expand_points, point_faults
from lookalike.evaluate.timing.results import TimedPoint
from lookalike.evaluate.timing.rounds import time_points
from lookalike.index.build import IndexArtifacts, build_index
from lookalike.index.searchers import load_index
from lookalike.index.serving import serving_memory
from lookalike.machine.environment import describe_machine
from lookalike.progress import Progress
from lookalike.queries import plan_queries
from lookalike.queries.plan import QueryPlan
from lookalike.queries.relevance import Relevance, resolve_relevance
from lookalike.resolving import Resolved, resolve
from lookalike.runs.naming import embedded_by, run_name, shards_key, shards_label, trial_key
from lookalike.runs.record import FAILED, FINISHED, INTERRUPTED, PointRecord, Record
from lookalike.runs.results import describe_data, describe_index, describe_timing, point_record
from lookalike.runs.session import Session
from lookalike.runs.stages import StageLog
from lookalike.schemas import Dataset, Experiment, Queries
from lookalike.store.artifact import Artifact
from lookalike.store.store import Store


def run(experiment: Experiment, folder: Path, session: Session, overrides: Sequence[str] = ()) -> Record:
    """Perform or reuse every stage, measure every operating point, and write ``folder/record.json``.

    The record is written whatever ends the run, which is raised again afterwards; only an error that the
    user can mend leaves none when it comes before the first stage is done.
    """
    experiment = decided(experiment, session)
    record = Record(
        name=experiment.name or run_name(experiment),
        started=_now(),
        finished="",
        status=FINISHED,
        config=asdict(experiment),
        overrides=list(overrides),
        environment=describe_machine(),
    )
    try:
        if experiment.dataset.shards is None:
            points = points_of(experiment)
            session.complete(lambda: measure_points(experiment, points, record, folder, session))
        else:
            session.complete(lambda: record_shards(experiment, record, session))
    except SystemExit:  # a scheduler takes the machine back, and starts this job again: it is not over
        raise
    except BaseException as error:
        record.status = INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED
        record.error = str(error) or type(error).__name__
        if record.stages or not isinstance(error, UserError):
            with suppress(UserError):  # a record that cannot be written does not hide what ended the run
                _put_down(record, folder)
        raise
    _put_down(record, folder)
    return record


def decided(experiment: Experiment, session: Session) -> Resolved:
    """``experiment`` with what depends on its dataset's size; that is counted unless it was before."""
    if isinstance(experiment, Resolved):
        return experiment
    return resolve(experiment, count_rows(experiment.dataset, session.progress, session.store))


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

    data = _data(experiment)
    plan, embedder = _begin(experiment, session)
    if faults := point_faults(Point.of(k=asked_k(experiment.search)), experiment.index, len(plan.gallery)):
        raise ConfigError(faults)

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

    if cut := sum(artifact.facts.get("texts_cut", 0) for artifact in queries.artifacts):
        session.notice(
            f"{cut:,} of {len(queries):,} captions are longer than the model's text tower reads, and cut "
            "at its length; shorter ones say all of what they ask"
        )

    twins = None
    known = isinstance(plan.gallery, ImageSet) or plan.gallery.duplicate_of is not None
    if plan.judged and known:
        images = plan.gallery
        twins = session.once("duplicates", data, lambda: duplicate_groups(images, store, progress))
    relevance = resolve_relevance(plan, gallery.ids, queries.ids, twins, experiment.queries.duplicates)

    metric = experiment.index.metric
    depth = asked_k(experiment.search) + relevance.max_ignored + experiment.measures.extra_depth
    exact, _ = stages.perform(
        "exact",
        (gallery.key, queries.key, metric, depth),
        lambda: exact_neighbours(gallery, queries, metric, depth, store, progress=progress),
        lambda made: [made[1]],
    )
    asked = plan.take(queries.kept.tolist())
    return Prepared(plan, asked, embedder, gallery, queries, twins, relevance, exact)


def _data(experiment: Experiment) -> tuple[Dataset, Queries]:
    """What the query plan depends on: the whole gallery, whichever shards of it are embedded."""
    return replace(experiment.dataset, shards=None), experiment.queries


def _begin(experiment: Experiment, session: Session) -> tuple[QueryPlan, Embedder]:
    """What is searched and what for, the user told what is odd about it, and what embeds both."""
    store, progress, model = session.store, session.progress, experiment.model
    data = _data(experiment)
    plan = session.once("plan", data, lambda: _plan(*data, store, progress))
    session.notice(*plan.gallery.notices, *plan.notices)
    return plan, session.once(
        "embedder", model, lambda: Embedder.of(open_model(model), model, store, progress)
    )


def _plan(dataset: Dataset, queries: Queries, store: Store, progress: Progress) -> QueryPlan:
    plan = plan_queries(queries, open_dataset(dataset, progress, store))
    if isinstance(plan.queries, ImageSet):  # a folder of their own may have been moved or touched as well
        return replace(plan, queries=settle_fingerprints(plan.queries, store, progress))
    return plan


def embed_shards(experiment: Experiment, session: Session, stages: StageLog) -> dict[str, Any]:
    """Embed ``dataset.shards`` of the gallery: the very artifacts that the whole run will reuse.

    Returns what the record tells of it. Raises ConfigError when the gallery has no such shards.
    """
    plan, embedder = _begin(experiment, session)
    gallery, numbers = plan.gallery, experiment.dataset.shards or []
    count = count_shards(gallery)
    if faults := shard_faults(numbers, count):
        raise ConfigError(faults)
    made = stages.perform(
        "embeddings",
        (_data(experiment), experiment.model, tuple(numbers)),
        lambda: embedder.embed_shards(gallery, numbers),
        lambda made: made.artifacts,
    )
    session.notice(
        f"{shards_label(numbers)} of {count} in the store (counted from 0), nothing was searched; "
        "without dataset.shards a run takes it from there"
    )
    return {
        "numbers": list(numbers),
        "of": count,
        "gallery_size": len(gallery),
        "vectors": sum(artifact.facts["vectors"] for artifact in made.artifacts),
        "bad_images": [asdict(image) for _, image in made.bad],
        "trial_key": shards_key(experiment),
    }


def record_shards(experiment: Experiment, record: Record, session: Session) -> None:
    """Embed ``dataset.shards`` and put that into the record, which has no operating points."""
    stages = StageLog(session)
    record.stages = stages.entries
    record.extras = {"shards": embed_shards(experiment, session, stages)}


def index_gallery(
    experiment: Experiment, gallery: Embeddings, session: Session, stages: StageLog
) -> tuple[IndexArtifacts, Artifact]:
    """The index over ``gallery``, built or reused, and what it takes to serve it."""
    store, progress, index = session.store, session.progress, experiment.index
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
    return built, served


def build(experiment: Experiment, session: Session) -> None:
    """Everything that a later :func:`run` of the experiment reuses; no search is timed, nothing recorded."""
    session.complete(lambda: _build_all(experiment, session))


def _build_all(experiment: Experiment, session: Session) -> None:
    stages = StageLog(session)
    experiment = decided(experiment, session)
    if experiment.dataset.shards is not None:
        embed_shards(experiment, session, stages)
        return
    ready = prepare(experiment, session, stages)
    index_gallery(experiment, ready.gallery, session, stages)
    kept_neighbours(experiment, ready.embedder, ready.plan.gallery, session.store, session.progress)


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

    built, served = index_gallery(experiment, gallery, session, stages)
    searcher = session.once("searcher", (gallery.key, index), lambda: load_index(index, built, gallery))
    extra = ready.relevance.max_ignored + int(measures.drop_first)
    timed = time_points(searcher, queries.matrix, points, search, extra_k=extra, progress=progress)

    record.data = describe_data(experiment, ready.asked, gallery, queries, ready.twins)
    record.model = {"name": embedded_by(experiment), "recipe": ready.embedder.recipe(ready.plan.gallery)}
    record.index = describe_index(index, built, served, searcher.load_seconds)
    record.timing = describe_timing(timed)
    record.extras = {
        **kept_neighbours(experiment, ready.embedder, ready.plan.gallery, store, progress),
        **compare_given(
            ready.asked,
            gallery,
            queries,
            ready.exact,
            metric=index.metric,
            tolerance=measures.tie_tolerance,
            progress=progress,
        ),
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
        k=asked_k(search),
        metric=metric,
        cutoffs=measures.cutoffs,
        tolerance=measures.tie_tolerance,
        sources=ready.asked.sources,
        edits=ready.asked.edits,
        resamples=measures.bootstrap,
        confidence=measures.confidence,
        dropped=int(measures.drop_first),
    )
    return point_record(
        experiment, result, evaluation, index=index, sources=ready.asked.sources, folder=folder
    )


def _now() -> str:
    return datetime.now(UTC).isoformat()
