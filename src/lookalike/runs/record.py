"""A run's truth: ``record.json`` in its output folder. MLflow and every report are views of it.

The fields are the file's keys, one to one. Names carry their units. An absent number was not measured
(a p99 of fewer than 1,000 samples, a measure no query of the run has): there are no nulls in place of
numbers, and no NaN.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lookalike.errors import OtherVersionError, UserError
from lookalike.machine.credentials import conceal_all, concealed
from lookalike.runs.by_class import ByClass
from lookalike.runs.checks import STATUSES, check_record
from lookalike.runs.files import as_plain, held, identity_of, load_own_json, read_as, writing_results
from lookalike.runs.paths import RECORD, RunPaths
from lookalike.store.files import atomic_write, publish_new, remove_stale_drafts

log = logging.getLogger("lookalike")

FORMAT = 1

FINISHED, FAILED, INTERRUPTED = STATUSES


@dataclass
class PointRecord:
    """One operating point: an index with one set of search settings, and all that was measured there."""

    trial_key: str
    """Stable name of what was tried; the same in every sweep that tries it."""
    label: str
    """``ivf_flat nlist=64 nprobe=8``."""
    settings: dict[str, int]
    """What was set at query time; always holds ``k``."""
    index_settings: dict[str, Any] = field(default_factory=dict)
    """What shaped the index."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Single values: ``knn_recall_at_10``, ``latency_single_p50_ms``, ``qps_batch``, ``index_bytes`` ..."""
    curves: dict[str, dict[str, float]] = field(default_factory=dict)
    """Measure -> cut-off -> mean over the queries."""
    intervals: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Measure -> cut-off -> [low, high]: the confidence interval of that mean."""
    missed: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """Measure -> cut-off -> [missed, of how many]: all queries' exact neighbours (knn_recall), or queries."""
    by_edit: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """Edit -> measure -> cut-off -> mean over the queries edited so."""
    by_class: ByClass | None = None
    """Results of each class, where the protocol judges by class."""
    by_difficulty: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """Quantity (lid, relative_contrast) -> quarters of the queries, the easiest first: ``low`` and ``high``
    of the quantity, ``queries``, their ``mean`` knn_recall at k with ``mean_low`` and ``mean_high``.
    """
    missed_neighbours: dict[str, float] = field(default_factory=dict)
    """What ``evaluate.hubness.MissedNeighbours`` has: whether they are hubs or anti-hubs."""
    latency: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Mode (single, batch, saturated) -> threads, samples, distinct_queries, p50_ms, p95_ms, p99_ms, mean_ms,
    turn_p50_ms (of each turn), drift ..."""
    final_latency: dict[str, dict[str, Any]] = field(default_factory=dict)
    """As ``latency``, of the final timing of the run's sweep; empty for a point that was not in it."""
    final_flags: list[str] = field(default_factory=list)
    """Why the final timing of this point is doubtful."""
    final_samples: str | None = None
    """Latency samples of the final timing, relative to the record's folder."""
    counts: dict[str, int] = field(default_factory=dict)
    """queries, without_relevance, relevant_beyond_k, tied_at_k, missing_results."""
    flags: list[str] = field(default_factory=list)
    """Why this point's timing is doubtful; what concerns the whole run is in ``Record.timing``."""
    neighbours: str | None = None
    """Raw neighbours and latency samples, relative to the record's folder."""
    mlflow_run_id: str | None = None

    @property
    def k(self) -> int:
        """What one search asked for."""
        return int(self.settings["k"])

    def curve(self, measure: str) -> dict[int, float]:
        """``measure`` by ascending cut-off; empty when it does not apply to the run."""
        return dict(sorted((int(k), value) for k, value in self.curves.get(measure, {}).items()))

    def interval(self, measure: str, k: int) -> tuple[float, float] | None:
        """The confidence interval of ``measure`` at ``k``, or None when there is none.

        Where nothing was missed its upper end is 1: it is a lower bound.
        """
        bounds = {int(cutoff): pair for cutoff, pair in self.intervals.get(measure, {}).items()}.get(k)
        return (bounds[0], bounds[1]) if bounds else None

    def misses(self, measure: str, k: int) -> tuple[int, int] | None:
        """How many ``measure`` missed at ``k``, and of how many; None where it counts none."""
        counts = {int(cutoff): pair for cutoff, pair in self.missed.get(measure, {}).items()}.get(k)
        return (counts[0], counts[1]) if counts else None


