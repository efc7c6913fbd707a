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

import lookalike
from lookalike.machine.environment import cores
from lookalike.runs.record import FINISHED, Record

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
    ]
    memory = results / "memory.json"
    if not memory.exists():
        told = memory_of(["index=ivf_flat", "index.nlist=1024", "search.nprobe=16", *data], root)
        memory.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    comparison, threads = f"million-{dim}", f"threads-{dim}"
    records = lookalike.run_sweep(f"sweep.name={comparison}", "experiment=million", *data, root=root)
    single = ["search.modes=[single]", "search.seconds=10"]
    records += lookalike.run_sweep(
        f"sweep.name={threads}", *single, *data, blocks=threads_blocks(), root=root
    )
    if failed := [record.error for record in records if record.status != FINISHED]:
        raise SystemExit(f"{len(failed)} runs failed: {failed[0]}")
    for name, file in ((comparison, "comparison.csv"), (threads, "threads.csv")):
        lookalike.points(name, root=root).drop(columns="folder").to_csv(results / file, index=False)
    shutil.copy(root / "multirun" / comparison / "pareto.png", results)
    shutil.rmtree(root / "store", ignore_errors=True)  # gone already when only the tables are made again


def threads_blocks() -> list[list[str]]:
    """One query at a time, by one thread and by all: exhaustive search, and sixteen lists of 1,024."""
    counts = ",".join(str(count) for count in sorted({1, cores()}))
    indexes = (["index=flat"], ["index=ivf_flat", "index.nlist=1024", "search.nprobe=16"])
    return [[*index, f"search.single_threads={counts}"] for index in indexes]


def memory_of(arguments: Sequence[str], root: Path) -> dict[str, Any]:
    """Peak resident memory of a run that has to make everything: the largest of all its processes."""
    command = [sys.executable, "-m", "lookalike", "run", *arguments, f"paths.root={root}", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
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
