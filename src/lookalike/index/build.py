"""From embeddings to an index file: train once on a seeded sample, add shard by shard, write.

The trained, still empty index is an artifact of its own, so adding a gallery again (to time it) does not
train again, and shards can be indexed apart from it, each an artifact as well, and then merged. That is
another way to the same index, which has the same key: merged lists hold the same vectors in the same order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lookalike.errors import IndexingError
from lookalike.index.families.brute_force import BruteForceIndex
from lookalike.index.families.factory import named_numbers
from lookalike.index.files import read_index, write_index
from lookalike.index.filling import BLOCK_ROWS, fill
from lookalike.index.merging import examine, merge_parts
from lookalike.index.messages import captured_notices
from lookalike.index.structure import (
    blank_index,
    centroids_of,
    is_seeded,
    seed_build,
    varies_with_threads,
)
from lookalike.index.training import POINTS_PER_CENTROID, code_threads, draw_sample, train
from lookalike.machine.environment import all_threads, give_back_memory, threads
from lookalike.progress import SILENT, Progress
from lookalike.schemas import Index
from lookalike.store.artifact import Artifact
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store

if TYPE_CHECKING:
    from lookalike.embed.embeddings import Embeddings

TRAINED_VERSION = 1
PART_VERSION = 1
INDEX_VERSION = 1
TRAINED_FILE = "trained.faiss"
PART_FILE = "part.faiss"
INDEX_FILE = "index.faiss"

CLUSTERS_TO_TRAIN = 256
"""Assumed where training makes no centroids (scalar quantisers, PCA) to choose a sample's size."""


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
    """What FAISS warned of while training, in plain words."""

    @property
    def build_seconds(self) -> float:
        """Training and adding; with shards apart, parts written and merged included."""
        return self.train_seconds + self.add_seconds


def build_index(
    config: Index, gallery: Embeddings, store: Store, progress: Progress = SILENT
) -> IndexArtifacts:
    """Build the index of ``gallery``, or reuse it; FAISS's ids are row numbers of the gallery.

    Memory: first the training sample, then the index itself (with shards apart: and one part) and one block
    of vectors. Raises IndexingError when FAISS cannot make, train, fill or merge the index, with the cure
    where we know it.
    """
    if isinstance(config, BruteForceIndex):
        return IndexArtifacts(None, None, "", gallery.nbytes)
    return _builder(config, gallery, store, progress).build()


def build_parts(
    config: Index, gallery: Embeddings, shards: Sequence[int], store: Store, progress: Progress = SILENT
) -> list[Artifact]:
    """Build or reuse the indexes of some shards (by number, from 0), each :data:`PART_FILE` in an artifact.

    Raises IndexingError as :func:`build_index` does, also when there is no such shard or the family's parts
    could not be merged.
    """
    if missing := [number for number in shards if not 0 <= number < len(gallery.shards)]:
        raise IndexingError(
            f"there is no shard {missing[0]}; the gallery has {len(gallery.shards)}, numbered from 0"
        )
    builder = _builder(replace(config, shards_apart=True), gallery, store, progress)
    return [builder.part(number) for number in shards]


def _builder(config: Index, gallery: Embeddings, store: Store, progress: Progress) -> _Builder:
    if found := config.faults(gallery.dim, len(gallery)):
        raise IndexingError("; ".join(found))
    return _Builder(config, gallery, store, progress)


