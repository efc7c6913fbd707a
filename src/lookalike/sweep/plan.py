"""What a sweep is going to do, known before any of it is done."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lookalike.config.faults import Count, decide
from lookalike.config.planned import PlannedPoint, plan_points
from lookalike.config.typed import quoted
from lookalike.errors import ConfigError
from lookalike.resolving import Resolved
from lookalike.runs.naming import WORKERS
from lookalike.schemas import Experiment
from lookalike.sweep.ledger import LedgerJob

LONGEST_NAME = 100
OF_THE_SWEEP = ("hydra.", "tracking.parent=", "sweep.rows=", "sweep.skip=")
"""How overrides begin that the sweep adds to a job; nobody typed them."""


@dataclass(frozen=True)
class Candidate:
    """One combination of overrides: the experiment that it is, or why it is impossible."""

    overrides: tuple[str, ...]
    experiment: Resolved | None
    faults: tuple[str, ...] = ()

    @classmethod
    def of(cls, overrides: Sequence[str], experiment: Experiment, count: Count | None = None) -> Candidate:
        """A combination that composes; ``count`` tells the size of a dataset."""
        try:
            return cls(tuple(overrides), decide(experiment, count=count))
        except ConfigError as error:
            return cls(tuple(overrides), None, tuple(error.faults))


@dataclass(frozen=True)
class Job:
    """One run of a sweep: an index with all its operating points that no earlier job covers."""

    overrides: tuple[str, ...]
    experiment: Resolved
    points: tuple[PlannedPoint, ...]
    skip: tuple[str, ...]
    """Trial keys of its points that another job measures or has measured, or that are impossible."""
    name: str
    """The overrides that tell it apart from the sweep's other jobs."""
    folder: str
    """Name of its output folder, below the sweep's."""

    def without(self, done: Collection[str], sweep: Path, taken: Collection[str] = ()) -> Job | None:
        """Return what is left to measure when the points ``done`` are; None when nothing is.

        Its folder is one that is not there yet below that of the ``sweep``, nor among the names ``taken``:
        an earlier try keeps its own, also when its process has not come to it yet.
        """
        points = tuple(point for point in self.points if point.key not in done)
        skip = (*self.skip, *(point.key for point in self.points if point.key in done))
        folder = _folder_name(self.name, [point.key for point in points])
        names = (folder, *(f"{folder}.{number}" for number in range(2, 10_000)))
        free = next(name for name in names if name not in taken and not (sweep / name).exists())
        return replace(self, points=points, skip=skip, folder=free) if points else None

    def entry(self, parent: str | None, sweep: Path) -> LedgerJob:
        """The job as the ledger keeps it and launchers take it: below ``sweep``, tracked under ``parent``."""
        return LedgerJob(
            folder=self.folder,
            overrides=self._launch_overrides(parent, sweep),
            points=[{"key": point.key, "label": point.label} for point in self.points],
            config=asdict(self.experiment),
            builds=builds_key(self.experiment),
        )

    def _launch_overrides(self, parent: str | None, sweep: Path) -> list[str]:
        """The user's overrides and the sweep's own, values quoted."""
        lines = [
            *self.overrides,
            f"hydra.sweep.dir={quoted(str(sweep))}",
            f"hydra.sweep.subdir={quoted(self.folder)}",
            f"sweep.rows={self.experiment.rows}",
        ]
        if parent is not None:
            lines.append(f"tracking.parent={quoted(parent)}")
        if self.skip:
            lines.append("sweep.skip=[" + ",".join(map(quoted, self.skip)) + "]")
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
        counts = f"sweep: {count_of(self.point_count, 'point')} in {count_of(len(self.jobs), 'job')}"
        return [counts + self.left_out(), *self.reasons()]

    def left_out(self) -> str:
        """How many combinations and points are not measured, behind how many are; '' when none."""
        said = f"; {count_of(self.duplicates, 'duplicate')} left out" if self.duplicates else ""
        return said + (f"; {len(self.skipped)} skipped:" if self.skipped else "")

    def reasons(self) -> list[str]:
        """Why what is skipped is impossible, and the notices."""
        return [*(f"  {what}: {why}" for what, why in self.skipped), *self.notices]


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
        notices |= dict.fromkeys((*candidate.experiment.choices, *said))
        repeated = [point.key for point in points if point.key in seen]
        impossible = [point for point in points if point.fault and point.key not in seen]
        possible = tuple(point for point in points if not point.fault and point.key not in seen)
        seen.update(point.key for point in points)
        duplicates += len(repeated)
        skipped |= {(point.label, str(point.fault)): None for point in impossible}
        if possible:
            skip = (*repeated, *(point.key for point in impossible))
            folder = _folder_name(name, [point.key for point in possible])
            jobs.append(Job(candidate.overrides, candidate.experiment, possible, skip, name, folder))
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
