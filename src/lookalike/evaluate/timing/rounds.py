"""Every operating point has its turns, in shuffled rounds, so that no point pays for a slow minute alone."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from lookalike import schemas
from lookalike.evaluate.points import Floats, Point, Rows
from lookalike.evaluate.timing.concurrent import ConcurrentTimings
from lookalike.evaluate.timing.results import SAMPLES_FOR_P99, TimedPoint, TimedPoints, Timing
from lookalike.evaluate.timing.sampling import Budget, Clock, Samples, Search, sample, sample_saturated
from lookalike.index.searchers import Searcher
from lookalike.machine.environment import BusyMeter, cores, threads
from lookalike.progress import SILENT, Progress

ROUNDS = 3
"""How many turns each point has; they share the time budget."""
STRETCH = 10
"""A single-query turn lasts up to this many times its budget, until there are samples for a p99."""


def time_points(
    searcher: Searcher,
    queries: Floats,
    points: Sequence[Point],
    search: schemas.Search,
    extra_k: int = 0,
    *,
    seed: int = 0,
    progress: Progress = SILENT,
    clock: Clock = time.perf_counter,
) -> TimedPoints:
    """Time all points of one loaded index in every mode of ``search.modes``, and keep what they find.

    ``queries``: float32, C-contiguous, (n ≥ 1, d). ``extra_k``: neighbours asked for beyond ``k``, to make up
    for ignored ones. In each of three rounds every point has one turn in each mode, after a warm-up, in an
    order shuffled by ``seed``; the first point opens the first round and closes the last, which shows drift.

    A turn lasts a third of ``search.seconds``: in mode ``single`` up to ten times as long, until a third of
    the samples for a p99 are in; the first in mode ``batch`` is at least one pass over the queries. With
    ``search.repeats`` there are as many rounds, and every turn is one pass over the queries (``saturated``:
    one by each thread).
    """
    rounds = search.repeats or ROUNDS
    stopwatch = _Stopwatch(search, queries, seed, clock)
    turns = [
        _Turns(point, searcher.prepare(point.k + extra_k, point.as_dict()), search.modes) for point in points
    ]
    total = rounds * len(search.modes) * len(turns)
    if not search.repeats:
        of_points = f"{len(turns)} point{'' if len(turns) == 1 else 's'}"
        of_modes = f"{len(search.modes)} mode{'' if len(search.modes) == 1 else 's'}"
        why = f"{of_points} × {of_modes} × search.seconds={search.seconds:g}"
        progress.expect("timing searches", len(turns) * len(search.modes) * search.seconds, why)
    with (
        progress.bar("timing searches", total, "turns") as bar,
        ConcurrentTimings() as concurrent,
        BusyMeter() as busy,
        _no_collector(),
    ):
        for number in range(rounds):
            order = _order(len(turns), number, rounds, seed)
            for mode in search.modes:
                with threads(stopwatch.openmp_threads(mode)):
                    for position in order:
                        stopwatch.measure(mode, turns[position])
                        bar.advance()
    with threads(search.threads):
        timed = tuple(stopwatch.read(turn) for turn in turns)
    anchor = turns[0].samples
    drift = _drift(anchor.get("single", anchor[search.modes[0]]))
    return TimedPoints(timed, drift, busy.other_cpu_share, concurrent.others)


class _Turns:
    """One point, ready to be searched, and all that its turns measured and found."""

    def __init__(self, point: Point, search: Search, modes: Sequence[str]) -> None:
        self.point, self.search = point, search
        self.samples: dict[str, list[Samples]] = {mode: [] for mode in modes}
        self.found: list[tuple[Floats, Rows]] = []
        """Results of one pass over the batches."""


class _Stopwatch:
    """Measures turns: has the clock, the budgets, and the queries as each mode asks them."""

    def __init__(self, search: schemas.Search, queries: Floats, seed: int, clock: Clock) -> None:
        self.options, self.queries, self.clock = search, queries, clock
        shuffled = np.random.default_rng(seed).permutation(len(queries))
        self.singles = [queries[row : row + 1] for row in shuffled]
        self.batches = _equal_batches(queries, min(search.batch_size, len(queries)))
        self.warm_up = self.singles[: search.warm_up]
        self.warm_up_batch = queries[: search.warm_up]

    def openmp_threads(self, mode: str) -> int | None:
        """OpenMP threads of one search in a mode; None: all cores."""
        return {"single": self.options.single_threads, "batch": self.options.threads, "saturated": 1}[mode]

    def measure(self, mode: str, turn: _Turns) -> None:
        """Let a point have one turn."""
        search = {"single": self._single, "batch": self._batch, "saturated": self._saturated}[mode]
        turn.samples[mode].append(search(turn))

    def _single(self, turn: _Turns) -> Samples:
        self._warm(turn)
        budget = self._budget(self.singles, math.ceil(SAMPLES_FOR_P99 / ROUNDS), STRETCH)
        return sample(turn.search, self.singles, budget, self.clock)

    def _batch(self, turn: _Turns) -> Samples:
        if len(self.warm_up_batch):
            turn.search(self.warm_up_batch)
        budget = self._budget(self.batches, 1 if turn.found else len(self.batches), math.inf)
        return sample(turn.search, self.batches, budget, self.clock, None if turn.found else turn.found)

    def _saturated(self, turn: _Turns) -> Samples:
        self._warm(turn)
        budget = self._budget(self.singles, 1, math.inf)
        return sample_saturated(turn.search, self.singles, budget, self.clock, self._searching_threads())

    def _searching_threads(self) -> int:
        return self.options.threads or cores()

    def _warm(self, turn: _Turns) -> None:
        for query in self.warm_up:
            turn.search(query)

    def _budget(self, queries: Sequence[Floats], calls: int, stretch: float) -> Budget:
        if self.options.repeats:
            return Budget(0.0, len(queries), math.inf)
        seconds = self.options.seconds / ROUNDS
        return Budget(seconds, calls, seconds * stretch)

    def read(self, turn: _Turns) -> TimedPoint:
        """All that the turns of a point measured, and what it found."""
        found = turn.found or [turn.search(batch) for batch in self.batches]
        scores, rows = (np.concatenate(parts)[: len(self.queries)] for parts in zip(*found, strict=True))
        timings = {mode: self._timing(mode, taken) for mode, taken in turn.samples.items()}
        return TimedPoint(turn.point, timings, scores, rows)

    def _timing(self, mode: str, taken: Sequence[Samples]) -> Timing:
        openmp = self.openmp_threads(mode) or cores()
        return Timing(
            mode=mode,
            threads=self._searching_threads() if mode == "saturated" else openmp,
            queries_per_call=len(self.batches[0]) if mode == "batch" else 1,
            seconds=np.concatenate([samples.seconds for samples in taken]),
            wall_seconds=sum(samples.wall_seconds for samples in taken),
        )


def _equal_batches(queries: Floats, size: int) -> list[Floats]:
    """Batches of exactly ``size``, or percentiles would mix long and short ones; the last begins again."""
    missing = -len(queries) % size
    padded = np.concatenate([queries, queries[:missing]]) if missing else queries
    return [padded[start : start + size] for start in range(0, len(padded), size)]


def _order(count: int, number: int, rounds: int, seed: int) -> list[int]:
    """Positions of the points in round ``number``: shuffled, but the first point opens the first round and
    closes the last one.
    """
    order: list[int] = np.random.default_rng([seed, number]).permutation(count).tolist()
    if number in (0, rounds - 1):
        order.remove(0)
        order.insert(0 if number == 0 else count - 1, 0)
    return order


def _drift(anchor: Sequence[Samples]) -> float | None:
    """Relative change of the median call from the first turn to the last."""
    if len(anchor) < 2:
        return None
    return float(np.median(anchor[-1].seconds) / np.median(anchor[0].seconds)) - 1


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keep Python's garbage collector from running inside a sample."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
