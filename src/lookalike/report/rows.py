"""Operating points as rows, in groups that may be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from lookalike.evaluate.measures import AT_R, VS_EXACT, VS_RELEVANCE
from lookalike.report.samples import Shared
from lookalike.runs.record import PointRecord, Record
from lookalike.runs.terms import (
    ALL_TERMS,
    BATCH_TERMS,
    EXACT,
    OF_THE_QUERIES,
    RELEVANCE,
    TIME_TERMS,
    Term,
    recall_terms,
)
from lookalike.terminal.crash import LONGEST_REASON

_ON_CURVE = re.compile(r"_at_\d+$")

SCOPES: dict[str, tuple[str, ...]] = {EXACT: tuple(VS_EXACT), RELEVANCE: tuple(VS_RELEVANCE)}
"""Measures by what they are relative to."""
TIMED, FINAL = ("latency_", "qps_", "end_to_end_"), "final_"
"""How single values begin that a final timing measures again, and what stands before its own."""


@dataclass(frozen=True)
class Row:
    """One operating point together with the run that measured it, or with all that measured it alike.

    Of several, ``record`` and ``point`` are those with the median latency (of an even number the faster of
    the two in the middle), single values are medians, and raw samples are the one point's own. Where only
    some timings are in doubt, medians are of the others.
    """

    record: Record
    point: PointRecord
    repeats: tuple[Row, ...] = ()
    """Where the trial was repeated on equal terms: all that measured it, in the order of the records."""
    jobs: Row | None = None
    """Where ``point`` has the final timing of its sweep, which stands: the row by its jobs' own timing."""
    apart: bool = False
    """Whether the final timing of its group stands and it was not in it: it was beaten before."""
    shared: Shared | None = None
    """Where the measures are of these queries only."""

    @property
    def final(self) -> bool:
        """Whether the latencies are those of the sweep's final timing."""
        return self.jobs is not None

    @property
    def by_jobs(self) -> Row:
        """The row with the latencies that its jobs measured."""
        return self.jobs or self

    @property
    def final_session(self) -> str | None:
        """When the point was timed together with points of other runs: the same for all of them."""
        return self.record.final_timing.get("when") if self.by_jobs.point.final_latency else None

    @property
    def final_values(self) -> dict[str, str]:
        """When and where the final timing of the point was made; {} without one."""
        facts = self.record.final_timing if self.final_session else {}
        return {f"final_{name}": str(facts[name]) for name in ("when", "hostname") if name in facts}

    @property
    def samples(self) -> str | None:
        """The file with the samples of the timing that stands, relative to the record's folder."""
        return self.point.final_samples if self.final else self.point.neighbours

    @property
    def each(self) -> tuple[Row, ...]:
        """The row, or its repeats."""
        return self.repeats or (self,)

    @property
    def hosts(self) -> list[str]:
        """The machines that it was timed on, each once."""
        if self.final:
            return [str(self.record.final_timing.get("hostname"))]
        return list(dict.fromkeys(str(row.record.environment.get("hostname")) for row in self.each))

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
        return None if self.cutoff is None else self.value("knn_recall", self.cutoff)

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
        """The interval of :attr:`p50_ms`, of repeats their range; None where it was not measured."""
        if self.repeats:
            return self.spread("latency_single_p50_ms")
        ends = self.point.latency.get("single", {}).get("p50_ms_interval")
        return (ends[0], ends[1]) if ends else None

    @property
    def doubts(self) -> list[str]:
        """Why the timing is doubtful: what concerns all that was timed with it, then the point itself."""
        of_all = self.record.final_timing if self.final else self.record.timing
        return [*of_all.get("flags", ()), *self.point.flags]

    def metric(self, name: str) -> float | None:
        """A single value of the point, of repeats the median; None when it was not measured.

        Where the final timing stands it is under both names: ``latency_…`` and ``final_latency_…``.
        """
        if self.final and name.startswith(FINAL):
            return self.by_jobs.point.metrics.get(name)
        return _median([row.point.metrics.get(name) for row in _sure(self.each)])

    def value(self, measure: str, k: int) -> float | None:
        """``measure`` at the cut-off ``k``, of repeats the median; None when it was not measured."""
        return _median([row.point.curve(measure).get(k) for row in self.each])

    def spread(self, name: str) -> tuple[float, float] | None:
        """The lowest and the highest of a single value over repeats; None of fewer than two."""
        known = [value for row in self.each if (value := row.point.metrics.get(name)) is not None]
        return (min(known), max(known)) if len(known) > 1 else None

    def counted(self, measure: str) -> int | None:
        """How many queries the means of ``measure`` are over; None when the record does not tell."""
        counts = self.point.counts
        if "queries" not in counts:
            return None
        left_out = counts.get("without_relevance", 0) if measure in VS_RELEVANCE else 0
        return counts["queries"] - left_out - (counts.get("relevant_beyond_k", 0) if measure in AT_R else 0)

    @property
    def single_values(self) -> dict[str, float]:
        """The metrics that are no point of a curve: costs, latencies, shares of queries, percentiles."""
        return {
            name: value
            for name in self.point.metrics
            if not _ON_CURVE.search(name) and (value := self.metric(name)) is not None
        }

    def terms(self, scope: str = EXACT) -> tuple[object, ...]:
        """What has to be equal before its measures of ``scope``, and its latency, stand beside another's."""
        return tuple(self.term(name) for name in terms_for(scope))

    def term(self, name: str) -> object:
        """The value of a term."""
        if self.shared is not None and name in OF_THE_QUERIES:
            return self.shared
        return ALL_TERMS[name].value(self.record, self.by_jobs.point)

    def text(self, name: str) -> str:
        """What a caption says of a term."""
        if self.shared is not None and name in OF_THE_QUERIES:
            return self.shared.text if name == "query_ids" else ""
        return ALL_TERMS[name].text(self.record, self.point)


