"""Ready vectors: layouts, ids, selections, blocks, and everything that can be wrong with them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from lookalike.datasets import open_dataset
from lookalike.datasets.sets import VectorSet
from lookalike.datasets.usable import check_vectors
from lookalike.errors import DatasetError
from lookalike.schemas import EmbeddingsDataset
from tests.datasets.vector_worlds import write_bin, write_csv, write_hdf5, write_npz, write_vecs

RANDOM = np.random.default_rng(0)


def opened(root: Path | None, **options: object) -> VectorSet:
    vectors = open_dataset(EmbeddingsDataset(root=None if root is None else str(root), **options))  # type: ignore[arg-type]
    assert isinstance(vectors, VectorSet)
    return vectors


def write(path: Path, rows: int, dim: int = 4, dtype: str = "float32") -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = RANDOM.normal(size=(rows, dim)).astype(dtype)
    np.save(path, array)
    return array


def write_table(path: Path, **columns: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path)


def whole(vectors: VectorSet, rows_per_block: int = 3) -> np.ndarray:
    return np.concatenate([block for _, block in vectors.blocks(rows_per_block)])


@pytest.fixture
def shards(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """Eleven shards of two vectors in clip-retrieval's layout, whose names sort wrongly as text."""
    arrays = []
    for shard in range(11):
        arrays.append(write(tmp_path / f"img_emb/img_emb_{shard}.npy", 2, dtype="float16"))
        keys = [f"{shard:05}{row:04}" for row in range(2)]
        write_table(
            tmp_path / f"metadata/metadata_{shard}.parquet", key=keys, caption=[f"text {key}" for key in keys]
        )
    write(tmp_path / "text_emb/text_emb_0.npy", 5)
    return tmp_path, np.concatenate(arrays).astype(np.float32)


# --- layouts -----------------------------------------------------------------------------------------------


def test_one_file_needs_no_ids(tmp_path: Path) -> None:
    array = write(tmp_path / "vectors.npy", 5)
    vectors = opened(tmp_path / "vectors.npy")
    assert vectors.ids == ["0", "1", "2", "3", "4"]
    assert vectors.dim == 4
    assert whole(vectors).tolist() == array.tolist()


def test_one_file_takes_the_parquet_of_its_name(tmp_path: Path) -> None:
    write(tmp_path / "a.npy", 2)
    write_table(tmp_path / "a.parquet", image_path=["x.jpg", "y.jpg"], kind=["cat", None])
    write_table(tmp_path / "b.parquet", id=["p"])
    vectors = opened(tmp_path / "a.npy", label_column="kind")
    assert vectors.ids == ["x.jpg", "y.jpg"]
    assert vectors.labels == ["cat", None]


@pytest.mark.parametrize("inner", ["", "img_emb"])
def test_clip_retrieval_s_folders_are_read_in_the_order_of_their_numbers(
    shards: tuple[Path, np.ndarray], inner: str
) -> None:
    root, array = shards
    vectors = opened(root / inner, caption_column="caption")
    assert whole(vectors).tolist() == array.tolist()
    assert vectors.ids[:3] == ["000000000", "000000001", "000010000"]
    assert vectors.ids[-1] == "000100001"
    assert vectors.captions is not None
    assert vectors.captions[-1] == "text 000100001"


