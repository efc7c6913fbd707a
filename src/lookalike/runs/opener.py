"""A finished run opened to be looked at and searched: nothing is embedded or built for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.datasets import open_dataset
from lookalike.datasets.duplicates import duplicate_groups
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.embed.embedder import Embedder
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.models import open_model
from lookalike.embed.models.protocol import Encoder
from lookalike.embed.shards import shaping
from lookalike.errors import DatasetError, ImageError, ModelError, QueryError, StoreError, UserError
from lookalike.evaluate.exact import Neighbours, recomputed_scores
from lookalike.index.build import IndexArtifacts
from lookalike.index.searchers import BruteForceSearcher, FaissSearcher, load_index
from lookalike.machine.environment import threads
from lookalike.machine.filesystems import results_root
from lookalike.progress import SILENT, Progress
from lookalike.queries import plan_queries
from lookalike.queries.plan import QueryPlan
from lookalike.queries.relevance import Relevance, resolve_relevance
from lookalike.runs.catalog import find_point
from lookalike.runs.points import RunPoint
from lookalike.runs.recompose import experiment_of
from lookalike.runs.record import PointRecord, Record
from lookalike.runs.searching import Comparison, Floats, Hits, Query, Rows, compare, read_query
from lookalike.runs.stored import (
    ReadOnlyStore,
    as_searched,
    root_of,
    stage_artifacts,
    stored_index,
    stored_vectors,
    with_paths_of,
)
from lookalike.schemas import EmbeddingsDataset, Experiment, ImageDataset, VectorDataset
from lookalike.store.recipe import Recipe, differences

SPARE = 16
"""Candidates of an exact search beyond k: they are scored again one by one, which may reorder close ones."""


def open_finished(
    selector: str | os.PathLike[str] | None = None,
    root: str | Path | None = None,
    *,
    progress: Progress = SILENT,
) -> FinishedRun:
    """Open one operating point of a finished run: ``open_finished("latest").search("photo.jpg")``.

    ``selector``: ``latest`` (also None), an output folder, a run's id, the name of a sweep or run, and a
    point of it after a colon, see :func:`~lookalike.runs.catalog.find_point`. ``root``: ``paths.root`` of the
    runs; None: LOOKALIKE_HOME, else the working directory. Raises UserError when no run is meant, or when its
    config is of another version. What the run left is taken from the store when it is first asked for.
    """
    home = results_root(root)
    return open_point(find_point(home, None if selector is None else os.fspath(selector)), home, progress)


def open_point(found: RunPoint, root: Path, progress: Progress = SILENT) -> FinishedRun:
    """Open an operating point that was found; ``root`` is ``paths.root``, whose store has the run's parts.

    Where the run lies below another root, it is that one's store. Raises UserError for a config of another
    version.
    """
    experiment = _as_searched(experiment_of(found.record.config), found.record)
    home = root_of(found.folder.resolve(), root.expanduser().resolve(), experiment.paths.store)
    experiment = with_paths_of(experiment, home)
    store = ReadOnlyStore(home / experiment.paths.store, progress=progress)
    return FinishedRun(found.folder, found.record, found.point, experiment, store, progress)


def _as_searched(experiment: Experiment, record: Record) -> Experiment:
    """The experiment with what was done to ready vectors, where its config left that open.

    What is done then is not the same in each version: the record of the run tells.
    """
    dataset, scaled = experiment.dataset, record.model.get("recipe", {}).get("normalize")
    if not isinstance(dataset, EmbeddingsDataset) or dataset.normalize is not None or scaled is None:
        return experiment
    return replace(experiment, dataset=replace(dataset, normalize=bool(scaled)))


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """One operating point of a finished run. May be shared by threads.

    Its parts are opened when they are first asked for, as the run left them in the store. Nothing is built:
    a part that is gone is a UserError that says what to do.
    """

    folder: Path
    record: Record
    point: PointRecord
    experiment: Experiment
    """What the run was composed of, with paths that hold here."""
    store: ReadOnlyStore
    progress: Progress = SILENT

    # --- parts -----------------------------------------------------------------------------------------

    @cached_property
    def vectors(self) -> Embeddings:
        """The gallery's, with their ids, as the run searched them."""
        return stored_vectors(self.record, self.store, "embeddings")

    @cached_property
    def index(self) -> IndexArtifacts:
        """The files of the index."""
        return stored_index(self.record, self.store)

    @cached_property
    def searcher(self) -> FaissSearcher | BruteForceSearcher:
        """The index, loaded."""
        return load_index(self.experiment.index, self.index, self.vectors)

    @cached_property
    def gallery(self) -> ImageSet | VectorSet:
        """What was searched, row for row as in ``vectors``.

        An image that has left the dataset since keeps its row and id; loading it raises ImageError. Images
        that have joined since are not in it. Raises DatasetError when the dataset is not where it was.
        """
        return as_searched(self._dataset, self.vectors.ids)

    @property
    def images(self) -> ImageSet:
        """:attr:`gallery`. Raises ModelError for a run of ready vectors, which has no images."""
        if isinstance(self.experiment.dataset, VectorDataset) or not isinstance(self.gallery, ImageSet):
            raise ModelError("this run has no images; choose a run over images")
        return self.gallery

    @cached_property
    def queries(self) -> Embeddings:
        """Vectors of what the run searched for."""
        return stored_vectors(self.record, self.store, "queries")

    @cached_property
    def exact_neighbours(self) -> Neighbours:
        """Of the run's queries in ``vectors``."""
        [artifact] = stage_artifacts(self.record, self.store, "exact")
        return Neighbours.load(artifact.path)

    @cached_property
    def plan(self) -> QueryPlan:
        """The run's queries and what each should find, in the order of ``queries``.

        Raises UserError when the dataset has changed so that they cannot be told from it any more.
        """
        with _opening("the queries of this run"):
            plan = plan_queries(self.experiment.queries, self._dataset)
        place_of = {id_: place for place, id_ in enumerate(plan.queries.ids)}
        places = [place_of[id_] for id_ in self.queries.ids if id_ in place_of]
        if len(places) < len(self.queries) or not {*self.vectors.ids} <= {*plan.gallery.ids}:
            raise UserError(
                "the dataset has changed since the run: what its queries should find is not known any more; "
                "run the experiment again"
            )
        return plan.take(places)

    @cached_property
    def duplicates(self) -> npt.NDArray[np.int64] | None:
        """Per row of the plan's gallery, the first row with the same bytes; None where nothing is judged."""
        gallery = self.plan.gallery
        if not self.plan.judged or (isinstance(gallery, VectorSet) and gallery.duplicate_of is None):
            return None
        return duplicate_groups(gallery, self.store, self.progress)

    @cached_property
    def relevance(self) -> Relevance:
        """Which gallery rows each of the run's queries should find, and which do not count."""
        policy = self.experiment.queries.duplicates
        return resolve_relevance(self.plan, self.vectors.ids, self.queries.ids, self.duplicates, policy)

    @cached_property
    def embedder(self) -> Embedder:
        """The run's model, checked to be what the record says it was.

        Raises ModelError when it cannot be had, when a part of it has changed, or when the run was of
        ready vectors, whose model is not known.
        """
        config = self.experiment.model
        if isinstance(self.experiment.dataset, VectorDataset):
            raise ModelError(
                f"this run is of ready vectors (dataset={self.experiment.dataset.name}), whose model is not "
                "known, so nothing new can be embedded; choose a run over images"
            )
        embedder = Embedder.of(open_model(config), config, self.store, self.progress)
        then, now = self.record.model.get("recipe", {}), embedder.model.image_recipe(self.store)
        if changed := _changes(then, now):
            raise ModelError(
                f"model={config.name} is not what this run embedded its gallery with ({'; '.join(changed)}), "
                "so its vectors need not fit; go back to what it was, or run the experiment again"
            )
        return embedder

    @cached_property
    def _dataset(self) -> ImageSet | VectorSet:
        config = self.experiment.dataset
        with _opening("the gallery of this run"):
            try:
                return open_dataset(config, self.progress, self.store)
            except StoreError:  # what the store keeps of tars is gone or out of date: read, and not kept
                return open_dataset(config, self.progress)

    # --- what can be searched ---------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, int]:
        """The point's search settings: ``{"nprobe": 8}``."""
        return {name: value for name, value in self.point.settings.items() if name != "k"}

    @property
    def limits(self) -> dict[str, int | None]:
        """The search settings that the index has, each with its largest value (None: any)."""
        index = self.experiment.index
        return {name: index.list_count() if name == "nprobe" else None for name in index.search_settings()}

    @property
    def metric(self) -> str:
        """``l2`` or ``ip``."""
        return self.experiment.index.metric

    @cached_property
    def reads_text(self) -> bool:
        """Whether the model has a text tower whose files are there."""
        model = self.embedder.model
        try:
            model.text_recipe(self.store)
        except ModelError:
            return False
        return True

    def require_searchable(self) -> None:
        """Raise UserError unless images can be searched for: vectors, index, model and images are there."""
        _ = self.vectors, self.index, self.embedder, self.images

    # --- searching -------------------------------------------------------------------------------------

    def search(self, query: Query, k: int = 10, **settings: int) -> Hits:
        """Return the ``k`` nearest as the index finds them.

        ``query``: the path of an image, a caption (for models with a text tower), an image, or a vector.
        ``settings``: other search settings than the run's (``nprobe=16``). Raises QueryError for a k, a
        setting or an image that cannot be, ModelError when the model cannot embed the query.
        """
        chosen = self.settings | settings
        self._check(k, chosen)
        vector = self.embed(query)
        search = self.searcher.prepare(k, chosen)
        with threads(self.experiment.search.single_threads):
            start = time.perf_counter()
            scores, rows = search(vector)
            milliseconds = 1000 * (time.perf_counter() - start)
        return self._hits(rows[0], scores[0], milliseconds)

    def search_exactly(self, query: Query, k: int = 10) -> Hits:
        """Return the true ``k`` nearest by the index's metric, ties by row: every vector is looked at."""
        self._check(k, {})
        vector = self.embed(query)
        with threads(None):
            start = time.perf_counter()
            _, rows = self._exhaustive.search(vector, min(k + SPARE, len(self.vectors)), {})
            scores = self._scores(vector, rows[0])
            nearest = np.lexsort((rows[0], self._sign * scores))[:k]
            milliseconds = 1000 * (time.perf_counter() - start)
        return self._hits(rows[0][nearest], scores[nearest], milliseconds)

    def compare(self, query: Query, k: int = 10, **settings: int) -> Comparison:
        """Return :meth:`search` beside :meth:`search_exactly`."""
        vector = self.embed(query)
        found, exact = self.search(vector, k, **settings), self.search_exactly(vector, k)
        tolerance = self.experiment.measures.tie_tolerance
        return compare(found, exact, lambda rows: self._scores(vector, rows), self._sign, tolerance)

    def embed(self, query: Query) -> Floats:
        """Return the query's vector, float32, shape (1, d), prepared and scaled as the gallery's were.

        A vector is returned as it is. Raises ModelError for a caption without a text tower and when the model
        cannot run, ImageError for what has no direction, QueryError for a file that is not an image.
        """
        if isinstance(query, np.ndarray):
            return np.ascontiguousarray(query.reshape(1, -1), np.float32)
        if isinstance(query, str | os.PathLike):
            dataset = self.experiment.dataset
            query = read_query(query, getattr(dataset, "max_pixels", ImageDataset.max_pixels))
        if isinstance(query, str):
            return self.embed_text(query)
        rgb = query if query.mode == "RGB" else query.convert("RGB")
        return self._vector(lambda model: model.encode_images([model.preprocess(rgb)]), "this image")

    def embed_text(self, caption: str) -> Floats:
        """Return the caption's vector, float32, shape (1, d). Raises ModelError without a text tower."""
        self.embedder.model.text_recipe(self.store)
        return self._vector(lambda model: model.encode_texts([caption]), "this caption")

    def _vector(self, encode: Callable[[Encoder], Floats], what: str) -> Floats:
        with threads(None):
            vector = encode(self.embedder.encoder)
        if not np.isfinite(vector).all():
            raise ModelError(f"the model gives NaN or Inf for {what}; use a run with model.dtype=float32")
        if self.experiment.model.normalize:
            length = np.linalg.norm(vector, axis=1, keepdims=True)
            if not length.all():
                raise ImageError(f"the vector of {what} is zero and has no direction; search for another one")
            vector = vector / length
        return np.ascontiguousarray(vector, np.float32)

    def _scores(self, vector: Floats, rows: Rows) -> Floats:
        """The true scores of gallery rows, float32, shape (len(rows),)."""
        scores: Floats = recomputed_scores(self.vectors, vector, rows[None], self.metric)[0]
        return scores

    @cached_property
    def _exhaustive(self) -> BruteForceSearcher:
        return BruteForceSearcher(self.vectors.shards, self.metric)

    @property
    def _sign(self) -> int:
        """``sign`` × score is the smaller, the nearer."""
        return 1 if self.metric == "l2" else -1

    def _check(self, k: int, settings: Mapping[str, int]) -> None:
        size = len(self.vectors)
        if not 1 <= k <= size:
            raise QueryError(f"k={k} does not fit a gallery of {size:,} images; give 1 to {size}")
        for name, value in settings.items():
            if name not in self.limits:
                known = ", ".join(self.limits) or "none"
                raise QueryError(
                    f"index={self.experiment.index.family} has no setting {name}; it has: {known}"
                )
            most = self.limits[name]
            if value < 1 or (most is not None and value > most):
                raise QueryError(
                    f"{name}={value} is out of range; give 1 {f'to {most}' if most else 'or more'}"
                )

    def _hits(self, rows: Rows, scores: Floats, milliseconds: float) -> Hits:
        there = rows >= 0
        rows, scores = rows[there], scores[there]
        return Hits(rows, scores, [self.vectors.ids[row] for row in rows], milliseconds)


@contextmanager
def _opening(what: str) -> Iterator[None]:
    """A dataset that is not where it was becomes one sentence with the way out."""
    try:
        yield
    except DatasetError as error:
        cause = str(error).partition("; ")[0]
        raise DatasetError(
            f"{what} cannot be opened: {cause}; move it back there, or run the experiment again with its new "
            "place, which embeds nothing anew"
        ) from error


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What shapes a vector and is not as it was, in words."""
    recorded = {"version": 1, "parents": {}, "parameters": shaping(then)}
    return differences(recorded, Recipe("embeddings", 1, shaping(now), {}))
