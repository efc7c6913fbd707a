"""A built index, loaded and ready to be searched."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lookalike.errors import IndexingError
from lookalike.index.brute_force import BruteForceSearcher
from lookalike.index.files import read_index
from lookalike.index.messages import translated
from lookalike.index.structure import search_parameters
from lookalike.schemas import Index

if TYPE_CHECKING:
    from lookalike.embed.embeddings import Embeddings
    from lookalike.index.build import IndexArtifacts

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


class FaissSearcher:
    """Searches a FAISS index without ever changing it, so several threads may share it."""

    def __init__(self, index: Any, load_seconds: float = 0.0) -> None:
        self.index = index
        self.load_seconds = load_seconds

    @classmethod
    def read(cls, path: Path, mmap: bool = False) -> FaissSearcher:
        """Read an index file and take the time, see :func:`~lookalike.index.files.read_index`."""
        start = time.perf_counter()
        index = read_index(path, mmap)
        return cls(index, time.perf_counter() - start)

    def prepare(self, k: int, settings: Mapping[str, int]) -> Callable[[Floats], tuple[Floats, Rows]]:
        """A function of queries alone, with FAISS's parameters made beforehand."""
        index, parameters = self.index, search_parameters(self.index, settings)

        def search(queries: Floats) -> tuple[Floats, Rows]:
            try:
                found: tuple[Floats, Rows] = index.search(queries, k, params=parameters)
            except (RuntimeError, AssertionError, MemoryError):
                with translated("search the index"):
                    raise
            return found

        return search

    def search(self, queries: Floats, k: int, settings: Mapping[str, int]) -> tuple[Floats, Rows]:
        """Scores float32 and rows int64, both (queries, k), nearest first; row −1 where fewer were found.

        ``queries``: float32, C-contiguous, (queries, d). ``settings``: see ``Index.search_settings``.
        """
        return self.prepare(k, settings)(queries)


def load_index(
    config: Index, built: IndexArtifacts, gallery: Embeddings
) -> FaissSearcher | BruteForceSearcher:
    """Load what :func:`build_index` built; ``load_seconds`` of the result says how long it took.

    Raises IndexingError when the file cannot be read or is not an index of this gallery.
    """
    if built.index is None:
        start = time.perf_counter()
        searcher = BruteForceSearcher(gallery.shards, config.metric)
        searcher.load_seconds = time.perf_counter() - start
        return searcher
    loaded = FaissSearcher.read(built.index.file("index.faiss"), config.mmap)
    there, wanted = (loaded.index.ntotal, loaded.index.d), (len(gallery), gallery.dim)
    if there != wanted:
        raise IndexingError(
            f"the index holds (vectors, dimensions) {there} and the gallery has {wanted}; "
            "build it again with store.reuse=false"
        )
    return loaded
