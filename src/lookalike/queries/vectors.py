"""Ready query vectors for a gallery of ready vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lookalike import schemas
from lookalike.datasets.fingerprints import file_fingerprint
from lookalike.datasets.formats import hdf5
from lookalike.datasets.formats.formats import AUTO, FORMATS, format_of, open_vector_file
from lookalike.datasets.formats.neighbours import GivenNeighbours, open_neighbours
from lookalike.datasets.ids import RowNumbers
from lookalike.datasets.ready_files import find_vector_files
from lookalike.datasets.sets import ImageSet, VectorSet
from lookalike.datasets.source import Source
from lookalike.datasets.table import Columns, parquet_shape, read_columns
from lookalike.errors import DatasetError, QueryError
from lookalike.queries.judgements import Judgements, read_judgements
from lookalike.queries.plan import Classes, QueryPlan, literal, sample, strangers
from lookalike.queries.protocol import QueryProtocol, file_faults

ROWS_AT_A_TIME = 8_192
FOLDER, RELEVANCE = "queries", "relevance.csv"
"""Where queries lie beside the vectors of a gallery, and what they should find."""
FILES = ("vectors.npy", "query.fbin", "query.fvecs")
"""What their vectors are called, there."""
NEIGHBOURS = ("neighbours.npy", "groundtruth.bin", "groundtruth.ivecs")
"""What their exact neighbours are called, there."""


class VectorsProtocol(QueryProtocol[schemas.VectorsQueries]):
    """Ready query vectors."""

    def plan(self, dataset: ImageSet | VectorSet) -> QueryPlan:
        """Return the rows of ``config.file`` as queries, called "0", "1", …; if n is set, n seeded ones.

        Of an HDF5 these are the ``test`` rows, else those of ``train``. Without a file: the test rows of the
        HDF5 that the gallery is read from, or what lies in ``queries/``
        beside the gallery. A parquet beside the file, with the file's name, says more of each row: its ``id``
        (what the query is called), ``label``, ``source`` and ``edit``. What it does not say the file itself
        may: an HDF5 all of these, an ``.npz`` (its array ``labels``) and a CSV (its column ``Label``) labels.

        Relevant: what the table ``config.relevance`` names (:func:`read_judgements`), by default
        ``relevance.csv`` beside the file; else, where both the gallery and the queries have labels, the
        gallery's vectors of the query's label; nothing is judged without either. An HDF5 has all that in
        itself. Ready neighbours: integers, shape (rows of the file, k), −1 for none. Raises QueryError when
        files are missing or do not fit each other and the gallery.
        """
        config = self.config
        if isinstance(dataset, ImageSet):
            raise QueryError(
                "queries=vectors needs a gallery of ready vectors; use dataset=embeddings, or queries=files"
            )
        try:
            file = Path(config.file).expanduser() if config.file else _file_of(dataset)
            format_ = format_of(file) if config.format == AUTO else config.format
            queries = _open_vectors(file, format_, dataset)
            more = _more(file, format_, queries, dataset)
            truth = _open_neighbours(config, len(queries), dataset)
            queries = replace(queries, ids=_names(more.get("id"), file, queries), labels=more.get("label"))
            judged = _judged(config, file, format_, queries, dataset)
        except DatasetError as error:
            raise QueryError(str(error)) from error
        rows, notices = sample(queries.ids, config)
        if judged.classes is not None:
            notices = (*notices, *strangers(judged.classes))
        if dataset.drop_zeros:
            kept = _without_zeros(rows, queries, file)
            if dropped := len(rows) - len(kept):
                left_out = f"{dropped:,} queries are all zeros and were left out (dataset.drop_zeros)"
                rows, notices = kept, (*notices, left_out)
        if (
            judged.classes is None
            and judged.relevant_ids is None
            and more.get("label")
            and not dataset.labels
        ):
            notices = (*notices, f"{file.name} has labels and the gallery has none; set dataset.label_column")
        plan = QueryPlan(
            protocol=config.name,
            wording=f"{{queries}} vectors of {literal(file.name)}",
            gallery=dataset,
            queries=queries,
            sources=_sources(more.get("source"), queries.ids),
            edits=[edit or "none" for edit in more["edit"]] if "edit" in more else None,
            relevant_ids=judged.relevant_ids,
            classes=judged.classes,
            ignored_ids=judged.ignored_ids,
            ready_neighbours=None if truth is None else truth.rows,
            ready_distances=None if truth is None else truth.distances,
            ready_distance=None if truth is None else truth.distance,
            notices=notices,
        )
        return plan.take(rows)

    def faults(self, source: Source[Any]) -> list[str]:
        config = self.config
        comes_with_queries = isinstance(source.config, schemas.EmbeddingsDataset) and brings_queries(
            source.config
        )
        ready = "queries=vectors needs ready gallery vectors; choose dataset=embeddings, or other queries"
        return [
            *([ready] if source.has_images else []),
            *file_faults(
                "queries.file", config.file, "a file of query vectors", required=not comes_with_queries
            ),
            *file_faults("queries.relevance", config.relevance, "a CSV file"),
            *file_faults("queries.neighbours", config.neighbours, "a file of gallery rows"),
        ]


def own_queries(files: Sequence[Path]) -> Path | None:
    """Return the query vectors that came with a gallery of ``files``; None: no such.

    These are the test rows of a single HDF5, or a file of ``queries/`` beside the vectors (beside
    ``img_emb/``), as ``lookalike embeddings`` writes them. DatasetError for a damaged HDF5.
    """
    if len(files) == 1 and files[0].suffix.lower() in FORMATS["hdf5"].suffixes:
        return files[0] if hdf5.holds_queries(files[0]) else None
    folder = files[0].parent.parent if files[0].parent.name == "img_emb" else files[0].parent
    return next((file for name in FILES if (file := folder / FOLDER / name).is_file()), None)


def neighbours_beside(file: Path) -> Path | None:
    """Return where the exact neighbours of the queries in ``file`` are, as exports have them, or None."""
    if file.suffix.lower() in FORMATS["hdf5"].suffixes:
        with hdf5.opened(file) as root:
            return file if hdf5.NEIGHBOURS in root else None
    return next((found for name in NEIGHBOURS if (found := file.with_name(name)).is_file()), None)


def brings_queries(config: schemas.EmbeddingsDataset) -> bool:
    """Whether query vectors came with the gallery that ``config`` names; False when that cannot be read."""
    try:
        return own_queries(find_vector_files(Path(config.root or "").expanduser(), config.format)) is not None
    except DatasetError:
        return False


def _without_zeros(rows: Sequence[int], queries: VectorSet, file: Path) -> list[int]:
    """Return the rows whose vectors are not all zeros; QueryError when there are none."""
    zeros = set(queries.zero_rows(ROWS_AT_A_TIME).tolist())
    kept = [row for row in rows if row not in zeros]
    if not kept:
        raise QueryError(f"all queries of {file} are zeros; write them again")
    return kept


def _file_of(gallery: VectorSet) -> Path:
    if file := own_queries([Path(name) for name in gallery.files]):
        return file
    raise QueryError(
        "queries.file is not set, and no queries came with the vectors; name a file of query vectors"
    )


def _open_vectors(file: Path, format_: str, gallery: VectorSet) -> VectorSet:
    of_both = format_ == "hdf5" and hdf5.holds_queries(file)
    opened = open_vector_file(file, format_, hdf5.QUERIES if of_both else None)
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
        labels=opened.columns.get("label"),
        normalize=gallery.normalize,
        shard_size=gallery.shard_size,
    )


def _more(file: Path, format_: str, queries: VectorSet, gallery: VectorSet) -> Columns:
    """Return what is known of each query beside its vector: ``id``, ``label``, ``source``, ``edit``."""
    count, more = len(queries), Columns()
    if queries.labels is not None:
        more["label"] = list(queries.labels)
    if format_ == "hdf5":
        with hdf5.opened(file) as root:
            more |= hdf5.read_columns(root, file, hdf5.QUERY_COLUMNS, count)
    table = file.with_suffix(".parquet")
    is_of_gallery = format_ == "hdf5" and file.resolve() in {Path(name).resolve() for name in gallery.files}
    if is_of_gallery or not table.is_file():
        return more
    rows, _ = parquet_shape(table)
    if rows != count:
        raise QueryError(
            f"{table} has {rows:,} rows, but {file.name} has {count:,} vectors; write both again"
        )
    return more | read_columns(table, [], list(hdf5.QUERY_COLUMNS))


def _sources(sources: Sequence[str | None] | None, ids: Sequence[str]) -> Sequence[str]:
    return ids if sources is None else [source or id_ for source, id_ in zip(sources, ids, strict=True)]


def _names(ids: Sequence[str | None] | None, file: Path, queries: VectorSet) -> Sequence[str]:
    if ids is None:
        return queries.ids
    named = [id_ for id_ in ids if id_ is not None]
    if len(set(named)) != len(queries):
        raise QueryError(
            f"the ids of the queries in {file} repeat or are missing; give each its own, or none"
        )
    return named


def _judged(
    config: schemas.VectorsQueries,
    file: Path,
    format_: str,
    queries: VectorSet,
    gallery: VectorSet,
) -> Judgements:
    """Return what the queries should find."""
    labels = queries.labels
    table = Path(config.relevance).expanduser() if config.relevance else file.with_name(RELEVANCE)
    judged = Judgements()
    if format_ == "hdf5" and not config.relevance:
        judged = _of_hdf5(file, len(queries), gallery)
    elif config.relevance or (file.parent.name == FOLDER and table.is_file()):
        by_label = labels is not None and gallery.labels is not None
        judged = read_judgements(table, queries.ids, gallery.ids, gallery.labels, ignored_alone=by_label)
    if judged.relevant_ids is None and judged.classes is None and labels and gallery.labels:
        return judged._replace(classes=Classes(gallery.labels, labels))
    return judged


def _of_hdf5(file: Path, count: int, gallery: VectorSet) -> Judgements:
    with hdf5.opened(file) as root:
        pairs = {name: hdf5.read_matrix(root, file, name, "iu") for name in (hdf5.RELEVANT, hdf5.IGNORED)}
    lists: dict[str, list[tuple[str, ...]] | None] = {}
    for name, matrix in pairs.items():
        if matrix is None:
            lists[name] = None
            continue
        if matrix.shape[1] != 2 or matrix.min() < 0 or matrix[:, 0].max() >= count:
            raise QueryError(f"{name} of {file} names no pairs of a query and a gallery row; write it again")
        of_query: list[list[str]] = [[] for _ in range(count)]
        row_of = None if gallery.rows is None else {int(row): place for place, row in enumerate(gallery.rows)}
        for query, row in matrix.tolist():
            place = row if row_of is None else row_of.get(row)  # dataset.limit leaves rows out
            if place is not None and place >= len(gallery):
                raise QueryError(
                    f"{name} of {file} names row {row:,}, which the gallery does not have; write it again"
                )
            if place is not None:
                of_query[query].append(gallery.ids[place])
        lists[name] = [tuple(ids) for ids in of_query]
    return Judgements(lists[hdf5.RELEVANT], None, lists[hdf5.IGNORED])


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
    truth = open_neighbours(file)
    neighbours = truth.rows
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
    return truth
