"""A detached sweep: what its jobs measured is gathered, or they are cancelled."""

from __future__ import annotations

import time
from pathlib import Path
from shlex import quote

from lookalike.errors import TrackingError, UserError
from lookalike.progress import Progress
from lookalike.runs.catalog import records_of_sweep
from lookalike.runs.record import INTERRUPTED
from lookalike.schemas import Experiment
from lookalike.sweep.final.state import FinalState, final_state
from lookalike.sweep.gathering import (
    ParentRun,
    leave_record,
    open_parent,
    runs_below,
    show,
    write_reports,
)
from lookalike.sweep.ledger import Ledger
from lookalike.sweep.plan import count_of
from lookalike.sweep.resume import (
    PATIENCE_SECONDS,
    PAUSE_SECONDS,
    hide_superseded,
    is_locked,
    queue_of,
    settled_queue,
    submitted_jobs,
    sweep_lock,
)
from lookalike.sweep.slurm.jobs import Queue, ask_queue, cancel_jobs
from lookalike.sweep.states import (
    AT_WORK,
    DONE,
    ENDED_AS,
    SKIPPED,
    TO_RETRY,
    PointState,
    count_states,
    point_states,
)
from lookalike.sweep.task import CRASH, Services
from lookalike.tracking import NoTracker, Tracker


def look(folder: Path) -> tuple[Ledger, list[PointState], FinalState | None]:
    """Return the ledger of the sweep in ``folder``, how each of its points and its final timing stand now."""
    ledger = Ledger.load(folder)
    return ledger, *_states(ledger, folder, queue_of(ledger, folder), is_locked=is_locked(folder))


def _states(
    ledger: Ledger, folder: Path, queue: Queue, *, is_locked: bool = False
) -> tuple[list[PointState], FinalState | None]:
    points = point_states(ledger, folder, queue, is_locked=is_locked)
    final = final_state(
        ledger,
        records_of_sweep(folder),
        queue,
        points_to_come=any(point.state in AT_WORK for point in points),
        is_locked=is_locked,
    )
    return points, final


def collect(folder: Path, services: Services, progress: Progress) -> int:
    """Gather what the jobs of the sweep in ``folder`` measured; returns 0 when every point is done, else 1.

    Comparison and report are written, records that jobs could not log are logged, and the parent is closed,
    as failed when a point failed, ran out of time or got lost; it stays open while jobs are still to come.
    May be done any number of times. Raises ``SweepLockedError`` while another process works on the sweep.
    """
    with sweep_lock(folder, PATIENCE_SECONDS):
        ledger = Ledger.load(folder)
        states, final = _states(ledger, folder, settled_queue(ledger, folder))
        to_come = [point for point in states if point.state in AT_WORK]
        if not to_come:
            _record_lost(ledger, folder, states)
        final_to_come = final is not None and final.state in AT_WORK
        shown = _gather(ledger, folder, services, progress, still_open=bool(to_come) or final_to_come)
    counts = count_states(states)
    progress.say(f"{ledger.name}: " + ", ".join(f"{n} {state}" for state, n in counts.items()))
    if to_come:
        progress.say(f"{count_of(len(to_come), 'point')} still to come; collect again when they are done")
    if final is not None:
        progress.say(final.line())
    return 0 if shown and set(counts) <= {DONE, SKIPPED} else CRASH


def time_again(folder: Path, services: Services, progress: Progress) -> int:
    """Time the points of the fronts of the sweep in ``folder`` together, on this machine; gather it again.

    Returns 0, or 1 when the tracker could not be reached. Raises UserError while points are still to come,
    or when there is nothing to be timed together, ``SweepLockedError`` while another process works on it.
    """
    with sweep_lock(folder):
        ledger = Ledger.load(folder)
        states = point_states(ledger, folder, settled_queue(ledger, folder))
        if to_come := [point for point in states if point.state in AT_WORK]:
            raise UserError(
                f"{ledger.name}: {count_of(len(to_come), 'point')} still to come, which would disturb the "
                "clocks; time them together when they are done"
            )
        if not services.time_finally(folder, progress, again=True):
            raise UserError(
                f"{ledger.name}: there is nothing to be timed together; it takes points of at least two runs "
                "on or near a front, whose indexes are in the store"
            )
        shown = _gather(ledger, folder, services, progress)
    return 0 if shown else CRASH


