"""The same sweep again, with stand-in jobs: only what is missing or failed, and one parent over all of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lookalike.config.composing import compose
from lookalike.errors import ConfigError, TrackingError, UserError
from lookalike.runs.paths import RunPaths, SweepPaths
from lookalike.runs.record import Record
from lookalike.schemas import Experiment
from lookalike.sweep.collecting import collect, look
from lookalike.sweep.ledger import FINAL, Ledger, LedgerJob, Submission
from lookalike.sweep.plan import Candidate
from lookalike.sweep.resume import sweep_lock
from lookalike.sweep.run import SweepRequest, run_sweep
from lookalike.sweep.states import count_states
from tests.notes import Notes
from tests.sweep.slurm.test_queue import make_command
from tests.sweep.test_run import in_this_process
from tests.sweep.worlds import ELSEWHERE, MemoryTracker, World

JOBS = [["index=flat"], ["index.nlist=8", "search.nprobe=[1,2]"], ["index=hnsw"]]

Sweep = Callable[..., int]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "multirun/mine"


def sweep(
    world: World, folder: Path, jobs: list[list[str]] = JOBS, notes: Notes | None = None, resume: bool = True
) -> int:
    """What `lookalike run -m sweep.name=mine ...` does, in this process."""
    candidates = [Candidate.of(job, compose(["model=pixels", *job])) for job in jobs]
    request = SweepRequest("mine", folder, ["-m", "sweep.name=mine"], resume)
    launch = in_this_process(world, folder)
    return run_sweep(candidates, request, launch, services=world, progress=notes or Notes()).exit_code


class Failing(World):
    """A world in which jobs of some index families end with an error, until told otherwise."""

    def __init__(self, *families: str, error: BaseException | None = None) -> None:
        self.families = set(families)
        self.error = error or ValueError("bad luck")
        super().__init__(self._maybe_fail)

    def _maybe_fail(self, experiment: Experiment) -> None:
        if experiment.index.family in self.families:
            raise self.error

    def measured(self) -> list[str]:
        """Labels of the points of every run since the last call."""
        labels = [label for labels, _ in self.runs for label in labels]
        self.runs.clear()
        return labels


def records(folder: Path) -> dict[str, str]:
    """Job folder -> status of its record."""
    return {path.parent.name: Record.load(path).status for path in folder.glob("*/record.json")}


def test_a_finished_sweep_has_nothing_left_to_do(folder: Path) -> None:
    world, notes = Failing(), Notes()
    sweep(world, folder)
    world.measured()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}

    assert sweep(world, folder, notes=notes) == 0
    assert world.measured() == []
    assert notes.said == ["mine: 4 points: 4 done"]
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/*")} == before
    assert world.tracker.events[-2:] == [
        ("open again", "parent-id"),
        ("finish", "parent-id", 3, "finished", True),
    ]


def test_only_what_failed_is_measured_again_beside_what_it_left(folder: Path) -> None:
    world, notes = Failing("ivf_flat"), Notes()
    assert sweep(world, folder) == 1
    [failed] = [name for name, status in records(folder).items() if status == "failed"]
    world.measured()
    world.families.clear()

    assert sweep(world, folder, notes=notes) == 0
    assert world.measured() == ["ivf_flat nlist=8 nprobe=1", "ivf_flat nlist=8 nprobe=2"]
    assert notes.said[0] == "mine: 4 points: 2 done, 2 failed → retrying"
    assert set(records(folder).values()) == {"finished"}
    assert f"{failed}.2" in records(folder)
    assert Record.load(RunPaths(folder / failed).superseded_record).error == "bad luck"
    assert ("forget", "failed") in world.tracker.events
    assert len(world.tracker.shown) == 3
    assert world.tracker.events[-1] == ("finish", "parent-id", 3, "finished", True)
    assert world.reports == [3, 3]


def test_what_fails_again_is_one_failure(folder: Path) -> None:
    world = Failing("hnsw")
    for _ in range(3):
        assert sweep(world, folder) == 1
    assert sorted(records(folder).values()) == ["failed", "finished", "finished"]
    assert len(world.tracker.shown) == 3
    assert world.tracker.events[-1] == ("finish", "parent-id", 3, "failed", True)


def test_after_ctrl_c_it_goes_on_and_says_what_is_new(folder: Path) -> None:
    world, notes = Failing("ivf_flat", error=KeyboardInterrupt()), Notes()
    with pytest.raises(KeyboardInterrupt):
        sweep(world, folder)
    _, states, _ = look(folder)
    assert count_states(states) == {"done": 1, "lost": 3}
    assert world.tracker.events[-1] == ("finish", "parent-id", 2, "interrupted", True)
    world.families.clear()

    assert sweep(world, folder, notes=notes) == 0
    assert notes.said[0] == "mine: 4 points: 1 done, 2 lost → retrying, 1 new"
    assert len(world.tracker.shown) == 3


def test_a_larger_sweep_adds_its_points(folder: Path) -> None:
    world, notes = Failing(), Notes()
    sweep(world, folder, [["index.nlist=8", "search.nprobe=[1,2]"]])
    world.measured()

    more = [["index.nlist=8", "search.nprobe=[1,2,4]"], ["index=flat"]]
    assert sweep(world, folder, more, notes=notes) == 0
    assert notes.said[0] == "mine: 4 points: 2 done, 2 new"
    assert world.measured() == ["ivf_flat nlist=8 nprobe=4", "flat"]
    assert world.tracker.events[-1] == ("finish", "parent-id", 3, "finished", True)
    text = (folder / "comparison.csv").read_text()
    assert all(f"nlist=8 nprobe={nprobe}" in text for nprobe in (1, 2, 4))


def test_points_are_known_in_another_grouping_of_jobs(folder: Path) -> None:
    world, notes = Failing(), Notes()
    sweep(world, folder, [["index.nlist=8", "search.nprobe=[1,2]"]])
    world.measured()
    assert sweep(world, folder, [["index.nlist=8", f"search.nprobe={n}"] for n in (1, 2)], notes=notes) == 0
    assert (world.measured(), notes.said[0]) == ([], "mine: 2 points: 2 done")


def test_a_name_that_is_taken_is_refused_when_asked_to(folder: Path) -> None:
    world = World()
    sweep(world, folder, resume=False)
    ledger = Ledger.load(folder)
    with pytest.raises(ConfigError, match=r"holds a sweep already; choose another sweep\.name"):
        sweep(world, folder, resume=False)
    assert Ledger.load(folder) == ledger


def test_two_processes_never_work_on_one_sweep(folder: Path) -> None:
    world = World()
    with sweep_lock(folder), pytest.raises(UserError, match=f"^process {os.getpid()} on .* is at work on"):
        sweep(world, folder)
    assert world.runs == []
    assert not folder.exists()
    assert sweep(world, folder) == 0
    assert not (SweepPaths(folder).lease).exists()


def test_jobs_that_outlived_the_process_that_waited_for_them_are_not_done_twice(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Failing("hnsw")
    sweep(world, folder)
    script = folder / ".submitit/7/7_submission.sh"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/bash")
    make_command(tmp_path, "squeue", "echo '7_0|RUNNING|None'; echo '7_1|COMPLETED|None'")
    monkeypatch.setenv("PATH", str(tmp_path))
    world.measured()
    with pytest.raises(UserError, match=r"SLURM still has jobs of the sweep mine \(7\)"):
        sweep(world, folder)
    assert world.measured() == []


def test_a_failure_that_the_tracker_could_not_forget_is_forgotten_the_next_time(folder: Path) -> None:
    world, notes = Failing("hnsw"), Notes()
    sweep(world, folder)
    world.families.clear()
    world.tracker.down = frozenset({"forget"})
    assert sweep(world, folder, notes=notes) == 0
    assert "is still shown as failed" in notes.warned[0]
    assert len(world.tracker.shown) == 4

    world.tracker.down = frozenset()
    sweep(world, folder)
    assert len(world.tracker.shown) == 3


def test_what_a_tracker_missed_is_shown_the_next_time(folder: Path) -> None:
    world = Failing()
    world.tracker.down = frozenset({"log"})
    assert sweep(world, folder) == 1
    world.tracker.down = frozenset()
    world.measured()

    assert sweep(world, folder) == 0
    assert world.measured() == []
    assert len(world.tracker.shown) == 3


class Pressed(MemoryTracker):
    """Ctrl-C comes while the parent is being made, which is made all the same."""

    def start_sweep(
        self, name: str, description: str, parent: str | None = None, started: str | None = None
    ) -> str:
        made = super().start_sweep(name, description, parent, started)
        os.kill(os.getpid(), signal.SIGINT)
        return made


def test_ctrl_c_while_the_parent_is_made_leaves_none_open(folder: Path) -> None:
    world = World(tracker=Pressed())
    with pytest.raises(KeyboardInterrupt):
        sweep(world, folder)
    assert [event[0] for event in world.tracker.events] == ["start", "finish"]
    assert world.tracker.events[-1][3] == "interrupted"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- handed over -------------------------------------------------------------------------------------------


class Cluster:
    """Takes jobs and does nothing with them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.jobs: list[LedgerJob] = []
        self.final: list[str] = []
        self.collector: list[str] = []

    def submit(
        self, jobs: Sequence[LedgerJob], folder: Path, final: Sequence[str], collect: Sequence[str]
    ) -> list[Submission]:
        if self.error:
            raise self.error
        self.jobs, self.final, self.collector = list(jobs), list(final), list(collect)
        return [Submission(FINAL, "7", [], str(folder))] if final else []


