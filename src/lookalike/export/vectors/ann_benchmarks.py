"""One HDF5 file as ann-benchmarks reads it, with the gallery's ids beside."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.datasets.formats import hdf5
from lookalike.errors import UserError
from lookalike.export.vectors.bundle import ROWS_AT_A_TIME, Bundle, Vectors, query_columns, relevance_of
from lookalike.progress import Bar


def write_hdf5(bundle: Bundle, path: Path, bar: Bar) -> None:
    """Write train, ids and, where there are some, test, neighbors and distances, labels and relevance.

    ``distance`` is euclidean for l2, and angular (1 − cosine) for inner products of unit vectors. UserError
    for other inner products, which ann-benchmarks has no word for, and without h5py.
    """
    if bundle.metric == "ip" and not bundle.of_directions:
        raise UserError(
            "ann-benchmarks knows no inner products of vectors that are not of unit length; export them with "
            "--to fbin"
        )
    angular = bundle.metric == "ip" or (bundle.metric is None and bundle.of_directions)
    vectors = len(bundle.gallery) + (0 if bundle.queries is None else len(bundle.queries))
    with _created(path, 4 * bundle.gallery.dim * vectors) as file:
        file.attrs["type"] = "dense"
        file.attrs["distance"] = "angular" if angular else "euclidean"
        file.attrs["dimension"], file.attrs["point_type"] = bundle.gallery.dim, "float"
        _write_rows(file, hdf5.GALLERY, bundle.gallery, bar)
        _write_texts(file, hdf5.IDS, bundle.gallery.ids)
        for name, values in (
            (hdf5.COLUMNS["label"], bundle.labels),
            (hdf5.COLUMNS["duplicate_of"], bundle.duplicate_of),
        ):
            if values is not None:
                _write_texts(file, name, values)
        if bundle.queries is not None:
            _write_rows(file, hdf5.QUERIES, bundle.queries, bar)
            _write_asked(file, bundle)
        if bundle.neighbours is not None:
            file[hdf5.NEIGHBOURS] = bundle.neighbours.astype(np.int32)
        if bundle.scores is not None:
            distances = 1 - bundle.scores if angular else np.sqrt(np.maximum(bundle.scores, 0))
            file[hdf5.DISTANCES] = distances.astype(np.float32)


@contextmanager
def _created(path: Path, room: int) -> Iterator[Any]:
    """A new HDF5 file of about ``room`` bytes. OSError when it cannot be written, even on closing."""
    try:
        import h5py
    except ImportError as error:
        raise UserError(
            "writing HDF5 needs h5py, which is not installed; pip install 'lookalike[hdf5]'"
        ) from error
    _ask_for_room(path, room)
    file = h5py.File(path, "w")
    try:
        yield file
    except BaseException:
        with suppress(RuntimeError, OSError):
            file.close()
        raise
    try:
        file.close()
    except RuntimeError as error:
        raise OSError(errno.EIO, str(error)) from error


def _ask_for_room(path: Path, room: int) -> None:
    """OSError when the disk has not that much: HDF5 cannot end well once it runs out."""
    with path.open("xb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, room)


def _write_rows(file: Any, name: str, vectors: Vectors, bar: Bar) -> None:
    rows = file.create_dataset(name, (len(vectors), vectors.dim), np.float32)
    for start, block in vectors.blocks(ROWS_AT_A_TIME):
        rows[start : start + len(block)] = block
        bar.advance(len(block))


def _write_texts(file: Any, name: str, texts: Sequence[str | None]) -> None:
    import h5py

    written = file.create_dataset(name, (len(texts),), h5py.string_dtype())
    for start in range(0, len(texts), ROWS_AT_A_TIME):
        stop = min(start + ROWS_AT_A_TIME, len(texts))
        written[start:stop] = [text or "" for text in texts[start:stop]]


def _write_asked(file: Any, bundle: Bundle) -> None:
    """What is known of the queries beside their vectors; relevance as pairs of rows."""
    for column, values in query_columns(bundle).items():
        if values is not None:
            _write_texts(file, hdf5.QUERY_COLUMNS[column], values)
    named = relevance_of(bundle)
    if not any(named.values()) or bundle.plan is None:
        return
    query_row = {id_: row for row, id_ in enumerate(bundle.plan.queries.ids)}
    row_of = {id_: row for row, id_ in enumerate(bundle.gallery.ids)}
    for column, name in (("relevant", hdf5.RELEVANT), ("ignored", hdf5.IGNORED)):
        pairs = [(query_row[query], row_of[id_]) for query, id_ in named.get(column, ())]
        if pairs:
            file[name] = np.array(pairs, np.int64)
