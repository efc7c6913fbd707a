"""From embeddings to an index file: train once on a seeded sample, add shard by shard, write.

The trained, still empty index is an artifact of its own: shards can be indexed apart from it, and adding a
gallery again (to time it) does not train again.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lookalike.environment import cores, threads
from lookalike.errors import IndexingError
from lookalike.index import families, structure
from lookalike.index.messages import captured_notices, reason_of, translated
from lookalike.progress import SILENT, Progress
from lookalike.schemas import BruteForceIndex, Index
from lookalike.store import Artifact, Recipe, Store

if TYPE_CHECKING:
    from lookalike.embed import Embeddings

TRAINED_VERSION = 1
INDEX_VERSION = 1
TRAINED_FILE = "trained.faiss"
INDEX_FILE = "index.faiss"

ADD_ROWS = 16_384
"""Vectors added at a time."""
CLUSTERS_TO_TRAIN = 256
"""Assumed of whatever is trained without centroids (scalar quantisers, PCA) to choose a sample's size."""
NAMED_NUMBERS = {"nlist": r"\bIVF(\d+)", "pq_m": r"\bPQ(\d+)", "hnsw_m": r"\bHNSW(\d+)"}
"""Numbers of a factory string that a recipe shows by name, to say "nlist 64 → 128" when one changes."""


@dataclass(frozen=True)
class IndexArtifacts:
    """What was built or reused, and what it cost when it was built."""

    index: Artifact | None
    """None for ``brute_force``, which searches the embeddings themselves."""
    trained: Artifact | None
    """None when the family needs no training, or the index was reused and its quantiser pruned."""
    factory: str
    """FAISS's factory string; empty for ``brute_force``."""
    index_bytes: int
    """Size of the index file; of the vectors for ``brute_force``."""
    train_seconds: float = 0.0
    add_seconds: float = 0.0
    save_seconds: float = 0.0
    notices: tuple[str, ...] = ()
    """What FAISS warned of while training, in our words."""

    @property
    def build_seconds(self) -> float:
        """Training and adding."""
        return self.train_seconds + self.add_seconds


def build_index(
    config: Index, gallery: Embeddings, store: Store, progress: Progress = SILENT
) -> IndexArtifacts:
    """Build the index of ``gallery``, or reuse it; FAISS's ids are row numbers of the gallery.

    Memory: the training sample, the index itself and one block of vectors. Raises IndexingError when
    FAISS cannot make, train or fill the index, with the cure where we know it.
    """
    if isinstance(config, BruteForceIndex):
        return IndexArtifacts(None, None, "", gallery.nbytes)
    if found := families.faults(config, gallery.dim, len(gallery)):
        raise IndexingError("; ".join(found))
    return _Builder(config, gallery, store, progress).build()


