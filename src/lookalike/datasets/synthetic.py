"""Made-up vectors that are searched like a network's, in any number and without any file.

A vector is the direction of c + s·e: c one of ``clusters`` centres, drawn alike, and e its own part, s
times as long. Both are normal with variances that fall by a power law along a random orthonormal basis, as
the principal components of image embeddings do: most directions hardly matter, none is an axis.

Rows are made in blocks of :data:`BLOCK_ROWS`, each from a seed of its own. So a row is the same whatever is
asked for beside it, a larger set contains every smaller one, and a shard can be made on any machine (up to
the rounding of its BLAS).
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike import schemas
from lookalike.datasets.ids import RowNumbers, nested_sample
from lookalike.datasets.sets import VectorSet
from lookalike.datasets.source import Source
from lookalike.machine.environment import all_threads, threads
from lookalike.progress import SILENT, Progress
from lookalike.store.store import Store

SYNTHETIC_VERSION = 1
"""Raised when the same settings make other vectors."""
BLOCK_ROWS = 128
"""Few, because one row costs a block: 1,000 scattered queries of a million vectors touch 1,000 blocks."""

Floats = npt.NDArray[np.float32]


class SyntheticSource(Source[schemas.SyntheticDataset]):
    """Made-up unit vectors."""

    has_images = False

    def open(self, progress: Progress = SILENT, store: Store | None = None) -> VectorSet:
        """Return ``config.n`` vectors of unit length, made when they are read; ids are row numbers."""
        config = self.config
        rows = SyntheticRows(
            config.n, config.dim, config.clusters, config.spread, config.exponent, seed=config.seed
        )
        vectors = VectorSet(
            ids=RowNumbers(config.n),
            arrays=[rows],
            files=["synthetic vectors"],
            file_fingerprints=[rows.fingerprint],
            normalize=True,
            shard_size=config.shard_size,
        )
        if config.limit is None:
            return vectors
        return vectors.take(nested_sample(vectors.ids, config.limit, config.seed, "dataset"))

    def count(self, progress: Progress = SILENT, store: Store | None = None) -> int:
        return self.config.n

    def shape(self) -> tuple[int, int]:
        return self.config.n, self.config.dim

    def annotation_fault(self, kind: str) -> str:
        return f"{kind}, which made-up vectors do not have; choose held_out or in_gallery"


@dataclass(frozen=True)
class SyntheticRows:
    """``n`` vectors of unit length, float32; see the module. Memory: centres, basis, a block a thread."""

    n: int
    dim: int
    clusters: int
    spread: float
    exponent: float
    seed: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, dim)."""
        return self.n, self.dim

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    @property
    def fingerprint(self) -> str:
        """Text that stands for all that shapes a row; ``n`` does not."""
        shaping = (SYNTHETIC_VERSION, self.dim, self.clusters, self.spread, self.exponent, self.seed)
        return "synthetic-" + hashlib.blake2b(repr(shaping).encode(), digest_size=8).hexdigest()

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, rows: slice | npt.NDArray[np.int64], /) -> Floats:
        wanted = np.arange(*rows.indices(self.n)) if isinstance(rows, slice) else np.asarray(rows, np.int64)
        made = np.empty((len(wanted), self.dim), np.float32)
        blocks, places = np.divmod(wanted, BLOCK_ROWS)
        order = np.argsort(blocks, kind="stable")
        starts = np.flatnonzero(np.diff(blocks[order], prepend=-1))

        def fill(here: npt.NDArray[np.int64]) -> None:
            made[here] = self._block(int(blocks[here[0]]))[places[here]]

        self._centres  # noqa: B018 — made before the threads would each make them
        # Threads with a block each: BLAS's own would wait for each other in every product.
        with threads(1), ThreadPoolExecutor(all_threads(), thread_name_prefix="synthetic") as pool:
            list(pool.map(fill, np.split(order, starts[1:]) if len(order) else []))
        return made

    def _block(self, block: int) -> Floats:
        """Rows from ``block × BLOCK_ROWS`` on; always that many, whatever ``n`` is."""
        random = self._random(1, block)
        clusters = random.integers(self.clusters, size=BLOCK_ROWS)
        made = self._centres[clusters] + np.float32(self.spread) * self._draw(random, BLOCK_ROWS)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return made

    def _draw(self, random: np.random.Generator, count: int) -> Floats:
        """Normal vectors of the wanted spectrum; the mean of their squared lengths is 1."""
        drawn: Floats = random.standard_normal((count, self.dim), np.float32) @ self._basis
        return drawn

    @cached_property
    def _centres(self) -> Floats:
        return self._draw(self._random(0, 1), self.clusters)

    @cached_property
    def _basis(self) -> Floats:
        """Principal components as rows, each as long as its standard deviation."""
        variances = np.arange(1, self.dim + 1) ** -self.exponent
        deviations = np.sqrt(variances / variances.sum())
        components, _ = np.linalg.qr(self._random(0, 0).standard_normal((self.dim, self.dim)))
        basis: Floats = (deviations[:, None] * components.T).astype(np.float32)
        return basis

    def _random(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=purpose))
