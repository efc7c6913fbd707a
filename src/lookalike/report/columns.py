"""The columns of a comparison: the usual ones and those in which its rows differ, or chosen ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lookalike.evaluate.robustness import percentile_name
from lookalike.report.digits import interval_text, share_text
from lookalike.report.rows import Row
from lookalike.report.values import AT, MEASURES, configured, full_name, value_named
from lookalike.runs.terms import BATCH_TERMS

TELLING_APART = 1
"""The rank of a column without which two rows would look the same."""
NOT_TRIED = ("name", "paths", "tracking", "sweep", "store", "report", "schemas")
"""Groups of a config that change nothing of what is measured."""
NEARLY_ALL = 0.01
"""Where less than this share of the neighbours was missed, their number is a column."""
MOST_SETTINGS = 3
"""Columns of settings that tell rows of one label apart."""


@dataclass(frozen=True)
class Column:
    """One column of a comparison: how it is headed and how a row fills it ('' when not measured)."""

    title: str
    """The whole heading, with the measure's full name."""
    short: str
    """What heads it on a terminal; a ``|`` begins a line below."""
    cell: Callable[[Row], str]
    rank: float
    """On a narrow terminal, columns of a lower rank are kept."""

    @property
    def lines(self) -> list[str]:
        """The short heading's lines."""
        return self.short.split("|")

    def width(self, rows: Sequence[Row]) -> int:
        """Return how many columns of a terminal hold the heading and every number of ``rows``."""
        return max(len(text) for text in [*self.lines, *(self.cell(row) for row in rows)])


def columns(rows: Sequence[Row], chosen: Sequence[str] | None = None) -> list[Column]:
    """Return the columns of one comparable group: those that are ``chosen``, by name and in that order.

    By default those that the runs were configured to show; else the usual ones that at least one of ``rows``
    can fill, how often a trial was repeated, and what the rows differ in beside their labels. A chosen name
    that no row knows is a column without values; see :func:`~lookalike.report.values.check_names`.
    """
    chosen = chosen or configured(rows)
    if chosen:
        return [_named(name, rows[0].point.k, place) for place, name in enumerate(chosen)]
    found = [column for column in _usual(rows) if any(column.cell(row) for row in rows)]
    return [*found, *of_repeats(rows), *differing(rows)]


def _usual(rows: Sequence[Row]) -> list[Column]:
    k = rows[0].point.k
    cutoff = max((row.cutoff for row in rows if row.cutoff is not None), default=k)
    confidence = f"{_confidence(rows):.0%}"
    found = [
        Column(f"knn_recall@{cutoff}{_of(cutoff, k)}", f"recall@{cutoff}", _recall, 0),
        Column(f"{confidence} interval", f"{confidence}|interval", _interval, 3),
        *_missed_columns(rows),
        Column(
            f"knn_recall@{k} that 95 % of the queries reach",
            "p05",
            _cell(percentile_name("knn_recall", k, 5), share_text),
            9,
        ),
    ]
    for measure, short in (("hit_rate", "hit"), ("relevant_recall", "relevant")):
        curve = rows[0].point.curve(measure)
        if curve:
            first = min(curve)
            title = f"{measure}@{first}{_of(first, k)}"
            found.append(Column(title, f"{short}@{first}", _cell(f"{measure}@{first}", share_text), 2))
            break
    return [
        *found,
        Column("p50 ms", "p50|ms", _cell("latency_single_p50_ms", _milliseconds), 1),
        Column("p95 ms", "p95|ms", _cell("latency_single_p95_ms", _milliseconds), 4),
        Column("end-to-end p50 ms", "with|encoding|p50 ms", _cell("end_to_end_p50_ms", _milliseconds), 9),
        Column("end-to-end p95 ms", "with|encoding|p95 ms", _cell("end_to_end_p95_ms", _milliseconds), 10),
        Column("batch QPS", "batch|QPS", _cell("qps_batch", _count), 5),
        Column("build s", "build|s", _cell("build_seconds", _tenths), 8),
        Column("index MB", "index|MB", _cell("index_bytes", _megabytes), 7),
        Column("serving MB", "serving|MB", _cell("serving_memory_bytes", _megabytes), 6),
    ]


def of_repeats(rows: Sequence[Row]) -> list[Column]:
    """Return columns of how often trials were measured on equal terms, and how far their latency spread."""
    if not any(row.repeats for row in rows):
        return []
    return [
        Column("repeats", "repeats", lambda row: str(len(row.each)), 2),
        Column("range of p50 ms", "p50 ms|range", _range_of_p50, 2),
    ]


def _range_of_p50(row: Row) -> str:
    spread = row.spread("latency_single_p50_ms")
    return "" if spread is None else "–".join(map(_milliseconds, spread))


def differing(rows: Sequence[Row]) -> list[Column]:
    """Return a column for whatever ``rows`` differ in beside their labels and what was measured.

    These are the host, the names of one gallery, batches, and whichever settings tell rows of one label
    apart.
    """
    names = [name for name in ("dataset", "protocol", *BATCH_TERMS) if _varies(rows, name)]
    found = [Column(name.replace("_", " "), name.replace("_", "|"), _cell(name, _text), 6) for name in names]
    if len({host for row in rows for host in row.hosts}) > 1:
        found.append(Column("host", "host", _host, 6))
    alike = _alike(rows, found)
    if not alike:
        return found
    needed = [column for column in found if _tells_apart(column, rows)]
    found = [
        Column(column.title, column.short, column.cell, TELLING_APART) if column in needed else column
        for column in found
    ]
    if any(_alike(rows, found, all_columns=True).values()):
        found += _of_configs(rows)
    return found


