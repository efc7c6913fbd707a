"""What a person reads at the end: a table, files to compare with, a figure, and the images that were missed.

Everything here is a view of :class:`~lookalike.runs.record.Record`; nothing is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lookalike.report.pareto import pareto_figure
from lookalike.report.rows import rows_of
from lookalike.report.table import comparison_csv, comparison_markdown
from lookalike.runs.files import result_file
from lookalike.runs.paths import ReportPaths
from lookalike.runs.record import Record


def write_comparison(records: Sequence[Record], folder: Path, title: str) -> list[Path]:
    """Write the comparison (CSV and Markdown) and the figure into ``folder``; return their paths.

    Without a single measured point there is no figure; the comparison then lists the failures. Raises
    UserError when a file cannot be written: those before it are there, whole.
    """
    paths = ReportPaths(folder)
    written = [paths.comparison_csv, paths.comparison]
    for path, text in zip(
        written, (comparison_csv(records), comparison_markdown(records, title)), strict=True
    ):
        with result_file(path) as draft:
            draft.write_text(text, encoding="utf-8", errors="backslashreplace")
    if any(row.recall is not None and row.p50_ms is not None for row in rows_of(records)):
        pareto_figure(records, paths.figure, title)
        written.append(paths.figure)
    return written
