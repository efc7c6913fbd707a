"""One planned experiment: embed, find the exact neighbours, build, search, measure, record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.datasets import open_dataset
from lookalike.datasets.duplicates import duplicate_groups
from lookalike.datasets.fingerprints import settle_fingerprints
from lookalike.datasets.sets import ImageSet
from lookalike.embed.embedder import Embedder, count_shards, shard_faults
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.models import open_model
from lookalike.embed.precision import kept_neighbours
from lookalike.errors import ConfigError
from lookalike.evaluate.classes import NumberedClasses
from lookalike.evaluate.difficulty import Difficulty, query_difficulty
from lookalike.evaluate.evaluation import Evaluation, PerQuery, Reference, evaluate, evaluate_exact
from lookalike.evaluate.exact import Neighbours, exact_neighbours, recomputed_scores
from lookalike.evaluate.ground_truth import compare_ground_truth
from lookalike.evaluate.points import k_faults, k_of
from lookalike.evaluate.timing.encoding import Encoding, encoding_of
from lookalike.evaluate.timing.results import TimedPoint, TimedPoints
from lookalike.evaluate.timing.rounds import Candidate, time_points
from lookalike.index.build import IndexArtifacts, build_index
from lookalike.index.searchers import BruteForceSearcher, FaissSearcher, load_index
from lookalike.index.serving import serving_memory
from lookalike.progress import Progress
from lookalike.queries import plan_queries
from lookalike.queries.digests import digests_of
from lookalike.queries.plan import QueryPlan
from lookalike.queries.relevance import Relevance, resolve_relevance
from lookalike.runs.difficulty import QueriesByDifficulty
from lookalike.runs.naming import embedded_by, shards_label
from lookalike.runs.plan import Plan
from lookalike.runs.record import Record
from lookalike.runs.results import (
    describe_data,
    describe_index,
    describe_timing,
    exact_answer,
    point_record,
    recorded,
)
from lookalike.runs.session import Session, StageLog
from lookalike.schemas import Dataset, Experiment, Index, Queries
from lookalike.store.artifact import Artifact
from lookalike.store.store import Store


def run(
    plan: Plan,
    folder: Path,
    session: Session,
    overrides: Sequence[str] = (),
    saved: Callable[[Record], None] = lambda record: None,
) -> Record:
    """Perform or reuse every stage, measure every point of ``plan``, and write ``folder/record.json``.

    The record is written whatever ends the run, and given to ``saved`` before what ended it is raised again;
    only an error that the user can mend leaves none when it comes before the first stage is done.
    """
    with recorded(plan.experiment, overrides, folder, saved) as record:
        if plan.experiment.dataset.shards is not None:
            session.complete(lambda: embed_shards(plan, session, record))
        else:
            session.complete(lambda: measure(plan, record, folder, session))
    return record


def measure(plan: Plan, record: Record, folder: Path, session: Session) -> None:
    """Do all that ``plan`` asks for, and put it into ``record``: stages, data, each operating point."""
    experiment, stages = plan.experiment, StageLog(session)
    record.stages = stages.entries
    ready = prepare(experiment, session, stages)
    index = build(experiment, ready.gallery, session, stages)
    timed = search(plan, index, ready, session.progress)

    queries, gallery = ready.valid_queries, ready.query_plan.gallery
    digests = session.once(
        "digests",
        (data_of(experiment), ready.gallery.key, ready.queries.key),
        lambda: digests_of(queries, ready.gallery.ids, experiment.queries),
    )
    record.data = describe_data(
        experiment, queries, ready.gallery, ready.queries, ready.duplicates, digests=digests
    )
    record.model = {"name": embedded_by(experiment), "recipe": ready.embedder.recipe(gallery)}
    by_difficulty = QueriesByDifficulty(
        ready.difficulty,
        ready.exact,
        ready.relevance,
        queries.clusters,
        k=k_of(experiment.search),
        metric=experiment.index.metric,
        gallery_size=len(ready.gallery),
        measures=experiment.measures,
    )
    record.data["difficulty"] = by_difficulty.describe()
    record.index = describe_index(experiment.index, index.built, index.serving, index.searcher.load_seconds)
    record.timing = describe_timing(timed, ready.encoding)
    record.extras = compare(experiment, ready, session)
    record.points = [
        point_record(
            planned,
            found,
            judge(experiment, ready, found),
            config=experiment.index,
            index=record.index,
            digests=digests,
            difficulty=by_difficulty,
            encoding=ready.encoding,
            folder=folder,
        )
        for planned, found in zip(plan.to_measure, timed.points, strict=True)
    ]
    if exact := judge_exact(experiment, ready):
        record.data["exact_answer"] = exact_answer(
            exact, digests, queries.clusters, k_of(experiment.search), folder
        )


@dataclass(frozen=True)
class Prepared:
    """Everything that comes before the index: embedded gallery and queries, relevance, exact neighbours."""

    query_plan: QueryPlan
    """As composed; ``valid_queries`` is the same without queries whose image is bad."""
    valid_queries: QueryPlan
    embedder: Embedder
    gallery: Embeddings
    queries: Embeddings
    duplicates: npt.NDArray[np.int64] | None
    """Groups of byte-identical gallery images, where the protocol judges relevance."""
    relevance: Relevance
    exact: Neighbours
    difficulty: Difficulty
    encoding: Encoding | None
    """How long a query takes to encode; None for ready vectors, and where it was not measured."""
    classes: NumberedClasses | None
    """Of gallery and queries, where relevance is by class."""


def prepare(experiment: Experiment, session: Session, stages: StageLog) -> Prepared:
    """Embed the gallery and the queries, then find what is relevant and the exact neighbours."""
    store, progress, metric = session.store, session.progress, experiment.index.metric
    plan, embedder = open_inputs(experiment, session)
    if faults := k_faults(k_of(experiment.search), len(plan.gallery)):  # the dataset may have changed
        raise ConfigError(faults)
    gallery, queries = embed(experiment, plan, embedder, session, stages)

    duplicates = None
    if plan.judged and (isinstance(plan.gallery, ImageSet) or plan.gallery.duplicate_of is not None):
        duplicates = session.once(
            "duplicates", data_of(experiment), lambda: duplicate_groups(plan.gallery, store, progress)
        )
    relevance = resolve_relevance(plan, gallery.ids, queries.ids, duplicates, experiment.queries.duplicates)

    depth = k_of(experiment.search) + relevance.max_ignored + experiment.measures.extra_depth
    exact, _ = stages.perform(
        "exact",
        (gallery.key, queries.key, metric, depth),
        lambda: exact_neighbours(gallery, queries, metric, depth, store, progress=progress),
        lambda made: [made[1]],
    )
    difficulty = session.once(
        "difficulty",
        (gallery.key, queries.key, metric, depth),
        lambda: query_difficulty(gallery, queries, exact, metric, store, progress=progress),
    )
    valid = plan.take(queries.kept.tolist())
    encoding = session.once(
        "encoding",
        (queries.key, experiment.model, experiment.search.single_threads, experiment.search.encoding),
        lambda: encoding_of(
            valid,
            embedder,
            queries.key,
            experiment.search,
            store,
            device=experiment.model.device,
            progress=progress,
        ),
    )
    classes = None if valid.classes is None else NumberedClasses.of(valid.classes, gallery.kept)
    return Prepared(
        plan, valid, embedder, gallery, queries, duplicates, relevance, exact, difficulty, encoding, classes
    )


def open_inputs(experiment: Experiment, session: Session) -> tuple[QueryPlan, Embedder]:
    """Return the gallery with the queries against it, and what embeds both; notices are given once."""
    store, progress, model = session.store, session.progress, experiment.model
    data = data_of(experiment)
    plan = session.once("plan", data, lambda: _open_queries(*data, store, progress))
    session.notice(*plan.gallery.notices, *plan.notices)
    embedder = session.once("embedder", model, lambda: Embedder.of(open_model(model), model, store, progress))
    return plan, embedder


def data_of(experiment: Experiment) -> tuple[Dataset, Queries]:
    """Return what the query plan depends on: the whole gallery, whichever shards of it are embedded."""
    return replace(experiment.dataset, shards=None), experiment.queries


def _open_queries(dataset: Dataset, queries: Queries, store: Store, progress: Progress) -> QueryPlan:
    plan = plan_queries(queries, open_dataset(dataset, progress, store))
    if isinstance(plan.queries, ImageSet):  # a folder of their own may have been moved or touched as well
        return replace(plan, queries=settle_fingerprints(plan.queries, store, progress))
    return plan


def embed(
    experiment: Experiment, plan: QueryPlan, embedder: Embedder, session: Session, stages: StageLog
) -> tuple[Embeddings, Embeddings]:
    """Return the embeddings of the gallery and of the queries; the user is told what could not be used."""
    key = (data_of(experiment), experiment.model)
    gallery = stages.perform(
        "embeddings", key, lambda: embedder.embed(plan.gallery), lambda made: made.artifacts
    )
    if gallery.bad:
        session.notice(
            f"{len(gallery.bad):,} of {len(plan.gallery):,} images cannot be used; "
            "record.json names them under bad_images, each with its reason"
        )
    if zeros := sum(artifact.facts.get("zeros", 0) for artifact in gallery.artifacts):
        session.notice(
            f"{zeros:,} of {len(gallery):,} vectors are all zeros and are searched like the others; "
            "dataset.drop_zeros=true leaves them out"
        )
    queries = stages.perform(
        "queries", key, lambda: embedder.embed(plan.queries, "queries"), lambda made: made.artifacts
    )
    if cut := sum(artifact.facts.get("texts_cut", 0) for artifact in queries.artifacts):
        session.notice(
            f"{cut:,} of {len(queries):,} captions are longer than the model's text tower reads, and cut "
            "at its length; shorter ones say all of what they ask"
        )
    return gallery, queries


@dataclass(frozen=True)
class LoadedIndex:
    """An index over the gallery, ready to be searched, and what it took to build and to serve."""

    built: IndexArtifacts
    serving: Artifact
    searcher: FaissSearcher | BruteForceSearcher


def build(experiment: Experiment, gallery: Embeddings, session: Session, stages: StageLog) -> LoadedIndex:
    """Build or reuse the index over ``gallery``, measure the memory that it takes to serve, and load it."""
    built, serving = build_files(experiment.index, gallery, session, stages)
    key = (gallery.key, experiment.index)
    searcher = session.once("searcher", key, lambda: load_index(experiment.index, built, gallery))
    return LoadedIndex(built, serving, searcher)


def build_files(
    config: Index, gallery: Embeddings, session: Session, stages: StageLog
) -> tuple[IndexArtifacts, Artifact]:
    """Return the index over ``gallery``, built or reused, and what it takes to serve it."""
    store, progress, key = session.store, session.progress, (gallery.key, config)
    built = stages.perform(
        "index", key, lambda: build_index(config, gallery, store, progress), lambda made: [made.index]
    )
    session.notice(*built.notices)
    serving = stages.perform(
        "serving", key, lambda: serving_memory(config, built, gallery, store, progress), lambda made: [made]
    )
    return built, serving


def search(plan: Plan, index: LoadedIndex, ready: Prepared, progress: Progress) -> TimedPoints:
    """Time the planned points; each search asks for so many more as are not counted."""
    experiment = plan.experiment
    points = [planned.point for planned in plan.to_measure if planned.point]
    extra = ready.relevance.max_ignored + int(experiment.measures.drop_first)
    queries = ready.queries.matrix
    candidates = [Candidate(point, index.searcher, queries, extra) for point in points]
    return time_points(candidates, experiment.search, progress=progress)


def judge(experiment: Experiment, ready: Prepared, found: TimedPoint) -> Evaluation:
    """Return all measures of what one operating point found."""
    metric = experiment.index.metric
    scores = recomputed_scores(ready.gallery, ready.queries.matrix, found.rows, metric)
    return evaluate(
        Neighbours(found.rows, scores),
        _reference(ready),
        k=k_of(experiment.search),
        metric=metric,
        measures=experiment.measures,
    )


def judge_exact(experiment: Experiment, ready: Prepared) -> PerQuery:
    """Return how relevant the exact neighbours are to each query; {} where nothing is judged."""
    if not ready.relevance.judged:
        return {}
    k, metric = k_of(experiment.search), experiment.index.metric
    return evaluate_exact(_reference(ready), k=k, metric=metric, measures=experiment.measures)


def _reference(ready: Prepared) -> Reference:
    relevance = ready.relevance if ready.relevance.judged or ready.relevance.max_ignored else None
    queries = ready.valid_queries
    return Reference(ready.exact, relevance, queries.clusters, queries.edits, ready.classes)


def compare(experiment: Experiment, ready: Prepared, session: Session) -> dict[str, Any]:
    """Return how far the run agrees with float32 and with neighbours that came with the queries."""
    gallery = ready.query_plan.gallery
    kept = kept_neighbours(experiment, ready.embedder, gallery, session.store, session.progress)
    agreement = compare_ground_truth(
        ready.valid_queries,
        ready.gallery,
        ready.queries,
        ready.exact,
        metric=experiment.index.metric,
        tolerance=experiment.measures.tie_tolerance,
        progress=session.progress,
    )
    return {**kept, **agreement}


def embed_shards(plan: Plan, session: Session, record: Record | None = None) -> None:
    """Embed ``dataset.shards`` of the gallery: the very artifacts that the whole run will reuse.

    ``record`` then tells of it, without operating points. Raises ConfigError when there are no such shards.
    """
    experiment, stages = plan.experiment, StageLog(session)
    queries, embedder = open_inputs(experiment, session)
    gallery, numbers = queries.gallery, experiment.dataset.shards or []
    count = count_shards(gallery)
    if faults := shard_faults(numbers, count):
        raise ConfigError(faults)
    if record is not None:
        record.stages = stages.entries
    made = stages.perform(
        "embeddings",
        (data_of(experiment), experiment.model, tuple(numbers)),
        lambda: embedder.embed_shards(gallery, numbers),
        lambda made: made.artifacts,
    )
    session.notice(
        f"{shards_label(numbers)} of {count} in the store (counted from 0), nothing was searched; "
        "without dataset.shards a run takes it from there"
    )
    if record is not None:
        [planned] = plan.points
        record.extras["shards"] = {
            "numbers": list(numbers),
            "of": count,
            "gallery_size": len(gallery),
            "vectors": sum(artifact.facts["vectors"] for artifact in made.artifacts),
            "bad_images": [asdict(image) for _, image in made.bad],
            "trial_key": planned.id,
        }


def build_only(plan: Plan, session: Session) -> None:
    """Make everything that a later :func:`run` of the plan reuses; no search is timed, nothing recorded."""
    session.complete(lambda: _build_only(plan, session))


def _build_only(plan: Plan, session: Session) -> None:
    experiment, stages = plan.experiment, StageLog(session)
    if experiment.dataset.shards is not None:
        embed_shards(plan, session)
        return
    ready = prepare(experiment, session, stages)
    build_files(experiment.index, ready.gallery, session, stages)
    gallery = ready.query_plan.gallery
    kept_neighbours(experiment, ready.embedder, gallery, session.store, session.progress)
