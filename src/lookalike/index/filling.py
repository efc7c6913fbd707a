"""Vectors into a trained index, in little more memory than the index takes in the end.

FAISS lets every inverted list and every code array grow by doubling. A gigabyte of vectors then leaves
holes of a third of its size behind, or is in memory twice while a large array moves. So the room is taken
beforehand: of codes by the number of vectors, of inverted lists by a first pass that only looks up each
vector's list. The second pass uses what was looked up: it costs a second reading, no second computation,
and the index is the same to the byte.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike.index.messages import translated
from lookalike.index.structure import inverted_file, parts
from lookalike.machine.mapping import release_pages
from lookalike.progress import SILENT, Progress

Floats = npt.NDArray[np.float32]
Blocks = Callable[[], Iterator[tuple[int, Floats]]]
"""Makes an iterator over blocks of consecutive vectors, float32 (n, d), each with its first id."""

BLOCK_ROWS = 16_384
"""Vectors read and added at a time."""


def fill(
    index: Any,
    blocks: Blocks,
    vectors: int,
    title: str,
    progress: Progress = SILENT,
    *,
    reserve: bool = True,
) -> float:
    """Add the ``vectors`` vectors of ``blocks`` to a trained, empty index; the seconds that it took.

    Ids are those that ``blocks`` says where the index keeps ids, positions from 0 elsewhere. Memory: the
    index, one block, and 8 bytes a vector. Without ``reserve`` inverted lists grow as they fill: a third more
    memory, one pass instead of two. Raises IndexingError when FAISS cannot add.
    """
    import faiss

    start = time.perf_counter()
    reserve_codes(index, vectors)
    lists = None
    if reserve and type(index) in (faiss.IndexIVFFlat, faiss.IndexIVFScalarQuantizer):
        lists = _lists_of(index, blocks, vectors, title, progress)
        reserve_lists(index, np.bincount(lists, minlength=index.nlist))
    with progress.bar(f"indexing {title}", vectors, "vectors") as bar:
        added = 0
        for first_id, block in blocks():
            here = None if lists is None else lists[added : added + len(block)]
            with translated("add vectors to the index"):
                _add(index, np.ascontiguousarray(block), first_id, here)
            release_pages(block)
            added += len(block)
            bar.advance(len(block))
    return time.perf_counter() - start


def reserve_codes(index: Any, vectors: int) -> None:
    """Room for the codes of ``vectors`` vectors in every flat code array of an empty index."""
    import faiss

    for part in parts(index, quantisers=False):
        if isinstance(part, faiss.IndexFlatCodes):
            with translated(f"hold {vectors:,} vectors"):
                part.codes.resize(vectors * part.code_size)
            part.codes.resize(0)  # capacity stays


def reserve_lists(index: Any, sizes: npt.NDArray[np.int64]) -> None:
    """Room for ``sizes[i]`` vectors in the i-th list of an empty IVF index (not of a fast-scan one)."""
    lists = index.invlists
    with translated(f"hold {int(sizes.sum()):,} vectors"):
        for number, size in enumerate(sizes.tolist()):
            lists.resize(number, size)
            lists.resize(number, 0)


def _lists_of(
    index: Any, blocks: Blocks, vectors: int, title: str, progress: Progress
) -> npt.NDArray[np.int64]:
    """The inverted list of each vector, as adding it would find it."""
    lists = np.empty(vectors, np.int64)
    with progress.bar(f"sorting into lists of {title}", vectors, "vectors") as bar:
        done = 0
        for _, block in blocks():
            with translated("sort vectors into inverted lists"):
                lists[done : done + len(block)] = index.quantizer.assign(np.ascontiguousarray(block), 1)[:, 0]
            release_pages(block)
            done += len(block)
            bar.advance(len(block))
    return lists


def _add(index: Any, block: Floats, first_id: int, lists: npt.NDArray[np.int64] | None) -> None:
    import faiss

    if inverted_file(index) is None:
        index.add(block)
        return
    ids = np.arange(first_id, first_id + len(block), dtype=np.int64)
    if lists is None:
        index.add_with_ids(block, ids)
    else:
        pointers = (faiss.swig_ptr(array) for array in (block, ids, lists))
        index.add_core(len(block), *pointers)
