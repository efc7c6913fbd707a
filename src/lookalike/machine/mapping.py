"""Memory-mapped arrays: where one lies in its file, and how its pages are given back."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Place(NamedTuple):
    """Where the rows of an array begin: a file, and a number of bytes into it."""

    file: Path
    offset: int


def place_of(array: Any) -> Place | None:
    """Where ``array`` lies if it is C-contiguous float32 (of this machine) mapped from a file, else None.

    A slice of consecutive rows of a mapped array is one as well.
    """
    if not isinstance(array, np.memmap) or array.filename is None or array.mode == "c":
        return None
    if array.dtype != np.float32 or not array.dtype.isnative:
        return None
    if not array.flags.c_contiguous or not array.flags.aligned:  # inside an archive it may lie at an odd byte
        return None
    pages = np.frombuffer(array._mmap, np.uint8)  # type: ignore[attr-defined]
    first_byte = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY
    return Place(Path(array.filename), first_byte + array.ctypes.data - pages.ctypes.data)


def map_floats(place: Place, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.float32]]:
    """Map float32 rows for reading. OSError when the file is gone, ValueError when it is too short."""
    return np.memmap(place.file, np.float32, "r", place.offset, shape)


def release_pages(array: npt.NDArray[Any]) -> None:
    """Give back the memory of a mapped file that was read or written; it is paged in again when needed.

    All pages of the mapping that ``array`` is a part of go. Arrays that are not mapped, or privately
    (copy on write), are left alone.
    """
    if isinstance(array, np.memmap) and array.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
        pages: Any = array._mmap  # type: ignore[attr-defined]
        pages.madvise(mmap.MADV_DONTNEED)
