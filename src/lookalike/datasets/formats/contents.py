"""What a file of vectors holds, and the checks that every format needs before anything is mapped."""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.datasets.sets import Rows
from lookalike.errors import DatasetError

CAST = "write it by numpy.save(file, array.astype('float32'))"
"""The cure for an array of another type."""
OF_DIRECTIONS = {"angular": True, "cosine": True, "euclidean": False, "l2": False, "ip": False, "dot": False}
"""The distances that a file may be for, and whether they compare directions or the vectors as they are."""
MAX_DIM = 1 << 20
"""A header that announces longer vectors is damaged, or of another format."""


@dataclass(frozen=True)
class VectorFile:
    """The vectors of one file, and what the file says of them."""

    rows: Rows
    """Floats of 16, 32 or 64 bits, uint8 or int8; read when asked for."""
    ids: Sequence[str] | None = None
    """One for each row; None: the format has none."""
    distance: str | None = None
    """What the file says that it is for, a key of :data:`OF_DIRECTIONS`; None: it does not say."""
    notices: tuple[str, ...] = ()
    """What the user should know, a sentence each."""
    columns: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    """What else the file says of each row: ``label``, ``duplicate_of``."""

    @property
    def of_directions(self) -> bool | None:
        """Whether angles are compared (True) or the vectors as they are (False); None: not said."""
        return None if self.distance is None else OF_DIRECTIONS[self.distance]


def size_of(file: Path) -> int:
    """Return a regular file's bytes; DatasetError when there is none that can be read."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise DatasetError(f"{file} is not a regular file; name a file of vectors")
        with file.open("rb"):
            return status.st_size
    except FileNotFoundError as error:
        raise DatasetError(f"{file} does not exist; check its name") from error
    except OSError as error:
        raise DatasetError(f"{file} cannot be read ({error.strerror}); check what it is") from error


class EmptyFile(DatasetError):
    """A sound file that holds no vector at all: among others it can be passed over."""


def check_announced(file: Path, rows: int, dim: int, bytes_needed: int, bytes_there: int) -> None:
    """Raise DatasetError unless a header's shape is sound and the file is exactly as long as it says.

    EmptyFile when it announces no rows, and has none.
    """
    if rows == 0 and dim <= MAX_DIM and bytes_needed == bytes_there:
        check_not_empty(str(file), (rows, dim))
    if rows < 1 or not 1 <= dim <= MAX_DIM:
        raise DatasetError(
            f"{file} announces {rows:,} vectors of {dim:,} dimensions, which cannot be; it is damaged or of "
            "another format"
        )
    if bytes_needed != bytes_there:
        raise DatasetError(
            f"{file} announces {rows:,} × {dim:,} values, {bytes_needed:,} bytes, but has {bytes_there:,}; "
            "it is cut short, damaged or of another format: copy it again"
        )


def holds_vectors(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether that is a matrix of floats of 16, 32 or 64 bits, or of integers of 8 bits."""
    fits = dtype.itemsize in (2, 4, 8) if dtype.kind == "f" else dtype in (np.uint8, np.int8)
    return len(shape) == 2 and bool(fits)


def check_vectors_shape(what: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise DatasetError unless ``what`` is a matrix of vectors; EmptyFile when it is an empty one."""
    if not holds_vectors(shape, dtype):
        cure = f"; {CAST}" if len(shape) == 2 and dtype.kind in "biuf" else ""
        raise DatasetError(
            f"{what} holds {dtype} of shape {shape}; vectors are float16, float32, float64, uint8 or int8 of "
            f"shape (rows, dimensions){cure}"
        )
    check_not_empty(what, shape)


def check_not_empty(what: str, shape: tuple[int, ...]) -> None:
    """Raise EmptyFile when an array has no value at all."""
    if 0 in shape:
        raise EmptyFile(f"{what} is empty, of shape {shape}; remove it or write it again")


class RowsInRuns(ABC):
    """Rows that are read as runs of consecutive ones: what a mapped array does, for files that have none."""

    def __init__(self, shape: tuple[int, int], dtype: npt.DTypeLike) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | npt.NDArray[np.int64], /) -> npt.NDArray[Any]:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step != 1:
                return self[np.arange(start, stop, step)]
            return self.read(start, stop) if start < stop else np.empty((0, self.shape[1]), self.dtype)
        ascending, back = np.unique(rows, return_inverse=True)
        found = np.empty((len(ascending), self.shape[1]), self.dtype)
        cuts = [0, *(np.flatnonzero(np.diff(ascending) != 1) + 1).tolist(), len(ascending)]
        for first, last in pairwise(cuts):
            if first < last:
                found[first:last] = self.read(int(ascending[first]), int(ascending[last - 1]) + 1)
        return found[back]

    @abstractmethod
    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return rows start to stop, at least one: shape (stop - start, dimensions)."""
