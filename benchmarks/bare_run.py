"""The baseline of ``reused_run.py``: one FAISS index searched, timed and logged without Lookalike.

    python bare_run.py TASK.json

It is what a careful person would write for this one index: the imports, the timed searches (as many of each
kind, with as many warm-up searches and threads), one MLflow run with the same values and files as large,
one table. Nothing is composed, looked up, verified, judged or kept for reuse.
"""

from __future__ import annotations

import gc

gc.disable()  # importing MLflow makes a million objects that all stay

import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from itertools import cycle, islice  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# What `lookalike run` imports as well, though not all of it is needed here.
import faiss  # noqa: E402
import hydra  # noqa: E402, F401
import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402
import omegaconf  # noqa: E402, F401
import PIL.Image  # noqa: E402, F401
import pyarrow.parquet  # noqa: E402, F401
import threadpoolctl  # noqa: E402
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

Floats = npt.NDArray[np.float32]
Found = tuple[Floats, npt.NDArray[np.int64]]

ROUNDS = 3


def timed(
    search: Callable[[Floats], Found], queries: Sequence[Floats], calls: int
) -> tuple[list[float], list[Found]]:
    """Seconds of each of ``calls`` searches, and what the first pass over ``queries`` found."""
    seconds: list[float] = []
    found: list[Found] = []
    for query in islice(cycle(queries), calls):
        before = time.perf_counter()
        result = search(query)
        seconds.append(time.perf_counter() - before)
        if len(found) < len(queries):
            found.append(result)
    return seconds, found


def measure(task: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Latencies of single queries and of batches, and the neighbours, as arrays to be kept."""
    index = faiss.read_index(task["index"])
    index.nprobe = task["nprobe"]
    queries = np.load(task["queries"])
    size, k, warm_up = task["batch_size"], task["k"], task["warm_up"]
    missing = -len(queries) % size
    padded = np.concatenate([queries, queries[:missing]])
    kinds = {
        "single": [queries[row : row + 1] for row in np.random.default_rng(0).permutation(len(queries))],
        "batch": [padded[start : start + size] for start in range(0, len(padded), size)],
    }

    def search(some: Floats) -> Found:
        found: Found = index.search(some, k)
        return found

    seconds: dict[str, list[float]] = {"single": [], "batch": []}
    found: list[Found] = []
    for number in range(ROUNDS):
        for kind, asked in kinds.items():
            with threadpoolctl.threadpool_limits(task["threads"][kind]):
                faiss.omp_set_num_threads(task["threads"][kind])
                for query in kinds["single"][:warm_up] if kind == "single" else [queries[:warm_up]]:
                    search(query)
                calls = task["calls"][kind] * (number + 1) // ROUNDS - len(seconds[kind])
                taken, results = timed(search, asked, calls)
            seconds[kind] += taken
            if kind == "batch" and not found:
                found = results
    scores, rows = (np.concatenate(parts)[: len(queries)] for parts in zip(*found, strict=True))
    return {"rows": rows, "scores": scores, **{f"seconds_{kind}": np.array(s) for kind, s in seconds.items()}}


def log(task: dict[str, Any], folder: Path) -> None:
    """One MLflow run, with everything said in as few calls as there are kinds of it."""
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    client = MlflowClient(task["tracking_uri"])
    experiment = client.get_experiment_by_name(task["experiment"])
    run = client.create_run(experiment.experiment_id, tags=task["tags"], run_name="bare")
    run_id, now = run.info.run_id, round(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, step, value in task["metrics"]]
    params = [Param(name, value) for name, value in task["params"].items()]
    client.log_batch(run_id, metrics=metrics, params=params)
    gallery = DatasetInput(Dataset(**task["dataset"]), [InputTag("mlflow.data.context", "gallery")])
    client.log_inputs(run_id, [gallery])
    client.log_dict(run_id, task["config"], "config.yaml")
    client.log_artifacts(run_id, str(folder))
    client.log_artifact(run_id, task["index"], "index")
    client.set_terminated(run_id)


def main() -> None:
    """Measure, keep, log, show."""
    task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    measured = measure(task)
    folder = Path(task["outputs"]) / str(time.time_ns())
    folder.mkdir(parents=True)
    np.savez(folder / "neighbours.npz", allow_pickle=False, **measured)
    percentiles = {
        f"{kind} p{q} ms": float(np.percentile(measured[f"seconds_{kind}"], q)) * 1e3
        for kind in ("single", "batch")
        for q in (50, 95, 99)
    }
    (folder / "latency.json").write_text(json.dumps(percentiles), encoding="utf-8")
    log(task, folder)
    table = Table("measure", "value")
    for name, value in percentiles.items():
        table.add_row(name, f"{value:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
    gc.freeze()  # the end of the process frees what a last collection would only walk through
