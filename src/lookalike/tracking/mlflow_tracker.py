"""Records as MLflow runs: one an operating point, nested under one a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike import schemas
from lookalike.runs.paths import ReportPaths
from lookalike.runs.record import FAILED, FINISHED, INTERRUPTED, PointRecord, Record
from lookalike.store.files import remove_stale
from lookalike.tracking import content, view
from lookalike.tracking.backend import Backend, tracking_errors
from lookalike.tracking.completing import (
    OVER,
    PARENT,
    Change,
    RunGroup,
    RunOfPoint,
    Upload,
    best_of,
    missing_files,
)
from lookalike.tracking.home import ARTIFACTS, one_at_a_time, patiently

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PARENT_ID = "mlflow_parent_id"
"""Among a record's extras."""
FAMILY = "lookalike.family"
"""Tag of a parent that was made from records: by it the next synchronisation finds it again."""


class MlflowTracker:
    """The :class:`~lookalike.tracking.Tracker` that shows records in MLflow."""

    def __init__(self, backend: Backend, config: schemas.Tracking, upload: Upload | None = None) -> None:
        self.backend = backend
        self.config = config
        self.upload = upload

    @cached_property
    def client(self) -> MlflowClient:
        """Connected when the first record comes: importing MLflow takes longer than a reused run."""
        return self.backend.connect()

    @cached_property
    def experiment(self) -> str:
        """Id of the experiment that all runs go to."""
        return self.backend.experiment(self.client, self.config.experiment)

    def start_sweep(
        self, name: str, description: str, parent: str | None = None, started: str | None = None
    ) -> str | None:
        """Create the parent run, or open it again; it stays RUNNING until :meth:`finish_sweep`.

        A ``parent`` that is not there any more is replaced by a new one.
        """
        reopened = patiently(partial(self._reopen, parent))
        if reopened is None:
            reopened = patiently(partial(self._new_parent, name, description, started))
            patiently(partial(self._share_view, reopened))
        return reopened

    def _reopen(self, parent: str | None) -> str | None:
        with tracking_errors(self.backend.uri):
            run = self._active(parent)
            if run is not None:
                self.client.update_run(run.info.run_id, status="RUNNING")
            return None if run is None else str(run.info.run_id)

    def _share_view(self, parent: str) -> None:
        with tracking_errors(self.backend.uri):
            self.client.set_experiment_tag(self.experiment, *view.shared_view(parent))

    def page(self, parent: str | None = None) -> str:
        """Return the address of the points (of one sweep) behind an MLflow server's own, from ``#`` on."""
        return view.page(self.experiment, parent or view.KEY)

    def log(self, record: Record, folder: Path, parent: str | None = None) -> None:
        """One run a point; a record that failed before its first point becomes one run as well."""
        self.log_missing(record, folder, parent)

    def remove(self, record: Record) -> None:
        """Delete the record's runs: MLflow keeps them among the deleted ones."""

        def delete() -> None:
            with tracking_errors(self.backend.uri):
                for run in self._runs_of(record):
                    self.client.delete_run(run.info.run_id)

        patiently(delete)

    def log_missing(self, record: Record, folder: Path, parent: str | None = None) -> Change:
        """Log what MLflow lacks of ``record``, and return whether it was there, whole or in part.

        Runs that stand for the same point (a server that died between doing and answering was asked again)
        become one. The record keeps the ids of the store that it was meant for. Raises
        :class:`TrackingError`.
        """

        def complete() -> Change:
            with tracking_errors(self.backend.uri):
                return self._log_missing(record, folder, parent)

        before = _references(record)
        with one_at_a_time(folder):
            if parent and self._is_home_of(record):
                record.extras[PARENT_ID] = parent
            try:
                return patiently(complete)
            finally:
                if _references(record) != before:
                    record.amend(folder, partial(_refer, _references(record)))

    def finish_sweep(
        self, parent: str | None, folder: Path, records: Sequence[Record], status: str = FINISHED
    ) -> None:
        """Give the parent the reports in ``folder``, the comparison as its description, and its counts."""
        if parent is not None:
            patiently(partial(self._finish_sweep, parent, folder, records, status))

    def _finish_sweep(
        self, parent: str, folder: Path, records: Sequence[Record], status: str, end_time: int | None = None
    ) -> None:
        with tracking_errors(self.backend.uri):
            try:
                self._log_reports(parent, folder)
            except Exception:  # the sweep is over, whatever is in the way of its reports
                with suppress(Exception):
                    self.client.set_terminated(parent, content.RUN_STATUS[status], end_time)
                raise
            if (comparison := ReportPaths(folder).comparison).exists():
                note = comparison.read_text(encoding="utf-8")
                self.client.set_tag(parent, "mlflow.note.content", note[: content.MAX_TAG])
            counts = {
                "lookalike.points": sum(len(r.points) for r in records if r.status == FINISHED),
                "lookalike.failed_runs": sum(r.status != FINISHED for r in records),
            }
            for name, value in counts.items():  # tags: as metrics they would be charts of their own
                self.client.set_tag(parent, name, value)
            if (final := content.final_timing(records)) is not None:
                self.client.set_tag(parent, content.FINAL_TIMING, final)
            self.client.set_terminated(parent, content.RUN_STATUS[status], end_time)

    def _log_reports(self, parent: str, folder: Path) -> None:
        self.backend.check_inside(self.client.get_run(parent).info.artifact_uri)
        for path in ReportPaths(folder).shown:
            self.client.log_artifact(parent, str(path))

    def log_missing_parent(self, group: RunGroup) -> tuple[str, Change]:
        """Return the parent of a group: created when it is lost, closed when all its records are there.

        It is the run that the records name, or the one that an earlier call made for them. Raises
        :class:`TrackingError`.
        """

        def complete() -> tuple[str, Change]:
            with tracking_errors(self.backend.uri):
                return self._log_missing_parent(group)

        with one_at_a_time(group.folder):
            return patiently(complete)

    def _log_missing_parent(self, group: RunGroup) -> tuple[str, Change]:
        parent, change = self._parent_of(group), Change.COMPLETE
        if parent is None:
            run_id = self._new_parent(group.name, group.name, group.started, {FAMILY: group.key})
            self._share_view(run_id)
            parent, change = self.client.get_run(run_id), Change.CREATED
        run_id = str(parent.info.run_id)
        reports = missing_files(self.client, run_id, ReportPaths(group.folder).shown)
        final = content.final_timing(group.records)
        timed_again = final is not None and parent.data.tags.get(content.FINAL_TIMING) != final
        if group.is_over and (parent.info.status not in OVER or reports or timed_again):
            ended = max(content.milliseconds(record.finished) for record in group.records)
            before = {name: status for status, name in content.RUN_STATUS.items()}.get(parent.info.status)
            status = before or _status_of(group.records)
            self._finish_sweep(
                run_id, group.folder, group.records, status, parent.info.end_time if before else ended
            )
            change = Change.COMPLETED if change is Change.COMPLETE else change
        return run_id, change

    def _parent_of(self, group: RunGroup) -> Run | None:
        named = [group.parent, *(record.extras.get(PARENT_ID) for record in group.records)]
        for run_id in dict.fromkeys(named):
            if parent := self._active(run_id):
                return parent
        made = best_of(self.client.search_runs([self.experiment], f"tags.`{FAMILY}` = '{group.key}'"))
        return made or self._parent_in_tags(group)

    def _parent_in_tags(self, group: RunGroup) -> Run | None:
        """The parent of the members' runs: for records that do not name it."""
        for record in group.records:
            for run in self._runs_of(record):
                if parent := self._active(run.data.tags.get(PARENT)):
                    return parent
        return None

    def _active(self, run_id: str | None) -> Run | None:
        """The run of that id in our experiment; None when it was deleted, or is another server's."""
        from mlflow.exceptions import MlflowException

        if not run_id:
            return None
        try:
            run = self.client.get_run(run_id)
        except MlflowException as fault:
            if fault.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        alive = (run.info.experiment_id, run.info.lifecycle_stage) == (self.experiment, "active")
        return run if alive else None

    def _new_parent(
        self, name: str, description: str, started: str | None = None, tags: dict[str, str] | None = None
    ) -> str:
        its_tags = {
            "lookalike.sweep": name[: content.MAX_TAG],
            "mlflow.note.content": description[: content.MAX_TAG],
            "mlflow.source.name": "lookalike",
            "mlflow.source.type": "LOCAL",
            **(tags or {}),
        }
        start_time = content.milliseconds(started) if started else None
        with tracking_errors(self.backend.uri):
            run = self.client.create_run(self.experiment, start_time=start_time, tags=its_tags, run_name=name)
            return str(run.info.run_id)

    def _runs_of(self, record: Record) -> list[Any]:
        """Runs that this very record was logged as before."""
        mine = f"tags.`lookalike.record` = '{record.identity}'"
        return list(self.client.search_runs([self.experiment], mine, max_results=1000))

    def _log_missing(self, record: Record, folder: Path, parent: str | None) -> Change:
        by_trial: dict[str, list[Any]] = {}
        for run in self._runs_of(record):
            by_trial.setdefault(run.data.tags.get("lookalike.trial_key", ""), []).append(run)
        is_home, shown, changes = self._is_home_of(record), set(), set()
        points: Sequence[PointRecord | None] = record.points or [None]
        for point in points:
            there = by_trial.get(point.trial_key if point else "", [])
            run_id, change = self._log_missing_point(record, point, folder, parent, there)
            changes.add(change)
            shown.add(run_id)
            if point is not None and (is_home or point.mlflow_run_id is None):
                point.mlflow_run_id = run_id
        if Change.CREATED in changes and self.backend.folder is None:
            self._delete_duplicates(record, shown)
        return changes.pop() if len(changes) == 1 else Change.COMPLETED

    def _is_home_of(self, record: Record) -> bool:
        """Whether this is the store that the run was to log to."""
        tracking = record.config.get("tracking", {})
        return (tracking.get("kind", "local"), tracking.get("uri")) == (self.config.kind, self.config.uri)

    def _log_missing_point(
        self,
        record: Record,
        point: PointRecord | None,
        folder: Path,
        parent: str | None,
        there: Sequence[Run],
    ) -> tuple[str, Change]:
        shown = RunOfPoint(self.client, record, point, folder, self.upload)
        run = best_of(there)
        if run is not None and self.backend.folder is not None:
            folder_of_run = self.backend.folder / ARTIFACTS / str(run.info.run_id)
            remove_stale(folder_of_run, "**/.artifact.uploading.*")  # MLflow's, of a process that was killed
        if run is None:
            run = shown.create(self.experiment, parent)
            self.backend.check_inside(run.info.artifact_uri)
            shown.complete(run, parent)
            return str(run.info.run_id), Change.CREATED
        self.backend.check_inside(run.info.artifact_uri)
        changed = shown.complete(run, parent)
        for duplicate in there:
            if duplicate is not run:
                self.client.delete_run(duplicate.info.run_id)
                changed = True
        return str(run.info.run_id), Change.COMPLETED if changed else Change.COMPLETE

    def _delete_duplicates(self, record: Record, shown: set[str]) -> None:
        """Delete what a server made that died before it said so: MLflow's client had asked again."""
        for run in self._runs_of(record):
            if run.info.run_id not in shown and run.info.status not in OVER:
                self.client.delete_run(run.info.run_id)


def _references(record: Record) -> list[str | None]:
    """What a record says of its runs in MLflow."""
    return [record.extras.get(PARENT_ID), *(point.mlflow_run_id for point in record.points)]


def _refer(references: list[str | None], record: Record) -> None:
    """Let ``record`` say so of its runs."""
    parent, *of_points = references
    if parent is not None:
        record.extras[PARENT_ID] = parent
    for point, run_id in zip(record.points, of_points, strict=True):
        point.mlflow_run_id = run_id


def _status_of(records: Sequence[Record]) -> str:
    """A sweep's, from its runs': failed, or interrupted when one was, else finished."""
    found = {record.status for record in records}
    return next((status for status in (FAILED, INTERRUPTED) if status in found), FINISHED)
