"""Ordered sets of images, texts or ready vectors: what is embedded, searched, and searched for.

All three have unique ``ids``, a fingerprint and a location for each row, ``max_bad_fraction``,
``shard_size``, ``len`` and ``take``. A fingerprint changes when the row's content does.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, BinaryIO, Protocol, TypeVar, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookalike.datasets.ids import AT_A_TIME, LazyTexts, RowNumbers
from lookalike.datasets.images import decode
from lookalike.datasets.usable import round_factor
from lookalike.errors import DatasetError, ImageError
from lookalike.machine.mapping import place_of, release_pages

T = TypeVar("T")
Annotations = Sequence[str | None] | None
"""One value a row (None: the row has none), or None: the dataset has no such annotation."""

UNREADABLE = "unreadable"
"""The content hash of what cannot be read."""


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
    """Row -> the encoded image, where its location is not a file. Raises ImageError. Thread-safe."""
    size: Callable[[int], int] | None = None
    """Row -> the number of bytes of the encoded image, without reading them; OSError when it is gone."""
    open: Callable[[int], BinaryIO] | None = None
    """Row -> the encoded image as an open file; None: images are made from others and encoded nowhere.
    Raises ImageError. Thread-safe."""
    max_pixels: int = 100_000_000
    """See :func:`~lookalike.datasets.images.decode`; for what ``open`` gives."""

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> ImageSet:
        """Return the images of ``rows``, in that order."""
        rows, load, read, size = [int(row) for row in rows], self.load, self.read, self.size
        open_ = self.open
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
            open=None if open_ is None else lambda row: open_(rows[row]),
        )

    def load_and_hash(self, row: int) -> tuple[Image.Image | ImageError, str]:
        """Return the image of ``row``, or the reason why it cannot be had, and its content hash.

        The hash is the SHA-256 of the very bytes that were decoded, as hexadecimal digits; UNREADABLE when
        there are none, empty where images are encoded nowhere. Thread-safe.
        """
        digest = "" if self.open is None else UNREADABLE
        try:
            if self.open is None:
                return self.load(row), digest
            with self.open(row) as file:
                digest = _hash_of(file)
                return decode(file, self.max_pixels), digest
        except ImageError as error:
            return error, digest

    def content_hash(self, row: int) -> str:
        """Return the hash that :meth:`load_and_hash` gives, without decoding."""
        try:
            if self.open is None:
                return ""
            with self.open(row) as file:
                return _hash_of(file)
        except ImageError:
            return UNREADABLE


def _hash_of(file: BinaryIO) -> str:
    try:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except OSError as error:
        raise ImageError(error.strerror or type(error).__name__) from error


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
        """Return consecutive rows, or those of these numbers in their order, shape (rows, dimensions)."""
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
    normalize: bool = False
    """Whether vectors are to be scaled to unit length after they are read; ``blocks`` does not do it."""
    drop_zeros: bool = False
    """Whether vectors that are all zeros were left out, and are to be left out of its queries."""
    labels: Annotations = None
    captions: Annotations = None
    groups: Annotations = None
    duplicate_of: Annotations = None
    """The id of the first row whose image had the same bytes, where that is another one."""
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
            duplicate_of=_pick(self.duplicate_of, chosen),
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
        """Return where ``row`` is stored: what :func:`~lookalike.datasets.usable.check_vectors` asks for."""
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

    def zero_rows(self, rows_per_block: int) -> npt.NDArray[np.int64]:
        """Return the rows of the set that are all zeros; reads all of them."""
        found = [np.empty(0, np.int64)]
        for start, block in self.blocks(rows_per_block):
            found.append(np.flatnonzero(~block.any(axis=1)) + start)
        return np.concatenate(found)

    def _gather(self, start: int, stop: int) -> np.ndarray:
        arrays, rows = self.stored_rows(start, stop)
        block = np.empty((stop - start, self.dim), dtype=np.float32)
        for array in np.unique(arrays):
            here = arrays == array
            stored = self.arrays[array][_as_slice(rows[here])]
            with np.errstate(over="ignore"):
                block[here] = stored
            if stored.dtype.itemsize > block.itemsize:
                self._check_converted(stored, block[here], start + np.flatnonzero(here))
            release_pages(self.arrays[array])
        return block

    def _check_converted(self, stored: np.ndarray, block: np.ndarray, rows: npt.NDArray[np.int64]) -> None:
        """Raise DatasetError for the first vector that has become infinite, or zero, as float32."""
        lost = (np.isfinite(stored) & ~np.isfinite(block)).any(axis=1) | (stored.any(1) & ~block.any(1))
        if lost.any():
            first = int(np.flatnonzero(lost)[0])
            largest = float(np.abs(stored[first]).max())
            raise DatasetError(
                f"the vector at {self.location(int(rows[first]))} holds {largest:.3g}, which float32 cannot "
                f"hold; multiply all vectors by {round_factor(1 / largest)} and write them again"
            )


def _as_slice(rows: npt.NDArray[np.int64]) -> slice | npt.NDArray[np.int64]:
    """The same rows; as a slice where they are consecutive, which every file reads quicker."""
    first, last = int(rows[0]), int(rows[-1])
    consecutive = last - first + 1 == len(rows) and bool((np.diff(rows) == 1).all())
    return slice(first, last + 1) if consecutive else rows


class _RowTexts(LazyTexts):
    """A text for each row, made on demand: a million rows should not cost a million strings."""

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
