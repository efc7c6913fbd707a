"""Asks a finished run one query at a time, as the run itself was asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookalike.datasets.sets import ImageSet
from lookalike.embed.models.protocol import Encoder
from lookalike.errors import ImageError, ModelError, QueryError
from lookalike.evaluate.exact import recomputed_scores
from lookalike.index.brute_force import BruteForceSearcher
from lookalike.machine.environment import threads
from lookalike.progress import SILENT, Progress
from lookalike.runs.catalog import RunPlace
from lookalike.runs.opened import OpenedRun
from lookalike.runs.record import PointRecord, Record
from lookalike.schemas import Experiment

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

SPARE = 16
"""Candidates of an exact search beyond k: they are scored again one by one, which may reorder close ones."""


@dataclass(frozen=True)
class Hits:
    """What one search returned, nearest first; shorter than k when the index found fewer."""

    rows: Rows
    """Gallery rows, int64, shape (k,)."""
    scores: Floats
    """As the index gives them, float32, shape (k,): squared distances (l2) or inner products (ip)."""
    ids: Sequence[str]
    milliseconds: float
    """What this very search took, embedding apart."""

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Comparison:
    """One query's answer beside the exact one."""

    found: Hits
    exact: Hits
    missed: frozenset[int]
    """Rows of ``exact`` that the index did not return; of rows that tie at the last place, any will do."""
    wrong: frozenset[int]
    """Rows of ``found`` that are no exact neighbours and do not tie with the last of them."""

    @property
    def recall(self) -> float:
        """``knn_recall`` of this query, as the measure of that name has it."""
        return (len(self.found) - len(self.wrong)) / len(self.exact)


