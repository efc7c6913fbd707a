"""Ready query vectors for a gallery of ready vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lookalike import schemas
from lookalike.datasets import ImageSet, VectorSet
from lookalike.datasets.embeddings import file_fingerprint, map_array, map_vectors
from lookalike.errors import DatasetError, QueryError
from lookalike.queries.judgements import read_judgements
from lookalike.queries.plan import QueryPlan
from lookalike.queries.sample import sample


def plan_vectors(config: schemas.VectorsQueries, dataset: ImageSet | VectorSet) -> QueryPlan:
    """Return the rows of ``config.file`` as queries, called "0", "1", …; n seeded ones of them, if n is set.

    Relevant: what the table ``config.relevance`` names, nothing is judged without one. Ready neighbours:
    integers, shape (rows of the file, k), −1 for none. Raises QueryError when files are missing or do not
    fit each other and the gallery.
    """
    if isinstance(dataset, ImageSet):
        raise QueryError(
            "queries=vectors needs a gallery of ready vectors; use dataset=embeddings, or queries=files"
        )
    if not config.file:
        raise QueryError("queries.file is not set; name a .npy file of query vectors")
    try:
        file = Path(config.file).expanduser()
        queries = _open_vectors(file, dataset)
        neighbours = _open_neighbours(config, len(queries), dataset)
    except DatasetError as error:
        raise QueryError(str(error)) from error
    relevant = None
    if config.relevance:
        relevant = read_judgements(Path(config.relevance).expanduser(), queries.ids, dataset.ids)
    rows, notices = sample(queries.ids, config)
    plan = QueryPlan(
        protocol=config.name,
        description=f"{len(rows):,} vectors of {file.name}",
        gallery=dataset,
        queries=queries,
        sources=queries.ids,
        relevant_ids=relevant,
        ready_neighbours=neighbours,
        notices=notices,
    )
    return plan.take(rows)


def _open_vectors(file: Path, gallery: VectorSet) -> VectorSet:
    array = map_vectors(file)
    if array.shape[1] != gallery.dim:
        raise QueryError(
            f"{file} has {array.shape[1]} dimensions and the gallery {gallery.dim}; use vectors of one model"
        )
    return VectorSet(
        ids=[str(row) for row in range(len(array))],
        arrays=[array],
        files=[str(file)],
        file_fingerprints=[file_fingerprint(file)],
        normalize=gallery.normalize,
        shard_size=gallery.shard_size,
    )


def _open_neighbours(config: schemas.VectorsQueries, n_queries: int, gallery: VectorSet) -> np.ndarray | None:
    if not config.neighbours:
        return None
    file = Path(config.neighbours).expanduser()
    if gallery.rows is not None:
        raise QueryError(
            f"{file} numbers the rows of the whole gallery; set dataset.limit=null or queries.neighbours=null"
        )
    neighbours = map_array(file)
    if neighbours.ndim != 2 or neighbours.dtype.kind not in "iu" or len(neighbours) != n_queries:
        raise QueryError(
            f"{file} holds {neighbours.dtype} of shape {neighbours.shape}; neighbours are integers of shape "
            f"({n_queries}, k)"
        )
    if neighbours.min() < -1 or neighbours.max() >= len(gallery):
        raise QueryError(
            f"{file} holds rows from {neighbours.min()} to {neighbours.max()}, and the gallery has "
            f"{len(gallery):,}; use neighbours of this gallery"
        )
    return neighbours
