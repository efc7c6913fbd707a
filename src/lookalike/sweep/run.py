"""A whole sweep: plan it, say so, launch what is left of it, gather what its jobs measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from lookalike.errors import ConfigError, LookalikeError
from lookalike.machine.processes import python_command
from lookalike.progress import Progress
from lookalike.runs.catalog import records_of_sweep
from lookalike.runs.paths import RunPaths
from lookalike.runs.record import Record
from lookalike.schemas import Experiment
from lookalike.store.lease import Lease
from lookalike.sweep.closing import short
from lookalike.sweep.gathering import (
    ParentRun,
    leave_record,
    open_parent,
    runs_below,
    show,
    show_finally_timed,
)
from lookalike.sweep.ledger import NOTHING_TO_TIME, Ledger, LedgerJob, Submission
from lookalike.sweep.plan import Candidate, SweepPlan, all_faults, count_of, plan_sweep
from lookalike.sweep.resume import (
    RemainingJobs,
    SweepLockedError,
    hide_superseded,
    open_ledger,
    remaining,
    supersede,
    sweep_lock,
)
from lookalike.sweep.task import CRASH, Outcome, Services, SweepHere, require_places
from lookalike.terminal.crash import describe, keep_traceback
from lookalike.tracking import Tracker, environment_notices

Launch = Callable[[Sequence[LedgerJob], SweepHere], Sequence[Outcome]]
"""(jobs, what they share with the sweep where they run in its process) -> how each ended, in order."""
Submit = Callable[[Sequence[LedgerJob], Path, Sequence[str], Sequence[str]], list[Submission]]
"""(jobs, the sweep's folder, the command of the final timing or none, the command that gathers all) -> what
was given to the cluster.
"""
OnNode = Callable[[Sequence[str]], None]
"""Runs a command on a node of a cluster that it has for itself, and waits for its end."""


@dataclass(frozen=True)
class SweepRequest:
    """A sweep as it was asked for: its name, its folder and the command that describes it."""

    name: str
    folder: Path
    """Absolute."""
    arguments: Sequence[str] = ()
    """Behind ``lookalike run``."""
    resume: bool = True
    """Go on with what lies in the folder; false: refuse when there is a sweep."""


@dataclass(frozen=True)
class SweepResult:
    """How a sweep ended."""

    exit_code: int
    """0, or 1 when a job failed or could not be shown."""
    records: Sequence[Record] = ()
    """All there are of it, in the order in which they were begun; none of a sweep that was handed over."""


def run_sweep(
    candidates: Sequence[Candidate],
    request: SweepRequest,
    launch: Launch,
    *,
    services: Services,
    progress: Progress,
    submit: Submit | None = None,
    on_node: OnNode | None = None,
) -> SweepResult:
    """Measure what is left of all that ``candidates`` ask for, and gather it with what was done before.

    A failed job is a record like any other and does not stop the rest. The comparison is written, the parent
    run closed and the closing report given also after an exception or Ctrl-C, which go on afterwards. With
    ``submit`` the jobs are handed to a cluster instead, and all this is the collector's. A final timing that
    is asked for comes last, in this process, or by ``on_node``; one that fails is a warning. Raises
    :class:`ConfigError` with every reason when nothing is possible, UserError when a place cannot be written
    (both before anything is), and ``SweepLockedError`` when another process or SLURM is at work on the sweep.
    """
    plan = plan_sweep(candidates)
    if not plan.jobs:
        raise ConfigError(all_faults(candidates) or [f"{what}: {why}" for what, why in plan.skipped])
    experiment = plan.jobs[0].plan.experiment
    require_places(experiment, request.folder)
    tracker = services.open_tracker(experiment)
    for unused in environment_notices(experiment.tracking):
        progress.say(f"notice: {unused}")
    if notice := services.one_writer_notice(experiment):
        progress.warn(notice)
    with sweep_lock(request.folder) as lease:
        ledger = open_ledger(request.folder, request.name, request.arguments, request.resume)
        left = remaining(plan, ledger, request.folder)
        for line in _opening_lines(plan, left, ledger):
            progress.say(line)
        sweep = _Sweep(request.folder, plan, left, ledger, lease, tracker, services, progress)
        if submit is not None and (left.jobs or sweep.final_is_due()):
            return sweep.submit(submit)
        return sweep.perform(launch, on_node)


def _opening_lines(plan: SweepPlan, left: RemainingJobs, ledger: Ledger) -> list[str]:
    """What the user reads before the first job; of a sweep that is gone on with, what is left of it."""
    if not ledger.jobs:
        return plan.lines()
    return [f"{ledger.name}: {left.summary}{plan.left_out()}", *plan.reasons()]


def _details(outcome: Outcome) -> str:
    """Where a failed job left more about it: its traceback, or its folder."""
    run = RunPaths(Path(outcome.folder))
    return short(run.traceback if run.traceback.is_file() else run.folder)


@dataclass(frozen=True)
class _Sweep:
    """One try of a sweep whose lock this process holds."""

    folder: Path
    plan: SweepPlan
    left: RemainingJobs
    ledger: Ledger
    lease: Lease
    tracker: Tracker
    services: Services
    progress: Progress

    def perform(self, launch: Launch, on_node: OnNode | None) -> SweepResult:
        """Launch, wait, time the front's points together if that is asked for, gather."""
        outcomes: Sequence[Outcome] = ()
        records: list[Record] = []
        shown = True
        here = SweepHere(self.lease.is_held, {})
        try:
            with self._parent_run(here.records) as parent:
                if jobs := self._begin(parent):
                    here.plans = {job.folder: job.plan_under(parent.id) for job in self.left.jobs}
                    outcomes = launch(jobs, here)
                if not self.lease.is_held():
                    parent.stays_open = True  # its new owner gathers and closes it
                    raise SweepLockedError.taken_over(self.folder)
                shown = self._log_missing(outcomes, parent, here.records)
                if self.experiment.sweep.final_timing:
                    shown = self._time_finally(on_node, parent, here.records) and shown
        finally:
            if self.lease.is_held():
                records += records_of_sweep(self.folder, here.records).values()
            if records:
                self.services.report(self.experiment, records, self.folder)
        failed = [outcome for outcome in outcomes if outcome.exit_code]
        for outcome in failed:
            reason = (outcome.error or "").strip().partition("\n")[0]
            self.progress.warn(f"failed: {reason} ({_details(outcome)})")
        return SweepResult(CRASH if failed or not shown else 0, records)

    def submit(self, submit: Submit) -> SweepResult:
        """Give the jobs to the cluster, with one that gathers what they measured, and return."""
        final = self._final_command() if self.experiment.sweep.final_timing else []
        collect = python_command("lookalike", "sweep", "collect", str(self.folder))
        with self._parent_run({}) as parent:
            jobs = self._begin(parent)
            submitted = submit(jobs, self.folder, final, collect)
            parent.stays_open = True
            self.ledger.submissions += submitted
            self.ledger.save(self.folder)
        points = count_of(sum(len(job.points) for job in jobs), "point")
        what = f"{points} in {count_of(len(jobs), 'job')}" + (" and a final timing" if final else "")
        numbers = ", ".join(each.job_id for each in submitted)
        self.progress.say(f"submitted: {what}, SLURM {numbers}")
        self.progress.say(f"follow it: lookalike sweep status {quote(short(self.folder))}")
        return SweepResult(0)

    @property
    def experiment(self) -> Experiment:
        """One of the sweep's: they share where results go, and how the sweep is done."""
        return self.plan.jobs[0].plan.experiment

    def final_is_due(self) -> bool:
        """Whether a final timing is asked for that is not there."""
        return self.experiment.sweep.final_timing and self.services.final_is_due(
            records_of_sweep(self.folder).values()
        )

    def _final_command(self) -> list[str]:
        return python_command("lookalike.sweep.final", str(self.folder))

    def _time_finally(self, on_node: OnNode | None, parent: ParentRun, known: dict[str, Record]) -> bool:
        """Time the front's points together, unless they were; returns whether the tracker has all of it.

        The records are complete before: what goes wrong is a warning.
        """
        records = records_of_sweep(self.folder, known).values()
        if not self.services.final_is_due(records):
            if not any(record.final_timing for record in records):
                self.progress.say(f"final timing: {NOTHING_TO_TIME}")
            return True
        verb = f"lookalike sweep time {quote(self.folder.name)}"
        try:
            if on_node is not None:
                on_node(self._final_command())
            else:
                self.services.time_finally(self.folder, self.progress)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"every point is measured, and the final timing is not done; do it with: {verb}"
            ) from None
        except Exception as error:
            if isinstance(error, LookalikeError):
                reason = str(error)
            else:
                reason = describe(error, keep_traceback(error, RunPaths(self.folder).traceback))
            self.progress.warn(f"the final timing is not done, the jobs' own stand: {reason}; again: {verb}")
        finally:
            known.clear()  # the files know more by now
        return show_finally_timed(self.folder, self.tracker, parent.id, self.progress)

    def _parent_run(self, known: dict[str, Record]) -> AbstractContextManager[ParentRun]:
        parent = ParentRun(self.ledger.name, "\n".join(self.plan.lines()), self.folder, id=self.ledger.parent)
        return open_parent(parent, self.tracker, lambda: runs_below(self.folder, known), self.progress)

    def _begin(self, parent: ParentRun) -> list[LedgerJob]:
        """Write down what is going to be done; earlier tries that it stands for are set aside."""
        if not self.lease.is_held():
            raise SweepLockedError.taken_over(self.folder)
        jobs = [job.entry(parent.id, self.folder) for job in self.left.jobs]
        supersede(self.left.jobs, self.ledger, self.folder)
        self.ledger.parent = parent.id
        self.ledger.jobs += jobs
        self.ledger.skipped = [{"what": what, "why": why} for what, why in self.plan.skipped]
        self.ledger.save(self.folder)
        hide_superseded(self.folder, self.tracker, self.progress)
        return jobs

    def _log_missing(self, outcomes: Sequence[Outcome], parent: ParentRun, known: dict[str, Record]) -> bool:
        """Give jobs that left no record one, and show what jobs could not or did not show themselves.

        Returns whether the tracker has all of it.
        """
        jobs = self.ledger.jobs[len(self.ledger.jobs) - len(outcomes) :]
        records = records_of_sweep(self.folder, known)
        known.update(records)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if outcome.exit_code and job.folder not in records:
                error = outcome.error or ""
                left = leave_record(self.folder / job.folder, job.config, job.overrides, error)
                records[job.folder] = known[job.folder] = left
        shown = True
        for name, record in records.items():
            if not record.points or any(point.mlflow_run_id is None for point in record.points):
                failure = show(self.tracker, record, self.folder / name, parent.id, self.progress)
                shown = failure is None and shown
        return shown
