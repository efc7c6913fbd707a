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
from lookalike.runs import catalog
from lookalike.runs.catalog import records_of_sweep
from lookalike.runs.paths import ReportPaths, RunPaths
from lookalike.runs.record import FAILED, FINISHED, INTERRUPTED, Record
from lookalike.schemas import Experiment
from lookalike.sweep.plan import OF_THE_SWEEP
from lookalike.terminal.interrupts import interrupts_later
from lookalike.tracking import Tracker

Run = tuple[Experiment, Path, Record]
"""What was measured, the record's folder, and the record."""


@dataclass
class Entry:
    """The open entry of a sweep."""

    id: str | None
    """The tracker's; None when it shows nothing."""
    stays_open: bool = False
    """Set when others go on measuring: whoever gathers them closes it."""


@contextmanager
def gathered(
    tracker: Tracker,
    name: str,
    description: str,
    *,
    folder: Path,
    runs: Callable[[], Sequence[Run]],
    progress: Progress,
    parent: str | None = None,
    started: str | None = None,
    status: str | None = None,
) -> Iterator[Entry]:
    """Open the parent run, or ``parent`` again; yield it; write the comparison into ``folder`` and close it.

    ``runs`` gives what was measured. It is asked at the end, also after an exception or Ctrl-C (which go on
    afterwards): the parent then has the comparison of what was finished. It is closed as ``status`` says,
    else as failed when a record is, or when the block raised. Raises :class:`TrackingError` when the parent
    cannot be opened; when it cannot be closed, that is a warning, because the records and the comparison are
    in the folder. A comparison that cannot be written is a warning, and after the parent was closed a
    :class:`UserError` unless the block raised.
    """
    entry: Entry | None = None
    end, fault = FAILED, None
    try:
        with interrupts_later():  # or one that comes while the parent is made would leave it open
            entry = Entry(tracker.start_sweep(name, description, parent, started))
        yield entry
        end = FINISHED
    except KeyboardInterrupt:
        end = INTERRUPTED
        raise
    finally:
        if entry is not None and not entry.stays_open:
            found = runs()
            try:
                write_reports(found, folder, name, progress)
            except UserError as error:
                fault = error
                progress.warn(f"{error}; then: lookalike report {quote(str(folder))}")
            records = [record for _, _, record in found]
            try:
                end = status or _worst([end, *(record.status for record in records)])
                tracker.finish_sweep(entry.id, folder, records, end)
            except TrackingError as error:
                progress.warn(f"{error}; the comparison lies in {folder}")
    if fault is not None:
        raise fault


def _worst(statuses: Sequence[str]) -> str:
    """Of a sweep whose parts ended so: its own interruption counts before what failed in it."""
    if statuses[0] == INTERRUPTED:
        return INTERRUPTED
    return next((status for status in (FAILED, INTERRUPTED) if status in statuses), FINISHED)


def runs_below(folder: Path, known: Mapping[str, Experiment], progress: Progress) -> list[Run]:
    """Every run of the sweep in ``folder``, of this try and of earlier ones, in the order they were begun.

    ``known``: experiments by the name of their job's folder; the others are composed from their record. One
    that another version of Lookalike wrote is left out, with a warning.
    """
    from lookalike.runs.recompose import experiment_of

    runs: list[Run] = []
    for name, record in records_of_sweep(folder).items():
        try:
            runs.append((known.get(name) or experiment_of(record), folder / name, record))
        except UserError as error:
            progress.warn(f"{name} is left out of the comparison: {error}")
    return runs


def leave_record(
    folder: Path, config: dict[str, Any], overrides: Sequence[str], error: str, **extras: Any
) -> None:
    """Write the record of a job that left none: it could not begin, was killed, or never had its turn."""
    now = datetime.now(UTC).isoformat()
    Record(
        name=config.get("name") or folder.name,
        started=now,
        finished=now,
        status=FAILED,
        error=error,
        config=config,
        overrides=[line for line in overrides if not line.startswith(OF_THE_SWEEP)],
        extras=extras,
    ).save(folder)


def write_reports(runs: Sequence[Run], folder: Path, name: str, progress: Progress) -> None:
    """Write the comparison, the figure and the report into ``folder``; without runs, nothing."""
    if runs:
        from lookalike.report import write_comparison

        write_comparison([record for _, _, record in runs], folder, name)
        _write_page(runs, folder, name, progress)


def _write_page(runs: Sequence[Run], folder: Path, title: str, progress: Progress) -> None:
    from lookalike.report.html import make_report, write_report

    chosen = [catalog.Run(record, path) for _, path, record in runs]
    try:
        write_report(make_report(chosen, title), ReportPaths(folder).report, root=Path(runs[0][0].paths.root))
    except Exception as error:  # a report that cannot be drawn must not keep the parent open
        progress.warn(f"the report could not be written: {error}; try: lookalike report {quote(str(folder))}")


def records_in(folder: Path) -> list[Record]:
    """The record that lies in ``folder``, if there is one."""
    return [Record.load(folder)] if RunPaths(folder).record.exists() else []


def show(tracker: Tracker, folder: Path, parent: str | None, progress: Progress) -> str | None:
    """Hand the record in ``folder`` to the tracker; returns why that failed: it costs a view, no result.

    Ctrl-C waits until it is shown: an entry that was begun and not ended would look as if it still ran.
    """
    try:
        return _show(tracker, folder, parent, progress)
    except KeyboardInterrupt:
        _show(tracker, folder, parent, progress)  # a tracker that has it already does not show it twice
        raise


def _show(tracker: Tracker, folder: Path, parent: str | None, progress: Progress) -> str | None:
    for record in records_in(folder):
        try:
            tracker.log(record, folder, parent)
        except TrackingError as error:
            progress.warn(f"{error}; nothing is lost, the record lies in {folder}")
            return str(error)
    return None
