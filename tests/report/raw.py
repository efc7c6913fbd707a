"""Finished runs on disk with raw samples beside the records: what a report is made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lookalike.runs.catalog import Run
from lookalike.runs.paths import SweepPaths
from lookalike.runs.record import PointRecord, Record

SOURCES = 100
EDITS = 4


def save_run(folder: Path, record: Record, seed: int = 0) -> Run:
    """Put ``record`` and made-up raw samples of its points into ``folder``."""
    for place, point in enumerate(record.points):
        point.neighbours = f"points/{place}.npz"
        save_raw(folder / point.neighbours, point, seed)
    record.save(folder)
    return Run(record, folder)


def save_raw(path: Path, point: PointRecord, seed: int = 0) -> None:
    """Per-query values around the point's means, one difficulty a source; latencies around its median."""
    rng = np.random.default_rng(seed)
    sources = np.repeat(np.arange(SOURCES), EDITS).astype(np.int32)
    difficulty = np.repeat(rng.normal(0, 0.02, SOURCES), EDITS)
    arrays = {}
    for measure in point.curves:
        for k, mean in point.curve(measure).items():
            if k in (1, 10, point.k):
                values = np.clip(mean + (difficulty - difficulty.mean()) * (mean < 1), 0, 1)
                arrays[f"{measure}_at_{k}"] = values.astype(np.float32)
    p50 = point.metrics.get("latency_single_p50_ms", 1.0) / 1e3
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        sources=sources,
        seconds_single=p50 * rng.lognormal(0, 0.3, 2000),
        knn_recall=arrays[f"knn_recall_at_{point.k}"].astype(np.float64),
        **arrays,
    )


def save_sweep(folder: Path, records: Sequence[Record]) -> list[Run]:
    """One folder a record below ``folder``, and the file that tells a sweep's."""
    folder.mkdir(parents=True, exist_ok=True)
    SweepPaths(folder).composed.touch()
    return [save_run(folder / f"job{number}", record) for number, record in enumerate(records)]
