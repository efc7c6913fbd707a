"""One job: from a composed config to a record, whatever happens in between."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lookalike.config.composing import parse
from lookalike.config.planning import plan
from lookalike.errors import ConfigError, TrackingError, UserError
from lookalike.machine.credentials import conceal_all
from lookalike.machine.filesystems import require_writable
from lookalike.progress import SILENT, Progress
from lookalike.runs.catalog import Run
from lookalike.runs.paths import RunPaths
from lookalike.runs.plan import Plan
from lookalike.runs.recompose import config_of
from lookalike.runs.record import Record
from lookalike.schemas import Experiment
from lookalike.sweep.gathering import ParentRun, leave_record, open_parent, show
from lookalike.sweep.ledger import BUILD
from lookalike.sweep.plan import OF_THE_SWEEP, sweep_name
from lookalike.sweep.resume import SweepLockedError, set_aside
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
    record: Record | None = field(default=None, compare=False, repr=False)
    """What was measured; None when it failed, or only built."""


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


@dataclass
class SweepHere:
    """What a sweep shares with those of its jobs that run in its own process."""

    is_held: Callable[[], bool]
    """Whether the sweep is still this process's own, see ``resume.sweep_lock``."""
    plans: Mapping[str, Plan]
    """By the name of a job's folder."""
    records: dict[str, Record] = field(default_factory=dict)
    """What its jobs measured, by the name of their folder; their files need not be read."""


class Services:
    """What a job is done with: the real things, imported when they are needed. Tests bring their own."""

    def run(
        self,
        plan: Plan,
        folder: Path,
        session: Any,
        overrides: Sequence[str],
        saved: Callable[[Record], None],
    ) -> Record:
        """Measure; leaves a record in ``folder``, and gives it to ``saved``, also when it raises."""
        from lookalike.run import run

        return run(plan, folder, session, overrides, saved)

    def build(self, plan: Plan, session: Any) -> None:
        """Make what :meth:`run` reuses, and leave no record."""
        from lookalike.run import build_only

        build_only(plan, session)

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
        """Why the jobs of a sweep leave tracking to the process that gathers them; None when they do not."""
        from lookalike.tracking import one_writer_notice

        root = Path(experiment.paths.root).expanduser().resolve()
        return one_writer_notice(experiment.tracking, root, experiment.paths.mlruns)

    def final_is_due(self, records: Iterable[Record]) -> bool:
        """Whether there are points to be timed together that were not."""
        from lookalike.sweep.final.state import is_due

        return is_due(records)

    def time_finally(self, folder: Path, progress: Progress, *, again: bool = False) -> int:
        """Time the points of the sweep's fronts together, and amend their records; return how many."""
        from lookalike.sweep.final.timing import time_finally

        return time_finally(folder, progress, again=again)

    def report(self, experiment: Experiment, records: Sequence[Record], folder: Path) -> None:
        """What a person reads at the end."""
        from lookalike.sweep.closing import report

        report(experiment, records, folder)


