"""What comes before the index: the embedded gallery and queries, what is relevant, the exact neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lookalike.datasets import open_dataset
from lookalike.datasets.duplicates import duplicate_groups
from lookalike.datasets.fingerprints import settle_fingerprints
from lookalike.datasets.sets import ImageSet
from lookalike.embed.embedder import Embedder
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.models import open_model
from lookalike.errors import ConfigError
from lookalike.evaluate.classes import NumberedClasses
from lookalike.evaluate.difficulty import Difficulty, query_difficulty
from lookalike.evaluate.exact import Neighbours, exact_neighbours
from lookalike.evaluate.points import k_faults, k_of
from lookalike.evaluate.timing.encoding import Encoding, encoding_of
from lookalike.progress import Progress
from lookalike.queries import plan_queries
from lookalike.queries.plan import QueryPlan
from lookalike.queries.relevance import Relevance, resolve_relevance
from lookalike.runs.session import Session, StageLog
from lookalike.schemas import Dataset, Experiment, Queries
from lookalike.store.store import Store


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