class _Builder:
    """One build: the recipes, and how each of the two artifacts is made."""

    def __init__(self, config: Index, gallery: Embeddings, store: Store, progress: Progress) -> None:
        self.config, self.gallery, self.store, self.progress = config, gallery, store, progress
        self.factory = config.factory_string(gallery.dim)
        blank = self._blank()
        self.trains = not blank.is_trained
        self.sample_size = self._sample_size(blank)
        self.parameters = self._parameters(blank)
        self.first_rows = [0, *accumulate(map(len, gallery.shards))]

    def _blank(self) -> Any:
        index = blank_index(self.factory, self.gallery.dim, self.config.metric)
        if hasattr(index, "hnsw"):
            index.hnsw.efConstruction = getattr(self.config, "ef_construction", index.hnsw.efConstruction)
        return index

    def _sample_size(self, blank: Any) -> int:
        clusters = centroids_of(blank) or CLUSTERS_TO_TRAIN
        wanted = self.config.train_size or POINTS_PER_CENTROID * clusters
        return min(wanted, len(self.gallery))

    def _parameters(self, blank: Any) -> dict[str, Any]:
        """Everything that shapes the index beside the vectors."""
        import faiss

        parameters = {
            **named_numbers(self.factory),
            "metric": self.config.metric,
            "faiss": faiss.__version__,
        }
        if hasattr(blank, "hnsw"):
            parameters["ef_construction"] = blank.hnsw.efConstruction
        if is_seeded(blank):
            parameters["seed"] = self.config.seed
        if self.trains:
            parameters["train_size"] = self.sample_size
        if varies_with_threads(blank):
            count = parameters["threads"] = self.config.threads or all_threads()
            if self.trains and (few := code_threads(blank, self.sample_size, count)) != count:
                parameters["training_threads"] = few
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
        give_back_memory()  # of the index that was built, before it is loaded
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
            with captured_notices() as notices:
                train(index, sample, self.config.seed, self.factory, self.progress)
            train_seconds = time.perf_counter() - start
        write_index(index, draft / TRAINED_FILE)
        return {
            "train_seconds": train_seconds,
            "train_size": len(sample),
            "threads": count,
            "notices": notices,
        }

    def _ready_to_fill(self) -> tuple[Any, Artifact | None]:
        """The trained, empty index, and the artifact that it comes from if training made it."""
        trained = self.store.obtain(self.trained_recipe, self._train) if self.trains else None
        give_back_memory()  # of the training sample
        index = read_index(trained.file(TRAINED_FILE)) if trained else self._blank()
        seed_build(index, self.config.seed)
        return index, trained

    def _fill(self, draft: Path) -> dict[str, Any]:
        """Write ``index.faiss``, filled in one go or merged from parts."""
        index, trained = self._ready_to_fill()
        with threads(self.config.threads) as count:
            if self.config.shards_apart:
                index, costs = self._merge()
            else:
                seconds = fill(index, self._blocks, len(self.gallery), self.factory, self.progress)
                costs = {"add_seconds": seconds}
            save_seconds = self._save(index, draft / INDEX_FILE)
        return {
            "factory": self.factory,
            "train_seconds": trained.facts["train_seconds"] if trained else 0.0,
            **costs,
            "save_seconds": save_seconds,
            "threads": count,
            "index_bytes": (draft / INDEX_FILE).stat().st_size,
            "notices": trained.facts["notices"] if trained else [],
        }

    def _blocks(self) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        return self.gallery.blocks(BLOCK_ROWS)

    # --- shards apart ----------------------------------------------------------------------------------

    def part(self, number: int) -> Artifact:
        """The index of one shard, filled from the common trained one; its ids are rows of the gallery."""
        return self.store.obtain(self._part_recipe(number), lambda draft: self._fill_part(number, draft))

    def _part_recipe(self, number: int) -> Recipe:
        parents = {"embeddings": self.gallery.keys[number]}
        more: dict[str, Any] = {"first_row": self.first_rows[number]}
        if self.trains:
            parents["trained"] = self.trained_recipe.key
        return Recipe("part", PART_VERSION, {**self.parameters, **more}, parents)

    def _fill_part(self, number: int, draft: Path) -> dict[str, Any]:
        """Write ``part.faiss``."""
        index, _ = self._ready_to_fill()
        first, shard = self.first_rows[number], self.gallery.shards[number]

        def blocks() -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
            for row in range(0, len(shard), BLOCK_ROWS):
                yield first + row, shard[row : row + BLOCK_ROWS]

        with threads(self.config.threads) as count:
            title = f"{self.factory}, shard {number + 1} of {len(self.gallery.shards)}"
            add_seconds = fill(index, blocks, len(shard), title, self.progress, reserve=False)
            save_seconds = self._save(index, draft / PART_FILE)
        return {
            "vectors": len(shard),
            "add_seconds": add_seconds,
            "save_seconds": save_seconds,
            "threads": count,
        }

    def _merge(self) -> tuple[Any, dict[str, Any]]:
        """The merged index and what it cost: parts built by several machines cost their sum."""
        made = [self.part(number) for number in range(len(self.gallery.shards))]
        start = time.perf_counter()
        with self.progress.bar(f"merging {self.factory}", len(self.gallery), "vectors") as bar:
            index = merge_parts([examine(one.file(PART_FILE)) for one in made], on_merged=bar.advance)
        merge_seconds = time.perf_counter() - start
        parts_seconds = sum(one.facts["add_seconds"] + one.facts["save_seconds"] for one in made)
        return index, {
            "parts": len(made),
            "merge_seconds": merge_seconds,
            "add_seconds": parts_seconds + merge_seconds,
        }

    # --- both ------------------------------------------------------------------------------------------

    def _save(self, index: Any, path: Path) -> float:
        """Write the index; returns the seconds that it took."""
        start = time.perf_counter()
        with self._waiting(f"writing {self.factory}"):
            write_index(index, path)
        return time.perf_counter() - start

    def _waiting(self, description: str) -> Any:
        """Return a bar for one FAISS call, whose progress is unknown."""
        return self.progress.bar(description, None)
