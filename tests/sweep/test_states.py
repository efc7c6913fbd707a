"""How points stand, from records, ledger, scheduler and logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.runs.record import FAILED, FINISHED, INTERRUPTED
from lookalike.sweep.ledger import Ledger, LedgerJob, Submission
from lookalike.sweep.slurm.jobs import Queue, TaskState, end_in_log
from lookalike.sweep.states import ENDED_AS, PointState, count_states, point_states
from tests.records import make_point, make_record

TIME_LIMIT = "slurmstepd: error: *** JOB 7 ON node1 CANCELLED AT 2026-11-22T12:00:00 DUE TO TIME LIMIT ***\n"
CANCELLED = "slurmstepd: error: *** STEP 7.0 ON node1 CANCELLED AT 2026-11-22T12:00:00 ***\n"


def ledger_of(*jobs: tuple[str, str], submitted: Path | None = None) -> Ledger:
    """One job a (folder, key), all tasks of one array with the number 7 when ``submitted``."""
    made = [LedgerJob(folder, [], [{"key": key, "label": key}], {}, "") for folder, key in jobs]
    submission = Submission("time", "7", [job.folder for job in made], f"{submitted}/%j")
    return Ledger("mine", "now", [], None, made, submissions=[submission] if submitted else [])


def leave(
    folder: Path, status: str = FINISHED, key: str = "a", error: str | None = None, **extras: str
) -> None:
    points = [make_point(trial_key=key, label=key)] if status == FINISHED else []
    make_record(points, status=status, error=error, extras=extras).save(folder)


def state_of(ledger: Ledger, folder: Path, queue: Queue | None = None, is_locked: bool = False) -> PointState:
    [state] = point_states(ledger, folder, queue or {}, is_locked=is_locked)
    return state


def test_a_finished_record_counts_whichever_folder_it_lies_in(tmp_path: Path) -> None:
    leave(tmp_path / "of-another-grouping")
    state = state_of(ledger_of(("job", "a")), tmp_path)
    assert (state.state, state.folder) == ("done", "of-another-grouping")


def test_the_last_try_counts(tmp_path: Path) -> None:
    leave(tmp_path / "job", FAILED, error="first")
    leave(tmp_path / "job.2", FAILED, error="second")
    state = state_of(ledger_of(("job", "a"), ("job.2", "a")), tmp_path)
    assert (state.state, state.folder, state.why) == ("failed", "job.2", "second")


def test_whoever_gathered_says_how_a_job_ended(tmp_path: Path) -> None:
    leave(tmp_path / "job", FAILED, error="timed out: ...", **{ENDED_AS: "timed out"})
    assert state_of(ledger_of(("job", "a")), tmp_path).state == "timed out"


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("PENDING", "pending"),
        ("RUNNING", "running"),
        ("COMPLETING", "running"),
        ("SUSPENDED", "running"),
        ("REQUEUED", "pending"),
        ("TIMEOUT", "timed out"),
        ("CANCELLED", "lost"),
        ("NODE_FAIL", "lost"),
        ("OUT_OF_MEMORY", "lost"),
        ("COMPLETED", "lost"),  # without a record nothing is believed
        (None, "lost"),
    ],
)
def test_without_a_record_the_scheduler_is_asked(tmp_path: Path, said: str | None, state: str) -> None:
    queue = {"7_0": TaskState(said)} if said else {}
    found = state_of(ledger_of(("job", "a"), submitted=tmp_path / ".submitit"), tmp_path, queue)
    assert (found.state, found.task) == (state, "7_0")


@pytest.mark.parametrize(
    ("log", "state"),
    [(TIME_LIMIT, "timed out"), (CANCELLED, "lost"), ("oom-kill event", "lost"), ("", "lost")],
)
def test_what_the_scheduler_forgot_stands_in_the_log(tmp_path: Path, log: str, state: str) -> None:
    path = tmp_path / ".submitit/7_0/7_0_0_log.err"
    path.parent.mkdir(parents=True)
    path.write_text(log)
    found = state_of(ledger_of(("job", "a"), submitted=tmp_path / ".submitit"), tmp_path)
    assert (found.state, found.log) == (state, str(path))


def test_a_job_that_ran_out_of_time_and_was_then_cancelled_was_cancelled(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(TIME_LIMIT + CANCELLED)
    assert end_in_log(log) == "CANCELLED"


def test_an_interrupted_job_that_is_queued_again_is_pending(tmp_path: Path) -> None:
    leave(tmp_path / "job", INTERRUPTED, error="preempted")
    ledger = ledger_of(("job", "a"), submitted=tmp_path / ".submitit")
    assert state_of(ledger, tmp_path, {"7_0": TaskState("PENDING", "BeginTime")}).state == "pending"
    assert state_of(ledger, tmp_path).state == "lost"


def test_jobs_of_a_process_that_is_at_work_have_their_turn(tmp_path: Path) -> None:
    ledger = ledger_of(("first", "a"), ("second", "b"))
    (tmp_path / "first").mkdir()
    at_work = point_states(ledger, tmp_path, {}, is_locked=True)
    assert [point.state for point in at_work] == ["running", "pending"]
    left = point_states(ledger, tmp_path, {})
    assert [(point.state, point.begun) for point in left] == [("lost", True), ("lost", False)]


def test_a_damaged_record_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job/record.json").write_text('{"format": 1')
    assert state_of(ledger_of(("job", "a")), tmp_path).state == "lost"


def test_what_was_skipped_is_told_with_the_reason(tmp_path: Path) -> None:
    ledger = Ledger("mine", "now", [], skipped=[{"what": "nprobe=9", "why": "too many"}])
    state = state_of(ledger, tmp_path)
    assert (state.state, state.label, state.why) == ("skipped", "nprobe=9", "too many")
    assert count_states([state]) == {"skipped": 1}
