"""Real processes that time at once, one inside the other's span or one after the other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import IO

import pytest

from lookalike.evaluate.timing.concurrent import ConcurrentTimings
from lookalike.evaluate.timing.results import TimedPoints

PREFIX = f"lookalike-test-{os.getpid()}-"
"""Whoever else times on this machine is none of these tests' business."""
TIMER = f"""
import sys
from lookalike.evaluate.timing import concurrent as module
module.PREFIX = {PREFIX!r}
with module.ConcurrentTimings() as concurrent:
    print("timing", flush=True)
    sys.stdin.readline()
print(concurrent.others, flush=True)
"""


class Timer:
    """Another process that is timing searches until it is told to stop."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TIMER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._pipe(self.process.stdout).readline() == "timing\n"

    def stop(self) -> int:
        """End its timing; returns how many others it met."""
        answer, _ = self.process.communicate("\n", timeout=60)
        return int(answer)

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


@pytest.fixture
def start() -> Iterator[Callable[[], Timer]]:
    started: list[Timer] = []

    def begin() -> Timer:
        started.append(Timer())
        return started[-1]

    yield begin
    for timer in started:
        timer.process.kill()
        timer.process.wait()


def test_whoever_comes_later_and_goes_earlier_is_known_to_both(start: Callable[[], Timer]) -> None:
    long = start()
    short = start()
    assert short.stop() == 1
    assert long.stop() == 1


def test_three_at_once(start: Callable[[], Timer]) -> None:
    timers = [start() for _ in range(3)]
    assert [timer.stop() for timer in timers] == [2, 2, 2]


def test_one_after_the_other_is_not_concurrent(start: Callable[[], Timer]) -> None:
    assert [start().stop(), start().stop()] == [0, 0]


def test_one_that_was_killed_is_gone(start: Callable[[], Timer]) -> None:
    victim = start()
    victim.process.kill()
    victim.process.wait()
    assert start().stop() == 0


def test_an_exception_passes_and_frees_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lookalike.evaluate.timing.concurrent.PREFIX", PREFIX)
    with pytest.raises(RuntimeError, match="search"), ConcurrentTimings():
        raise RuntimeError("search")
    with ConcurrentTimings() as concurrent:
        pass
    assert concurrent.others == 0


@pytest.mark.parametrize(("others", "said"), [(None, False), (0, False), (1, True), (3, True)])
def test_concurrent_timings_are_a_reason_for_doubt(others: int | None, said: bool) -> None:
    flags = TimedPoints((), other_timings=others).flags
    assert bool(flags) is said
    assert all("same machine at once" in flag for flag in flags)
