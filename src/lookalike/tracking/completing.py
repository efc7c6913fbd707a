"""One operating point as one MLflow run: created once, and completed when logging it was cut short.

Everything said to MLflow here can be said twice. What a run already has is read first, and only what is
missing is sent: logging a record again changes nothing.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from lookalike.progress import Bar
from lookalike.runs.paths import RECORD
from lookalike.runs.record import PointRecord, Record
from lookalike.store.files import sha256_of
from lookalike.tracking import content

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

OVER = ("FINISHED", "FAILED", "KILLED")
PARENT = "mlflow.parentRunId"
CONFIG, EDITS, CLASSES, REFERENCE, INDEX = "config.yaml", "by_edit.csv", "classes.csv", "index.json", "index"
INCOMPLETE = "lookalike.incomplete"
"""Tag of a run that could not be logged as a whole: `lookalike sync` completes it."""
UPLOADED = "lookalike.index.uploaded"
"""Tag of the one run of an experiment that holds the index with this hash: the others refer to it."""
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


@dataclass(frozen=True)
class RunGroup:
    """What belongs under one parent."""

    key: str
    """The same whenever and wherever the group is looked at, and no other group's."""
    name: str
    folder: Path
    """Where the comparison and the reports lie."""
    records: Sequence[Record]
    """Of all members; never empty."""
    parent: str | None
    """What they say their parent is; it may be another server's, or deleted."""
    is_over: bool
    """Whether every point of the command has its record."""

    @property
    def started(self) -> str:
        """ISO 8601: when its first record began."""
        return min(record.started for record in self.records)


class RunOfPoint:
    """The MLflow run of one point of ``record``, or of a record that has none."""

    def __init__(
        self,
        client: MlflowClient,
        record: Record,
        point: PointRecord | None,
        folder: Path,
        upload: Upload | None,
    ) -> None:
        self.client = client
        self.record = record
        self.point = point
        self.folder = folder
        self.upload = upload
        """How the index gets to a server; None: it stays where it is, and is referred to."""

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
        cut_short = run.info.status not in OVER or INCOMPLETE in run.data.tags
        final = content.final_timing([self.record])
        timed_again = final is not None and run.data.tags.get(content.FINAL_TIMING) != final
        try:
            missing = [
                self._complete_tags(run, parent),
                self._complete_values(run),
                self._complete_input(run),
                self._complete_files(run, again=cut_short, changed=[RECORD] if timed_again else []),
            ]
            if final is not None and timed_again:
                self.client.set_tag(run.info.run_id, content.FINAL_TIMING, final)
        except Exception:  # it is not running any more, whatever was in the way
            with suppress(Exception):
                self.client.set_tag(run.info.run_id, INCOMPLETE, "true")
                self.client.set_terminated(run.info.run_id, "FAILED")
            raise
        if INCOMPLETE in run.data.tags:
            self.client.delete_tag(run.info.run_id, INCOMPLETE)
        status = content.RUN_STATUS[self.record.status]
        end = content.milliseconds(self.record.finished)
        ended = (run.info.status, run.info.end_time) == (status, end)
        if not ended:
            self.client.set_terminated(run.info.run_id, status, end)
        return any(missing) or not ended

    def _complete_tags(self, run: Run, parent: str | None) -> bool:
        """Ours follow the record; MLflow's own, a description for one, may have been edited by a user."""
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
        final = content.final_timing([self.record])
        for name, value in content.single_metrics(point).items():
            if name not in run.data.metrics:
                yield Metric(name, value, when, 0)
            elif final is not None and name.startswith("final_") and run.data.metrics[name] != value:
                yield Metric(name, value, content.milliseconds(final), 0)  # measured once more
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

    def _complete_files(self, run: Run, again: bool, changed: Sequence[str]) -> bool:
        """``again``: also those that are there, because the last one may have been cut short; ``changed``:
        those that are there and out of date.
        """
        run_id = run.info.run_id
        present = set() if again else {item.path for item in self.client.list_artifacts(run_id)}
        missing = [name for name in self._files() if name not in present or name in changed]
        for name in missing:
            if name == CONFIG:
                self.client.log_dict(run_id, self.record.config, CONFIG)
            elif name == EDITS and self.point is not None:
                self.client.log_text(run_id, _csv(content.edits_table(self.point)), EDITS)
            elif name == CLASSES and (table := self._classes_table()) is not None:
                self.client.log_text(run_id, table.read_text(encoding="utf-8"), CLASSES)
            elif name == REFERENCE:
                self.client.log_text(run_id, self._reference(run), REFERENCE)
            else:
                self.client.log_artifact(run_id, str(self.folder / name))
        return bool(missing)

    def _files(self) -> Iterator[str]:
        """What the run's artifacts are called at their top: files, and the folder of a small index."""
        yield CONFIG
        if is_plain(self.folder / RECORD):
            yield RECORD
        if self.point is None:
            return
        if content.edits_table(self.point):
            yield EDITS
        if self._classes_table() is not None:
            yield CLASSES
        if content.index_path(self.record):
            yield REFERENCE

    def _classes_table(self) -> Path | None:
        """The results of each class, where they are kept beside the record."""
        by_class = self.point and self.point.by_class
        file = self.folder / by_class.table if by_class and by_class.table else None
        return file if file is not None and is_plain(file) else None

    def _reference(self, run: Run) -> str:
        """Where the index is: in the run that holds it, which may be this one, else in the store."""
        reference = content.index_reference(self.record)
        holder = self.upload.holder(self.client, run, self.record) if self.upload else None
        if holder is not None:
            reference["uri"] = f"runs:/{holder}/{INDEX}/index.faiss"
        return json.dumps(reference, indent=1) + "\n"


@dataclass(frozen=True)
class Upload:
    """Index files on their way to a server: each once, from the caller's own store, up to a size."""

    root: Path
    """The home: nothing outside of its store is sent, whatever a record names."""
    store: Path
    limit_mb: float

    def holder(self, client: MlflowClient, run: Run, record: Record) -> str | None:
        """The run of the experiment that holds the record's index, which is sent when none does.

        None when there is no such file in the store, when it is too large, or is not what was recorded.
        """
        sha256 = str(record.index.get("sha256"))
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            return None
        known = client.search_runs([run.info.experiment_id], f"tags.`{UPLOADED}` = '{sha256}'", max_results=1)
        if known:
            return str(known[0].info.run_id)
        file = self._file(record)
        if file is None or sha256_of(file, Bar()) != sha256:
            return None
        client.log_artifact(run.info.run_id, str(file), INDEX)
        client.set_tag(run.info.run_id, UPLOADED, sha256)
        return str(run.info.run_id)

    def _file(self, record: Record) -> Path | None:
        path = content.index_path(record)
        if path is None:
            return None
        file, store = (self.root / path).resolve(), self.store.resolve()
        if not file.is_relative_to(store) or not file.is_file() or file.stat().st_size > self.limit_mb * 1e6:
            return None
        return file


def missing_files(client: MlflowClient, run_id: str, files: Sequence[Path]) -> list[Path]:
    """Return those of ``files`` that are not among the run's artifacts."""
    if not files:
        return []
    present = {PurePosixPath(item.path).name for item in client.list_artifacts(run_id)}
    return [path for path in files if path.name not in present]


def is_plain(path: Path) -> bool:
    """Whether it is a file of its own, no link: what is shown of a run is what lies in its folder."""
    return path.is_file() and not path.is_symlink()


def _csv(rows: Sequence[Any]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
