"""What a finished run left in the store, found by the keys in its record; nothing is built here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lookalike.datasets.fingerprints import METADATA, read_parquet
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.embed.embeddings import Embeddings
from lookalike.embed.shards import open_vectors
from lookalike.errors import ImageError, StoreError, UserError
from lookalike.index.build import IndexArtifacts
from lookalike.runs.record import Record
from lookalike.schemas import Experiment, StoreOptions
from lookalike.store.artifact import Artifact, DamageError, read_artifact
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store

AGAIN = "run the experiment again, which builds it anew"
STAGES = {
    "embeddings": "the gallery's vectors",
    "queries": "the queries' vectors",
    "exact": "the exact neighbours",
    "index": "the index",
}
"""What a stage of a run leaves, in words."""


class ReadOnlyStore(Store):
    """A store that is looked into: what it does not have is an error, and never built."""

    def obtain(
        self,
        recipe: Recipe,
        build: Callable[[Path], Mapping[str, Any] | None],
        reason: Callable[[], str | None] = lambda: None,
    ) -> Artifact:
        """Return what was published for ``recipe``. Raises StoreError when there is nothing sound."""
        found = self.find(recipe)
        if found is None:
            raise StoreError(
                f"the {recipe.kind} of this run are not in {self.root}, or the images have changed since; "
                f"{AGAIN}"
            )
        return found


def stage_artifacts(record: Record, store: Store, stage: str) -> list[Artifact]:
    """Return what the run made or reused in a stage. Raises UserError when any of it is gone or damaged."""
    keys: list[str] = next((entry["keys"] for entry in record.stages if entry["stage"] == stage), [])
    artifacts = [artifact for key in keys if (artifact := _artifact(store, stage, key))]
    if not keys or len(artifacts) < len(keys):
        raise UserError(f"{STAGES[stage]} of this run are no longer in {store.root}; {AGAIN}")
    return artifacts


def stored_vectors(record: Record, store: Store, stage: str) -> Embeddings:
    """Return the embeddings of the gallery (``embeddings``) or the queries. Raises UserError without them."""
    artifacts = stage_artifacts(record, store, stage)
    keys = tuple(artifact.key for artifact in artifacts)
    shards = tuple(chain.from_iterable(map(open_vectors, artifacts)))
    ids = [id_ for one in artifacts for id_ in read_parquet(one.file(METADATA), ["id"])["id"].to_pylist()]
    return Embeddings(shards, ids, np.arange(len(ids)), keys, shards[0].shape[1], artifacts=tuple(artifacts))


def stored_index(record: Record, store: Store) -> IndexArtifacts:
    """Return the index that the run searched; brute force has none. Raises UserError when it is gone."""
    about = record.index
    if about["family"] == "brute_force":
        return IndexArtifacts(None, None, "", about["index_bytes"])
    artifact = _artifact(store, "index", about["key"])
    if artifact is None:
        raise UserError(f"{STAGES['index']} of this run is no longer in {store.root}; {AGAIN}")
    return IndexArtifacts(artifact, None, about["factory"], about["index_bytes"])


def _artifact(store: Store, kind: str, key: str) -> Artifact | None:
    """What was published under ``key``, checked; None when it is gone or damaged."""
    try:
        manifest = read_artifact(store.layout.artifact(kind, key)).manifest
    except (FileNotFoundError, NotADirectoryError, DamageError):
        return None
    names = ("kind", "version", "parameters", "parents")
    return store.find(Recipe(**{name: manifest[name] for name in names}))


def as_searched(dataset: ImageSet | VectorSet, ids: Sequence[str]) -> ImageSet | VectorSet:
    """Return the rows of ``dataset`` whose ids were searched, in that order.

    An image that has left the dataset keeps its row: loading it raises ImageError. Raises UserError when
    vectors have left it.
    """
    if list(dataset.ids) == list(ids):
        return dataset
    rows_now = {id_: row for row, id_ in enumerate(dataset.ids)}
    rows = [rows_now.get(id_, -1) for id_ in ids]
    if -1 not in rows:
        return dataset.take(rows)
    if isinstance(dataset, VectorSet):
        raise UserError(f"dataset.root no longer holds all vectors that were searched; {AGAIN}")
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


# --- where things are now ----------------------------------------------------------------------------------

PLACES = (
    ("dataset", "root"),
    ("dataset", "name_or_path"),
    ("model", "name_or_path"),
    ("queries", "root"),
    ("queries", "file"),
    ("queries", "relevance"),
)
"""Settings that name files, and may be relative to where the run was started."""


def root_of(folder: Path, root: Path, store: str) -> Path:
    """Return the root whose store the run in ``folder`` used: ``root``, unless it lies below another one."""
    if root in folder.parents:
        return root
    return next((above for above in folder.parents if (above / store).is_dir()), root)


def with_paths_of(experiment: Experiment, home: Path) -> Experiment:
    """Return ``experiment`` at ``home``; relative paths that do not hold here are tried from there."""
    parts: dict[str, Any] = {
        "paths": replace(experiment.paths, root=str(home)),
        "store": StoreOptions(reuse=True),
    }
    for part, field in PLACES:
        config: Any = parts.get(part) or getattr(experiment, part)
        path = getattr(config, field, None)
        if path and not Path(path).expanduser().exists() and (home / path).exists():
            parts[part] = replace(config, **{field: str(home / path)})
    return replace(experiment, **parts)
