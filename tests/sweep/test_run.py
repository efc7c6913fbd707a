"""A whole sweep with stand-in jobs: it goes on after failures and always closes the parent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from lookalike.config.composing import compose
from lookalike.errors import ConfigError, UserError
from lookalike.runs.record import Record
from lookalike.schemas import Experiment
from lookalike.sweep.ledger import LedgerJob
from lookalike.sweep.plan import Candidate
from lookalike.sweep.run import Launch, SweepRequest, run_sweep
from lookalike.sweep.task import Outcome, Place, SweepHere, Task
from tests.notes import Notes
from tests.sweep.worlds import MemoryTracker, World

JOBS = [["index=flat"], ["index=ivf_flat"], ["index=hnsw"]]


def in_this_process(world: World, folder: Path) -> Launch:
    """What Hydra's basic launcher does: one job after the other, through the task."""
    task = Task(Notes(), world)

    def job(lines: Sequence[str]) -> Outcome:
        [subdir] = [
            line.partition("=")[2].strip("'") for line in lines if line.startswith("hydra.sweep.subdir")
        ]
        overrides = ["model=pixels", *(line for line in lines if not line.startswith("hydra."))]
        return task.attempt(lambda: compose(overrides), Place(folder / subdir, tuple(lines), True))

    def launch(jobs: Sequence[LedgerJob], here: SweepHere) -> list[Outcome]:
        task.sweep = here
        return [job(each.overrides) for each in jobs]

    return launch


def sweep(world: World, folder: Path, jobs: list[list[str]] = JOBS, notes: Notes | None = None) -> int:
    folder.mkdir(exist_ok=True)
    candidates = [Candidate.of(job, compose(["model=pixels", *job])) for job in jobs]
    launch = in_this_process(world, folder)
    request = SweepRequest("families", folder)
    result = run_sweep(candidates, request, launch, services=world, progress=notes or Notes())
    return result.exit_code


def failing_at(family: str, error: BaseException) -> World:
    def before(experiment: Experiment) -> None:
        if experiment.index.family == family:
            raise error

    return World(before)


def test_the_parent_is_opened_first_and_closed_last(tmp_path: Path) -> None:
    world, notes = World(), Notes()
    assert sweep(world, tmp_path, notes=notes) == 0
    assert world.tracker.events == [
        ("start", "families"),
        *[("log", "finished", 1, "parent-id")] * 3,
        ("finish", "parent-id", 3, "finished", True),
    ]
    assert world.reports == [3]
    assert notes.said == [
        "sweep: 3 points in 3 jobs",
        "index.nlist is 64, which suits 4,009 images",
        "a search visits 8 of 64 lists (search.nprobe)",
    ]


def test_a_failed_job_does_not_stop_the_others(tmp_path: Path) -> None:
    world, notes = failing_at("ivf_flat", ValueError("bad luck")), Notes()
    assert sweep(world, tmp_path, notes=notes) == 1

    assert [event[1] for event in world.tracker.events if event[0] == "log"] == [
        "finished",
        "failed",
        "finished",
    ]
    assert world.tracker.events[-1] == ("finish", "parent-id", 3, "failed", True)
    [warning] = notes.warned
    assert warning.startswith("failed: ValueError: bad luck (")


def test_ctrl_c_closes_the_parent_with_what_there_is(tmp_path: Path) -> None:
    world = failing_at("ivf_flat", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        sweep(world, tmp_path)

    assert world.tracker.events[-1] == ("finish", "parent-id", 2, "interrupted", True)
    assert world.reports == [2]


def test_a_launcher_that_dies_closes_the_parent_as_failed(tmp_path: Path) -> None:
    world = World()
    candidates = [Candidate.of(job, compose(["model=pixels", *job])) for job in JOBS]

    def launch(jobs: Sequence[LedgerJob], here: SweepHere) -> list[Outcome]:
        raise ConnectionError("no scheduler")

    with pytest.raises(ConnectionError):
        run_sweep(candidates, SweepRequest("families", tmp_path), launch, services=world, progress=Notes())
    assert world.tracker.events == [("start", "families"), ("finish", "parent-id", 0, "failed", False)]


def test_a_job_that_left_no_record_gets_one(tmp_path: Path) -> None:
    world = World()
    candidates = [Candidate.of(job, compose(["model=pixels", *job])) for job in JOBS[:1]]

    def launch(jobs: Sequence[LedgerJob], here: SweepHere) -> list[Outcome]:
        return [Outcome("somewhere", "the job was killed", 1)]

    request = SweepRequest("x", tmp_path)
    assert run_sweep(candidates, request, launch, services=world, progress=Notes()).exit_code == 1
    [path] = tmp_path.glob("*/record.json")
    record = Record.load(path)
    assert (record.status, record.error, record.overrides) == ("failed", "the job was killed", ["index=flat"])
    assert world.tracker.events[1:] == [
        ("log", "failed", 0, "parent-id"),
        ("finish", "parent-id", 1, "failed", True),
    ]


def test_nothing_possible_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    world = World()
    with pytest.raises(ConfigError, match=r"^search\.k must be a positive integer"):
        sweep(world, tmp_path, [["search.k=0", "index=flat"], ["search.k=0", "index=hnsw"]])
    assert world.tracker.events == []
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_cannot_be_opened_stops_the_sweep_before_any_work(tmp_path: Path) -> None:
    world = World(tracker=MemoryTracker(down=frozenset({"start_sweep"})))
    with pytest.raises(Exception, match="does not answer"):
        sweep(world, tmp_path)
    assert world.runs == []


def test_a_parent_that_cannot_be_closed_is_a_warning(tmp_path: Path) -> None:
    world, notes = World(tracker=MemoryTracker(down=frozenset({"finish_sweep"}))), Notes()
    assert sweep(world, tmp_path, notes=notes) == 0
    assert notes.warned == [
        f"the tracking server does not answer; start it; the comparison lies in {tmp_path}"
    ]


def test_overlapping_jobs_measure_each_point_once(tmp_path: Path) -> None:
    world = World()
    sweep(world, tmp_path, [["search.nprobe=[1,8]"], ["search.nprobe=[8,16]"]])
    assert [labels for labels, _ in world.runs] == [
        ["ivf_flat nlist=64 nprobe=1", "ivf_flat nlist=64 nprobe=8"],
        ["ivf_flat nlist=64 nprobe=16"],
    ]
    assert len(world.sessions) == 1


def test_a_comparison_that_cannot_be_written_closes_the_parent_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "comparison.csv").mkdir()  # what a full disk does, at any place
    world, notes = World(), Notes()
    with pytest.raises(UserError, match=r"results cannot be written to .* free some space"):
        sweep(world, tmp_path, notes=notes)
    assert world.tracker.events[-1][:2] == ("finish", "parent-id")
    assert f"lookalike report {tmp_path}" in "".join(notes.warned)
    assert world.reports, "the table is shown all the same"
    assert not [
        path for path in tmp_path.iterdir() if path.name.startswith(".") and "comparison" in path.name
    ]
