"""Everything that can be known to be wrong with an experiment before any work: all at once, with cures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lookalike import schemas
from lookalike.config.image_sources import source_annotation_faults, source_faults
from lookalike.datasets.embeddings import announced_shape, brings_labels
from lookalike.embed.embedder import shard_faults
from lookalike.embed.models import open_model
from lookalike.evaluate.points import search_faults
from lookalike.queries.vectors import brings_queries
from lookalike.resolving import Resolved
from lookalike.schemas import Experiment
from lookalike.schemas.fields import field_faults

NEEDS_IMAGES = (schemas.CopiesQueries, schemas.FilesQueries)
"""Protocols whose queries are embedded from images, which a dataset of ready vectors has not."""

SMALLEST = 2
"""Rows of a dataset in which something can be searched for."""


def known_faults(experiment: Experiment, dim: int | None) -> list[str]:
    """Return what is wrong with ``experiment`` whatever the size of its dataset, each with its cure.

    ``dim``: the vectors' dimensions, if they are known.
    """
    faults = [
        *field_faults(experiment),
        *_dataset_faults(experiment.dataset),
        *_shard_faults(experiment.dataset, None),
        *_query_faults(experiment),
        *_model_faults(experiment),
        *experiment.index.faults(dim),
        *search_faults(experiment.search),
        *experiment.tracking.faults(),
        *experiment.sweep.faults(),
    ]
    return list(dict.fromkeys(faults))


def emptiness_faults(resolved: Resolved) -> list[str]:
    """Return why there is nothing to search in a dataset of this size."""
    dataset, rows, n = resolved.dataset, resolved.rows, resolved.gallery_size
    if rows < SMALLEST:
        what = "vector" if isinstance(dataset, schemas.VectorDataset) else "image"
        held = f"1 {what}" if rows == 1 else f"no {what}s"
        place = getattr(dataset, "root", None) or f"dataset={dataset.name}"
        cure = f"raise dataset.limit={rows}" if dataset.limit == rows else "add more, or name another dataset"
        return [f"{place} holds {held}, and a search needs {SMALLEST} or more; {cure}"]
    if n < 1:
        return [
            f"queries.n={'null' if resolved.queries.n is None else resolved.queries.n} leaves no gallery of "
            f"{rows:,} rows; lower it or use queries=in_gallery"
        ]
    return []


def size_faults(resolved: Resolved, dim: int | None) -> list[str]:
    """Return what is wrong with an experiment whose gallery has this size, its operating points apart."""
    dataset, n = resolved.dataset, resolved.gallery_size
    shards = -(-n // dataset.shard_size)
    faults = [
        *_shard_faults(dataset, shards),
        *resolved.index.faults(dim, n),
    ]
    return list(dict.fromkeys(faults))


def known_dim(experiment: Experiment) -> int | None:
    """The vectors' dimensions, where they can be told without loading a model."""
    if isinstance(experiment.dataset, schemas.VectorDataset):
        vectors = _ready_vectors(experiment.dataset)
        return vectors[1] if vectors else None
    if isinstance(experiment.model, schemas.PixelsModel):
        return 3 * experiment.model.side**2
    if isinstance(experiment.model, schemas.EfficientNetLite0Model):
        from lookalike.embed.models.efficientnet_lite0 import Lite0Encoder

        return Lite0Encoder.dim
    return None


def _ready_vectors(dataset: schemas.Dataset) -> tuple[int, int] | None:
    """(rows, dimensions) of ready vectors by their headers; None when they cannot be read."""
    if isinstance(dataset, schemas.SyntheticDataset):
        return dataset.n, dataset.dim
    return announced_shape(dataset) if isinstance(dataset, schemas.EmbeddingsDataset) else None


def _dataset_faults(dataset: schemas.Dataset) -> Iterator[str]:
    yield from source_faults(dataset)
    if not isinstance(dataset, schemas.FolderDataset | schemas.EmbeddingsDataset):
        return
    what, example = "a folder of images", "~/Pictures"
    if isinstance(dataset, schemas.EmbeddingsDataset):
        what, example = "a file of vectors or a folder of them", "~/vectors"
    if not dataset.root:
        yield f"dataset.root is not set; name {what}: dataset.root={example}"
        return
    root = Path(dataset.root).expanduser()
    if not root.exists():
        yield f"dataset.root={dataset.root} does not exist; name {what}"
    if isinstance(dataset, schemas.FolderDataset):
        yield from _table_faults(dataset, root)