def _host(row: Row) -> str:
    return row.hosts[0] if len(row.hosts) == 1 else f"{len(row.hosts)} hosts"


def _varies(rows: Sequence[Row], name: str) -> bool:
    return len({value_named(row, name) for row in rows}) > 1


def _alike(rows: Sequence[Row], columns_: Sequence[Column], all_columns: bool = False) -> dict[Any, int]:
    """Labels (with the cells of ``columns_``) that more than one row has."""
    seen = Counter(
        (row.point.label, *((column.cell(row) for column in columns_) if all_columns else ())) for row in rows
    )
    return {key: count for key, count in seen.items() if count > 1}


def _tells_apart(column: Column, rows: Sequence[Row]) -> bool:
    """Whether rows of one label differ in ``column``."""
    cells: dict[str, set[str]] = {}
    for row in rows:
        cells.setdefault(row.point.label, set()).add(column.cell(row))
    return any(len(of_label) > 1 for of_label in cells.values())


def _of_configs(rows: Sequence[Row]) -> list[Column]:
    """Columns for the settings in which rows of one label differ; the runs' names where there are none."""
    configs = {id(row): dict(_flat(row.record.config)) for row in rows}
    names: dict[str, None] = {}
    for label in {row.point.label for row in rows}:
        same = [configs[id(row)] for row in rows if row.point.label == label]
        for name in dict.fromkeys(name for config in same for name in config):
            if len({str(config.get(name)) for config in same}) > 1:
                names[name] = None

    def setting(name: str) -> Callable[[Row], str]:
        return lambda row: _text(configs[id(row)].get(name))

    found = [Column(name, name.replace(".", ".|"), setting(name), TELLING_APART) for name in names]
    return found[:MOST_SETTINGS] or [
        Column("run", "run", lambda row: row.record.name, TELLING_APART),
        Column("started", "started", lambda row: row.record.started[:19].replace("T", " "), TELLING_APART),
    ]


def _flat(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if not path and name in NOT_TRIED:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _named(name: str, k: int, place: int) -> Column:
    """The column that a user called ``name``, the ``place``-th of the chosen ones, of a search for ``k``."""
    rank = TELLING_APART * place / (place + 1)
    full = full_name(name)
    at = AT.fullmatch(full)
    measure = at["measure"] if at else full
    if measure in MEASURES:
        cutoff = int(at["k"]) if at else k
        return Column(
            f"{measure}@{cutoff}{_of(cutoff, k)}", f"{measure}|@{cutoff}", _cell(full, share_text), rank
        )
    for unit, form, shown in UNITS:
        if full.endswith(unit):
            title = f"{full.removesuffix(unit).removeprefix('latency_').replace('_', ' ')} {shown}".strip()
            return Column(title, title.replace(" ", "|"), _cell(full, form), rank)
    title = full.replace("_", " ")
    return Column(title, title.replace(" ", "|"), _cell(full, _text), rank)


def _of(cutoff: int, k: int) -> str:
    """A lower cut-off read off a search for k is not a search for the cut-off, and says so."""
    return "" if cutoff == k else f" (first {cutoff} of {k})"


def _confidence(rows: Sequence[Row]) -> float:
    return float(rows[0].record.config.get("measures", {}).get("confidence", 0.95))


def _recall(row: Row) -> str:
    return "" if row.recall is None else share_text(row.recall)


def _interval(row: Row) -> str:
    """Without the zeros before the points, which a table has no room for."""
    text = "" if row.interval is None else interval_text(*row.interval)
    return text.replace("0.", ".").replace("1.000", "1")


def _missed(row: Row) -> tuple[int, int] | None:
    """How many exact neighbours the row's recall misses, and of how many."""
    return None if row.cutoff is None else row.point.misses("knn_recall", row.cutoff)


def _missed_columns(rows: Sequence[Row]) -> list[Column]:
    """How many neighbours were missed, where a recall is so near to 1 that digits hardly tell."""
    counts = [counted for row in rows if (counted := _missed(row))]
    if not any(0 < missed <= NEARLY_ALL * of for missed, of in counts):
        return []
    same = len({of for _, of in counts}) == 1

    def cell(row: Row) -> str:
        counted = _missed(row)
        return "" if counted is None else f"{counted[0]:,}" if same else f"{counted[0]:,} of {counted[1]:,}"

    of_all = f"of {counts[0][1]:,}" if same else "neighbours"
    return [Column(f"missed {of_all}", f"missed|{of_all}", cell, 9)]


def _cell(name: str, form: Callable[[Any], str]) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = value_named(row, name)
        return "" if value is None else form(value)

    return cell


def _milliseconds(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:,.1f}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _tenths(value: float) -> str:
    return f"{value:,.1f}"


def _megabytes(value: float) -> str:
    return f"{value * 1e-6:,.1f}"


def _text(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return "" if value is None else str(value)


UNITS: tuple[tuple[str, Callable[[Any], str], str], ...] = (
    ("_ms", _milliseconds, "ms"),
    ("_seconds", _tenths, "s"),
    ("_bytes", _megabytes, "MB"),
)
"""The ends of names, how such values are written, and the unit in the heading."""
