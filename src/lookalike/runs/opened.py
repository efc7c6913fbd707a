"""The parts of a finished run, taken from the store as they were: nothing is embedded or built again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lookalike.datasets import open_dataset
from lookalike.datasets.known import METADATA, read_parquet
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.embed.embedder import Embedder
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.models import open_model
from lookalike.embed.shards import open_vectors, shaping
from lookalike.errors import ImageError, ModelError, UserError
from lookalike.evaluate.exact import Neighbours
from lookalike.index.brute_force import BruteForceSearcher
from lookalike.index.build import IndexArtifacts
from lookalike.index.searchers import FaissSearcher, load_index
from lookalike.progress import SILENT, Progress
from lookalike.runs.catalog import RunPlace
from lookalike.runs.recompose import experiment_of
from lookalike.runs.record import PointRecord, Record
from lookalike.schemas import Experiment, StoreOptions, VectorDataset
from lookalike.store.artifact import Artifact, DamageError, read_artifact
from lookalike.store.recipe import Recipe, differences
from lookalike.store.store import Store

GONE = "run the experiment again, which builds it anew"
HELD_BY = {
    "embeddings": "the gallery's vectors",
    "queries": "the queries' vectors",
    "exact": "the exact neighbours",
}
"""What a stage left, in words."""


@dataclass(frozen=True)
class OpenedRun:
    """One operating point of a run, with what it searched."""

    place: RunPlace
    experiment: Experiment
    store: Store
    vectors: Embeddings
    """The gallery's, with their ids, as the run searched them."""
    built: IndexArtifacts
    progress: Progress

    @classmethod
    def open(cls, place: RunPlace, root: Path, progress: Progress = SILENT) -> OpenedRun:
        """Find vectors and index in the store of ``root``, by the keys in the run's record.

        Raises UserError when one of them is gone.
        """
        experiment = experiment_of(place.record)
        home = _home_of(place, root.expanduser().resolve(), experiment.paths.store)
        experiment = _moved(experiment, home)
        store = Store(home / experiment.paths.store, progress=progress)
        return cls(
            place,
            experiment,
            store,
            _vectors(place.record, store, "embeddings"),
            _built_index(place.record, store),
            progress,
        )

    @property
    def record(self) -> Record:
        """The run's."""
        return self.place.record

    @property
    def point(self) -> PointRecord:
        """The operating point's."""
        return self.place.point

    @cached_property
    def gallery(self) -> ImageSet | VectorSet:
        """What was searched, row for row as in ``vectors``.

        An image that has left the dataset since keeps its row and id; loading it raises ImageError. Images
        that have joined since are not in it.
        """
        return _as_searched(
            open_dataset(self.experiment.dataset, self.progress, self.store), self.vectors.ids
        )

    @cached_property
    def queries(self) -> Embeddings:
        """What the run searched for; UserError when it is no longer in the store."""
        return _vectors(self.record, self.store, "queries")

    @cached_property
    def exact(self) -> Neighbours:
        """The queries' exact neighbours in ``vectors``; UserError when they are no longer in the store."""
        [artifact] = _artifacts(self.record, self.store, "exact")
        return Neighbours.load(artifact.path)

    @cached_property
    def embedder(self) -> Embedder:
        """The run's model, checked to be what the record says it was.

        Raises ModelError when it cannot be had, when a part of it has changed, or when the run was of
        ready vectors, whose model nobody knows.
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
    def searcher(self) -> FaissSearcher | BruteForceSearcher:
        """The index, loaded."""
        return load_index(self.experiment.index, self.built, self.vectors)


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What shapes a vector and is not as it was, in words."""
    recorded = {"version": 1, "parents": {}, "parameters": shaping(then)}
    return differences(recorded, Recipe("embeddings", 1, shaping(now), {}))


# --- where things are now ----------------------------------------------------------------------------------


def _home_of(place: RunPlace, root: Path, store: str) -> Path:
    """The root whose store the run used: ``root``, unless the run lies under another one."""
    folder = place.folder.resolve()
    if root in folder.parents:
        return root
    return next((above for above in folder.parents if (above / store).is_dir()), root)


