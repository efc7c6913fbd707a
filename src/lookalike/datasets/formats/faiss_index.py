"""Vectors out of a FAISS index file, in the order of their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.datasets.formats.bounded import read_in_child_first
from lookalike.datasets.formats.contents import (
    MAX_DIM,
    EmptyFile,
    RowsInRuns,
    VectorFile,
    size_of,
)
from lookalike.datasets.ids import RowNumbers
from lookalike.datasets.sets import Rows
from lookalike.errors import DatasetError, foreign_parser

FLAT_OR_GRAPH = (b"IxF", b"IH", b"IN")
"""How the files of such indexes begin."""


@dataclass(frozen=True)
class Held:
    """Where an index holds its vectors."""

    index: Any
    """The index to reconstruct from."""
    keys: npt.NDArray[np.int64]
    """What each vector is called there."""
    ids: npt.NDArray[np.int64]
    """What each vector is called outside."""
    exact: bool
    """Whether what is reconstructed is what was added."""


def open_faiss(file: Path, array: str | None = None) -> VectorFile:
    """Open the vectors that an index holds, see :func:`open_index`, once a child has survived reading it."""
    check_faiss([file])
    return open_index(file)


def check_faiss(files: Sequence[Path], array: str | None = None) -> None:
    """Have a child read the files first; DatasetError for one that cannot be read."""
    read_in_child_first(files, "faiss")


def open_index(file: Path) -> VectorFile:
    """Open the vectors that an index holds; their ids are FAISS's, ascending, unless these are
    just row numbers.

    A flat index is mapped in place, others are reconstructed when read. Where codes are stored
    instead of vectors, these are approximations, and a notice says so. The index's metric is the distance
    that the file is for. DatasetError when the file is no index, or one whose vectors cannot be had back. A
    hostile file can crash the process.
    """
    index = _read(file)
    with _readable(file):
        held = _held(index, file)
    if len(held.keys) == 0:
        raise EmptyFile(f"{file} is an index without vectors; name one that was filled")
    order = np.argsort(held.ids, kind="stable")
    ids, keys = held.ids[order], held.keys[order]
    if (twice := np.flatnonzero(np.diff(ids) == 0)).size:
        raise DatasetError(
            f"{file} holds several vectors of the id {ids[twice[0]]}; give each vector its own id"
        )
    distance, foreign = _distance_of(index, file)
    notices = foreign if held.exact else (_approximate(file, index), *foreign)
    counted = np.array_equal(ids, np.arange(len(ids)))
    named = None if counted else RowNumbers(ids)
    return VectorFile(_rows(held.index, keys, file, index), named, distance, notices)


def _distance_of(index: Any, file: Path) -> tuple[str | None, tuple[str, ...]]:
    """What an index compares by, and what the user should know where nothing here does."""
    import faiss

    known = {faiss.METRIC_L2: "l2", faiss.METRIC_INNER_PRODUCT: "ip"}
    if index.metric_type in known:
        return known[index.metric_type], ()
    return None, (
        f"{file.name} compares by FAISS's metric {index.metric_type}, which is not measured here: its "
        "vectors are compared by index.metric",
    )


def _approximate(file: Path, index: Any) -> str:
    return (
        f"the vectors of {file.name} are reconstructed from {type(index).__name__}, which keeps codes: they "
        "are approximations of what was added"
    )


def _read(file: Path) -> Any:
    import faiss

    size = size_of(file)
    with _readable(file), _no_longer_than(size):
        index = faiss.read_index(str(file), _mapping_flag(file))
    if not 1 <= index.d <= MAX_DIM or index.ntotal < 0:
        raise DatasetError(
            f"{file} announces {index.ntotal:,} vectors of {index.d:,} dimensions, which cannot be; "
            "write it again"
        )
    return index


def _mapping_flag(file: Path) -> int:
    """FAISS maps either the vectors of flat indexes and graphs or inverted lists, by different flags."""
    import faiss

    with file.open("rb") as stream:
        kind = stream.read(4)
    flag = faiss.IO_FLAG_MMAP_IFC if kind.startswith(FLAT_OR_GRAPH) else faiss.IO_FLAG_MMAP
    return int(flag)


@contextmanager
def _no_longer_than(file_bytes: int) -> Iterator[None]:
    """Let FAISS believe no length in a file that the whole file could not hold."""
    import faiss

    before = faiss.get_deserialization_vector_byte_limit(), faiss.get_deserialization_loop_limit()
    faiss.set_deserialization_vector_byte_limit(file_bytes)
    faiss.set_deserialization_loop_limit(file_bytes)
    try:
        yield
    finally:
        faiss.set_deserialization_vector_byte_limit(before[0])
        faiss.set_deserialization_loop_limit(before[1])


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """What FAISS raises becomes a DatasetError, in FAISS's own words without the place in its sources."""
    with foreign_parser(f"{file} is not a readable FAISS index", "write it again"):
        try:
            yield
        except RuntimeError as error:
            raise RuntimeError(str(error).splitlines()[0].rpartition(": ")[2]) from error


