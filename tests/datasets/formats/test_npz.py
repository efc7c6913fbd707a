"""Archives of arrays: ids, names, packed ones, and lies."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from lookalike.datasets.formats.formats import open_vector_file
from lookalike.datasets.formats.npz import CompressedRows
from lookalike.errors import DatasetError
from tests.datasets.vector_worlds import (
    opened,
    random_vectors,
    whole,
    write_npz,
    write_packed_npz,
)


def test_ids_of_an_archive_are_read(tmp_path: Path) -> None:
    array, ids = random_vectors(3), ["a.jpg", "ß.jpg", "c"]
    np.savez_compressed(tmp_path / "v.npz", features=array, ids=np.array(ids))
    assert opened(tmp_path / "v.npz").ids == ids
    np.savez(tmp_path / "w.npz", features=array, ids=np.array([7, 8, 9]))
    assert opened(tmp_path / "w.npz").ids == ["7", "8", "9"]


def test_one_of_several_arrays_has_to_be_named(tmp_path: Path) -> None:
    one, other = random_vectors(), random_vectors(seed=1)
    np.savez(tmp_path / "v.npz", one=one, other=other)
    with pytest.raises(DatasetError, match=r"2 arrays of vectors \(one, other\); set dataset.array"):
        opened(tmp_path / "v.npz")
    assert whole(opened(tmp_path / "v.npz", array="other")).tolist() == other.tolist()
    with pytest.raises(DatasetError, match="has no array third; it has one, other"):
        opened(tmp_path / "v.npz", array="third")
    np.save(tmp_path / "v.npy", one)
    with pytest.raises(DatasetError, match="array one cannot be chosen"):
        opened(tmp_path / "v.npy", array="one")


def test_a_compressed_array_is_read_whole_and_let_go_after_its_last_row(tmp_path: Path) -> None:
    array = np.asfortranarray(random_vectors(2_000))
    write_packed_npz(tmp_path / "v.npz", array)
    opened_file = open_vector_file(tmp_path / "v.npz")
    rows = opened_file.rows
    assert isinstance(rows, CompressedRows)
    for start in (1_990, 3, 1_000, 999, 0):
        assert rows[start : start + 10].tolist() == array[start : start + 10].tolist()
    assert rows._whole is not None
    rows[1_990:2_000]
    assert rows._whole is None
    [notice] = opened_file.notices
    assert "read whole into memory" in notice


def test_a_compressed_array_beyond_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_packed_npz(tmp_path / "v.npz", random_vectors(2_000))
    rows = open_vector_file(tmp_path / "v.npz").rows
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10_000))
    with pytest.raises(
        DatasetError, match=r"takes 48.1 KB of memory, where 10.0 KB are available; write it by"
    ):
        rows[0:1]


def test_a_flipped_byte_of_a_packed_array_is_found(tmp_path: Path) -> None:
    write_packed_npz(tmp_path / "v.npz", random_vectors(2_000))
    content = bytearray((tmp_path / "v.npz").read_bytes())
    content[len(content) // 2] ^= 0x10
    (tmp_path / "v.npz").write_bytes(content)
    with pytest.raises(DatasetError, match="damaged"):
        whole(opened(tmp_path / "v.npz"), 2_000)


def test_pickles_in_an_archive_are_never_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", vectors=np.array([[{"a": 1}]], dtype=object))
    with pytest.raises(DatasetError, match="vectors: object of shape"):
        opened(tmp_path / "v.npz")
    with pytest.raises(DatasetError, match="holds object"):
        opened(tmp_path / "v.npz", array="vectors")
    np.savez(tmp_path / "w.npz", vectors=random_vectors(1), ids=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DatasetError, match="Python objects"):
        opened(tmp_path / "w.npz")


def test_an_array_inside_an_archive_that_lies_about_its_shape_is_an_error(tmp_path: Path) -> None:
    write_npz(tmp_path / "v.npz", random_vectors())
    content = (tmp_path / "v.npz").read_bytes()
    for shape in (b"(99, 6)", b"(50, 7)"):
        (tmp_path / "v.npz").write_bytes(content.replace(b"(50, 6)", shape))
        with pytest.raises(DatasetError):
            opened(tmp_path / "v.npz")
