"""Ordered sets of images, texts or ready vectors: what is embedded, searched and asked for.

All three have unique ``ids``, a fingerprint and a location for each row, ``max_bad_fraction``,
``shard_size``, ``len`` and ``take``. A fingerprint changes when the row's content does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookalike.datasets.lazy import AT_A_TIME, LazyTexts, RowNumbers
from lookalike.errors import DatasetError
from lookalike.mapping import forget, place_of

T = TypeVar("T")
Annotations = Sequence[str | None] | None
"""One value a row (None: the row has none), or None: the dataset has no such annotation."""


@dataclass(frozen=True)
class ImageSet:
    """Images in gallery order, decoded one at a time."""

    ids: Sequence[str]
    """Unique; of files: the POSIX path relative to the dataset's root."""
    fingerprints: Sequence[str]
    locations: Sequence[str]
    """Where a person finds the image; of an edited copy, the original's path and the edit."""
    load: Callable[[int], Image.Image]
    """Row -> upright RGB image. Raises ImageError with the reason. Thread-safe."""
    labels: Annotations = None
    groups: Annotations = None
    captions: Annotations = None
    max_bad_fraction: float = 0.01
    shard_size: int = 100_000
    notices: tuple[str, ...] = ()
    """What the user should know of how the set came about, a sentence each."""
    missing: int = 0
    """Images that the annotations name and that are not there: no rows of the set."""
    read: Callable[[int], bytes] | None = None
    """Row -> the encoded image, where its location is no file. Raises ImageError. Thread-safe."""
    size: Callable[[int], int] | None = None
    """Row -> the number of bytes that ``read`` gives, without reading them."""

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> ImageSet:
        """Return the images of ``rows``, in that order."""
        rows, load, read, size = [int(row) for row in rows], self.load, self.read, self.size
        return replace(
            self,
            ids=_pick(self.ids, rows),
            fingerprints=_pick(self.fingerprints, rows),
            locations=_pick(self.locations, rows),
            load=lambda row: load(rows[row]),
            labels=_pick(self.labels, rows),
            groups=_pick(self.groups, rows),
            captions=_pick(self.captions, rows),
            read=None if read is None else lambda row: read(rows[row]),
            size=None if size is None else lambda row: size(rows[row]),
        )


@dataclass(frozen=True)
class TextSet:
    """Texts that a model's text tower embeds."""

    ids: Sequence[str]
    fingerprints: Sequence[str]
    texts: Sequence[str]
    max_bad_fraction: float = 0.0
    shard_size: int = 100_000

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def locations(self) -> Sequence[str]:
        """A text has no place but its id."""
        return self.ids

    def load(self, row: int) -> str:
        """Return the text of ``row``."""
        return self.texts[row]

    def take(self, rows: Sequence[int]) -> TextSet:
        """Return the texts of ``rows``, in that order."""
        rows = [int(row) for row in rows]
        return replace(
            self,
            ids=_pick(self.ids, rows),
            fingerprints=_pick(self.fingerprints, rows),
            texts=_pick(self.texts, rows),
        )