class _Builder:
    """One build: the recipes, and how each of the two artifacts is made."""

    def __init__(self, config: Index, gallery: Embeddings, store: Store, progress: Progress) -> None:
        self.config, self.gallery, self.store, self.progress = config, gallery, store, progress
        self.factory = families.factory_string(config, gallery.dim)
        blank = self._blank()
        self.trains = not blank.is_trained
        self.sample_size = self._sample_size(blank)
        self.parameters = self._parameters(blank)

    def _blank(self) -> Any:
        index = structure.blank_index(self.factory, self.gallery.dim, self.config.metric)
        if hasattr(index, "hnsw"):
            index.hnsw.efConstruction = getattr(self.config, "ef_construction", index.hnsw.efConstruction)
        return index

    def _sample_size(self, blank: Any) -> int:
        clusters = structure.centroids_of(blank) or CLUSTERS_TO_TRAIN
        wanted = self.config.train_size or structure.POINTS_PER_CENTROID * clusters
        return min(wanted, len(self.gallery))

    def _parameters(self, blank: Any) -> dict[str, Any]:
        """Everything that shapes the index beside the vectors."""
        import faiss

        parameters = {**_named(self.factory), "metric": self.config.metric, "faiss": faiss.__version__}
        if hasattr(blank, "hnsw"):
            parameters["ef_construction"] = blank.hnsw.efConstruction
        if structure.is_seeded(blank):
            parameters["seed"] = self.config.seed
        if self.trains:
            parameters["train_size"] = self.sample_size
        if structure.varies_with_threads(blank):
            parameters["threads"] = self.config.threads or cores()
        return parameters

    def _recipe(self, kind: str, version: int, **more: Any) -> Recipe:
        keys = self.gallery.keys
        names = (
            ["embeddings"] if len(keys) == 1 else [f"embeddings of shard {i + 1}" for i in range(len(keys))]
        )
        parents = dict(zip(names, keys, strict=True))
        return Recipe(kind, version, {**self.parameters, **more}, parents)

    @property
    def trained_recipe(self) -> Recipe:
        """What makes the trained, empty index."""
        return self._recipe("trained", TRAINED_VERSION)

    @property
    def index_recipe(self) -> Recipe:
        """What makes the filled index.

        It repeats what made the trained one instead of naming it as a parent: the key says the same, and
        the reason for a new build reads "nlist 64 → 128".
        """
        return self._recipe("index", INDEX_VERSION, trained_version=TRAINED_VERSION)

    def build(self) -> IndexArtifacts:
        index = self.store.obtain(self.index_recipe, self._fill)
        facts = index.facts
        return IndexArtifacts(
            index=index,
            trained=self.store.find(self.trained_recipe) if self.trains else None,
            factory=self.factory,
            index_bytes=facts["index_bytes"],
            train_seconds=facts["train_seconds"],
            add_seconds=facts["add_seconds"],
            save_seconds=facts["save_seconds"],
            notices=tuple(facts["notices"]),
        )

    def _train(self, draft: Path) -> dict[str, Any]:
        """Write ``trained.faiss``."""
        index = self._blank()
        with threads(self.config.threads) as count:
            sample = draw_sample(self.gallery, self.sample_size, self.config.seed)
            start = time.perf_counter()
            with self._waiting(f"training {self.factory}"), captured_notices() as notices:
                structure.train(index, sample, self.config.seed)
            train_seconds = time.perf_counter() - start
        write_index(index, draft / TRAINED_FILE)
        return {
            "train_seconds": train_seconds,
            "train_size": len(sample),
            "threads": count,
            "notices": notices,
        }

    def _fill(self, draft: Path) -> dict[str, Any]:
        """Write ``index.faiss``."""
        trained: Mapping[str, Any] = {"train_seconds": 0.0, "notices": []}
        if self.trains:
            artifact = self.store.obtain(self.trained_recipe, self._train)
            trained = artifact.facts
        with threads(self.config.threads) as count:
            index = structure.read_index(artifact.file(TRAINED_FILE)) if self.trains else self._blank()
            structure.seed_build(index, self.config.seed)
            add_seconds = self._add(index)
            start = time.perf_counter()
            with self._waiting(f"writing {self.factory}"):
                write_index(index, draft / INDEX_FILE)
            save_seconds = time.perf_counter() - start
        return {
            "factory": self.factory,
            "train_seconds": trained["train_seconds"],
            "add_seconds": add_seconds,
            "save_seconds": save_seconds,
            "threads": count,
            "index_bytes": (draft / INDEX_FILE).stat().st_size,
            "notices": trained["notices"],
        }

    def _add(self, index: Any) -> float:
        """Add all vectors; returns the seconds that FAISS took, reading from disk included."""
        start = time.perf_counter()
        with self.progress.bar(f"indexing {self.factory}", len(self.gallery), "vectors") as bar:
            for _, block in self.gallery.blocks(ADD_ROWS):
                with translated("add vectors to the index"):
                    index.add(np.ascontiguousarray(block))
                forget(block)
                bar.advance(len(block))
        return time.perf_counter() - start

    def _waiting(self, description: str) -> Any:
        """A bar for one FAISS call, which tells nothing of how far it is."""
        return self.progress.bar(description, None)


def draw_sample(gallery: Embeddings, size: int, seed: int) -> npt.NDArray[np.float32]:
    """A seeded sample of ``size`` different vectors in gallery order, read one shard after the other."""
    rows = np.sort(np.random.default_rng(seed).choice(len(gallery), size, replace=False))
    sample = np.empty((size, gallery.dim), np.float32)
    for start, shard in gallery.blocks(len(gallery)):
        first, last = np.searchsorted(rows, [start, start + len(shard)])
        sample[first:last] = shard[rows[first:last] - start]
        forget(shard)
    return sample


def forget(block: npt.NDArray[np.float32]) -> None:
    """Give back the memory of a memory-mapped file that was read; it is paged in again when needed."""
    if isinstance(block, np.memmap) and block.mode == "r" and hasattr(mmap, "MADV_DONTNEED"):
        pages: Any = block._mmap  # type: ignore[attr-defined]
        pages.madvise(mmap.MADV_DONTNEED)


def write_index(index: Any, path: Path) -> None:
    """Write an index. A full disk is an OSError, as it is for any other file."""
    import faiss

    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise IndexingError(f"FAISS cannot write {path.name}: {reason_of(error)}") from error


def _named(factory: str) -> dict[str, Any]:
    """The factory string with its telling numbers taken out, each by its name; one to one."""
    numbers: dict[str, int] = {}
    for name, pattern in NAMED_NUMBERS.items():
        if found := re.search(pattern, factory):
            numbers[name] = int(found[1])
            factory = f"{factory[: found.start(1)]}{{{name}}}{factory[found.end(1) :]}"
    return {"factory": factory, **numbers}
