"""Timing with a clock that only searches move, so that every number is known beforehand."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Mapping
from typing import Any

import faiss
import numpy as np
import pytest

from lookalike import schemas
from lookalike.evaluate.points import Point
from lookalike.evaluate.timing.results import TimedPoints, Timing
from lookalike.evaluate.timing.rounds import Candidate, time_points
from lookalike.machine.environment import all_threads
from lookalike.machine.load import Load
from lookalike.progress import Progress

QUERIES = np.arange(10, dtype=np.float32)[:, None]
FAST, SLOW = Point.of(k=2, nprobe=1), Point.of(k=2, nprobe=4)


class Machine:
    """A searcher and its clock. A query takes ``nprobe`` milliseconds; row found: the query's own number."""

    def __init__(self, slower: Callable[[int], float] = lambda call: 1.0) -> None:
        self.now = 0.0
        self.slower = slower
        self.calls: list[tuple[int, int, int]] = []
        """(nprobe, queries, OpenMP threads) of every search."""
        self.asked_k: set[int] = set()
        self.collecting: set[bool] = set()

    def prepare(self, k: int, settings: Mapping[str, int]) -> Callable[[np.ndarray], Any]:
        self.asked_k.add(k)

        def search(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            self.collecting.add(gc.isenabled())
            self.now += settings["nprobe"] * len(queries) * 1e-3 * self.slower(len(self.calls))
            self.calls.append((settings["nprobe"], len(queries), faiss.omp_get_max_threads()))
            rows = np.repeat(queries.astype(np.int64), k, axis=1)
            return rows.astype(np.float32), rows

        return search

    def time(self, points: list[Point], extra_k: int = 0, **options: Any) -> TimedPoints:
        search = schemas.Search(**{"warm_up": 0, "threads": 1, **options})
        return time_points(
            [Candidate(point, self, QUERIES, extra_k) for point in points], search, clock=lambda: self.now
        )


def timing(seconds: list[float], queries_per_call: int = 1) -> Timing:
    numbers = np.arange(len(seconds))
    return Timing(
        mode="single",
        threads=1,
        queries_per_call=queries_per_call,
        seconds=np.array(seconds),
        wall_seconds=sum(seconds),
        query=numbers.astype(np.int32),
        turn=(numbers * 3 // len(seconds)).astype(np.int16),
        query_count=len(seconds),
    )


def test_percentiles_and_throughput_by_hand() -> None:
    measured = timing([0.001, 0.002, 0.003, 0.004, 0.010])
    assert measured.p50_ms == pytest.approx(3)
    assert measured.p95_ms == pytest.approx(4 + 0.8 * 6)  # position 3.8 of 0 … 4
    assert measured.mean_ms == pytest.approx(4)
    assert measured.qps == pytest.approx(5 / 0.020)
    assert timing([0.5, 0.5], queries_per_call=100).qps == pytest.approx(200)


def test_p99_needs_a_thousand_samples() -> None:
    seconds = [n / 1e6 for n in range(1, 1001)]
    assert timing(seconds[:999]).p99_ms is None
    assert timing(seconds).p99_ms == pytest.approx(990.01e-3)  # position 989.01 of 0 … 999
    assert timing(seconds).as_dict()["samples"] == 1000
    assert timing(seconds[:9]).as_dict()["p99_ms"] is None


def test_single_is_sampled_until_a_thousand_samples() -> None:
    machine = Machine()
    single = machine.time([FAST], modes=["single"], seconds=0.3).points[0].timings["single"]
    # long enough after 0.3 s (300 calls), but short of samples for a p99
    assert single.samples == 1000
    assert single.p50_ms == pytest.approx(1)
    assert single.p99_ms == pytest.approx(1)
    assert single.qps == pytest.approx(1000)
    assert (single.queries_per_call, single.threads) == (1, 1)


def test_slow_single_searches_stop_at_ten_times_the_budget() -> None:
    machine = Machine()
    single = machine.time([SLOW], modes=["single"], seconds=0.03).points[0].timings["single"]
    assert single.samples == 75  # 0.3 s at 4 ms
    assert single.p99_ms is None


def test_fast_single_searches_use_the_whole_budget() -> None:
    machine = Machine()
    single = machine.time([FAST], modes=["single"], seconds=3.0).points[0].timings["single"]
    assert single.samples == pytest.approx(3000, abs=3)


def test_batches_are_of_one_size_and_cover_all_queries_once_at_least() -> None:
    machine = Machine()
    result = machine.time([SLOW], modes=["batch"], seconds=1e-6, batch_size=4).points[0]
    assert {size for _, size, _ in machine.calls} == {4}
    batch = result.timings["batch"]
    assert batch.samples == 3  # one pass
    assert (batch.queries_per_call, batch.p50_ms) == (4, pytest.approx(16))
    assert batch.qps == pytest.approx(250)
    assert batch.distinct_queries == 10
    assert result.rows.tolist() == [[n, n] for n in range(10)]
    assert result.scores.dtype == np.float32
    assert result.rows.dtype == np.int64


def test_a_batch_is_no_larger_than_the_queries() -> None:
    result = Machine().time([FAST], modes=["batch"], seconds=1e-6).points[0]
    assert result.timings["batch"].queries_per_call == 10


def test_results_without_the_batch_mode() -> None:
    result = Machine().time([FAST], extra_k=3, modes=["single"], repeats=1).points[0]
    assert result.rows.tolist() == [[n] * 5 for n in range(10)]


def test_extra_neighbours_are_asked_for() -> None:
    machine = Machine()
    machine.time([FAST], extra_k=3, repeats=1)
    assert machine.asked_k == {5}


@pytest.mark.parametrize("repeats", [1, 4])
def test_repeats_are_passes_over_the_queries(repeats: int) -> None:
    timings = Machine().time([FAST], repeats=repeats, batch_size=5).points[0].timings
    assert timings["single"].samples == 10 * repeats
    assert timings["batch"].samples == 2 * repeats


def test_points_take_turns_in_a_seeded_order() -> None:
    points = [Point.of(k=2, nprobe=n) for n in (1, 2, 3, 4, 5)]
    machine = Machine()
    result = machine.time(points, modes=["batch"], repeats=6)
    turns = [nprobe for nprobe, _, _ in machine.calls]
    rounds = [turns[start : start + 5] for start in range(0, 30, 5)]
    assert all(sorted(order) == [1, 2, 3, 4, 5] for order in rounds)
    assert len({tuple(order) for order in rounds}) > 1
    assert [timed.point for timed in result.points] == points
    assert [timed.timings["batch"].p50_ms for timed in result.points] == pytest.approx([10, 20, 30, 40, 50])

    again = Machine()
    again.time(points, modes=["batch"], repeats=6)
    assert again.calls == machine.calls


def test_a_turn_goes_on_where_the_last_one_ended() -> None:
    queries = np.arange(5000, dtype=np.float32)[:, None]
    asked: dict[int, list[int]] = {1: [], 4: []}

    class Noting(Machine):
        def prepare(self, k: int, settings: Mapping[str, int]) -> Callable[[np.ndarray], Any]:
            search = super().prepare(k, settings)

            def noting(queries: np.ndarray) -> Any:
                asked[settings["nprobe"]] += queries[:, 0].astype(int).tolist()
                return search(queries)

            return noting

    machine = Noting()
    search = schemas.Search(warm_up=0, threads=1, modes=["single"], seconds=2.0)
    candidates = [Candidate(point, machine, queries) for point in (FAST, SLOW)]
    fast, slow = time_points(candidates, search, clock=lambda: machine.now).points
    for found, nprobe, calls in ((fast, 1, 2000), (slow, 4, 1000)):
        single = found.timings["single"]
        assert (single.samples, single.distinct_queries) == (calls, calls)
        assert single.query.tolist() == asked[nprobe][:calls]
        assert len(np.unique(single.turn)) == 9
    assert asked[4][:1000] == asked[1][:1000]  # points are compared on the same queries
    assert asked[1][:1000] != sorted(asked[1][:1000])


def test_points_of_several_indexes_are_timed_in_the_same_rounds() -> None:
    machine, fewer = Machine(), QUERIES[:4].copy()
    other = Machine()
    candidates = [Candidate(FAST, machine, QUERIES), Candidate(SLOW, other, fewer, extra_k=1)]
    search = schemas.Search(warm_up=0, threads=1, modes=["batch"], repeats=2)
    first, second = time_points(candidates, search, clock=lambda: machine.now + other.now).points
    assert first.rows.tolist() == [[n, n] for n in range(10)]
    assert second.rows.tolist() == [[n, n, n] for n in range(4)]
    assert second.timings["batch"].p50_ms == pytest.approx(16)


@pytest.mark.parametrize(
    "slow",
    [pytest.param(lambda t: 1 / 3 < t < 2 / 3, id="middle third"), pytest.param(lambda t: t > 0.6, id="end")],
)
def test_each_point_is_its_own_anchor(slow: Callable[[float], bool]) -> None:
    """Noise of 2 %, queries that differ by a factor; some turns of some points take a fifth longer."""
    rng, hard = np.random.default_rng(0), np.random.default_rng(1).lognormal(0, 0.3, 5000)
    queries = np.arange(5000, dtype=np.float32)[:, None]
    made: dict[int, int] = dict.fromkeys(range(1, 6), 0)

    slowed = {2, 5}

    class Drifting(Machine):
        def prepare(self, k: int, settings: Mapping[str, int]) -> Callable[[np.ndarray], Any]:
            point = settings["nprobe"]

            def search(query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                passed = made[point] / 2000
                factor = 1.2 if point in slowed and slow(passed) else 1.0
                self.now += 1e-3 * factor * hard[int(query[0, 0])] * rng.lognormal(0, 0.02)
                made[point] += 1
                return np.zeros((len(query), k), np.float32), np.zeros((len(query), k), np.int64)

            return search

    points = [Point.of(k=2, nprobe=n) for n in made]
    machine = Drifting()
    search = schemas.Search(warm_up=0, threads=1, modes=["single"], seconds=2.0)
    timed = time_points(
        [Candidate(point, machine, queries) for point in points], search, clock=lambda: machine.now
    )
    assert [bool(found.flags) for found in timed.points] == [n in slowed for n in made]
    assert not any("points" in flag for flag in timed.flags)  # two of five: not the run is doubtful


def test_steady_noise_raises_no_flag_and_one_turn_tells_nothing() -> None:
    assert Machine().time([FAST, SLOW], modes=["single"], repeats=3).drift == pytest.approx(0)
    once = Machine().time([FAST], modes=["single"], repeats=1)
    assert once.drift is None
    assert "drift" not in once.points[0].timings["single"].as_dict()


def test_a_run_whose_points_all_drift_is_flagged() -> None:
    slowing = Machine(slower=lambda call: 1.2 if call >= 40 else 1.0)
    result = slowing.time([FAST, SLOW], modes=["single"], repeats=3)
    assert result.drift == pytest.approx(0.2)
    assert "20% longer" in result.points[0].flags[0]
    assert "2 of 2 points" in result.flags[0]


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (Load(), ""),
        (Load(0.2, 0.9, 0), ""),
        (Load(1.0, 0.0), "kept 1.0 cores busy while"),
        (Load(0.1, 1.4), "kept 1.5 cores busy (0.1 of them on the processors of this job)"),
        (Load(0.0, 0.0, 31), "quota of processor time stopped searches in 31 periods"),
    ],
)
def test_other_load_is_counted_in_cores(load: Load, said: str) -> None:
    flags = TimedPoints((), load).flags
    assert len(flags) == bool(said)
    assert said in "".join(flags)


class Told(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({"seconds": 60.0}, ["timing searches: about 2 minutes (2 points × 1 mode × search.seconds=60)"]),
        ({"seconds": 30.0}, []),
        ({"seconds": 60.0, "repeats": 1}, []),
    ],
)
def test_timing_that_takes_long_is_announced(options: dict[str, Any], lines: list[str]) -> None:
    machine, told = Machine(lambda call: 1000.0), Told()
    search = schemas.Search(warm_up=0, threads=1, modes=["single"], **options)
    candidates = [Candidate(point, machine, QUERIES) for point in (FAST, SLOW)]
    time_points(candidates, search, progress=told, clock=lambda: machine.now)
    assert told.lines == lines


