"""Run the study again: a million vectors of 768 and of 1,152 dimensions, all kinds of index, and threads.

    python experiments/million/reproduce.py [--root FOLDER] [--n 1000000] [--dims 768 1152]

On two cores it takes about an hour and a half, 40 GB of disk and 14 GiB of memory. Interrupted, it goes on
where it was: each sweep has a name, and what is finished is not done again. Results replace those here: the
README's tables; in a folder a dimension ``comparison.csv``, ``pareto.png``, ``threads.csv``, ``memory.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tables import quote, tables

from lookalike.machine.environment import cores
from lookalike.report.frame import load_runs
from lookalike.runs.record import Record

HERE = Path(__file__).parent
QUERIES = 1000
KIB, GIB = 2**10, 2**30


def main() -> None:
    """Measure what is not here yet, dimension by dimension; then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[768, 1152])
    options = parser.parse_args()
    for dim in options.dims:
        study(options.root.resolve() / f"million-{dim}", options.n, dim)
    quote(HERE / "README.md", dict(tables(HERE, options.dims)))


def study(root: Path, n: int, dim: int) -> None:
    """One dimension: a cold run for its memory, the sweep, the threads; the store goes when all is done."""
    results = HERE / str(dim)
    results.mkdir(exist_ok=True)
    data = [
        "dataset=synthetic",
        f"dataset.n={n + QUERIES}",
        f"dataset.dim={dim}",
        "queries=held_out",
        f"queries.n={QUERIES}",
        f"paths.root={root}",
    ]
    memory = results / "memory.json"
    if not memory.exists():
        told = memory_of(["index=ivf_flat", "index.nlist=1024", "search.nprobe=16", *data])
        memory.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    comparison, threads = f"million-{dim}", f"threads-{dim}"
    sweep(comparison, ["experiment=million", *data])
    sweep(threads, ["search.modes=[single]", "search.seconds=10", *data, threads_blocks()])
    for name, file in ((comparison, "comparison.csv"), (threads, "threads.csv")):
        load_runs(name, root=root).drop(columns="folder").to_csv(results / file, index=False)
    shutil.copy(root / "multirun" / comparison / "pareto.png", results)
    shutil.rmtree(root / "store", ignore_errors=True)  # gone already when only the tables are made again


def sweep(name: str, arguments: Sequence[str]) -> None:
    """Measure, or finish what an earlier call began."""
    subprocess.run([*lookalike_run(), "-m", f"sweep.name={name}", *arguments], check=True)


def lookalike_run() -> list[str]:
    """``lookalike run`` of the environment that this script runs in."""
    return [sys.executable, "-m", "lookalike", "run"]


def threads_blocks() -> str:
    """One query at a time, by one thread and by all: exhaustive search, and sixteen lists of 1,024."""
    counts = ",".join(str(count) for count in sorted({1, cores()}))
    indexes = (["index=flat"], ["index=ivf_flat", "index.nlist=1024", "search.nprobe=16"])
    blocks = [[*index, f"search.single_threads={counts}"] for index in indexes]
    return f"hydra.sweeper.blocks={json.dumps(blocks)}"


def memory_of(arguments: Sequence[str]) -> dict[str, Any]:
    """Peak resident memory of a run that has to make everything: the largest of all its processes."""
    process = subprocess.Popen([*lookalike_run(), *arguments, "--quiet"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = process.stdout.read().strip()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the run that shows the memory ended with status {status}")
    record = Record.load(Path(folder))
    kept = ("stage", "outcome", "seconds", "peak_rss_bytes", "peak_anonymous_bytes")
    return {
        "command": " ".join(
            ["lookalike run", *(line for line in record.overrides if not line.startswith("paths."))]
        ),
        "cpu": record.environment["cpu"],
        "vectors_gib": round(record.data["gallery_size"] * record.data["dim"] * 4 / GIB, 2),
        "peak_rss_gib": round(usage.ru_maxrss * KIB / GIB, 2),
        "stages": [{name: stage[name] for name in kept if name in stage} for stage in record.stages],
    }


if __name__ == "__main__":
    main()
