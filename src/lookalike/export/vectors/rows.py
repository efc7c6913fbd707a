"""Vectors written block by block, one function a format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lookalike.export.vectors.bundle import Vectors
from lookalike.machine.mapping import forget
from lookalike.progress import Bar
from lookalike.store.files import new_array

ROWS_AT_A_TIME = 8_192


def pieces(vectors: Vectors, shard_size: int) -> Iterator[tuple[int, int, npt.NDArray[np.float32]]]:
    """Yield (shard, first row in it, float32 rows) with no piece in two shards of ``shard_size`` rows."""
    for start, block in vectors.blocks(ROWS_AT_A_TIME):
        done = 0
        while done < len(block):
            shard, first = divmod(start + done, shard_size)
            piece = block[done : done + shard_size - first]
            yield shard, first, piece
            done += len(piece)


def write_npy_shards(folder: Path, vectors: Vectors, shard_size: int, bar: Bar) -> int:
    """Write ``img_emb_0.npy`` and so on, ``shard_size`` rows each; return how many there are."""
    array, shards = np.empty((0, vectors.dim), np.float32), 0
    for shard, first, piece in pieces(vectors, shard_size):
        if first == 0:
            rows, shards = min(shard_size, len(vectors) - shard * shard_size), shard + 1
            array = new_array(folder / f"img_emb_{shard}.npy", np.float32, (rows, vectors.dim))
        array[first : first + len(piece)] = piece
        forget(array)
        bar.advance(len(piece))
    return shards


def write_npy(path: Path, vectors: Vectors, bar: Bar) -> None:
    """Write one ``.npy`` of float32."""
    array = new_array(path, np.float32, (len(vectors), vectors.dim))
    for start, block in vectors.blocks(ROWS_AT_A_TIME):
        array[start : start + len(block)] = block
        bar.advance(len(block))


def write_fbin(path: Path, vectors: Vectors, bar: Bar) -> None:
    """Write big-ann's layout: n and d as uint32, then the vectors as float32."""
    with path.open("wb") as file:
        file.write(np.array([len(vectors), vectors.dim], "<u4").tobytes())
        for _, block in vectors.blocks(ROWS_AT_A_TIME):
            file.write(np.ascontiguousarray(block, "<f4").data)
            bar.advance(len(block))


def write_fvecs(path: Path, vectors: Vectors, bar: Bar) -> None:
    """Write TEXMEX's layout: before each vector its length as int32."""
    with path.open("wb") as file:
        for _, block in vectors.blocks(ROWS_AT_A_TIME):
            file.write(_with_lengths(block, "<f4"))
            bar.advance(len(block))


def write_ivecs(path: Path, rows: npt.NDArray[np.int64]) -> None:
    """Write neighbours in TEXMEX's layout."""
    path.write_bytes(_with_lengths(rows, "<i4"))


def write_ground_truth(
    path: Path, rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float32] | None
) -> None:
    """Write big-ann's ground truth: queries and k, the neighbours as int32, their scores as float32."""
    with path.open("wb") as file:
        file.write(np.array(rows.shape, "<u4").tobytes())
        file.write(rows.astype("<i4").tobytes())
        if scores is not None:
            file.write(scores.astype("<f4").tobytes())


def _with_lengths(values: npt.NDArray[np.float32] | npt.NDArray[np.int64], dtype: str) -> bytes:
    records = np.empty(len(values), [("dim", "<i4"), ("values", dtype, (values.shape[1],))])
    records["dim"], records["values"] = values.shape[1], values
    return records.tobytes()
