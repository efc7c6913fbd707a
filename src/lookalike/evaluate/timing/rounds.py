"""Every operating point has its turns, in shuffled rounds, so that no point pays for a slow minute alone."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from lookalike import schemas
from lookalike.evaluate.points import Floats, Point, Rows
from lookalike.evaluate.timing.concurrent import ConcurrentTimings
from lookalike.evaluate.timing.results import SAMPLES_FOR_P99, TimedPoint, TimedPoints, Timing
from lookalike.evaluate.timing.sampling import (
    Budget,
    Calls,
    Clock,
    Samples,
    Search,
    sample,
    sample_saturated,
)
from lookalike.index.searchers import Searcher
from lookalike.machine.environment import all_threads, threads
from lookalike.machine.load import LoadMeter
from lookalike.progress import SILENT, Progress

ROUNDS = 9
"""How many turns each point has; they share the time budget."""
LEAST_CALLS = 3
"""However slow a search is, it is timed so many times, in turns far from each other."""
STRETCH = 10
"""Single queries are sampled up to this many times their budget, until there are samples for a p99."""
LATER_WARM_UP = 4
"""Warm-ups after a point's first turn have so many times fewer queries: the index is in memory by then."""


@dataclass(frozen=True)
class Candidate:
    """An operating point, with the loaded index that it is a point of and the queries that it is asked."""

    point: Point
    searcher: Searcher
    queries: Floats = field(repr=False)
    """float32, C-contiguous, (n ≥ 1, d)."""
    extra_k: int = 0
    """Neighbours asked for beyond ``k``, to make up for ignored ones."""


def time_points(
    candidates: Sequence[Candidate],
    search: schemas.Search,
    *,
    seed: int = 0,
    progress: Progress = SILENT,
    clock: Clock = time.perf_counter,
) -> TimedPoints:
    """Time all ``candidates``, of one index or of several, in every mode of ``search.modes``, and keep what
    they find.

    In each of nine rounds every point has one turn in each mode, after a warm-up, in an order shuffled by
    ``seed``. A turn goes on with the query after the last one of the turn before. The order of the queries is
    shuffled by ``seed`` too, and is the same for all candidates with as many queries: of two points, the one
    with fewer calls was asked the first queries of those that the other was asked.

    After each turn a point has had its part of ``search.seconds``, and (``single``) of the calls for a p99,
    for which it may take up to ten times as long, or (``batch``) of one pass over the queries. A turn that
    would begin with that already done, as after slow searches, is left out. With ``search.repeats`` there are
    as many rounds, and every turn is one pass over the queries (``saturated``: one by each thread).
    """
    rounds = search.repeats or ROUNDS
    asked = {
        id(queries): _Asked(queries, search.batch_size, seed)
        for queries in {id(candidate.queries): candidate.queries for candidate in candidates}.values()
    }
    turns = [_Turns(candidate, asked[id(candidate.queries)], search.modes) for candidate in candidates]
    stopwatch = _Stopwatch(search, rounds, clock)
    total = rounds * len(search.modes) * len(turns)
    if not search.repeats:
        of_points = f"{len(turns)} point{'' if len(turns) == 1 else 's'}"
        of_modes = f"{len(search.modes)} mode{'' if len(search.modes) == 1 else 's'}"
        why = f"{of_points} × {of_modes} × search.seconds={search.seconds:g}"
        progress.expect("timing searches", len(turns) * len(search.modes) * search.seconds, why)
    with (
        progress.bar("timing searches", total, "turns") as bar,
        ConcurrentTimings() as concurrent,
        LoadMeter() as meter,
        _no_collector(),
    ):
        for number in range(rounds):
            order = np.random.default_rng([seed, number]).permutation(len(turns))
            for mode in search.modes:
                with threads(stopwatch.openmp_threads(mode)):
                    for position in order:
                        stopwatch.measure(mode, turns[position], number)
                        bar.advance()
    with threads(search.threads):
        timed = tuple(stopwatch.read(turn) for turn in turns)
    return TimedPoints(timed, meter.load, concurrent.others)


class _Asked:
    """One set of queries as each mode asks them, in a shuffled order."""

    def __init__(self, queries: Floats, batch_size: int, seed: int) -> None:
        self.queries = queries
        self.size = min(batch_size, len(queries))
        batches = math.ceil(len(queries) / self.size)
        self.singles = Calls(_shuffled(len(queries), seed), lambda row: queries[row : row + 1])
        self.batches = Calls(_shuffled(batches, seed), self._batch)

    def calls(self, mode: str) -> Calls:
        return self.batches if mode == "batch" else self.singles

    def _batch(self, number: int) -> Floats:
        """Batches are of exactly one size, or percentiles would mix long and short ones; the last one begins
        again.
        """
        start = number * self.size
        batch = self.queries[start : start + self.size]
        missing = self.size - len(batch)
        return np.concatenate([batch, self.queries[:missing]]) if missing else batch


