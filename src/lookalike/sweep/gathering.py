"""The entry over several operating points: opened before the first, closed whatever happens to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lookalike.errors import TrackingError
from lookalike.progress import Progress
from lookalike.record import FAILED, FILE_NAME, FINISHED, INTERRUPTED, Record
from lookalike.schemas import Experiment
from lookalike.tracking import Tracker

Run = tuple[Experiment, Path, Record]
"""What was measured, the record's folder, and the record."""
ShowLosses = Callable[[Sequence[Run], Path], None]


@contextmanager
def gathered(
    tracker: Tracker,
    name: str,
    description: str,
    *,
    folder: Path,
    jobs: Sequence[tuple[Experiment, Path]],
    show_losses: ShowLosses,
    progress: Progress,
) -> Iterator[str | None]:
    """Open the parent run; yield its id; write the comparison into ``folder`` and close it.

    ``jobs``: what is measured, and the folder that gets its record. They are read at the end, also after an
    exception or Ctrl-C (which go on afterwards): the parent then has the comparison of what was finished. It
    is closed as failed when a record is, or when the block raised. Raises :class:`TrackingError` when the
    parent cannot be opened; when it cannot be closed, that is a warning, because the records and the
    comparison are in the folder.
    """
    parent = tracker.start_sweep(name, description)
    status = FAILED
    try:
        yield parent
        status = FINISHED
    except KeyboardInterrupt:
        status = INTERRUPTED
        raise
    finally:
        runs = [(*job, record) for job in jobs for record in records_in(job[1])]
        done = [record for _, _, record in runs]
        if status == FINISHED and any(record.status != FINISHED for record in done):
            status = FAILED
        _write_comparison(done, folder, name)
        if done:
            _write_report(runs, folder, name, progress)
        try:
            show_losses(runs, folder)
        except Exception as error:  # a page that cannot be drawn must not keep the parent open
            progress.warn(f"the page of what was missed could not be written: {error}")
        try:
            tracker.finish_sweep(parent, folder, done, status)
        except TrackingError as error:
            progress.warn(f"{error}; the comparison lies in {folder}")


def _write_comparison(records: Sequence[Record], folder: Path, title: str) -> None:
    if records:
        from lookalike.report import write_comparison

        write_comparison(records, folder, title)


def _write_report(runs: Sequence[Run], folder: Path, title: str, progress: Progress) -> None:
    from lookalike.report import selection
    from lookalike.report.html import FILE_NAME, make_report, write_report

    chosen = [selection.Run(record, path) for _, path, record in runs]
    try:
        write_report(make_report(chosen, title), folder / FILE_NAME, root=Path(runs[0][0].paths.root))
    except Exception as error:  # nor may the report: the comparison is written already
        progress.warn(f"the report could not be written: {error}; try: lookalike report {folder}")


def records_in(folder: Path) -> list[Record]:
    """The record that lies in ``folder``, if there is one."""
    return [Record.load(folder)] if (folder / FILE_NAME).exists() else []


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
