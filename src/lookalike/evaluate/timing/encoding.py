"""How long it takes to make one query's vector: a user waits for that as well as for the search.

Measured as a single search is: one query at a time, on this machine, with the same threads. An image is
decoded, prepared and passed through the model, a caption tokenised and passed through the text tower. That
takes the model in memory: it is measured when the queries are embedded, and kept.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lookalike import schemas
from lookalike.datasets.sets import ImageSet, TextSet
from lookalike.embed.embedder import Embedder
from lookalike.embed.models.protocol import Encoder
from lookalike.errors import ImageError
from lookalike.evaluate.timing.sampling import Clock
from lookalike.machine.environment import describe_machine, threads
from lookalike.progress import SILENT, Progress
from lookalike.queries.plan import QueryPlan
from lookalike.store.artifact import Artifact
from lookalike.store.recipe import Recipe
from lookalike.store.store import Store

ENCODING_VERSION = 1
"""Raised when another thing is measured."""
MOST_QUERIES, WARM_UP = 64, 2
"""After a warm-up so many queries are encoded, each once."""
SAMPLES_FOR_P95 = 20
ENOUGH = ((2.0, SAMPLES_FOR_P95), (10.0, 5))
"""Or fewer: once so many seconds have passed and there are so many samples."""
DRAWN = 10_000
"""Of a search's samples at most, for the sums with those of encoding."""
VERSIONS = ("torch", "transformers", "numpy", "pillow")
"""Packages that encode."""


