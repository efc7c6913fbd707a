"""Writes a bundle in the layout that another program reads; it appears whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from lookalike.export.appearing import appearing, check_free
from lookalike.export.vectors.ann_benchmarks import write_hdf5
from lookalike.export.vectors.bundle import Bundle, Vectors, query_columns, relevance_of
from lookalike.export.vectors.rows import (
    write_fbin,
    write_fvecs,
    write_ground_truth,
    write_ivecs,
    write_npy,
    write_npy_shards,
)
from lookalike.progress import SILENT, Bar, Progress
from lookalike.queries.vectors import FOLDER as QUERIES
from lookalike.queries.vectors import RELEVANCE


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
