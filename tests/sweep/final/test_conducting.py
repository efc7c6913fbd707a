"""The final timing as a part of a sweep, with stand-in jobs: when it comes, and what it may cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lookalike.config.composing import compose
from lookalike.errors import UserError
from lookalike.progress import Progress
from lookalike.runs.catalog import records_of_sweep
from lookalike.runs.record import Record
from lookalike.sweep.collecting import collect, look, time_again
from lookalike.sweep.final.state import FinalState
from lookalike.sweep.ledger import Ledger
from lookalike.sweep.plan import Candidate
from lookalike.sweep.run import OnNode, SweepRequest, run_sweep
from lookalike.sweep.slurm.jobs import TaskState
from lookalike.sweep.task import Services
from tests.notes import Notes
from tests.sweep.test_resume import Cluster, hand_over
from tests.sweep.test_run import in_this_process
from tests.sweep.worlds import ELSEWHERE, MemoryTracker, World

FINAL = "sweep.final_timing=true"
JOBS = [["index=flat"], ["index=ivf_flat"]]


def mark(folder: Path) -> int:
    """Give every record a final timing, as if all points had been timed together."""

    def change(record: Record) -> None:
        record.final_timing = {"when": "2026-11-30T12:00:00+00:00", "points": 3, "hostname": "node7"}
        for point in record.points:
            point.final_latency = {"single": {"p50_ms": 0.5}}
            point.metrics["final_latency_single_p50_ms"] = 0.5

    for name, record in records_of_sweep(folder).items():
        record.amend(folder / name, change)
    return 3


class Timing(World):
    """A world whose final timing is what it is told to be, and is counted."""

    def __init__(self, time: Callable[[Path], int] = mark) -> None:
        super().__init__()
        self.time = time
        self.timed: list[tuple[int, int]] = []
        """(records, records that the tracker showed by then) of every final timing."""

    def time_finally(self, folder: Path, progress: Progress, *, again: bool = False) -> int:
        self.timed.append((len(records_of_sweep(folder)), len(self.tracker.shown)))
        return self.time(folder)

    def final_is_due(self, records: Iterable[Record]) -> bool:
        """Stand-in jobs of several indexes measure the same, so that the first one is all of the front."""
        return any(not record.final_timing for record in records)


def sweep(
    world: World, folder: Path, *more: str, notes: Notes | None = None, on_node: OnNode | None = None
) -> int:
    candidates = [Candidate.of(job, compose(["model=pixels", *job, *more])) for job in JOBS]
    return run_sweep(
        candidates,
        SweepRequest("mine", folder, ["-m", *more]),
        in_this_process(world, folder),
        services=world,
        progress=notes or Notes(),
        on_node=on_node,
    ).exit_code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "multirun/mine"


def raising(error: BaseException) -> Callable[[Path], int]:
    def time(folder: Path) -> int:
        raise error

    return time


def test_it_comes_after_all_jobs_and_before_the_comparison(folder: Path) -> None:
    world = Timing()
    assert sweep(world, folder, FINAL) == 0
    assert world.timed == [(2, 2)], "all records are written and shown by then"
    assert world.tracker.events[-1] == ("finish", "parent-id", 2, "finished", True)
    assert "final_latency_single_p50_ms" in (folder / "comparison.csv").read_text()
    assert all(record.points[0].mlflow_run_id for record in records_of_sweep(folder).values())
    assert look(folder)[2] == FinalState("done", "3 points together on node7")


def test_the_same_command_again_does_it_only_when_it_is_missing(folder: Path) -> None:
    world = Timing()
    sweep(world, folder)
    assert (world.timed, look(folder)[2]) == ([], None), "it was not asked for"
    assert sweep(world, folder, FINAL) == 0
    assert len(world.timed) == 1, "asked for later, with all points done"
    assert sweep(world, folder, FINAL) == 0
    assert len(world.timed) == 1


def test_one_that_fails_is_a_warning(folder: Path) -> None:
    world, notes = Timing(raising(UserError("no memory; free some"))), Notes()
    assert sweep(world, folder, FINAL, notes=notes) == 0
    [warning] = notes.warned
    assert warning == (
        "the final timing is not done, the jobs' own stand: no memory; free some; "
        "again: lookalike sweep time mine"
    )
    assert world.tracker.events[-1] == ("finish", "parent-id", 2, "finished", True)
    assert look(folder)[2] == FinalState("not done")


def test_an_unexpected_error_keeps_its_traceback_and_costs_no_result(folder: Path) -> None:
    notes = Notes()
    assert sweep(Timing(raising(KeyError("bug"))), folder, FINAL, notes=notes) == 0
    assert "Lookalike did not expect that" in notes.warned[0]
    assert "KeyError" in (folder / "traceback.txt").read_text()


def test_ctrl_c_leaves_the_records_complete_and_says_how_to_do_it(folder: Path) -> None:
    world = Timing(raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt) as stop:
        sweep(world, folder, FINAL)
    assert str(stop.value) == (
        "every point is measured, and the final timing is not done; do it with: lookalike sweep time mine"
    )
    assert world.tracker.events[-1] == ("finish", "parent-id", 2, "interrupted", True)
    assert {record.status for record in records_of_sweep(folder).values()} == {"finished"}

    world.time = mark
    assert sweep(world, folder, FINAL) == 0
    assert world.tracker.events[-1] == ("finish", "parent-id", 2, "finished", True)
    assert len(world.runs) == 2, "nothing is measured again"


def test_a_cluster_does_it_on_a_node(folder: Path) -> None:
    commands: list[Sequence[str]] = []

    def on_node(command: Sequence[str]) -> None:
        commands.append(command)
        mark(folder)

    world = Timing()
    assert sweep(world, folder, FINAL, on_node=on_node) == 0
    [command] = commands
    assert list(command[-3:]) == ["-m", "lookalike.sweep.final", str(folder)]
    assert world.timed == []
    assert "final_latency_single_p50_ms" in (folder / "comparison.csv").read_text()


class Queue:
    """What SLURM says of job 7, the final timing."""

    def __init__(self) -> None:
        self.state: TaskState | None = TaskState("PENDING", "Dependency")

    def __call__(self, job_ids: Sequence[str]) -> dict[str, Any]:
        return {"7": self.state} if self.state else {}


def test_a_detached_sweep_has_it_in_the_chain(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, cluster, notes, queue = World(), Cluster(), Notes(), Queue()
    monkeypatch.setattr("lookalike.sweep.resume.ask_queue", queue)
    assert hand_over(world, folder, cluster, notes, FINAL) == 0
    assert cluster.final[-2:] == ["lookalike.sweep.final", str(folder)]
    assert notes.said[-2] == "submitted: 4 points in 3 jobs and a final timing, SLURM 7"
    in_this_process(world, folder)(cluster.jobs, ELSEWHERE)

    monkeypatch.setattr("lookalike.sweep.final.state.is_due", Timing().final_is_due)
    monkeypatch.setattr(Services, "final_is_due", Timing.final_is_due)
    assert look(folder)[2] == FinalState("pending", "Dependency", task="7")
    with pytest.raises(UserError, match="SLURM still has jobs"):
        hand_over(world, folder, cluster, notes, FINAL)
    collect(folder, world, notes)
    assert notes.said[-1] == "final timing: pending (Dependency)"
    assert world.tracker.events[-1][0] != "finish", "the collector closes the parent"

    queue.state = TaskState("FAILED")
    assert look(folder)[2] == FinalState("failed", task="7")
    assert collect(folder, world, notes) == 0, "it costs no point"
    assert notes.said[-1] == "final timing: failed"

    jobs, cluster.jobs = cluster.jobs, []
    assert hand_over(world, folder, cluster, notes, FINAL) == 0
    assert (cluster.jobs, bool(cluster.final), bool(jobs)) == ([], True, True), "it alone is submitted again"

    mark(folder)
    assert look(folder)[2] == FinalState("done", "3 points together on node7")
    assert collect(folder, world, notes) == 0
    assert notes.said[-1] == "final timing: done (3 points together on node7)"
    assert world.tracker.events[-1] == ("finish", "parent-id", 3, "finished", True)


def test_it_can_be_done_afterwards(folder: Path) -> None:
    world, notes = Timing(), Notes()
    sweep(world, folder)
    assert time_again(folder, world, notes) == 0
    assert len(world.timed) == 1
    assert "final_latency_single_p50_ms" in (folder / "comparison.csv").read_text()
    assert world.tracker.events[-1] == ("finish", "parent-id", 2, "finished", True)
    assert Ledger.load(folder).parent == "parent-id"
    with pytest.raises(UserError, match="nothing to be timed together"):
        time_again(folder, Timing(lambda folder: 0), notes)


def test_a_tracker_that_is_away_is_a_failure_that_sync_mends(folder: Path) -> None:
    world = Timing()
    world.tracker = MemoryTracker()

    def time(folder: Path) -> int:
        world.tracker.down = frozenset({"log"})
        return mark(folder)

    world.time = time
    assert sweep(world, folder, FINAL) == 1
    assert all(record.final_timing for record in records_of_sweep(folder).values())
