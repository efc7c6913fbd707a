"""Ready vectors in files: with ids, labels and captions of their own or from a parquet beside each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lookalike import schemas
from lookalike.datasets.fingerprints import file_fingerprint
from lookalike.datasets.formats.contents import EmptyFile, VectorFile
from lookalike.datasets.formats.formats import check_files, format_of, open_vector_file
from lookalike.datasets.ids import RowNumbers, nested_sample
from lookalike.datasets.ready_files import find_tables, find_vector_files
from lookalike.datasets.sets import VectorSet
from lookalike.datasets.source import Source, root_fault
from lookalike.datasets.table import Columns, parquet_shape, read_columns
from lookalike.datasets.treatment import (
    in_doubt,
    other_metric,
    rounded,
    sampled_lengths,
    scaled_by,
    unit_length,
)
from lookalike.errors import DatasetError
from lookalike.progress import SILENT, Progress
from lookalike.store.store import Store

ID_COLUMNS = ("id", "image_path", "key")
"""Tried in this order where ``dataset.id_column`` is not set."""
ROWS_AT_A_TIME = 8_192
LABEL_COLUMN, DUPLICATES_COLUMN = "label", "duplicate_of"
"""Read where there is one, unless ``dataset.label_column`` names another."""
WHOLLY_READ = ("csv",)
"""Formats without a header that tells how many vectors there are."""


class EmbeddingsSource(Source[schemas.EmbeddingsDataset]):
    """Ready vectors in files."""

    has_images = False

    def open(self, progress: Progress = SILENT, store: Store | None = None) -> VectorSet:
        """Return the vectors of one file, or of a folder of files in the natural order of their names.

        Where they may lie: :func:`find_vector_files`; the parquets beside them or in ``metadata/``. Ids and
        labels are the parquets', else the files' own; ids else row numbers. Raises DatasetError when there
        are no vectors, when dimensions, numbers of rows or names disagree, and when an id repeats.
        """
        config = self.config
        if not config.root:
            raise DatasetError("dataset.root is not set; name a file of vectors or a folder of them")
        root = Path(config.root).expanduser()
        files = find_vector_files(root, config.format)
        tables = find_tables(root, files)
        opened, empty = _open_all(files, config, progress)
        tables = _of_the_filled(tables, files, empty)
        files = [file for file in files if file not in empty]
        if not tables and (named := config.id_column or config.label_column or config.caption_column):
            raise DatasetError(
                f"there is no parquet beside {files[0]} to read the column {named} from; add one"
            )
        columns = _own_columns(opened)
        if tables:
            columns |= _read_all(tables, files, opened, config, progress)
        vectors = VectorSet(
            ids=_ids(columns.get("id"), opened),
            arrays=[one.rows for one in opened],
            files=[str(file) for file in files],
            file_fingerprints=[file_fingerprint(file) for file in files],
            normalize=unit_length(config, files, opened),
            drop_zeros=config.drop_zeros,
            labels=columns.get("label"),
            captions=columns.get("caption"),
            duplicate_of=columns.get(DUPLICATES_COLUMN),
            shard_size=config.shard_size,
            notices=tuple(
                dict.fromkeys(
                    [
                        *_notices(opened, empty),
                        *scaled_by(config, files, opened),
                        *rounded(files, opened),
                    ]
                )
            ),
        )
        if config.drop_zeros:
            vectors = _without_zeros(vectors, progress)
        if config.limit is None:
            return vectors
        return vectors.take(nested_sample(vectors.ids, config.limit, config.seed, "dataset"))

    def count(self, progress: Progress = SILENT, store: Store | None = None) -> int:
        """Return how many vectors the files hold, zeros included, by their headers where they have such.

        Raises DatasetError as :func:`open_embeddings` does for the files.
        """
        config = self.config
        if not config.root:
            raise DatasetError("dataset.root is not set; name a file of vectors or a folder of them")
        files = find_vector_files(Path(config.root).expanduser(), config.format)
        opened, _ = _open_all(files, config, progress)
        return sum(len(one.rows) for one in opened)

    def faults(self) -> list[str]:
        fault = root_fault(self.config.root, "a file of vectors or a folder of them", "~/vectors")
        return [fault] if fault else []

    def shape(self) -> tuple[int, int] | None:
        """Return (vectors, dimensions) of the whole dataset as headers tell them; None when none does."""
        config = self.config
        if not config.root:
            return None
        try:
            files = find_vector_files(Path(config.root).expanduser(), config.format)
            if any(_format(file, config) in WHOLLY_READ for file in files):
                return None
            opened, _ = _open_all(files, config, SILENT)
        except DatasetError:
            return None
        if config.drop_zeros:
            return None
        return sum(len(one.rows) for one in opened), opened[0].rows.shape[1]

    def notices(self, metric: str) -> list[str]:
        config = self.config
        try:
            files = find_vector_files(Path(config.root or "").expanduser(), config.format)
            opened, empty = _open_all(files, config, SILENT)
            filled = [file for file in files if file not in empty]
            if config.normalize is not None or any(one.distance is not None for one in opened):
                return list(dict.fromkeys(other_metric(filled, opened, metric)))
            known = tuple((file, file_fingerprint(file)) for file in filled)
            return in_doubt(_lengths_once(known, config.format, config.array), metric)
        except DatasetError:  # opening it to be searched says what is wrong
            return []

    def annotation_fault(self, kind: str) -> str | None:
        column = {"labels": "label_column", "captions": "caption_column"}.get(kind)
        if column is None:
            return f"{kind}, which dataset={self.config.name} does not have; by=label may do"
        if getattr(self.config, column) or (kind == "labels" and self._brings_labels()):
            return None
        return f"dataset.{column}; set it to a column of the parquet"

    def _brings_labels(self) -> bool:
        """Whether the vectors have labels though no column is named, beside them or in their file."""
        config = self.config
        try:
            files = find_vector_files(Path(config.root or "").expanduser(), config.format)
            tables = find_tables(Path(config.root or "").expanduser(), files)
            if any(LABEL_COLUMN in parquet_shape(table)[1] for table in tables):
                return True
            return any("label" in one.columns for one in _open_all(files, config, SILENT)[0])
        except DatasetError:
            return False


def _notices(opened: Sequence[VectorFile], empty: Sequence[Path]) -> Iterator[str]:
    if empty:
        yield f"{len(empty):,} files hold no vector and were passed over, {empty[0].name} for one"
    for one in opened:
        yield from one.notices


def _without_zeros(vectors: VectorSet, progress: Progress) -> VectorSet:
    """Leave out vectors that are all zeros, and say how many."""
    with progress.bar("looking for zero vectors", None):
        zeros = vectors.zero_rows(ROWS_AT_A_TIME)
    if not len(zeros):
        return vectors
    if len(zeros) == len(vectors):
        raise DatasetError(f"all {len(vectors):,} vectors of {vectors.files[0]} are zeros; write them again")
    notice = (
        f"{len(zeros):,} of {len(vectors):,} vectors are all zeros and were left out (dataset.drop_zeros), "
        f"that at {vectors.location(int(zeros[0]))} for one"
    )
    kept = vectors.take(np.setdiff1d(np.arange(len(vectors)), zeros, assume_unique=True))
    return replace(kept, notices=(*kept.notices, notice))


def _format(file: Path, config: schemas.EmbeddingsDataset) -> str:
    return format_of(file) if config.format == "auto" else config.format


def _open_all(
    files: Sequence[Path], config: schemas.EmbeddingsDataset, progress: Progress
) -> tuple[list[VectorFile], list[Path]]:
    """Open the files that hold vectors; return these, and the files that hold none.

    DatasetError when no file holds any, or when dimensions differ.
    """
    for format_ in sorted({_format(file, config) for file in files}):
        check_files([file for file in files if _format(file, config) == format_], format_, config.array)
    opened: dict[Path, VectorFile] = {}
    nothing: dict[Path, EmptyFile] = {}
    with progress.bar("opening vectors", len(files), "files") as bar:
        for file in files:
            fingerprint = file_fingerprint(file)
            try:
                opened[file] = _open_once(file, fingerprint, _format(file, config), config.array)
            except EmptyFile as error:
                nothing[file] = error
            bar.advance()
    if not opened:
        raise next(iter(nothing.values()))
    (first, shape), *others = ((file, one.rows.shape) for file, one in opened.items())
    for file, other in others:
        if other[1] != shape[1]:
            raise DatasetError(
                f"{file} has {other[1]} dimensions, but {first.name} has {shape[1]}; keep only vectors of "
                "one model there"
            )
    return list(opened.values()), list(nothing)


def _of_the_filled(tables: Sequence[Path], files: Sequence[Path], empty: Sequence[Path]) -> list[Path]:
    """Return the tables of files that hold vectors; DatasetError when that of another one has rows."""
    kept = []
    for table, file in zip(tables, files, strict=False):
        if file not in empty:
            kept.append(table)
        elif rows := parquet_shape(table)[0]:
            raise DatasetError(
                f"{table} has {rows:,} rows, but {file} holds no vector; write that file again or remove both"
            )
    return kept


@lru_cache(maxsize=64)
def _open_once(file: Path, fingerprint: str, format_: str, array: str | None) -> VectorFile:
    """Open a file once a process: what has no header is read through for that."""
    return open_vector_file(file, format_, array)


@lru_cache(maxsize=64)
def _lengths_once(
    files: tuple[tuple[Path, str], ...], format_: str, array: str | None
) -> npt.NDArray[np.float64]:
    """Sample the lengths in files (each with its fingerprint) once a process: a sweep asks for each point."""
    formats = [format_of(file) if format_ == "auto" else format_ for file, _ in files]
    opened = [_open_once(*file, of, array) for file, of in zip(files, formats, strict=True)]
    return sampled_lengths([one.rows for one in opened])


def _read_all(
    tables: Sequence[Path],
    files: Sequence[Path],
    opened: Sequence[VectorFile],
    config: schemas.EmbeddingsDataset,
    progress: Progress,
) -> Columns:
    """Return the columns "id", "label" and "caption" (those there are) of all shards end to end."""
    shards: list[Columns] = []
    with progress.bar("reading ids", len(tables), "files") as bar:
        for table, file, one in zip(tables, files, opened, strict=True):
            shards.append(_read_one(table, file, len(one.rows), config))
            bar.advance()
    return _end_to_end(shards, opened)


def _own_columns(opened: Sequence[VectorFile]) -> Columns:
    """Return what the files themselves say of their rows."""
    return _end_to_end(
        [{name: list(values) for name, values in one.columns.items()} for one in opened], opened
    )


def _end_to_end(shards: Sequence[Columns], opened: Sequence[VectorFile]) -> Columns:
    """Return the columns of all shards; None for the rows of a shard without it."""
    columns: Columns = {role: [] for shard in shards for role in shard}
    for shard, one in zip(shards, opened, strict=True):
        for role, values in columns.items():
            values.extend(shard.get(role) or [None] * len(one.rows))
    return columns


def _read_one(table: Path, file: Path, count: int, config: schemas.EmbeddingsDataset) -> Columns:
    row_count, present = parquet_shape(table)
    if row_count != count:
        raise DatasetError(
            f"{table} has {row_count:,} rows, but {file} has {count:,} vectors; both have to be of one run"
        )
    columns = {
        "id": config.id_column or next((name for name in ID_COLUMNS if name in present), None),
        "label": config.label_column or (LABEL_COLUMN if LABEL_COLUMN in present else None),
        "caption": config.caption_column,
        DUPLICATES_COLUMN: DUPLICATES_COLUMN if DUPLICATES_COLUMN in present else None,
    }
    chosen = {role: column for role, column in columns.items() if column is not None}
    values = read_columns(table, list(chosen.values()))
    return {role: values[column] for role, column in chosen.items()}


def _ids(column: Sequence[str | None] | None, opened: Sequence[VectorFile]) -> Sequence[str]:
    count = sum(len(one.rows) for one in opened)
    if column is None:
        if all(one.ids is None for one in opened):
            return RowNumbers(count)
        if len(opened) == 1 and isinstance(opened[0].ids, RowNumbers):
            return opened[0].ids
        own = (RowNumbers(len(one.rows)) if one.ids is None else one.ids for one in opened)
        column = list(chain.from_iterable(own))
    ids = [id_ for id_ in column if id_ is not None]
    if len(ids) != count:
        raise DatasetError(f"{count - len(ids):,} of {count:,} vectors have no id; fill dataset.id_column")
    if len(set(ids)) != count:
        id_, times = Counter(ids).most_common(1)[0]
        raise DatasetError(f"the id {id_} stands at {times:,} vectors; set dataset.id_column to unique ids")
    return ids
