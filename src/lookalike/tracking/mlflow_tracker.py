"""Records as MLflow runs: one an operating point, nested under one a sweep."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike import schemas
from lookalike.record import FILE_NAME, FINISHED, PointRecord, Record
from lookalike.tracking import content, view
from lookalike.tracking.backend import Backend, tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

REPORTS = ("report.html", "comparison.csv", "comparison.md", "pareto.png", "missed.html")
_OVER = ("FINISHED", "FAILED", "KILLED")


class MlflowTracker:
    """The :class:`~lookalike.tracking.Tracker` that shows records in MLflow."""

    def __init__(self, backend: Backend, config: schemas.Tracking) -> None:
        self.backend = backend
        self.config = config

    @cached_property
    def client(self) -> MlflowClient:
        """Connected when the first record comes: importing MLflow takes longer than a reused run."""
        return self.backend.connect()

    @cached_property
    def experiment(self) -> str:
        """Id of the experiment that all runs go to."""
        return self.backend.experiment(self.client, self.config.experiment)

    def start_sweep(self, name: str, description: str) -> str | None:
        """Create the parent run; it stays RUNNING until :meth:`finish_sweep`."""
        with tracking_errors(self.backend.uri):
            tags = {
                "lookalike.sweep": name,
                "mlflow.note.content": description[: content.MAX_TAG],
                "mlflow.source.name": "lookalike",
                "mlflow.source.type": "LOCAL",
            }
            run = self.client.create_run(self.experiment, tags=tags, run_name=name)
            parent = str(run.info.run_id)
            self.client.set_experiment_tag(self.experiment, *view.shared_view(parent))
            return parent

    def page(self, parent: str | None = None) -> str:
        """The address of the points (of one sweep) behind an MLflow server's own, from ``#`` on."""
        return view.page(self.experiment, parent or view.KEY)

    def log(self, record: Record, folder: Path, parent: str | None = None) -> None:
        """One run a point; a record that failed before its first point becomes one run as well."""
        with tracking_errors(self.backend.uri):
            known = self._known_runs(record)
            points: Sequence[PointRecord | None] = record.points or [None]
            for point in points:
                run_id = self._log_point(record, point, folder, parent, known)
                if point is not None:
                    point.mlflow_run_id = run_id
        record.save(folder)

    def finish_sweep(
        self, parent: str | None, folder: Path, records: Sequence[Record], status: str = FINISHED
    ) -> None:
        """Give the parent the reports in ``folder``, the comparison as its description, and its counts."""
        if parent is None:
            return
        with tracking_errors(self.backend.uri):
            for name in REPORTS:
                if (folder / name).exists():
                    self.client.log_artifact(parent, str(folder / name))
            if (folder / "comparison.md").exists():
                note = (folder / "comparison.md").read_text(encoding="utf-8")
                self.client.set_tag(parent, "mlflow.note.content", note[: content.MAX_TAG])
            counts = {
                "lookalike.points": sum(len(r.points) for r in records if r.status == FINISHED),
                "lookalike.failed_runs": sum(r.status != FINISHED for r in records),
            }
            for name, value in counts.items():  # tags: as metrics they would be charts of their own
                self.client.set_tag(parent, name, value)
            self.client.set_terminated(parent, content.RUN_STATUS[status])

    def _known_runs(self, record: Record) -> dict[str, Any]:
        """Runs that this very record was logged as before, by trial key ('' when it had no point)."""
        mine = f"tags.`lookalike.record` = '{record.identity}'"
        runs = self.client.search_runs([self.experiment], mine, max_results=1000)
        return {run.data.tags.get("lookalike.trial_key", ""): run for run in runs}

    def _log_point(
        self,
        record: Record,
        point: PointRecord | None,
        folder: Path,
        parent: str | None,
        known: dict[str, Any],
    ) -> str:
        run = known.get(point.trial_key if point else "")
        if run is not None and run.info.status in _OVER:
            return str(run.info.run_id)
        if run is None:  # else: logging it was cut short, and everything below can be said twice
            run = self.client.create_run(
                self.experiment,
                start_time=content.milliseconds(record.started),
                tags=content.tags(record, point) | ({"mlflow.parentRunId": parent} if parent else {}),
                run_name=content.run_name(record, point) if point else record.name,
            )
        run_id = str(run.info.run_id)
        if point is not None:
            self._log_values(run_id, record, point)
        self._log_files(run_id, record, point, folder)
        self.client.set_terminated(
            run_id, content.RUN_STATUS[record.status], content.milliseconds(record.finished)
        )
        return run_id

    def _log_values(self, run_id: str, record: Record, point: PointRecord) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

        when = content.milliseconds(record.finished)
        metrics = [Metric(name, value, when, 0) for name, value in content.single_metrics(point).items()]
        metrics += [Metric(name, value, when, k) for name, k, value in content.curve_metrics(point)]
        params = [Param(name, value) for name, value in content.params(record, point).items()]
        self.client.log_batch(run_id, metrics=metrics, params=params)
        if record.data:
            gallery = DatasetInput(
                Dataset(**content.dataset_input(record)), [InputTag("mlflow.data.context", "gallery")]
            )
            self.client.log_inputs(run_id, [gallery])

    def _log_files(self, run_id: str, record: Record, point: PointRecord | None, folder: Path) -> None:
        self.client.log_dict(run_id, record.config, "config.yaml")
        if (folder / FILE_NAME).exists():
            self.client.log_artifact(run_id, str(folder / FILE_NAME))
        if point is None:
            return
        rows = content.edits_table(point)
        if rows:
            self.client.log_text(run_id, _csv(rows), "by_edit.csv")
        index = Path(record.index.get("path") or "")
        limit = self.config.upload_limit_mb * 1e6
        if index.is_file() and index.stat().st_size <= limit:
            self.client.log_artifact(run_id, str(index), "index")


def _csv(rows: Sequence[Any]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
