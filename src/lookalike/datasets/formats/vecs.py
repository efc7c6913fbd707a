"""``.fvecs``, ``.bvecs`` and ``.ivecs`` of the TEXMEX datasets: every row begins with its own length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.datasets.formats.contents import MAX_DIM, EmptyFile, VectorFile, size_of
from lookalike.errors import DatasetError
from lookalike.machine.mapping import release_pages

FLOAT32, UINT8, INT32 = np.dtype("<f4"), np.dtype("u1"), np.dtype("<i4")
"""Values of fvecs, bvecs and ivecs."""
CHECKED_AT_ONCE = 1 << 16
"""Row headers read before the pages that were read for them are given back."""


def open_fvecs(file: Path, array: str | None = None) -> VectorFile:
    """Map rows of float32; see :func:`map_vecs`."""
    return VectorFile(map_vecs(file, FLOAT32))


def open_bvecs(file: Path, array: str | None = None) -> VectorFile:
    """Map rows of uint8; see :func:`map_vecs`."""
    return VectorFile(map_vecs(file, UINT8))


def map_vecs(file: Path, values: np.dtype[Any]) -> npt.NDArray[Any]:
    """Map a file of rows that are a little-endian int32 d and d ``values``, without the d: shape (n, d).

    DatasetError when the file does not end with a whole row, or a row's d is not the first row's.
    """
    size = size_of(file)
    if size == 0:
        raise EmptyFile(f"{file} is empty and holds no vector; remove it or copy it again")
    if size < 4:
        raise DatasetError(f"{file} has {size} bytes, which hold no vector; copy it again")
    dim = int(np.fromfile(file, "<i4", count=1)[0])
    if not 1 <= dim <= MAX_DIM:
        raise DatasetError(
            f"{file} begins with a vector of {dim:,} dimensions, which cannot be; it is damaged or of "
            "another format"
        )
    row = 4 + dim * values.itemsize
    if size % row:
        raise DatasetError(
            f"{file} has {size:,} bytes, which is not a multiple of the {row:,} that {dim:,} dimensions "
            "take; it is cut short, damaged or of another format: copy it again"
        )
    records = np.memmap(file, np.dtype([("dim", "<i4"), ("values", values, (dim,))]), "r")
    _check_dims(file, records, dim)
    mapped: npt.NDArray[Any] = records["values"]
    return mapped


def _check_dims(file: Path, records: np.memmap[Any, Any], dim: int) -> None:
    for start in range(0, len(records), CHECKED_AT_ONCE):
        dims = records["dim"][start : start + CHECKED_AT_ONCE]
        if (odd := np.flatnonzero(dims != dim)).size:
            raise DatasetError(
                f"row {start + int(odd[0])} of {file} says {int(dims[odd[0]]):,} dimensions, and the "
                f"first row {dim:,}; the file is damaged or of another format"
            )
        release_pages(records)
