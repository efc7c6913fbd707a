"""Embeds sets shard by shard, or reuses what the store has of them.

A shard is one artifact. Building one copies every row that another shard of the same recipe already has
(same id, same fingerprint) and embeds the rest in blocks, each kept in the store's workbench as soon as it
is done: a killed extraction loses one block, and one new image costs one forward pass.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lookalike import schemas
from lookalike.datasets import ImageSet, TextSet, VectorSet
from lookalike.embed.blocks import BLOCK_ROWS, Block, block_path
from lookalike.embed.embeddings import BadImage, Embeddings, Floats
from lookalike.embed.shards import VECTORS, find_copies, read_ledger, shard_recipe, write_shard, write_vectors
from lookalike.environment import cores, threads
from lookalike.errors import DatasetError, ImageError, ModelError
from lookalike.models import EmbeddingModel, Encoder
from lookalike.progress import SILENT, Bar, Progress
from lookalike.store import Artifact, Recipe, Store

T = TypeVar("T")
R = TypeVar("R")

TEXT_BATCH = 64
PROBE_IMAGES = 64


class Embedder:
    """Embeds sets with one model, which is loaded when the first row really needs it.

    ``normalize`` scales every vector to unit length. ``batch_size`` and ``workers`` are numbers or ``auto``.
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
    ) -> None:
        self.model, self.store, self.progress = model, store, progress
        self.normalize = normalize
        self.batch_size = batch_size
        self.workers = cores() if workers == "auto" else int(workers)

    @classmethod
    def of(
        cls, model: EmbeddingModel, config: schemas.Model, store: Store, progress: Progress = SILENT
    ) -> Embedder:
        """An embedder as the model's config wants it."""
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

    def recipe(self, inputs: ImageSet | TextSet | VectorSet) -> dict[str, Any]:
        """Everything but the rows that shapes the embeddings of ``inputs``."""
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
        recipe = self.recipe(inputs)
        starts = range(0, len(inputs), inputs.shard_size)
        artifacts: list[Artifact] = []
        bad: list[tuple[int, BadImage]] = []
        for number, start in enumerate(starts, 1):
            shard = inputs.take(range(start, min(start + inputs.shard_size, len(inputs))))
            title = kind if len(starts) == 1 else f"{kind}, shard {number} of {len(starts)}"
            artifacts.append(self._embed_shard(shard, shard_recipe(kind, shard, recipe), recipe, title))
            bad += [(start + row, image) for row, image in read_ledger(artifacts[-1])]
            _check_bad(bad, inputs)
        return _assemble(inputs, artifacts, bad)

    def _embed_shard(
        self, shard: ImageSet | TextSet | VectorSet, stage: Recipe, recipe: Mapping[str, Any], title: str
    ) -> Artifact:
        if isinstance(shard, VectorSet):
            return self.store.obtain(stage, lambda draft: write_vectors(shard, draft, title, self.progress))
        return self.store.obtain(stage, lambda draft: self._build(shard, stage, recipe, draft, title))

    def _build(
        self, shard: ImageSet | TextSet, stage: Recipe, recipe: Mapping[str, Any], draft: Path, title: str
    ) -> dict[str, Any]:
        copies = find_copies(self.store, recipe, shard)
        copied = {row for copy in copies for row in copy.rows}
        pending = [row for row in range(len(shard)) if row not in copied]
        facts: dict[str, Any] = {"copied": len(copied), "embedded": len(pending)}
        blocks: list[Path] = []
        if pending:
            bench = self.store.workbench(stage)
            with threads(self._threads(shard)), self.progress.bar(title, len(pending), "images") as bar:
                batch_size = self._settle_batch_size(shard, pending, bench)
                for start in range(0, len(pending), BLOCK_ROWS):
                    rows = pending[start : start + BLOCK_ROWS]
                    path = block_path(bench, shard, rows, batch_size)
                    if Block.load(path) is None:
                        self._embed_block(shard, rows, batch_size, bar).save(path)
                    else:
                        bar.advance(len(rows))
                    blocks.append(path)
            facts |= {"batch_size": batch_size, **self.encoder.facts()}
            dim = self.encoder.dim
        else:
            dim = np.load(copies[0].source, mmap_mode="r", allow_pickle=False).shape[1]
        return {"vectors": write_shard(shard, copies, blocks, dim, draft), **facts}

    def _settle_batch_size(self, shard: ImageSet | TextSet, pending: Sequence[int], bench: Path) -> int:
        """The configured batch size, or the probed one, which stays the same when the work is resumed."""
        if self.batch_size != "auto":
            return int(self.batch_size)
        if isinstance(shard, TextSet):
            return TEXT_BATCH
        note = bench / "batch_size.json"
        if note.exists():
            return int(json.loads(note.read_text()))
        prepared = [self._prepare(shard, row) for row in pending[:PROBE_IMAGES]]
        sample = [item for item in prepared if not isinstance(item, ImageError)]
        size = self.encoder.pick_batch_size(sample) if sample else 1
        note.write_text(json.dumps(size))
        return size

    @property
    def _on_cpu(self) -> bool:
        return bool(self.encoder.facts()["device"] == "cpu")

    def _threads(self, shard: ImageSet | TextSet) -> int | None:
        """Threads of one forward pass: on a CPU there is a pass in every worker instead."""
        return 1 if self._on_cpu and isinstance(shard, ImageSet) else None

    def _prepare(self, shard: ImageSet, row: int) -> Any:
        """A preprocessed image, or the ImageError that says why there is none."""
        try:
            return self.encoder.preprocess(shard.load(row))
        except ImageError as error:
            return error

    def _batches(self, shard: ImageSet, rows: Sequence[int], batch_size: int) -> Iterator[Batch]:
        """Embed images batch by batch, in order, decoding ahead in worker threads.

        On a CPU each worker takes whole batches from the file to the vector, with one thread: workers never
        wait for each other, as the threads of one shared pass do at each of its layers. On an accelerator
        the workers decode and the caller's thread drives the device.
        """
        batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]

        def decode(batch: Sequence[int]) -> list[Any]:
            return [self._prepare(shard, row) for row in batch]

        def embed(batch: Sequence[int], items: Sequence[Any]) -> Batch:
            usable = [(row, item) for row, item in zip(batch, items, strict=True) if not _is_bad(item)]
            return Batch(
                vectors=self.encoder.encode_images([item for _, item in usable]),
                rows=[row for row, _ in usable],
                bad=[(row, str(item)) for row, item in zip(batch, items, strict=True) if _is_bad(item)],
            )

        if self._on_cpu:
            yield from _ahead(lambda batch: embed(batch, decode(batch)), batches, self.workers)
        else:
            for batch, items in zip(batches, _ahead(decode, batches, self.workers), strict=True):
                yield embed(batch, items)

    def _embed_block(
        self, shard: ImageSet | TextSet, rows: Sequence[int], batch_size: int, bar: Bar
    ) -> Block:
        """Embed some rows; zero vectors count as bad where a direction is wanted."""
        if isinstance(shard, TextSet):
            vectors = self.encoder.encode_texts([shard.load(row) for row in rows])
            batches = [Batch(vectors, rows, [])]
        else:
            batches = []
            for batch in self._batches(shard, rows, batch_size):
                batches.append(batch)
                bar.advance(len(batch.rows) + len(batch.bad))
        block = np.concatenate([batch.vectors for batch in batches])
        good = [row for batch in batches for row in batch.rows]
        bad = [entry for batch in batches for entry in batch.bad]
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            raise ModelError(
                f"{self.model.name} gives NaN or Inf for {shard.ids[good[int(np.argmin(finite))]]}; "
                "use model.dtype=float32 or check the weights"
            )
        if not self.normalize:
            return Block(block, good, bad)
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        directed = lengths[:, 0] > 0
        bad += [(good[i], "its vector is zero and has no direction") for i in np.flatnonzero(~directed)]
        return Block(block[directed] / lengths[directed], [good[i] for i in np.flatnonzero(directed)], bad)


