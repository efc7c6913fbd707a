"""Everything that an MLflow store holds, read from its own database and artifact folder."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy
from mlflow import MlflowClient

TABLES = {
    "runs": "run_uuid, name, status, start_time, end_time, lifecycle_stage, experiment_id",
    "params": "run_uuid, key, value",
    "tags": "run_uuid, key, value",
    "metrics": "run_uuid, key, step, timestamp, value",
    "latest_metrics": "run_uuid, key, step, timestamp, value",
    "datasets": "experiment_id, name, digest",
    "inputs": "source_id, destination_id",
    "experiments": "experiment_id, name",
    "experiment_tags": "experiment_id, key, value",
}


@dataclass
class Snapshot:
    """Rows of the tables, sorted; and a hash of every artifact."""

    tables: dict[str, list[tuple[Any, ...]]]
    artifacts: dict[str, str]

    def __str__(self) -> str:
        return ", ".join(f"{len(rows)} {name}" for name, rows in self.tables.items())


@dataclass
class Shown:
    """One run that is not deleted, as it stands in the database."""

    name: str
    status: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[int]] = field(default_factory=dict)
    """Name -> the steps of all its values, those that are there twice too."""
    inputs: int = 0
    files: set[str] = field(default_factory=set)

    @property
    def shape(self) -> tuple[Any, ...]:
        """The same for runs of records of the same kind, if nothing is lost or doubled."""
        steps = tuple((name, tuple(sorted(steps))) for name, steps in sorted(self.metrics.items()))
        return (
            steps,
            tuple(sorted(self.params)),
            tuple(sorted(self.tags)),
            self.inputs,
            tuple(sorted(self.files)),
        )


def snapshot(database: str, artifacts: Path) -> Snapshot:
    """``database``: SQLAlchemy's URI of the store's own database."""
    engine = sqlalchemy.create_engine(database)
    try:
        with engine.connect() as connection:
            tables = {
                table: sorted(
                    map(tuple, connection.execute(sqlalchemy.text(f"SELECT {columns} FROM {table}")))
                )
                for table, columns in TABLES.items()
            }
    finally:
        engine.dispose()
    hashes = {
        str(path.relative_to(artifacts)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in artifacts.rglob("*")
        if path.is_file()
    }
    return Snapshot(tables, hashes)


def runs_shown(found: Snapshot, experiment: str) -> dict[str, Shown]:
    """The runs of ``experiment`` by their ids."""
    [number] = [row[0] for row in found.tables["experiments"] if row[1] == experiment]
    runs = {
        row[0]: Shown(row[1], row[2])
        for row in found.tables["runs"]
        if row[5] == "active" and row[6] == number
    }
    for table, values in (("params", "params"), ("tags", "tags")):
        for run, key, value in found.tables[table]:
            if run in runs:
                getattr(runs[run], values)[key] = value
    for run, key, step, *_ in found.tables["metrics"]:
        if run in runs:
            runs[run].metrics.setdefault(key, []).append(step)
    for _, run in found.tables["inputs"]:
        if run in runs:
            runs[run].inputs += 1
    for path in found.artifacts:
        run, _, name = path.partition("/artifacts/")
        if (run := run.rpartition("/")[2]) in runs:
            runs[run].files.add(name)
    return runs


def families(home: Path) -> tuple[list[str], Counter[str]]:
    """Status of every parent run in ``home/mlruns``, and how many children of each status there are."""
    client, parent = MlflowClient(f"sqlite:///{home}/mlruns/mlflow.db"), "mlflow.parentRunId"
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=1000)
    parents = {each.info.run_id: each.info.status for each in runs if parent not in each.data.tags}
    children = [each for each in runs if parent in each.data.tags]
    assert {each.data.tags[parent] for each in children} <= set(parents)
    return list(parents.values()), Counter(each.info.status for each in children)