class _Turns:
    """One point, ready to be searched, and all that its turns measured and found."""

    def __init__(self, candidate: Candidate, asked: _Asked, modes: Sequence[str]) -> None:
        self.point, self.asked = candidate.point, asked
        self.search: Search = candidate.searcher.prepare(
            candidate.point.k + candidate.extra_k, candidate.point.as_dict()
        )
        self.samples: dict[str, dict[int, Samples]] = {mode: {} for mode in modes}
        """By mode and number of the turn."""
        self.spent = dict.fromkeys(modes, 0.0)
        """Seconds that the turns of a mode took so far."""
        self.upcoming: dict[str, list[Calls]] = {}
        """What each thread of a mode asks next."""
        self.found: dict[int, tuple[Floats, Rows]] = {}
        """Results by batch."""


class _Stopwatch:
    """Measures turns: has the clock and the budgets."""

    def __init__(self, search: schemas.Search, rounds: int, clock: Clock) -> None:
        self.options, self.rounds, self.clock = search, rounds, clock

    def openmp_threads(self, mode: str) -> int | None:
        """OpenMP threads of one search in a mode; None: all cores."""
        return {"single": self.options.single_threads, "batch": self.options.threads, "saturated": 1}[mode]

    def measure(self, mode: str, turn: _Turns, number: int) -> None:
        """Let a point have its turn of round ``number``, unless earlier ones took its time."""
        taken, calls = turn.samples[mode], turn.asked.calls(mode)
        count = self._searching_threads() if mode == "saturated" else 1
        upcoming = turn.upcoming.setdefault(
            mode, [calls.after(n * len(calls.order) // count) for n in range(count)]
        )
        done = sum(len(samples.seconds) for samples in taken.values()) // count
        budget = self._budget(mode, len(calls.order), number, turn.spent[mode], done)
        if budget is None:
            return
        self._warm(mode, turn, first=not taken)
        start = self.clock()
        if mode == "saturated":
            taken[number], made = sample_saturated(turn.search, upcoming, budget, self.clock)
        else:
            found = turn.found if mode == "batch" else None
            taken[number] = sample(turn.search, upcoming[0], budget, self.clock, found)
            made = [len(taken[number].seconds)]
        turn.spent[mode] += self.clock() - start
        turn.upcoming[mode] = [own.after(n) for own, n in zip(upcoming, made, strict=True)]

    def _searching_threads(self) -> int:
        return self.options.threads or all_threads()

    def _warm(self, mode: str, turn: _Turns, first: bool) -> None:
        count = self.options.warm_up // (1 if first or self.options.repeats else LATER_WARM_UP)
        queries, singles = turn.asked.queries, turn.asked.singles
        if mode != "batch":
            for row in singles.numbers(min(count, len(queries))):
                turn.search(singles.query(int(row)))
        elif count:
            turn.search(queries[:count])

    def _budget(self, mode: str, one_pass: int, number: int, spent: float, done: int) -> Budget | None:
        """What is left for turn ``number`` after ``spent`` seconds and ``done`` calls (of each thread) in
        earlier ones; None when that is nothing.
        """
        if self.options.repeats:
            return Budget(0.0, one_pass, math.inf)
        share = (number + 1) / self.rounds
        calls = {"single": SAMPLES_FOR_P99, "batch": max(one_pass, LEAST_CALLS)}.get(mode, LEAST_CALLS)
        stretch = STRETCH if mode == "single" else math.inf
        budget = Budget(
            self.options.seconds * share - spent,
            math.ceil(calls * share) - done,
            self.options.seconds * stretch * share - spent,
            math.ceil(LEAST_CALLS * share) - done,
        )
        return None if budget.spent(0.0, 0) else budget

    def read(self, turn: _Turns) -> TimedPoint:
        """All that the turns of a point measured, and what it found."""
        batches = turn.asked.batches
        for number in range(len(batches.order)):
            if number not in turn.found:
                turn.found[number] = turn.search(batches.query(number))
        found = [turn.found[number] for number in range(len(batches.order))]
        scores, rows = (
            np.concatenate(parts)[: len(turn.asked.queries)] for parts in zip(*found, strict=True)
        )
        timings = {mode: self._timing(mode, turn) for mode in turn.samples}
        return TimedPoint(turn.point, timings, scores, rows)

    def _timing(self, mode: str, turn: _Turns) -> Timing:
        taken, asked = turn.samples[mode], turn.asked
        openmp = self.openmp_threads(mode) or all_threads()
        per_call = asked.size if mode == "batch" else 1
        return Timing(
            mode=mode,
            threads=self._searching_threads() if mode == "saturated" else openmp,
            queries_per_call=per_call,
            seconds=np.concatenate([samples.seconds for samples in taken.values()]),
            wall_seconds=sum(samples.wall_seconds for samples in taken.values()),
            query=np.concatenate([samples.asked for samples in taken.values()]) * np.int32(per_call),
            turn=np.repeat(
                np.fromiter(taken, np.int16), [len(samples.seconds) for samples in taken.values()]
            ),
            query_count=len(asked.queries),
        )


def _shuffled(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(count).astype(np.int32)


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
