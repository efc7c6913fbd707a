"""Writes a bundle in the layout that another program reads; it appears whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from lookalike.export.appearing import appearing, check_free
from lookalike.export.vectors.ann_benchmarks import write_hdf5
from lookalike.export.vectors.bundle import ROWS_AT_A_TIME, Bundle, Vectors, query_columns, relevance_of
from lookalike.machine.mapping import release_pages
from lookalike.progress import SILENT, Bar, Progress
from lookalike.queries.vectors import FOLDER as QUERIES
from lookalike.queries.vectors import RELEVANCE
from lookalike.store.files import new_array


def write_bundle(
    bundle: Bundle, target: Path, kind: str, shard_size: int, progress: Progress = SILENT
) -> None:
    """Write ``bundle`` to ``target`` as one of :data:`KINDS`; vectors become float32 and pass block by block.

    - ``npy``: clip-retrieval's folder: ``img_emb/`` in shards of ``shard_size`` rows and ``metadata/`` with
      ids, captions, labels and duplicates; ``queries/`` with ``vectors.npy``, ``neighbours.npy``,
      ``scores.npy``;
    - ``hdf5``: one file as ann-benchmarks has them, with ``ids`` and more beside ``train``;
    - ``fbin``: ``base.fbin`` and ``base.parquet``; ``queries/query.fbin`` and ``queries/groundtruth.bin``;
    - ``fvecs``: ``base.fvecs`` and ``base.parquet``; ``queries/query.fvecs``, ``queries/groundtruth.ivecs``.

    Beside the queries' vectors lie a parquet of their ids, labels, sources and edits, and ``relevance.csv``
    with what each should find and what is ignored for it, where that is known; HDF5 has both in itself.
    Scores (of ``scores.npy`` and ``groundtruth.bin``) are squared distances or inner products. UserError
    when the target is taken, cannot be written, or the layout cannot hold the bundle; DatasetError when a
    vector cannot be ranked.
    """
    check_free(target)
    total = len(bundle.gallery) + (0 if bundle.queries is None else len(bundle.queries))
    with appearing(target) as draft, progress.bar("writing vectors", total, "vectors") as bar:
        KINDS[kind](bundle, draft, shard_size, bar)


def _write_npy_folder(bundle: Bundle, folder: Path, shard_size: int, bar: Bar) -> None:
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True)
    for shard in range(write_npy_shards(folder / "img_emb", bundle.gallery, shard_size, bar)):
        start = shard * shard_size
        _write_metadata(bundle, folder / "metadata" / f"metadata_{shard}.parquet", start, start + shard_size)
    if bundle.queries is None:
        return
    (folder / QUERIES).mkdir()
    write_npy(folder / QUERIES / "vectors.npy", bundle.queries, bar)
    _write_asked(bundle, folder / QUERIES / "vectors.parquet")
    if bundle.neighbours is not None:
        np.save(folder / QUERIES / "neighbours.npy", bundle.neighbours)
    if bundle.scores is not None:
        np.save(folder / QUERIES / "scores.npy", bundle.scores)


def _write_hdf5_file(bundle: Bundle, file: Path, shard_size: int, bar: Bar) -> None:
    write_hdf5(bundle, file, bar)


def _write_fbin_folder(bundle: Bundle, folder: Path, shard_size: int, bar: Bar) -> None:
    _write_flat_folder(bundle, folder, write_fbin, "fbin", bar)
    if bundle.neighbours is not None:
        write_ground_truth(folder / QUERIES / "groundtruth.bin", bundle.neighbours, bundle.scores)


def _write_fvecs_folder(bundle: Bundle, folder: Path, shard_size: int, bar: Bar) -> None:
    _write_flat_folder(bundle, folder, write_fvecs, "fvecs", bar)
    if bundle.neighbours is not None:
        write_ivecs(folder / QUERIES / "groundtruth.ivecs", bundle.neighbours)


def _write_flat_folder(
    bundle: Bundle, folder: Path, write: Callable[[Path, Vectors, Bar], None], suffix: str, bar: Bar
) -> None:
    """One file of all gallery vectors with its table, and one of the queries in a folder of their own."""
    folder.mkdir()
    write(folder / f"base.{suffix}", bundle.gallery, bar)
    _write_metadata(bundle, folder / "base.parquet", 0, len(bundle.gallery))
    if bundle.queries is not None:
        (folder / QUERIES).mkdir()
        write(folder / QUERIES / f"query.{suffix}", bundle.queries, bar)
        _write_asked(bundle, folder / QUERIES / "query.parquet")


KINDS: Mapping[str, Callable[[Bundle, Path, int, Bar], None]] = MappingProxyType(
    {
        "npy": _write_npy_folder,
        "hdf5": _write_hdf5_file,
        "fbin": _write_fbin_folder,
        "fvecs": _write_fvecs_folder,
    }
)


def _write_metadata(bundle: Bundle, path: Path, start: int, stop: int) -> None:
    """Ids and what else is known of rows start to stop, in the columns that clip-retrieval reads."""
    columns = {
        "id": bundle.gallery.ids,
        "caption": bundle.captions,
        "label": bundle.labels,
        "duplicate_of": bundle.duplicate_of,
    }
    _write_texts(path, {name: values and values[start:stop] for name, values in columns.items()})


def _write_texts(path: Path, columns: Mapping[str, Sequence[str | None] | None]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = {
        name: pa.array(list(values), pa.string()) for name, values in columns.items() if values is not None
    }
    pq.write_table(pa.table(table), path)


def _write_asked(bundle: Bundle, path: Path) -> None:
    """What is known of the queries beside their vectors: the parquet ``path``, and ``relevance.csv``."""
    if bundle.queries is None:
        return
    _write_texts(path, query_columns(bundle))
    named = relevance_of(bundle)
    if not any(named.values()):
        return
    with path.with_name(RELEVANCE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["query", *named])
        for place, column in enumerate(named):
            for query, id_ in named[column]:
                row = [""] * len(named)
                row[place] = id_
                table.writerow([query, *row])


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
        release_pages(array)
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
