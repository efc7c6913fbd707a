"""Records in a real MLflow store (SQLite), read back through MLflow's own client."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import pytest

from lookalike import schemas
from lookalike.errors import TrackingError
from lookalike.runs.record import Record
from lookalike.tracking import NoTracker, local_page, open_tracker
from lookalike.tracking.backend import Backend
from lookalike.tracking.completing import Change
from lookalike.tracking.content import index_path
from lookalike.tracking.mlflow_tracker import MlflowTracker
from tests import records

EXPERIMENT = "tests"


def tracker_in(root: Path, **settings: Any) -> MlflowTracker:
    tracker = open_tracker(schemas.Tracking(experiment=EXPERIMENT, **settings), root)
    assert isinstance(tracker, MlflowTracker)
    return tracker


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for the module (making one takes 2 s), under a name that asks for trouble."""
    return tmp_path_factory.mktemp("a b%20c#d?'é")


def runs_of(tracker: MlflowTracker, record: Record) -> Any:
    return tracker.client.search_runs([tracker.experiment], f"tags.`lookalike.record` = '{record.identity}'")


def files_of(tracker: MlflowTracker, run_id: str, folder: str = "") -> set[str]:
    return {item.path for item in tracker.client.list_artifacts(run_id, folder)}


def test_a_sweep_is_a_parent_with_its_points(root: Path, tmp_path: Path) -> None:
    tracker = tracker_in(root)
    parent = tracker.start_sweep("six points", "four families")
    sweep = records.make_sweep()
    for number, record in enumerate(sweep):
        record.save(tmp_path / str(number))
        tracker.log(record, tmp_path / str(number), parent)
    (tmp_path / "comparison.md").write_text("# six points")
    (tmp_path / "comparison.csv").write_text("label\n")
    tracker.finish_sweep(parent, tmp_path, sweep)

    children = tracker.client.search_runs([tracker.experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert {run.info.run_name for run in children} == {p.label for r in sweep for p in r.points}
    assert {run.info.status for run in children} == {"FINISHED"}
    assert parent is not None
    over = tracker.client.get_run(parent)
    assert over.info.status == "FINISHED" and over.data.tags["mlflow.note.content"] == "# six points"
    assert over.data.tags["lookalike.points"] == "6" and over.data.metrics == {}
    assert files_of(tracker, parent) == {"comparison.csv", "comparison.md"}
    saved = [Record.load(tmp_path / str(number)) for number in range(4)]
    assert {p.mlflow_run_id for r in saved for p in r.points} == {run.info.run_id for run in children}


def test_a_point_holds_params_metrics_curves_input_and_files(root: Path, tmp_path: Path) -> None:
    tracker, record = tracker_in(root), records.make_record(name="one point")
    by_class = record.points[0].by_class = records.make_by_class("cat", "dog")
    (tmp_path / "points").mkdir()
    (tmp_path / str(by_class.table)).write_text("class,queries\ncat,10\n")
    record.save(tmp_path)
    tracker.log(record, tmp_path)
    (run,) = runs_of(tracker, record)
    point = record.points[0]
    assert run.data.params["nprobe"] == "8"
    assert run.data.metrics["knn_recall_at_100"] == pytest.approx(0.95)
    history = tracker.client.get_metric_history(run.info.run_id, "knn_recall_at_k")
    assert {m.step: m.value for m in history} == pytest.approx(point.curve("knn_recall"))
    (gallery,) = run.inputs.dataset_inputs
    assert gallery.dataset.digest == record.data["gallery_key"]
    assert files_of(tracker, run.info.run_id) == {
        "config.yaml",
        "record.json",
        "by_edit.csv",
        "classes.csv",
        "index.json",
    }
    assert run.info.end_time - run.info.start_time == 3500


def test_logging_again_makes_no_second_run(root: Path, tmp_path: Path) -> None:
    record = records.make_record(records.make_ladder("hnsw", "ef_search", [16, 32]), name="logged twice")
    record.save(tmp_path)
    tracker_in(root).log(record, tmp_path)
    first = [point.mlflow_run_id for point in record.points]
    again = Record.load(tmp_path)
    for point in again.points:
        point.mlflow_run_id = None
    tracker = tracker_in(root)
    tracker.log(again, tmp_path)
    assert [point.mlflow_run_id for point in again.points] == first
    assert len(runs_of(tracker, record)) == 2


@pytest.mark.parametrize(("status", "shown"), [("failed", "FAILED"), ("interrupted", "KILLED")])
def test_a_run_that_did_not_finish_is_seen(root: Path, tmp_path: Path, status: str, shown: str) -> None:
    record = records.make_record([], name=f"a {status} run", status=status, error="index.nlist is too large")
    record.save(tmp_path)
    tracker = tracker_in(root)
    tracker.log(record, tmp_path)
    (run,) = runs_of(tracker, record)
    assert (run.info.run_name, run.info.status) == (f"a {status} run", shown)
    assert run.data.tags["lookalike.error"] == "index.nlist is too large"
    assert "too large" in run.data.tags["mlflow.note.content"]


def with_index(record: Record, home: Path) -> Path:
    """Give ``record`` an index of its own in the store of ``home``; returns the file."""
    content = record.name.encode() * 100
    record.index |= {"key": md5(content).hexdigest(), "sha256": sha256(content).hexdigest()}
    record.index["index_bytes"] = len(content)
    file = home / str(index_path(record))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_the_index_is_referred_to_and_not_copied_on_its_own_machine(root: Path, tmp_path: Path) -> None:
    """One copy an operating point was more than the store."""
    ladder = records.make_ladder("hnsw", "ef_search", [16, 32])
    record = records.make_record(ladder, name="an index of its own")
    file = with_index(record, root)
    record.save(tmp_path)
    tracker = tracker_in(root)
    tracker.log(record, tmp_path)
    runs = runs_of(tracker, record)
    assert len(runs) == 2
    for run in runs:
        assert "index" not in files_of(tracker, run.info.run_id)
        reference = reference_of(tracker, run.info.run_id, tmp_path)
        assert root / reference["uri"] == file
        assert reference["sha256"] == sha256(file.read_bytes()).hexdigest()
        assert (reference["bytes"], reference["factory"]) == (file.stat().st_size, record.index["factory"])
        assert run.data.tags["lookalike.index.uri"] == reference["uri"]


def reference_of(tracker: MlflowTracker, run_id: str, folder: Path) -> dict[str, Any]:
    path = tracker.client.download_artifacts(run_id, "index.json", str(folder))
    reference: dict[str, Any] = json.loads(Path(path).read_text())
    return reference


def on_server(root: Path, home: Path, **settings: Any) -> MlflowTracker:
    """The store of ``root`` as if it were a server's, for the records of ``home``."""
    assert tracker_in(root).experiment
    config = schemas.Tracking(
        kind="server", uri=Backend.in_folder(root / "mlruns").uri, experiment=EXPERIMENT, **settings
    )
    tracker = open_tracker(config, home)
    assert isinstance(tracker, MlflowTracker)
    return tracker


def test_an_index_is_sent_to_a_server_once(root: Path, tmp_path: Path) -> None:
    runs, tracker = [], on_server(root, tmp_path)
    for name in ("morning", "evening"):
        record = records.make_record(records.make_ladder("hnsw", "ef_search", [16, 32]), name="twice a day")
        record.started = f"2026-11-22T{10 if name == 'morning' else 20}:00:00+00:00"
        with_index(record, tmp_path)
        record.save(tmp_path / name)
        tracker.log(record, tmp_path / name)
        assert tracker.log_missing(Record.load(tmp_path / name), tmp_path / name) is Change.COMPLETE
        runs += [run.info.run_id for run in runs_of(tracker, record)]
    holders = [run for run in runs if files_of(tracker, run, "index") == {"index/index.faiss"}]
    assert (len(runs), len(holders)) == (4, 1)
    for run in runs:
        assert reference_of(tracker, run, tmp_path)["uri"] == f"runs:/{holders[0]}/index/index.faiss"


def too_large(record: Record, file: Path) -> None:
    file.write_bytes(b"x" * 2_000_000)
    record.index["sha256"] = sha256(file.read_bytes()).hexdigest()


def another_file(record: Record, file: Path) -> None:
    file.write_bytes(b"rebuilt since")


def named_by_the_record(record: Record, file: Path) -> None:
    """As a record of 0.1.0 names it, and as whoever wants a file of yours would."""
    record.index |= {"path": "/etc/passwd", "sha256": sha256(Path("/etc/passwd").read_bytes()).hexdigest()}


def key_that_leads_out(record: Record, file: Path) -> None:
    secret = file.parents[4] / "index.faiss"
    secret.write_bytes(b"a secret")
    record.index |= {"key": "../../../..", "sha256": sha256(b"a secret").hexdigest()}


def store_elsewhere(record: Record, file: Path) -> None:
    record.config["paths"] = {"store": str(file.parents[4] / "other")}
    (away := file.parents[4] / str(index_path(record))).parent.mkdir(parents=True)
    away.write_bytes(file.read_bytes())
    file.unlink()


def linked(record: Record, file: Path) -> None:
    secret = file.parents[4] / "secret"
    file.rename(secret)
    file.symlink_to(secret)


@pytest.mark.parametrize(
    "change", [too_large, another_file, named_by_the_record, key_that_leads_out, store_elsewhere, linked]
)
def test_what_is_not_the_recorded_index_of_this_home_is_not_sent(
    root: Path, tmp_path: Path, change: Callable[[Record, Path], None]
) -> None:
    record = records.make_record(name=f"not sent: {change.__name__}")
    change(record, with_index(record, tmp_path))
    record.save(tmp_path / "run")
    tracker = on_server(root, tmp_path, upload_limit_mb=1.0)
    tracker.log(record, tmp_path / "run")
    (run,) = runs_of(tracker, record)
    assert files_of(tracker, run.info.run_id, "index") == set()
    assert run.data.tags.get("lookalike.index.uploaded") is None


def test_a_report_that_is_a_link_to_something_else_is_not_sent(root: Path, tmp_path: Path) -> None:
    tracker, record = tracker_in(root), records.make_record(name="linked report")
    parent = tracker.start_sweep("linked", "")
    (tmp_path / "report.html").symlink_to("/etc/passwd")
    record.save(tmp_path / "elsewhere")
    (tmp_path / "record.json").symlink_to(tmp_path / "elsewhere" / "record.json")
    tracker.log(Record.load(tmp_path / "elsewhere"), tmp_path, parent)
    tracker.finish_sweep(parent, tmp_path, [record])
    assert parent is not None and files_of(tracker, parent) == set()
    (run,) = runs_of(tracker, record)
    assert "record.json" not in files_of(tracker, run.info.run_id)


class FullDisk:
    """An MLflow client whose artifacts find no room."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Any:
        if name in ("log_artifact", "log_text", "log_dict"):
            raise OSError(28, os.strerror(28))
        return getattr(self.client, name)


def test_no_room_for_artifacts_leaves_nothing_running(root: Path, tmp_path: Path) -> None:
    record = records.make_record(name="no room")
    record.save(tmp_path)
    (tmp_path / "comparison.md").write_text("# no room")
    tracker = tracker_in(root)
    parent = tracker.start_sweep("no room", "")
    tracker.client = FullDisk(tracker.client)  # type: ignore[assignment]
    with pytest.raises(TrackingError, match=r"No space left on device.*`lookalike sync`"):
        tracker.log(record, tmp_path, parent)
    with pytest.raises(TrackingError, match="No space left on device"):
        tracker.finish_sweep(parent, tmp_path, [record])
    whole = tracker_in(root)
    (run,) = runs_of(whole, record)
    assert run.info.status == "FAILED"
    assert whole.client.get_run(str(parent)).info.status == "FINISHED"

    assert whole.log_missing(record, tmp_path, parent) is Change.COMPLETED
    (run,) = runs_of(whole, record)
    assert run.info.status == "FINISHED" and "record.json" in files_of(whole, run.info.run_id)
    assert whole.log_missing(record, tmp_path, parent) is Change.COMPLETE


def test_artifacts_lie_under_the_root_whatever_the_working_directory(root: Path, tmp_path: Path) -> None:
    tracker = tracker_in(root)
    experiment = tracker.client.get_experiment(tracker.experiment)
    assert experiment.artifact_location == (root / "mlruns" / "artifacts").as_uri()
    assert (root / "mlruns" / "mlflow.db").exists()
    assert not list(root.glob("mlruns/.mlflow.db*"))


def test_the_page_of_the_local_results_is_known_without_mlflow(root: Path, tmp_path: Path) -> None:
    tracker = tracker_in(root)
    assert local_page(root, experiment=EXPERIMENT) == f"/{tracker.page()}"
    assert local_page(root, experiment="unheard of") == ""
    (tmp_path / "mlruns").mkdir()
    assert local_page(tmp_path) == ""


def test_a_deleted_experiment_is_explained(root: Path, tmp_path: Path) -> None:
    tracker = open_tracker(schemas.Tracking(experiment="deleted"), root)
    assert isinstance(tracker, MlflowTracker)
    tracker.client.delete_experiment(tracker.experiment)
    again = open_tracker(schemas.Tracking(experiment="deleted"), root)
    with pytest.raises(TrackingError, match="was deleted; restore it"):
        again.start_sweep("name", "description")


def test_a_server_that_does_not_answer_is_found_out_at_once(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: refused
        uri = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(TrackingError, match=r"no MLflow server answers at .*; start it"):
            open_tracker(schemas.Tracking(kind="server", uri=uri), tmp_path)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"kind": "server"}, "needs tracking.uri"),
        ({"kind": "server", "uri": "./mlruns"}, "no longer keeps runs in plain files"),
        ({"kind": "server", "uri": "http://[not an address"}, "no MLflow server answers"),
        ({"kind": "wandb"}, "choose one of local, server, none"),
    ],
)
def test_impossible_settings_are_refused(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(TrackingError, match=told):
        open_tracker(schemas.Tracking(**settings), tmp_path)


def test_a_database_that_is_none_costs_the_view_not_the_record(tmp_path: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").mkdir()
    record = records.make_record()
    record.save(tmp_path / "run")
    with pytest.raises(TrackingError, match=r"results are safe in each run's record\.json"):
        tracker_in(tmp_path).log(record, tmp_path / "run")
    assert Record.load(tmp_path / "run") == record


def test_no_tracker_writes_nothing(tmp_path: Path) -> None:
    tracker = open_tracker(schemas.Tracking(kind="none"), tmp_path / "root")
    assert isinstance(tracker, NoTracker)
    assert tracker.start_sweep("name", "description") is None
    tracker.log(records.make_record(), tmp_path / "run", None)
    tracker.finish_sweep(None, tmp_path, [])
    assert list(tmp_path.iterdir()) == []