def _sure(rows: Sequence[Row]) -> Sequence[Row]:
    """Those whose timing is not in doubt; all when none is sure."""
    return [row for row in rows if not row.doubts] or rows


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def terms_for(scope: str) -> Mapping[str, Term]:
    """Return the terms of a measure of ``scope`` and of a single query's latency together."""
    return recall_terms(scope) | TIME_TERMS


def rows_of(records: Sequence[Record]) -> list[Row]:
    """Return every measured point of ``records``, in order; a trial repeated on equal terms is one row.

    Equal terms are those of recall, of time and of batches. A record that is there twice counts once. Where
    all of the front of a comparable group was timed together in the final timing of its sweep, that timing
    stands for every point that was in it, see ``Row.final``.
    """
    trials: dict[object, dict[object, Row]] = {}
    for record in records:
        for place, point in enumerate(record.points):
            row = Row(record, point)
            terms = (row.terms(EXACT), row.terms(RELEVANCE), batch_terms(row))
            trial = trials.setdefault((point.trial_key, point.label, terms), {})
            trial.setdefault((record.identity, place), row)
    return _finally_timed([_one_of(tuple(rows.values())) for rows in trials.values()])


def _finally_timed(rows: list[Row]) -> list[Row]:
    from lookalike.report.front import front

    standing: dict[int, Row] = {}
    for group in comparable(rows) if any(row.final_session for row in rows) else ():
        sessions = {row.final_session for row in front(group)}
        if len(sessions) == 1 and None not in sessions:
            standing |= {
                id(row): _by_final_timing(row) if row.final_session in sessions else replace(row, apart=True)
                for row in group
            }
    return [standing.get(id(row), row) for row in rows]


def _by_final_timing(row: Row) -> Row:
    point = row.point
    metrics = {name: value for name, value in point.metrics.items() if not name.startswith(TIMED)}
    metrics |= {
        name.removeprefix(FINAL): metrics.pop(name) for name in tuple(metrics) if name.startswith(FINAL)
    }
    timed = replace(point, latency=point.final_latency, flags=point.final_flags, metrics=metrics)
    return Row(row.record, timed, jobs=row)


def _one_of(rows: tuple[Row, ...]) -> Row:
    if len(rows) == 1:
        return rows[0]
    timed = sorted((row for row in _sure(rows) if row.p50_ms is not None), key=lambda row: row.p50_ms or 0)
    middle = timed[(len(timed) - 1) // 2] if timed else max(rows, key=lambda row: row.record.finished)
    return replace(middle, repeats=rows)


def comparable(rows: Sequence[Row], scope: str = EXACT) -> list[list[Row]]:
    """Return ``rows`` in groups that agree in every term of the scope, in order of first appearance."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.terms(scope), []).append(row)
    return list(groups.values())


def heading(rows: Sequence[Row], among: Sequence[Row], scope: str = EXACT) -> str:
    """Return what sets one group apart ``among`` all rows: ``pixels · 64 cores``; '' for nothing.

    What differs and cannot be told apart in words, as other images of the same number, is told by the
    beginning of its digest, where the words do not suffice.
    """

    def told(row: Row, name: str) -> bool:
        """Rows on shared queries say nothing of the queries but that."""
        return row.shared is None or name == "query_ids" or name not in OF_THE_QUERIES

    names = terms_for(scope)
    differing = [name for name in names if len({row.term(name) for row in among if told(row, name)}) > 1]
    varying = [name for name in differing if len({row.text(name) for row in among if told(row, name)}) > 1]

    def words(row: Row) -> list[str]:
        return [row.text(name) or f"{name} unknown" for name in varying if told(row, name)]

    mine = rows[0]
    parts = words(mine)
    if any(words(row) == words(mine) and row.terms(scope) != mine.terms(scope) for row in among):
        parts += [
            f"{name} {str(mine.term(name))[:8]}"
            for name in differing
            if name not in varying and mine.shared is None
        ]
    return " · ".join(parts)


def batch_terms(row: Row) -> str:
    """Return what throughput depends on besides: ``batches of 1024 on 2 threads``; '' without batches."""
    return " ".join(text for term in BATCH_TERMS.values() if (text := term.text(row.record, row.point)))


def build_terms(row: Row) -> str:
    """Return where and how the index was built, perhaps elsewhere than it was searched."""
    record = row.record
    environment, config = record.environment, record.config.get("index", {})
    cpu = record.index.get("built_on", environment).get("cpu")
    threads = record.index.get("build_threads") or config.get("threads") or environment.get("cores")
    return f"{cpu}, {threads} threads"


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


def scope_of(measure: str) -> str:
    """Return what ``measure`` is relative to: ``exact`` or ``relevance``."""
    return next(scope for scope, measures in SCOPES.items() if measure in measures)


def sets_of(rows: Sequence[Row], scope: str) -> list[list[Row]]:
    """Return ``rows`` in sets that agree in every term of the scope, the largest first."""
    of_scope = [row for row in rows if row.shared is None or row.shared.scope == scope]
    return sorted(comparable(of_scope, scope), key=len, reverse=True)
