"""Texts that are made when they are asked for: a million rows should not cost a million strings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

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
