"""Stand-ins for what a sweep is done with: a run that measures nothing, a tracker that remembers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lookalike.errors import TrackingError
from lookalike.progress import Progress
from lookalike.runs.plan import Plan
from lookalike.runs.record import FAILED, FINISHED, INTERRUPTED, Record
from lookalike.schemas import Experiment
from lookalike.sweep.task import Services, SweepHere
from tests.records import make_point

ELSEWHERE = SweepHere(lambda: True, {})
"""What a job of another process shares with its sweep: nothing."""


@dataclass
class MemoryTracker:
    """Remembers what it was shown, in order; raises TrackingError from the methods in ``down``."""

    down: frozenset[str] = frozenset()
    events: list[tuple[Any, ...]] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)
    """Identities of the records that have entries now."""

    def start_sweep(
        self, name: str, description: str, parent: str | None = None, started: str | None = None
    ) -> str:
        self._answer("start_sweep")
        self.events.append(("open again", parent) if parent else ("start", name))
        return parent or "parent-id"

    def log(self, record: Record, folder: Path, parent: str | None = None) -> None:
        """Says nothing of what it shows already, as :class:`Tracker` demands."""
        self._answer("log")
        if record.identity not in self.shown:
            self.events.append(("log", record.status, len(record.points), parent))
            self.shown.add(record.identity)
        for point in record.points:
            point.mlflow_run_id = f"{record.identity}-{point.trial_key}"
        record.save(folder)

    def remove(self, record: Record) -> None:
        self._answer("forget")
        if record.identity in self.shown:
            self.events.append(("forget", record.status))
            self.shown.remove(record.identity)

    def page(self, parent: str | None = None) -> None:
        """Nowhere to look."""

    def finish_sweep(
        self, parent: str | None, folder: Path, records: Sequence[Record], status: str = FINISHED
    ) -> None:
        self._answer("finish_sweep")
        files = sorted(path.name for path in folder.iterdir() if path.is_file())
        self.events.append(("finish", parent, len(records), status, "comparison.md" in files))

    def _answer(self, method: str) -> None:
        if method in self.down:
            raise TrackingError("the tracking server does not answer; start it")


class World(Services):
    """Services whose run keeps the contract of ``lookalike.run.run``: a record whatever happens."""

    def __init__(
        self,
        before: Callable[[Experiment], None] = lambda experiment: None,
        tracker: MemoryTracker | None = None,
    ) -> None:
        self.before = before
        self.tracker = tracker or MemoryTracker()
        self.sessions: list[Any] = []
        self.runs: list[tuple[list[str], Any]] = []
        """(labels of the points, session) of every run."""
        self.reports: list[int] = []
        """How many records each closing report showed."""

    def run(
        self,
        plan: Plan,
        folder: Path,
        session: Any,
        overrides: Sequence[str],
        saved: Callable[[Record], None],
    ) -> Record:
        experiment = plan.experiment
        record = Record(
            name="run",
            started="2026-11-22T12:00:00+00:00",
            finished="2026-11-22T12:00:01+00:00",
            status=FINISHED,
            config=asdict(experiment),
            overrides=list(overrides),
            data={"dataset": experiment.dataset.name, "gallery_size": 100},
            model={"name": experiment.model.name},
            index={"family": experiment.index.family},
        )
        points = plan.to_measure
        self.runs.append(([point.label for point in points], session))
        try:
            self.before(experiment)
            record.points = [make_point(trial_key=point.id, label=point.label) for point in points]
        except BaseException as error:
            record.status = INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED
            record.error = str(error) or type(error).__name__
            raise
        finally:
            record.save(folder)
            saved(record)
        return record

    def open_session(self, experiment: Experiment, progress: Progress) -> Any:
        self.sessions.append(object())
        return self.sessions[-1]

    def open_tracker(self, experiment: Experiment) -> MemoryTracker:
        return self.tracker

    def report(self, experiment: Experiment, records: Sequence[Record], folder: Path) -> None:
        self.reports.append(len(records))
