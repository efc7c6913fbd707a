"""The comparison as a table: on the terminal, as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lookalike.record import Record
from lookalike.report.rows import (
    FACETS,
    Row,
    by_front,
    caption,
    comparable,
    failures,
    front,
    heading,
    rows_of,
)

if TYPE_CHECKING:
    from rich.console import Console, Group

WIDTH = 100
ON_FRONT = "•"


@dataclass(frozen=True)
class Column:
    """One column of a comparison: how it is headed and how a row fills it ('' when not measured)."""

    head: str
    """A ``|`` marks where a narrow table may break it."""
    cell: Callable[[Row], str]

    @property
    def title(self) -> str:
        """The heading on one line."""
        return self.head.replace("|", "")

    @property
    def lines(self) -> list[str]:
        """The heading in short lines."""
        return [line.strip() for line in self.head.split("|")]


def _number(metric: str, form: str, scale: float = 1.0) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = row.metric(metric)
        return "" if value is None else format(value * scale, form)

    return cell


def _milliseconds(metric: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = row.metric(metric)
        return "" if value is None else f"{value:.3f}" if value < 10 else f"{value:,.1f}"

    return cell


def _recall(row: Row) -> str:
    return "" if row.recall is None else f"{row.recall:.3f}"


def _interval(row: Row) -> str:
    if row.interval is None:
        return ""
    return "–".join(f"{bound:.3f}".removeprefix("0").replace("1.000", "1") for bound in row.interval)


def _of(cutoff: int, k: int) -> str:
    """A lower cut-off read off a search for k is not a search for the cut-off, and says so."""
    return "" if cutoff == k else f" |(first {cutoff} |of {k})"


def columns(rows: Sequence[Row]) -> list[Column]:
    """The columns that at least one of ``rows`` (one comparable group) can fill."""
    k = rows[0].point.k
    cutoff = max((row.cutoff for row in rows if row.cutoff is not None), default=k)
    found = [
        Column(f"knn_|recall|@{cutoff}{_of(cutoff, k)}", _recall),
        Column(f"{_confidence(rows):.0%} |interval", _interval),
    ]
    for measure in ("hit_rate", "relevant_recall"):
        curve = rows[0].point.curve(measure)
        if curve:
            heading_of = measure.replace("_", "_|")
            found.append(Column(f"{heading_of}|@{min(curve)}{_of(min(curve), k)}", _at(measure, min(curve))))
            break
    found += [
        Column("p50 |ms", _milliseconds("latency_single_p50_ms")),
        Column("p95 |ms", _milliseconds("latency_single_p95_ms")),
        Column("batch |QPS", _number("qps_batch", ",.0f")),
        Column("build |s", _number("build_seconds", ",.1f")),
        Column("index |MB", _number("index_bytes", ",.1f", 1e-6)),
        Column("serving |MB", _number("serving_memory_bytes", ",.1f", 1e-6)),
    ]
    return [column for column in found if any(column.cell(row) for row in rows)]


def _confidence(rows: Sequence[Row]) -> float:
    return float(rows[0].record.config.get("measures", {}).get("confidence", 0.95))


def _at(measure: str, k: int) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = row.point.curve(measure).get(k)
        return "" if value is None else f"{value:.3f}"

    return cell


def closing_table(records: Sequence[Record]) -> Group:
    """What is printed when a run or a sweep ends (a rich renderable, at most 100 columns wide).

    One table a comparable group, its Pareto front first (marked), from fast to exact; under it the
    terms it was measured on, and under all of them the runs that did not finish.
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = []
    rows = rows_of(records)
    for group in comparable(rows):
        title = heading(group, among=rows)
        if title:
            parts.append(Text(title, style="bold"))
        parts.append(_rich_table(group))
        parts += [Text(line, style="dim" if n < 2 else "yellow") for n, line in enumerate(caption(group))]
        parts.append(Text())
    parts += [Text(line, style="red") for line in failures(records)]
    return Group(*parts)


def print_table(records: Sequence[Record], console: Console | None = None) -> None:
    """Print :func:`closing_table` on standard output; 100 columns and no colours unless it is a terminal."""
    from rich.console import Console

    if console is None:
        console = Console(highlight=False)
        console.width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    console.print(closing_table(records))


def _rich_table(group: Sequence[Row]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = columns(group)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    table.add_column("", width=1)
    table.add_column("operating point", overflow="fold", min_width=16)
    for column in shown:
        lines = column.lines
        width = max(len(text) for text in [*lines, *(column.cell(row) for row in group)])
        table.add_column("\n".join(lines), justify="right", min_width=width)
    best = front(group) if len(group) > 1 else []
    for row in by_front(group):
        beaten = len(group) > 1 and not any(row is kept for kept in best)
        cells = [
            "" if beaten or len(group) == 1 else ON_FRONT,
            row.point.label,
            *(c.cell(row) for c in shown),
        ]
        table.add_row(*(Text(cell) for cell in cells), style="dim" if beaten else "")
    return table


def comparison_csv(records: Sequence[Record]) -> str:
    """Every point with every single value: facets, settings, metrics, and the interval of its recall.

    Columns are the union over all points, in order of first appearance; what a point lacks is blank.
    """
    lines: list[dict[str, Any]] = []
    rows = rows_of(records)
    fronts = [row for group in comparable(rows) for row in front(group)]
    for row in rows:
        low, high = row.interval or ("", "")
        line: dict[str, Any] = {"label": row.point.label, "status": row.record.status}
        line |= {name: facet(row.record, row.point) for name, facet in FACETS.items()}
        line |= {"index": row.family, "factory": row.record.index.get("factory")}
        line |= row.point.index_settings | row.point.settings
        line |= {"on_front": any(row is kept for kept in fronts), "recall_cutoff": row.cutoff}
        line |= {"knn_recall": row.recall, "knn_recall_low": low, "knn_recall_high": high} | row.point.metrics
        line |= {"flags": "; ".join(map(str, row.record.timing.get("flags", ())))}
        line |= {"trial_key": row.point.trial_key, "mlflow_run_id": row.point.mlflow_run_id}
        lines.append(line)
    for record in records:
        if record.status != "finished" and not record.points:
            lines.append({"label": record.name, "status": record.status, "error": record.error})
    names = list(dict.fromkeys(name for line in lines for name in line)) or ["label", "status"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def comparison_markdown(records: Sequence[Record], title: str) -> str:
    """The closing table as Markdown: what MLflow shows on the sweep's page, and a README can quote."""
    rows = rows_of(records)
    lines = [f"# {_cell(title)}", ""]
    for group in comparable(rows):
        apart = heading(group, among=rows)
        lines += [f"## {_cell(apart)}", ""] if apart else []
        shown = columns(group)
        lines += ["| operating point | " + " | ".join(_cell(column.title) for column in shown) + " |"]
        lines += ["| --- |" + " ---: |" * len(shown)]
        best = front(group)
        for row in by_front(group):
            label = _cell(row.point.label)
            label = f"**{label}**" if len(group) > 1 and any(row is kept for kept in best) else label
            lines.append(f"| {label} | " + " | ".join(column.cell(row) for column in shown) + " |")
        lines += ["", "  \n".join(_cell(line) for line in caption(group)), ""]
    if len(rows) > 1:
        lines += [
            "Bold: on the Pareto front (no other point is both faster and closer to the exact answer).",
            "",
        ]
    lines += [f"- {_cell(line)}" for line in failures(records)]
    return "\n".join(lines).rstrip() + "\n"


def _cell(text: str) -> str:
    """Text that may hold anything, safe in a Markdown table and in the page that renders it."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(escaped.split())