def hand_over(world: World, folder: Path, cluster: Cluster, notes: Notes, *more: str) -> int:
    candidates = [Candidate.of(job, compose(["model=pixels", *job, *more])) for job in JOBS]
    launch = in_this_process(world, folder)
    request = SweepRequest("mine", folder, ["-m"])
    submit = cluster.submit
    return run_sweep(candidates, request, launch, services=world, progress=notes, submit=submit).exit_code


def test_a_detached_sweep_leaves_its_parent_open_and_is_gathered_by_the_collector(folder: Path) -> None:
    world, cluster, notes = World(), Cluster(), Notes()
    assert hand_over(world, folder, cluster, notes) == 0
    assert (world.runs, world.tracker.events) == ([], [("start", "mine")])
    assert cluster.collector[-3:] == ["sweep", "collect", str(folder)]
    assert cluster.final == []
    assert notes.said[-2].startswith("submitted: 4 points in 3 jobs")

    launch = in_this_process(world, folder)
    launch(cluster.jobs, ELSEWHERE)
    assert collect(folder, world, notes) == 0
    assert world.tracker.events[-1] == ("finish", "parent-id", 3, "finished", True)
    assert notes.said[-1] == "mine: 4 done"


def test_collecting_twice_changes_nothing(folder: Path) -> None:
    world, cluster = World(), Cluster()
    hand_over(world, folder, cluster, Notes())
    in_this_process(world, folder)(cluster.jobs, ELSEWHERE)
    assert collect(folder, world, Notes()) == 0
    events, before = len(world.tracker.shown), (folder / "comparison.csv").read_bytes()
    assert collect(folder, world, Notes()) == 0
    assert (len(world.tracker.shown), (folder / "comparison.csv").read_bytes()) == (events, before)


