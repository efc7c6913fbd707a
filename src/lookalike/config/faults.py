"""Everything that can be known to be wrong with an experiment before any work: all at once, with cures."""

from __future__ import annotations

from lookalike import schemas
from lookalike.datasets import source_of
from lookalike.embed.embedder import shard_faults
from lookalike.embed.models import open_model
from lookalike.queries import protocol_of
from lookalike.runs.resolving import Resolved
from lookalike.schemas import Experiment
from lookalike.schemas.fields import field_faults

SMALLEST = 2
"""Rows of a dataset in which something can be searched for."""


def known_faults(experiment: Experiment, dim: int | None) -> list[str]:
    """Return what is wrong with ``experiment`` whatever the size of its dataset, each with its cure.

    ``dim``: the vectors' dimensions, if they are known.
    """
    source = source_of(experiment.dataset)
    faults = [
        *field_faults(experiment),
        *source.faults(),
        *_shard_faults(experiment.dataset, None),
        *protocol_of(experiment.queries).faults(source),
        *_model_faults(experiment),
        *experiment.index.faults(dim),
        *experiment.tracking.faults(),
        *experiment.sweep.faults(),
        *_column_faults(experiment),
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
    """Return the vectors' dimensions, where they can be told without loading a model."""
    source = source_of(experiment.dataset)
    if source.has_images:
        return open_model(experiment.model).known_dim()
    shape = source.shape()
    return shape[1] if shape else None


def _shard_faults(dataset: schemas.Dataset, count: int | None) -> list[str]:
    return [] if dataset.shards is None else shard_faults(dataset.shards, count)


def _column_faults(experiment: Experiment) -> list[str]:
    """Columns of the closing table that no run has."""
    if not experiment.report.columns:
        return []
    from lookalike.report.values import unknown_names

    return [f"report.columns: {fault}" for fault in unknown_names(experiment.report.columns)]


def _model_faults(experiment: Experiment) -> list[str]:
    """The model's own, if the run uses it: ready vectors need it for captions only."""
    texts = protocol_of(experiment.queries).embeds_texts
    if not texts and not source_of(experiment.dataset).has_images:
        return []
    return open_model(experiment.model).faults(texts=texts)
