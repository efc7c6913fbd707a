"""Many processes that log at the same moment."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike import schemas
from lookalike.runs.record import Record
from lookalike.tracking import open_tracker
from tests import records

PRELOAD = ["mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store", "lookalike.tracking.mlflow_tracker"]
SECONDS = 300.0


@dataclass
class Logged:
    """What one process did."""

    folder: Path
    began: float
    ended: float
    error: str | None


def write_records(root: Path, count: int) -> list[Path]:
    """``count`` small records of two points each, in the folders of runs under ``root``."""
    folders = [root / "outputs" / f"run{number}" for number in range(count)]
    for folder in folders:
        points = records.make_ladder("hnsw", "ef_search", [16, 32])
        for point in points:
            point.by_edit = {}
        records.make_record(points, name=folder.name).save(folder)
    return folders


def log_at_once(folders: list[Path], config: schemas.Tracking, root: Path) -> list[Logged]:
    """Each record by a process of its own; none begins before all are ready.

    They are forked from a process that has imported MLflow: 32 imports would take longer than the test.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    barrier, done = context.Barrier(len(folders)), context.SimpleQueue()
    processes = [
        context.Process(target=_log, args=(folder, config, root, barrier, done)) for folder in folders
    ]
    for process in processes:
        process.start()
    logged = [done.get() for _ in processes]
    for process in processes:
        process.join(SECONDS)
    assert [process.exitcode for process in processes] == [0] * len(processes)
    return logged


def _log(folder: Path, config: schemas.Tracking, root: Path, barrier: Any, done: Any) -> None:
    barrier.wait(SECONDS)
    began, error = time.time(), None
    try:
        record = Record.load(folder)
        open_tracker(config, root).log(record, folder)
    except BaseException as fault:
        error = f"{type(fault).__name__}: {fault}"
    done.put(Logged(folder, began, time.time(), error))
