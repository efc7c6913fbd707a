"""A whole sweep: plan it, say so, launch its jobs, gather what they measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from lookalike.errors import ConfigError
from lookalike.progress import Progress
from lookalike.record import FAILED, Record
from lookalike.sweep.gathering import gathered, records_in, show
from lookalike.sweep.plan import Candidate, Job, all_faults, make_plan
from lookalike.sweep.task import CRASH, Outcome, Parts

Launch = Callable[[list[list[str]]], Sequence[Outcome]]


def conduct(
    candidates: Sequence[Candidate],
    launch: Launch,
    *,
    parts: Parts,
    name: str,
    folder: Path,
    progress: Progress,
) -> int:
    """Measure all that ``candidates`` ask for; returns the exit code: 0, or 1 when a job failed.

    ``launch`` is given the overrides of each job and returns how each ended, in order. A failed job is a
    record like any other and does not stop the rest. The comparison is written, the parent run closed and
    the closing report given also after an exception or Ctrl-C, which go on afterwards. Raises
    :class:`ConfigError` with every reason when nothing is possible, before anything is written.
    """
    plan = make_plan(candidates)
    if not plan.jobs:
        raise ConfigError(all_faults(candidates) or [f"{what}: {why}" for what, why in plan.skipped])
    for line in plan.lines():
        progress.say(line)
    tracker = parts.open_tracker(plan.jobs[0].experiment)
    jobs = [(job.experiment, folder / job.folder) for job in plan.jobs]
    try:
        with gathered(
            tracker,
            name,
            "\n".join(plan.lines()),
            folder=folder,
            jobs=jobs,
            show_losses=parts.show_losses,
            progress=progress,
        ) as parent:
            outcomes = launch([job.launch_overrides(parent) for job in plan.jobs])
            for job, outcome in zip(plan.jobs, outcomes, strict=True):
                if outcome.exit_code and not records_in(folder / job.folder):
                    _unbegun(job, outcome).save(folder / job.folder)
                    show(tracker, folder / job.folder, parent, progress)
    finally:
        if done := [record for _, path in jobs for record in records_in(path)]:
            parts.report(plan.jobs[0].experiment, done, folder)
    failed = [outcome for outcome in outcomes if outcome.exit_code]
    for outcome in failed:
        progress.warn(f"failed: {outcome.error} ({outcome.folder})")
    return CRASH if failed else 0


def _unbegun(job: Job, outcome: Outcome) -> Record:
    """The record of a job that left none: it could not begin, or was killed."""
    now = datetime.now(UTC).isoformat()
    return Record(
        name=job.experiment.name or job.folder,
        started=now,
        finished=now,
        status=FAILED,
        error=outcome.error,
        config=asdict(job.experiment),
        overrides=list(job.overrides),
    )