@dataclass
class Record:
    """One run: what was composed, on which machine, what each stage did, and its operating points."""

    name: str
    started: str
    """ISO 8601 with the time zone; so is ``finished``."""
    finished: str
    status: str
    """finished | failed | interrupted."""
    error: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    stages: list[dict[str, Any]] = field(default_factory=list)
    index: dict[str, Any] = field(default_factory=dict)
    timing: dict[str, Any] = field(default_factory=dict)
    final_timing: dict[str, Any] = field(default_factory=dict)
    """When and where points of several runs were timed together: ``when`` (ISO 8601, the same in all of their
    records), ``points`` (how many), ``hostname``, ``cpu``, ``cores``, ``flags`` ...; empty for a run without.
    """
    points: list[PointRecord] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """A record is read by many: passwords in addresses stay out of it."""
        self.config, self.overrides = concealed(self.config), concealed(self.overrides)
        self._saved_as: tuple[int, int, int] | None = None

    @property
    def trial_keys(self) -> set[str]:
        """Of all that it did; embedding chosen shards (``dataset.shards``) is a trial without a point."""
        shards = [self.extras["shards"]["trial_key"]] if "shards" in self.extras else []
        return {*(point.trial_key for point in self.points), *shards}

    @property
    def identity(self) -> str:
        """32 hex characters that tell this run from every other one, wherever its folder is moved to."""
        identity = [
            self.name,
            self.started,
            self.environment.get("hostname"),
            self.config,
            self.overrides,
        ]
        return hashlib.sha256(json.dumps(as_plain(identity), sort_keys=True).encode()).hexdigest()[:32]

    def save(self, folder: Path) -> Path:
        """Write ``folder/record.json`` in one step: a reader sees the old file or the new one, whole.

        NaN and infinities are left out, with the interval they bound, and secrets out of the error. The same
        run may be saved again. The finished record of another run is never replaced, nor one that another
        version wrote: that, and a folder that cannot be written or whose disk is full, raises
        :class:`UserError`. What is there and cannot be read is kept as ``record.damaged.json``.
        """
        path = RunPaths(folder).record
        self._write(path, self._publish)
        return path

    def amend(self, folder: Path, change: Callable[[Record], None]) -> None:
        """Make ``change`` to this record and to the file in ``folder``, as that is by now.

        Another process may have amended the file since this record was read: what it added stays. Those that
        amend at once wait for each other; readers see the old file or the new one, whole. Where the file is
        gone, damaged or of another run, this is :meth:`save`.
        """
        change(self)
        path = RunPaths(folder).record
        while path.exists():
            with held(path) as still_there:
                present = self._present(path) if still_there else None
                if present is not None:
                    change(present)
                    present._write(path, os.replace)
                    return
            if still_there:
                break
        self.save(folder)

    def _present(self, path: Path) -> Record | None:
        """What lies at ``path``, if it can be read and is of this run."""
        try:
            present = Record.load(path)
        except UserError:
            return None
        return present if present.identity == self.identity else None

    def _write(self, path: Path, publish: Callable[[Path, Path], object]) -> None:
        if self.error is not None:
            self.error = conceal_all(self.error)
        text = json.dumps(
            {"format": FORMAT, **as_plain(asdict(self))}, indent=1, ensure_ascii=False, allow_nan=False
        )
        with writing_results(path.parent):
            remove_stale_drafts(path)
            with atomic_write(path, publish) as draft:
                draft.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")

    def lies_in(self, folder: Path) -> bool:
        """Whether the record in ``folder`` is the one that this object was last saved as."""
        try:
            return self._saved_as == identity_of(RunPaths(folder).record)
        except FileNotFoundError:
            return False

    def _publish(self, draft: Path, path: Path) -> None:
        """Put ``draft`` in the place of ``path`` unless that is another run's result."""
        before, self._saved_as = self._saved_as, identity_of(draft)
        while True:
            with suppress(FileExistsError):
                publish_new(draft, path)
                return
            with held(path) as still_there:
                if still_there:
                    if before != identity_of(path):
                        self._check_may_replace(path)
                    draft.replace(path)
                    return

    def _check_may_replace(self, path: Path) -> None:
        try:
            present = Record.load(path)
        except OtherVersionError:
            raise
        except UserError:
            path.replace(RunPaths(path.parent).damaged_record)
            return
        if present.status == FINISHED and present.identity != self.identity:
            raise UserError(
                f"{path} is the finished record of another run and is kept, so that this run's is not "
                "written; run the experiment again to measure it in a folder of its own"
            )

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read a record from its file or its folder; every field has the type that readers rely on.

        Raises :class:`UserError` when there is none or it is damaged, :class:`OtherVersionError` when
        another version of Lookalike wrote it.
        """
        file = path / RECORD if path.is_dir() else path
        cure = f"name the {RECORD} of a run"
        content = load_own_json(
            file,
            FORMAT,
            kind="a run's record",
            cure=cure,
            absent=f"{path} holds no {RECORD}; name the output folder of a run",
            instead="run the experiment again",
        )
        try:
            record: Record = read_as(cls, content, "record")
            check_record(record)
        except (TypeError, ValueError, KeyError, OverflowError) as fault:
            raise UserError(f"{file} is damaged ({fault}); run the experiment again") from None
        return record


def read_records(files: Iterable[Path]) -> Iterator[tuple[Path, Record]]:
    """Yield the folder and the record of each of ``files`` that holds one, in their order.

    The others are left out: a warning on standard error names each once.
    """
    for file in files:
        try:
            record = Record.load(file)
        except UserError as error:
            _say_left_out(str(error))
            continue
        yield file.parent, record


@cache
def _say_left_out(reason: str) -> None:
    log.warning("%s", reason)
    print(f"warning: a record is left out: {reason}", file=sys.stderr)
