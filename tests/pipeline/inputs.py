"""What a user may hand to `lookalike run`: pictures, tables, vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.pipeline.conftest import paint


def few_pictures(folder: Path, count: int = 12) -> Path:
    for number in range(count):
        paint(folder / f"{number:02}.png", number)
    return folder


def images(tmp_path: Path, *more: str) -> list[str]:
    """Twelve pictures, three of them asked for."""
    root = few_pictures(tmp_path / "pictures")
    return ["dataset=folder", f"dataset.root={root}", "queries.n=3", *more]


def table(tmp_path: Path, text: str, *more: str) -> list[str]:
    """Twelve pictures and a table of ``text`` beside them."""
    (tmp_path / "table.csv").write_text(text)
    return images(tmp_path, f"dataset.table={tmp_path / 'table.csv'}", *more)


def random_vectors(rows: int = 40, dim: int = 8) -> np.ndarray:
    return np.random.default_rng(7).standard_normal((rows, dim)).astype(np.float32)


def vectors(tmp_path: Path, array: np.ndarray, *more: str, ids: list[str] | None = None) -> list[str]:
    """Ready vectors, with ids if there are some."""
    folder = tmp_path / "vectors"
    folder.mkdir()
    np.save(folder / "part_0.npy", array)
    if ids is not None:
        pq.write_table(pa.table({"id": ids}), folder / "part_0.parquet")
    return ["dataset=embeddings", f"dataset.root={folder}", "queries=in_gallery", "queries.n=3", *more]
