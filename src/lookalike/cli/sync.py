"""``lookalike sync``: show in MLflow what it lacks of the records, and nothing twice."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote

from lookalike.cli import complain
from lookalike.cli.parsing import Parser
from lookalike.cli.tracking_options import add_home_options, compose_tracking, is_override, root_of
from lookalike.errors import TrackingError, UserError
from lookalike.machine.credentials import is_concealed
from lookalike.progress import RichProgress
from lookalike.runs.catalog import record_files, select
from lookalike.runs.paths import RECORD, HomePaths
from lookalike.runs.record import Record
from lookalike.schemas import Paths, Tracking
from lookalike.sweep.grouping import Group, GroupedRecords, group_records
from lookalike.tracking import open_tracker
from lookalike.tracking.completing import Change
from lookalike.tracking.mlflow_tracker import MlflowTracker

DESCRIPTION = """\
Rebuild MLflow's view from the records of runs and sweeps: what is missing there is filled in, runs that were
logged in part are completed, lost parents of sweeps made again. Doing it twice changes nothing. Nothing is
sent to a server that only a record names: name it yourself.
"""
EXAMPLES = """\
  lookalike sync                                     all runs and sweeps of the local store
  lookalike sync multirun/2026-11-22/12-00-00.0      one sweep
  lookalike sync tracking=server tracking.uri=http://mlflow.example:5000   everything, to that server
