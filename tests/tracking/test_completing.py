"""A log that is cut short at any request is completed by the next one, and nothing is there twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow.store.tracking.dbmodels.models import SqlDataset
from sqlalchemy import event
from sqlalchemy.orm import Session

from lookalike import schemas
from lookalike.runs.record import Record
from lookalike.tracking import open_tracker
from lookalike.tracking.completing import Change, RunGroup
from lookalike.tracking.mlflow_tracker import MlflowTracker
from tests import records
from tests.tracking.snapshots import Shown, runs_shown, snapshot

EXPERIMENT = "tests"


class Cut(BaseException):
    """As sudden as a SIGKILL."""


class CutClient:
    """An MLflow client that ends before, or right after, its ``last``-th request that changes anything."""

    def __init__(self, client: Any, last: int = 0, done: bool = False) -> None:
        self.client, self.last, self.done = client, last, done
        self.requests = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        if name.startswith(("get_", "search_", "list_")):
            return method

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.requests += 1
            if self.requests == self.last:
                if self.done:
                    method(*args, **kwargs)
                raise Cut
            return method(*args, **kwargs)

        return counted


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cut")


def tracker_in(root: Path) -> MlflowTracker:
    tracker = open_tracker(schemas.Tracking(experiment=EXPERIMENT), root)
    assert isinstance(tracker, MlflowTracker)
    assert tracker.experiment  # made now, not within what is cut
    return tracker


def of_record(root: Path, record: Record) -> list[Shown]:
    database = f"sqlite:///{root}/mlruns/mlflow.db"
    runs = runs_shown(snapshot(database, root / "mlruns" / "artifacts"), EXPERIMENT)
    return [run for run in runs.values() if run.tags.get("lookalike.record") == record.identity]


def two_points(name: str, index: Path) -> Record:
    record = records.make_record(records.make_ladder("hnsw", "ef_search", [16, 32]), name=name)
    index.write_bytes(b"x" * 100)
    record.index["path"] = str(index)
    return record


REQUESTS = 18
"""What logging two points takes."""


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """The shapes of two runs that were logged in one go."""
    folder = tmp_path_factory.mktemp("whole")
    record = two_points("whole", folder / "index.faiss")
    record.save(folder)
    assert tracker_in(root).log_missing(record, folder) is Change.CREATED
    return [run.shape for run in of_record(root, record)]


@pytest.mark.parametrize("last", range(1, REQUESTS + 1))
@pytest.mark.parametrize("done", [False, True], ids=["undone", "unanswered"])
def test_whatever_was_cut_short_is_completed_once(
    root: Path, tmp_path: Path, whole: list[tuple[Any, ...]], last: int, done: bool
) -> None:
    record = two_points(f"cut {last} {done}", tmp_path / "index.faiss")
    record.save(tmp_path)
    tracker = tracker_in(root)
    tracker.client = CutClient(tracker.client, last, done)  # type: ignore[assignment]
    with pytest.raises(Cut):
        tracker.log(Record.load(tmp_path), tmp_path)

    tracker_in(root).log_missing(Record.load(tmp_path), tmp_path)
    runs = of_record(root, record)
    assert [run.shape for run in runs] == whole
    assert {run.status for run in runs} == {"FINISHED"}
    assert tracker_in(root).log_missing(Record.load(tmp_path), tmp_path) is Change.COMPLETE


def test_the_cuts_reach_to_the_last_request(root: Path, tmp_path: Path) -> None:
    record = two_points("how many requests", tmp_path / "index.faiss")
    record.save(tmp_path)
    tracker = tracker_in(root)
    counting = CutClient(tracker.client)
    tracker.client = counting  # type: ignore[assignment]
    tracker.log(record, tmp_path)
    assert counting.requests == REQUESTS


def test_what_is_whole_is_left_alone(root: Path, tmp_path: Path) -> None:
    """Neither MLflow nor the record is written; a description that somebody edited stays."""
    record = two_points("left alone", tmp_path / "index.faiss")
    path = record.save(tmp_path)
    tracker = tracker_in(root)
    tracker.log(record, tmp_path)
    run_id = record.points[0].mlflow_run_id
    assert run_id is not None
    tracker.client.set_tag(run_id, "mlflow.note.content", "the one for the paper")
    stamp = path.stat().st_mtime_ns
    counting = CutClient(tracker.client)
    tracker.client = counting  # type: ignore[assignment]
    assert tracker.log_missing(Record.load(tmp_path), tmp_path) is Change.COMPLETE
    assert counting.requests == 0
    assert path.stat().st_mtime_ns == stamp


def test_a_run_that_ended_without_all_of_its_values_gets_them(root: Path, tmp_path: Path) -> None:
    record = two_points("damaged", tmp_path / "index.faiss")
    record.save(tmp_path)
    tracker = tracker_in(root)
    half = RunWithHalf(tracker, record)
    assert tracker.log_missing(record, tmp_path) is Change.COMPLETED
    history = tracker.client.get_metric_history(half.run_id, "knn_recall_at_k")
    assert sorted(value.step for value in history) == sorted(record.points[0].curve("knn_recall"))
    assert tracker.log_missing(record, tmp_path) is Change.COMPLETE


class RunWithHalf:
    """A finished run of the record's first point that has half of one curve and nothing else."""

    def __init__(self, tracker: MlflowTracker, record: Record) -> None:
        from lookalike.tracking import content

        point = record.points[0]
        run = tracker.client.create_run(tracker.experiment, tags=content.tags(record, point))
        self.run_id = run.info.run_id
        when = content.milliseconds(record.finished)
        for name, k, value in content.curve_metrics(point)[:5]:
            tracker.client.log_metric(self.run_id, name, value, when, k)
        tracker.client.set_terminated(self.run_id, "FAILED")


