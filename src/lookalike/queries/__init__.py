"""Query protocols: what is searched for, and what counts as found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lookalike import schemas
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.queries.captions import plan_captions
from lookalike.queries.copies import plan_copies
from lookalike.queries.files import plan_files
from lookalike.queries.gallery_images import plan_held_out, plan_in_gallery, plan_labels
from lookalike.queries.plan import QueryPlan
from lookalike.queries.vectors import plan_vectors

PROTOCOLS: Mapping[type[schemas.Queries], Callable[[Any, ImageSet | VectorSet], QueryPlan]] = (
    MappingProxyType(
        {
            schemas.CopiesQueries: plan_copies,
            schemas.HeldOutQueries: plan_held_out,
            schemas.InGalleryQueries: plan_in_gallery,
            schemas.LabelsQueries: plan_labels,
            schemas.CaptionsQueries: plan_captions,
            schemas.FilesQueries: plan_files,
            schemas.VectorsQueries: plan_vectors,
        }
    )
)


def plan_queries(config: schemas.Queries, dataset: ImageSet | VectorSet) -> QueryPlan:
    """Return what ``config`` asks of ``dataset``; nothing is decoded. QueryError when the two do not fit."""
    return PROTOCOLS[type(config)](config, dataset)
