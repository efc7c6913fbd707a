"""ann-benchmarks' HDF5: streamed, told apart by distance, hostile links and sizes."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from lookalike.datasets.formats.formats import open_vector_file
from lookalike.datasets.formats.hdf5 import ChunkedRows
from lookalike.errors import DatasetError
from tests.datasets.vector_worlds import (
    opened,
    random_vectors,
    whole,
    write_hdf5,
    written,
)


def test_chunked_datasets_are_streamed(tmp_path: Path) -> None:
    rows = open_vector_file(written("packed hdf5", tmp_path, random_vectors())).rows
    assert isinstance(rows, ChunkedRows)


@pytest.mark.parametrize(
    ("distance", "normalize"), [(None, False), ("angular", True), (b"angular", True), ("euclidean", False)]
)
def test_the_distance_tells_whether_directions_are_compared(
    distance: object, normalize: bool, tmp_path: Path
) -> None:
    write_hdf5(tmp_path / "v.hdf5", random_vectors())
    if distance is not None:
        with h5py.File(tmp_path / "v.hdf5", "a") as file:
            file.attrs["distance"] = distance
    vectors = opened(tmp_path / "v.hdf5")
    assert vectors.normalize is normalize
    scaled = (
        "v.hdf5 is for the distance angular: its vectors are scaled to unit length; "
        "dataset.normalize=false searches them as they are"
    )
    assert vectors.notices == ((scaled,) if normalize else ())
    assert opened(tmp_path / "v.hdf5", normalize=not normalize).normalize is not normalize


def test_distances_of_bits_and_sets_are_refused(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "v.hdf5", random_vectors())
    with h5py.File(tmp_path / "v.hdf5", "a") as file:
        file.attrs["distance"] = "jaccard"
    with pytest.raises(DatasetError, match="for the distance jaccard"):
        opened(tmp_path / "v.hdf5")


def test_links_out_of_the_file_are_not_followed(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "secret.hdf5", random_vectors())
    np.ones((50, 6), np.float32).tofile(tmp_path / "raw")
    with h5py.File(tmp_path / "v.hdf5", "w") as file:
        file["external"] = h5py.ExternalLink("secret.hdf5", "train")
        file["soft"] = h5py.SoftLink("/external")
        file.create_dataset("raw", (50, 6), "f4", external=[(str(tmp_path / "raw"), 0, 1200)])
        layout = h5py.VirtualLayout((50, 6), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.hdf5"), "train", (50, 6))
        file.create_virtual_dataset("virtual", layout)
        file["group/inner"] = random_vectors()
    for name, reason in (
        ("external", "is a link to somewhere else"),
        ("soft", "is a link to somewhere else"),
        ("raw", "stored in other files"),
        ("virtual", "stored in other files"),
        ("group", "is a group"),
        ("gone", "has no dataset gone; it has external"),
    ):
        with pytest.raises(DatasetError, match=reason):
            opened(tmp_path / "v.hdf5", array=name)
    assert whole(opened(tmp_path / "v.hdf5", array="group/inner")).tolist() == random_vectors().tolist()


def test_a_dataset_that_was_never_filled_is_no_terabyte(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.hdf5", "w") as file:
        file.create_dataset("train", (10**9, 1_000), "f4", chunks=(100, 1_000))
    with pytest.raises(DatasetError, match="0 bytes of it are stored"):
        opened(tmp_path / "v.hdf5")
