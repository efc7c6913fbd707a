"""What a person reads at the end: a table, files to compare with, a figure, and the images that were missed.

Everything here is a view of :class:`~lookalike.record.Record`; nothing is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lookalike.record import Record
from lookalike.report.missed import MissedQuery, contact_sheet, missed_page, worst_and_best
from lookalike.report.pareto import pareto_figure
from lookalike.report.rows import Row, comparable, front, rows_of
from lookalike.report.table import comparison_csv, comparison_markdown, print_table


def write_comparison(records: Sequence[Record], folder: Path, title: str) -> list[Path]:
    """Write ``comparison.csv``, ``comparison.md`` and ``pareto.png`` into ``folder``; returns their paths.

    Without a single measured point there is no figure; the comparison then lists the failures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "comparison.csv", folder / "comparison.md"]
    written[0].write_text(comparison_csv(records), encoding="utf-8")
    written[1].write_text(comparison_markdown(records, title), encoding="utf-8")
    if any(row.recall is not None and row.p50_ms is not None for row in rows_of(records)):
        pareto_figure(records, folder / "pareto.png", title)
        written.append(folder / "pareto.png")
    return written


__all__ = [
    "MissedQuery",
    "Row",
    "comparable",
    "comparison_csv",
    "comparison_markdown",
    "contact_sheet",
    "front",
    "missed_page",
    "pareto_figure",
    "print_table",
    "rows_of",
    "worst_and_best",
    "write_comparison",
]
