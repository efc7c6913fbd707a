"""One operating point as one MLflow run: created once, and completed when logging it was cut short.

Everything said to MLflow here can be said twice. What a run already has is read first, and only what is
missing is sent: logging a record again changes nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from lookalike.record import FILE_NAME, PointRecord, Record
from lookalike.tracking import content

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

OVER = ("FINISHED", "FAILED", "KILLED")
PARENT = "mlflow.parentRunId"
CONFIG, EDITS, INDEX = "config.yaml", "by_edit.csv", "index"
PARAMS_AT_ONCE, METRICS_AT_ONCE = 100, 1000
"""As many as one of MLflow's requests may hold."""


class Change(Enum):
    """What it took to show a record, or a sweep's parent, in MLflow."""

    COMPLETE = "complete"
    """Nothing: all of it was there."""
    COMPLETED = "completed"
    """Part of it was there."""
    CREATED = "created"
    """None of it was there."""


def best_of(runs: Sequence[Run]) -> Run | None:
    """The run that stands for the point: one that ended before one that did not, then the lower id."""
    return min(runs, key=lambda run: (run.info.status not in OVER, run.info.run_id), default=None)


class RunOfPoint:
    """The MLflow run of one point of ``record``, or of a record that has none."""

    def __init__(
        self,
        client: MlflowClient,
        record: Record,
        point: PointRecord | None,
        folder: Path,
        upload_limit_mb: float,
    ) -> None:
        self.client = client
        self.record = record
        self.point = point
        self.folder = folder
        self.upload_limit_mb = upload_limit_mb

    def create(self, experiment: str, parent: str | None) -> Run:
        """A new run without values."""
        record, point = self.record, self.point
        return self.client.create_run(
            experiment,
            start_time=content.milliseconds(record.started),
            tags=content.tags(record, point) | ({PARENT: parent} if parent else {}),
            run_name=content.run_name(record, point) if point else record.name,
        )

    def complete(self, run: Run, parent: str | None) -> bool:
        """Send what ``run`` lacks, and end it as the record did; whether anything was missing."""
        cut_short = run.info.status not in OVER
        missing = [
            self._complete_tags(run, parent),
            self._complete_values(run),
            self._complete_input(run),
            self._complete_files(run, again=cut_short),
        ]
        status = content.RUN_STATUS[self.record.status]
        end = content.milliseconds(self.record.finished)
        ended = (run.info.status, run.info.end_time) == (status, end)
        if not ended:
            self.client.set_terminated(run.info.run_id, status, end)
        return any(missing) or not ended

    def _complete_tags(self, run: Run, parent: str | None) -> bool:
        """Ours follow the record; MLflow's own, a description for one, may have been edited by somebody."""
        from mlflow.entities import RunTag

        present = run.data.tags
        missing = {
            name: value
            for name, value in content.tags(self.record, self.point).items()
            if name not in present or (name.startswith("lookalike.") and present[name] != value)
        }
        if parent and present.get(PARENT) != parent:
            missing[PARENT] = parent
        if missing:
            self.client.log_batch(run.info.run_id, tags=[RunTag(*tag) for tag in missing.items()])
        return bool(missing)

    def _complete_values(self, run: Run) -> bool:
        from mlflow.entities import Param

        if self.point is None:
            return False
        params = [
            Param(name, value)
            for name, value in content.params(self.record, self.point).items()
            if name not in run.data.params
        ]
        metrics = list(self._missing_metrics(run, self.point))
        for first in range(0, len(params), PARAMS_AT_ONCE):
            self.client.log_batch(run.info.run_id, params=params[first : first + PARAMS_AT_ONCE])
        for first in range(0, len(metrics), METRICS_AT_ONCE):
            self.client.log_batch(run.info.run_id, metrics=metrics[first : first + METRICS_AT_ONCE])
        return bool(params or metrics)

    def _missing_metrics(self, run: Run, point: PointRecord) -> Iterator[Metric]:
        from mlflow.entities import Metric

        when = content.milliseconds(self.record.finished)
        for name, value in content.single_metrics(point).items():
            if name not in run.data.metrics:
                yield Metric(name, value, when, 0)
        steps: dict[str, set[int]] = {}
        for name, k, value in content.curve_metrics(point):
            if name not in steps:
                known = run.data.metrics  # the last step of each: no need to ask for what is not there
                history = self.client.get_metric_history(run.info.run_id, name) if name in known else []
                steps[name] = {metric.step for metric in history}
            if k not in steps[name]:
                yield Metric(name, value, when, k)

    def _complete_input(self, run: Run) -> bool:
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.exceptions import MlflowException

        if self.point is None or not self.record.data or (run.inputs and run.inputs.dataset_inputs):
            return False
        dataset = Dataset(**content.dataset_input(self.record))
        gallery = DatasetInput(dataset, [InputTag("mlflow.data.context", "gallery")])
        try:
            self.client.log_inputs(run.info.run_id, [gallery])
        except MlflowException as error:
            if error.error_code != "BAD_REQUEST":
                raise
            # MLflow looks for the dataset and then makes it: of two runs that are the first to name it, one
            # finds it made meanwhile. Asked again, MLflow takes what is there.
            self.client.log_inputs(run.info.run_id, [gallery])
        return True

    def _complete_files(self, run: Run, again: bool) -> bool:
        """``again``: also those that are there, because the last one may have been cut short."""
        run_id = run.info.run_id
        present = set() if again else {item.path for item in self.client.list_artifacts(run_id)}
        missing = [name for name in self._files() if name not in present]
        for name in missing:
            if name == CONFIG:
                self.client.log_dict(run_id, self.record.config, CONFIG)
            elif name == EDITS and self.point is not None:
                self.client.log_text(run_id, _csv(content.edits_table(self.point)), EDITS)
            elif name == INDEX:
                self.client.log_artifact(run_id, str(self.record.index["path"]), INDEX)
            else:
                self.client.log_artifact(run_id, str(self.folder / name))
        return bool(missing)

    def _files(self) -> Iterator[str]:
        """What the run's artifacts are called at their top: files, and the folder of a small index."""
        yield CONFIG
        if (self.folder / FILE_NAME).exists():
            yield FILE_NAME
        if self.point is None:
            return
        if content.edits_table(self.point):
            yield EDITS
        index = Path(self.record.index.get("path") or "")
        if index.is_file() and index.stat().st_size <= self.upload_limit_mb * 1e6:
            yield INDEX


def missing_files(client: MlflowClient, run_id: str, folder: Path, names: Sequence[str]) -> list[Path]:
    """Those of ``names`` that lie in ``folder`` and not among the run's artifacts."""
    there = [folder / name for name in names if (folder / name).is_file()]
    if not there:
        return []
    present = {PurePosixPath(item.path).name for item in client.list_artifacts(run_id)}
    return [path for path in there if path.name not in present]


def _csv(rows: Sequence[Any]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
