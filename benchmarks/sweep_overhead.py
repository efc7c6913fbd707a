"""How much longer a sweep over search settings takes than a bare script of the same searches.

    python benchmarks/sweep_overhead.py [--size small|full]

Ours: `lookalike run -m …` of ready vectors, index=ivf_flat, 12 jobs (one per nprobe) in one process,
embeddings, exact neighbours and index reused; each job is composed, measured, judged, recorded and logged
to MLflow. Wall seconds run from the first point's start (its record's ``started``) to the last one's end
(when its record was written for the last time, after MLflow). Start-up, planning and the closing report are
outside, and apart in the JSON line.

Baseline: ``bare_sweep.py``, the same FAISS calls on the same index, as many warm-up and timed searches in
the same number of rounds, recall at the same cut-offs with intervals, results in files; no composing, no
records, no MLflow.

Both make a fixed number of searches (``search.repeats``), chosen beforehand so that a point is measured for
5 s (``full``: 200,000 × 256 vectors; the goal is 1.05). A point's overhead does not grow with how long it
is measured, so the shorter points of ``small`` would say little: its ratio is reckoned for points of 5 s,
from the seconds inside and outside of the timed searches; what was measured is ``measured_ratio``.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from bare_sweep import timed_pass
from harness import (
    alternate,
    bare,
    chosen_size,
    conclude,
    lookalike,
    median,
    records_of_last_run,
    rounded,
    seconds_of,
    stage_file,
    workplace,
)
from lookalike.runs.paths import RunPaths
from lookalike.runs.record import Record

GOAL, SECONDS_A_POINT = 1.05, 5.0
THREADS = 1
"""Of a batch as of a single query: with more, other processes would be most of what differs."""


@dataclass(frozen=True)
class Shape:
    """How large a sweep is."""

    n: int
    d: int
    queries: int
    nlist: int
    nprobes: tuple[int, ...]
    seconds_a_point: float
    rounds: int


SHAPES = {
    "tiny": Shape(2_000, 16, 100, 16, (1, 16), 0.01, 1),
    "small": Shape(20_000, 64, 2_000, 128, (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64), 1.25, 1),
    "full": Shape(200_000, 256, 1_000, 1024, (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128), 5.2, 3),
}


@dataclass(frozen=True)
class Took:
    """Wall seconds of all points, and how many of them were spent in timed searches."""

    wall: float
    timed: float

    def at(self, seconds: float) -> float:
        """Wall seconds if the timed searches had taken ``seconds`` instead."""
        return self.wall - self.timed + seconds


def write_vectors(shape: Shape, folder: Path) -> None:
    """Clustered vectors, as embeddings are: as many blobs as the index has lists, and queries among them."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((shape.nlist, shape.d), dtype=np.float32)
    for name, rows in (("gallery", shape.n), ("queries", shape.queries)):
        noise = 0.7 * random.standard_normal((rows, shape.d), dtype=np.float32)
        np.save(folder / f"{name}.npy", centres[random.integers(0, shape.nlist, rows)] + noise)


def task_like(record: Record, shape: Shape, folder: Path) -> dict[str, Any]:
    """What the bare script does, as values, with the number of rounds that fills each point's seconds."""
    [point] = record.points
    task: dict[str, Any] = {
        "index": record.index["path"],
        "queries": str(folder / "queries.npy"),
        "exact": str(stage_file(folder, record, "exact", "neighbours.npy")),
        "k": point.k,
        "warm_up": record.config["search"]["warm_up"],
        "batch_size": point.latency["batch"]["queries_per_call"],
        "threads": {kind: point.latency[kind]["threads"] for kind in ("single", "batch")},
        "cutoffs": sorted(map(int, point.curves["knn_recall"])),
        "outputs": str(folder / "bare"),
    }
    index, queries = faiss.read_index(task["index"]), np.load(task["queries"])
    singles = [queries[row : row + 1] for row in range(len(queries))]
    task["points"] = []
    for nprobe in shape.nprobes:
        index.nprobe = nprobe
        passes = [
            sum(timed_pass(index, singles, task["k"], task["threads"]["single"])[0])
            + sum(timed_pass(index, [queries], task["k"], task["threads"]["batch"])[0])
            for _ in range(2)
        ]
        repeats = math.ceil(shape.seconds_a_point / min(passes))
        task["points"].append({"nprobe": nprobe, "repeats": repeats})
    return task


