"""What a sweep is going to do, known before any of it is done."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lookalike.config.planning import Count, plan
from lookalike.config.typed import quoted
from lookalike.errors import ConfigError
from lookalike.runs.naming import WORKERS
from lookalike.runs.plan import Plan, PlannedPoint, cover_points
from lookalike.runs.recompose import config_of
from lookalike.schemas import Experiment
from lookalike.sweep.ledger import LedgerJob

LONGEST_NAME = 100
OF_THE_SWEEP = ("hydra.", "tracking.parent=", "sweep.rows=", "sweep.points=", "sweep.skip=")
"""How overrides begin that the sweep adds to a job: they are not the user's."""


@dataclass(frozen=True)
class Candidate:
    """One combination of overrides: the plan of its run, or why it is impossible."""

    overrides: tuple[str, ...]
    plan: Plan | None
    faults: tuple[str, ...] = ()

    @classmethod
    def of(cls, overrides: Sequence[str], experiment: Experiment, count: Count | None = None) -> Candidate:
        """Return a combination that composes; ``count`` tells the size of a dataset."""
        try:
            return cls(tuple(overrides), plan(experiment, count=count))
        except ConfigError as error:
            return cls(tuple(overrides), None, tuple(error.faults))


@dataclass(frozen=True)
class Job:
    """One run of a sweep: an index with all its operating points that no other job covers."""

    overrides: tuple[str, ...]
    plan: Plan
    name: str
    """The overrides that tell it apart from the sweep's other jobs."""
    folder: str
    """Name of its output folder, below the sweep's."""

    @property
    def points(self) -> list[PlannedPoint]:
        """The operating points that it measures."""
        return self.plan.to_measure

    def without(self, done: Collection[str], sweep: Path, taken: Collection[str] = ()) -> Job | None:
        """Return what is left to measure when the points ``done`` are; None when nothing is.

        Its folder is one that is not there yet below that of the ``sweep``, nor among the names ``taken``:
        an earlier try keeps its own, also when its process has not come to it yet.
        """
        left = self.plan.without(done)
        if not left.to_measure:
            return None
        folder = _folder_name(self.name, left.to_measure)
        names = (folder, *(f"{folder}.{number}" for number in range(2, 10_000)))
        free = next(name for name in names if name not in taken and not (sweep / name).exists())
        return replace(self, plan=left, folder=free)

    def plan_under(self, parent: str | None) -> Plan:
        """Return the plan of its run, tracked under ``parent``: what :meth:`entry`'s overrides compose."""
        experiment = self.plan.experiment
        tracking = replace(experiment.tracking, parent=parent or experiment.tracking.parent)
        sweep = replace(experiment.sweep, rows=experiment.rows, points=self._chosen())
        experiment = replace(experiment, tracking=tracking, sweep=sweep)
        return replace(self.plan, experiment=experiment, points=cover_points(self.plan.points, sweep))

    def entry(self, parent: str | None, sweep: Path) -> LedgerJob:
        """Return the job as the ledger keeps it and launchers take it: below ``sweep``, under ``parent``."""
        return LedgerJob(
            folder=self.folder,
            overrides=self._launch_overrides(parent, sweep),
            points=[{"key": point.id, "label": point.label} for point in self.points],
            config=config_of(self.plan.experiment),
            builds=builds_key(self.plan.experiment),
        )

    def _chosen(self) -> list[str] | None:
        """The ids of its points; None when these are all that its experiment has."""
        ids = [point.id for point in self.points]
        return ids if len(ids) < len(self.plan.points) else None

    def _launch_overrides(self, parent: str | None, sweep: Path) -> list[str]:
        """The user's overrides and the sweep's own, values quoted."""
        lines = [
            *self.overrides,
            f"hydra.sweep.dir={quoted(str(sweep))}",
            f"hydra.sweep.subdir={quoted(self.folder)}",
            f"sweep.rows={self.plan.experiment.rows}",
        ]
        if parent is not None:
            lines.append(f"tracking.parent={quoted(parent)}")
        if (ids := self._chosen()) is not None:
            lines.append("sweep.points=[" + ",".join(map(quoted, ids)) + "]")
        return lines


