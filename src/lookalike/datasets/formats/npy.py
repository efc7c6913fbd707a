"""Plain ``.npy`` files, mapped in place."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from lookalike.datasets.formats.contents import (
    CAST,
    VectorFile,
    check_not_empty,
    check_vectors_shape,
    size_of,
)
from lookalike.errors import DatasetError, foreign_parser


def open_npy(file: Path, array: str | None = None) -> VectorFile:
    """Memory-map the vectors of a ``.npy``; DatasetError when it holds something else."""
    mapped = map_array(file)
    check_vectors_shape(str(file), mapped.shape, mapped.dtype)
    return VectorFile(mapped)


def map_array(file: Path) -> np.ndarray:
    """Memory-map a ``.npy`` that is not empty, without ever unpickling; else DatasetError.

    The file has to be as long as its header says.
    """
    size = size_of(file)
    with foreign_parser(f"{file} is not a readable .npy array", "write it again"), file.open("rb") as stream:
        shape, fortran, dtype = read_header(stream, str(file))
        start = stream.tell()
    if dtype.hasobject:
        raise DatasetError(
            f"{file} holds Python objects, which are never unpickled; stack them and {CAST}, as "
            "numpy.stack(list(array)) does for rows of one length"
        )
    check_not_empty(str(file), shape)
    needed = start + prod(shape) * dtype.itemsize
    if needed != size:
        raise DatasetError(
            f"{file} announces {dtype} of shape {shape}, {needed:,} bytes, but has {size:,}; it is cut short "
            "or damaged: copy it again"
        )
    with foreign_parser(f"{file} is not a readable .npy array", "write it again"):
        return np.memmap(file, dtype, "r", start, shape, "F" if fortran else "C")


def read_header(stream: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an array from where ``stream`` stands: its shape, whether by columns, its dtype.

    DatasetError when a side is negative; numpy raises nearly anything for a header that is none.
    """
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise DatasetError(
            f"{what} is a .npy of version {version}, which is not read; write it by numpy.save"
        )
    shape, fortran, dtype = readers[version](stream)
    if any(side < 0 for side in shape):
        raise DatasetError(f"{what} announces the shape {shape}, which cannot be; write it again")
    return shape, fortran, dtype
