"""How each operating point of a sweep stands, read from its records, its ledger and the scheduler.

A finished record says that a point is done, whichever job's folder it lies in. Of the others the last try
counts: its record, else the process or task at work on it, else how it ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lookalike.errors import OtherVersionError, UserError
from lookalike.runs.catalog import records_of_sweep
from lookalike.runs.paths import RunPaths, SweepPaths
from lookalike.runs.record import FINISHED, INTERRUPTED, Record
from lookalike.sweep.ledger import TIME, Ledger, LedgerJob, Submission
from lookalike.sweep.slurm.jobs import OUT_OF_TIME, Queue, TaskState, end_in_log, log_of

DONE = "done"
PENDING = "pending"
RUNNING = "running"
SKIPPED = "skipped"
FAILED = "failed"
TIMED_OUT = "timed out"
LOST = "lost"

STATES = (DONE, RUNNING, PENDING, FAILED, TIMED_OUT, LOST, SKIPPED)
AT_WORK = (RUNNING, PENDING)
TO_RETRY = (FAILED, TIMED_OUT, LOST)

ENDED_AS = "ended_as"
"""Key of a record's extras: the state of a job that left no record of its own."""


@dataclass(frozen=True)
class PointState:
    """One operating point of a sweep."""

    key: str
    """Its id; empty for a combination that was skipped as a whole."""
    label: str
    state: str
    """done | running | pending | failed | timed out | lost | skipped."""
    folder: str = ""
    """Name of the output folder of its last try."""
    why: str = ""
    """The error, what is waited for, or why it was skipped."""
    log: str | None = None
    """Where to read more of a point that is not done."""
    task: str | None = None
    """SLURM's number of the task that measures it."""
    begun: bool = True
    """Whether anything was done for it yet."""


@dataclass(frozen=True)
class Try:
    """The last job that was to measure some points, and what is known of it."""

    job: LedgerJob
    record: Record | None
    submission: Submission | None = None
    task: str | None = None
    task_state: TaskState | None = None

    @property
    def ended_as(self) -> str | None:
        """``lost`` or ``timed out``, when gathering the sweep found it so."""
        return self.record.extras.get(ENDED_AS) if self.record else None


def refuse_other_versions(folder: Path) -> None:
    """Raise ``OtherVersionError`` for a record of a sweep that is sound and not ours to read.

    Its points are measured, perhaps: they are not to be measured again.
    """
    for path in SweepPaths(folder).records():
        try:
            Record.load(path)
        except OtherVersionError as error:
            raise OtherVersionError(f"{error}, under another sweep.name") from None
        except UserError:
            continue  # damaged: it is measured again


def finished_keys(records: Iterable[Record]) -> set[str]:
    """Return the trial keys of all points that were measured."""
    return {key for record in records if record.status == FINISHED for key in record.trial_keys}


def point_states(ledger: Ledger, folder: Path, queue: Queue, *, is_locked: bool = False) -> list[PointState]:
    """Return every point of ``ledger``, in the order of the command, then what was skipped.

    ``queue``: what SLURM says of the sweep's submissions. ``is_locked``: whether a process is conducting the
    sweep, so that jobs outside of a scheduler are still to come.
    """
    records = records_of_sweep(folder)
    done = finished_keys(records.values())
    last: dict[str, tuple[LedgerJob, str]] = {}
    for job in ledger.jobs:
        last |= {point["key"]: (job, point["label"]) for point in job.points}
    tries = {job.folder: _find(job, ledger, records, queue) for job, _ in last.values()}
    homes = {key: name for name, record in records.items() for key in record.trial_keys}
    states = []
    for key, (job, label) in last.items():
        if key in done:
            states.append(PointState(key, label, DONE, homes[key]))
        else:
            states.append(_missing(key, label, tries[job.folder], folder / job.folder, is_locked))
    return states + [PointState("", entry["what"], SKIPPED, why=entry["why"]) for entry in ledger.skipped]


def count_states(states: Iterable[PointState]) -> dict[str, int]:
    """Return how many points are in each state that has any, in the order of :data:`STATES`."""
    counted = Counter(point.state for point in states)
    return {state: counted[state] for state in STATES if counted[state]}


def _find(job: LedgerJob, ledger: Ledger, records: Mapping[str, Record], queue: Queue) -> Try:
    """The job's record and its task in the last submission that it was part of."""
    for submission in reversed(ledger.submissions):
        if submission.phase == TIME and job.folder in submission.tasks:
            task = f"{submission.job_id}_{submission.tasks.index(job.folder)}"
            state = queue.get(task) or queue.get(submission.job_id)
            return Try(job, records.get(job.folder), submission, task, state)
    return Try(job, records.get(job.folder))


def _missing(key: str, label: str, last: Try, home: Path, is_locked: bool) -> PointState:
    """The state of a point that no finished record has."""
    begun = home.exists()
    log = _log(last, home)
    word, why = _by_record(last) or _by_worker(last, begun, is_locked) or _by_end(last, begun, log)
    return PointState(
        key,
        label,
        word,
        last.job.folder,
        why,
        str(log) if log else None,
        last.task,
        begun or word == TIMED_OUT,
    )


def _by_record(last: Try) -> tuple[str, str] | None:
    """What the last try's record says, if it is final: after an interruption a job may be queued again."""
    if last.record is None or last.record.status == INTERRUPTED:
        return None
    if last.record.status == FINISHED:
        return FAILED, "its job ended without measuring it"
    error = last.record.error or ""
    return last.ended_as or (TIMED_OUT if error.startswith(f"{TIMED_OUT}:") else FAILED), error


def _by_worker(last: Try, begun: bool, is_locked: bool) -> tuple[str, str] | None:
    """Running or pending, while a process or task is going to measure it."""
    task = last.task_state
    if task is not None and not task.is_over:
        return (PENDING, task.why) if task.is_waiting else (RUNNING, "")
    if last.task is None and is_locked and last.record is None:
        return (RUNNING if begun else PENDING), ""
    return None


def _by_end(last: Try, begun: bool, log: Path | None) -> tuple[str, str]:
    """How it ended that left no result and is not being measured."""
    end = (last.task_state.state if last.task_state else None) or end_in_log(log)
    if end in OUT_OF_TIME:
        return TIMED_OUT, "SLURM ended it at its time limit; raise hydra.launcher.timeout_min"
    if end:
        return LOST, f"SLURM says {end.lower().replace('_', ' ')}"
    if last.record is not None:
        return LOST, last.record.error or last.record.status
    if last.task:
        return LOST, "it left SLURM's queue without a result"
    return LOST, "its process ended without a result" if begun else "never begun"


def _log(last: Try, home: Path) -> Path | None:
    """The most telling of what a job wrote."""
    paths = RunPaths(home)
    if paths.traceback.exists():
        return paths.traceback
    if last.submission is not None and last.task is not None:
        log = log_of(Path(last.submission.folder), last.task)
        if log is not None:
            return log
    return paths.log if paths.log.exists() else None
