"""What a sweep is going to do, known before any of it is done."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lookalike.config import PlannedPoint, find_faults, plan_points
from lookalike.schemas import Experiment

LONGEST_NAME = 100


@dataclass(frozen=True)
class Candidate:
    """One combination of overrides: what it composes to, or why it is impossible."""

    overrides: tuple[str, ...]
    experiment: Experiment | None
    faults: tuple[str, ...] = ()

    @classmethod
    def of(cls, overrides: Sequence[str], experiment: Experiment) -> Candidate:
        """A combination that composes, with the faults that ``find_faults`` knows of."""
        return cls(tuple(overrides), experiment, tuple(find_faults(experiment)))


@dataclass(frozen=True)
class Job:
    """One run of a sweep: an index with all its operating points that no earlier job covers."""

    overrides: tuple[str, ...]
    experiment: Experiment
    points: tuple[PlannedPoint, ...]
    skip: tuple[str, ...]
    """Trial keys of its points that an earlier job measures, or that are impossible."""
    folder: str
    """Name of its output folder, below the sweep's."""

    def launch_overrides(self, parent: str | None) -> list[str]:
        """What the launcher is given: the user's overrides and the sweep's own, values quoted."""
        lines = [*self.overrides, f"hydra.sweep.subdir='{self.folder}'"]
        if parent is not None:
            lines.append(f"tracking.parent='{parent}'")
        if self.skip:
            lines.append("sweep.skip=[" + ",".join(f"'{key}'" for key in self.skip) + "]")
        return lines


@dataclass(frozen=True)
class Plan:
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
        counts = f"sweep: {_count(self.point_count, 'point')} in {_count(len(self.jobs), 'job')}"
        if self.duplicates:
            counts += f"; {_count(self.duplicates, 'duplicate')} left out"
        if self.skipped:
            counts += f"; {len(self.skipped)} skipped:"
        return [counts, *(f"  {what}: {why}" for what, why in self.skipped), *self.notices]


def make_plan(candidates: Sequence[Candidate]) -> Plan:
    """Decide what each candidate measures: a point that came before is left out, an impossible one skipped.

    A candidate that keeps no point is no job.
    """
    seen: set[str] = set()
    jobs: list[Job] = []
    skipped: dict[tuple[str, str], None] = {}
    notices: dict[str, None] = {}
    duplicates = 0
    for candidate, name in zip(candidates, _telling_names(candidates), strict=True):
        if candidate.experiment is None or candidate.faults:
            skipped |= {(name, fault): None for fault in candidate.faults}
            continue
        points, said = plan_points(candidate.experiment)
        notices |= dict.fromkeys(said)
        repeated = [point.key for point in points if point.key in seen]
        impossible = [point for point in points if point.fault and point.key not in seen]
        possible = tuple(point for point in points if not point.fault and point.key not in seen)
        seen.update(point.key for point in points)
        duplicates += len(repeated)
        skipped |= {(point.label, str(point.fault)): None for point in impossible}
        if possible:
            skip = (*repeated, *(point.key for point in impossible))
            folder = _folder_name(name, [point.key for point in points])
            jobs.append(Job(candidate.overrides, candidate.experiment, possible, skip, folder))
    return Plan(tuple(jobs), tuple(skipped), duplicates, tuple(notices))


def all_faults(candidates: Sequence[Candidate]) -> list[str]:
    """Every reason for which a candidate is impossible, once each."""
    return list(dict.fromkeys(fault for candidate in candidates for fault in candidate.faults))


def sweep_name(name: str | None, experiment: str | None, arguments: Sequence[str]) -> str:
    """What the parent run is called: ``sweep.name``, else the ``experiment=`` choice and the overrides."""
    asked = [line for line in arguments if not line.startswith(("hydra.", "hydra/", "experiment="))]
    readable = name or " ".join(part for part in (experiment, *asked) if part) or "sweep"
    return readable if len(readable) <= LONGEST_NAME else readable[: LONGEST_NAME - 1] + "…"


def _telling_names(candidates: Sequence[Candidate]) -> list[str]:
    """Per candidate, the overrides that not all share: what tells it apart."""
    jobs = [candidate.overrides for candidate in candidates]
    shared = set(jobs[0]).intersection(*jobs) if len(jobs) > 1 else set()
    return [" ".join(line for line in job if line not in shared) or "this experiment" for job in jobs]


def _folder_name(name: str, keys: Sequence[str]) -> str:
    """``index=ivf_flat-index.nlist=64-1a2b3c4d``: readable, and stable through the trials it covers."""
    digest = hashlib.sha256(" ".join(keys).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_.=]+', '-', name).strip('-.')[:60]}-{digest}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
