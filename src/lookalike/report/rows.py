"""Operating points as rows, in groups that may be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lookalike.evaluate.measures import VS_EXACT, VS_RELEVANCE
from lookalike.runs.record import PointRecord, Record
from lookalike.terminal.crash import LONGEST_REASON

Facet = Callable[[Record, PointRecord], object]

_ON_CURVE = re.compile(r"_at_\d+$")

WARNING = "warning: "
"""How a line below a table begins that says why its timings should be doubted."""


def _single_threads(record: Record, point: PointRecord) -> object:
    return point.latency.get("single", {}).get("threads")


FACETS: dict[str, Facet] = {
    "dataset": lambda record, point: record.data.get("dataset"),
    "gallery": lambda record, point: record.data.get("gallery_size"),
    "model": lambda record, point: record.model.get("name"),
    "queries": lambda record, point: record.data.get("queries"),
    "protocol": lambda record, point: record.data.get("protocol_description"),
    "n_queries": lambda record, point: record.data.get("query_count"),
    "k": lambda record, point: point.k,
    "threads": _single_threads,
    "cpu": lambda record, point: record.environment.get("cpu"),
    "gallery_key": lambda record, point: record.data.get("gallery_key"),
    "metric": lambda record, point: record.index.get("metric"),
}
"""What has to be equal before a recall and a latency of one point stand beside those of another."""


@dataclass(frozen=True)
class Row:
    """One operating point together with the run that measured it."""

    record: Record
    point: PointRecord

    @property
    def family(self) -> str:
        """The index family: what the figure colours by."""
        return str(self.record.index.get("family") or self.point.label.split()[0])

    @property
    def cutoff(self) -> int | None:
        """The cut-off that is paired with the latency: k, or the largest measured one below it."""
        return max((k for k in self.point.curve("knn_recall") if k <= self.point.k), default=None)

    @property
    def recall(self) -> float | None:
        """``knn_recall`` at :attr:`cutoff`."""
        return None if self.cutoff is None else self.point.curve("knn_recall")[self.cutoff]

    @property
    def interval(self) -> tuple[float, float] | None:
        """The confidence interval of :attr:`recall`."""
        return None if self.cutoff is None else self.point.interval("knn_recall", self.cutoff)

    @property
    def p50_ms(self) -> float | None:
        """Median latency of a single query."""
        return self.metric("latency_single_p50_ms")

    @property
    def p50_interval(self) -> tuple[float, float] | None:
        """The interval of :attr:`p50_ms`; None where it was not measured."""
        ends = self.point.latency.get("single", {}).get("p50_ms_interval")
        return (ends[0], ends[1]) if ends else None

    @property
    def doubts(self) -> list[str]:
        """Why the timing is doubtful: what concerns the whole run, then the point itself."""
        return [*self.record.timing.get("flags", ()), *self.point.flags]

    def metric(self, name: str) -> float | None:
        """A single value of the point; None when it was not measured."""
        return self.point.metrics.get(name)

    @property
    def single_values(self) -> dict[str, float]:
        """The metrics that are no point of a curve: costs, latencies, shares of queries, percentiles."""
        return {name: value for name, value in self.point.metrics.items() if not _ON_CURVE.search(name)}

    @property
    def terms(self) -> tuple[object, ...]:
        """The value of every facet."""
        return tuple(facet(self.record, self.point) for facet in FACETS.values())


def rows_of(records: Sequence[Record]) -> list[Row]:
    """Return every measured point of ``records``; of a trial repeated on equal terms, the last."""
    rows = [Row(record, point) for record in records for point in record.points]
    latest: dict[object, Row] = {}
    for row in sorted(rows, key=lambda row: row.record.finished):
        latest[row.point.trial_key, row.point.label, row.terms] = row
    return [row for row in rows if latest[row.point.trial_key, row.point.label, row.terms] is row]


def comparable(rows: Sequence[Row]) -> list[list[Row]]:
    """Return ``rows`` in groups that agree in every facet, in order of first appearance."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.terms, []).append(row)
    return list(groups.values())


def heading(rows: Sequence[Row], among: Sequence[Row]) -> str:
    """Return what sets ``rows`` apart ``among`` all: ``model pixels · 1 thread``; '' for nothing."""
    parts = []
    for name, facet in FACETS.items():
        values = {facet(row.record, row.point) for row in among}
        if len(values) > 1 and name != "gallery_key":
            value = facet(rows[0].record, rows[0].point)
            shown = f"{value:,}" if isinstance(value, int) else str(value)
            parts.append(f"{name} {shown}")
    return " · ".join(parts)


def caption(rows: Sequence[Row]) -> list[str]:
    """Return the terms of one group: data and protocol; then k, threads and machine; then flags."""
    record, point = rows[0].record, rows[0].point
    data = record.data
    model, metric, cpu = record.model.get("name"), record.index.get("metric"), record.environment.get("cpu")
    protocol = f"{data.get('query_count', 0):,} queries ({data.get('protocol_description')})"
    gallery = f"{data.get('gallery_size', 0):,} images, {model}"
    if str(model).endswith(" vectors"):  # ready or synthetic ones
        gallery = f"{data.get('gallery_size', 0):,} {model}"
    lines = [
        f"{data.get('dataset')}: {gallery} ({data.get('dim')}-d, {metric}) · "
        f"{data.get('protocol')}: {protocol}",
        " · ".join([f"k = {point.k}", *_modes(point), str(cpu)]),
    ]
    return lines + _warnings([row.record for row in rows])


