"""SLURM's jobs from outside: what the queue says of them, and how they come back.

SLURM is asked through ``squeue`` alone, which every cluster has: no accounting database is needed. It
forgets a job some minutes after its end; what is known of it then stands in its log, in the result that
submitit writes and in the record that the run left.
"""

from __future__ import annotations

import pickle
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus

from lookalike.errors import LookalikeError, UserError
from lookalike.progress import SILENT, Progress
from lookalike.runs.paths import task_logs

if TYPE_CHECKING:
    from submitit import Job

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
LOOK_SECONDS = 0.5
"""How often result files are looked for."""
ASK_SECONDS = 2.0, 30.0
"""How often SLURM is asked at first and at last: a big cluster's controller serves many."""
GRACE_SECONDS = 10.0
"""How long a result may be on its way through the file server after its job has left the queue."""
LOG_LINES = 5


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
"""``123_0`` (a task of an array) or ``123`` (a job) -> its state; what is not there is over and forgotten."""


def ask_queue(job_ids: Sequence[str]) -> Queue:
    """Return the states of all tasks of these jobs, as far as SLURM remembers them.

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
    """Take jobs out of the queue, running or not; jobs that are over already are not an error."""
    if job_ids:
        _call("scancel", *job_ids)


def log_of(folder: Path, task: str) -> Path | None:
    """Return the file of a task's standard error, below submitit's ``folder``; None: none yet."""
    return max(task_logs(folder, task), key=lambda path: path.stat().st_mtime, default=None)


def end_in_log(log: Path | None) -> str | None:
    """Return how a task ended, if SLURM says so in its log: TIMEOUT, CANCELLED or OUT_OF_MEMORY."""
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


class JobLost(LookalikeError):
    """A job ended without a result: killed, cancelled, out of time or memory, or its node failed."""


@dataclass
class Awaited:
    """A job whose end has not been seen yet."""

    job: Job[JobReturn]
    ended: float | None = None
    """When SLURM first said that it was over."""


def wait_for(
    jobs: Sequence[Job[JobReturn]],
    progress: Progress = SILENT,
    *,
    ask: Callable[[Sequence[str]], Queue] = ask_queue,
    grace_seconds: float = GRACE_SECONDS,
) -> list[JobReturn]:
    """Return what each job returned, in order; one that ended without a result failed with :class:`JobLost`.

    A controller that does not answer for a while ends nothing: the wait goes on.
    """
    returned: dict[int, JobReturn] = {}
    awaited = {number: Awaited(job) for number, job in enumerate(jobs)}
    pause = ASK_SECONDS[0]
    next_question = time.monotonic() + pause
    with progress.bar("waiting for SLURM", len(jobs), "jobs") as bar:
        while awaited:
            for number, each in list(awaited.items()):
                if _is_written(each.job):
                    returned[number] = job_return(read_result(each.job.paths.result_pickle))
                elif each.ended is not None and time.monotonic() - each.ended > grace_seconds:
                    returned[number] = _failed(JobLost(_how_it_ended(each.job, ask)))
                else:
                    continue
                del awaited[number]
                bar.advance()
            if awaited and time.monotonic() >= next_question:
                _note_ends(awaited.values(), ask, progress)
                pause = min(1.2 * pause, ASK_SECONDS[1])
                next_question = time.monotonic() + pause
            if awaited:
                time.sleep(LOOK_SECONDS)
    return [returned[number] for number in range(len(jobs))]


def wait_for_command(
    job_id: str,
    folder: Path,
    progress: Progress = SILENT,
    *,
    ask: Callable[[Sequence[str]], Queue] = ask_queue,
) -> None:
    """Return once a job that runs a command has ended; JobLost when SLURM says that it did not end well.

    ``folder``: submitit's, where its log is. A controller that does not answer for a while ends nothing.
    """
    pause = ASK_SECONDS[0]
    with progress.bar("waiting for SLURM", None):
        while True:
            time.sleep(pause)
            pause = min(1.2 * pause, ASK_SECONDS[1])
            try:
                state = ask([job_id]).get(job_id)
            except UserError as error:
                progress.say(f"{error}; still waiting")
                continue
            if state is None or state.is_over:
                break
    if state is not None and state.state != "COMPLETED":
        word = state.state.lower().replace("_", " ")
        raise JobLost(f"SLURM job {job_id} ended as {word}; its log: {log_of(folder, job_id)}")


def read_result(path: Path) -> tuple[str, Any]:
    """Return what submitit wrote: ``("success", what the job returned)`` or ``("error", its traceback)``."""
    with path.open("rb") as file:
        result: tuple[str, Any] = pickle.load(file)
    return result


def job_return(result: tuple[str, Any]) -> JobReturn:
    """Return the result as Hydra passes it on."""
    kind, content = result
    if kind == "success" and isinstance(content, JobReturn):
        return content
    return _failed(JobLost(str(content).strip().splitlines()[-1] if content else "it failed without a word"))


def exit_code_of(result: tuple[str, Any]) -> int:
    """Return 0 when the task ended well, else the exit code it asked for (1 where it asked for none)."""
    done = job_return(result)
    if done.status != JobStatus.COMPLETED:
        return 1
    return int(getattr(done.return_value, "exit_code", 0))


def _failed(reason: JobLost) -> JobReturn:
    return JobReturn(status=JobStatus.FAILED, _return_value=reason)


def _is_written(job: Job[JobReturn]) -> bool:
    with suppress(OSError):  # a change of the folder makes network file systems look again
        job.paths.folder.chmod(job.paths.folder.stat().st_mode)
    return bool(job.paths.result_pickle.exists())


def _note_ends(awaited: Iterable[Awaited], ask: Callable[[Sequence[str]], Queue], progress: Progress) -> None:
    """Mark those that SLURM knows as over, or does not know any more."""
    waiting = [each for each in awaited if each.ended is None]
    if not waiting:
        return
    try:
        queue = ask(sorted({each.job.job_id.partition("_")[0] for each in waiting}))
    except UserError as error:
        progress.say(f"{error}; still waiting")
        return
    for each in waiting:
        state = queue.get(each.job.job_id)
        if state is None or state.is_over:
            each.ended = time.monotonic()


def _how_it_ended(job: Job[JobReturn], ask: Callable[[Sequence[str]], Queue]) -> str:
    """SLURM's word for it, and the last lines that the job wrote."""
    state: TaskState | None = None
    with suppress(UserError):
        state = ask([job.job_id.partition("_")[0]]).get(job.job_id)
    word = state.state.lower().replace("_", " ") if state else "gone from the queue"
    log = job.paths.stderr
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    end_of_log = "".join(f"\n  {line}" for line in lines[-LOG_LINES:])
    return f"SLURM job {job.job_id} left no result ({word}); its log: {log}{end_of_log}"
