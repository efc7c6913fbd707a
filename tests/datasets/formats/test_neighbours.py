"""Ready neighbours in every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lookalike.datasets.formats.neighbours import open_neighbours
from lookalike.errors import DatasetError
from tests.datasets.vector_worlds import (
    random_vectors,
    write_bin,
    write_hdf5,
    write_vecs,
)


def test_neighbours_come_in_every_format(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 50, (8, 4)).astype(np.int32)
    distances = np.random.default_rng(0).random((8, 4), np.float32)
    np.save(tmp_path / "n.npy", rows)
    write_vecs(tmp_path / "n.ivecs", rows)
    write_bin(tmp_path / "n.ibin", rows)
    write_bin(tmp_path / "n.bin", rows)
    with (tmp_path / "n.bin").open("ab") as file:
        distances.tofile(file)
    write_hdf5(tmp_path / "n.hdf5", random_vectors(), neighbors=rows, distances=distances)
    for name in ("n.npy", "n.ivecs", "n.ibin", "n.bin", "n.hdf5"):
        assert open_neighbours(tmp_path / name).rows.tolist() == rows.tolist(), name
    given = open_neighbours(tmp_path / "n.hdf5")
    assert given.distances is not None
    assert given.distances.tolist() == distances.tolist()


@pytest.mark.parametrize("name", ["n.npy", "n.ivecs", "n.ibin", "n.bin", "n.hdf5", "n.txt"])
def test_neighbours_of_garbage_are_one_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        open_neighbours(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x07" * 1_001)
    with pytest.raises(DatasetError):
        open_neighbours(tmp_path / name)


def test_an_hdf5_without_neighbours_is_an_error(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "n.hdf5", random_vectors())
    with pytest.raises(DatasetError, match="has no dataset neighbors"):
        open_neighbours(tmp_path / "n.hdf5")
    write_hdf5(tmp_path / "m.hdf5", random_vectors(), neighbors=np.zeros((3, 2), "f4"))
    with pytest.raises(DatasetError, match=r"neighbors of .* holds float32"):
        open_neighbours(tmp_path / "m.hdf5")
    write_hdf5(
        tmp_path / "o.hdf5",
        random_vectors(),
        neighbors=np.zeros((3, 2), "i4"),
        distances=np.zeros((3, 3), "f4"),
    )
    with pytest.raises(DatasetError, match=r"distances of .* has shape \(3, 3\)"):
        open_neighbours(tmp_path / "o.hdf5")
