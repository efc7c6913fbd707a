"""How long the report of 200 runs takes.

The records are made up but complete, each with its raw samples beside it (1,000 queries, k = 100): what
`lookalike report FOLDER --no-images` finds after a large study. The goal is ten seconds; how long json and
numpy take to read the same files is told beside it.

    python benchmarks/report_200.py [--size tiny|small|full]
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from harness import chosen_size, conclude, lookalike, rounded, seconds_of, workplace
from lookalike.runs.record import PointRecord, Record

RUNS = {"tiny": 5, "small": 200, "full": 200}
ROUNDS = {"tiny": 1, "small": 3, "full": 10}
GOAL_SECONDS = 10.0
QUERIES, K, SAMPLES = 1_000, 100, 2_000
CUTOFFS = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
MEASURES = ("knn_recall", "nn_recall", "relevant_recall", "hit_rate", "map")


def main() -> None:
    size = chosen_size(__doc__)
    with workplace() as folder:
        for number in range(RUNS[size]):
            save_run(folder / "multirun/2026-01-01/00-00-00" / f"job{number}", number)
        command = [*lookalike("report", "--root", str(folder), "--no-images"), "multirun"]
        ours, theirs = [], []
        for _ in range(ROUNDS[size]):
            ours.append(seconds_of(command, folder))
            theirs.append(read_everything(folder))
            print(f"  {RUNS[size]} runs: report {ours[-1]:.2f} s, reading alone {theirs[-1]:.2f} s")
        page = (folder / "multirun/report.html").stat().st_size
    seconds = float(np.median(ours))
    conclude(
        "report_200",
        size,
        seconds / GOAL_SECONDS,
        1.0,
        baseline="ten seconds",
        runs=RUNS[size],
        seconds=rounded(ours),
        reading_seconds=rounded(theirs),
        page_bytes=page,
    )


def save_run(folder: Path, number: int) -> None:
    """One run of one point: a record as a real one, and its raw samples."""
    rng = np.random.default_rng(number)
    recall = 1 - 0.5 * rng.random()
    curve = {str(k): recall for k in CUTOFFS}
    curves = dict.fromkeys(MEASURES, curve)
    p50_ms = 0.05 / (1.02 - recall)
    point = PointRecord(
        trial_key=f"{number}",
        label=f"ivf_flat nlist={number}",
        settings={"k": K, "nprobe": 8},
        index_settings={"nlist": number},
        metrics={"latency_single_p50_ms": p50_ms, "latency_single_p95_ms": 2 * p50_ms, "index_bytes": 1e6},
        curves=curves,
        intervals={measure: {k: [v - 0.01, v + 0.01] for k, v in curve.items()} for measure in MEASURES},
        by_edit={f"edit {n}": curves for n in range(7)},
        latency={"single": {"threads": 1, "samples": SAMPLES}},
        neighbours="points/0.npz",
    )
    record = Record(
        name=f"run {number}",
        started=f"2026-01-01T00:00:00.{number:06}+00:00",
        finished="2026-01-01T00:10:00+00:00",
        status="finished",
        config={"dataset": {"name": "made up"}, "queries": {"name": "copies"}},
        environment={"cpu": "a processor"},
        data={"dataset": "made up", "gallery_size": 100_000, "query_count": QUERIES, "gallery_key": "0" * 32},
        model={"name": "made up"},
        index={"family": "ivf_flat", "metric": "l2"},
        points=[point],
    )
    (folder / "points").mkdir(parents=True)
    values = np.clip(rng.normal(recall, 0.1, QUERIES), 0, 1)
    np.savez(
        folder / "points/0.npz",
        rows=rng.integers(0, 100_000, (QUERIES, K)),
        scores=rng.random((QUERIES, K), dtype=np.float32),
        sources=np.arange(QUERIES, dtype=np.int32) // 7,
        knn_recall=values,
        seconds_single=p50_ms / 1e3 * rng.lognormal(0, 0.3, SAMPLES),
        **{f"{measure}_at_{k}": values.astype(np.float32) for measure in MEASURES for k in (1, 10, K)},
    )
    (folder / "record.json").write_text(json.dumps({"format": 1, **asdict(record)}, indent=1))


def read_everything(folder: Path) -> float:
    """Seconds that json and numpy take for what the report reads as well."""
    start = time.perf_counter()
    for file in folder.rglob("record.json"):
        json.loads(file.read_text())
        with np.load(file.parent / "points/0.npz") as raw:
            np.percentile(raw["seconds_single"], (50, 95, 99))
            raw["knn_recall_at_100"].mean()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
