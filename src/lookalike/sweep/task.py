"""One job: from a composed config to a record, whatever happens in between."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lookalike.config.composing import parse
from lookalike.config.faults import decide
from lookalike.config.planned import PlannedPoint, plan_points
from lookalike.errors import ConfigError, TrackingError, UserError
from lookalike.machine.credentials import conceal_all
from lookalike.machine.filesystems import require_writable
from lookalike.progress import SILENT, Progress
from lookalike.resolving import Resolved
from lookalike.runs.paths import RunPaths
from lookalike.runs.record import Record
from lookalike.schemas import Experiment
from lookalike.sweep.gathering import Run, gathered, leave_record, records_in, show
from lookalike.sweep.ledger import BUILD
from lookalike.sweep.plan import OF_THE_SWEEP, sweep_name
from lookalike.sweep.resume import InHandsError, set_aside
from lookalike.terminal.crash import describe, keep_traceback
from lookalike.terminal.printing import print_wrapped
from lookalike.tracking import Tracker, environment_notices

CRASH, USER_ERROR = 1, 2
"""Exit codes: we have to mend it; the user can."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended: what a task returns, because one that raises would take the sweep with it."""

    folder: str
    error: str | None = None
    exit_code: int = 0


@dataclass(frozen=True)
class Place:
    """Where and how Hydra runs a job."""

    folder: Path
    overrides: tuple[str, ...] = ()
    in_sweep: bool = False
    number: int = 0
    """Of the job in its sweep, from 0."""

    @property
    def title(self) -> str:
        """What tells the job apart in its sweep: its folder's name without the digest of its trials."""
        return self.folder.name.rpartition("-")[0] or self.folder.name

    @classmethod
    def of_hydra(cls) -> Place:
        """The place of the job that Hydra is running now."""
        config = HydraConfig.get()
        overrides = [line for line in config.overrides.task if not line.startswith(OF_THE_SWEEP)]
        in_sweep = config.mode == RunMode.MULTIRUN
        number = config.job.num if in_sweep else 0
        return cls(Path(config.runtime.output_dir), tuple(overrides), in_sweep, number)


class Parts:
    """What a job is done with: the real things, imported when they are needed. Tests bring their own."""

    def run(self, experiment: Experiment, folder: Path, session: Any, overrides: Sequence[str]) -> Record:
        """Measure; leaves a record in ``folder`` also when it raises."""
        from lookalike.run import run

        return run(experiment, folder, session, overrides)

    def build(self, experiment: Experiment, session: Any) -> None:
        """Make what :meth:`run` reuses, and leave no record."""
        from lookalike.run import build

        build(experiment, session)

    def open_session(self, experiment: Experiment, progress: Progress) -> Any:
        """What the jobs of one process share."""
        from lookalike.runs.session import Session

        return Session(experiment, progress)

    def open_tracker(self, experiment: Experiment) -> Tracker:
        """Where the record is shown."""
        from lookalike.tracking import open_tracker

        root = Path(experiment.paths.root).expanduser().resolve()
        return open_tracker(experiment.tracking, root, experiment.paths.mlruns, experiment.paths.store)

    def one_writer_notice(self, experiment: Experiment) -> str | None:
        """Why the jobs of a sweep leave tracking to whoever gathers them; None when they do not."""
        from lookalike.tracking import one_writer_notice

        root = Path(experiment.paths.root).expanduser().resolve()
        return one_writer_notice(experiment.tracking, root, experiment.paths.mlruns)

    def report(self, experiment: Experiment, records: Sequence[Record], folder: Path) -> None:
        """What a person reads at the end."""
        from lookalike.sweep.closing import report

        report(experiment, records, folder)


