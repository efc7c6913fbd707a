"""Going on with a sweep: what is left of it, the lock on it, and what becomes of earlier tries."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from lookalike.errors import ConfigError, TrackingError, UserError
from lookalike.progress import Progress
from lookalike.runs.catalog import records_of_sweep
from lookalike.runs.files import writing_results
from lookalike.runs.paths import RunPaths, SweepPaths
from lookalike.runs.record import FINISHED, Record
from lookalike.store.lease import Lease, Owner, is_live
from lookalike.sweep.ledger import FINAL, Ledger
from lookalike.sweep.plan import Job, SweepPlan, count_of
from lookalike.sweep.slurm.jobs import ENDING, Queue, ask_queue
from lookalike.sweep.states import (
    DONE,
    FAILED,
    LOST,
    TIMED_OUT,
    PointState,
    finished_keys,
    point_states,
    refuse_other_versions,
)
from lookalike.tracking import Tracker

PATIENCE_SECONDS = 30
"""For a job that SLURM is just clearing away, and for another process to let go of the sweep."""
PAUSE_SECONDS = 0.2


class SweepLockedError(UserError):
    """Another process is at work on the sweep."""

    @classmethod
    def taken_over(cls, folder: Path) -> SweepLockedError:
        """Return the error of a process that was suspended and finds the sweep taken over."""
        return cls(
            f"another process took over the sweep in {folder} while this one was suspended; "
            f"its results stand, see them with: lookalike sweep status {quote(folder.name)}"
        )


@contextmanager
def sweep_lock(folder: Path, patience_seconds: float = 0) -> Iterator[Lease]:
    """Hold the sweep in ``folder`` (created if need be) while the block runs: one process at a time.

    A process that is suspended for longer than the lease is good loses it: it asks the lease ``is_held``
    before it changes anything of the sweep.

    Raises :class:`SweepLockedError` when another process keeps it for longer than ``patience_seconds``.
    A folder that the block leaves empty is removed again.
    """
    with writing_results(folder):
        folder.mkdir(parents=True, exist_ok=True)

    def refuse(owner: Owner | None) -> None:
        raise SweepLockedError(
            f"{owner or 'another process'} is at work on the sweep in {folder}; wait until it is done, "
            "or stop that process first"
        )

    lease = Lease(SweepPaths(folder).lease, on_wait=refuse)
    _patiently(lease.acquire, patience_seconds)
    try:
        yield lease
    finally:
        lease.release()
        with suppress(OSError):
            folder.rmdir()
            folder.parent.rmdir()


def _patiently(take: Callable[[], None], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return take()
        except SweepLockedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)


def is_locked(folder: Path) -> bool:
    """Whether a process is at work on the sweep in ``folder``; False where that cannot be found out."""
    with suppress(OSError):  # someone else's folder, which we may only read
        return is_live(SweepPaths(folder).lease)
    return False


def open_ledger(folder: Path, name: str, arguments: Sequence[str], resume: bool) -> Ledger:
    """The ledger of the sweep in ``folder``, to be gone on with, or a new one.

    Raises :class:`ConfigError` when there is one and ``resume`` is false.
    """
    if not SweepPaths(folder).ledger.exists():
        return Ledger(name, datetime.now(UTC).isoformat(), list(arguments), directory=os.fspath(Path.cwd()))
    if not resume:
        raise ConfigError(
            [
                f"sweep.resume=false, and {folder} holds a sweep already; choose another sweep.name, "
                "remove that folder, or leave sweep.resume=true to go on with it"
            ]
        )
    ledger = Ledger.load(folder)
    ledger.arguments, ledger.directory = list(arguments), os.fspath(Path.cwd())
    return ledger


def submitted_jobs(ledger: Ledger, folder: Path) -> list[str]:
    """SLURM's numbers of all jobs of the sweep: those in the ledger, and those that a launcher waited for.

    The latter outlive a launcher that is killed; submitit's scripts tell their numbers.
    """
    awaited = {path.name.partition("_")[0] for path in SweepPaths(folder).submission_scripts()}
    return sorted(awaited | {submission.job_id for submission in ledger.submissions})


def queue_of(ledger: Ledger, folder: Path) -> Queue:
    """What SLURM says of the sweep's jobs; it is not called when it has none of them or all is done."""
    submitted = submitted_jobs(ledger, folder)
    if not submitted or _is_all_done(ledger, folder):
        return {}
    return ask_queue(submitted)


