"""What other processes did meanwhile, on counters that are made up and on the kernel's."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from lookalike.machine import load
from lookalike.machine.load import Load, LoadMeter, Usage, usage


def measured(*moments: Usage) -> Load:
    with LoadMeter(iter(moments).__next__) as meter:
        pass
    return meter.load


def test_cores_of_others_are_counted_not_a_share() -> None:
    """One busy core of 64, while this process keeps four busy itself."""
    found = measured(Usage(10.0, 100.0, 50.0, 5.0, None), Usage(12.0, 110.0, 50.0, 13.0, None))
    assert (found.cores_here, found.cores_elsewhere, found.cores) == (1.0, 0.0, 1.0)
    assert found.throttled is None


def test_other_processors_are_told_apart_and_a_quota_counts() -> None:
    found = measured(Usage(0.0, 0.0, 0.0, 0.0, 3), Usage(2.0, 1.9, 3.0, 2.0, 34))
    assert found == Load(0.0, 1.5, 31)  # ticks: this process seems to have used more than all did


def test_a_moment_says_nothing_of_cores() -> None:
    assert measured(Usage(0.0, 0.0, 0.0, 0.0, 0), Usage(0.05, 1.0, 0.0, 0.0, 1)) == Load(throttled=1)
    assert Load().cores is None


def test_what_the_kernel_counts_is_sorted_by_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    class Times(tuple[float, ...]):
        user, idle, iowait, guest = 7.0, 90.0, 3.0, 2.0

    busy: Any = Times((7.0, 90.0, 3.0, 2.0))  # a guest's 2 s are in the user's 7 s too
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [busy] * 4)
    monkeypatch.setattr(load, "affinity", lambda: frozenset({1}))
    monkeypatch.setattr(
        load.os,
        "times",
        lambda: SimpleNamespace(user=1.0, system=0.5, children_user=0.25, children_system=0.125),
    )
    found = usage()
    assert (found.here, found.elsewhere, found.own) == (7.0, 21.0, 1.875)
    monkeypatch.setattr(load, "affinity", lambda: None)
    assert (usage().here, usage().elsewhere) == (28.0, 0.0)


def test_a_busy_process_is_seen() -> None:
    busy = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    with subprocess.Popen(busy, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            with LoadMeter() as meter:
                time.sleep(0.4)
        finally:
            other.kill()
    assert meter.load.cores is not None
    assert meter.load.cores > 0.25