def test_the_only_subfolder_with_vectors_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "features/f.npy", 2)
    write_table(tmp_path / "features/ids.parquet", id=["a", "b"])
    assert opened(tmp_path).ids == ["a", "b"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_blocks_are_float32_whatever_is_stored(tmp_path: Path, dtype: str) -> None:
    array = write(tmp_path / "v.npy", 7, dtype=dtype)
    blocks = list(opened(tmp_path / "v.npy").blocks(3))
    assert [(start, len(block)) for start, block in blocks] == [(0, 3), (3, 3), (6, 1)]
    assert {block.dtype.str for _, block in blocks} == {np.dtype(np.float32).str}
    assert np.concatenate([block for _, block in blocks]).tolist() == array.astype(np.float32).tolist()


def test_fortran_order_is_read_as_rows(tmp_path: Path) -> None:
    array = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    np.save(tmp_path / "v.npy", array)
    assert whole(opened(tmp_path / "v.npy")).tolist() == [[0, 1, 2], [3, 4, 5]]


# --- selections --------------------------------------------------------------------------------------------


def test_take_selects_in_any_order_across_shards_and_again(shards: tuple[Path, np.ndarray]) -> None:
    root, array = shards
    vectors = opened(root)
    rows = [21, 0, 7, 7, 3]
    chosen = vectors.take(rows)
    assert whole(chosen, 2).tolist() == array[rows].tolist()
    again = chosen.take([4, 0])
    assert whole(again).tolist() == array[[3, 21]].tolist()
    assert again.ids == [vectors.ids[3], vectors.ids[21]]
    assert list(again.fingerprints) == [vectors.fingerprints[3], vectors.fingerprints[21]]
    assert again.location(0).endswith("img_emb_1.npy, row 1")


def test_take_reads_nothing(shards: tuple[Path, np.ndarray]) -> None:
    vectors = opened(shards[0])
    assert all(a is b for a, b in zip(vectors.take([1]).arrays, vectors.arrays, strict=True))
    assert all(isinstance(array, np.memmap) for array in vectors.arrays)
    assert whole(vectors.take([5])).shape == (1, 4)


def test_limits_are_nested(shards: tuple[Path, np.ndarray]) -> None:
    small, large = (opened(shards[0], limit=limit) for limit in (4, 9))
    assert len(small) == 4
    assert set(small.ids) < set(large.ids)
    assert set(small.fingerprints) < set(large.fingerprints)


def test_fingerprints_tell_rows_and_changed_files_apart(shards: tuple[Path, np.ndarray]) -> None:
    root, _ = shards
    before = list(opened(root).fingerprints)
    assert len(set(before)) == 22
    os.utime(root / "img_emb/img_emb_10.npy", ns=(1, 1))
    after = opened(root).fingerprints
    assert after[:20] == before[:20]
    assert after[20] != before[20]
    assert after[-1] == list(after)[-1] != before[-1]


# --- faults ------------------------------------------------------------------------------------------------


def test_a_missing_root_is_an_error(tmp_path: Path) -> None:
    for root, reason in (
        (None, "dataset.root is not set"),
        (tmp_path / "gone", "does not exist"),
        (tmp_path, "holds no .npy file"),
    ):
        with pytest.raises(DatasetError, match=reason):
            opened(root)


def test_several_folders_of_vectors_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a/v.npy", 1)
    write(tmp_path / "b/v.npy", 1)
    with pytest.raises(DatasetError, match=r"several folders \(a, b\)"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(4, np.float32), r"float32 of shape \(4,\)"),
        (np.zeros((2, 2, 2), np.float32), r"shape \(2, 2, 2\)"),
        (np.zeros((2, 2), np.int64), "int64"),
        (np.zeros((2, 2), np.complex64), "complex64"),
        (np.array([[{"a": 1}]], dtype=object), "Python objects, which are never unpickled; stack them"),
        (np.zeros((0, 4), np.float32), r"is empty, of shape \(0, 4\)"),
        (np.zeros((4, 0), np.float32), r"is empty, of shape \(4, 0\)"),
    ],
)
def test_an_array_that_is_not_of_vectors_is_an_error(tmp_path: Path, array: np.ndarray, reason: str) -> None:
    np.save(tmp_path / "v.npy", array, allow_pickle=True)
    with pytest.raises(DatasetError, match=reason):
        opened(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no array", b"PK\x03\x04 broken archive"])
def test_a_file_that_is_no_array_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.npy").write_bytes(content)
    with pytest.raises(DatasetError, match="not a readable"):
        opened(tmp_path)


def test_a_truncated_array_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "v.npy", 100)
    with (tmp_path / "v.npy").open("r+b") as file:
        file.truncate(500)
    with pytest.raises(DatasetError, match="1,728 bytes, but has 500; it is cut short"):
        opened(tmp_path)


def test_shards_of_different_dimensions_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "v_0.npy", 2, 4)
    write(tmp_path / "v_1.npy", 2, 5)
    with pytest.raises(DatasetError, match=r"v_1.npy has 5 dimensions, but v_0.npy has 4"):
        opened(tmp_path)


def test_tables_that_do_not_fit_the_vectors_are_errors(tmp_path: Path) -> None:
    write(tmp_path / "v_0.npy", 2)
    write(tmp_path / "v_1.npy", 2)
    write_table(tmp_path / "v_0.parquet", id=["a", "b"])
    with pytest.raises(DatasetError, match=r"2 .npy files, but .* has 1 .parquet"):
        opened(tmp_path)
    write_table(tmp_path / "v_2.parquet", id=["c", "d"])
    with pytest.raises(DatasetError, match=r"v_1.npy and v_2.parquet are of different shards"):
        opened(tmp_path)
    (tmp_path / "v_2.parquet").unlink()
    write_table(tmp_path / "v_1.parquet", id=["c", "d", "e"])
    with pytest.raises(DatasetError, match=r"v_1.parquet has 3 rows, but .*v_1.npy has 2"):
        opened(tmp_path)
    write_table(tmp_path / "v_1.parquet", id=["c", "a"])
    with pytest.raises(DatasetError, match="the id a stands at 2 vectors"):
        opened(tmp_path)
    write_table(tmp_path / "v_1.parquet", id=["c", None])
    with pytest.raises(DatasetError, match="1 of 4 vectors have no id"):
        opened(tmp_path)
    with pytest.raises(DatasetError, match="has no column sku; it has id"):
        opened(tmp_path, id_column="sku")


