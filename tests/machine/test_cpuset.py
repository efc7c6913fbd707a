"""What a record says of the processors that a job was given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lookalike.machine.environment import cpuset


@pytest.mark.parametrize(
    ("given", "written"),
    [({0}, "0"), ({0, 1, 2, 3}, "0-3"), ({0, 2, 3, 9}, "0,2-3,9"), ({7, 5}, "5,7")],
)
def test_as_linux_writes_it(given: set[int], written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: given)
    assert cpuset() == written


def test_is_the_kernels_own_view() -> None:
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line
    )
    assert cpuset() == status["Cpus_allowed_list"].strip()
