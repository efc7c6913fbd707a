"""What every format of vectors owes: the same rows come out, in place where it can be, errors in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lookalike.datasets import source_of
from lookalike.datasets.formats.formats import format_of, open_vector_file
from lookalike.datasets.usable import check_vectors
from lookalike.errors import DatasetError
from lookalike.schemas import EmbeddingsDataset
from tests.datasets.vector_worlds import (
    WRITERS,
    opened,
    random_vectors,
    whole,
    write_bin,
    write_csv,
    write_vecs,
    written,
)

EVERY = pytest.mark.parametrize("kind", sorted(WRITERS))
IN_PLACE = ("npy", "npz", "fvecs", "fbin", "hdf5")


@EVERY
def test_rows_come_out_as_they_went_in(kind: str, tmp_path: Path) -> None:
    array = random_vectors()
    vectors = opened(written(kind, tmp_path, array))
    assert vectors.dim == 6
    assert whole(vectors).tolist() == array.tolist()
    assert len(set(vectors.ids)) == 50


@EVERY
def test_rows_come_in_any_order_and_again(kind: str, tmp_path: Path) -> None:
    array = random_vectors()
    rows = open_vector_file(written(kind, tmp_path, array)).rows
    for asked in ([49, 0, 7, 7, 8, 9, 3], [5], [], list(range(50))[::-1]):
        assert np.asarray(rows[np.array(asked, np.int64)]).tolist() == array[asked].tolist()
    for part in (slice(3, 9), slice(0, 50), slice(40, 99), slice(9, 3), slice(None)):
        assert np.asarray(rows[part]).tolist() == array[part].tolist()
    assert rows.shape == (50, 6)
    assert len(rows) == 50


@EVERY
def test_a_folder_of_shards_is_read_in_natural_order(kind: str, tmp_path: Path) -> None:
    name, write = WRITERS[kind]
    arrays = [random_vectors(6, seed=shard) for shard in range(11)]
    for shard, array in enumerate(arrays):
        path = tmp_path / f"part_{shard}{Path(name).suffix}"
        if kind == "csv":
            write_csv(path, array, [f"{shard}/{row}.jpg" for row in range(6)])
        else:
            write(path, array)
    vectors = opened(tmp_path)
    assert whole(vectors).tolist() == np.concatenate(arrays).tolist()
    assert len(set(vectors.ids)) == 66


@EVERY
def test_the_format_may_be_told_instead_of_guessed(kind: str, tmp_path: Path) -> None:
    array = random_vectors()
    path = written(kind, tmp_path, array)
    format_ = format_of(path)
    odd = path.rename(tmp_path / "vectors.dat")
    assert whole(opened(odd, format=format_)).tolist() == array.tolist()


@EVERY
def test_a_format_with_a_magic_needs_no_suffix(kind: str, tmp_path: Path) -> None:
    path = written(kind, tmp_path, random_vectors())
    format_ = format_of(path)
    odd = path.rename(tmp_path / "vectors")
    if kind in ("fvecs", "fbin"):
        with pytest.raises(DatasetError, match=r"no known format; set dataset.format"):
            format_of(odd)
    else:
        assert format_of(odd) == format_


@EVERY
def test_headers_tell_the_shape_beforehand(kind: str, tmp_path: Path) -> None:
    path = written(kind, tmp_path, random_vectors())
    assert source_of(EmbeddingsDataset(root=str(path))).shape() == (None if kind == "csv" else (50, 6))


@pytest.mark.parametrize("kind", IN_PLACE)
def test_plain_arrays_are_mapped_and_not_copied(kind: str, tmp_path: Path) -> None:
    rows = open_vector_file(written(kind, tmp_path, random_vectors())).rows
    assert isinstance(rows, np.memmap)


@EVERY
def test_garbage_of_any_suffix_is_one_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / WRITERS[kind][0]
    for content in (b"", b"\0", bytes(range(256)) * 40, b"\xff" * 4096, b"Image Path\n" * 9):
        path.write_bytes(content)
        with pytest.raises(DatasetError):
            open_vector_file(path)


@EVERY
def test_a_file_cut_short_is_found_when_opened_or_read(kind: str, tmp_path: Path) -> None:
    path = written(kind, tmp_path, random_vectors(400))
    content = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(content[: int(len(content) * share) | 1])
        with pytest.raises(DatasetError):
            rows = open_vector_file(path).rows
            assert len(rows) == 400, "a shorter file of the same format would be another file"
            rows[0 : len(rows)]


@pytest.mark.parametrize("kind", sorted({*WRITERS} - {"ivf index"}))  # inverted lists take no NaN in
def test_what_nothing_can_rank_is_an_error(kind: str, tmp_path: Path) -> None:
    array = random_vectors()
    array[33, 2] = np.nan
    vectors = opened(written(kind, tmp_path, array))
    with pytest.raises(DatasetError, match=r"row 33 |line 35 "):
        for start, block in vectors.blocks(20):
            check_vectors(block, start, vectors.location)


@EVERY
def test_a_missing_file_and_a_folder_are_errors(kind: str, tmp_path: Path) -> None:
    path = tmp_path / WRITERS[kind][0]
    with pytest.raises(DatasetError, match="does not exist"):
        open_vector_file(path)
    path.mkdir()
    with pytest.raises(DatasetError):
        open_vector_file(path)


def test_a_folder_of_several_formats_has_to_be_told_apart(tmp_path: Path) -> None:
    write_vecs(tmp_path / "v.fvecs", random_vectors())
    write_bin(tmp_path / "v.fbin", random_vectors(7))
    with pytest.raises(DatasetError, match=r"several formats \(fvecs, fbin\); set dataset.format"):
        opened(tmp_path)
    assert len(opened(tmp_path, format="fbin")) == 7
    with pytest.raises(DatasetError, match="holds no file of format npz"):
        opened(tmp_path, format="npz")


def test_a_file_that_changed_is_opened_anew(tmp_path: Path) -> None:
    write_csv(tmp_path / "v.csv", random_vectors(3))
    assert len(opened(tmp_path / "v.csv")) == 3
    write_csv(tmp_path / "v.csv", random_vectors(5))
    assert len(opened(tmp_path / "v.csv")) == 5
