"""The process behind :mod:`lookalike.datasets.formats.bounded`: read files within bounds, in order."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lookalike.errors import DatasetError, parser_reason
from lookalike.machine.processes import SPARE_BYTES, bound_this_process

READ_BYTES = 16 << 20
"""Of a matrix, at a time; at least a row."""
ROOM = 4
"""Times the file's size: a packed chunk is unpacked as a whole."""


def read_faiss(file: Path) -> None:
    """Do what a run does with an index file: find its vectors, and have them all."""
    from lookalike.datasets.formats.faiss_index import open_index

    try:
        opened = open_index(file)
    except DatasetError:
        return  # the parent comes to the same, and has the words for it
    rows = opened.rows
    step = max(1, READ_BYTES // (4 * rows.shape[1]))
    for start in range(0, len(rows), step):
        rows[start : start + step].sum()


def read_hdf5(file: Path, array: str | None) -> None:
    """Read the datasets at the file's top, and ``array``, as far as a run would read them by HDF5 itself."""
    import h5py

    from lookalike.datasets.formats.hdf5 import find

    with h5py.File(file, "r") as root:
        for name in root.attrs:
            with _only_memory_counts():
                root.attrs[name]
        for name in dict.fromkeys([*root, *([array] if array else [])]):
            with _only_memory_counts():
                dataset = find(root, file, name)
                for part in _parts(dataset):
                    dataset[part]


@contextmanager
def _only_memory_counts() -> Iterator[None]:
    """Pass over what cannot be read: the parent may not ask for it, and has the words for it if it does."""
    try:
        yield
    except Exception as error:
        if _is_of_memory(error):
            raise


def _is_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "alloc" in str(error)


def _parts(dataset: Any) -> Iterator[Any]:
    """What to read of a dataset at a time; nothing of a plain matrix, which is mapped."""
    if dataset.shape is None:
        return
    if dataset.dtype.hasobject or len(dataset.shape) != 2:
        yield ()
    elif dataset.chunks is not None or dataset.id.get_offset() is None:
        step = max(1, READ_BYTES // max(1, dataset.shape[1] * dataset.dtype.itemsize))
        for start in range(0, dataset.shape[0], step):
            yield slice(start, start + step)


def main(task: dict[str, Any]) -> None:
    """Print for each file, in order, ``fault``: null, or why it cannot be read."""
    if task["format"] == "faiss":
        import faiss

        faiss.omp_set_num_threads(1)  # every thread takes address space
    else:
        import h5py  # noqa: F401 (loaded before the bounds hold)
    bound_this_process(ROOM * task["bytes"] + SPARE_BYTES, task["cpu_seconds"])
    for file in map(Path, task["files"]):
        fault = None
        try:
            if task["format"] == "faiss":
                read_faiss(file)
            else:
                read_hdf5(file, task["array"])
        except Exception as error:  # whatever FAISS or h5py raises
            fault = parser_reason(error)
            if _is_of_memory(error):
                fault = "reading it takes more memory than its size explains"
        print(json.dumps({"fault": fault}), flush=True)


if __name__ == "__main__":
    main(json.load(sys.stdin))
