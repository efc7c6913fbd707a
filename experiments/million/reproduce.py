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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lookalike.environment import cores
from lookalike.record import Record
from lookalike.report.frame import load_runs

HERE = Path(__file__).parent
QUERIES = 1000
KIB, GIB = 2**10, 2**30
MARK, END = "<!-- {} -->", "<!-- end -->"


def main() -> None:
    """Measure what is not here yet, dimension by dimension; then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[768, 1152])
    options = parser.parse_args()
    for dim in options.dims:
        study(options.root.resolve() / f"million-{dim}", options.n, dim)
    quote(HERE / "README.md", dict(tables(options.dims)))


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
    indexes = ("index=flat", "index=ivf_flat index.nlist=1024 search.nprobe=16")
    blocks = [f"{index} search.single_threads={counts}" for index in indexes]
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
        "command": f"lookalike run {' '.join(record.overrides)}",
        "cpu": record.environment["cpu"],
        "vectors_gib": round(record.data["gallery_size"] * record.data["dim"] * 4 / GIB, 2),
        "peak_rss_gib": round(usage.ru_maxrss * KIB / GIB, 2),
        "stages": [{name: stage[name] for name in kept if name in stage} for stage in record.stages],
    }


def tables(dims: Sequence[int]) -> Iterator[tuple[str, str]]:
    """The README's tables, each by the name that its mark has there."""
    memories = []
    for dim in dims:
        results = HERE / str(dim)
        figure = f"![Recall against latency at {dim} dimensions]({dim}/pareto.png)"
        table = comparison_table(pd.read_csv(results / "comparison.csv"))
        yield f"{dim}/comparison.csv", f"{table}\n\n{figure}"
        yield f"{dim}/threads.csv", threads_table(pd.read_csv(results / "threads.csv"))
        memories.append((dim, json.loads((results / "memory.json").read_text(encoding="utf-8"))))
    rows = [[str(dim), f"{told['vectors_gib']:.2f}", f"{told['peak_rss_gib']:.2f}"] for dim, told in memories]
    yield "memory.json", markdown(["dimensions", "vectors GiB", "peak RSS GiB"], rows)


def comparison_table(points: pd.DataFrame) -> str:
    """All points from fast to exact; those on the front in bold."""
    form: dict[str, Callable[[Any], str]] = {
        "knn_recall_at_10": "{:.3f}".format,
        "knn_recall_at_100": "{:.3f}".format,
        "latency_single_p50_ms": milliseconds,
        "latency_single_p95_ms": milliseconds,
        "latency_single_p99_ms": milliseconds,
        "qps_batch": "{:,.0f}".format,
        "train_seconds": "{:,.0f}".format,
        "add_seconds": "{:,.0f}".format,
        "index_bytes": gigabytes,
        "serving_memory_bytes": gigabytes,
    }
    head = [
        "operating point",
        "knn_recall@10 (of 100)",
        "@100",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "QPS in batches",
    ]
    head += ["train s", "add s", "index GB", "serving GB"]
    rows = []
    for _, point in points.sort_values("latency_single_p50_ms").iterrows():
        name = f"**{point['label']}**" if point["on_front"] else str(point["label"])
        rows.append([name, *(told(point[column]) for column, told in form.items())])
    return markdown(head, rows)


def threads_table(points: pd.DataFrame) -> str:
    """One line an index: the median of single queries by the number of threads."""
    counts = sorted(points["threads"].unique())
    medians = points.pivot_table(index="label", columns="threads", values="latency_single_p50_ms")
    rows = [
        [str(label), *(milliseconds(line[count]) for count in counts)] for label, line in medians.iterrows()
    ]
    return markdown(["p50 ms of one query", *(f"{count} threads" for count in counts)], rows)


def milliseconds(value: float) -> str:
    """Three digits; '' when it was not measured."""
    return "" if pd.isna(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def gigabytes(value: float) -> str:
    """Of 10⁹ bytes."""
    return "" if pd.isna(value) else f"{value / 1e9:.2f}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose numbers stand on the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def quote(readme: Path, quoted: dict[str, str]) -> None:
    """Put each table between its mark and the next end."""
    text = readme.read_text(encoding="utf-8")
    for name, table in quoted.items():
        before, _, rest = text.partition(MARK.format(name))
        _, _, after = rest.partition(END)
        text = f"{before}{MARK.format(name)}\n\n{table}\n\n{END}{after}"
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
