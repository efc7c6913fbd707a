"""What was measured. Percentiles and queries a second are read off the same raw samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lookalike.evaluate.points import Floats, Point, Rows

SAMPLES_FOR_P99 = 1_000
DRIFT_LIMIT = 0.05
BUSY_LIMIT = 0.10


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

    def as_dict(self) -> dict[str, float | int | None]:
        """Everything but the raw samples."""
        names = ("threads", "queries_per_call", "samples", "p50_ms", "p95_ms", "p99_ms", "mean_ms", "qps")
        return {name: getattr(self, name) for name in names}

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


@dataclass(frozen=True)
class TimedPoints:
    """All points of one run, and how far the machine can be trusted."""

    points: tuple[TimedPoint, ...]
    """In the order in which they were given."""
    drift: float | None
    """Relative change of the first point's median call from first to last round; None with one round."""
    other_cpu_share: float | None
    """Share of all processors that other processes used meanwhile; None when unknown."""
    other_timings: int | None = None
    """Other processes that timed searches on this machine meanwhile; None when unknown."""

    @property
    def flags(self) -> list[str]:
        """Why these latencies should be doubted; empty when nothing speaks against them."""
        found = []
        if self.drift is not None and abs(self.drift) > DRIFT_LIMIT:
            found.append(
                f"the first point's latency changed by {self.drift:+.0%} while searches were timed; "
                "time again on a quieter machine, or for longer (search.seconds)"
            )
        if self.other_cpu_share is not None and self.other_cpu_share > BUSY_LIMIT:
            found.append(
                f"other processes used {self.other_cpu_share:.0%} of the machine while searches were timed; "
                "end them and time again"
            )
        if self.other_timings:
            jobs = "job" if self.other_timings == 1 else "jobs"
            found.append(
                f"{self.other_timings} other {jobs} timed searches on the same machine at once; "
                "time one at a time (on a cluster: exclusive nodes)"
            )
        return found
