"""Protocols whose queries are images, or ready vectors, of the gallery itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lookalike import schemas
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.datasets.source import Source
from lookalike.errors import QueryError
from lookalike.queries.plan import Classes, QueryPlan, sample, tells_nothing
from lookalike.queries.protocol import QueryProtocol


class HeldOutProtocol(QueryProtocol[schemas.HeldOutQueries]):
    """Images taken out of the gallery."""

    def plan(self, dataset: ImageSet | VectorSet) -> QueryPlan:
        """Return n seeded images as queries against the gallery of all the others.

        Relevant: those of the query's label, or of its group where the dataset has no labels; nothing is
        judged where it has neither, or where they tell nothing (see :func:`tells_nothing`). Raises QueryError
        when no gallery would be left.
        """
        config = self.config
        rows, _ = sample(dataset.ids, config)
        if len(rows) == len(dataset):
            n = "null" if config.n is None else config.n
            raise QueryError(
                f"queries.n={n} leaves no gallery of {len(dataset):,} images; "
                "lower it or use queries=in_gallery"
            )
        kept = np.ones(len(dataset), bool)
        kept[rows] = False
        gallery = dataset.take(np.flatnonzero(kept))
        queries = dataset.take(rows)
        kind = "label" if dataset.labels is not None else "group"
        of_queries, of_gallery = _annotations(queries, kind), _annotations(gallery, kind)
        useless = tells_nothing(_annotations(dataset, kind), kind, _kind(dataset))
        return QueryPlan(
            protocol=config.name,
            wording=f"{{queries}} {_kind(dataset)} held out of {{all}}",
            gallery=gallery,
            queries=_as_queries(queries),
            sources=list(queries.ids),
            classes=None
            if of_queries is None or of_gallery is None or useless
            else Classes(of_gallery, of_queries),
            notices=(f"{useless}: relevance is not judged",) if useless else (),
        )


class InGalleryProtocol(QueryProtocol[schemas.InGalleryQueries]):
    """Images of the gallery, each itself ignored."""

    def plan(self, dataset: ImageSet | VectorSet) -> QueryPlan:
        """Return n seeded gallery images as queries; each query itself is ignored, nothing is judged."""
        config = self.config
        rows, notices = sample(dataset.ids, config)
        queries = dataset.take(rows)
        return QueryPlan(
            protocol=config.name,
            wording=f"{{queries}} gallery {_kind(dataset)}, each itself ignored",
            gallery=dataset,
            queries=_as_queries(queries),
            sources=list(queries.ids),
            ignored_ids=[(id_,) for id_ in queries.ids],
            notices=notices,
        )


class LabelsProtocol(QueryProtocol[schemas.LabelsQueries]):
    """Images of the gallery, leave-one-out by label or group."""

    def plan(self, dataset: ImageSet | VectorSet) -> QueryPlan:
        """Return n seeded gallery images that are not alone with their label (or group).

        Relevant: the others. The query itself is ignored. Raises QueryError when the dataset has no such
        annotation, no two images share one, or all have the same.
        """
        config = self.config
        if config.by not in ("label", "group"):
            raise QueryError(f"queries.by must be one of label, group, not {config.by}")
        values = _annotations(dataset, config.by)
        if values is None:
            raise QueryError(
                f"queries=labels needs {config.by}s, and the dataset has none; set dataset.{config.by}s to "
                + ("folder (the names of their folders) or " if config.by == "label" else "")
                + "a column of dataset.table"
            )
        if useless := tells_nothing(values, config.by, _kind(dataset)):
            folders = (
                " (labels=folder: the images of each in a folder of their own)"
                if config.by == "label"
                else ""
            )
            raise QueryError(f"{useless}; use other {config.by}s or queries=in_gallery{folders}")
        images_of = Counter(values)
        eligible = [row for row, value in enumerate(values) if value is not None and images_of[value] > 1]
        chosen, notices = sample([dataset.ids[row] for row in eligible], config)
        rows = [eligible[row] for row in chosen]
        queries = dataset.take(rows)
        return QueryPlan(
            protocol=config.name,
            wording=f"{{queries}} gallery {_kind(dataset)}, leave-one-out by {config.by}",
            gallery=dataset,
            queries=_as_queries(queries),
            sources=list(queries.ids),
            classes=Classes(values, [values[row] for row in rows]),
            ignored_ids=[(id_,) for id_ in queries.ids],
            notices=notices,
        )

    def faults(self, source: Source[Any]) -> list[str]:
        by = self.config.by
        lacking = source.annotation_fault(f"{by}s") if by in ("label", "group") else None
        return [f"queries=labels queries.by={by} needs {lacking}"] if lacking else []


def _kind(dataset: ImageSet | VectorSet) -> str:
    """What a table's caption calls the queries."""
    return "vectors" if isinstance(dataset, VectorSet) else "images"


def _annotations(images: ImageSet | VectorSet, kind: str) -> Sequence[str | None] | None:
    return images.labels if kind == "label" else images.groups


def _as_queries(sample: ImageSet | VectorSet) -> ImageSet | VectorSet:
    """Return what was taken from the dataset, which itself answers for its notices and its bad images."""
    return replace(sample, notices=(), max_bad_fraction=1.0)
