"""The entry over several operating points: opened before the first, closed whatever happens to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any

from lookalike.errors import TrackingError, UserError
from lookalike.progress import Progress
from lookalike.runs.catalog import Run, records_of_sweep
from lookalike.runs.paths import ReportPaths
from lookalike.runs.record import FAILED, FINISHED, INTERRUPTED, Record
from lookalike.sweep.plan import OF_THE_SWEEP
from lookalike.terminal.interrupts import interrupts_later
from lookalike.tracking import Tracker


@dataclass
class ParentRun:
    """The tracker's entry over several operating points."""

    name: str
    description: str
    folder: Path
    """Where the comparison of its runs is written."""
    id: str | None = None
    """The tracker's: of an entry to be opened again, then of the open one; None when it shows nothing."""
    started: str | None = None
    """When a new one began, ISO 8601; None: now."""
    stays_open: bool = False
    """Set when jobs go on measuring in other processes: the one that gathers them closes it."""


@contextmanager
def open_parent(
    parent: ParentRun,
    tracker: Tracker,
    runs: Callable[[], Sequence[Run]],
    progress: Progress,
    status: str | None = None,
) -> Iterator[ParentRun]:
    """Open ``parent``, or open it again; yield it; write the comparison into its folder and close it.

    ``runs`` gives what was measured. It is called at the end, also after an exception or Ctrl-C (which go on
    afterwards): the parent then has the comparison of what was finished. It is closed as ``status`` says,
    else as failed when a record is, or when the block raised. Raises :class:`TrackingError` when the parent
    cannot be opened; when it cannot be closed, that is a warning, because the records and the comparison are
    in the folder. A comparison that cannot be written is a warning, and after the parent was closed a
    :class:`UserError` unless the block raised.
    """
    is_open, end, fault = False, FAILED, None
    try:
        with interrupts_later():  # or one that comes while the parent is made would leave it open
            parent.id = tracker.start_sweep(parent.name, parent.description, parent.id, parent.started)
            is_open = True
        yield parent
        end = FINISHED
    except KeyboardInterrupt:
        end = INTERRUPTED
        raise
    finally:
        if is_open and not parent.stays_open:
            found = runs()
            try:
                write_reports(found, parent.folder, parent.name, progress)
            except UserError as error:
                fault = error
                progress.warn(f"{error}; then: lookalike report {quote(str(parent.folder))}")
            records = [run.record for run in found]
            try:
                end = status or _worst([end, *(record.status for record in records)])
                tracker.finish_sweep(parent.id, parent.folder, records, end)
            except TrackingError as error:
                progress.warn(f"{error}; the comparison lies in {parent.folder}")
    if fault is not None:
        raise fault


def _worst(statuses: Sequence[str]) -> str:
    """Of a sweep whose parts ended so: its own interruption counts before what failed in it."""
    if statuses[0] == INTERRUPTED:
        return INTERRUPTED
    return next((status for status in (FAILED, INTERRUPTED) if status in statuses), FINISHED)


def runs_below(folder: Path, known: Mapping[str, Record] | None = None) -> list[Run]:
    """Return every run of the sweep in ``folder``, of this try and of earlier ones, in the order they began.

    ``known``: records by the name of their job's folder; the others are read.
    """
    return [Run(record, folder / name) for name, record in records_of_sweep(folder, known).items()]


def show_finally_timed(folder: Path, tracker: Tracker, parent: str | None, progress: Progress) -> bool:
    """Show the records of the sweep in ``folder`` that have a final timing; return whether all are shown."""
    failures = [
        show(tracker, record, folder / name, parent, progress)
        for name, record in records_of_sweep(folder).items()
        if record.final_timing
    ]
    return not any(failures)


def leave_record(
    folder: Path, config: dict[str, Any], overrides: Sequence[str], error: str, **extras: Any
) -> Record:
    """Write the record of a job that left none: it could not begin, was killed, or never had its turn."""
    now = datetime.now(UTC).isoformat()
    record = Record(
        name=config.get("name") or folder.name,
        started=now,
        finished=now,
        status=FAILED,
        error=error,
        config=config,
        overrides=[line for line in overrides if not line.startswith(OF_THE_SWEEP)],
        extras=extras,
    )
    record.save(folder)
    return record


def write_reports(runs: Sequence[Run], folder: Path, name: str, progress: Progress) -> None:
    """Write the comparison, the figure and the report into ``folder``; without runs, nothing."""
    if runs:
        from lookalike.report import write_comparison

        write_comparison([run.record for run in runs], folder, name)
        _write_page(runs, folder, name, progress)


def _write_page(runs: Sequence[Run], folder: Path, title: str, progress: Progress) -> None:
    from lookalike.report.html import make_report, write_report

    try:
        root = Path(runs[0].record.config["paths"]["root"])
        write_report(make_report(runs, title), ReportPaths(folder).report, root=root)
    except Exception as error:  # a report that cannot be drawn must not keep the parent open
        progress.warn(f"the report could not be written: {error}; try: lookalike report {quote(str(folder))}")


def show(
    tracker: Tracker, record: Record, folder: Path, parent: str | None, progress: Progress
) -> str | None:
    """Hand the ``record`` in ``folder`` to the tracker; return why that failed: it costs a view, no result.

    Ctrl-C waits until it is shown: an entry that was begun and not ended would look as if it still ran.
    """
    try:
        return _show(tracker, record, folder, parent, progress)
    except KeyboardInterrupt:
        _show(tracker, record, folder, parent, progress)  # what the tracker has already is not shown twice
        raise


def _show(
    tracker: Tracker, record: Record, folder: Path, parent: str | None, progress: Progress
) -> str | None:
    try:
        tracker.log(record, folder, parent)
    except TrackingError as error:
        progress.warn(f"{error}; nothing is lost, the record lies in {folder}")
        return str(error)
    return None
