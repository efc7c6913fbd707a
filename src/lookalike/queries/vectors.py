"""Ready query vectors for a gallery of ready vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lookalike import schemas
from lookalike.datasets import ImageSet, VectorSet
from lookalike.datasets.fingerprints import file_fingerprint
from lookalike.datasets.lazy import RowNumbers
from lookalike.datasets.vector_files import hdf5
from lookalike.datasets.vector_files.formats import AUTO, FORMATS, format_of, open_vector_file
from lookalike.datasets.vector_files.neighbours import GivenNeighbours, open_neighbours
from lookalike.errors import DatasetError, QueryError
from lookalike.queries.judgements import read_judgements
from lookalike.queries.plan import QueryPlan
from lookalike.queries.sample import sample

ROWS_AT_A_TIME = 8_192


def plan_vectors(config: schemas.VectorsQueries, dataset: ImageSet | VectorSet) -> QueryPlan:
    """Return the rows of ``config.file`` as queries, called "0", "1", …; n seeded ones of them, if n is set.

    Without a file: the test rows of the HDF5 that the gallery is read from. Relevant: what the table
    ``config.relevance`` names, nothing is judged without one. Ready neighbours: integers, shape (rows of
    the file, k), −1 for none. Raises QueryError when files are missing or do not fit each other and the
    gallery.
    """
    if isinstance(dataset, ImageSet):
        raise QueryError(
            "queries=vectors needs a gallery of ready vectors; use dataset=embeddings, or queries=files"
        )
    try:
        file = Path(config.file).expanduser() if config.file else _file_of(dataset)
        queries = _open_vectors(file, config, dataset)
        given = _open_neighbours(config, len(queries), dataset)
    except DatasetError as error:
        raise QueryError(str(error)) from error
    relevant = None
    if config.relevance:
        relevant = read_judgements(Path(config.relevance).expanduser(), queries.ids, dataset.ids)
    rows, notices = sample(queries.ids, config)
    if dataset.drop_zeros:
        zeros = set(queries.zero_rows(ROWS_AT_A_TIME).tolist())
        if dropped := len(zeros.intersection(rows)):
            notices = (*notices, f"{dropped:,} queries are all zeros and were left out (dataset.drop_zeros)")
            rows = [row for row in rows if row not in zeros]
        if not rows:
            raise QueryError(f"all queries of {file} are zeros; write them again")
    plan = QueryPlan(
        protocol=config.name,
        description=f"{len(rows):,} vectors of {file.name}",
        gallery=dataset,
        queries=queries,
        sources=queries.ids,
        relevant_ids=relevant,
        ready_neighbours=None if given is None else given.rows,
        ready_distances=None if given is None else given.distances,
        ready_distance=None if given is None else given.distance,
        notices=notices,
    )
    return plan.take(rows)


def own_queries(files: Sequence[Path]) -> Path | None:
    """Return the HDF5 that a gallery is read from, which may bring its queries along; None: no such."""
    return files[0] if len(files) == 1 and files[0].suffix.lower() in FORMATS["hdf5"].suffixes else None


def _file_of(gallery: VectorSet) -> Path:
    if file := own_queries([Path(name) for name in gallery.files]):
        return file
    raise QueryError("queries.file is not set; name a file of query vectors")


def _open_vectors(file: Path, config: schemas.VectorsQueries, gallery: VectorSet) -> VectorSet:
    format_ = format_of(file) if config.format == AUTO else config.format
    opened = open_vector_file(file, format_, hdf5.QUERIES if format_ == "hdf5" else None)
    rows = opened.rows
    if rows.shape[1] != gallery.dim:
        raise QueryError(
            f"{file} has {rows.shape[1]} dimensions and the gallery {gallery.dim}; use vectors of one model"
        )
    return VectorSet(
        ids=RowNumbers(len(rows)),
        arrays=[rows],
        files=[str(file)],
        file_fingerprints=[file_fingerprint(file)],
        normalize=gallery.normalize,
        shard_size=gallery.shard_size,
    )


def _open_neighbours(
    config: schemas.VectorsQueries, n_queries: int, gallery: VectorSet
) -> GivenNeighbours | None:
    if not config.neighbours:
        return None
    file = Path(config.neighbours).expanduser()
    if gallery.rows is not None:
        raise QueryError(
            f"{file} numbers the rows of the whole gallery; set dataset.limit=null or queries.neighbours=null"
            " (dataset.drop_zeros leaves rows out, too)"
        )
    given = open_neighbours(file)
    neighbours = given.rows
    if len(neighbours) != n_queries:
        raise QueryError(
            f"{file} holds {neighbours.dtype} of shape {neighbours.shape}; neighbours are integers of shape "
            f"({n_queries}, k)"
        )
    if neighbours.min() < -1 or neighbours.max() >= len(gallery):
        raise QueryError(
            f"{file} holds rows from {neighbours.min()} to {neighbours.max()}, and the gallery has "
            f"{len(gallery):,}; use neighbours of this gallery"
        )
    return given
