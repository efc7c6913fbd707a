"""Ready neighbours of queries: which gallery rows someone else found nearest, and how far away."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lookalike.datasets.formats import hdf5
from lookalike.datasets.formats.big_ann import map_ground_truth
from lookalike.datasets.formats.npy import map_array
from lookalike.datasets.formats.vecs import INT32, map_vecs
from lookalike.errors import DatasetError

NEIGHBOUR_SUFFIXES = (".npy", ".ivecs", ".ibin", ".bin", ".hdf5", ".h5")


class GivenNeighbours(NamedTuple):
    """What a file says of its queries' neighbours, nearest first."""

    rows: npt.NDArray[Any]
    """Integers, shape (queries, k)."""
    distances: npt.NDArray[Any] | None
    """Floats of the same shape, in the file's own measure; None: the file has none."""
    distance: str | None
    """That measure, if the file says it: angular (1 − cosine) or euclidean."""


def open_neighbours(file: Path) -> GivenNeighbours:
    """Open ``.npy``, ``.ivecs``, ``.ibin``, big-ann's ground truth (``.bin``) or ``neighbors`` of an HDF5.

    DatasetError when the file is missing, damaged, or holds something else.
    """
    suffix = file.suffix.lower()
    if suffix not in NEIGHBOUR_SUFFIXES:
        raise DatasetError(f"{file} is not a file of neighbours; name one of {', '.join(NEIGHBOUR_SUFFIXES)}")
    if suffix == ".ivecs":
        return GivenNeighbours(map_vecs(file, INT32), None, None)
    if suffix in (".ibin", ".bin"):
        rows, _ = map_ground_truth(file)
        return GivenNeighbours(rows, None, None)
    if suffix == ".npy":
        mapped = map_array(file)
        if mapped.ndim != 2 or mapped.dtype.kind not in "iu":
            raise DatasetError(
                f"{file} holds {mapped.dtype} of shape {mapped.shape}; neighbours are integers of shape "
                "(queries, k)"
            )
        return GivenNeighbours(_signed(mapped), None, None)
    return _of_hdf5(file)


def _of_hdf5(file: Path) -> GivenNeighbours:
    with hdf5.opened(file) as root:
        rows = hdf5.read_matrix(root, file, hdf5.NEIGHBOURS, "iu")
        distances = hdf5.read_matrix(root, file, hdf5.DISTANCES, "f")
        distance = hdf5.distance_of(root, file)
    if rows is None:
        raise DatasetError(f"{file} has no dataset {hdf5.NEIGHBOURS}; leave queries.neighbours out")
    if distances is not None and distances.shape != rows.shape:
        raise DatasetError(
            f"{hdf5.DISTANCES} of {file} has shape {distances.shape} and {hdf5.NEIGHBOURS} {rows.shape}; "
            "write it again"
        )
    return GivenNeighbours(_signed(rows), distances, distance)


def _signed(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same rows; where the type has no −1, its largest number stands for that."""
    if rows.dtype.kind != "u":
        return rows
    return np.where(rows == np.iinfo(rows.dtype).max, -1, rows.astype(np.int64))