def test_two_runs_of_one_point_become_one(root: Path, tmp_path: Path) -> None:
    """A server died after it had made the run and before it said so; the client asked again."""
    record = two_points("twins", tmp_path / "index.faiss")
    record.save(tmp_path)
    tracker = tracker_in(root)
    tracker.log(record, tmp_path)
    RunWithHalf(tracker, record)
    assert len(of_record(root, record)) == 3
    kept = [point.mlflow_run_id for point in record.points]
    again = Record.load(tmp_path)
    assert tracker.log_missing(again, tmp_path) is Change.COMPLETED
    assert len(of_record(root, record)) == 2
    assert len({point.mlflow_run_id for point in again.points} | set(kept)) <= 3
    assert tracker.log_missing(again, tmp_path) is Change.COMPLETE


def test_a_lost_parent_is_made_again_once(root: Path, tmp_path: Path) -> None:
    record = two_points("orphan", tmp_path / "index.faiss")
    record.save(tmp_path)
    tracker = tracker_in(root)
    lost = tracker.start_sweep("orphans", "")
    assert lost is not None
    tracker.log(record, tmp_path, lost)
    tracker.finish_sweep(lost, tmp_path, [record])
    group = RunGroup("the orphans", "orphans", tmp_path, [record], None, is_over=True)
    assert tracker.log_missing_parent(group) == (lost, Change.COMPLETE), "the record names it"

    tracker.client.delete_run(lost)
    parent, change = tracker.log_missing_parent(group)
    assert (parent != lost, change) == (True, Change.CREATED)
    assert tracker.log_missing(record, tmp_path, parent) is Change.COMPLETED
    assert {run.tags["mlflow.parentRunId"] for run in of_record(root, record)} == {parent}
    assert tracker.log_missing_parent(group) == (parent, Change.COMPLETE)
    assert tracker.log_missing(record, tmp_path, parent) is Change.COMPLETE
    found = tracker.client.get_run(parent)
    assert (found.info.run_name, found.info.status) == ("orphans", "FINISHED")


def test_a_parent_is_opened_again_for_another_try(root: Path) -> None:
    tracker = tracker_in(root)
    first = tracker.start_sweep("twice", "", started="2026-11-22T12:00:00+00:00")
    assert first is not None
    tracker.finish_sweep(first, root / "nowhere", [], "failed")
    assert tracker.start_sweep("twice", "", parent=first) == first
    assert tracker.client.get_run(first).info.status == "RUNNING"
    tracker.client.delete_run(first)
    assert tracker.start_sweep("twice", "", parent=first) not in (first, None)


def test_a_superseded_record_is_forgotten(root: Path, tmp_path: Path) -> None:
    record = records.make_record([], name="superseded", status="failed", error="out of luck")
    record.save(tmp_path)
    tracker = tracker_in(root)
    tracker.log(record, tmp_path)
    assert len(of_record(root, record)) == 1
    tracker.remove(record)
    tracker.remove(record)
    assert of_record(root, record) == []


