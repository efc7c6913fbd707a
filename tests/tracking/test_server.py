"""A real MLflow server on a real PostgreSQL: 32 at once, and killed in the middle."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lookalike import schemas
from lookalike.cli import main
from lookalike.errors import TrackingError
from lookalike.runs.record import Record
from lookalike.tracking import open_tracker
from lookalike.tracking.mlflow_tracker import MlflowTracker
from tests import records
from tests.tracking.crowd import log_at_once, write_records
from tests.tracking.servers import MlflowServer, PostgreSQL
from tests.tracking.snapshots import runs_shown, snapshot
from tests.tracking.test_crowd import CROWD, check

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQL]:
    database = PostgreSQL()
    try:
        database.start()
        yield database
    finally:
        database.stop()


@pytest.fixture(scope="module")
def server(database: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(database.uri, tmp_path_factory.mktemp("artifacts"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client asks a dead server once more, not for half a minute."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")


def tracker_of(config: schemas.Tracking, root: Path) -> MlflowTracker:
    tracker = open_tracker(config, root)
    assert isinstance(tracker, MlflowTracker)
    return tracker


def test_32_jobs_on_a_server(database: PostgreSQL, server: MlflowServer, tmp_path: Path) -> None:
    config = schemas.Tracking(kind="server", uri=server.uri, experiment="a crowd")
    folders = write_records(tmp_path, CROWD)
    logged = log_at_once(folders, config, tmp_path)
    check(logged, snapshot(database.uri, server.artifacts), config.experiment)


@pytest.mark.usefixtures("no_patience")
def test_a_server_that_dies_in_the_middle_loses_nothing(
    database: PostgreSQL, server: MlflowServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Jobs log one record after the other; the server is killed while they do, and started again."""
    config = schemas.Tracking(kind="server", uri=server.uri, experiment="a death")
    sync = ["sync", "--root", str(tmp_path), "tracking=server", f"tracking.uri={server.uri}"]
    sync += [f"tracking.experiment='{config.experiment}'"]
    parent = tracker_of(config, tmp_path).start_sweep("a sweep", "four jobs of three records")
    assert parent is not None
    folders = write_sweep(tmp_path / "multirun" / "2026-11-22" / "12-00-00", config, parent)

    in_the_middle, errors = threading.Semaphore(0), []

    def job(mine: list[Path]) -> None:
        for folder in mine:
            try:
                open_tracker(replace(config, parent=parent), tmp_path).log(
                    Record.load(folder), folder, parent
                )
            except TrackingError as error:
                errors.append(str(error))
            in_the_middle.release()

    jobs = [threading.Thread(target=job, args=(folders[number::4],)) for number in range(4)]
    for each in jobs:
        each.start()
    for _ in range(3):
        assert in_the_middle.acquire(timeout=120)
    server.kill()
    for each in jobs:
        each.join(240)
    assert errors, "the server outlived the jobs: the test proves nothing"
    assert all("safe in each run's record.json" in error or "answers" in error for error in errors)
    before = snapshot(database.uri, server.artifacts)

    assert main(sync) == 1, "the server is still away"
    told = capsys.readouterr()
    assert told.out == "12 records: 0 complete, 0 completed, 0 created, 12 failed\n"
    assert "no MLflow server answers" in told.err
    assert snapshot(database.uri, server.artifacts) == before

    server.start()
    assert main(sync) == 0
    assert re.match(
        r"12 records: [1-9]\d* complete, \d+ completed, [1-9]\d* created", capsys.readouterr().out
    )
    after = snapshot(database.uri, server.artifacts)
    runs = runs_shown(after, config.experiment)
    assert runs.pop(parent).status == "FINISHED"
    wanted = {(Record.load(f).identity, p.trial_key) for f in folders for p in Record.load(f).points}
    tags = [(run.tags["lookalike.record"], run.tags["lookalike.trial_key"]) for run in runs.values()]
    assert sorted(tags) == sorted(wanted)
    assert len({run.shape for run in runs.values()}) == 1, "some have less, or something twice"
    assert {(run.status, run.tags["mlflow.parentRunId"]) for run in runs.values()} == {("FINISHED", parent)}
    whole_before = {row for row in before.tables["runs"] if row[2] == "FINISHED"}
    assert whole_before and whole_before <= set(after.tables["runs"]), "what was complete stays as it was"
    assert set(before.tables["metrics"]) <= set(after.tables["metrics"])

    assert main(sync) == 0
    assert capsys.readouterr().out == "12 records: 12 complete, 0 completed, 0 created\n"
    assert snapshot(database.uri, server.artifacts) == after


def write_sweep(folder: Path, config: schemas.Tracking, parent: str) -> list[Path]:
    """Twelve records of a sweep that has ended."""
    folders = [folder / f"job{number:02}" for number in range(12)]
    for place in folders:
        record = records.make_record(records.make_ladder("hnsw", "ef_search", [16]), name=place.name)
        record.config["tracking"] = asdict(replace(config, parent=parent))
        record.save(place)
    (folder / "multirun.yaml").write_text("")
    (folder / "comparison.md").write_text("# a sweep\n")
    return folders