def test_warm_up_is_not_timed() -> None:
    machine = Machine(slower=lambda call: 100.0 if call < 3 else 1.0)
    single = machine.time([FAST], modes=["single"], warm_up=3, repeats=1).points[0].timings["single"]
    assert single.p50_ms == pytest.approx(1)
    assert single.seconds.max() == pytest.approx(1e-3)
    assert len(machine.calls) == 3 + 10 + 1  # and the results' own pass


def test_threads_are_set_for_each_mode_and_given_back() -> None:
    before = faiss.omp_get_max_threads()
    machine = Machine()
    result = machine.time([FAST], modes=["single", "batch"], repeats=1, threads=3, single_threads=2)
    assert {count for _, size, count in machine.calls if size == 1} == {2}
    assert {count for _, size, count in machine.calls if size == 10} == {3}
    assert {mode: t.threads for mode, t in result.points[0].timings.items()} == {"single": 2, "batch": 3}
    assert faiss.omp_get_max_threads() == before


def test_all_cores_by_default() -> None:
    result = Machine().time([FAST], modes=["batch"], repeats=1, threads=None)
    assert result.points[0].timings["batch"].threads == all_threads()


def test_the_garbage_collector_waits() -> None:
    machine = Machine()
    machine.time([FAST], modes=["single"], repeats=1)
    assert gc.isenabled()
    assert machine.collecting == {False, True}  # True: the results' own pass, which is not timed


