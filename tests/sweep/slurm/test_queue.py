"""What SLURM answers, as its commands print it. tests/slurm asks a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.errors import UserError
from lookalike.sweep.slurm.jobs import TaskState, ask_queue, cancel_jobs, log_of


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all there is on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def make_command(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def test_states_and_reasons_by_task(commands: Path) -> None:
    make_command(
        commands, "squeue", "echo '7_0|RUNNING|None'; echo '7_1|PENDING|Dependency'; echo '8|TIMEOUT|x'"
    )
    assert ask_queue(["7", "8"]) == {
        "7_0": TaskState("RUNNING"),
        "7_1": TaskState("PENDING", "Dependency"),
        "8": TaskState("TIMEOUT", "x"),
    }


def test_a_job_that_slurm_has_forgotten_is_no_error(commands: Path) -> None:
    make_command(commands, "squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert ask_queue(["7"]) == {}


def test_nothing_is_asked_for_no_jobs(commands: Path) -> None:
    assert ask_queue([]) == {}
    cancel_jobs([])


def test_a_controller_that_does_not_answer_is_no_empty_queue(commands: Path) -> None:
    make_command(commands, "squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(UserError, match="Unable to contact slurm controller"):
        ask_queue(["7"])


def test_without_slurm_there_is_nobody_to_ask(commands: Path) -> None:
    with pytest.raises(UserError, match="there is no squeue here"):
        ask_queue(["7"])
    with pytest.raises(UserError, match="there is no scancel here"):
        cancel_jobs(["7"])


@pytest.mark.parametrize("given", ["%j", "."])
def test_the_log_of_a_task_is_found_in_submitits_folder(tmp_path: Path, given: str) -> None:
    assert log_of(tmp_path / given, "7_1") is None
    log = tmp_path / ("7_1" if given == "%j" else "") / "7_1_0_log.err"
    log.parent.mkdir(exist_ok=True)
    log.write_text("")
    (log.parent / "7_11_0_log.err").write_text("another task's")
    assert log_of(tmp_path / given, "7_1") == log
