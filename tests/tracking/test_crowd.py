"""32 processes that log at once lose nothing and show nothing twice."""

from __future__ import annotations

from pathlib import Path

from lookalike import schemas
from lookalike.runs.record import Record
from lookalike.tracking.content import single_metrics
from tests.tracking.crowd import Logged, log_at_once, write_records
from tests.tracking.snapshots import Snapshot, runs_shown, snapshot

CROWD = 32
CONFIG = schemas.Tracking(experiment="made by whoever comes first")


def check(logged: list[Logged], found: Snapshot, experiment: str) -> None:
    """All were at it at the same time; each point is one run, whole; nothing is there twice."""
    assert [each.error for each in logged if each.error] == []
    assert max(each.began for each in logged) < min(each.ended for each in logged)
    saved = [Record.load(each.folder) for each in logged]
    wanted = {(record.identity, point.trial_key) for record in saved for point in record.points}
    assert len(wanted) == 2 * CROWD
    runs = runs_shown(found, experiment)
    tags = [(run.tags["lookalike.record"], run.tags["lookalike.trial_key"]) for run in runs.values()]
    assert sorted(tags) == sorted(wanted)
    assert {point.mlflow_run_id for record in saved for point in record.points} == runs.keys()
    assert {run.status for run in runs.values()} == {"FINISHED"}
    assert len({run.shape for run in runs.values()}) == 1
    point = saved[0].points[0]
    one = next(iter(runs.values()))
    assert one.files == {"config.yaml", "record.json", "index.json"} and one.inputs == 1
    assert {name: sorted(steps) for name, steps in one.metrics.items()} == {
        **{name: [0] for name in single_metrics(point)},
        **{f"{name}_at_k": sorted(point.curve(name)) for name in point.curves},
    }


def test_32_processes_on_sqlite(tmp_path: Path) -> None:
    folders = write_records(tmp_path, CROWD)
    logged = log_at_once(folders, CONFIG, tmp_path)
    database = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    check(logged, snapshot(database, tmp_path / "mlruns" / "artifacts"), CONFIG.experiment)
    assert not list((tmp_path / "mlruns").glob(".mlflow.db*"))