class Rows(Protocol):
    """Vectors in a file, or made on demand: read a part at a time and never as a whole.

    Memory-mapped numpy arrays are such.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, dimensions)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Float of 16, 32 or 64 bits, uint8 or int8."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice | npt.NDArray[np.int64], /) -> npt.NDArray[Any]:
        """Consecutive rows, or the rows of these numbers in their order: shape (asked for, dimensions)."""
        ...


@dataclass(frozen=True)
class VectorSet:
    """Rows of arrays that lie in files, read a block at a time and never as a whole."""

    ids: Sequence[str]
    arrays: Sequence[Rows]
    """Shape (n_i, dim) each."""
    files: Sequence[str]
    """The file of each array, for messages."""
    file_fingerprints: Sequence[str]
    """One for each array."""
    normalize: bool = True
    """Whether whoever reads the vectors is to scale them to unit length; ``blocks`` does not."""
    labels: Annotations = None
    captions: Annotations = None
    groups: Annotations = None
    max_bad_fraction: float = 0.0
    shard_size: int = 100_000
    notices: tuple[str, ...] = ()
    rows: np.ndarray | None = field(default=None, compare=False)
    """int64 rows of the arrays end to end that the set consists of; None: all of them."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dim(self) -> int:
        """The vectors' dimension."""
        return int(self.arrays[0].shape[1])

    @property
    def fingerprints(self) -> Sequence[str]:
        """One a row: that of its file, and the row in it."""
        return _RowTexts(self, [f"{fingerprint}:" for fingerprint in self.file_fingerprints])

    @property
    def locations(self) -> Sequence[str]:
        """Where each row is stored: ``vectors_3.npy, row 17``."""
        return _RowTexts(self, [f"{file}, row " for file in self.files])

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> VectorSet:
        """Return the vectors of ``rows``, in that order; nothing is read or copied but the selection."""
        chosen = np.asarray(rows, dtype=np.int64).reshape(-1)
        return replace(
            self,
            ids=_pick(self.ids, chosen),
            labels=_pick(self.labels, chosen),
            captions=_pick(self.captions, chosen),
            groups=_pick(self.groups, chosen),
            rows=chosen if self.rows is None else self.rows[chosen],
        )

    def blocks(self, rows_per_block: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(first row, float32 array of up to rows_per_block × dim)``, in order, as stored.

        Memory: one block; pages of the files that were read for it are given back.
        """
        for start in range(0, len(self), rows_per_block):
            stop = min(start + rows_per_block, len(self))
            yield start, self._gather(start, stop)

    def mapped_parts(self) -> list[np.memmap[Any, np.dtype[np.float32]]] | None:
        """Memory maps of float32 that hold the set's rows, end to end; None when it has no such.

        It has when every row lies in a C-contiguous float32 map of a file, and each array's are used in
        order and without gaps: then the files can be searched where they are.
        """
        if len(self) == 0:
            return None
        arrays, rows = self.stored_rows(0, len(self))
        cuts = [0, *(np.flatnonzero((np.diff(arrays) != 0) | (np.diff(rows) != 1)) + 1).tolist(), len(rows)]
        if len(cuts) - 1 > len(self.arrays):
            return None
        parts: list[Any] = [
            self.arrays[arrays[start]][rows[start] : rows[stop - 1] + 1]
            for start, stop in itertools.pairwise(cuts)
            if place_of(self.arrays[arrays[start]]) is not None
        ]
        return parts if len(parts) == len(cuts) - 1 else None

    def location(self, row: int) -> str:
        """Return where ``row`` is stored: what :func:`check_vectors` asks for."""
        return self.locations[row]

    def stored_rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return, for rows start to stop of the set, the array that each is in and its row there."""
        rows = np.arange(start, stop, dtype=np.int64) if self.rows is None else self.rows[start:stop]
        arrays = np.searchsorted(self._starts, rows, side="right") - 1
        return arrays, rows - self._starts[arrays]

    @cached_property
    def _starts(self) -> np.ndarray:
        """int64, first row of each array, and the number of all rows."""
        return np.cumsum([0, *(len(array) for array in self.arrays)], dtype=np.int64)

    def _gather(self, start: int, stop: int) -> np.ndarray:
        arrays, rows = self.stored_rows(start, stop)
        block = np.empty((stop - start, self.dim), dtype=np.float32)
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which check_vectors names
            for array in np.unique(arrays):
                here = arrays == array
                block[here] = self.arrays[array][_as_slice(rows[here])]
                forget(self.arrays[array])
        return block


def _as_slice(rows: npt.NDArray[np.int64]) -> slice | npt.NDArray[np.int64]:
    """The same rows; as a slice where they are consecutive, which every file reads quicker."""
    first, last = int(rows[0]), int(rows[-1])
    consecutive = last - first + 1 == len(rows) and bool((np.diff(rows) == 1).all())
    return slice(first, last + 1) if consecutive else rows


def check_vectors(
    block: np.ndarray, first_row: int, location: Callable[[int], str]
) -> npt.NDArray[np.float64]:
    """Return the squared lengths of ``block``'s rows, shape (rows,), once they are known to be usable.

    Raises DatasetError naming the first row that is zero or holds NaN or infinity.
    ``first_row`` is the block's first row in its set, ``location`` says where a row of the set is stored
    (:meth:`VectorSet.location`). Such rows have no direction or no distance: nothing can rank them.
    """
    squares: npt.NDArray[np.float64] = np.einsum("ij,ij->i", block, block, dtype=np.float64)
    suspects = np.flatnonzero(~(squares > 0) | ~np.isfinite(squares))
    if len(suspects) == 0:
        return squares
    row = int(suspects[0])
    what = "is all zeros" if not block[row].any() else "holds NaN or infinity"
    others = f" (and {len(suspects) - 1:,} more in the same block)" if len(suspects) > 1 else ""
    raise DatasetError(
        f"the vector at {location(first_row + row)} {what}{others}; remove it or embed its image again"
    )


class _RowTexts(LazyTexts):
    """A text a row, made when asked for: a million rows should not cost a million strings."""

    def __init__(self, vectors: VectorSet, prefixes: Sequence[str]) -> None:
        super().__init__(len(vectors), lambda row: next(self._texts(row, row + 1)))
        self._vectors, self._prefixes = vectors, prefixes

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), AT_A_TIME):
            yield from self._texts(start, min(start + AT_A_TIME, len(self)))

    def _texts(self, start: int, stop: int) -> Iterator[str]:
        arrays, rows = self._vectors.stored_rows(start, stop)
        for array, row in zip(arrays.tolist(), rows.tolist(), strict=True):
            yield f"{self._prefixes[array]}{row}"


@overload
def _pick(values: Sequence[T], rows: Sequence[int] | npt.NDArray[np.int64]) -> Sequence[T]: ...
@overload
def _pick(values: None, rows: Sequence[int] | npt.NDArray[np.int64]) -> None: ...
def _pick(values: Any, rows: Any) -> Any:
    if values is None:
        return None
    if isinstance(values, RowNumbers):
        return values.take(rows)
    return [values[row] for row in (rows.tolist() if isinstance(rows, np.ndarray) else rows)]