def _is_all_done(ledger: Ledger, folder: Path) -> bool:
    """Whether every point is measured, and the final timing that was submitted is done."""
    records = records_of_sweep(folder).values()
    if not {point["key"] for job in ledger.jobs for point in job.points} <= finished_keys(records):
        return False
    if not any(each.phase == FINAL for each in ledger.submissions):
        return True
    from lookalike.sweep.final.state import is_due

    return not is_due(records)


def settled_queue(ledger: Ledger, folder: Path) -> Queue:
    """The queue once SLURM has cleared away the jobs that have ended: their records are all written then."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        queue = queue_of(ledger, folder)
        if all(task.state != ENDING for task in queue.values()) or time.monotonic() > deadline:
            return queue
        time.sleep(PAUSE_SECONDS)


@dataclass(frozen=True)
class RemainingJobs:
    """What is left of a sweep."""

    jobs: tuple[Job, ...]
    summary: str
    """``24 points: 17 done, 2 failed → retrying, 5 new``."""


def remaining(plan: SweepPlan, ledger: Ledger, folder: Path) -> RemainingJobs:
    """The jobs that measure what is missing or failed of ``plan``.

    Raises :class:`SweepLockedError` while SLURM still has jobs of the sweep: they would be measured twice; so
    would points in records of another version, ``OtherVersionError``.
    """
    refuse_other_versions(folder)
    queue = settled_queue(ledger, folder)
    states = {point.key: point for point in point_states(ledger, folder, queue)}
    at_work = sorted({task.partition("_")[0] for task, state in queue.items() if not state.is_over})
    if at_work:
        name = quote(folder.name)
        raise SweepLockedError(
            f"SLURM still has jobs of the sweep {ledger.name} ({', '.join(at_work)}); wait for them "
            f"(lookalike sweep status {name}) or take them back (lookalike sweep cancel {name})"
        )
    done = finished_keys(records_of_sweep(folder).values())
    taken = {job.folder for job in ledger.jobs}
    jobs = tuple(left for job in plan.jobs if (left := job.without(done, folder, taken)))
    return RemainingJobs(jobs, _summary(plan, states, done))


def _summary(plan: SweepPlan, states: dict[str, PointState], done: set[str]) -> str:
    keys = [point.id for job in plan.jobs for point in job.points]
    counts: dict[str, int] = {}
    for key in keys:
        state = states.get(key)
        word = DONE if key in done else state.state if state and state.begun else "new"
        counts[word] = counts.get(word, 0) + 1
    parts = [f"{counts[DONE]} done"] if DONE in counts else []
    parts += [f"{counts[word]} {word} → retrying" for word in (FAILED, TIMED_OUT, LOST) if word in counts]
    parts += [f"{counts['new']} new"] if "new" in counts else []
    return f"{count_of(len(keys), 'point')}: {', '.join(parts)}"


def supersede(jobs: Sequence[Job], ledger: Ledger, folder: Path) -> None:
    """Set aside the records of earlier tries for which ``jobs`` and finished records stand."""
    records = records_of_sweep(folder)
    covered = finished_keys(records.values()) | {point.id for job in jobs for point in job.points}
    for job in ledger.jobs:
        record = records.get(job.folder)
        keys = {point["key"] for point in job.points}
        if record is not None and record.status != FINISHED and keys <= covered:
            set_aside(folder / job.folder)


def set_aside(folder: Path) -> None:
    """Keep the record in a job's folder, if there is one, under a name that nothing reads."""
    with suppress(FileNotFoundError):
        RunPaths(folder).record.rename(RunPaths(folder).superseded_record)


def hide_superseded(folder: Path, tracker: Tracker, progress: Progress) -> None:
    """Take what was set aside out of the tracker's sight; a tracker that cannot be reached is a warning."""
    for path in SweepPaths(folder).superseded_records():
        try:
            tracker.remove(Record.load(path))
        except TrackingError as error:
            progress.warn(f"{error}; an earlier try of {path.parent.name} is still shown as failed")
        except UserError:
            continue  # it cannot be read, so it was never shown