def _held(index: Any, file: Path) -> Held:
    """Look through what is wrapped around the vectors."""
    import faiss

    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexIDMap):
        inner = _held(index.index, file)
        outside = faiss.vector_to_array(index.id_map)
        if len(outside) != len(inner.ids):
            raise DatasetError(
                f"{file} has {len(outside):,} ids for {len(inner.ids):,} vectors; write it again"
            )
        return Held(inner.index, inner.keys, outside[inner.ids], inner.exact)
    if isinstance(index, faiss.IndexRefine):
        return _held(index.refine_index, file)
    if isinstance(index, faiss.IndexHNSW | faiss.IndexNSG):
        return _held(index.storage, file)
    if isinstance(index, faiss.IndexPreTransform):
        inner = _held(index.index, file)
        if not _same(
            inner.index, index.index
        ):  # transforms go around ids or refinement, which FAISS cannot undo
            raise DatasetError(_unsupported(file, index))
        return Held(index, inner.keys, inner.ids, exact=False)
    if isinstance(index, faiss.IndexIVF):
        keys = _listed_ids(index, file)
        index.set_direct_map_type(faiss.DirectMap.Hashtable)
        return Held(index, keys, keys, isinstance(index, faiss.IndexIVFFlat))
    keys = np.arange(index.ntotal, dtype=np.int64)
    return Held(index, keys, keys, isinstance(index, faiss.IndexFlat))


def _same(one: Any, other: Any) -> bool:
    return int(one.this) == int(other.this)


def _listed_ids(index: Any, file: Path) -> npt.NDArray[np.int64]:
    import faiss

    lists = index.invlists
    parts = [np.empty(0, np.int64)]
    for number in range(lists.nlist):
        if size := lists.list_size(number):
            parts.append(faiss.rev_swig_ptr(lists.get_ids(number), size).copy())
    ids = np.concatenate(parts)
    if len(ids) != index.ntotal:
        raise DatasetError(
            f"{file} announces {index.ntotal:,} vectors, and its lists hold {len(ids):,}; write it again"
        )
    return ids


def _rows(index: Any, keys: npt.NDArray[np.int64], file: Path, whole: Any) -> Rows:
    import faiss

    if isinstance(index, faiss.IndexFlat):
        return FlatRows(index, keys, whole)
    try:
        index.reconstruct(int(keys[0]))  # where it cannot, reconstructing many at once ends the process
    except RuntimeError as error:
        raise DatasetError(_unsupported(file, whole)) from error
    return ReconstructedRows(index, keys, whole, file)


def _unsupported(file: Path, index: Any) -> str:
    return (
        f"{file} is a {type(index).__name__} whose vectors cannot be had back; name an index that keeps "
        "vectors or codes (Flat, IVF, HNSW, PQ, SQ), or the vectors themselves"
    )


class FlatRows(RowsInRuns):
    """Rows of a flat index, where they are in memory or in the mapped file."""

    def __init__(self, index: Any, keys: npt.NDArray[np.int64], whole: Any) -> None:
        import faiss

        super().__init__((len(keys), index.d), np.float32)
        self._keys, self._keep_alive = keys, (index, whole)
        self._vectors = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(-1, index.d)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = self._vectors[self._keys[start:stop]]
        return found


class ReconstructedRows(RowsInRuns):
    """Rows that FAISS decodes when they are read."""

    def __init__(self, index: Any, keys: npt.NDArray[np.int64], whole: Any, file: Path) -> None:
        super().__init__((len(keys), index.d), np.float32)
        self._index, self._keys, self._keep_alive, self._file = index, keys, whole, file

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        with _readable(self._file):
            found: npt.NDArray[Any] = self._index.reconstruct_batch(self._keys[start:stop])
            return found
