"""Ids of rows: of files with any name; of vectors, made on demand; looked up by name, and sampled."""

from __future__ import annotations

import heapq
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, overload

import numpy as np
import numpy.typing as npt

RAW = "./"
"""How the id of a file begins whose name is not UTF-8; no path below a folder begins so."""


def id_of(path: str | bytes) -> str:
    """Return the id of a file: its path below the root, as parquet and JSON can hold it.

    Bytes that are not UTF-8 are spelled out, ``./caf\\xe9.jpg``, backslashes of such a name doubled: another
    file that is really called so has another id.
    """
    raw = os.fsencode(path)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return RAW + raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def printable(path: str) -> str:
    """Return ``path`` for people to read: bytes that are not UTF-8 are spelled out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Names:
    """Finds ids by what tables call them.

    A name is an id as it stands; else the only one that differs from it in Unicode's composition (é as one
    character or as e and an accent: systems write either), or in how bytes that are not UTF-8 are spelled.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = frozenset(ids)
        self._others: dict[str, str | None] = {}
        for id_ in self._ids:
            if not id_.isascii() or id_.startswith(RAW):
                other = _composed(id_)
                self._others[other] = None if other in self._others else id_

    def find(self, name: str) -> str | None:
        """Return the id that is called ``name``; None when there is none, or more than one may be meant."""
        return name if name in self._ids else self._others.get(_composed(name))


def _composed(name: str) -> str:
    plain = name.removeprefix(RAW)
    return plain if plain.isascii() else unicodedata.normalize("NFC", plain)


AT_A_TIME = 65_536
"""Row numbers that are Python objects at a time while texts are made of all."""


class LazyTexts(Sequence[str]):
    """``n`` texts, the one of a row being ``make(row)``, which must always give the same."""

    def __init__(self, n: int, make: Callable[[int], str]) -> None:
        self._n, self._make = n, make

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[str]:
        return map(self._make, range(self._n))

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._make(row) for row in range(self._n)[index]]
        return self._make(range(self._n)[index])


class RowNumbers(Sequence[str]):
    """``str(row)`` of each row: the ids of vectors that have no others. Equal to a list of the same texts.

    ``rows``: int64 row numbers, or how many there are from 0 on, which take no memory at all.
    """

    def __init__(self, rows: int | range | npt.NDArray[np.int64]) -> None:
        self._rows: Any = range(rows) if isinstance(rows, int) else rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> RowNumbers: ...
    def __getitem__(self, index: int | slice) -> str | RowNumbers:
        return RowNumbers(self._rows[index]) if isinstance(index, slice) else str(self._rows[index])

    def __iter__(self) -> Iterator[str]:
        if isinstance(self._rows, range):
            yield from map(str, self._rows)
            return
        for start in range(0, len(self), AT_A_TIME):
            yield from map(str, self._rows[start : start + AT_A_TIME].tolist())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RowNumbers):
            return len(self) == len(other) and np.array_equal(self._rows, other._rows)
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> RowNumbers:
        """Return the numbers that stand at ``rows``; IndexError when one of these is none of 0 … len − 1."""
        places = np.asarray(rows, np.int64)
        if len(places) and not 0 <= places.min() <= places.max() < len(self):
            raise IndexError(f"rows {places.min()} to {places.max()} are not all among {len(self)}")
        if isinstance(self._rows, range):
            return RowNumbers(self._rows.start + self._rows.step * places)
        return RowNumbers(self._rows[places])


def nested_sample(ids: Sequence[str], n: int | None, seed: int, purpose: str) -> list[int]:
    """Return the rows of ``n`` of the ``ids``, ascending; all when ``n`` is None or not below ``len(ids)``.

    Each id is ranked by a hash of (purpose, seed, id) and the first ``n`` are kept: a larger ``n`` contains
    the smaller one's sample, and one more id in the dataset displaces at most one. ``purpose`` keeps samples
    of one seed apart (the gallery's ``limit`` and the queries' ``n``). ``n`` below 1: no rows.
    """
    if n is None or n >= len(ids):
        return list(range(len(ids)))
    key = blake2b(f"{purpose} {seed}".encode()).digest()[:16]
    ranks = (blake2b(id_.encode(), digest_size=8, key=key).digest() for id_ in ids)
    return sorted(row for _, row in heapq.nsmallest(max(n, 0), zip(ranks, range(len(ids)), strict=True)))
