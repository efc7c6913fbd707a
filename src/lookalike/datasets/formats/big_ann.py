"""``.fbin``, ``.u8bin``, ``.i8bin`` and ``.ibin`` of big-ann-benchmarks: n, d, then n × d values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.datasets.formats.contents import VectorFile, check_announced, size_of
from lookalike.errors import DatasetError

HEADER_BYTES = 8
IDS, DISTANCES = np.dtype("<i4"), np.dtype("<f4")


def open_fbin(file: Path, array: str | None = None) -> VectorFile:
    """Map float32 vectors; DatasetError when n and d do not fit the file's size."""
    return VectorFile(_map_whole(file, np.dtype("<f4")))


def open_u8bin(file: Path, array: str | None = None) -> VectorFile:
    """Map uint8 vectors; DatasetError when n and d do not fit the file's size."""
    return VectorFile(_map_whole(file, np.dtype("u1")))


def open_i8bin(file: Path, array: str | None = None) -> VectorFile:
    """Map int8 vectors; DatasetError when n and d do not fit the file's size."""
    return VectorFile(_map_whole(file, np.dtype("i1")))


def map_ground_truth(file: Path) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32] | None]:
    """Map n × k neighbours, and their n × k distances if the file goes on with them.

    ``.ibin`` files end after the neighbours, the ``.bin`` of big-ann's ground truth has distances too.
    """
    (n, k), size = _header(file), size_of(file)
    with_distances = size == HEADER_BYTES + n * k * (IDS.itemsize + DISTANCES.itemsize)
    if not with_distances:
        check_announced(file, n, k, HEADER_BYTES + n * k * IDS.itemsize, size)
    check_announced(file, n, k, size, size)
    rows = np.memmap(file, IDS, "r", HEADER_BYTES, (n, k))
    if not with_distances:
        return rows, None
    return rows, np.memmap(file, DISTANCES, "r", HEADER_BYTES + n * k * IDS.itemsize, (n, k))


def _map_whole(file: Path, values: np.dtype[Any]) -> np.memmap[Any, Any]:
    rows, dim = _header(file)
    check_announced(file, rows, dim, HEADER_BYTES + rows * dim * values.itemsize, size_of(file))
    return np.memmap(file, values, "r", HEADER_BYTES, (rows, dim))


def _header(file: Path) -> tuple[int, int]:
    if size_of(file) < HEADER_BYTES:
        raise DatasetError(f"{file} is shorter than the {HEADER_BYTES} bytes of its header; copy it again")
    rows, dim = np.fromfile(file, "<u4", count=2).tolist()
    return rows, dim
