"""One job: what it returns, writes and shows, however it ends."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from lookalike.config.composing import compose
from lookalike.errors import DatasetError
from lookalike.runs.record import Record
from lookalike.schemas import Experiment
from lookalike.sweep.task import Outcome, Place, Task
from tests.notes import Notes
from tests.sweep.worlds import MemoryTracker, World


def attempt(
    world: World, folder: Path, *overrides: str, in_sweep: bool = False, progress: Notes | None = None
) -> Outcome:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".hydra").mkdir(exist_ok=True)
    task = Task(progress or Notes(), world)
    place = Place(folder, overrides, in_sweep)
    return task.attempt(lambda: compose(["model=pixels", *overrides]), place)


def raising(error: BaseException) -> Callable[[Experiment], None]:
    def before(experiment: Experiment) -> None:
        raise error

    return before


def test_a_run_is_recorded_shown_and_reported(tmp_path: Path) -> None:
    world = World()
    outcome = attempt(world, tmp_path / "run", "index=flat")

    assert outcome == Outcome(str(tmp_path / "run"))
    assert Record.load(tmp_path / "run").overrides == ["index=flat"]
    assert world.tracker.events == [("log", "finished", 1, None)]
    assert world.reports == [1]


def test_several_points_of_one_run_get_a_parent(tmp_path: Path) -> None:
    world = World()
    attempt(world, tmp_path, "search.nprobe=[1,8]")
    assert world.tracker.events == [
        ("start", "search.nprobe=[1,8]"),
        ("log", "finished", 2, "parent-id"),
        ("finish", "parent-id", 1, "finished", True),
    ]


def test_the_parent_of_an_experiment_without_overrides_is_called_like_the_run(tmp_path: Path) -> None:
    world = World()
    experiment = compose(["model=pixels", "search.nprobe=[1,8]"])
    Task(Notes(), world).perform(experiment, Place(tmp_path))
    assert world.tracker.events[0] == ("start", Record.load(tmp_path).name)


def test_a_job_of_a_sweep_uses_the_sweeps_parent_and_reports_nothing(tmp_path: Path) -> None:
    world = World()
    attempt(world, tmp_path, "search.nprobe=[1,8]", "tracking.parent=p", in_sweep=True)
    assert world.tracker.events == [("log", "finished", 2, "p")]
    assert world.reports == []


def test_impossible_points_are_skipped_and_the_others_measured(tmp_path: Path) -> None:
    world, notes = World(), Notes()
    assert attempt(world, tmp_path, "search.nprobe=[1,512]", progress=notes).exit_code == 0

    assert [labels for labels, _ in world.runs] == [["ivf_flat nlist=64 nprobe=1"]]
    [warning] = notes.warned
    assert warning.startswith("ivf_flat nlist=64 nprobe=512 is skipped: search.nprobe=512 exceeds")


def test_an_impossible_run_says_all_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    folder = tmp_path / "outputs/2026-11-22/12-00-00"
    outcome = attempt(world, folder, "search.k=0", "index.nlist=0")

    assert outcome.exit_code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("error: ") for line in lines)
    assert list(tmp_path.iterdir()) == []
    assert world.runs == []
    assert world.tracker.events == []


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "record.json.bak").write_text("precious")
    attempt(World(), tmp_path, "search.k=0")
    assert (tmp_path / "record.json.bak").read_text() == "precious"


def test_a_users_error_in_a_stage_is_one_line_and_a_failed_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(raising(DatasetError("the folder is empty; name another one")))
    assert attempt(world, tmp_path).exit_code == 2

    assert capsys.readouterr().err == "error: the folder is empty; name another one\n"
    assert Record.load(tmp_path).status == "failed"
    assert world.tracker.events == [("log", "failed", 0, None)]


def test_a_crash_keeps_its_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = attempt(World(raising(ZeroDivisionError("by zero"))), tmp_path)

    assert (outcome.exit_code, outcome.error) == (1, "ZeroDivisionError: by zero")
    assert capsys.readouterr().err == (
        "error: ZeroDivisionError: by zero; Lookalike did not expect that: its traceback is in "
        f"{tmp_path}/traceback.txt\n"
    )
    assert "ZeroDivisionError: by zero" in (tmp_path / "traceback.txt").read_text()


def test_in_a_sweep_a_failure_is_returned_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = attempt(World(raising(ZeroDivisionError("by zero"))), tmp_path, in_sweep=True)
    assert outcome.exit_code == 1
    assert capsys.readouterr().err == ""


def test_a_job_of_a_sweep_that_cannot_begin_leaves_a_record_for_whoever_gathers_it(tmp_path: Path) -> None:
    outcome = attempt(World(), tmp_path, "search.k=0", in_sweep=True)

    record = Record.load(tmp_path)
    assert (record.status, record.error, record.points) == ("failed", outcome.error, [])
    assert record.config["search"]["k"] == 0


def test_several_points_of_a_run_that_could_not_begin_open_no_parent(tmp_path: Path) -> None:
    class Unable(World):
        def run(self, *arguments: object) -> Record:  # type: ignore[override]
            raise DatasetError("the folder is empty; name another one")

    world = Unable()
    assert attempt(world, tmp_path / "run", "search.nprobe=[1,8]").exit_code == 2
    assert world.tracker.events == []
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_went_away_before_the_parent_was_opened_costs_no_result(tmp_path: Path) -> None:
    world, notes = World(tracker=MemoryTracker(down=frozenset({"start_sweep"}))), Notes()
    assert attempt(world, tmp_path, "search.nprobe=[1,8]", progress=notes).exit_code == 1
    assert Record.load(tmp_path).status == "finished"
    assert len(notes.warned) == 1


def test_only_sweeps_are_detached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert attempt(World(), tmp_path / "run", "sweep.detach=true").exit_code == 2
    assert capsys.readouterr().err.startswith("error: sweep.detach=true is of sweeps; add -m")


def test_ctrl_c_goes_on_after_the_record_was_shown_and_the_parent_closed(tmp_path: Path) -> None:
    world = World(raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        attempt(world, tmp_path, "search.nprobe=[1,8]")
    assert world.tracker.events[1:] == [
        ("log", "interrupted", 0, "parent-id"),
        ("finish", "parent-id", 1, "interrupted", True),
    ]


def test_a_tracker_that_goes_away_costs_no_result(tmp_path: Path) -> None:
    world, notes = World(tracker=MemoryTracker(down=frozenset({"log"}))), Notes()
    outcome = attempt(world, tmp_path, "index=flat", progress=notes)

    assert outcome.exit_code == 1
    assert Record.load(tmp_path).status == "finished"
    assert notes.warned == [
        f"the tracking server does not answer; start it; nothing is lost, the record lies in {tmp_path}"
    ]


def test_jobs_of_one_process_share_a_session_until_the_store_changes(tmp_path: Path) -> None:
    world = World()
    task = Task(Notes(), world)
    for i, override in enumerate(["search.k=5", "search.k=6", "store.reuse=false", "store.reuse=false"]):
        task.attempt(lambda o=override: compose(["model=pixels", o]), Place(tmp_path / str(i), (), True))
    first, second, third, fourth = (session for _, session in world.runs)
    assert first is second
    assert third is fourth
    assert first is not third


def test_a_task_travels_to_another_process_without_what_it_loaded(tmp_path: Path) -> None:
    task = Task()
    task._session = ("key", lambda: "cannot be pickled")
    travelled = pickle.loads(pickle.dumps(task))
    assert travelled._session is None