def _shard_faults(dataset: schemas.Dataset, count: int | None) -> list[str]:
    return [] if dataset.shards is None else shard_faults(dataset.shards, count)


def _table_faults(dataset: schemas.FolderDataset, root: Path) -> Iterator[str]:
    columns = {"labels": dataset.labels, "groups": dataset.groups, "captions": dataset.captions}
    for name, column in columns.items():
        if column and not dataset.table and not (name == "labels" and column == "folder"):
            folders = ", or dataset.labels=folder for the names of folders" if name == "labels" else ""
            yield (
                f"dataset.{name}={column} is a column of no table; set dataset.table to a CSV or "
                f"parquet{folders}"
            )
    if dataset.table_only and not dataset.table:
        yield "dataset.table_only=true needs a table; set dataset.table to a CSV or parquet"
    if dataset.table and not (root / Path(dataset.table).expanduser()).is_file():
        yield f"dataset.table={dataset.table} does not exist in dataset.root; name a CSV or parquet file"


def _query_faults(experiment: Experiment) -> Iterator[str]:
    dataset, queries = experiment.dataset, experiment.queries
    ready = isinstance(dataset, schemas.VectorDataset)
    if ready and isinstance(queries, NEEDS_IMAGES):
        yield (
            f"queries={queries.name} needs images, and dataset={dataset.name} has vectors only; "
            "choose queries=held_out, in_gallery or vectors"
        )
    if isinstance(queries, schemas.VectorsQueries):
        if not ready:
            yield "queries=vectors needs ready gallery vectors; choose dataset=embeddings, or other queries"
        yield from _file_faults(
            "queries.file", queries.file, "a file of query vectors", required=not _brings_queries(dataset)
        )
        yield from _file_faults("queries.relevance", queries.relevance, "a CSV file")
        yield from _file_faults("queries.neighbours", queries.neighbours, "a file of gallery rows")
    if isinstance(queries, schemas.FilesQueries):
        yield from _file_faults("queries.root", queries.root, "a folder of query images", required=True)
        yield from _file_faults("queries.relevance", queries.relevance, "a CSV file")
    if isinstance(queries, schemas.CaptionsQueries):
        yield from _annotation_faults("captions", "captions", dataset)
    if isinstance(queries, schemas.LabelsQueries) and queries.by in ("label", "group"):
        yield from _annotation_faults(f"labels queries.by={queries.by}", f"{queries.by}s", dataset)


def _brings_queries(dataset: schemas.Dataset) -> bool:
    """Whether queries came with the gallery, which are the default then."""
    return isinstance(dataset, schemas.EmbeddingsDataset) and brings_queries(dataset)


def _file_faults(setting: str, value: str | None, what: str, required: bool = False) -> Iterator[str]:
    if not value:
        if required:
            yield f"{setting} is not set; name {what}"
    elif not Path(value).expanduser().exists():
        yield f"{setting}={value} does not exist; name {what}"


def _annotation_faults(queries: str, kind: str, dataset: schemas.Dataset) -> Iterator[str]:
    """``kind``: labels, groups or captions, which ``queries`` cannot do without."""
    yield from source_annotation_faults(queries, kind, dataset)
    if isinstance(dataset, schemas.SyntheticDataset):
        yield f"queries={queries} needs {kind}, which made-up vectors have not; choose held_out or in_gallery"
    if isinstance(dataset, schemas.EmbeddingsDataset):
        column = {"labels": "label_column", "captions": "caption_column"}.get(kind)
        if column is None:
            yield f"queries={queries} needs {kind}, which dataset={dataset.name} has not; by=label may do"
        elif not getattr(dataset, column) and not (kind == "labels" and brings_labels(dataset)):
            yield f"queries={queries} needs dataset.{column}; set it to a column of the parquet"


def _model_faults(experiment: Experiment) -> list[str]:
    """The model's own, if the run uses it: ready vectors need it for captions only."""
    texts = isinstance(experiment.queries, schemas.CaptionsQueries)
    if isinstance(experiment.dataset, schemas.VectorDataset) and not texts:
        return []
    return open_model(experiment.model).faults(texts=texts)
