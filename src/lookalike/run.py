"""One planned experiment: embed, find the exact neighbours, build, search, measure, record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lookalike.embed.embedder import count_shards, shard_faults
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.precision import kept_neighbours
from lookalike.errors import ConfigError
from lookalike.evaluate.evaluation import Evaluation, PerQuery, Reference, evaluate, evaluate_exact
from lookalike.evaluate.exact import Neighbours, recomputed_scores
from lookalike.evaluate.ground_truth import compare_ground_truth
from lookalike.evaluate.points import k_of
from lookalike.evaluate.timing.results import TimedPoint, TimedPoints
from lookalike.evaluate.timing.rounds import Candidate, time_points
from lookalike.index.build import IndexArtifacts, build_index
from lookalike.index.searchers import BruteForceSearcher, FaissSearcher, load_index
from lookalike.index.serving import serving_memory
from lookalike.progress import Progress
from lookalike.queries.digests import digests_of
from lookalike.runs.difficulty import QueriesByDifficulty
from lookalike.runs.naming import embedded_by, shards_label
from lookalike.runs.plan import Plan
from lookalike.runs.preparation import Prepared, data_of, open_inputs, prepare
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
from lookalike.schemas import Experiment, Index
from lookalike.store.artifact import Artifact


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