class Task:
    """What Hydra calls for each job; pickled to where the job runs, without what it has loaded."""

    def __init__(self, progress: Progress = SILENT, parts: Parts | None = None) -> None:
        self.progress = progress
        self.parts = parts or Parts()
        self.is_ours: Callable[[], bool] = _always
        """Whether the sweep whose jobs this process runs is still its own, see ``in_hands``."""
        self._session: tuple[str, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_session": None, "is_ours": _always}

    def __call__(self, config: DictConfig) -> Outcome:
        """Run the job that Hydra composed; outside of a sweep, a failed one ends the program."""
        place = Place.of_hydra()
        outcome = self.attempt(lambda: parse(config), place)
        if outcome.exit_code and not place.in_sweep:
            raise SystemExit(outcome.exit_code)  # Hydra would announce an Exception in its own words
        return outcome

    def attempt(self, read: Callable[[], Experiment], place: Place) -> Outcome:
        """Run what ``read`` gives; every end but Ctrl-C is an outcome, which is printed outside of a sweep.

        A run that began leaves a record, and so does every job of a sweep, which somebody may look for
        when nobody waits for its outcome; a single run that could not begin leaves nothing.
        """
        experiment: Experiment | None = None
        try:
            experiment = read()
            return self.perform(experiment, place)
        except UserError as error:
            told = reason = str(error)
            exit_code = USER_ERROR
        except Exception as error:
            reason, exit_code = f"{type(error).__name__}: {error}", CRASH
            told = describe(error, keep_traceback(error, RunPaths(place.folder).traceback))
        told, reason = conceal_all(told), conceal_all(reason)
        ours = self.is_ours()
        if place.in_sweep and experiment is not None and ours and not RunPaths(place.folder).record.exists():
            with suppress(UserError):
                leave_record(place.folder, asdict(experiment), place.overrides, reason)
        if not ours:
            _leave_nothing(place.folder)
        if not place.in_sweep:
            for line in told.splitlines():
                print_wrapped(f"error: {line}", sys.stderr)
            _leave_nothing(place.folder)
        return Outcome(str(place.folder), reason, exit_code)

    def perform(self, composed: Experiment, place: Place) -> Outcome:
        """Run ``composed`` in ``place``; what :meth:`attempt` reports is raised here."""
        if not self.is_ours():
            raise InHandsError.taken_over(place.folder.parent)
        if composed.sweep.detach and not place.in_sweep:
            raise ConfigError(
                ["sweep.detach=true is of sweeps; add -m and hydra/launcher=slurm_cpu, or leave it out"]
            )
        experiment = decide(composed, self.progress)
        require_places(experiment)
        points = self._possible_points(experiment, place.in_sweep)
        if place.in_sweep:
            self.progress.say(f"job {place.number + 1}: {place.title}")
        if experiment.sweep.phase == BUILD:
            self.parts.build(experiment, self._session_of(experiment))
            return Outcome(str(place.folder))
        if not place.in_sweep:  # a sweep has said it once
            for notice in environment_notices(experiment.tracking):
                self.progress.say(f"notice: {notice}")
        tracker = self.parts.open_tracker(experiment)
        untracked: str | None = None
        try:
            self.parts.run(experiment, place.folder, self._session_of(experiment), place.overrides)
        finally:  # the record of a run that failed or was interrupted is shown as well
            if not self.is_ours():
                set_aside(place.folder)  # the sweep's new owner measures these points too
            elif len(points) > 1 and not place.in_sweep:
                untracked = self._show_gathered(experiment, points, place, tracker)
            else:
                untracked = show(tracker, place.folder, experiment.tracking.parent, self.progress)
        if not self.is_ours():
            raise InHandsError.taken_over(place.folder.parent)
        if not place.in_sweep:
            self.parts.report(experiment, records_in(place.folder), place.folder)
        # In a sweep whoever gathers it tries again, and the point is measured in any case.
        return Outcome(str(place.folder), untracked, CRASH if untracked and not place.in_sweep else 0)

    def _show_gathered(
        self, experiment: Experiment, points: Sequence[PlannedPoint], place: Place, tracker: Tracker
    ) -> str | None:
        """Show several points of one run under an entry of their own; returns why that failed.

        The entry is opened when there is a record to show: a run that could not begin leaves none.
        """

        def runs() -> list[Run]:
            return [(experiment, place.folder, record) for record in records_in(place.folder)]

        if not (begun := [record.started for _, _, record in runs()]):
            return None
        try:
            with gathered(
                tracker,
                sweep_name(experiment.sweep.name or experiment.name, None, place.overrides),
                "\n".join(point.label for point in points),
                folder=place.folder,
                runs=runs,
                progress=self.progress,
                started=begun[0],
            ) as entry:
                return show(tracker, place.folder, entry.id, self.progress)
        except TrackingError as error:
            self.progress.warn(f"{error}; nothing is lost, the record lies in {place.folder}")
            return str(error)

    def _possible_points(self, experiment: Resolved, in_sweep: bool) -> list[PlannedPoint]:
        """The points that can be measured; the user is told of the others, the run by ``sweep.skip``."""
        planned, notices = plan_points(experiment)
        if not in_sweep:  # a sweep's plan has said them
            for choice in experiment.choices:
                self.progress.say(choice)
            for notice in notices:
                self.progress.say(f"notice: {notice}")
        for point in planned:
            if point.fault:
                self.progress.warn(f"{point.label} is skipped: {point.fault}")
                experiment.sweep.skip.append(point.key)
        return [point for point in planned if not point.fault]

    def _session_of(self, experiment: Experiment) -> Any:
        """The session of this process, kept as long as jobs use the same store in the same way."""
        key = repr((experiment.paths, experiment.store))
        if self._session is None or self._session[0] != key:
            self._session = (key, self.parts.open_session(experiment, self.progress))
        return self._session[1]


def _always() -> bool:
    return True


def require_places(experiment: Experiment, *more: Path, tracked: bool = True) -> None:
    """Raise UserError unless the places that the run writes to, and ``more``, can be written.

    A store that is there is left to the stages: whoever may only read it can reuse what it holds.
    """
    root = Path(experiment.paths.root).expanduser()
    store = root / experiment.paths.store
    places = [*more, *([] if store.is_dir() else [store])]
    if tracked and experiment.tracking.kind == "local":
        places.append(root / experiment.paths.mlruns)
    require_writable(*places)


def _leave_nothing(folder: Path) -> None:
    """Remove the folder of a run that left no record; one that holds anything else stays."""
    with suppress(OSError):
        if RunPaths(folder).has_no_results:
            shutil.rmtree(folder)
            for above in (folder.parent, folder.parent.parent):
                above.rmdir()  # the folder of the day and that of all runs, when this was all they held
