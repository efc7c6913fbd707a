"""Real files of vectors in every format, as other programs write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import faiss
import h5py
import numpy as np

from lookalike.datasets import open_dataset
from lookalike.datasets.sets import VectorSet
from lookalike.schemas import EmbeddingsDataset

Write = Callable[[Path, np.ndarray], object]


def random_vectors(rows: int = 50, dim: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


def opened(root: Path | None, **options: object) -> VectorSet:
    vectors = open_dataset(EmbeddingsDataset(root=None if root is None else str(root), **options))  # type: ignore[arg-type]
    assert isinstance(vectors, VectorSet)
    return vectors


def whole(vectors: VectorSet, rows_per_block: int = 7) -> np.ndarray:
    return np.concatenate([block for _, block in vectors.blocks(rows_per_block)])


def write_npz(path: Path, array: np.ndarray) -> None:
    np.savez(path, vectors=array, kind=np.array(["a"]))


def write_packed_npz(path: Path, array: np.ndarray) -> None:
    np.savez_compressed(path, vectors=array)


def write_vecs(path: Path, array: np.ndarray) -> None:
    """fvecs, ivecs or bvecs by the array's dtype, a row at a time."""
    with path.open("wb") as file:
        for row in array:
            np.array([len(row)], "<i4").tofile(file)
            row.tofile(file)


def write_bin(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.array(array.shape, "<u4").tofile(file)
        array.tofile(file)


def write_hdf5(path: Path, array: np.ndarray, **more: object) -> None:
    with h5py.File(path, "w") as file:
        file["train"] = array
        for name, values in more.items():
            file[name] = values


def write_packed_hdf5(path: Path, array: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("train", data=array, chunks=(4, array.shape[1]), compression="gzip")


def write_index(path: Path, array: np.ndarray, factory: str = "Flat", ids: np.ndarray | None = None) -> None:
    index = faiss.index_factory(array.shape[1], factory)
    index.train(np.nan_to_num(array))
    index.add(array) if ids is None else index.add_with_ids(array, ids)
    faiss.write_index(index, str(path))


def write_csv(path: Path, array: np.ndarray, paths: list[str] | None = None) -> None:
    """As pandas writes a column of lists: the original system's way."""
    import pandas as pd

    names = [f"folder/{row}.jpg" for row in range(len(array))] if paths is None else paths
    pd.DataFrame({"Image Path": names, "Features": array.tolist()}).to_csv(path, index=False)


WRITERS: dict[str, tuple[str, Write]] = {
    "npy": ("v.npy", np.save),
    "npz": ("v.npz", write_npz),
    "packed npz": ("v.npz", write_packed_npz),
    "fvecs": ("v.fvecs", write_vecs),
    "fbin": ("v.fbin", write_bin),
    "hdf5": ("v.hdf5", write_hdf5),
    "packed hdf5": ("v.h5", write_packed_hdf5),
    "flat index": ("v.faiss", write_index),
    "ivf index": ("v.index", lambda path, array: write_index(path, array, "IVF4,Flat")),
    "csv": ("v.csv", write_csv),
}
"""Formats that keep float32 exactly: a file's name, and what writes it."""


def written(kind: str, folder: Path, array: np.ndarray) -> Path:
    name, write = WRITERS[kind]
    write(folder / name, array)
    return folder / name