@dataclass(frozen=True)
class SweepPlan:
    """The jobs of a sweep, and what is not going to be done, with the reason."""

    jobs: tuple[Job, ...]
    skipped: tuple[tuple[str, str], ...]
    """(what, why) of combinations and operating points that are impossible."""
    duplicates: int
    """How often an operating point came again; it is measured once."""
    notices: tuple[str, ...]

    @property
    def point_count(self) -> int:
        """How many operating points are going to be measured."""
        return sum(len(job.points) for job in self.jobs)

    def lines(self) -> list[str]:
        """What the user reads before the first job: the counts, the reasons, the notices."""
        counts = f"sweep: {count_of(self.point_count, 'point')} in {count_of(len(self.jobs), 'job')}"
        return [counts + self.left_out(), *self.reasons()]

    def left_out(self) -> str:
        """How many combinations and points are not measured, behind how many are; '' when none."""
        duplicates = f"; {count_of(self.duplicates, 'duplicate')} left out" if self.duplicates else ""
        return duplicates + (f"; {len(self.skipped)} skipped:" if self.skipped else "")

    def reasons(self) -> list[str]:
        """Why what is skipped is impossible, and the notices."""
        return [*(f"  {what}: {why}" for what, why in self.skipped), *self.notices]


def plan_sweep(candidates: Sequence[Candidate]) -> SweepPlan:
    """Decide what each candidate measures: a point that came before is left out, an impossible one skipped.

    A candidate that keeps no point is not a job.
    """
    seen: set[str] = set()
    jobs: list[Job] = []
    skipped: dict[tuple[str, str], None] = {}
    notices: dict[str, None] = {}
    duplicates = 0
    for candidate, name in zip(candidates, _telling_names(candidates), strict=True):
        if candidate.plan is None:
            skipped |= {(name, fault): None for fault in candidate.faults}
            continue
        notices |= dict.fromkeys((*candidate.plan.experiment.choices, *candidate.plan.notices))
        ids = {point.id for point in candidate.plan.points if not point.covered}
        duplicates += len(ids & seen)
        left = candidate.plan.without(seen)
        seen |= ids
        skipped |= {(point.label, point.reason): None for point in left.impossible}
        if left.to_measure:
            folder = _folder_name(name, left.to_measure)
            jobs.append(Job(candidate.overrides, left, name, folder))
    return SweepPlan(tuple(jobs), tuple(skipped), duplicates, tuple(notices))


def all_faults(candidates: Sequence[Candidate]) -> list[str]:
    """Every reason for which a candidate is impossible, once each."""
    return list(dict.fromkeys(fault for candidate in candidates for fault in candidate.faults))


def sweep_name(name: str | None, experiment: str | None, arguments: Sequence[str]) -> str:
    """What the parent run is called: ``sweep.name``, else the ``experiment=`` choice and the overrides."""
    typed = [line for line in arguments if not line.startswith(("hydra.", "hydra/", "experiment="))]
    readable = name or " ".join(part for part in (experiment, *typed) if part) or "sweep"
    return readable if len(readable) <= LONGEST_NAME else readable[: LONGEST_NAME - 1] + "…"


def _telling_names(candidates: Sequence[Candidate]) -> list[str]:
    """Per candidate, the overrides that not all share: what tells it apart."""
    jobs = [candidate.overrides for candidate in candidates]
    shared = set(jobs[0]).intersection(*jobs) if len(jobs) > 1 else set()
    return [" ".join(line for line in job if line not in shared) or "this experiment" for job in jobs]


def _folder_name(name: str, points: Sequence[PlannedPoint]) -> str:
    """``index=ivf_flat-index.nlist=64-1a2b3c4d``: readable, and the same for the same points."""
    digest = hashlib.sha256(" ".join(point.id for point in points).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_.=]+', '-', name).strip('-.')[:60]}-{digest}"


def builds_key(experiment: Experiment) -> str:
    """16 hex characters: the same for jobs that need the same embeddings, exact neighbours and index."""
    parts = asdict(experiment)
    searched = {name: value for name, value in parts["index"].items() if name not in ("point", "ladder")}
    encoder = {name: value for name, value in parts["model"].items() if name not in WORKERS}
    depth = (experiment.search.k, experiment.measures.extra_depth)
    made = [parts["dataset"], encoder, parts["queries"], searched, depth]
    return hashlib.sha256(json.dumps(made, sort_keys=True, default=str).encode()).hexdigest()[:16]


def count_of(n: int, noun: str) -> str:
    """``1 point``, ``2 points``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
