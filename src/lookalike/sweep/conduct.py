"""A whole sweep: plan it, say so, launch what is left of it, gather what its jobs measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from lookalike.errors import ConfigError
from lookalike.machine.processes import python_command
from lookalike.progress import Progress
from lookalike.runs.catalog import records_of_sweep
from lookalike.runs.paths import RunPaths
from lookalike.store.lease import Lease
from lookalike.sweep.closing import short
from lookalike.sweep.gathering import Entry, gathered, leave_record, runs_below, show
from lookalike.sweep.ledger import Ledger, LedgerJob, Submission
from lookalike.sweep.plan import Candidate, Plan, all_faults, count_of, make_plan
from lookalike.sweep.resume import (
    InHandsError,
    Work,
    forget_superseded,
    in_hands,
    open_ledger,
    remaining,
    supersede,
)
from lookalike.sweep.task import CRASH, Outcome, Parts, require_places
from lookalike.tracking import Tracker, environment_notices

Launch = Callable[[list[list[str]], Callable[[], bool]], Sequence[Outcome]]
"""(overrides of each job, whether the sweep is still ours) -> how each ended, in order."""
Submit = Callable[[Sequence[LedgerJob], Path, Sequence[str]], list[Submission]]


@dataclass(frozen=True)
class Order:
    """What somebody asked for: a sweep by its name, its folder and the command that describes it."""

    name: str
    folder: Path
    """Absolute."""
    arguments: Sequence[str] = ()
    """Behind ``lookalike run``."""
    resume: bool = True
    """Go on with what lies in the folder; false: refuse when there is a sweep."""


def conduct(
    candidates: Sequence[Candidate],
    launch: Launch,
    order: Order,
    *,
    parts: Parts,
    progress: Progress,
    submit: Submit | None = None,
) -> int:
    """Measure what is left of all that ``candidates`` ask for; returns 0, or 1 when a job failed.

    ``launch`` is called as :data:`Launch` says. A failed job is a
    record like any other and does not stop the rest. The comparison is written, the parent run closed and
    the closing report given also after an exception or Ctrl-C, which go on afterwards. With ``submit`` the
    jobs are handed over instead, and all this is the collector's. Raises :class:`ConfigError` with every
    reason when nothing is possible, UserError when a place cannot be written (both before anything is), and
    ``InHandsError`` when another process
    or SLURM is at work on the same sweep.
    """
    plan = make_plan(candidates)
    if not plan.jobs:
        raise ConfigError(all_faults(candidates) or [f"{what}: {why}" for what, why in plan.skipped])
    require_places(plan.jobs[0].experiment, order.folder)
    tracker = parts.open_tracker(plan.jobs[0].experiment)
    for unused in environment_notices(plan.jobs[0].experiment.tracking):
        progress.say(f"notice: {unused}")
    if notice := parts.one_writer_notice(plan.jobs[0].experiment):
        progress.warn(notice)
    with in_hands(order.folder) as lease:
        ledger = open_ledger(order.folder, order.name, order.arguments, order.resume)
        work = remaining(plan, ledger, order.folder)
        for line in _opening_lines(plan, work, ledger):
            progress.say(line)
        sweep = _Sweep(order, plan, work, ledger, lease, tracker, parts, progress)
        if submit is not None and work.jobs:
            return sweep.hand_over(submit)
        return sweep.perform(launch)


def _opening_lines(plan: Plan, work: Work, ledger: Ledger) -> list[str]:
    """What the user reads before the first job; of a sweep that is gone on with, what is left of it."""
    if not ledger.jobs:
        return plan.lines()
    return [f"{ledger.name}: {work.summary}{plan.left_out()}", *plan.reasons()]


def _details(outcome: Outcome) -> str:
    """Where a failed job left more about it: its traceback, or its folder."""
    run = RunPaths(Path(outcome.folder))
    return short(run.traceback if run.traceback.is_file() else run.folder)


@dataclass(frozen=True)
class _Sweep:
    """One try of a sweep, whose folder is in our hands."""

    order: Order
    plan: Plan
    work: Work
    ledger: Ledger
    lease: Lease
    tracker: Tracker
    parts: Parts
    progress: Progress

    def perform(self, launch: Launch) -> int:
        """Launch, wait, gather."""
        outcomes: Sequence[Outcome] = ()
        shown = True
        try:
            with self._gathered() as entry:
                if jobs := self._begin(entry):
                    outcomes = launch([job.overrides for job in jobs], self.lease.is_held)
                if not self.lease.is_held():
                    entry.stays_open = True  # its new owner gathers and closes it
                    raise InHandsError.taken_over(self.order.folder)
                shown = self._settle(outcomes, entry)
        finally:
            if self.lease.is_held() and (done := list(records_of_sweep(self.order.folder).values())):
                self.parts.report(self.plan.jobs[0].experiment, done, self.order.folder)
        failed = [outcome for outcome in outcomes if outcome.exit_code]
        for outcome in failed:
            reason = (outcome.error or "").strip().partition("\n")[0]
            self.progress.warn(f"failed: {reason} ({_details(outcome)})")
        return CRASH if failed or not shown else 0

    def hand_over(self, submit: Submit) -> int:
        """Give the jobs to the cluster, with one that gathers what they measured, and return."""
        folder = self.order.folder
        collect = python_command("lookalike", "sweep", "collect", str(folder))
        with self._gathered() as entry:
            jobs = self._begin(entry)
            submitted = submit(jobs, folder, collect)
            entry.stays_open = True
            self.ledger.submissions += submitted
            self.ledger.save(folder)
        points = count_of(sum(len(job.points) for job in jobs), "point")
        numbers = ", ".join(each.job_id for each in submitted)
        self.progress.say(f"submitted: {points} in {count_of(len(jobs), 'job')}, SLURM {numbers}")
        self.progress.say(f"follow it: lookalike sweep status {quote(short(folder))}")
        return 0

    def _gathered(self) -> Any:
        known = {job.folder: job.experiment for job in self.work.jobs}
        return gathered(
            self.tracker,
            self.ledger.name,
            "\n".join(self.plan.lines()),
            folder=self.order.folder,
            runs=lambda: runs_below(self.order.folder, known, self.progress),
            progress=self.progress,
            parent=self.ledger.parent,
        )

    def _begin(self, entry: Entry) -> list[LedgerJob]:
        """Write down what is going to be done; what it stands for is set aside."""
        folder = self.order.folder
        if not self.lease.is_held():
            raise InHandsError.taken_over(folder)
        jobs = [job.entry(entry.id, folder) for job in self.work.jobs]
        supersede(self.work.jobs, self.ledger, folder)
        self.ledger.parent = entry.id
        self.ledger.jobs += jobs
        self.ledger.skipped = [{"what": what, "why": why} for what, why in self.plan.skipped]
        self.ledger.save(folder)
        forget_superseded(folder, self.tracker, self.progress)
        return jobs

    def _settle(self, outcomes: Sequence[Outcome], entry: Entry) -> bool:
        """Give jobs that left no record one, and show what jobs could not or did not show themselves.

        Returns whether the tracker has all of it.
        """
        folder = self.order.folder
        records = records_of_sweep(folder)
        jobs = self.ledger.jobs[len(self.ledger.jobs) - len(outcomes) :]
        for job, outcome in zip(jobs, outcomes, strict=True):
            if outcome.exit_code and job.folder not in records:
                leave_record(folder / job.folder, job.config, job.overrides, outcome.error or "")
        shown = True
        for name, record in records_of_sweep(folder).items():
            if not record.points or any(point.mlflow_run_id is None for point in record.points):
                shown = show(self.tracker, folder / name, entry.id, self.progress) is None and shown
        return shown
