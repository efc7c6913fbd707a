"""``lookalike sync`` on real runs, sweeps and stores: what is missing is filled in, once."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pytest

from lookalike import schemas
from lookalike.cli import main
from lookalike.runs.paths import RunPaths
from lookalike.runs.record import Record
from lookalike.sweep.ledger import Ledger, LedgerJob
from lookalike.tracking import open_tracker
from lookalike.tracking.backend import Backend
from lookalike.tracking.mlflow_tracker import MlflowTracker
from tests import records
from tests.tracking.snapshots import Shown, Snapshot, runs_shown, snapshot

Capture = pytest.CaptureFixture[str]
EXPERIMENT = "synchronised"
LOCAL = schemas.Tracking(experiment=EXPERIMENT)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty one: MLflow takes 2 s to make it."""
    folder = tmp_path_factory.mktemp("empty")
    Backend.in_folder(folder).connect()
    return folder / "mlflow.db"


@pytest.fixture
def root(tmp_path: Path, database: Path) -> Path:
    """Two runs (of one point and of two) and a sweep of three jobs, one failed and one interrupted."""
    root = tmp_path / "root"
    one = records.make_record(name="one")
    two = records.make_record(records.make_ladder("hnsw", "ef_search", [16, 32]), name="two")
    for record in (one, two):
        record.config["tracking"] = asdict(LOCAL)
        record.save(root / "outputs" / "2026-11-22" / record.name)
    sweep = root / "multirun" / "thirds"
    jobs = [
        records.make_record(name="a"),
        records.make_record([], name="b", status="failed", error="nlist is too large"),
        records.make_record([], name="c", status="interrupted", error="KeyboardInterrupt"),
    ]
    for record in jobs:
        record.config["tracking"] = asdict(LOCAL) | {"parent": "0" * 32}
        record.save(sweep / record.name)
    entries = [LedgerJob(job.name, [], [{"key": job.name, "label": job.name}], {}, "") for job in jobs]
    Ledger("thirds", "2026-11-22T12:00:00+00:00", [], "0" * 32, entries).save(sweep)
    (sweep / "comparison.md").write_text("# thirds\n")
    (root / "mlruns").mkdir()
    shutil.copy(database, root / "mlruns")
    return root


def sync(root: Path, capsys: Capture, *arguments: str, code: int = 0) -> str:
    assert main(["sync", "--root", str(root), *arguments]) == code
    return capsys.readouterr().out.strip()


def state(root: Path) -> Snapshot:
    return snapshot(f"sqlite:///{root}/mlruns/mlflow.db", root / "mlruns" / "artifacts")


def shown(root: Path) -> list[Shown]:
    return list(runs_shown(state(root), EXPERIMENT).values())


def named(root: Path, name: str) -> Shown:
    [run] = [run for run in shown(root) if run.name == name]
    return run


def shapes(runs: Iterable[Shown]) -> list[str]:
    return sorted(repr(run.shape) for run in runs)


def tracker(root: Path) -> MlflowTracker:
    tracker = open_tracker(LOCAL, root)
    assert isinstance(tracker, MlflowTracker)
    return tracker


def test_a_lost_database_is_made_again_and_twice_changes_nothing(root: Path, capsys: Capture) -> None:
    shutil.rmtree(root / "mlruns")
    assert sync(root, capsys) == "5 records: 0 complete, 0 completed, 5 created; 2 parents created"
    after = state(root)
    runs = shown(root)
    points, parents = 1 + 2 + 1, 2
    assert len(runs) == points + 2 + parents
    assert Counter(run.status for run in runs) == {"FINISHED": points + 1, "FAILED": 2, "KILLED": 1}
    assert named(root, "thirds").status == "FAILED"
    assert named(root, "thirds").files == {"comparison.md"}
    assert named(root, "b").tags["lookalike.error"] == "nlist is too large"
    assert len({run.tags.get("mlflow.parentRunId") for run in runs} - {None}) == parents

    assert sync(root, capsys) == "5 records: 5 complete, 0 completed, 0 created"
    assert state(root) == after


def test_a_copied_root_is_shown_from_its_records_alone(root: Path, tmp_path: Path, capsys: Capture) -> None:
    sync(root, capsys)
    copy = tmp_path / "copy"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("mlruns"))
    assert sync(copy, capsys) == "5 records: 0 complete, 0 completed, 5 created; 2 parents created"
    assert shapes(shown(copy)) == shapes(shown(root))


def test_only_what_is_missing_is_sent(root: Path, capsys: Capture) -> None:
    """A run deleted, one cut short, a lost artifact, a lost parent: the rest stays as it was."""
    sync(root, capsys)
    runs = runs_shown(before := state(root), EXPERIMENT)
    ids = {run.name: run_id for run_id, run in runs.items()}
    client = tracker(root).client
    client.delete_run(ids["c"])
    client.delete_run(ids["thirds"])
    client.update_run(ids["b"], status="RUNNING")
    one = Record.load(root / "outputs" / "2026-11-22" / "one").points[0].mlflow_run_id
    assert one is not None
    [config] = (root / "mlruns" / "artifacts" / one).rglob("config.yaml")
    config.unlink()
    assert sync(root, capsys) == "5 records: 1 complete, 3 completed, 1 created; 1 parent created"
    after = state(root)
    assert shapes(runs_shown(after, EXPERIMENT).values()) == shapes(runs.values())
    assert set(before.tables["metrics"]) == set(after.tables["metrics"])
    assert sync(root, capsys) == "5 records: 5 complete, 0 completed, 0 created"
    assert state(root) == after