def test_a_dataset_that_another_run_names_first_at_the_same_moment(root: Path, tmp_path: Path) -> None:
    """MLflow has looked for the dataset, another run makes it, and only then MLflow does."""
    first, second = (two_points(name, tmp_path / "index.faiss") for name in ("first", "second"))
    for record in (first, second):
        record.data["gallery_key"] = "named by nobody before"
        record.save(tmp_path / record.name)

    makers = []

    def cut_in(session: Session, *_: Any) -> None:
        if any(isinstance(new, SqlDataset) for new in session.new):
            makers.append(session)
            if len(makers) == 1:
                tracker_in(root).log(second, tmp_path / second.name)

    event.listen(Session, "before_flush", cut_in)
    try:
        tracker_in(root).log(first, tmp_path / first.name)
    finally:
        event.remove(Session, "before_flush", cut_in)
    assert len(makers) == 2
    for record in (first, second):
        assert [run.inputs for run in of_record(root, record)] == [1, 1]


# --- a final timing, which comes when all is logged ---------------------------------------------------------


def timed_finally(record: Record, when: str, p50_ms: float) -> Record:
    record.final_timing = {"when": when, "points": 2, "hostname": "node7"}
    for point in record.points:
        point.final_latency = {"single": {"p50_ms": p50_ms}}
        point.metrics["final_latency_single_p50_ms"] = p50_ms
    return record


def check_shown(tracker: MlflowTracker, record: Record, when: str, p50_ms: float, to: Path) -> None:
    for point in record.points:
        run = tracker.client.get_run(str(point.mlflow_run_id))
        assert run.data.metrics["final_latency_single_p50_ms"] == p50_ms
        assert run.data.tags["lookalike.final_timing"] == when
        kept = tracker.client.download_artifacts(run.info.run_id, "record.json", str(to))
        assert Record.load(Path(kept)).final_timing["when"] == when


def test_a_final_timing_reaches_runs_that_were_logged_before(root: Path, tmp_path: Path) -> None:
    tracker, record = tracker_in(root), two_points("final", tmp_path / "index.faiss")
    record.save(tmp_path)
    tracker.log(record, tmp_path)
    ids = [point.mlflow_run_id for point in record.points]

    for when, p50_ms in (("2026-11-30T12:00:00+00:00", 0.7), ("2026-11-30T13:00:00+00:00", 0.4)):
        timed_finally(record, when, p50_ms).save(tmp_path)
        assert tracker.log_missing(record, tmp_path) is Change.COMPLETED
        check_shown(tracker, record, when, p50_ms, tmp_path / "points")
        assert tracker.log_missing(record, tmp_path) is Change.COMPLETE
    assert [point.mlflow_run_id for point in record.points] == ids
    assert len(of_record(root, record)) == 2


@pytest.mark.parametrize("done", [False, True])
def test_a_final_timing_whose_log_is_cut_short_is_completed(root: Path, tmp_path: Path, done: bool) -> None:
    """Cut at each request in turn, before it or right after it."""
    record, when = two_points(f"final {done}", tmp_path / "index.faiss"), "2026-11-30T12:00:00+00:00"
    record.save(tmp_path)
    tracker_in(root).log(record, tmp_path)
    timed_finally(record, when, 0.7).save(tmp_path)
    for last in range(1, 100):
        tracker = tracker_in(root)
        tracker.client = CutClient(tracker.client, last, done)  # type: ignore[assignment]
        try:
            tracker.log_missing(record, tmp_path)
        except Cut:
            continue
        break
    assert last > 3, "what was done before a cut is not done again"
    assert tracker_in(root).log_missing(record, tmp_path) is Change.COMPLETE
    check_shown(tracker_in(root), record, when, 0.7, tmp_path / "points")


def test_a_parent_that_missed_it_gets_the_comparison_again(root: Path, tmp_path: Path) -> None:
    tracker, record = tracker_in(root), two_points("final parent", tmp_path / "index.faiss")
    folder = tmp_path / "sweep"
    folder.mkdir()
    group = RunGroup("final parent", "mine", folder, [record], None, is_over=True)
    parent, _ = tracker.log_missing_parent(group)
    assert tracker.log_missing_parent(group) == (parent, Change.COMPLETE)
    timed_finally(record, "2026-11-30T12:00:00+00:00", 0.7)
    (folder / "comparison.md").write_text("# timed together")
    assert tracker.log_missing_parent(group) == (parent, Change.COMPLETED)
    assert tracker.client.get_run(parent).data.tags["mlflow.note.content"] == "# timed together"
    assert tracker.log_missing_parent(group) == (parent, Change.COMPLETE)
