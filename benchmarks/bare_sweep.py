"""The baseline of ``sweep_overhead.py``: an IVF index at several nprobe, timed and judged, without Lookalike.

    python bare_sweep.py TASK.json

It is what a careful person would write for this one index. At each nprobe: as many rounds of warm-up,
single queries and batches as the sweep has, with the same threads; then knn_recall at the same cut-offs
with a bootstrap interval each, percentiles, raw samples and neighbours kept as a file. Nothing goes to
MLflow. ``wall_seconds`` in its report run from the first point's start to the last one's end: loading the
index and the queries is inside, as it is for the sweep; importing is not.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def timed_pass(index: Any, queries: list[Floats], k: int, threads: int) -> tuple[list[float], list[Rows]]:
    """Seconds of one search for each of ``queries``, and the rows found."""
    faiss.omp_set_num_threads(threads)
    seconds, rows = [], []
    for query in queries:
        before = time.perf_counter()
        _, found = index.search(query, k)
        seconds.append(time.perf_counter() - before)
        rows.append(found)
    return seconds, rows


def recall_curve(found: Rows, exact: Rows, cutoffs: list[int]) -> dict[int, tuple[float, float, float]]:
    """Cut-off → mean share of the exact k among the first k found, and its 95 % bootstrap interval."""
    shares = np.empty((len(found), len(cutoffs)))
    for column, k in enumerate(cutoffs):
        pairs = zip(found[:, :k], exact[:, :k], strict=True)
        shares[:, column] = [len(np.intersect1d(a, b, assume_unique=True)) / k for a, b in pairs]
    draws = np.random.default_rng(0).multinomial(len(shares), np.full(len(shares), 1 / len(shares)), 1000)
    low, high = np.quantile(draws @ shares / len(shares), [0.025, 0.975], axis=0)
    return dict(zip(cutoffs, zip(shares.mean(axis=0), low, high, strict=True), strict=True))


def measure(index: Any, queries: Floats, exact: Rows, task: dict[str, Any], point: dict[str, int]) -> None:
    """One operating point: timed, judged and written to its files."""
    index.nprobe = point["nprobe"]
    k, warm_up, threads = task["k"], task["warm_up"], task["threads"]
    singles = [queries[row : row + 1] for row in np.random.default_rng(0).permutation(len(queries))]
    batches = [
        queries[start : start + task["batch_size"]] for start in range(0, len(queries), task["batch_size"])
    ]
    single: list[float] = []
    batch: list[float] = []
    rows: list[Rows] = []
    gc.disable()
    for _ in range(point["repeats"]):
        timed_pass(index, singles[:warm_up], k, threads["single"])
        single += timed_pass(index, singles, k, threads["single"])[0]
        timed_pass(index, [queries[:warm_up]], k, threads["batch"])
        seconds, rows = timed_pass(index, batches, k, threads["batch"])
        batch += seconds
    gc.enable()
    found = np.concatenate(rows)
    percentiles = [float(np.percentile(single, q)) * 1e3 for q in (50, 95, 99)]
    file = Path(task["outputs"]) / f"nprobe={point['nprobe']}"
    np.savez(f"{file}.npz", rows=found, single=single, batch=batch, allow_pickle=False)
    summary = {"single_ms": percentiles, "qps": len(queries) * point["repeats"] / sum(batch)}
    curve = recall_curve(found, exact, task["cutoffs"])
    Path(f"{file}.json").write_text(json.dumps({**summary, "knn_recall": curve}), encoding="utf-8")
    point["timed_seconds"] = sum(single) + sum(batch)  # type: ignore[assignment]


def main() -> None:
    """All points, one after the other; ``report.json`` beside their files says how long they took."""
    task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(task["outputs"]).mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    index = faiss.read_index(task["index"])
    queries, exact = np.load(task["queries"]), np.load(task["exact"])
    for point in task["points"]:
        measure(index, queries, exact, task, point)
    wall = time.perf_counter() - start
    timed = sum(point["timed_seconds"] for point in task["points"])
    report = {"wall_seconds": wall, "timed_seconds": timed}
    (Path(task["outputs"]) / "report.json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
