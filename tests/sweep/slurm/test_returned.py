"""Waiting for jobs: by their results, by SLURM's word, and through a controller that does not answer."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus

from lookalike.errors import UserError
from lookalike.sweep.slurm import jobs as slurm_jobs
from lookalike.sweep.slurm.jobs import JobLost, Queue, TaskState, exit_code_of, wait_for, wait_for_command
from lookalike.sweep.task import Outcome
from tests.notes import Notes


@dataclass
class Paths:
    folder: Path
    result_pickle: Path
    stderr: Path


@dataclass
class Handed:
    """A job that was submitted: where its files are going to be."""

    job_id: str
    paths: Paths


@dataclass
class Controller:
    """Answers with one queue after the other, the last one for ever; None: it does not answer."""

    answers: list[Queue | None]
    before: list[Any] = field(default_factory=list)
    """What happens at each question."""

    def __call__(self, job_ids: Sequence[str]) -> Queue:
        if self.before:
            self.before.pop(0)()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise UserError("SLURM did not answer squeue for 60 s; try again later")
        return answer


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_jobs, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(slurm_jobs, "ASK_SECONDS", (0.002, 0.002))


def hand(folder: Path, job_id: str) -> Handed:
    paths = Paths(folder, folder / f"{job_id}_0_result.pkl", folder / f"{job_id}_0_log.err")
    return Handed(job_id, paths)


def finish(job: Handed, result: tuple[str, Any]) -> None:
    job.paths.result_pickle.write_bytes(pickle.dumps(result))


def done(exit_code: int) -> tuple[str, JobReturn]:
    outcome = Outcome("folder", None, exit_code)
    return "success", JobReturn(status=JobStatus.COMPLETED, _return_value=outcome)


def wait(jobs: list[Handed], ask: Controller, notes: Notes | None = None) -> list[JobReturn]:
    return wait_for(jobs, notes or Notes(), ask=ask, grace_seconds=0.0)  # type: ignore[arg-type]


def test_results_come_in_the_order_of_the_jobs(tmp_path: Path) -> None:
    jobs = [hand(tmp_path, "7_0"), hand(tmp_path, "7_1")]
    running: Queue = {job.job_id: TaskState("RUNNING") for job in jobs}
    ask = Controller([running], [lambda: finish(jobs[1], done(1)), lambda: finish(jobs[0], done(0))])

    codes = [each.return_value.exit_code for each in wait(jobs, ask)]

    assert codes == [0, 1]


@pytest.mark.parametrize(("queue", "word"), [({"7": TaskState("NODE_FAIL")}, "node fail"), ({}, "gone")])
def test_a_job_that_ended_without_a_result_is_lost(tmp_path: Path, queue: Queue, word: str) -> None:
    job = hand(tmp_path, "7")
    job.paths.stderr.write_text("first\nslurmstepd: error: it is over\n")

    [lost] = wait([job], Controller([queue]))

    assert lost.status == JobStatus.FAILED
    with pytest.raises(JobLost, match=rf"(?s)SLURM job 7 left no result \({word}.*it is over"):
        _ = lost.return_value


def test_a_controller_that_is_away_ends_nothing(tmp_path: Path) -> None:
    job, notes = hand(tmp_path, "7"), Notes()
    ask = Controller([None, None, {"7": TaskState("RUNNING")}], [lambda: None] * 3)
    ask.before.append(lambda: finish(job, done(0)))

    [back] = wait([job], ask, notes)

    assert back.return_value.exit_code == 0
    assert all("still waiting" in line for line in notes.said)


@pytest.mark.parametrize(
    ("result", "code"),
    [(done(0), 0), (done(2), 2), (("error", "Traceback …\nMemoryError: 4 GB"), 1), (("error", ""), 1)],
)
def test_a_worker_ends_as_its_job_did(result: tuple[str, Any], code: int) -> None:
    assert exit_code_of(result) == code


def test_a_command_is_waited_for_until_slurm_says_that_it_is_over(tmp_path: Path) -> None:
    notes = Notes()
    running, pending = {"7": TaskState("RUNNING")}, {"7": TaskState("PENDING", "Dependency")}
    wait_for_command(
        "7", tmp_path, notes, ask=Controller([pending, None, running, {"7": TaskState("COMPLETED")}])
    )
    assert notes.said == ["SLURM did not answer squeue for 60 s; try again later; still waiting"]
    wait_for_command("7", tmp_path, ask=Controller([running, {}]))  # over, and forgotten


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "NODE_FAIL", "CANCELLED"])
def test_a_command_that_did_not_end_well_is_lost(tmp_path: Path, state: str) -> None:
    (tmp_path / "7_0_log.err").write_text("why")
    with pytest.raises(JobLost, match=f"ended as {state.lower().replace('_', ' ')}; its log: .*7_0_log.err"):
        wait_for_command("7", tmp_path, ask=Controller([{"7": TaskState(state)}]))
