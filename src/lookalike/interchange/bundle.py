"""What passes from one program to another: gallery vectors, and queries with their exact neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lookalike.datasets import VectorSet, check_vectors, open_dataset
from lookalike.datasets.vector_files import hdf5
from lookalike.datasets.vector_files.formats import AUTO, format_of
from lookalike.datasets.vector_files.neighbours import open_neighbours
from lookalike.errors import DatasetError, UserError
from lookalike.progress import SILENT, Progress
from lookalike.queries import plan_queries
from lookalike.retrieval import OpenedRun
from lookalike.schemas import EmbeddingsDataset, VectorsQueries


class Vectors(Protocol):
    """Vectors that are read block by block: :class:`VectorSet` and ``Embeddings`` are such."""

    @property
    def ids(self) -> Sequence[str]:
        """One a row."""
        ...

    @property
    def dim(self) -> int:
        """Dimensions."""
        ...

    def __len__(self) -> int: ...

    def blocks(self, rows_per_block: int, /) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, float32 rows)."""
        ...


@dataclass(frozen=True)
class Bundle:
    """A gallery, and what was searched for in it."""

    gallery: Vectors
    of_directions: bool
    """Whether cosines compare the vectors: they are of unit length, or to be scaled to it."""
    labels: Sequence[str | None] | None = None
    captions: Sequence[str | None] | None = None
    queries: Vectors | None = None
    metric: str | None = None
    """l2 | ip: what the neighbours are nearest by; None without neighbours."""
    neighbours: npt.NDArray[np.int64] | None = None
    """Shape (queries, k): gallery rows, nearest first, none missing."""
    scores: npt.NDArray[np.float32] | None = None
    """Same shape: squared distances for l2, inner products for ip."""
    notices: tuple[str, ...] = ()
    """What the user should know of the source, a sentence each."""


def bundle_of_run(run: OpenedRun) -> Bundle:
    """The vectors that a run searched, its queries, and their exact neighbours.

    Raises UserError when one of them is no longer in the store.
    """
    gallery = run.gallery
    normalized = gallery.normalize if isinstance(gallery, VectorSet) else run.experiment.model.normalize
    depth = min(run.exact.depth, len(run.vectors))
    return Bundle(
        gallery=run.vectors,
        of_directions=normalized,
        labels=gallery.labels,
        captions=gallery.captions,
        queries=run.queries,
        metric=run.experiment.index.metric,
        neighbours=np.asarray(run.exact.rows[:, :depth]),
        scores=np.asarray(run.exact.scores[:, :depth]),
    )


def bundle_of_files(config: EmbeddingsDataset, progress: Progress = SILENT) -> Bundle:
    """Ready vectors; of an ann-benchmarks HDF5 its queries and neighbours too. DatasetError when damaged."""
    gallery = open_dataset(config, progress)
    if not isinstance(gallery, VectorSet):
        raise DatasetError(f"{config.root} holds no vectors; name a file of vectors or a folder of them")
    bundle = Bundle(
        Checked(gallery), gallery.normalize, gallery.labels, gallery.captions, notices=gallery.notices
    )
    files = [Path(file) for file in gallery.files]
    format_ = format_of(files[0]) if config.format == AUTO else config.format
    if len(files) != 1 or format_ != "hdf5" or config.array is not None:
        return bundle
    with hdf5.opened(files[0]) as root:
        has_queries, has_neighbours = hdf5.QUERIES in root, hdf5.NEIGHBOURS in root
    if not has_queries:
        return bundle
    plan = plan_queries(VectorsQueries(file=str(files[0]), format="hdf5"), gallery)
    if not isinstance(plan.queries, VectorSet):
        raise DatasetError(f"{files[0]} holds no query vectors; leave {hdf5.QUERIES} out of it")
    bundle = replace(bundle, queries=Checked(plan.queries))
    return _with_neighbours(bundle, files[0]) if has_neighbours else bundle


def _with_neighbours(bundle: Bundle, file: Path) -> Bundle:
    given = open_neighbours(file)
    rows = np.asarray(given.rows, np.int64)
    if rows.min() < 0 or rows.max() >= len(bundle.gallery):
        raise UserError(f"{hdf5.NEIGHBOURS} of {file} names rows that the gallery has not; write it again")
    if given.distances is None:
        return replace(bundle, neighbours=rows)
    distances = np.asarray(given.distances, np.float32)
    if bundle.of_directions:
        return replace(bundle, neighbours=rows, metric="ip", scores=1 - distances)
    return replace(bundle, neighbours=rows, metric="l2", scores=distances**2)


@dataclass(frozen=True)
class Checked:
    """Ready vectors; a row that nothing can rank is an error when it is read."""

    vectors: VectorSet

    @property
    def ids(self) -> Sequence[str]:
        return self.vectors.ids

    @property
    def dim(self) -> int:
        return self.vectors.dim

    def __len__(self) -> int:
        return len(self.vectors)

    def blocks(self, rows_per_block: int, /) -> Iterator[tuple[int, np.ndarray]]:
        """Yield blocks as stored. DatasetError names a row that is zero or holds NaN or infinity."""
        for start, block in self.vectors.blocks(rows_per_block):
            check_vectors(block, start, self.vectors.location, self.vectors.normalize)
            yield start, block