class Retriever:
    """The gallery, model and index of one operating point, ready for queries. Safe to share by threads."""

    def __init__(self, run: OpenedRun, gallery: ImageSet) -> None:
        self.run = run
        self.gallery = gallery
        self.searcher = run.searcher
        self.settings = {name: value for name, value in run.point.settings.items() if name != "k"}
        run.embedder  # noqa: B018 — checks the model before the first query comes

    @classmethod
    def open(cls, place: RunPlace, root: Path, progress: Progress = SILENT) -> Retriever:
        """Open the run at ``place``; ``root`` is ``paths.root``, whose store has its parts.

        Raises UserError when vectors or index are gone, DatasetError when the gallery's images are,
        ModelError when the model is not what it was, or the run is of ready vectors.
        """
        run = OpenedRun.open(place, root, progress)
        run.embedder  # noqa: B018 — a run of ready vectors ends here
        gallery = run.gallery
        if not isinstance(gallery, ImageSet):
            raise ModelError("this run has no images; choose a run over images")
        return cls(run, gallery)

    @property
    def record(self) -> Record:
        """The run's."""
        return self.run.record

    @property
    def point(self) -> PointRecord:
        """The operating point's."""
        return self.run.point

    @property
    def experiment(self) -> Experiment:
        """What the run was composed of."""
        return self.run.experiment

    @property
    def metric(self) -> str:
        """l2 | ip."""
        return self.experiment.index.metric

    @property
    def max_k(self) -> int:
        """How many images there are to be found."""
        return len(self.gallery)

    @property
    def limits(self) -> dict[str, int | None]:
        """The search settings that the index has, each with its largest value (None: any)."""
        index = self.experiment.index
        return {name: index.list_count() if name == "nprobe" else None for name in index.search_settings()}

    @cached_property
    def reads_text(self) -> bool:
        """Whether the model has a text tower whose files are there."""
        try:
            self.run.embedder.model.text_recipe(self.run.store)
        except ModelError:
            return False
        return True

    # --- embedding -------------------------------------------------------------------------------------

    def embed_image(self, image: Image.Image) -> Floats:
        """The image's vector, float32, shape (1, d), prepared and scaled as the gallery's were.

        Raises ImageError when it has no direction, ModelError when the model cannot run.
        """
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        return self._vector(lambda model: model.encode_images([model.preprocess(rgb)]), "this image")

    def embed_text(self, caption: str) -> Floats:
        """The caption's vector, float32, shape (1, d). Raises ModelError without a text tower."""
        self.run.embedder.model.text_recipe(self.run.store)
        return self._vector(lambda model: model.encode_texts([caption]), "this caption")

    def _vector(self, encode: Callable[[Encoder], Floats], what: str) -> Floats:
        with threads(None):
            vector = encode(self.run.embedder.encoder)
        if not np.isfinite(vector).all():
            raise ModelError(f"the model gives NaN or Inf for {what}; use a run with model.dtype=float32")
        if self.experiment.model.normalize:
            length = np.linalg.norm(vector, axis=1, keepdims=True)
            if not length.all():
                raise ImageError(f"the vector of {what} is zero and has no direction; search for another one")
            vector = vector / length
        return np.ascontiguousarray(vector, np.float32)

    # --- searching -------------------------------------------------------------------------------------

    def search(self, vector: Floats, k: int, settings: Mapping[str, int] | None = None) -> Hits:
        """The ``k`` nearest as the index finds them, with the run's search settings unless others are named.

        Raises QueryError for a k or a setting that cannot be.
        """
        chosen = self.settings | dict(settings or {})
        self._check(k, chosen)
        search = self.searcher.prepare(k, chosen)
        with threads(self.experiment.search.single_threads):
            start = time.perf_counter()
            scores, rows = search(_query(vector))
            milliseconds = 1000 * (time.perf_counter() - start)
        return self._hits(rows[0], scores[0], milliseconds)

    def exact(self, vector: Floats, k: int) -> Hits:
        """The true ``k`` nearest by the index's metric, ties by row: every vector is looked at."""
        self._check(k, {})
        query = _query(vector)
        with threads(None):
            start = time.perf_counter()
            _, rows = self._exhaustive.search(query, min(k + SPARE, self.max_k), {})
            scores = self.scores(query, rows[0])
            nearest = np.lexsort((rows[0], self._sign * scores))[:k]
            milliseconds = 1000 * (time.perf_counter() - start)
        return self._hits(rows[0][nearest], scores[nearest], milliseconds)

    def compare(self, vector: Floats, k: int, settings: Mapping[str, int] | None = None) -> Comparison:
        """:meth:`search` beside :meth:`exact`."""
        found, exact = self.search(vector, k, settings), self.exact(vector, k)
        true, returned = exact.rows.tolist(), found.rows.tolist()
        last = self._sign * float(exact.scores[-1])
        margin = self.experiment.measures.tie_tolerance * abs(last)
        strangers = [row for row in returned if row not in set(true)]
        costs = self._sign * self.scores(vector, np.array(strangers, np.int64))
        wrong = frozenset(row for row, cost in zip(strangers, costs, strict=True) if cost > last + margin)
        absent = [place for place, row in enumerate(true) if row not in set(returned)]
        tied = [place for place in absent if self._sign * exact.scores[place] >= last - margin]
        stood_in_for = tied[: len(strangers) - len(wrong)]
        missed = frozenset(true[place] for place in absent if place not in stood_in_for)
        return Comparison(found, exact, missed, wrong)

    def scores(self, vector: Floats, rows: Rows) -> Floats:
        """The true scores of given gallery rows, float32, shape (len(rows),)."""
        scores: Floats = recomputed_scores(self.run.vectors, _query(vector), rows[None], self.metric)[0]
        return scores

    @cached_property
    def _exhaustive(self) -> BruteForceSearcher:
        return BruteForceSearcher(self.run.vectors.shards, self.metric)

    @property
    def _sign(self) -> int:
        """``sign`` × score is the smaller, the nearer."""
        return 1 if self.metric == "l2" else -1

    def _check(self, k: int, settings: Mapping[str, int]) -> None:
        if not 1 <= k <= self.max_k:
            raise QueryError(f"k={k} does not fit a gallery of {self.max_k:,} images; give 1 to {self.max_k}")
        for name, value in settings.items():
            if name not in self.limits:
                known = ", ".join(self.limits) or "none"
                raise QueryError(
                    f"index={self.experiment.index.family} has no setting {name}; it has: {known}"
                )
            most = self.limits[name]
            if value < 1 or (most is not None and value > most):
                raise QueryError(
                    f"{name}={value} is out of range; give 1 {f'to {most}' if most else 'or more'}"
                )

    def _hits(self, rows: Rows, scores: Floats, milliseconds: float) -> Hits:
        there = rows >= 0
        rows, scores = rows[there], scores[there]
        return Hits(rows, scores, [self.run.vectors.ids[row] for row in rows], milliseconds)


def _query(vector: Floats) -> Floats:
    return np.ascontiguousarray(vector.reshape(1, -1), np.float32)
