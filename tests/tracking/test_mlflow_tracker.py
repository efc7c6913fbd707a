"""Records in a real MLflow store (SQLite), read back through MLflow's own client."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from lookalike import schemas
from lookalike.errors import TrackingError
from lookalike.record import Record
from lookalike.tracking import NoTracker, local_page, open_tracker
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
    assert files_of(tracker, run.info.run_id) == {"config.yaml", "record.json", "by_edit.csv"}
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


@pytest.mark.parametrize(("limit", "uploaded"), [(1.0, {"index/index.faiss"}), (0.001, set())])
def test_a_small_index_is_uploaded(root: Path, tmp_path: Path, limit: float, uploaded: set[str]) -> None:
    index = tmp_path / "index.faiss"
    index.write_bytes(b"x" * 2000)
    record = records.make_record(name=f"limit {limit}")
    record.index["path"] = str(index)
    record.save(tmp_path)
    tracker = tracker_in(root, upload_limit_mb=limit)
    tracker.log(record, tmp_path)
    (run,) = runs_of(tracker, record)
    assert files_of(tracker, run.info.run_id, "index") == uploaded
    assert run.data.tags["lookalike.index.uri"] == str(index)


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