@dataclass(frozen=True)
class Encoding:
    """Samples of encoding single queries, and where they were taken."""

    what: str
    """``images`` or ``captions``."""
    threads: int
    device: str
    cpu: str
    hostname: str
    measured_at: str
    """ISO 8601."""
    seconds: npt.NDArray[np.float64] = field(repr=False)
    """One sample a query."""

    @property
    def p50_ms(self) -> float:
        """Median time of encoding a query."""
        return float(np.median(self.seconds)) * 1e3

    @property
    def p95_ms(self) -> float | None:
        """The time that 95 of 100 queries stay within; None under 20 samples, which cannot tell."""
        return _p95_ms(self.seconds) if len(self.seconds) >= SAMPLES_FOR_P95 else None

    def end_to_end(self, search_seconds: npt.NDArray[np.float64]) -> tuple[float, float | None]:
        """Return :func:`end_to_end_ms` of these samples."""
        return end_to_end_ms(self.seconds, search_seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the raw samples; a percentile that was not measured is not in it."""
        known = {"p50_ms": self.p50_ms, "p95_ms": self.p95_ms}
        return {
            "what": self.what,
            "samples": len(self.seconds),
            "threads": self.threads,
            "device": self.device,
            "cpu": self.cpu,
            "hostname": self.hostname,
            "measured_at": self.measured_at,
            **{name: value for name, value in known.items() if value is not None},
        }


def end_to_end_ms(
    encoding_seconds: npt.NDArray[np.float64], search_seconds: npt.NDArray[np.float64]
) -> tuple[float, float | None]:
    """Return p50 and p95 in milliseconds of encoding a query and then searching for its vector.

    They are quantiles of the sums of every encoding sample with every sample of the search (with 10,000
    seeded draws of these, where there are more): the two are taken to be independent. The p95 is None under
    20 samples of encoding, which cannot tell.
    """
    if len(search_seconds) > DRAWN:
        search_seconds = np.random.default_rng(0).choice(search_seconds, DRAWN, replace=False)
    sums = np.add.outer(encoding_seconds, search_seconds).ravel()
    tail = _p95_ms(sums) if len(encoding_seconds) >= SAMPLES_FOR_P95 else None
    return float(np.median(sums)) * 1e3, tail


def encoding_of(
    plan: QueryPlan,
    embedder: Embedder,
    queries_key: str,
    search: schemas.Search,
    store: Store,
    *,
    device: str,
    progress: Progress = SILENT,
    clock: Clock = time.perf_counter,
) -> Encoding | None:
    """Return how long the plan's queries take to encode, as measured now or, on the same terms, before.

    None for ready query vectors, and where ``search.encoding`` is false; where it is null, also when it was
    not measured before and the model is not in memory. ``plan``: of the queries whose embeddings
    ``queries_key`` names; ``device``: as ``model.device``. The terms: model and device, queries, threads,
    processor and packages.
    """
    queries = plan.queries
    if search.encoding is False or not isinstance(queries, ImageSet | TextSet):
        return None
    machine = describe_machine()
    recipe = Recipe(
        "encoding",
        ENCODING_VERSION,
        {
            "model": embedder.recipe(queries),
            "device": f"auto of {_devices()}" if device == "auto" else device,
            "threads": search.single_threads,
            "cpu": machine["cpu"],
            "versions": {name: machine["versions"][name] for name in VERSIONS},
        },
        {"queries": queries_key},
    )

    def build(_: Path) -> dict[str, Any]:
        encoder = embedder.encoder
        encode = _encoder_of_one(plan, encoder)
        with threads(search.single_threads), progress.bar("timing encoding", MOST_QUERIES, "queries") as bar:
            seconds = sample_encoding(encode, len(queries), clock, bar.advance)
        return {
            "what": "captions" if isinstance(queries, TextSet) else "images",
            "device": str(encoder.facts()["device"]),
            "seconds": seconds,
        }

    may_measure = search.encoding or embedder.is_loaded
    artifact = store.obtain(recipe, build) if may_measure else store.find(recipe)
    return None if artifact is None else _read(artifact, search.single_threads)


def sample_encoding(
    encode: Callable[[int], bool], count: int, clock: Clock, advance: Callable[[], None] = lambda: None
) -> list[float]:
    """Return the seconds that ``encode`` takes for seeded rows of ``count``, each once, after a warm-up.

    ``encode`` tells whether the row could be encoded; one that could not is no sample. At most 64 rows;
    after 2 seconds no more than 20, after 10 no more than five.
    """
    rows = np.random.default_rng(0).permutation(count)[:MOST_QUERIES].tolist()
    for row in rows[:WARM_UP]:
        encode(row)
    seconds: list[float] = []
    start = clock()
    for row in rows:
        before = clock()
        encoded = encode(row)
        after = clock()
        if encoded:
            seconds.append(after - before)
        advance()
        if any(after - start >= passed and len(seconds) >= samples for passed, samples in ENOUGH):
            break
    return seconds


def _encoder_of_one(plan: QueryPlan, encoder: Encoder) -> Callable[[int], bool]:
    """Return what encodes the query of a row, from its file or text to its vector.

    Of an edited copy that is the original: nobody edits a query to ask it.
    """
    queries = plan.queries
    if isinstance(queries, TextSet):
        texts = queries

        def encode_text(row: int) -> bool:
            encoder.encode_texts([texts.load(row)])
            return True

        return encode_text
    assert isinstance(queries, ImageSet)
    images, row_of = queries, _originals(plan)
    gallery = plan.gallery if isinstance(plan.gallery, ImageSet) else images

    def encode_image(row: int) -> bool:
        original = row_of.get(plan.sources[row])
        try:
            image = images.load(row) if original is None else gallery.load(original)
            encoder.encode_images([encoder.preprocess(image)])
        except ImageError:
            return False
        return True

    return encode_image


def _devices() -> int:
    """How many NVIDIA GPUs the system has: torch, which would know, may not be loaded."""
    return next(number for number in itertools.count() if not Path(f"/dev/nvidia{number}").exists())


def _originals(plan: QueryPlan) -> dict[str, int]:
    """Gallery rows by id of the images whose edited copies are the queries; {} where they are not copies."""
    if plan.edits is None or not isinstance(plan.gallery, ImageSet):
        return {}
    wanted = set(plan.sources)
    return {id_: row for row, id_ in enumerate(plan.gallery.ids) if id_ in wanted}


def _read(artifact: Artifact, count: int) -> Encoding | None:
    facts, machine = artifact.facts, artifact.manifest["machine"]
    seconds: Sequence[float] = facts["seconds"]
    if not seconds:
        return None
    return Encoding(
        what=facts["what"],
        threads=count,
        device=facts["device"],
        cpu=machine["cpu"],
        hostname=machine["hostname"],
        measured_at=artifact.manifest["built_at"],
        seconds=np.array(seconds, np.float64),
    )


def _p95_ms(seconds: npt.NDArray[np.float64]) -> float:
    return float(np.percentile(seconds, 95)) * 1e3