def _moved(experiment: Experiment, home: Path) -> Experiment:
    """Relative paths that do not hold here are tried from ``home``, where the run was probably started."""
    parts: dict[str, Any] = {
        "paths": replace(experiment.paths, root=str(home)),
        "store": StoreOptions(reuse=True),
    }
    for part, field in (
        ("dataset", "root"),
        ("dataset", "name_or_path"),
        ("model", "name_or_path"),
    ):
        config: Any = getattr(experiment, part)
        path = getattr(config, field, None)
        if path and not Path(path).expanduser().exists() and (home / path).exists():
            parts[part] = replace(config, **{field: str(home / path)})
    return replace(experiment, **parts)


# --- from the store ----------------------------------------------------------------------------------------


def _artifact(store: Store, kind: str, key: str) -> Artifact | None:
    """What was published under ``key``, checked; None when it is gone or damaged."""
    try:
        manifest = read_artifact(store.layout.artifact(kind, key)).manifest
    except (FileNotFoundError, NotADirectoryError, DamageError):
        return None
    names = ("kind", "version", "parameters", "parents")
    return store.find(Recipe(**{name: manifest[name] for name in names}))


def _artifacts(record: Record, store: Store, stage: str) -> list[Artifact]:
    """What the run made or reused in a stage, which is called like its artifacts."""
    keys: list[str] = next((entry["keys"] for entry in record.stages if entry["stage"] == stage), [])
    artifacts = [artifact for key in keys if (artifact := _artifact(store, stage, key))]
    if not keys or len(artifacts) < len(keys):
        raise UserError(f"{HELD_BY[stage]} of this run are no longer in {store.root}; {GONE}")
    return artifacts


def _vectors(record: Record, store: Store, stage: str) -> Embeddings:
    """The gallery's embeddings, or the queries'."""
    artifacts = _artifacts(record, store, stage)
    keys = tuple(artifact.key for artifact in artifacts)
    shards = tuple(chain.from_iterable(map(open_vectors, artifacts)))
    ids = [id_ for one in artifacts for id_ in read_parquet(one.file(METADATA), ["id"])["id"].to_pylist()]
    return Embeddings(shards, ids, np.arange(len(ids)), keys, shards[0].shape[1], artifacts=tuple(artifacts))


def _built_index(record: Record, store: Store) -> IndexArtifacts:
    facts = record.index
    if facts["family"] == "brute_force":
        return IndexArtifacts(None, None, "", facts["index_bytes"])
    artifact = _artifact(store, "index", facts["key"])
    if artifact is None:
        raise UserError(f"the index of this run is no longer in {store.root}; {GONE}")
    return IndexArtifacts(artifact, None, facts["factory"], facts["index_bytes"])


def _as_searched(dataset: ImageSet | VectorSet, ids: Sequence[str]) -> ImageSet | VectorSet:
    """The rows of ``dataset`` whose ids were searched, in that order."""
    if list(dataset.ids) == list(ids):
        return dataset
    rows_now = {id_: row for row, id_ in enumerate(dataset.ids)}
    rows = [rows_now.get(id_, -1) for id_ in ids]
    if -1 not in rows:
        return dataset.take(rows)
    if isinstance(dataset, VectorSet):
        raise UserError(f"dataset.root no longer holds all vectors that were searched; {GONE}")
    return _with_gaps(dataset, ids, rows)


def _with_gaps(dataset: ImageSet, ids: Sequence[str], rows: Sequence[int]) -> ImageSet:
    """``dataset`` in another order, with rows (−1) for what it no longer holds."""

    def load(row: int) -> Image.Image:
        if rows[row] < 0:
            raise ImageError("it is no longer in the dataset")
        return dataset.load(rows[row])

    def each(values: Sequence[Any] | None, missing: Sequence[Any]) -> Any:
        return (
            None
            if values is None
            else [values[there] if there >= 0 else missing[i] for i, there in enumerate(rows)]
        )

    nothing = [None] * len(ids)
    return replace(
        dataset,
        ids=list(ids),
        fingerprints=each(dataset.fingerprints, [""] * len(ids)),
        locations=each(dataset.locations, ids),
        load=load,
        labels=each(dataset.labels, nothing),
        groups=each(dataset.groups, nothing),
        captions=each(dataset.captions, nothing),
        read=None,
        size=None,
    )
