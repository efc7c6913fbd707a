"""A child that reads what others wrote takes no more memory and time than that explains, and may crash."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lookalike.machine.processes import BYTES_PER_CPU_SECOND, cpu_seconds_for, how_it_ended, run_module

BOUNDED = (
    "from lookalike.machine.processes import bound_this_process; bound_this_process({memory}, {seconds})"
)


def ended(*lines: str) -> str:
    """What is said of a child that runs these lines; ``timeit`` runs them with no module of our own."""
    setup = ["-s", lines[0]] if len(lines) > 1 else []
    return how_it_ended(run_module("timeit", "-n1", "-r1", *setup, lines[-1], timeout_seconds=60))


def test_memory_beyond_the_bound_fails_in_the_child() -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux bounds a process's address space")
    said = ended(BOUNDED.format(memory=64 << 20, seconds=30), "bytes(1 << 30)")
    assert said == "reading it takes more memory than its size explains"


def test_a_child_that_never_ends_is_ended() -> None:
    said = ended(BOUNDED.format(memory=1 << 30, seconds=1), "while True: pass")
    assert said == "reading it takes more time or memory than its size explains"
    with pytest.raises(subprocess.TimeoutExpired):
        run_module("timeit", "-n1", "while True: pass", timeout_seconds=1)


def test_a_crash_is_told_by_its_signal() -> None:
    assert ended("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)") == "reading it ended in SIGSEGV"
    assert ended("raise ValueError('its \\x1b reason')").endswith("ValueError: its  reason")


def test_what_a_file_may_take_grows_with_it() -> None:
    assert cpu_seconds_for(10**9) - cpu_seconds_for(0) == 10**9 // BYTES_PER_CPU_SECOND
