"""How the final timing of a sweep stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.report.front import front
from lookalike.runs.record import FINISHED, Record
from lookalike.sweep.final.choosing import Choice, choices
from lookalike.sweep.ledger import FINAL, NOTHING_TO_TIME, Ledger, Submission
from lookalike.sweep.slurm.jobs import Queue, log_of
from lookalike.sweep.states import DONE, FAILED, PENDING, RUNNING

NOT_DONE = "not done"


@dataclass(frozen=True)
class FinalState:
    """The final timing of a sweep."""

    state: str
    """done | running | pending | failed | not done."""
    why: str = ""
    """Where it was done, what is waited for, or why there is none."""
    log: str | None = None
    """Where to read more of one that failed."""
    task: str | None = None
    """SLURM's number of its job."""

    def line(self) -> str:
        """Return it in words: ``final timing: pending (Dependency)``."""
        details = "; ".join(part for part in (self.why, f"log: {self.log}" if self.log else "") if part)
        return f"final timing: {self.state}" + (f" ({details})" if details else "")


def is_done(choice: Choice) -> bool:
    """Return whether the points of the choice that are on the front were all timed in the same rounds."""
    sessions = {row.final_session for row in front(choice.rows)}
    return len(sessions) == 1 and None not in sessions


def is_due(records: Iterable[Record]) -> bool:
    """Return whether there are points to be timed together that were not."""
    finished = [record for record in records if record.status == FINISHED]
    return not all(is_done(choice) for choice in choices(finished))


def is_asked_for(ledger: Ledger) -> bool:
    """Return whether the sweep's command, as it was given last, or its last job's config asks for it."""
    of_last = ledger.jobs[-1].config.get("sweep", {}) if ledger.jobs else {}
    return "sweep.final_timing=true" in ledger.arguments or bool(of_last.get("final_timing"))


def final_state(
    ledger: Ledger,
    records: Mapping[str, Record],
    queue: Queue,
    *,
    points_to_come: bool = False,
    is_locked: bool = False,
) -> FinalState | None:
    """Return how the final timing stands; None for a sweep that was not asked for one and has none.

    ``records``: of the sweep, by their folders' names; ``queue``: what SLURM says of its submissions.
    ``points_to_come``: whether its jobs are still at work; ``is_locked``: whether a process conducts it.
    """
    timed = sorted(
        (record.final_timing for record in records.values() if record.final_timing),
        key=lambda facts: str(facts.get("when")),
    )
    if not timed and not is_asked_for(ledger):
        return None
    if not points_to_come and not is_due(records.values()):
        return FinalState(DONE, _where(timed))
    submitted = [each for each in ledger.submissions if each.phase == FINAL]
    if submitted and (of_job := _of_job(submitted[-1], queue, failed=not timed)):
        return of_job
    if points_to_come:
        return FinalState(PENDING, "comes after the jobs")
    if is_locked:
        return FinalState(RUNNING)
    return FinalState(NOT_DONE, "; ".join(map(str, timed[-1].get("notices", ()))) if timed else "")


def _where(timed: Sequence[Mapping[str, Any]]) -> str:
    if not timed:
        return NOTHING_TO_TIME
    return f"{timed[-1].get('points', '?')} points together on {timed[-1].get('hostname', '?')}"


def _of_job(submission: Submission, queue: Queue, failed: bool) -> FinalState | None:
    """What its job in SLURM makes of it; ``failed``: what an end without a result is called."""
    task = queue.get(submission.job_id)
    if task is not None and not task.is_over:
        return FinalState(PENDING if task.is_waiting else RUNNING, task.why, task=submission.job_id)
    if not failed:
        return None
    log = log_of(Path(submission.folder), submission.job_id)
    return FinalState(FAILED, "", str(log) if log else None, submission.job_id)
