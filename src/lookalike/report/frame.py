"""Operating points as a pandas DataFrame: for notebooks, and for the files that other programs read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lookalike.machine.filesystems import results_root
from lookalike.report.front import ranks
from lookalike.report.rows import Row, comparable, rows_of
from lookalike.report.values import facts_of, settings_of, value_named
from lookalike.runs.catalog import Run, select
from lookalike.runs.record import FINISHED, Record

Runs = Record | str | Path | Iterable[Record | str | Path] | None
"""Which runs are meant: see :func:`points`."""


def points(of: Runs = None, *, root: str | Path | None = None) -> pd.DataFrame:
    """Return one row for each operating point of ``of``, every measured value a column.

    of: a record, or what ``lookalike report`` takes: the name of a sweep or run, an id in MLflow, the folder
        of either, a ``record.json`` file, ``latest``, or several of these; None: the latest.
    root: ``paths.root`` of the runs that are named; default: LOOKALIKE_HOME, else the working directory.

    Columns: ``run``, ``label``, what it was measured on (``dataset``, ``model``, ``cpu`` ...), settings
    (``nlist``, ``nprobe`` ...), costs (``latency_single_p50_ms``, ``index_bytes`` ...), and each measure at
    each cut-off with the ends of its interval: ``knn_recall_at_10``, ``knn_recall_at_10_low``,
    ``knn_recall_at_10_high``. What a point lacks is NaN or None. A trial that was repeated on equal terms is
    a row each time, with their number as ``repeats``. ``on_front``: no point measured on the same terms is
    both faster and closer to the exact answer, beyond what the intervals leave open, of repeats the medians;
    ``front_rank``: its place there from fast to exact, shared by points that are not distinguishable.
    ``final_latency_…``, ``final_when``, ``final_hostname``: of the final timing of a sweep, which stands for
    ``on_front`` where all of the front has it. ``folder``: where the raw samples lie; None for a record. A
    run that failed before its first point is a row with its ``error``. Raises UserError when there is none.

        front = lookalike.points("emoji").query("on_front")[["label", "knn_recall_at_10"]]
    """
    return frame_of(chosen_runs(of, root))


def load_runs(*names: str, root: str | Path | None = None) -> pd.DataFrame:
    """Return :func:`points` of the runs and sweeps that are called ``names``; of none: the latest."""
    return points(names or None, root=root)


def chosen_runs(of: Runs, root: str | Path | None = None) -> list[Run]:
    """Return the runs that :func:`points` is asked for, each once."""
    home = results_root(root)
    if of is None:
        return list(select(home).runs)
    runs: list[Run] = []
    for one in [of] if isinstance(of, Record | str | Path) else of:
        runs += [Run(one, None)] if isinstance(one, Record) else select(home, str(one)).runs
    return list({run.record.identity: run for run in runs}.values())


def frame_of(runs: Sequence[Run], chosen: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the points of ``runs`` as :func:`points` does; with ``chosen``, ``run``, ``label`` and these.

    ``chosen``: what :func:`~lookalike.report.values.value_named` knows.
    """
    folders = {run.record.identity: run.folder for run in runs}
    rows = rows_of([run.record for run in runs])
    rank_of = {row: rank for group in comparable(rows) for row, rank in ranks(group).items()}
    lines = [
        _line(each, folders[each.record.identity], rank_of.get(id(row)), len(row.by_jobs.each))
        if chosen is None
        else _chosen(each, chosen, repeats=len(row.by_jobs.each))
        for row in rows
        for each in row.by_jobs.each
    ]
    lines += [
        {"run": run.record.name, "status": run.record.status, "error": run.record.error}
        for run in runs
        if run.record.status != FINISHED and not run.record.points
    ]
    return pd.DataFrame(lines)


def _chosen(row: Row, names: Sequence[str], repeats: int) -> dict[str, Any]:
    values = {name: repeats if name == "repeats" else value_named(row, name) for name in names}
    return {"run": row.record.name, "label": row.point.label} | values


def _line(row: Row, folder: Path | None, rank: int | None, repeats: int) -> dict[str, Any]:
    record, point = row.record, row.point
    line: dict[str, Any] = {"run": record.name, "label": point.label, "status": record.status}
    line |= facts_of(row) | settings_of(row)
    line |= {"on_front": rank is not None, "front_rank": rank, "repeats": repeats}
    line |= row.single_values | row.final_values
    for measure in point.curves:
        for k, value in point.curve(measure).items():
            line[f"{measure}_at_{k}"] = value
            if (ends := point.interval(measure, k)) is not None:
                line[f"{measure}_at_{k}_low"], line[f"{measure}_at_{k}_high"] = ends
    return line | {
        "flags": "; ".join(row.doubts),
        "started": pd.Timestamp(record.started),
        "trial_key": point.trial_key,
        "mlflow_run_id": point.mlflow_run_id,
        "folder": None if folder is None else str(folder),
    }
