"""Which records of a folder belong under one parent: those of a sweep, or the points of one run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lookalike.errors import UserError
from lookalike.runs.catalog import record_files, sweep_around, title_of
from lookalike.runs.paths import SweepPaths
from lookalike.runs.record import Record
from lookalike.sweep.ledger import Ledger
from lookalike.sweep.states import finished_keys
from lookalike.tracking.completing import RunGroup

Found = tuple[Path, Record]
"""A record and the folder it lies in."""


@dataclass
class Group:
    """What one parent is over; or a single record that needs none."""

    run_group: RunGroup | None
    members: list[Found]
    superseded: list[Record] = field(default_factory=list)
    """Failed tries of points that a later try stands for: they are not shown."""


@dataclass
class GroupedRecords:
    """Records in groups."""

    groups: list[Group] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """Why a record or a ledger was left out."""

    @property
    def size(self) -> int:
        """How many records there are to be shown."""
        return sum(len(group.members) for group in self.groups)


def group_records(folders: Iterable[Path]) -> GroupedRecords:
    """Return all records at and below ``folders``, each once; one run of a sweep brings all of it."""
    grouped = GroupedRecords()
    places: dict[Path, None] = {}
    for folder in map(Path.resolve, folders):
        places |= dict.fromkeys(file.parent for file in record_files(sweep_around(folder) or folder))
    by_sweep: dict[Path | None, list[Found]] = {}
    for place in sorted(places):
        try:
            found = (place, Record.load(place))
        except UserError as error:
            grouped.unreadable.append(str(error))
            continue
        by_sweep.setdefault(sweep_around(place), []).append(found)
    for sweep, members in by_sweep.items():
        if sweep is not None:
            grouped.groups.append(_of_sweep(sweep, members, grouped.unreadable))
        else:
            grouped.groups += [Group(_of_run(*found), [found]) for found in members]
    return grouped


def _of_run(folder: Path, record: Record) -> RunGroup | None:
    """The points of a run of its own; None for a single one, which needs no parent."""
    if len(record.points) < 2:
        return None
    return RunGroup(
        key=record.identity,
        name=title_of(folder) or record.name,
        folder=folder,
        records=[record],
        parent=None,
        is_over=True,
    )


def _of_sweep(folder: Path, members: list[Found], unreadable: list[str]) -> Group:
    ledger = None
    if SweepPaths(folder).ledger.exists():
        try:
            ledger = Ledger.load(folder)
        except UserError as error:
            unreadable.append(str(error))
    records = [record for _, record in members]
    parents = {record.config.get("tracking", {}).get("parent") for record in records} - {None}
    parent = ledger.parent if ledger else None
    parent = parent or (str(min(parents)) if parents else None)
    where = "/".join(folder.parts[-2:])
    group = RunGroup(
        key=_hash("ledger", ledger.name, ledger.created) if ledger else _hash("sweep", parent or where),
        name=ledger.name if ledger else title_of(folder) or where,
        folder=folder,
        records=records,
        parent=parent,
        is_over=_is_over(ledger, members) if ledger else SweepPaths(folder).comparison.exists(),
    )
    return Group(group, members, list(_superseded(folder)))


def _is_over(ledger: Ledger, members: Sequence[Found]) -> bool:
    """Whether every point was measured, or the last job that was to measure it left a record."""
    last_try = {point["key"]: job.folder for job in ledger.jobs for point in job.points}
    recorded, done = {place.name for place, _ in members}, finished_keys(record for _, record in members)
    return all(key in done or folder in recorded for key, folder in last_try.items())


def _superseded(folder: Path) -> Iterator[Record]:
    for path in SweepPaths(folder).superseded_records():
        with suppress(UserError):  # it cannot be read, so it was never shown
            yield Record.load(path)


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
