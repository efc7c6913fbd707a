"""The tables of the study's README, from the data files beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

MARK, END = "<!-- {} -->", "<!-- end -->"
ORIGINAL_DIM = 1152
ORIGINAL_SECONDS = {"brute force": (116, 131), "IndexFlatL2": (0.33, 0.51), "IndexIVFFlat": (0.013, 0.07)}
"""From, to: what the original system reported for one query among a million vectors of so400m."""


def tables(here: Path, dims: Sequence[int]) -> Iterator[tuple[str, str]]:
    """The README's tables of what lies in ``here``, each by the name that its mark has there."""
    memories = []
    for dim in dims:
        results = here / str(dim)
        figure = f"![Recall against latency at {dim} dimensions]({dim}/pareto.png)"
        table = comparison_table(pd.read_csv(results / "comparison.csv"))
        yield f"{dim}/comparison.csv", f"{table}\n\n{figure}"
        threads = pd.read_csv(results / "threads.csv")
        yield f"{dim}/threads.csv", threads_table(threads)
        if dim == ORIGINAL_DIM:
            yield "original", original_table(pd.read_csv(results / "comparison.csv"), threads)
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


def original_table(points: pd.DataFrame, threads: pd.DataFrame) -> str:
    """What the original system reported beside the same kinds of index here, and how fast each reads."""
    all_threads = threads[threads["threads"] == threads["threads"].max()]
    here = {
        "brute force": points[points["index"] == "brute_force"],
        "IndexFlatL2": points[points["index"] == "flat"],
        "IndexFlatL2, all threads": all_threads[all_threads["index"] == "flat"],
        "IndexIVFFlat, one list of 50": points[points["nlist"] == 50],
    }
    rows = []
    for name, found in here.items():
        [point] = [point for _, point in found.iterrows()]
        p50, read = point["latency_single_p50_ms"], point["gallery"] * ORIGINAL_DIM * 4
        share = 1 if pd.isna(point["nlist"]) else point["nprobe"] / point["nlist"]
        low, high = ORIGINAL_SECONDS[name.partition(",")[0]]
        theirs = f"{read * share / high / 1e9:.2g} to {read * share / low / 1e9:.2g}"
        ours = f"{read * share / p50 / 1e6:.2g}"
        rows.append([name, f"{low:g} to {high:g} s", theirs, f"{p50 / 1000:.2g} s", ours])
    return markdown(["one query", "original", "reads GB/s", "here, p50", "reads GB/s"], rows)


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