def test_jobs_that_got_lost_fail_wherever_they_are_shown(folder: Path) -> None:
    world, cluster, notes = World(), Cluster(), Notes()
    hand_over(world, folder, cluster, Notes())
    in_this_process(world, folder)(cluster.jobs[:1], ELSEWHERE)

    assert collect(folder, world, notes) == 1
    assert notes.said[-1] == "mine: 1 done, 3 lost"
    assert sorted(records(folder).values()) == ["failed", "failed", "finished"]
    assert world.tracker.events[-1] == ("finish", "parent-id", 3, "failed", True)
    _, states, _ = look(folder)
    assert count_states(states) == {"done": 1, "lost": 3}

    assert sweep(world, folder) == 0
    assert len(world.tracker.shown) == 3
    assert world.tracker.events[-1] == ("finish", "parent-id", 3, "finished", True)


def test_a_tracker_that_does_not_answer_the_collector_costs_no_comparison(folder: Path) -> None:
    class Unreachable(World):
        def open_tracker(self, experiment: Experiment) -> MemoryTracker:
            raise TrackingError("the tracking server does not answer; start it")

    world, cluster = World(), Cluster()
    hand_over(world, folder, cluster, Notes())
    in_this_process(world, folder)(cluster.jobs, ELSEWHERE)
    notes = Notes()
    assert collect(folder, Unreachable(), notes) == 1
    assert (folder / "comparison.md").exists()
    assert Ledger.load(folder).parent == "parent-id"
    assert "collect again when it answers" in notes.warned[0]


