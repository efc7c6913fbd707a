"""Processes that tests start, listen to, kill and starve of disk; files that they damage."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.services import in_own_mounts

CHECKOUT = Path(__file__).parents[2]
PATIENCE_SECONDS = 240.0
"""Within which a process gets to what a test waits for."""


def start(module: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a module of tests.faults; what it says can be read from its ``stdout``."""
    command = [sys.executable, "-m", f"tests.faults.{module}", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Read what the process says until a line holds ``text``; that line."""
    assert process.stdout
    with _giving_up(process):
        for line in process.stdout:
            if text in line:
                return line
    raise AssertionError(f"it ended without saying {text!r}")


@contextmanager
def _giving_up(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a process that takes longer than ``PATIENCE_SECONDS``, so that reading from it ends."""
    timer = threading.Timer(PATIENCE_SECONDS, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for the process to complete; its JSON, and all ``lines`` that it said before."""
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, out
    *lines, last = out.splitlines()
    ended: dict[str, Any] = json.loads(last)
    return ended | {"lines": lines}


def kill(process: subprocess.Popen[str]) -> None:
    """As suddenly as can be."""
    process.kill()
    process.communicate()


def seeds(few: int) -> list[Any]:
    """``few`` seeds for every day and sixty for the slow tests."""
    return [*range(few), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(100, 160))]


def kill_some(seed: int, begin: Callable[[], subprocess.Popen[str]], seconds: float) -> None:
    """Begin one to three processes, one after the other; kill each at a random moment of its work.

    ``seconds``: what they need when nobody disturbs them. A moment after the end is one as well.
    """
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 3)):
        process = begin()
        wait_for(process, "ready")
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, 1.1 * seconds))
        kill(process)


def cut_short(path: Path) -> None:
    """Without its last 100 bytes."""
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_byte(path: Path) -> None:
    """In the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


ON_A_SMALL_DISK = """
size=$1 disk=$2 python=$3 module=$4; shift 4
mount -t tmpfs -o size=$size none "$disk" || exit 99
"$python" -m $module "$disk/store" "$@"
echo "code $?"
echo "published $(ls "$disk/store/artifacts/$KIND" 2>/dev/null | wc -l)"
mount -o remount,size=64m "$disk"
exec "$python" -m $module "$disk/store" "$@"
"""


def start_on_a_small_disk(
    size: str, disk: Path, kind: str, module: str, *arguments: object
) -> tuple[list[str], dict[str, Any]]:
    """Run a module whose store has too little room, then once more with enough.

    Returns what the first one said, its exit code and how many artifacts of ``kind`` it published among it,
    and the JSON of the second. Asserts that nobody was shown a traceback.
    """
    command = [*in_own_mounts(), "sh", "-c", ON_A_SMALL_DISK, "sh", size, str(disk)]
    done = subprocess.run(
        [*command, sys.executable, f"tests.faults.{module}", *map(str, arguments)],
        cwd=CHECKOUT,
        env={**os.environ, "KIND": kind},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    *lines, last = done.stdout.splitlines()
    return lines, json.loads(last)


def assert_told_that_the_disk_is_full(lines: list[str]) -> None:
    """One error with its cure, exit code 2, and nothing published."""
    [told] = [line for line in lines if line.startswith("error: ")]
    assert "is full" in told
    assert "set paths.store to another disk, then run again" in told
    assert {"code 2", "published 0"} <= {*lines}
