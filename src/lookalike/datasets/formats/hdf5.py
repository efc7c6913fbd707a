"""HDF5 files as ann-benchmarks lays them out: train, test, neighbors, distances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.datasets.formats.bounded import read_in_child_first
from lookalike.datasets.formats.contents import (
    OF_DIRECTIONS,
    RowsInRuns,
    VectorFile,
    check_not_empty,
    check_vectors_shape,
    size_of,
)
from lookalike.datasets.sets import Rows
from lookalike.errors import DatasetError, foreign_parser

GALLERY, QUERIES, NEIGHBOURS, DISTANCES, IDS = "train", "test", "neighbors", "distances", "ids"
"""Names of the datasets; ``ids`` is ours, other readers pass over it."""
COLUMNS = {"label": "labels", "duplicate_of": "duplicate_of"}
"""Texts a row of the gallery, ours as well: what they are -> name of the dataset."""
QUERY_COLUMNS = {"id": "test_ids", "label": "test_labels", "source": "test_sources", "edit": "test_edits"}
RELEVANT, IGNORED = "test_relevant", "test_ignored"
"""Pairs of a query's row and a gallery row."""
TOP = frozenset(
    {
        GALLERY,
        QUERIES,
        NEIGHBOURS,
        DISTANCES,
        IDS,
        RELEVANT,
        IGNORED,
        *COLUMNS.values(),
        *QUERY_COLUMNS.values(),
    }
)
MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_FOLD = 1_100
"""A dataset that claims to be packed tighter than deflate packs is damaged or a bomb."""


def open_hdf5(file: Path, array: str | None = None) -> VectorFile:
    """Open the dataset ``array`` (``train``) of vectors, mapped in place unless it is chunked or packed.

    The attribute ``distance`` tells what vectors are compared by; ids: the dataset ``ids``. DatasetError
    when the file is damaged, the dataset is missing or lies outside the file, or h5py is not installed.
    """
    name = array or GALLERY
    with opened(file, name) as root:
        dataset = find(root, file, name)
        what = f"{name} of {file}"
        check_vectors_shape(what, dataset.shape, dataset.dtype)
        distance = distance_of(root, file)
        ids, columns = None, {}
        if name == GALLERY:
            ids = read_texts(root, file, IDS, len(dataset))
            columns = read_columns(root, file, COLUMNS, len(dataset))
        return VectorFile(_rows(file, dataset, what), ids, distance, columns=columns)


def read_matrix(root: Any, file: Path, name: str, kinds: str) -> npt.NDArray[Any] | None:
    """Read a matrix of numbers of the numpy ``kinds`` ("iu", "f") whole; None when there is none.

    DatasetError when what is called so is something else.
    """
    if name not in root:
        return None
    dataset = find(root, file, name)
    if len(dataset.shape) != 2 or dataset.dtype.kind not in kinds:
        raise DatasetError(
            f"{name} of {file} holds {dataset.dtype} of shape {dataset.shape}, not a row a query"
        )
    check_not_empty(f"{name} of {file}", dataset.shape)
    matrix: npt.NDArray[Any] = dataset[()]
    return matrix


@contextmanager
def opened(file: Path, array: str | None = None) -> Iterator[Any]:
    """Open an HDF5 file for reading, once a child has survived reading it, ``array`` of it too.

    What is wrong with it while it is open becomes a DatasetError.
    """
    check_hdf5([file], array)
    import h5py

    with _readable(file), h5py.File(file, "r") as root:
        yield root


def check_hdf5(files: Sequence[Path], array: str | None = None) -> None:
    """Have a child read the files first, ``array`` of each too, see :func:`read_in_child_first`.

    Raises DatasetError for one that cannot be read, and when h5py is not installed.
    """
    for file in files:
        size_of(file)
    try:
        import h5py  # noqa: F401 (is it there?)
    except ImportError as error:
        raise DatasetError(
            f"reading {files[0].name} needs h5py, which is not installed; pip install 'lookalike[hdf5]'"
        ) from error
    for file in files:
        _check_signature(file)
    read_in_child_first(files, "hdf5", None if array in TOP else array)


def _check_signature(file: Path) -> None:
    """Raise DatasetError unless HDF5's signature stands where the format has it: at 0, 512, 1,024, …"""
    with _readable(file), file.open("rb") as stream:
        place, size = 0, file.stat().st_size
        while place < size:
            stream.seek(place)
            if stream.read(len(MAGIC)) == MAGIC:
                return
            place = max(512, 2 * place)
    raise DatasetError(f"{file} is not a readable HDF5 file (its signature is missing); copy it again")