def test_saturated_searches_from_many_threads_with_one_openmp_thread_each() -> None:
    together = threading.Barrier(3, timeout=20)
    seen: set[tuple[int, int]] = set()

    class Meeting:
        """Answers only when three threads ask at once."""

        def prepare(self, k: int, settings: Mapping[str, int]) -> Callable[[np.ndarray], Any]:
            def search(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                if threading.current_thread() is not threading.main_thread():
                    together.wait()
                    seen.add((len(queries), faiss.omp_get_max_threads()))
                rows = np.zeros((len(queries), k), np.int64)
                return rows.astype(np.float32), rows

            return search

    search = schemas.Search(modes=["saturated"], threads=3, repeats=2)
    timed = time_points([Candidate(FAST, Meeting(), QUERIES)], search)
    saturated = timed.points[0].timings["saturated"]
    assert saturated.samples == 3 * 2 * 10
    assert saturated.threads == 3
    assert seen == {(1, 1)}
    assert saturated.wall_seconds < saturated.seconds.sum()
    assert saturated.qps == pytest.approx(60 / saturated.wall_seconds)


def test_a_failing_search_ends_the_timing() -> None:
    class Broken(Machine):
        def prepare(self, k: int, settings: Mapping[str, int]) -> Callable[[np.ndarray], Any]:
            raise_at = iter(range(5))

            def search(queries: np.ndarray) -> Any:
                if next(raise_at, None) is None:
                    raise RuntimeError("broken")
                return np.zeros((len(queries), k), np.float32), np.zeros((len(queries), k), np.int64)

            return search

    for mode in ("single", "saturated"):
        with pytest.raises(RuntimeError, match="broken"):
            Broken().time([FAST], modes=[mode], repeats=1)
    assert gc.isenabled()