class Task:
    """What Hydra calls for each job; pickled to where the job runs, without what it has loaded."""

    def __init__(self, progress: Progress = SILENT, services: Services | None = None) -> None:
        self.progress = progress
        self.services = services or Services()
        self.sweep: SweepHere | None = None
        """The sweep whose jobs this process runs, if it is the sweep's own."""
        self._session: tuple[str, Any] | None = None

    def release(self) -> None:
        """Let go of what the jobs of this process had loaded: no more are coming."""
        self._session = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_session": None, "sweep": None}

    def __call__(self, config: DictConfig) -> Outcome:
        """Run the job that Hydra composed; outside of a sweep, a failed one ends the program."""
        place = Place.of_hydra()
        outcome = self.attempt(lambda: parse(config), place)
        if outcome.exit_code and not place.in_sweep:
            raise SystemExit(outcome.exit_code)  # Hydra would announce an Exception in its own words
        return outcome

    def attempt(self, read: Callable[[], Experiment], place: Place) -> Outcome:
        """Run what ``read`` gives; every end but Ctrl-C is an outcome, which is printed outside of a sweep.

        A job that this process's own sweep has planned is run as planned, and nothing is read. A run that
        began leaves a record, and so does every job of a sweep, which is looked for where no process waits
        for its outcome; a single run that could not begin leaves nothing.
        """
        experiment: Experiment | None = None
        try:
            planned = self.sweep.plans.get(place.folder.name) if self.sweep else None
            experiment = planned.experiment if planned else read()
            return self.perform(planned or experiment, place)
        except UserError as error:
            message = reason = str(error)
            exit_code = USER_ERROR
        except Exception as error:
            reason, exit_code = f"{type(error).__name__}: {error}", CRASH
            message = describe(error, keep_traceback(error, RunPaths(place.folder).traceback))
        message, reason = conceal_all(message), conceal_all(reason)
        is_held, is_recorded = self._holds_sweep(), RunPaths(place.folder).record.exists()
        if place.in_sweep and experiment is not None and is_held and not is_recorded:
            with suppress(UserError):
                self._keep(
                    leave_record(place.folder, config_of(experiment), place.overrides, reason), place.folder
                )
        if not is_held:
            _leave_nothing(place.folder)
        if not place.in_sweep:
            for line in message.splitlines():
                print_wrapped(f"error: {line}", sys.stderr)
            _leave_nothing(place.folder)
        return Outcome(str(place.folder), reason, exit_code)

    def perform(self, job: Experiment | Plan, place: Place) -> Outcome:
        """Run ``job`` in ``place``; what :meth:`attempt` reports is raised here."""
        if not self._holds_sweep():
            raise SweepLockedError.taken_over(place.folder.parent)
        composed = job.experiment if isinstance(job, Plan) else job
        if composed.sweep.detach and not place.in_sweep:
            raise ConfigError(
                ["sweep.detach=true is of sweeps; add -m and hydra/launcher=slurm_cpu, or leave it out"]
            )
        if composed.sweep.final_timing and not place.in_sweep:
            raise ConfigError(
                ["sweep.final_timing=true is of sweeps; leave it out: a run times its points together anyway"]
            )
        chosen = job if isinstance(job, Plan) else plan(job, self.progress)
        experiment = chosen.experiment
        require_places(experiment)
        self._announce(chosen, place)
        if experiment.sweep.phase == BUILD:
            self.services.build(chosen, self._session_of(experiment))
            return Outcome(str(place.folder))
        tracker = self.services.open_tracker(experiment)
        untracked: str | None = None

        def saved(record: Record) -> None:  # also that of a run which failed or was interrupted
            nonlocal untracked
            if self._holds_sweep():
                self._keep(record, place.folder)
                untracked = self._show(record, chosen, place, tracker)

        try:
            record = self.services.run(
                chosen, place.folder, self._session_of(experiment), place.overrides, saved
            )
        finally:
            if not self._holds_sweep():
                set_aside(place.folder)  # the sweep's new owner measures these points too
        if not self._holds_sweep():
            raise SweepLockedError.taken_over(place.folder.parent)
        if place.in_sweep:  # the sweep tries to show again what is not shown, and reports
            return Outcome(str(place.folder), untracked, record=record)
        self.services.report(experiment, [record], place.folder)
        return Outcome(str(place.folder), untracked, CRASH if untracked else 0, record)

    def _announce(self, chosen: Plan, place: Place) -> None:
        """Show what is chosen, left out or impossible, unless the sweep has shown it."""
        if place.in_sweep:
            self.progress.say(f"job {place.number + 1}: {place.title}")
        else:
            unused = environment_notices(chosen.experiment.tracking)
            for line in chosen.experiment.choices:
                self.progress.say(line)
            for line in (*chosen.notices, *unused):
                self.progress.say(f"notice: {line}")
        for point in chosen.impossible:
            self.progress.warn(f"{point.label} is skipped: {point.reason}")

    def _show(self, record: Record, chosen: Plan, place: Place, tracker: Tracker) -> str | None:
        """Show the record, several points of a single run under an entry of their own.

        Returns why that failed: it costs a view, no result.
        """
        experiment = chosen.experiment
        if place.in_sweep or len(chosen.to_measure) < 2:
            return show(tracker, record, place.folder, experiment.tracking.parent, self.progress)
        parent = ParentRun(
            sweep_name(experiment.sweep.name or experiment.name, None, place.overrides or [record.name]),
            "\n".join(point.label for point in chosen.to_measure),
            place.folder,
            started=record.started,
        )
        try:
            with open_parent(parent, tracker, lambda: [Run(record, place.folder)], self.progress):
                return show(tracker, record, place.folder, parent.id, self.progress)
        except TrackingError as error:
            self.progress.warn(f"{error}; nothing is lost, the record lies in {place.folder}")
            return str(error)

    def _keep(self, record: Record, folder: Path) -> None:
        if self.sweep is not None:
            self.sweep.records[folder.name] = record

    def _holds_sweep(self) -> bool:
        """Whether no other process has taken over the sweep whose job this is."""
        return self.sweep is None or self.sweep.is_held()

    def _session_of(self, experiment: Experiment) -> Any:
        """The session of this process, kept as long as jobs use the same store in the same way."""
        key = repr((experiment.paths, experiment.store))
        if self._session is None or self._session[0] != key:
            self._session = (key, self.services.open_session(experiment, self.progress))
        return self._session[1]


def require_places(experiment: Experiment, *more: Path, tracked: bool = True) -> None:
    """Raise UserError unless the places that the run writes to, and ``more``, can be written.

    A store that is there is left to the stages: a store that is only readable can be reused.
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