def took(records: list[tuple[Record, Path]]) -> Took:
    """From the first point's start to the last one's end."""
    starts = [datetime.fromisoformat(record.started).timestamp() for record, _ in records]
    ends = [RunPaths(folder).record.stat().st_mtime for _, folder in records]
    timed = [
        mode["mean_ms"] * mode["samples"] / 1e3
        for record, _ in records
        for point in record.points
        for mode in point.latency.values()
    ]
    return Took(max(ends) - min(starts), sum(timed))


def main() -> None:
    """Prepare, calibrate, alternate, conclude."""
    size = chosen_size(__doc__)
    shape = SHAPES[size]
    with workplace() as folder:
        write_vectors(shape, folder)
        chosen = [
            "dataset=embeddings",
            f"dataset.root={folder / 'gallery.npy'}",
            "queries=vectors",
            f"queries.file={folder / 'queries.npy'}",
            "index=ivf_flat",
            f"index.nlist={shape.nlist}",
            f"search.threads={THREADS}",
        ]
        print(f"building: {seconds_of(lookalike('run', *chosen, 'search.repeats=1'), folder):.1f} s")
        [(record, _)] = records_of_last_run(folder)
        task = task_like(record, shape, folder)
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
        blocks = [[f"search.nprobe={p['nprobe']}", f"search.repeats={p['repeats']}"] for p in task["points"]]
        sweep = lookalike("run", "-m", *chosen, f"hydra.sweeper.blocks={json.dumps(blocks)}")
        own: list[Took] = []
        baseline: list[Took] = []
        beside: list[float] = []

        def ours() -> float:
            seconds = seconds_of(sweep, folder)
            records = records_of_last_run(folder)
            if len(records) != len(shape.nprobes):
                raise RuntimeError(f"{len(records)} of {len(shape.nprobes)} jobs left a record")
            own.append(took(records))
            beside.append(seconds - own[-1].wall)
            return own[-1].wall

        def theirs() -> float:
            seconds_of(bare("bare_sweep.py", "task.json"), folder)
            report = json.loads((folder / "bare" / "report.json").read_text(encoding="utf-8"))
            baseline.append(Took(report["wall_seconds"], report["timed_seconds"]))
            return baseline[-1].wall

        alternate(shape.rounds, ours, theirs)
    points = len(shape.nprobes)
    scale = max(1.0, SECONDS_A_POINT * points / median([each.timed for each in baseline]))
    ratio = median([each.at(each.timed * scale) for each in own]) / median(
        [each.at(each.timed * scale) for each in baseline]
    )
    outside = [median([each.wall - each.timed for each in side]) / points for side in (own, baseline)]
    conclude(
        "sweep_overhead",
        size,
        ratio,
        GOAL,
        measured_ratio=round(median([t.wall for t in own]) / median([t.wall for t in baseline]), 4),
        reckoned_for_seconds_a_point=round(scale * median([t.timed for t in baseline]) / points, 2),
        seconds=rounded([each.wall for each in own]),
        bare_seconds=rounded([each.wall for each in baseline]),
        timed_seconds=rounded([each.timed for each in own]),
        bare_timed_seconds=rounded([each.timed for each in baseline]),
        overhead_ms_a_point=round((outside[0] - outside[1]) * 1e3, 1),
        startup_and_report_seconds=round(median(beside), 3),
        points=points,
        n=shape.n,
        d=shape.d,
        queries=shape.queries,
    )


if __name__ == "__main__":
    main()
