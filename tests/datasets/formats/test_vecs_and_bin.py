"""TEXMEX's and big-ann's layouts: bytes become floats, lies are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lookalike.errors import DatasetError
from tests.datasets.vector_worlds import (
    opened,
    random_vectors,
    whole,
    write_bin,
    write_vecs,
)


@pytest.mark.parametrize(("suffix", "write"), [(".bvecs", write_vecs), (".u8bin", write_bin)])
def test_bytes_become_floats(suffix: str, write: object, tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (9, 5), dtype=np.uint8)
    write(tmp_path / f"v{suffix}", array)  # type: ignore[operator]
    vectors = opened(tmp_path / f"v{suffix}")
    assert vectors.arrays[0].dtype == np.uint8
    assert whole(vectors).tolist() == array.astype(np.float32).tolist()


def test_every_row_of_a_vecs_file_has_to_have_the_first_one_s_length(tmp_path: Path) -> None:
    write_vecs(tmp_path / "v.fvecs", random_vectors())
    with (tmp_path / "v.fvecs").open("r+b") as file:
        file.seek(28 * 17)
        file.write(np.array([7], "<i4").tobytes())
    with pytest.raises(DatasetError, match=r"row 17 .* says 7 dimensions, and the first row 6"):
        opened(tmp_path / "v.fvecs")


@pytest.mark.parametrize("dim", [0, -1, 2**31 - 1])
def test_a_vecs_file_that_lies_is_refused_before_anything_is_allocated(dim: int, tmp_path: Path) -> None:
    (tmp_path / "v.fvecs").write_bytes(np.array([dim, 1, 2, 3], "<i4").tobytes())
    with pytest.raises(DatasetError, match="which cannot be"):
        opened(tmp_path / "v.fvecs")


@pytest.mark.parametrize(
    ("rows", "dim"), [(0, 4), (4, 0), (-1, 4), (2, -1), (2**31, 2**19), (3, 4), (1, 2**31 - 1)]
)
@pytest.mark.parametrize("suffix", [".fbin", ".u8bin"])
def test_a_bin_file_that_lies_is_refused_before_anything_is_allocated(
    suffix: str, rows: int, dim: int, tmp_path: Path
) -> None:
    header = np.array([rows, dim], np.int64).astype(np.uint32)
    (tmp_path / f"v{suffix}").write_bytes(header.tobytes() + bytes(2 * 4 * (4 if suffix == ".fbin" else 1)))
    with pytest.raises(DatasetError, match="announces"):
        opened(tmp_path / f"v{suffix}")