def test_a_column_without_a_table_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "v.npy", 2)
    with pytest.raises(DatasetError, match=r"no parquet .* to read the column kind from"):
        opened(tmp_path, label_column="kind")


@pytest.mark.parametrize(
    ("value", "what"), [(0.0, "is all zeros"), (np.nan, "NaN or infinity"), (np.inf, "NaN or infinity")]
)
def test_a_vector_that_nothing_can_rank_is_named_with_its_file_and_row(
    tmp_path: Path, value: float, what: str
) -> None:
    write(tmp_path / "v_0.npy", 3)
    array = RANDOM.normal(size=(5, 4)).astype(np.float32)
    array[2] = value
    np.save(tmp_path / "v_1.npy", array)
    vectors = opened(tmp_path)
    (start, block) = list(vectors.blocks(4))[1]
    with pytest.raises(DatasetError, match=rf"v_1.npy, row 2 .*{what}"):
        check_vectors(block, start, vectors.location)


def test_one_odd_value_is_enough_and_tiny_or_huge_vectors_are_sound() -> None:
    block = np.ones((4, 3), np.float32)
    block[1], block[2] = 1e-30, 1e30
    check_vectors(block, 0, str)
    block[3, 2] = np.nan
    with pytest.raises(DatasetError, match="at 13 holds NaN"):
        check_vectors(block, 10, str)
    block[0] = 0
    with pytest.raises(DatasetError, match=r"at 10 is all zeros \(and 1 more in the same block\)"):
        check_vectors(block, 10, str)


@pytest.mark.parametrize(("value", "cure"), [(1e300, "1e-300"), (-1e39, "1e-39"), (1e-60, "1e60")])
def test_a_float64_that_float32_cannot_hold_is_named_and_no_zero_nor_infinity(
    value: float, cure: str, tmp_path: Path
) -> None:
    array = RANDOM.normal(size=(9, 2))
    array[7] = value, 0
    np.save(tmp_path / "v.npy", array)
    vectors = opened(tmp_path)
    with pytest.raises(DatasetError, match=rf"row 7 holds .* float32 cannot hold; multiply .* by {cure} "):
        list(vectors.blocks(4))


@pytest.mark.parametrize(
    ("scale", "fault"),
    [
        (1e19, r"row \d is .* long, and float32 cannot hold its square.*; divide all vectors by 1e19"),
        (1e-18, r"the vectors from .*row 0 on are at most .* cannot tell .* apart; multiply all .* by 1e18"),
    ],
)
def test_a_scale_whose_squares_float32_cannot_hold_is_refused_unless_directions_are_compared(
    scale: float, fault: str, tmp_path: Path
) -> None:
    rows = RANDOM.normal(size=(5, 4)).astype(np.float32)
    np.save(tmp_path / "v.npy", rows / np.linalg.norm(rows, axis=1, keepdims=True) * scale)
    vectors = opened(tmp_path, normalize=False)
    [(start, block)] = vectors.blocks(10)
    with pytest.raises(DatasetError, match=fault):
        check_vectors(block, start, vectors.location, of_directions=False)
    check_vectors(block, start, vectors.location, of_directions=True)
    for sound in (1e18, 1e-14):
        check_vectors(block * np.float32(sound / scale), start, vectors.location, of_directions=False)


def test_a_vector_too_short_for_its_digits_has_no_direction() -> None:
    with pytest.raises(DatasetError, match=r"cannot hold all its digits; multiply all vectors by 1e40"):
        check_vectors(np.full((1, 1), 1e-40, np.float32), 0, str)