def cancel(folder: Path, services: Services, progress: Progress) -> int:
    """Take the jobs of the sweep in ``folder`` out of SLURM's queue and close its parent as interrupted.

    What is done stays done. Returns 0. Raises ``SweepLockedError`` when a process conducts the sweep: it is
    stopped by Ctrl-C where it runs.
    """
    ledger, states, final = look(folder)
    timing = final is not None and final.task is not None and final.state in AT_WORK
    if {point.state for point in states} <= {DONE, SKIPPED} and not timing:
        progress.say(f"{ledger.name}: every point is done; there is nothing to cancel")
        return 0
    submitted = submitted_jobs(ledger, folder)
    with sweep_lock(folder):
        cancel_jobs(submitted)
        _wait_until_over(submitted)
        _gather(ledger, folder, services, progress, status=INTERRUPTED)
    working = [point for point in states if point.state in AT_WORK]
    progress.say(
        f"{ledger.name}: cancelled {count_of(len(working), 'point')}{' and the final timing' * timing}; "
        f"go on with: lookalike sweep retry {quote(folder.name)}"
    )
    return 0


def _wait_until_over(job_ids: list[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(not task.is_over for task in ask_queue(job_ids).values()) and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)


def _record_lost(ledger: Ledger, folder: Path, states: list[PointState]) -> None:
    """Give every job that ended without a record one, so that it counts as failed wherever it is shown."""
    recorded = set(records_of_sweep(folder))
    jobs = {job.folder: job for job in ledger.jobs}
    for point in states:
        if point.state in TO_RETRY and point.folder not in recorded:
            where = f" (log: {point.log})" if point.log else ""
            error, job = f"{point.state}: {point.why}{where}", jobs[point.folder]
            leave_record(folder / job.folder, job.config, job.overrides, error, **{ENDED_AS: point.state})
            recorded.add(point.folder)


def _gather(
    ledger: Ledger,
    folder: Path,
    services: Services,
    progress: Progress,
    *,
    status: str | None = None,
    still_open: bool = False,
) -> bool:
    """Log, compare, report, close; return whether the tracker has all of it.

    ``status``: of the closed parent, where the records do not say it; ``still_open`` leaves it open.
    """
    experiment = _experiment_of(ledger)
    tracker = _reachable(services, experiment, progress)
    records = records_of_sweep(folder)
    shown = True
    parent = ParentRun(ledger.name, ledger.name, folder, id=ledger.parent)
    with open_parent(parent, tracker, lambda: runs_below(folder, records), progress, status):
        if parent.id is not None and parent.id != ledger.parent:  # the old one was deleted
            ledger.parent = parent.id
            ledger.save(folder)
        for name, record in records.items():
            shown = show(tracker, record, folder / name, parent.id, progress) is None and shown
        hide_superseded(folder, tracker, progress)
        if still_open:
            write_reports(runs_below(folder, records), folder, ledger.name, progress)
            parent.stays_open = True
    if records:
        services.report(experiment, list(records.values()), folder)
    return shown and not isinstance(tracker, Unreachable)


def _experiment_of(ledger: Ledger) -> Experiment:
    """One of the sweep's experiments: they share where results go."""
    from lookalike.runs.recompose import experiment_of

    if not ledger.jobs:
        raise UserError(f"the sweep {ledger.name} has no jobs; run its command again")
    return experiment_of(ledger.jobs[-1].config)


class Unreachable(NoTracker):
    """In place of a tracker that does not answer."""


def _reachable(services: Services, experiment: Experiment, progress: Progress) -> Tracker:
    """The tracker; one that does not answer costs a view, not the comparison."""
    try:
        return services.open_tracker(experiment)
    except TrackingError as error:
        progress.warn(f"{error}; nothing is lost, collect again when it answers")
        return Unreachable()
