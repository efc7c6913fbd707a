"""One pass over images, from files to vectors: batch after batch, with every core at work."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from statistics import median_low
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lookalike.datasets.sets import ImageSet, TextSet
from lookalike.embed.embeddings import Floats
from lookalike.embed.models.protocol import Encoder
from lookalike.errors import ImageError
from lookalike.progress import Bar

T = TypeVar("T")
R = TypeVar("R")

TEXT_BATCH = 64
PROBE_IMAGES = 64
BATCHES_AHEAD = 8
"""For each worker: what they do while a finished block is being written."""


class Rows(NamedTuple):
    """Rows embedded, before normalisation: those that have a vector, and those that have none, and why."""

    vectors: Floats
    good: Sequence[int]
    bad: Sequence[tuple[int, str]]
    hashes: Mapping[int, str]
    """Row -> content hash (see ``ImageSet.load_and_hash``), of images that are encoded somewhere."""


class Prepared(NamedTuple):
    """A row, decoded and preprocessed; or the ImageError that says why it cannot be."""

    row: int
    item: Any
    content: str
    seconds: float


@dataclass
class Effort:
    """What a pass took so far; ``decode_seconds`` and ``forward_seconds`` are sums over all workers."""

    images: int = 0
    seconds: float = 0.0
    decode_seconds: float = 0.0
    forward_seconds: float = 0.0


class Extraction:
    """Runs ``encoder`` over ``images`` with ``workers`` threads, and measures the time.

    On a CPU each worker takes whole batches from the file to the vector, with one thread: workers never
    wait for each other, as the threads of one shared pass do at each of its layers. On an accelerator the
    workers decode and the caller's thread drives the device. ``threads``: of each forward pass, None: all.
    """

    def __init__(self, encoder: Encoder, images: ImageSet, workers: int) -> None:
        self.encoder, self.images, self.workers = encoder, images, workers
        self.on_cpu = bool(encoder.facts()["device"] == "cpu")
        self.threads = 1 if self.on_cpu else None
        self.effort = Effort()

    def fastest_batch_size(self, rows: Sequence[int]) -> int:
        """Return what the encoder finds fastest on some of ``rows``, with as many passes at once as later."""
        with ThreadPoolExecutor(self.workers, thread_name_prefix="probe") as pool:
            prepared = pool.map(self._prepare, rows[:PROBE_IMAGES])
            sample = [one.item for one in prepared if not isinstance(one.item, ImageError)]
            if not sample:
                return 1
            passes = range(self.workers if self.on_cpu else 1)
            return median_low(pool.map(lambda _: self.encoder.pick_batch_size(sample), passes))

    def embed(self, blocks: Sequence[Sequence[int]], batch_size: int, bar: Bar) -> Generator[Rows]:
        """Embed blocks of rows, one after the other; a block's last batch may be smaller.

        The workers do not wait while a block is being written.
        """
        began = time.perf_counter()
        with closing(self._batches(blocks, batch_size)) as batches:
            for rows in blocks:
                parts = []
                for part in islice(batches, -(-len(rows) // batch_size)):
                    parts.append(part)
                    bar.advance(len(part.good) + len(part.bad))
                self.effort.images += len(rows)
                self.effort.seconds = time.perf_counter() - began
                yield Rows(
                    np.concatenate([part.vectors for part in parts]),
                    [row for part in parts for row in part.good],
                    [entry for part in parts for entry in part.bad],
                    {row: content for part in parts for row, content in part.hashes.items()},
                )

    def facts(self) -> dict[str, Any]:
        """Return how fast it went and which half of the work was slower; {} when nothing was embedded."""
        effort = self.effort
        if not effort.images:
            return {}
        at_once = 1 if self.on_cpu else self.workers  # decoding overlaps with the device, and with itself
        decoding_binds = effort.decode_seconds / at_once > effort.forward_seconds
        return {
            "images_per_second": round(effort.images / max(effort.seconds, 1e-9), 2),
            "decode_seconds": round(effort.decode_seconds, 3),
            "forward_seconds": round(effort.forward_seconds, 3),
            "bound_by": "decoding" if decoding_binds else "forward pass",
            "workers": self.workers,
        }

    def _batches(self, blocks: Sequence[Sequence[int]], size: int) -> Generator[Rows]:
        """Batches of all blocks, none across two of them, in order."""
        if self.on_cpu:
            batches = (rows[i : i + size] for rows in blocks for i in range(0, len(rows), size))
            ahead = _ahead(self._embed, batches, self.workers, BATCHES_AHEAD * self.workers)
            with closing(ahead):
                for part, decode_seconds, forward_seconds in ahead:
                    yield self._account(part, decode_seconds, forward_seconds)
        else:
            images = (row for rows in blocks for row in rows)
            with closing(_ahead(self._prepare, images, self.workers, 2 * size + self.workers)) as decoded:
                for rows in blocks:
                    for start in range(0, len(rows), size):
                        batch = list(islice(decoded, len(rows[start : start + size])))
                        yield self._account(*self._forward(batch))

    def _embed(self, rows: Sequence[int]) -> tuple[Rows, float, float]:
        return self._forward([self._prepare(row) for row in rows])

    def _prepare(self, row: int) -> Prepared:
        began = time.perf_counter()
        image, content = self.images.load_and_hash(row)
        try:
            item = image if isinstance(image, ImageError) else self.encoder.preprocess(image)
        except ImageError as error:
            item = error
        return Prepared(row, item, content, time.perf_counter() - began)

    def _forward(self, batch: Sequence[Prepared]) -> tuple[Rows, float, float]:
        """The batch's vectors, and the seconds that decoding and the forward pass took."""
        usable = [one for one in batch if not isinstance(one.item, ImageError)]
        began = time.perf_counter()
        vectors = self.encoder.encode_images([one.item for one in usable])
        seconds = time.perf_counter() - began
        bad = [(one.row, str(one.item)) for one in batch if isinstance(one.item, ImageError)]
        hashes = {one.row: one.content for one in batch if one.content}
        rows = Rows(vectors, [one.row for one in usable], bad, hashes)
        return rows, sum(one.seconds for one in batch), seconds

    def _account(self, part: Rows, decode_seconds: float, forward_seconds: float) -> Rows:
        self.effort.decode_seconds += decode_seconds
        self.effort.forward_seconds += forward_seconds
        return part


