"""Operating points as a pandas DataFrame: for notebooks, and for the files that other programs read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lookalike.report.rows import FACETS, Row, comparable, front, rows_of
from lookalike.report.selection import Run, select
from lookalike.runs.record import FINISHED
from lookalike.schemas import Paths


def load_runs(*names: str, root: str | Path | None = None) -> pd.DataFrame:
    """One row for each operating point of ``names``, every measured value a column.

    names: a sweep's name, folders of runs or sweeps, ``record.json`` files; none: the latest sweep.
    root: ``paths.root`` of the runs; default: LOOKALIKE_HOME, else the working directory.

    Columns: ``run``, ``label``, what it was measured on (``dataset``, ``model``, ``cpu`` ...), settings
    (``nlist``, ``nprobe`` ...), costs (``latency_single_p50_ms``, ``index_bytes`` ...), and each measure at
    each cut-off with the ends of its interval: ``knn_recall_at_10``, ``knn_recall_at_10_low``,
    ``knn_recall_at_10_high``. What a point lacks is NaN or None. ``on_front``: no point measured on the same
    terms is both faster and closer to the exact answer. ``folder``: where the raw samples lie. Raises
    UserError when nothing is found.
    """
    home = Path(root or os.environ.get("LOOKALIKE_HOME", Paths.root)).expanduser().resolve()
    return frame_of(select(home, names).runs)


def frame_of(runs: Sequence[Run]) -> pd.DataFrame:
    """The points of ``runs`` as :func:`load_runs` gives them; a failed run without one is a row as well."""
    folders = {run.record.identity: run.folder for run in runs}
    rows = rows_of([run.record for run in runs])
    fronts = {id(row) for group in comparable(rows) for row in front(group)}
    lines = [_line(row, folders[row.record.identity], id(row) in fronts) for row in rows]
    lines += [
        {"run": run.record.name, "status": run.record.status, "error": run.record.error}
        for run in runs
        if run.record.status != FINISHED and not run.record.points
    ]
    return pd.DataFrame(lines)


def _line(row: Row, folder: Path | None, on_front: bool) -> dict[str, Any]:
    record, point = row.record, row.point
    line: dict[str, Any] = {"run": record.name, "label": point.label, "status": record.status}
    line |= {name: facet(record, point) for name, facet in FACETS.items()}
    line |= {"index": row.family, "factory": record.index.get("factory")}
    line |= point.index_settings | point.settings | {"on_front": on_front}
    line |= {name: value for name, value in point.metrics.items() if "_at_" not in name}
    for measure in point.curves:
        for k, value in point.curve(measure).items():
            line[f"{measure}_at_{k}"] = value
            if (ends := point.interval(measure, k)) is not None:
                line[f"{measure}_at_{k}_low"], line[f"{measure}_at_{k}_high"] = ends
    return line | {
        "flags": "; ".join(map(str, record.timing.get("flags", ()))),
        "started": pd.Timestamp(record.started),
        "trial_key": point.trial_key,
        "mlflow_run_id": point.mlflow_run_id,
        "folder": None if folder is None else str(folder),
    }