def test_jobs_that_a_cluster_refuses_close_the_parent(folder: Path) -> None:
    world = World()
    with pytest.raises(UserError, match="no such partition"):
        hand_over(world, folder, Cluster(UserError("no such partition; name another")), Notes())
    assert world.tracker.events == [("start", "mine"), ("finish", "parent-id", 0, "failed", False)]


def test_a_process_that_was_suspended_changes_nothing_of_a_sweep_that_another_finished(folder: Path) -> None:
    """Suspended in its first job for longer than its lease is good, it wakes when all is measured."""
    later = World(tracker=MemoryTracker())
    during: list[int] = []

    def suspend(experiment: Experiment) -> None:
        assert not during, "it begins no further job"
        os.utime(SweepPaths(folder).lease, (0, 0))
        during.append(sweep(later, folder))
        during.append(len(list(folder.glob("*/record.json"))))

    earlier = World(suspend, tracker=later.tracker)
    with pytest.raises(UserError, match="another process took over the sweep") as told:
        sweep(earlier, folder)
    assert "lookalike sweep status mine" in str(told.value)

    assert during == [0, 3]
    records = {path: Record.load(path) for path in folder.glob("*/record.json")}
    assert len(records) == 3
    points = [point.trial_key for record in records.values() for point in record.points]
    assert len(points) == len(set(points)) == 4
    logged = [event for event in later.tracker.events if event[0] == "log"]
    assert len(logged) == 3, "no point is shown twice"
    assert later.reports == [3]
    assert earlier.reports == []
    [kept] = SweepPaths(folder).superseded_records()
    assert Record.load(kept).status == "finished"
    states = look(folder)[1]
    assert count_states(states) == {"done": 4}


def test_a_process_that_was_suspended_before_its_first_job_does_not_replace_the_ledger(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, later = World(), World()

    def suspended(*arguments: object) -> None:
        monkeypatch.undo()
        os.utime(SweepPaths(folder).lease, (0, 0))
        assert sweep(later, folder) == 0

    monkeypatch.setattr(world.tracker, "start_sweep", lambda *arguments: suspended() or "late")
    with pytest.raises(UserError, match="took over"):
        sweep(world, folder)
    assert count_states(look(folder)[1]) == {"done": 4}
    assert len(Ledger.load(folder).jobs) == 3


def test_a_record_of_another_version_is_not_measured_again(folder: Path) -> None:
    world = Failing()
    sweep(world, folder)
    world.measured()
    path = next(folder.glob("*/record.json"))
    path.write_text(path.read_text().replace('"format": 1', '"format": 2', 1))
    with pytest.raises(UserError, match=r"written by another version .* in format 2 .* use that version"):
        sweep(world, folder)
    assert world.measured() == []
    assert '"format": 2' in path.read_text()


def test_a_damaged_record_is_named_and_its_points_are_measured_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = Failing()
    sweep(world, folder)
    world.measured()
    path = next(folder.glob("index=flat*/record.json"))
    path.write_text("[" * 100_000)
    assert sweep(world, folder) == 0
    assert world.measured() == ["flat"]
    assert f"a record is left out: {path}" in capsys.readouterr().err
