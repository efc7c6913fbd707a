"""What was measured. Percentiles and queries a second are read off the same raw samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lookalike.evaluate.points import Floats, Point, Rows
from lookalike.evaluate.timing.drift import DRIFT_LIMIT, drift
from lookalike.evaluate.timing.intervals import percentile_intervals
from lookalike.machine.load import Load

SAMPLES_FOR_P99 = 1_000
MANY = 0.5
"""Share of the points that drift from which on the run is to blame, not the point."""
BUSY_HERE = 0.25
"""Cores that others may use of those that this process runs on: more, and they keep a search waiting."""
BUSY_ELSEWHERE = 1.0
"""Cores that others may use of the machine's other ones: more, and they take memory's and caches' speed."""


@dataclass(frozen=True)
class Timing:
    """Samples of one operating point in one mode; percentiles interpolate linearly between samples."""

    mode: str
    threads: int
    """OpenMP threads of a search; for ``saturated`` the threads that search, with one OpenMP thread each."""
    queries_per_call: int
    seconds: npt.NDArray[np.float64] = field(repr=False)
    """One sample a call, in the order in which they were taken (``saturated``: thread after thread)."""
    wall_seconds: float
    """What the samples took together: their sum; for ``saturated`` from the first start to the last end."""
    query: npt.NDArray[np.int32] = field(repr=False)
    """Row of the query of each sample; of a batch its first one's."""
    turn: npt.NDArray[np.int16] = field(repr=False)
    """Round in which each sample was taken, from 0 on; rounds without one are left out."""
    query_count: int
    """How many queries there are to be asked."""

    @property
    def distinct_queries(self) -> int:
        """How many different queries the samples asked."""
        return min(len(np.unique(self.query)) * self.queries_per_call, self.query_count)

    @property
    def samples(self) -> int:
        """Number of calls that were timed."""
        return len(self.seconds)

    @property
    def mean_ms(self) -> float:
        """Mean time of a call."""
        return float(self.seconds.mean()) * 1e3

    @property
    def p50_ms(self) -> float:
        """Median time of a call."""
        return self._percentile_ms(50)

    @property
    def p95_ms(self) -> float:
        """The time that 95 of 100 calls stay within."""
        return self._percentile_ms(95)

    @property
    def p99_ms(self) -> float | None:
        """The time that 99 of 100 calls stay within; None under 1,000 samples, which cannot tell."""
        return self._percentile_ms(99) if self.samples >= SAMPLES_FOR_P99 else None

    @property
    def qps(self) -> float:
        """Queries a second."""
        return self.samples * self.queries_per_call / self.wall_seconds

    def as_dict(self) -> dict[str, float | int | list[float] | None]:
        """Everything but the raw samples."""
        names = ("threads", "queries_per_call", "samples", "distinct_queries", "p50_ms", "p95_ms", "p99_ms")
        return {
            **{name: getattr(self, name) for name in (*names, "mean_ms", "qps")},
            **{f"turn_p{q}_ms": self._of_turns_ms(q) for q in (50, 95)},
            **{f"p{q}_ms_interval": [end * 1e3 for end in ends] for q, ends in self.intervals.items()},
            **({} if self.drift is None else {"drift": self.drift}),
        }

    @cached_property
    def intervals(self) -> Mapping[int, tuple[float, float]]:
        """Percentile -> its 95 % interval in seconds, of the percentiles that have one."""
        known = (50, 95, 99) if self.samples >= SAMPLES_FOR_P99 else (50, 95)
        return percentile_intervals(self.seconds, self.query, self.turn, known)

    @cached_property
    def drift(self) -> float | None:
        """How much longer calls took in some turns than in the others; None with one turn."""
        return drift(self.seconds, self.turn)

    def _of_turns_ms(self, q: int) -> list[float]:
        """A percentile of each turn, in the order of the turns."""
        return [
            float(np.percentile(self.seconds[self.turn == turn], q)) * 1e3 for turn in np.unique(self.turn)
        ]

    def _percentile_ms(self, q: int) -> float:
        return float(np.percentile(self.seconds, q)) * 1e3


@dataclass(frozen=True)
class TimedPoint:
    """One operating point: what it took and what it found."""

    point: Point
    timings: Mapping[str, Timing]
    """By mode."""
    scores: Floats = field(repr=False)
    """float32, (queries, k + extra), as the searcher gave them."""
    rows: Rows = field(repr=False)
    """int64, same shape, nearest first; −1 where fewer were found."""

    @property
    def flags(self) -> list[str]:
        """Why these latencies should be doubted; empty when nothing speaks against them."""
        return [
            f"{mode} searches took {timing.drift:.0%} longer at times than at others; "
            "time again on a quieter machine, or for longer (search.seconds)"
            for mode, timing in self.timings.items()
            if timing.drift is not None and timing.drift > DRIFT_LIMIT
        ]


@dataclass(frozen=True)
class TimedPoints:
    """All points of one run, and how far the machine can be trusted."""

    points: tuple[TimedPoint, ...]
    """In the order in which they were given."""
    load: Load = field(default_factory=Load)
    """What other processes did meanwhile."""
    other_timings: int | None = None
    """Other processes that timed searches on this machine meanwhile; None when unknown."""

    @property
    def drift(self) -> float | None:
        """The largest change among all points' single searches (else in their first mode); None with one
        round.
        """
        first = (timed.timings.get("single", next(iter(timed.timings.values()))) for timed in self.points)
        changes = [timing.drift for timing in first if timing.drift is not None]
        return max(changes, default=None)

    @property
    def flags(self) -> list[str]:
        """Why these latencies should be doubted; empty when nothing speaks against them."""
        found = []
        drifting = sum(bool(timed.flags) for timed in self.points)
        if drifting > 1 and drifting >= MANY * len(self.points):
            found.append(
                f"{drifting} of {len(self.points)} points took longer in some rounds than in others; "
                "time again on a quieter machine, or for longer (search.seconds)"
            )
        here, elsewhere = self.load.cores_here or 0.0, self.load.cores_elsewhere or 0.0
        if here > BUSY_HERE or elsewhere > BUSY_ELSEWHERE:
            apart = f" ({here:.1f} of them on the processors of this job)" if elsewhere >= 0.05 else ""
            found.append(
                f"other processes kept {here + elsewhere:.1f} cores busy{apart} while searches were timed; "
                "end them and time again"
            )
        if self.load.throttled:
            found.append(
                f"the container's quota of processor time stopped searches in {self.load.throttled} periods "
                "while they were timed; raise the quota, or lower search.threads"
            )
        if self.other_timings:
            jobs = "job" if self.other_timings == 1 else "jobs"
            found.append(
                f"{self.other_timings} other {jobs} timed searches on the same machine at once; "
                "time one at a time (on a cluster: exclusive nodes)"
            )
        return found