class TextExtraction:
    """Runs the text tower of ``encoder`` over ``texts``, a block at a time."""

    threads = None

    def __init__(self, encoder: Encoder, texts: TextSet) -> None:
        self.encoder, self.texts = encoder, texts
        self._cut_before = getattr(encoder, "texts_cut", 0)

    def fastest_batch_size(self, rows: Sequence[int]) -> int:
        """Return any size: an encoder makes its own batches of texts."""
        return TEXT_BATCH

    def embed(self, blocks: Sequence[Sequence[int]], batch_size: int, bar: Bar) -> Generator[Rows]:
        """Embed blocks of rows, one after the other."""
        for rows in blocks:
            vectors = self.encoder.encode_texts([self.texts.load(row) for row in rows])
            bar.advance(len(rows))
            yield Rows(vectors, rows, [], {})

    def facts(self) -> dict[str, Any]:
        """Return how many texts were cut at the length that the text tower reads."""
        return {"texts_cut": getattr(self.encoder, "texts_cut", 0) - self._cut_before}


def _ahead(work: Callable[[T], R], items: Iterable[T], workers: int, ahead: int) -> Generator[R]:
    """``work`` of each item, in order, by ``workers`` threads; ``ahead`` are under way or waiting."""
    with ThreadPoolExecutor(workers, thread_name_prefix="embed") as pool:
        waiting = iter(items)
        begun = deque(pool.submit(work, item) for item in islice(waiting, ahead))
        try:
            while begun:
                result = begun.popleft().result()
                begun.extend(pool.submit(work, item) for item in islice(waiting, 1))
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