def _readable(file: Path) -> AbstractContextManager[None]:
    return foreign_parser(f"{file} is not a readable HDF5 file", "copy it again")


def find(root: Any, file: Path, name: str) -> Any:
    """Return the dataset ``name``, whose bytes lie in this very file; else DatasetError."""
    import h5py

    group = root
    for part in name.strip("/").split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            there = ", ".join(key for key in root) or "nothing"
            raise DatasetError(f"{file} has no dataset {name}; it has {there}")
        if not isinstance(link, h5py.HardLink):
            raise DatasetError(
                f"{name} of {file} is a link to somewhere else, which is not followed; copy the data "
                "into the file"
            )
        group = group[part]
    if not isinstance(group, h5py.Dataset):
        raise DatasetError(f"{name} of {file} is a group; set dataset.array to a dataset in it")
    if group.external or group.is_virtual:
        raise DatasetError(
            f"{name} of {file} is stored in other files, which are not opened; copy the data into the file"
        )
    _check_stored(group, f"{name} of {file}", size_of(file))
    return group


def _check_stored(dataset: Any, what: str, file_bytes: int) -> None:
    if dataset.shape is None or dataset.dtype.hasobject:
        return  # no array, or texts: checked where they are read
    announced = int(np.prod([int(side) for side in dataset.shape], dtype=object)) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    most = stored if dataset.chunks is None else stored * MOST_FOLD
    if announced > most or stored > file_bytes:
        raise DatasetError(
            f"{what} announces {dataset.dtype} of shape {dataset.shape}, and {stored:,} bytes of it are "
            "stored; the file is damaged or was never filled: copy it again"
        )


def distance_of(root: Any, file: Path) -> str | None:
    """Return what the file says it compares vectors by; DatasetError when it compares by something else."""
    distance = root.attrs.get("distance")
    if distance is None:
        return None
    distance = distance.decode(errors="replace") if isinstance(distance, bytes) else str(distance)
    if distance not in OF_DIRECTIONS:
        raise DatasetError(
            f"{file} is for the distance {distance}, which is not measured here; use vectors compared by "
            f"{', '.join(OF_DIRECTIONS)}"
        )
    return distance


def read_columns(root: Any, file: Path, names: Mapping[str, str], count: int) -> dict[str, list[str | None]]:
    """Return those of the named datasets that hold a value for each row, as texts; an empty one is None.

    A dataset of that name with another shape means something else and is passed over.
    """
    fitting = {column: name for column, name in names.items() if _one_a_row(root, name, count)}
    read = {column: read_texts(root, file, name, count) for column, name in fitting.items()}
    return {column: [text or None for text in texts] for column, texts in read.items() if texts is not None}


def _one_a_row(root: Any, name: str, count: int) -> bool:
    return name in root and getattr(root.get(name), "shape", None) == (count,)


def read_texts(root: Any, file: Path, name: str, count: int) -> list[str] | None:
    """Return ``count`` texts, None when there is no such dataset; DatasetError when it has another shape."""
    if name not in root:
        return None
    dataset = find(root, file, name)
    if dataset.shape != (count,):
        raise DatasetError(
            f"{name} of {file} has shape {dataset.shape} for {count:,} vectors; write it again"
        )
    values = (dataset.asstr() if dataset.dtype.hasobject or dataset.dtype.kind == "S" else dataset)[()]
    return [str(value) for value in values.tolist()]


def holds_queries(file: Path) -> bool:
    """Whether an HDF5 file has query vectors of its own; DatasetError when it cannot be read."""
    with opened(file) as root:
        return QUERIES in root


def _rows(file: Path, dataset: Any, what: str) -> Rows:
    offset = dataset.id.get_offset()
    if offset is None or dataset.chunks is not None:
        return ChunkedRows(file, dataset.name, dataset.shape, dataset.dtype)
    if offset + dataset.nbytes > size_of(file):
        raise DatasetError(f"{what} goes on past the end of the file; it is cut short: copy it again")
    return np.memmap(file, dataset.dtype, "r", offset, dataset.shape)


class ChunkedRows(RowsInRuns):
    """Rows of a dataset that HDF5 keeps in chunks, packed or not; the file stays open once they are read."""

    def __init__(self, file: Path, name: str, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        super().__init__(shape, dtype)
        self.file, self.name = file, name

    @cached_property
    def _dataset(self) -> Any:
        import h5py

        return find(h5py.File(self.file, "r"), self.file, self.name)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        with _readable(self.file):
            rows: npt.NDArray[Any] = self._dataset[start:stop]
            return rows
