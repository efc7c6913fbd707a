"""What else a machine did while something was timed on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from lookalike.machine.cgroups import times_throttled
from lookalike.machine.environment import affinity

SHORTEST_SECONDS = 0.1
"""The kernel counts processor time in ticks, which say nothing of a shorter time."""


@dataclass(frozen=True)
class Usage:
    """What the kernel has counted up to a moment."""

    moment: float
    """Seconds of a clock that only goes forwards."""
    here: float
    """Processor seconds used, by any process, on the processors that this one may run on."""
    elsewhere: float
    """The same on the machine's other processors."""
    own: float
    """Processor seconds that this process used, its ended children among them."""
    throttled: int | None
    """How often a control group's quota stopped its processes; None: there is none."""


@dataclass(frozen=True)
class Load:
    """How many cores other processes kept busy, on average; and how often a quota stopped this one."""

    cores_here: float | None = None
    """Of those that this process may run on; None: not known."""
    cores_elsewhere: float | None = None
    """Of the machine's other ones; None: not known."""
    throttled: int | None = None
    """Periods in which a control group's quota stopped this process or its neighbours in the group."""

    @property
    def cores(self) -> float | None:
        """On the whole machine; None: not known."""
        if self.cores_here is None or self.cores_elsewhere is None:
            return None
        return self.cores_here + self.cores_elsewhere


class LoadMeter:
    """Measures the load of a ``with`` block; ``load`` has no cores after less than a tenth of a second."""

    def __init__(self, read: Callable[[], Usage] | None = None) -> None:
        self.load = Load()
        self._read = read or usage

    def __enter__(self) -> LoadMeter:
        self._before = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        before, after = self._before, self._read()
        throttled = None
        if before.throttled is not None and after.throttled is not None:
            throttled = max(0, after.throttled - before.throttled)
        elapsed = after.moment - before.moment
        if elapsed < SHORTEST_SECONDS:
            self.load = Load(throttled=throttled)
            return
        here = after.here - before.here - (after.own - before.own)
        elsewhere = after.elsewhere - before.elsewhere
        self.load = Load(max(0.0, here / elapsed), max(0.0, elsewhere / elapsed), throttled)


def usage() -> Usage:
    """Return what the kernel has counted until now."""
    own = os.times()
    may_run_on = affinity()
    here = elsewhere = 0.0
    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # in user and nice too
        busy = float(sum(times) - guests - times.idle - getattr(times, "iowait", 0.0))
        if may_run_on is None or number in may_run_on:
            here += busy
        else:
            elsewhere += busy
    return Usage(
        moment=time.perf_counter(),
        here=here,
        elsewhere=elsewhere,
        own=own.user + own.system + own.children_user + own.children_system,
        throttled=times_throttled(),
    )
