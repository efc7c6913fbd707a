"""What the benchmarks share: their command line, `lookalike` as a process, what it left, and the last line.

A benchmark is a ratio against a named baseline, measured in the same minutes on the same machine. Every
script takes ``--size``: ``small`` ends within a minute on two idle cores, ``full`` is what the project's
goals speak of, ``tiny`` only shows that the script works (the tests use it). Everything is written to a
temporary folder. The last line of each is one JSON object; the exit code is 0 whether or not the goal was
met, and something else when nothing could be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lookalike.machine.environment import describe_machine
from lookalike.runs.catalog import select
from lookalike.runs.record import Record

SIZES = ("tiny", "small", "full")
OWN_SETTINGS = ("LOOKALIKE_HOME", "MLFLOW_TRACKING_URI", "HYDRA_FULL_ERROR", "OMP_NUM_THREADS")
"""Variables of the caller that would change what is measured."""


def chosen_size(description: str | None) -> str:
    """The ``--size`` of the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="small")
    return str(parser.parse_args().size)


@contextmanager
def workplace() -> Iterator[Path]:
    """A temporary folder to work in; its path is what every process of the benchmark starts in."""
    with tempfile.TemporaryDirectory(prefix="lookalike-benchmark-") as folder:
        yield Path(folder).resolve()


def lookalike(*arguments: str) -> list[str]:
    """The command line ``lookalike …`` of this very environment."""
    return [sys.executable, "-m", "lookalike", *arguments]


def bare(script: str, *arguments: str) -> list[str]:
    """The command line of a baseline that lies beside this file."""
    return [sys.executable, str(Path(__file__).with_name(script)), *arguments]


def seconds_of(command: Sequence[str], folder: Path) -> float:
    """Run ``command`` in ``folder``; wall seconds from before its start to after its end.

    Raises RuntimeError with what it wrote when it fails: then there is nothing to measure.
    """
    environment = {name: value for name, value in os.environ.items() if name not in OWN_SETTINGS}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds


def records_of_last_run(folder: Path) -> list[tuple[Record, Path]]:
    """Records of the newest folder below ``outputs`` or ``multirun``, in the order in which they started."""
    return [(run.record, run.folder) for run in select(folder).runs if run.folder is not None]


def stage_file(folder: Path, record: Record, stage: str, name: str) -> Path:
    """A file that a stage of ``record`` made, in the store below ``folder``."""
    key = next(entry["key"] for entry in record.stages if entry["stage"] == stage)
    [found] = (folder / "store").rglob(f"{key}/{name}")
    return found


def alternate(
    rounds: int, ours: Callable[[], float], theirs: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """A B A B …: what slows the machine down for a while slows down both."""
    pairs = []
    for number in range(rounds):
        pairs.append((ours(), theirs()))
        print(f"  round {number + 1} of {rounds}: lookalike {pairs[-1][0]:.2f} s, bare {pairs[-1][1]:.2f} s")
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def conclude(
    benchmark: str,
    size: str,
    ratio: float,
    goal: float,
    baseline: str = "the bare script",
    *,
    at_least: bool = False,
    **more: Any,
) -> None:
    """Print the verdict for people, then the same as JSON: the last line.

    The goal is the most that ``ratio`` may be (times, memory), or the least with ``at_least`` (speeds).
    """
    machine = describe_machine()
    ratio = round(ratio, 4)
    met = ratio >= goal if at_least else ratio <= goal
    wanted = f"at least {goal}" if at_least else f"at most {goal}"
    print(f"{benchmark}: {ratio:.3f} × {baseline}, goal {wanted}: {'met' if met else 'missed'}")
    told = {
        "benchmark": benchmark,
        "ratio": ratio,
        "goal": goal,
        "at_least": at_least,
        "ok": met,
        "size": size,
        **more,
        "machine": {name: machine[name] for name in ("cpu", "cores", "load_1m", "python", "versions")},
    }
    print(json.dumps(told))


def rounded(values: Sequence[float]) -> list[float]:
    """Seconds, to the millisecond."""
    return [round(value, 3) for value in values]


median = statistics.median
