"""Embeds sets shard by shard, or reuses what the store has of them.

A shard is one artifact. Building one copies every row that another shard of the same recipe already has
(same id, same fingerprint) and embeds the rest in blocks, each kept in the store's checkpoints as soon as it
is done: a killed extraction loses one block, and one new image costs one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lookalike import schemas
from lookalike.datasets.sets import ImageSet, TextSet, VectorSet
from lookalike.embed.blocks import BLOCK_ROWS, Block, Checkpoints, StoredBlock
from lookalike.embed.earlier import OUTDATED, explain_rows, find_batch_size, find_copies, settle_files
from lookalike.embed.embeddings import BadImage, Embeddings
from lookalike.embed.extraction import Extraction, Rows, TextExtraction
from lookalike.embed.models.protocol import EmbeddingModel, Encoder
from lookalike.embed.shards import (
    open_vectors,
    read_ledger,
    remember_places,
    shard_recipe,
    write_shard,
    write_vectors,
)
from lookalike.errors import DatasetError, ModelError
from lookalike.machine.environment import all_threads, keep_freed_memory, threads
from lookalike.progress import SILENT, Bar, Progress
from lookalike.store.artifact import Artifact
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store


class Embedder:
    """Embeds sets with one model, which is loaded when the first row really needs it.

    ``normalize`` scales every vector to unit length. ``batch_size`` and ``workers`` are numbers or ``auto``.
    ``block_rows``: how many rows a killed process loses at most, beside those under way.
    """

    def __init__(
        self,
        model: EmbeddingModel,
        store: Store,
        *,
        normalize: bool = True,
        batch_size: int | str = "auto",
        workers: int | str = "auto",
        progress: Progress = SILENT,
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        self.model, self.store, self.progress = model, store, progress
        self.normalize = normalize
        self.batch_size = batch_size
        self.workers = all_threads() if workers == "auto" else int(workers)
        self.block_rows = block_rows
        self._probed: int | None = None
        self._outdated_noticed = False

    @classmethod
    def of(
        cls, model: EmbeddingModel, config: schemas.Model, store: Store, progress: Progress = SILENT
    ) -> Embedder:
        """Return an embedder as the model's config wants it."""
        return cls(
            model,
            store,
            normalize=config.normalize,
            batch_size=config.batch_size,
            workers=config.workers,
            progress=progress,
        )

    @cached_property
    def encoder(self) -> Encoder:
        """The loaded model."""
        return self.model.load()

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory."""
        return "encoder" in self.__dict__

    def recipe(self, inputs: ImageSet | TextSet | VectorSet) -> dict[str, Any]:
        """Return everything but the rows that shapes the embeddings of ``inputs``."""
        if isinstance(inputs, VectorSet):
            return {"model": "ready vectors", "normalize": inputs.normalize}
        if isinstance(inputs, TextSet):
            return self.model.text_recipe(self.store)
        return self.model.image_recipe(self.store)

    def embed(self, inputs: ImageSet | TextSet | VectorSet, kind: str = "embeddings") -> Embeddings:
        """Embed a set, or reuse what the store has of it; ``kind``: embeddings (of a gallery) or queries.

        Raises DatasetError when more than ``inputs.max_bad_fraction`` of the images are bad, or all, or when
        ready vectors are not finite; ModelError when the model cannot be had or gives vectors that are not.
        """
        return _assemble(inputs, self.embed_shards(inputs, range(count_shards(inputs)), kind))

    def embed_shards(
        self, inputs: ImageSet | TextSet | VectorSet, numbers: Sequence[int], kind: str = "embeddings"
    ) -> EmbeddedShards:
        """Embed some shards of a set, counted from 0: the very artifacts that :meth:`embed` makes or reuses.

        Raises what ``embed`` does; too many bad images only when they are too many for the whole set.
        """
        if isinstance(inputs, VectorSet):
            inputs = settle_files(inputs, self.store)
        recipe = self.recipe(inputs)
        artifacts: list[Artifact] = []
        bad: list[tuple[int, BadImage]] = []
        for done, number in enumerate(numbers, 1):
            start = number * inputs.shard_size
            shard = inputs.take(range(start, min(start + inputs.shard_size, len(inputs))))
            title = kind if len(numbers) == 1 else f"{kind}, shard {done} of {len(numbers)}"
            stage = shard_recipe(kind, shard, recipe)
            reason = partial(explain_rows, self.store, stage, recipe, shard, inputs)
            artifacts.append(self._embed_shard(shard, stage, recipe, title, reason))
            bad += [(start + row, image) for row, image in read_ledger(artifacts[-1])]
            _check_bad(bad, inputs)
        if any(artifact.reason.startswith(OUTDATED) for artifact in artifacts) and not self._outdated_noticed:
            self._outdated_noticed = True
            self.progress.say(
                "notice: what an older Lookalike made stays for its records; "
                "lookalike store prune --outdated --yes removes it"
            )
        return EmbeddedShards(artifacts, bad)

    def _embed_shard(
        self,
        shard: ImageSet | TextSet | VectorSet,
        stage: Recipe,
        recipe: Mapping[str, Any],
        title: str,
        reason: Callable[[], str | None],
    ) -> Artifact:
        if isinstance(shard, VectorSet):
            artifact = self.store.obtain(
                stage,
                lambda draft: write_vectors(shard, draft, title, self.progress, self.store.file_hash),
                reason,
            )
            remember_places(artifact, shard)
            return artifact
        return self.store.obtain(stage, lambda draft: self._build(shard, stage, recipe, draft, title), reason)

    def _build(
        self, shard: ImageSet | TextSet, stage: Recipe, recipe: Mapping[str, Any], draft: Path, title: str
    ) -> dict[str, Any]:
        copies = find_copies(self.store, recipe, shard)
        copied = {row for copy in copies for row in copy.rows}
        pending = [row for row in range(len(shard)) if row not in copied]
        facts: dict[str, Any] = {"copied": len(copied), "embedded": len(pending)}
        blocks: list[StoredBlock] = []
        if pending:
            checkpoints = Checkpoints(self.store.checkpoints(stage), shard, self.progress)
            with self.progress.bar(title, len(pending), "images") as bar:
                blocks, facts_of_blocks = self._extract(shard, pending, recipe, checkpoints, bar)
            facts |= facts_of_blocks | self.encoder.facts()
            dim = self.encoder.dim
        else:
            dim = np.load(copies[0].source, mmap_mode="r", allow_pickle=False).shape[1]
        return {"vectors": write_shard(shard, copies, blocks, dim, draft), **facts}

    def _extract(
        self,
        shard: ImageSet | TextSet,
        pending: Sequence[int],
        recipe: Mapping[str, Any],
        checkpoints: Checkpoints,
        bar: Bar,
    ) -> tuple[list[StoredBlock], dict[str, Any]]:
        """Blocks of all ``pending`` rows, those of an earlier attempt as they are, and what to tell of it."""
        extraction: Extraction | TextExtraction = (
            TextExtraction(self.encoder, shard)
            if isinstance(shard, TextSet)
            else Extraction(self.encoder, shard, self.workers)
        )
        keep_freed_memory()
        with threads(extraction.threads):
            batch_size = self._settle_batch_size(extraction, pending, recipe, checkpoints)
            groups = [pending[i : i + self.block_rows] for i in range(0, len(pending), self.block_rows)]
            blocks = [checkpoints.find(rows, batch_size) for rows in groups]
            missing = [rows for rows, block in zip(groups, blocks, strict=True) if block is None]
            kept = len(pending) - sum(map(len, missing))
            if kept:
                bar.resume_at(kept)
                self.progress.say(f"{kept:,} of {len(pending):,} were embedded by an earlier attempt")
            with closing(extraction.embed(missing, batch_size, bar)) as embedded:
                fresh = [
                    checkpoints.keep(self._finish(shard, part), rows, batch_size)
                    for rows, part in zip(missing, embedded, strict=True)
                ]
        probed = self.batch_size == "auto" and isinstance(shard, ImageSet)
        facts = {"resumed": kept, "batch_size": batch_size, "batch_size_probed": probed, **extraction.facts()}
        return [*(block for block in blocks if block is not None), *fresh], facts

    def _settle_batch_size(
        self,
        extraction: Extraction | TextExtraction,
        pending: Sequence[int],
        recipe: Mapping[str, Any],
        checkpoints: Checkpoints,
    ) -> int:
        """The configured batch size, or a probed one: that of earlier work of the same kind, if there is any.

        What was killed goes on with its own size, so that it ends with the same bytes; shards and queries
        made on one machine share theirs, and are probed for once.
        """
        if self.batch_size != "auto":
            return int(self.batch_size)
        if (noted := checkpoints.batch_size()) is not None:
            self._probed = noted
        elif isinstance(extraction, TextExtraction):
            return extraction.fastest_batch_size(pending)
        elif self._probed is None:
            device = str(self.encoder.facts()["device"])
            known = find_batch_size(self.store, recipe, device)
            self._probed = extraction.fastest_batch_size(pending) if known is None else known
        checkpoints.keep_batch_size(self._probed)
        return self._probed

    def _finish(self, shard: ImageSet | TextSet, part: Rows) -> Block:
        """Check and scale vectors; zero vectors count as bad where a direction is wanted."""
        vectors, good, bad, hashes = part
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            raise ModelError(
                f"{self.model.name} gives NaN or Inf for {shard.ids[good[int(np.argmin(finite))]]}; "
                "use model.dtype=float32 or check the weights"
            )
        if not self.normalize:
            return Block(vectors, good, bad, hashes)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        directed = lengths[:, 0] > 0
        rows = [row for row, has_direction in zip(good, directed, strict=True) if has_direction]
        zero = [(row, "its vector is zero and has no direction") for row in sorted({*good} - {*rows})]
        return Block(vectors[directed] / lengths[directed], rows, [*bad, *zero], hashes)


class EmbeddedShards(NamedTuple):
    """Shards of a set, and their bad images by row of the set."""

    artifacts: Sequence[Artifact]
    bad: Sequence[tuple[int, BadImage]]


def count_shards(inputs: ImageSet | TextSet | VectorSet) -> int:
    """Return how many artifacts a set's embeddings are."""
    return -(-len(inputs) // inputs.shard_size)


def shard_faults(numbers: Sequence[int], count: int | None) -> list[str]:
    """Return faults of ``dataset.shards``, a sentence each; ``count``: how many there are (None: unknown)."""
    if not numbers:
        return ["dataset.shards is empty; name one or more, such as [0], or leave it out"]
    if len({*numbers}) < len(numbers):
        return [f"dataset.shards={list(numbers)} names a shard twice; leave one out"]
    wrong = [number for number in numbers if number < 0 or (count is not None and number >= count)]
    if not wrong:
        return []
    there = "they are counted from 0" if count is None else f"there are {count}, counted from 0"
    return [
        f"dataset.shards has {', '.join(map(str, wrong))}, which the gallery does not have: {there}; "
        "leave it out or lower dataset.shard_size"
    ]


def _check_bad(bad: Sequence[tuple[int, BadImage]], inputs: ImageSet | TextSet | VectorSet) -> None:
    share = len(bad) / len(inputs)
    if share <= inputs.max_bad_fraction and share < 1:
        return
    examples = "; ".join(f"{image.location}: {image.reason}" for _, image in bad[:3])
    cure = "mend or remove them"
    if share < 1:
        enough = -(-1000 * len(bad) // len(inputs)) / 1000  # rounded up, or following the advice would not do
        cure += f", or allow more by dataset.max_bad_fraction={enough:.3f}"
    raise DatasetError(f"{len(bad)} of {len(inputs)} images cannot be used ({examples}); {cure}")


def _assemble(inputs: ImageSet | TextSet | VectorSet, shards: EmbeddedShards) -> Embeddings:
    vectors = tuple(chain.from_iterable(map(open_vectors, shards.artifacts)))
    bad = np.array([row for row, _ in shards.bad], np.int64)
    kept = np.delete(np.arange(len(inputs)), bad)  # np.setdiff1d would import numpy.ma
    return Embeddings(
        shards=vectors,
        ids=inputs.ids if not shards.bad else [inputs.ids[row] for row in kept.tolist()],
        kept=kept,
        keys=tuple(artifact.key for artifact in shards.artifacts),
        dim=vectors[0].shape[1],
        bad=tuple(image for _, image in shards.bad),
        artifacts=tuple(shards.artifacts),
    )