def test_zero_vectors_are_left_out_and_counted_on_request(tmp_path: Path) -> None:
    rows = RANDOM.normal(size=(2, 6, 4)).astype(np.float32)
    rows[0, 2] = rows[1, 0] = rows[1, 5] = 0
    for shard in (0, 1):
        np.save(tmp_path / f"v_{shard}.npy", rows[shard])
    vectors = opened(tmp_path, drop_zeros=True)
    assert list(vectors.ids) == [str(row) for row in range(12) if row not in (2, 6, 11)]
    [notice] = vectors.notices
    assert notice.startswith("3 of 12 vectors are all zeros and were left out (dataset.drop_zeros), that at ")
    assert "v_0.npy, row 2 for one" in notice
    assert len(opened(tmp_path, drop_zeros=True, limit=9)) == 9
    whole = np.concatenate([block for _, block in vectors.blocks(4)])
    assert whole.tolist() == [row for row in rows.reshape(12, 4).tolist() if any(row)]
    assert opened(tmp_path).notices == ()
    np.save(tmp_path / "v_0.npy", rows[0] * 0)
    (tmp_path / "v_1.npy").unlink()
    with pytest.raises(DatasetError, match=r"all 6 vectors of .* are zeros"):
        opened(tmp_path, drop_zeros=True)


def test_a_zero_vector_has_a_distance_where_directions_are_not_compared() -> None:
    check_vectors(np.array([[0, 0], [1, 0]], np.float32), 0, str, of_directions=False)


@pytest.mark.parametrize(
    ("suffix", "nothing"),
    [
        (".npy", None),
        (".fvecs", b""),
        (".fbin", bytes([0, 0, 0, 0, 4, 0, 0, 0])),
        (".csv", b"Image Path,Features\n"),
    ],
)
def test_an_empty_shard_among_good_ones_is_passed_over_and_named(
    suffix: str, nothing: bytes | None, tmp_path: Path
) -> None:
    rows = RANDOM.normal(size=(3, 4)).astype(np.float32)
    writers = {".npy": np.save, ".fvecs": write_vecs, ".fbin": write_bin, ".csv": write_csv}
    for shard in (0, 2):
        writers[suffix](tmp_path / f"v_{shard}{suffix}", rows + np.float32(shard))  # type: ignore[operator]
    empty = tmp_path / f"v_1{suffix}"
    if nothing is None:
        np.save(empty, np.empty((0, 4), np.float32))
    else:
        empty.write_bytes(nothing)
    if suffix == ".csv":  # whose ids are its paths
        (tmp_path / "v_2.csv").write_text((tmp_path / "v_2.csv").read_text().replace("folder/", "other/"))
    vectors = opened(tmp_path)
    assert len(vectors) == 6
    assert vectors.notices == (f"1 files hold no vector and were passed over, v_1{suffix} for one",)
    with pytest.raises(DatasetError, match=r"empty|no rows"):
        opened(empty)


def test_the_table_of_an_empty_shard_is_passed_over_with_it(tmp_path: Path) -> None:
    for shard, count in enumerate((2, 0, 1)):
        np.save(tmp_path / f"v_{shard}.npy", np.ones((count, 4), np.float32))
        table = pyarrow.table(
            {"id": pyarrow.array([f"{shard}-{row}" for row in range(count)], pyarrow.string())}
        )
        parquet.write_table(table, tmp_path / f"v_{shard}.parquet")
    assert list(opened(tmp_path).ids) == ["0-0", "0-1", "2-0"]
    parquet.write_table(pyarrow.table({"id": ["lost"]}), tmp_path / "v_1.parquet")
    with pytest.raises(DatasetError, match=r"v_1.parquet has 1 rows, but .*v_1.npy holds no vector"):
        opened(tmp_path)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".hdf5", ".i8bin"])
def test_bytes_with_a_sign_are_vectors(suffix: str, tmp_path: Path) -> None:
    rows = np.arange(-12, 12).reshape(6, 4).astype(np.int8)
    write = {".npy": np.save, ".npz": write_npz, ".hdf5": write_hdf5, ".i8bin": write_bin}[suffix]
    write(tmp_path / f"v{suffix}", rows)  # type: ignore[operator]
    [(_, block)] = opened(tmp_path / f"v{suffix}").blocks(10)
    assert block.tolist() == rows.tolist()


@pytest.mark.parametrize(
    ("array", "cure"),
    [
        (np.ones((3, 4), np.int64), r"int64 .*astype\('float32'\)"),
        (np.ones((3, 4), bool), r"bool .*astype\('float32'\)"),
        (np.ones((3, 4), np.longdouble), r"float128 .*astype\('float32'\)"),
        (np.array([np.ones(4), np.ones(4), None], dtype=object)[:2], r"numpy.stack\(list\(array\)\)"),
    ],
    ids=["int64", "bool", "longdouble", "object"],
)
def test_an_array_of_another_type_is_refused_with_the_line_that_mends_it(
    array: np.ndarray, cure: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "v.npy", array, allow_pickle=True)
    with pytest.raises(DatasetError, match=cure):
        opened(tmp_path)
