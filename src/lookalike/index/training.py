"""Training on a seeded sample: each part with the threads that its size is worth, bars where it takes long.

FAISS's threads meet after each block of comparisons. Where a block is a fraction of a millisecond (the
codebooks of product quantisers, the rotation of OPQ), they spin for longer than they work, on busy cores for
ten times as long. Rotations and lists are trained pass by pass: the same result to the byte, and one can see
how far it is.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lookalike.errors import IndexingError
from lookalike.index.filling import BLOCK_ROWS
from lookalike.index.messages import translated
from lookalike.index.structure import OPQ_CENTROIDS, centroids_of, parts, seed_build, transforms
from lookalike.machine.environment import threads
from lookalike.machine.mapping import release_pages
from lookalike.progress import SILENT, Bar, Progress

if TYPE_CHECKING:
    from lookalike.embed.embeddings import Embeddings

Floats = npt.NDArray[np.float32]

POINTS_PER_CENTROID = 256
"""More training vectors than this per centroid change little (FAISS's own default maximum)."""
BLOCK = 4_096, 1_024
"""Vectors and centroids that FAISS compares between two meetings of its threads."""
WORTH_SHARING = 50_000_000
"""Multiplications in such a block from which on threads pay: some milliseconds of one core."""
WORTH_AN_ESTIMATE = 10**11
"""Multiplications from which on training codes may take a minute."""


def useful_threads(rows: int, centroids: int, dimensions: int, available: int) -> int:
    """Threads for a k-means of that size: ``available`` or, where they would only wait for each other, 1."""
    block = min(rows, BLOCK[0]) * min(centroids, BLOCK[1]) * dimensions
    return available if block >= WORTH_SHARING else 1


def code_threads(index: Any, rows: int, available: int) -> int:
    """Threads for training an index's transforms and codes on ``rows`` vectors; centroids of lists apart.

    Of several clusterings the smallest decides. FAISS's polysemous training, which follows that of a codebook
    where a factory string does not say ``np``, has a thread for each code and takes longest: all threads.
    """
    import faiss

    rotations = [t for t in transforms(index) if isinstance(t, faiss.OPQMatrix)]
    sizes = [(OPQ_CENTROIDS, rotation.d_out // rotation.M) for rotation in rotations]
    for part in parts(index):
        if hasattr(part, "pq") and not getattr(part, "do_polysemous_training", False):
            sizes.append((part.pq.ksub, part.pq.dsub))
    return min([useful_threads(rows, *size, available) for size in sizes], default=available)


def train(index: Any, sample: Floats, seed: int, title: str = "", progress: Progress = SILENT) -> None:
    """Train on ``sample``, float32 (n, d), all of it; every clustering and rotation is seeded.

    Uses at most as many threads as are set. Raises IndexingError, before FAISS does anything, when there are
    fewer vectors than centroids.
    """
    import faiss

    needed = centroids_of(index)
    if len(sample) < needed:
        raise IndexingError(
            f"{len(sample):,} training vectors cannot make {needed:,} centroids; lower index.nlist or "
            "index.pq_bits, raise index.train_size, or take more images"
        )
    seed_build(index, seed)
    for part in parts(index):
        if isinstance(part, faiss.IndexIVF):
            part.cp.max_points_per_centroid = max(POINTS_PER_CENTROID, -(-len(sample) // part.nlist))
    available = faiss.omp_get_max_threads()
    training = _Training(seed, available, title, progress)
    with translated("train the index"), threads(code_threads(index, len(sample), available)):
        training.begin(index, sample)
        with progress.bar(f"training {title}", None):
            index.train(sample)  # what is trained already is left as it is


@dataclass(frozen=True)
class _Training:
    """The parts that are trained ahead of the index, pass by pass."""

    seed: int
    available: int
    """Threads."""
    title: str
    progress: Progress

    def begin(self, index: Any, vectors: Floats) -> None:
        """Train what comes first: transforms, and the centroids of lists where they are plain vectors."""
        import faiss

        index = faiss.downcast_index(index)
        while isinstance(index, faiss.IndexPreTransform | faiss.IndexRefine):
            if isinstance(index, faiss.IndexRefine):
                index = faiss.downcast_index(index.base_index)
                continue
            chain = index.chain
            for transform in (faiss.downcast_VectorTransform(chain.at(i)) for i in range(chain.size())):
                if isinstance(transform, faiss.OPQMatrix):
                    self._rotation(transform, vectors)
                elif not transform.is_trained:
                    transform.train(vectors)
                vectors = transform.apply(vectors)
            index = faiss.downcast_index(index.index)
        if isinstance(index, faiss.IndexIVF) and isinstance(
            faiss.downcast_index(index.quantizer), faiss.IndexFlat
        ):
            with threads(useful_threads(len(vectors), index.nlist, index.d, self.available)):
                self._lists(index, vectors)
        for part in parts(index, quantisers=False):
            if hasattr(part, "pq") and not part.is_trained:
                self._say_how_long(part.pq, vectors)

    def _bar(self, what: str, passes: int) -> AbstractContextManager[Bar]:
        return self.progress.bar(f"training {self.title}: {what}", passes, "passes")

    def _rotation(self, rotation: Any, vectors: Floats) -> None:
        """OPQ, one of its rounds at a time: each goes on from the rotation and codebook that are there."""
        import faiss

        rounds, first, later = rotation.niter, rotation.niter_pq_0, rotation.niter_pq
        quantiser = faiss.ProductQuantizer(rotation.d_out, rotation.M, 8)
        quantiser.cp.seed = self.seed
        with self._bar("rotation", first + (rounds - 1) * later) as bar:
            try:
                rotation.pq, rotation.niter = quantiser, 1
                for number in range(rounds):
                    rotation.niter_pq_0 = later if number else first
                    rotation.train(vectors)
                    bar.advance(rotation.niter_pq_0)
            finally:
                rotation.pq, rotation.niter, rotation.niter_pq_0 = None, rounds, first

    def _lists(self, lists: Any, vectors: Floats) -> None:
        """The centroids, one pass at a time: each goes on from those that are there."""
        import faiss

        clustering = faiss.Clustering(lists.d, lists.nlist, lists.cp)
        clustering.niter = 1
        with self._bar(f"{lists.nlist:,} lists", lists.cp.niter) as bar:
            for _ in range(lists.cp.niter):
                clustering.train(vectors, lists.quantizer)
                bar.advance()

    def _say_how_long(self, pq: Any, vectors: Floats) -> None:
        """Estimate the training of a codebook, which is one call of FAISS, from one pass over one block."""
        import faiss

        rows = min(len(vectors), pq.ksub * pq.cp.max_points_per_centroid)
        passes = pq.M * pq.cp.niter
        if passes * rows * pq.ksub * pq.dsub < WORTH_AN_ESTIMATE:
            return
        block = np.ascontiguousarray(vectors[: BLOCK[0], : pq.dsub])
        start = time.perf_counter()
        faiss.knn(block, block[: pq.ksub], 1)
        seconds = time.perf_counter() - start
        self.progress.expect(f"training {self.title}: codes", seconds * passes * rows / len(block))


def draw_sample(gallery: Embeddings, size: int, seed: int) -> npt.NDArray[np.float32]:
    """A seeded sample of ``size`` different vectors in gallery order; beside it one block is in memory."""
    rows = np.sort(np.random.default_rng(seed).choice(len(gallery), size, replace=False))
    sample = np.empty((size, gallery.dim), np.float32)
    for start, block in gallery.blocks(BLOCK_ROWS):
        first, last = np.searchsorted(rows, [start, start + len(block)])
        sample[first:last] = block[rows[first:last] - start]
        release_pages(block)
    return sample