class Batch(NamedTuple):
    """Some rows embedded together, before normalisation."""

    vectors: Floats
    rows: Sequence[int]
    bad: Sequence[tuple[int, str]]


def _is_bad(item: Any) -> bool:
    return isinstance(item, ImageError)


def _ahead(work: Callable[[T], R], items: Sequence[T], workers: int) -> Iterator[R]:
    """``work`` of each item, in order, by ``workers`` threads that stay a few items ahead of their use."""
    with ThreadPoolExecutor(workers, thread_name_prefix="embed") as pool:
        waiting = iter(items)
        ahead = deque(pool.submit(work, item) for item in islice(waiting, 2 * workers + 1))
        try:
            while ahead:
                result = ahead.popleft().result()
                ahead.extend(pool.submit(work, item) for item in islice(waiting, 1))
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


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


def _assemble(
    inputs: ImageSet | TextSet | VectorSet,
    artifacts: Sequence[Artifact],
    bad: Sequence[tuple[int, BadImage]],
) -> Embeddings:
    shards = tuple(np.load(one.file(VECTORS), mmap_mode="r", allow_pickle=False) for one in artifacts)
    kept = np.setdiff1d(np.arange(len(inputs)), [row for row, _ in bad])
    return Embeddings(
        shards=shards,
        ids=inputs.ids if not bad else [inputs.ids[row] for row in kept],
        kept=kept,
        keys=tuple(artifact.key for artifact in artifacts),
        dim=shards[0].shape[1],
        bad=tuple(image for _, image in bad),
        artifacts=tuple(artifacts),
    )
