"""Sets of vectors: any kind of rows behind them, numbers as ids, files that can be searched in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lookalike.datasets.ids import RowNumbers
from lookalike.datasets.sets import VectorSet
from lookalike.datasets.usable import check_vectors
from lookalike.machine.mapping import map_floats, place_of, release_pages

RANDOM = np.random.default_rng(0)


def saved(path: Path, rows: int, dtype: str = "float32", order: str = "C") -> np.memmap[Any, Any]:
    """A mapped ``.npy``."""
    array = RANDOM.standard_normal((rows, 3)).astype(dtype)
    np.save(path, np.asfortranarray(array) if order == "F" else array)
    mapped: np.memmap[Any, Any] = np.load(path, mmap_mode="r")
    return mapped


def set_of(*arrays: Any) -> VectorSet:
    count = sum(len(array) for array in arrays)
    names = [f"{number}.npy" for number in range(len(arrays))]
    return VectorSet(RowNumbers(count), arrays, names, names)


class Made:
    """Rows that are not numpy array, and what was asked of them."""

    shape, dtype = (10, 3), np.dtype(np.float32)

    def __init__(self) -> None:
        self.asked: list[slice | npt.NDArray[np.int64]] = []

    def __len__(self) -> int:
        return 10

    def __getitem__(self, rows: slice | npt.NDArray[np.int64], /) -> npt.NDArray[np.float32]:
        self.asked.append(rows)
        return np.arange(30, dtype=np.float32).reshape(10, 3)[rows]


def test_rows_of_any_kind_are_read_in_slices_where_they_are_consecutive() -> None:
    made = Made()
    vectors = set_of(made)
    assert [(start, block[0, 0]) for start, block in vectors.blocks(4)] == [(0, 0), (4, 12), (8, 24)]
    assert made.asked == [slice(0, 4), slice(4, 8), slice(8, 10)]
    [(_, block)] = vectors.take([7, 2, 3]).blocks(4)
    assert block[:, 0].tolist() == [21, 6, 9]
    assert vectors.mapped_parts() is None


# --- what can be searched where it lies --------------------------------------------------------------------


def parts_of(vectors: VectorSet) -> list[np.ndarray]:
    parts = vectors.mapped_parts()
    assert parts is not None
    return [np.asarray(part) for part in parts]


def test_whole_files_are_mapped_parts(tmp_path: Path) -> None:
    first, second = saved(tmp_path / "a.npy", 4), saved(tmp_path / "b.npy", 2)
    parts = parts_of(set_of(first, second))
    assert [len(part) for part in parts] == [4, 2]
    np.testing.assert_array_equal(np.concatenate(parts), np.concatenate([first, second]))


def test_so_are_consecutive_rows_across_files(tmp_path: Path) -> None:
    first, second = saved(tmp_path / "a.npy", 4), saved(tmp_path / "b.npy", 3)
    parts = parts_of(set_of(first, second).take(range(2, 6)))
    np.testing.assert_array_equal(parts[0], first[2:])
    np.testing.assert_array_equal(parts[1], second[:2])


@pytest.mark.parametrize("rows", [[0, 2], [1, 0], [2, 2], [0, 1, 3, 4], []], ids=str)
def test_gaps_and_other_orders_are_not(tmp_path: Path, rows: list[int]) -> None:
    assert set_of(saved(tmp_path / "a.npy", 5)).take(rows).mapped_parts() is None


@pytest.mark.parametrize(
    ("dtype", "order"), [("float16", "C"), ("float64", "C"), (">f4", "C"), ("float32", "F")]
)
def test_other_types_and_layouts_are_not(tmp_path: Path, dtype: str, order: str) -> None:
    assert set_of(saved(tmp_path / "a.npy", 5, dtype, order)).mapped_parts() is None


def test_neither_is_what_lies_in_memory_or_may_differ_from_its_file(tmp_path: Path) -> None:
    saved(tmp_path / "a.npy", 5)
    assert set_of(np.ones((5, 3), np.float32)).mapped_parts() is None
    assert set_of(np.load(tmp_path / "a.npy", mmap_mode="c")).mapped_parts() is None
    assert set_of(saved(tmp_path / "b.npy", 5), np.ones((5, 3), np.float32)).mapped_parts() is None


@pytest.mark.parametrize("header", [0, 8, 128, 4096, 70_000])
def test_a_place_leads_back_to_the_rows(tmp_path: Path, header: int) -> None:
    array = RANDOM.standard_normal((9000, 3)).astype(np.float32)
    (tmp_path / "v.fbin").write_bytes(bytes(header) + array.tobytes())
    mapped = np.memmap(tmp_path / "v.fbin", np.float32, "r", header, array.shape)
    for start in (0, 1, 8000):
        place = place_of(mapped[start:])
        assert place is not None
        assert place.offset == header + 12 * start
        np.testing.assert_array_equal(map_floats(place, (10, 3)), array[start : start + 10])


def test_forgotten_pages_come_back_and_what_was_written_stays(tmp_path: Path) -> None:
    written = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype=np.float32, shape=(5, 3))
    written[:] = 7
    release_pages(written)
    assert (written == 7).all()
    private = np.load(tmp_path / "a.npy", mmap_mode="c")
    private[:] = 8
    release_pages(private)
    assert (private == 8).all(), "copied pages have nowhere to come back from"


# --- ids ---------------------------------------------------------------------------------------------------


def test_row_numbers_are_texts_made_when_asked_for() -> None:
    numbers = RowNumbers(100_000)
    assert (len(numbers), numbers[0], numbers[-1]) == (100_000, "0", "99999")
    assert list(numbers) == [str(row) for row in range(100_000)]
    assert list(numbers[5:8]) == ["5", "6", "7"]
    assert list(numbers.take([9, 4]).take(np.array([1]))) == ["4"]
    with pytest.raises(IndexError):
        numbers[100_000]


def test_row_numbers_equal_the_same_texts() -> None:
    assert RowNumbers(3) == ["0", "1", "2"]
    assert RowNumbers(3) == RowNumbers(np.array([0, 1, 2]))
    assert RowNumbers(3) != ["0", "1", "3"]
    assert RowNumbers(3) != RowNumbers(4)
    assert RowNumbers(3) != 3


def test_checked_vectors_give_their_squared_lengths() -> None:
    lengths = check_vectors(np.array([[3, 4], [0, 2]], np.float32), 0, str)
    assert (lengths.tolist(), lengths.dtype) == ([25, 4], np.float64)
