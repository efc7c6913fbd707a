"""The comparison as a table: on the terminal, as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lookalike.report.captions import WARNING, caption
from lookalike.report.columns import Column, columns
from lookalike.report.difficulty import short_reason
from lookalike.report.front import EQUAL, IN_DOUBT, by_front, legend, marks, ranks
from lookalike.report.rows import Row, comparable, failures, heading, rows_of
from lookalike.report.values import facts_of, settings_of
from lookalike.runs.record import Record
from lookalike.terminal.printing import NARROWEST, width_of, wrapped

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100
"""Columns of what goes to a file or a program, as long as all of the table fits into it."""
LABEL_WIDTH, SHORTEST_LABEL = 26, 12
"""Columns for the label: what it gets before a column of numbers is left out, and when nothing else helps."""
LABEL = "operating point"


def print_table(
    records: Sequence[Record], console: Console | None = None, chosen: Sequence[str] | None = None
) -> None:
    """Print what a run or a sweep ends with on standard output.

    One table a comparable group, its Pareto front first (marked), from fast to exact; under it the names of
    its measures and the terms it was measured on; under all of them the runs that did not finish. A terminal
    gets as many columns of numbers as it has room for, and the names of the others; what goes to a file or
    a program has all of them. ``chosen``: the columns by name, see :func:`columns`.
    """
    from rich.console import Console

    console = console or Console(highlight=False, width=width_of(sys.stdout))
    width = max(NARROWEST, console.width) if console.is_terminal else WIDTH
    printed: set[str] = set()

    def write(line: str, style: str = "") -> None:
        console.print(wrapped(line, width), style=style, markup=False, soft_wrap=True)

    rows = rows_of(records)
    for group in comparable(rows):
        if title := heading(group, among=rows):
            write(title, "bold")
        shown, left_out = _fitting(group, chosen, width if console.is_terminal else None)
        console.width = max(width, _width_beside(group, shown) + SHORTEST_LABEL)
        console.print(_rich_table(group, shown, width))
        for line in [*legend(group), *_below(shown, left_out)]:
            if line not in printed:
                write(line, "dim")
            printed.add(line)
        if reason := short_reason(group):
            write(reason, "dim")
        for line in caption(group):
            write(line, "yellow" if line.startswith(WARNING) else "dim")
        console.print()
    for line in failures(records):
        write(line, "red")


def _fitting(
    group: Sequence[Row], chosen: Sequence[str] | None, width: int | None
) -> tuple[list[Column], list[Column]]:
    """The columns that ``width`` has room for beside the labels, in their order, and the others."""
    shown = columns(group, chosen)
    if width is None:
        return shown, []
    longest = _longest_label(group)
    kept: list[Column] = []
    for column in sorted(shown, key=lambda column: column.rank):
        label = min(longest, SHORTEST_LABEL if column.rank < 2 else LABEL_WIDTH)
        if _width_beside(group, [*kept, column]) + label <= width:
            kept.append(column)
    return [column for column in shown if column in kept], [c for c in shown if c not in kept]


def _longest_label(group: Sequence[Row]) -> int:
    return max(len(text) for text in (LABEL, *(row.point.label for row in group)))


def _width_beside(group: Sequence[Row], shown: Sequence[Column]) -> int:
    """Columns of the terminal that all but the labels take."""
    mark = 2 if len(group) > 1 else 0
    return mark + sum(1 + column.width(group) for column in shown)


def _below(shown: Sequence[Column], left_out: Sequence[Column]) -> list[str]:
    """What the short headings stand for, and what a wider terminal would show."""
    full = [f"{c.short}: {c.title}" for c in shown if "|" not in c.short and c.short != c.title]
    lines = [" · ".join(full)] if full else []
    if left_out:
        lines.append(f"in a wider terminal also: {', '.join(column.title for column in left_out)}")
    return lines


def _rich_table(group: Sequence[Row], shown: Sequence[Column], width: int) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    marked = len(group) > 1
    if marked:
        table.add_column("", width=1)
    room = max(width - _width_beside(group, shown), SHORTEST_LABEL)
    longest = max(len(row.point.label) for row in group)
    table.add_column(
        "operating point", overflow="fold", width=min(room, max(longest, len("operating point")))
    )
    for column in shown:
        table.add_column("\n".join(column.lines), justify="right", width=column.width(group), no_wrap=True)
    mark_of, on_front = marks(group), ranks(group)
    for row in by_front(group):
        cells = [*([mark_of[id(row)]] if marked else []), row.point.label]
        cells += [column.cell(row) for column in shown]
        beaten = marked and id(row) not in on_front
        table.add_row(*(Text(cell) for cell in cells), style="dim" if beaten else "")
    return table


def comparison_csv(records: Sequence[Record]) -> str:
    """Return every point with every single value: terms, settings, metrics, its recall's interval.

    Every repeat of a trial is a line; ``repeats`` says how many there are, and ``on_front`` is of their
    medians, or of the final timing where that stands (``final_latency_…`` beside ``latency_…``). Columns are
    the union over all points, in order of first appearance; what a point lacks is blank.
    """
    lines: list[dict[str, Any]] = []
    rows = rows_of(records)
    rank_of = {row: rank for group in comparable(rows) for row, rank in ranks(group).items()}
    for row in rows:
        repeats = row.by_jobs.each
        lines += [_line(each, rank_of.get(id(row)), len(repeats)) for each in repeats]
    for record in records:
        if record.status != "finished" and not record.points:
            lines.append({"label": record.name, "status": record.status, "error": record.error})
    names = list(dict.fromkeys(name for line in lines for name in line)) or ["label", "status"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _line(row: Row, rank: int | None, repeats: int) -> dict[str, Any]:
    """One point as it was measured once; ``rank`` on the front, of all its repeats together."""
    low, high = row.interval or ("", "")
    line: dict[str, Any] = {"label": row.point.label, "status": row.record.status}
    line |= facts_of(row) | settings_of(row)
    line |= {"on_front": rank is not None, "front_rank": "" if rank is None else rank, "repeats": repeats}
    line |= {"recall_cutoff": row.cutoff}
    line |= {"knn_recall": row.recall, "knn_recall_low": low, "knn_recall_high": high} | row.point.metrics
    line |= row.final_values | {"flags": "; ".join(row.doubts)}
    return line | {"trial_key": row.point.trial_key, "mlflow_run_id": row.point.mlflow_run_id}


def comparison_markdown(records: Sequence[Record], title: str, chosen: Sequence[str] | None = None) -> str:
    """Return the closing table as Markdown, as MLflow shows it and a README can quote it."""
    rows = rows_of(records)
    lines = [f"# {_cell(title)}", ""]
    for group in comparable(rows):
        apart = heading(group, among=rows)
        lines += [f"## {_cell(apart)}", ""] if apart else []
        shown = columns(group, chosen)
        lines += ["| operating point | " + " | ".join(_cell(column.title) for column in shown) + " |"]
        lines += ["| --- |" + " ---: |" * len(shown)]
        mark_of, on_front = marks(group), ranks(group)
        for row in by_front(group):
            label = _cell(row.point.label)
            if len(group) > 1:
                label = f"**{label}**" if id(row) in on_front else label
                label += f" {mark_of[id(row)]}" if mark_of[id(row)] in (EQUAL, IN_DOUBT) else ""
            lines.append(f"| {label} | " + " | ".join(column.cell(row) for column in shown) + " |")
        reason = short_reason(group)
        below = [*legend(group, "in bold"), *caption(group), *([reason] if reason else [])]
        lines += ["", "  \n".join(map(_cell, below)), ""]
    if len(rows) > 1:
        lines += [
            "Bold: on the Pareto front (no other point is both faster and closer to the exact answer, "
            "beyond what the intervals leave open).",
            "",
        ]
    lines += [f"- {_cell(line)}" for line in failures(records)]
    return "\n".join(lines).rstrip() + "\n"


def _cell(text: str) -> str:
    """Text that may hold anything, safe in a Markdown table and in the page that renders it."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(escaped.split())