def test_everything_goes_to_another_store(root: Path, tmp_path: Path, capsys: Capture) -> None:
    sync(root, capsys)
    home = state(root)
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("record.json")}
    there = f"sqlite:///{tmp_path}/other.db"
    options = ["tracking=server", f"tracking.uri={there}", f"tracking.experiment={EXPERIMENT}"]
    assert sync(root, capsys, *options).startswith("5 records: 0 complete, 0 completed, 5 created; 2 parents")
    other = snapshot(there, tmp_path / "none")
    assert len(runs_shown(other, EXPERIMENT)) == len(runs_shown(home, EXPERIMENT))
    assert sync(root, capsys, *options) == "5 records: 5 complete, 0 completed, 0 created"
    assert snapshot(there, tmp_path / "none") == other
    assert state(root) == home, "and the first store is not touched"
    assert {path: path.stat().st_mtime_ns for path in root.rglob("record.json")} == stamps


def test_one_run_brings_its_sweep_and_nothing_else(root: Path, capsys: Capture) -> None:
    assert sync(root, capsys, "multirun/thirds/a").startswith("3 records: 0 complete, 0 completed, 3 created")
    assert sync(root, capsys, str(root / "outputs" / "2026-11-22" / "two")).startswith("1 record: ")
    assert sync(root, capsys, "one") == "1 record: 0 complete, 0 completed, 1 created"


def test_a_sweep_that_is_not_over_keeps_its_parent_open(root: Path, capsys: Capture) -> None:
    (root / "multirun" / "thirds" / "c" / "record.json").unlink()
    sync(root, capsys)
    assert named(root, "thirds").status == "RUNNING"


def test_an_earlier_try_goes_out_of_sight(root: Path, capsys: Capture) -> None:
    sync(root, capsys)
    failed = root / "multirun" / "thirds" / "b"
    (failed / "record.json").rename(RunPaths(failed).superseded_record)
    again = records.make_record(name="b2")
    again.config["tracking"] = asdict(LOCAL)
    again.save(root / "multirun" / "thirds" / "b.2")
    said = sync(root, capsys)
    assert said.startswith("5 records: 4 complete, 0 completed, 1 created")
    assert "b" not in {run.name for run in shown(root)}
    after = state(root)
    sync(root, capsys)
    assert state(root) == after


def test_runs_that_were_not_to_be_tracked_are_left_out_unless_named(root: Path, capsys: Capture) -> None:
    record = records.make_record(name="private")
    record.config["tracking"] = {"kind": "none"}
    record.save(root / "outputs" / "private")
    assert sync(root, capsys, "outputs/private").startswith(
        "1 record: 0 complete, 0 completed, 0 created, 1 not"
    )
    assert sync(root, capsys, "outputs/private", "tracking=local").endswith("1 created")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing of the kind"], "no run or sweep under"),
        (["tracking=none"], "name a store"),
        (["tracking.colour=red"], "there is no tracking.colour"),
        (["tracking=server"], "needs tracking.uri"),
    ],
)
def test_what_cannot_be_is_explained(root: Path, capsys: Capture, arguments: list[str], told: str) -> None:
    code = main(["sync", "--root", str(root), *arguments])
    assert code in (1, 2)
    assert told in capsys.readouterr().err


def test_a_root_that_is_not_there(tmp_path: Path, capsys: Capture) -> None:
    assert main(["sync", "--root", str(tmp_path / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["sync", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "0 records: 0 complete, 0 completed, 0 created\n"


def test_a_damaged_record_is_named_and_keeps_no_other(root: Path, capsys: Capture) -> None:
    (root / "outputs" / "2026-11-22" / "one" / "record.json").write_text("{")
    assert main(["sync", "--root", str(root)]) == 1
    told = capsys.readouterr()
    assert "record.json is not JSON" in told.err
    assert told.out.startswith("4 records: 0 complete, 0 completed, 4 created")


def test_a_password_that_a_record_does_not_hold_is_asked_for(root: Path, capsys: Capture) -> None:
    record = records.make_record(name="secret")
    record.config["tracking"] = {"kind": "server", "uri": "mysql://u:p@h/db"}
    record.save(root / "outputs" / "secret")
    assert main(["sync", "--root", str(root), "outputs/secret"]) == 1
    told = capsys.readouterr()
    assert "is not kept in records" in told.err and "mysql://u:***@h/db" in told.err
    assert "tracking.uri=ADDRESS" in told.err
    assert told.out.endswith("1 failed\n")


def test_nothing_goes_to_a_server_that_only_a_record_names(root: Path, capsys: Capture) -> None:
    """Nor to a folder outside of the home; the caller says where, and then it goes there."""
    sent = records.make_record(name="sent away")
    sent.config["tracking"] = {"kind": "server", "uri": "http://127.0.0.1:9", "experiment": EXPERIMENT}
    sent.save(root / "outputs" / "sent away")
    outside = records.make_record(name="outside")
    outside.config |= {"tracking": asdict(LOCAL), "paths": {"mlruns": str(root.parent / "outside")}}
    outside.save(root / "outputs" / "outside")
    assert main(["sync", "--root", str(root)]) == 1
    told = capsys.readouterr()
    assert "lookalike sync tracking=server tracking.uri=http://127.0.0.1:9" in told.err
    assert f"leads out of {root}" in told.err
    assert told.out.startswith("7 records: 0 complete, 0 completed, 5 created, 2 failed")
    assert not (root.parent / "outside").exists()
    assert sync(root, capsys, "tracking=local", f"tracking.experiment={EXPERIMENT}").startswith(
        "7 records: 5 complete, 0 completed, 2 created"
    )
    assert not (root.parent / "outside").exists()
