"""What SLURM says of jobs: still waiting, at work, or how they ended.

Asked through ``squeue`` alone, which every cluster has: no accounting database is needed. It forgets a
job some minutes after its end; what is known of it then stands in its log and in the record it left.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.errors import UserError
from lookalike.runs.paths import task_logs

WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}
ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}
OUT_OF_TIME = {"TIMEOUT", "DEADLINE"}
ENDING = "COMPLETING"
PATIENCE = 60
"""Seconds that SLURM's controller gets to answer."""


@dataclass(frozen=True)
class TaskState:
    """What SLURM says of one task of an array, or of a job that is none."""

    state: str
    """SLURM's own word: PENDING, RUNNING, TIMEOUT ..."""
    why: str = ""
    """Why it waits (``Dependency``), or nothing."""

    @property
    def is_waiting(self) -> bool:
        return self.state in WAITING

    @property
    def is_over(self) -> bool:
        return self.state in ENDED


Queue = dict[str, TaskState]
"""``123_0`` (a task of an array) or ``123`` (a job) -> its state; who is not there is over and forgotten."""


def ask_queue(job_ids: Sequence[str]) -> Queue:
    """The states of all tasks of these jobs, as far as SLURM remembers them.

    Raises :class:`UserError` when SLURM does not answer here.
    """
    if not job_ids:
        return {}
    lines = _call("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r", *_listed(job_ids))
    states: Queue = {}
    for line in lines.splitlines():
        task, _, rest = line.strip().partition("|")
        state, _, why = rest.partition("|")
        states[task] = TaskState(state, "" if why == "None" else why)
    return states


def cancel_jobs(job_ids: Sequence[str]) -> None:
    """Take jobs out of the queue, running or not; those that are over already are no error."""
    if job_ids:
        _call("scancel", *job_ids)


def log_of(folder: Path, task: str) -> Path | None:
    """What the task wrote to standard error, below submitit's ``folder``; None when it wrote nothing yet."""
    return max(task_logs(folder, task), key=lambda path: path.stat().st_mtime, default=None)


def end_in_log(log: Path | None) -> str | None:
    """How a task ended, when SLURM says so in its log: TIMEOUT, CANCELLED or OUT_OF_MEMORY."""
    if log is None:
        return None
    text = log.read_text(encoding="utf-8", errors="replace")
    ends = re.findall(r"(?:CANCELLED|PREEMPTED) AT \S+ (DUE TO TIME LIMIT|DUE TO \w+|\*\*\*)", text)
    if ends:
        return "TIMEOUT" if ends[-1] == "DUE TO TIME LIMIT" else "CANCELLED"
    return "OUT_OF_MEMORY" if "oom-kill" in text or "oom_kill" in text else None


def _listed(job_ids: Sequence[str]) -> list[str]:
    return ["--jobs", ",".join(job_ids)]


def _call(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except FileNotFoundError:
        raise UserError(
            f"there is no {command[0]} here, and the sweep's jobs were given to SLURM; "
            "ask on a machine with SLURM's commands"
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(f"SLURM did not answer {command[0]} for {PATIENCE} s; try again later") from None
    if done.returncode and "Invalid job id" not in done.stderr:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise UserError(f"SLURM refuses {command[0]} ({reason}); try again later")
    return done.stdout