def _modes(point: PointRecord) -> list[str]:
    """How each mode searched: its batch and its threads."""
    modes = []
    for mode, timing in point.latency.items():
        calls = f"batches of {timing.get('queries_per_call', '?')}" if mode == "batch" else f"{mode} queries"
        modes.append(f"{calls} on {_count(timing.get('threads'), 'thread')}")
    return modes


def _warnings(records: Sequence[Record]) -> list[str]:
    """Why timings should be doubted: of one run all reasons, of several how many and the first of them."""
    runs = {record.identity: record for record in records}
    doubtful = [record for record in runs.values() if record.timing.get("flags")]
    if len(doubtful) <= 1:
        return [WARNING + flag for record in doubtful for flag in record.timing["flags"]]
    first = doubtful[0].timing["flags"][0]
    return [f"{WARNING}timings of {len(doubtful)} of {len(runs)} runs are in doubt; of the first: {first}"]


def common_settings(rows: Sequence[Row]) -> dict[str, object]:
    """Return the settings (index and search, without k) that ``rows`` share; of one row its index's."""
    each = [row.point.index_settings | row.point.settings for row in rows]
    if len(rows) == 1:
        each = [dict(rows[0].point.index_settings)]
    shared = set.intersection(
        *({(name, str(value)) for name, value in settings.items()} for settings in each)
    )
    return {name: value for name, value in each[0].items() if name != "k" and (name, str(value)) in shared}


def failures(records: Sequence[Record]) -> list[str]:
    """Return one line for each run that did not finish, with (the beginning of) its reason."""
    return [f"{r.name} {r.status}: {_on_one_line(r.error)}" for r in records if r.status != "finished"]


def _on_one_line(reason: str | None) -> str:
    line = " ".join((reason or "no reason given").split())
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"


def _count(n: object, noun: str) -> str:
    return f"{'?' if n is None else n} {noun}{'' if n == 1 else 's'}"


SCOPES: dict[str, tuple[str, ...]] = {"exact": tuple(VS_EXACT), "relevance": tuple(VS_RELEVANCE)}
"""What a measure is relative to: one model's own exact neighbours, or what the protocol calls relevant."""
OF_THE_MODEL = ("model", "gallery_key", "metric")
"""Terms that relevance does not depend on: it may compare models."""
NOT_SHAPING = ("shard_size", "fingerprint")
"""Settings of a dataset that leave its images as they are."""


def scope_of(measure: str) -> str:
    """Return what ``measure`` is relative to: ``exact`` or ``relevance``."""
    return next(scope for scope, measures in SCOPES.items() if measure in measures)


def facets_of(scope: str) -> dict[str, Facet]:
    """Return what has to be equal for two points to stand in one front of the scope's measures."""
    if scope == "exact":
        return FACETS
    kept = {name: facet for name, facet in FACETS.items() if name not in OF_THE_MODEL}
    return kept | {"data": lambda record, point: _data(record.config)}


def sets_of(rows: Sequence[Row], scope: str) -> list[list[Row]]:
    """Return ``rows`` in sets that agree in every facet of the scope, the largest first."""
    facets = facets_of(scope)
    sets: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        terms = tuple(facet(row.record, row.point) for facet in facets.values())
        sets.setdefault(terms, []).append(row)
    return sorted(sets.values(), key=len, reverse=True)


def set_apart_by(rows: Sequence[Row], among: Sequence[Row], scope: str) -> str:
    """Return what tells one set from the others: ``model pixels · k 10``; '' when there is only one."""
    parts = []
    hidden = ""
    for name, facet in facets_of(scope).items():
        values = {facet(row.record, row.point) for row in among}
        value = facet(rows[0].record, rows[0].point)
        if len(values) > 1 and name in ("gallery_key", "data"):
            hidden = f"images or queries {_short(rows[0])}"
        elif len(values) > 1:
            parts.append(f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}")
    return " · ".join(parts) or hidden


def batch_terms(row: Row) -> str:
    """Return what throughput depends on beside the facets: ``batches of 1024 on 2 threads``."""
    batch = row.point.latency.get("batch", {})
    saturated = row.point.latency.get("saturated", {}).get("threads")
    text = f"batches of {batch.get('queries_per_call', '?')} on {batch.get('threads', '?')} threads"
    return text if saturated is None else f"{text}, saturated by {saturated}"


def build_terms(row: Row) -> str:
    """Return where and how the index was built, perhaps elsewhere than it was searched."""
    record = row.record
    environment, config = record.environment, record.config.get("index", {})
    cpu = record.index.get("built_on", environment).get("cpu")
    threads = record.index.get("build_threads") or config.get("threads") or environment.get("cores")
    return f"{cpu}, {threads} threads"


def _data(config: Mapping[str, Any]) -> str:
    """The gallery and the queries as composed; both shape what is relevant."""
    dataset = {k: v for k, v in config.get("dataset", {}).items() if k not in NOT_SHAPING}
    return json.dumps([dataset, config.get("queries", {})], sort_keys=True, default=str)


def _short(row: Row) -> str:
    return f"of {row.record.data.get('dataset')} ({str(row.record.data.get('gallery_key'))[:8]})"
