"""Query protocols: what is searched for, and what counts as found. A protocol is a class that answers for its
config; ``plan`` is what it decides, ``relevance`` brings that to rows of the gallery.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lookalike import schemas
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.queries.captions import CaptionsProtocol
from lookalike.queries.copies import CopiesProtocol
from lookalike.queries.files import FilesProtocol
from lookalike.queries.gallery_images import HeldOutProtocol, InGalleryProtocol, LabelsProtocol
from lookalike.queries.plan import QueryPlan
from lookalike.queries.protocol import QueryProtocol
from lookalike.queries.vectors import VectorsProtocol

PROTOCOLS: Mapping[type[schemas.Queries], type[QueryProtocol[Any]]] = MappingProxyType(
    {
        schemas.CopiesQueries: CopiesProtocol,
        schemas.HeldOutQueries: HeldOutProtocol,
        schemas.InGalleryQueries: InGalleryProtocol,
        schemas.LabelsQueries: LabelsProtocol,
        schemas.CaptionsQueries: CaptionsProtocol,
        schemas.FilesQueries: FilesProtocol,
        schemas.VectorsQueries: VectorsProtocol,
    }
)


def protocol_of(config: schemas.Queries) -> QueryProtocol[Any]:
    """Return the protocol that ``config`` describes; nothing is read."""
    return PROTOCOLS[type(config)](config)


def plan_queries(config: schemas.Queries, dataset: ImageSet | VectorSet) -> QueryPlan:
    """Return what ``config`` asks of ``dataset``; nothing is decoded. QueryError when the two do not fit."""
    return protocol_of(config).plan(dataset)