"""


def main(arguments: Sequence[str]) -> int:
    """Print the counts; 1 when a store could not take its records."""
    parser = Parser(
        "lookalike sync",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        nargs="*",
        metavar="FOLDER | RUN | tracking.KEY=VALUE",
        help="folders of runs and sweeps, a run's id or name, latest; default: everything. With tracking "
        "overrides, as for `lookalike run`, all go there; else to the local store below --root",
    )
    add_home_options(parser)
    options = parser.parse_args(arguments)
    overrides = [each for each in options.what if is_override(each)]
    root = root_of(options)
    grouped = group_records(_folders([each for each in options.what if each not in overrides], root))
    config = compose_tracking(overrides, options.config_dir) if overrides else None
    if config is not None and config.kind == "none":
        raise UserError("tracking=none shows nothing; name a store: tracking=local, or tracking=server")
    for line in grouped.unreadable:
        complain(line)
    synchronisation = Synchronisation(root, config)
    synchronisation.run(grouped)
    for fault in synchronisation.faults:
        complain(fault)
    print(synchronisation.summary())
    return 1 if synchronisation.faults or grouped.unreadable else 0


def _folders(selectors: Sequence[str], root: Path) -> list[Path]:
    if not selectors:
        return [folder for folder in HomePaths(root).results if folder.is_dir()]
    return [_folder(selector, root) for selector in selectors]


def _folder(selector: str, root: Path) -> Path:
    """A folder that exists, here or under ``root``, or that of the run which ``selector`` names."""
    for path in (Path(selector).expanduser(), root / selector):
        if path.exists():
            if not any(record_files(path)):
                raise UserError(f"{path} holds no {RECORD} of a run; name the folder of a run or a sweep")
            return path
    return select(root, selector).folder


class Synchronisation:
    """Records on their way to the stores that they were meant for, or all to one."""

    def __init__(self, root: Path, config: Tracking | None) -> None:
        self.root = root
        self.config = config
        """Where everything goes; None: to the local store, without what was meant for a server."""
        self.counts: Counter[Change] = Counter()
        self.parents: Counter[Change] = Counter()
        self.untracked = 0
        """Records of runs without tracking (``tracking=none``)."""
        self.faults: Counter[str] = Counter()
        """Why records could not be shown -> how many."""
        self._trackers: dict[str, MlflowTracker | None] = {}
        self._away: dict[str, TrackingError] = {}
        """Stores that do not answer: one attempt each is enough."""

    def run(self, grouped: GroupedRecords) -> None:
        """Show every group; one that fails is a fault and keeps no other one."""
        with RichProgress().bar("synchronising", grouped.size, "records") as bar:
            for group in grouped.groups:
                before = self.done
                try:
                    self._show(group)
                except TrackingError as error:
                    self.faults[str(error)] += len(group.members) - (self.done - before)
                bar.advance(len(group.members))

    @property
    def done(self) -> int:
        """Records that nothing is left to do for."""
        return sum(self.counts.values()) + self.untracked

    def _show(self, group: Group) -> None:
        tracker = self._tracker_of(group.members[0][1])
        if tracker is None:
            self.untracked += len(group.members)
            return
        parent = None
        if group.run_group is not None:
            parent, change = tracker.log_missing_parent(group.run_group)
            self.parents[change] += 1
        for folder, record in group.members:
            self.counts[tracker.log_missing(record, folder, parent)] += 1
        for record in group.superseded:
            tracker.remove(record)

    def _tracker_of(self, record: Record) -> MlflowTracker | None:
        """None for a run without tracking."""
        config = replace(self.config or _own_config(record), parent=None)
        mlruns, indexes = (self._below_root(record, name) for name in ("mlruns", "store"))
        store = repr((config, mlruns, indexes))
        if store in self._away:
            raise self._away[store]
        try:
            if store not in self._trackers:
                tracker = open_tracker(config, self.root, mlruns, indexes)
                self._trackers[store] = tracker if isinstance(tracker, MlflowTracker) else None
            found = self._trackers[store]
            if found is not None:
                found.backend.ping()
        except TrackingError as error:
            self._away[store] = error
            raise
        return found

    def _below_root(self, record: Record, name: str) -> str:
        """``paths.NAME`` of the record: a folder below the root, whatever else it says."""
        default: str = getattr(Paths, name)
        folder = str(record.config.get("paths", {}).get(name, default))
        if (self.root / folder).resolve().is_relative_to(self.root):
            return folder
        if name == "mlruns" and self.config is None:
            raise TrackingError(
                f"paths.mlruns={folder} of a record leads out of {self.root}; show it below that root with "
                "tracking=local, or on a server with tracking=server tracking.uri=ADDRESS"
            )
        return default

    def summary(self) -> str:
        """Return ``17 records: 12 complete, 4 completed, 1 created``, with failures and parents."""
        failed = sum(self.faults.values())
        total = self.done + failed
        parts = [f"{self.counts[change]} {change.value}" for change in Change]
        if failed:
            parts.append(f"{failed} failed")
        if self.untracked:
            parts.append(f"{self.untracked} not tracked (name a store to show them: tracking=local)")
        line = f"{total} record{'' if total == 1 else 's'}: {', '.join(parts)}"
        if again := self.parents[Change.CREATED]:
            line += f"; {again} parent{'' if again == 1 else 's'} created"
        if closed := self.parents[Change.COMPLETED]:
            line += f"; {closed} parent{'' if closed == 1 else 's'} completed"
        return line


def _own_config(record: Record) -> Tracking:
    """Return the run's tracking. Raises TrackingError when it was a server, which the caller has to name."""
    tracking = record.config.get("tracking", {})
    uri = str(tracking.get("uri"))
    if tracking.get("kind") == "server":
        address = "ADDRESS" if is_concealed(uri) else uri
        without = "; its password is not kept in records" if is_concealed(uri) else ""
        experiment = str(tracking.get("experiment", Tracking.experiment))
        more = "" if experiment == Tracking.experiment else f" {quote(f'tracking.experiment={experiment}')}"
        raise TrackingError(
            f"a record was meant for the server {uri}{without}; where it goes is yours to say: "
            f"lookalike sync tracking=server {quote(f'tracking.uri={address}')}{more}"
        )
    return Tracking(**{name: tracking[name] for name in ("kind", "experiment") if name in tracking})
