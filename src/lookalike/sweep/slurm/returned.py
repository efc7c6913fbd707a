"""How SLURM jobs come back: by the result that each leaves, or by leaving the queue without one."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus

from lookalike.errors import LookalikeError, UserError
from lookalike.progress import SILENT, Progress
from lookalike.sweep.slurm.queue import Queue, TaskState, ask_queue

if TYPE_CHECKING:
    from submitit import Job

LOOK_SECONDS = 0.5
"""How often result files are looked for."""
ASK_SECONDS = 2.0, 30.0
"""How often SLURM is asked at first and at last: a big cluster's controller serves many."""
GRACE_SECONDS = 10.0
"""How long a result may be on its way through the file server after its job has left the queue."""
LOG_LINES = 5


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
    """What each job returned, in order; those that cannot any more come as failed, with :class:`JobLost`.

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


def read_result(path: Path) -> tuple[str, Any]:
    """What submitit wrote for a job: ``("success", what it returned)`` or ``("error", the traceback)``."""
    with path.open("rb") as file:
        result: tuple[str, Any] = pickle.load(file)
    return result


def job_return(result: tuple[str, Any]) -> JobReturn:
    """The result as Hydra passes it on."""
    kind, content = result
    if kind == "success" and isinstance(content, JobReturn):
        return content
    return _failed(JobLost(str(content).strip().splitlines()[-1] if content else "it failed without a word"))


def exit_code_of(result: tuple[str, Any]) -> int:
    """0 when the task came to a good end, else what it asked to exit with (1 when it did not say)."""
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
    said = "".join(f"\n  {line}" for line in lines[-LOG_LINES:])
    return f"SLURM job {job.job_id} left no result ({word}); its log: {log}{said}"
