"""Plain ``.npy`` files, mapped in place."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lookalike.datasets.vector_files.contents import (
    VectorFile,
    check_not_empty,
    check_vectors_shape,
    size_of,
)
from lookalike.errors import DatasetError


def open_npy(file: Path, array: str | None = None) -> VectorFile:
    """Memory-map the vectors of a ``.npy``; DatasetError when it holds something else."""
    mapped = map_array(file)
    check_vectors_shape(str(file), mapped.shape, mapped.dtype)
    return VectorFile(mapped)


def map_array(file: Path) -> np.ndarray:
    """Memory-map a ``.npy`` that is not empty, without ever unpickling; else DatasetError.

    The file has to be as long as its header says: numpy maps nothing else.
    """
    size_of(file)
    try:
        array = np.lib.format.open_memmap(file, mode="r")
    except (ValueError, OSError, OverflowError) as error:
        raise DatasetError(f"{file} is not a readable .npy array ({error}); write it again") from error
    check_not_empty(str(file), array.shape)
    return array
