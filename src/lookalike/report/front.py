"""The Pareto front among rows that may be compared: which point beats which."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.report.rows import Row


def front(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that no other beats: fastest first, each slower one with a higher recall.

    Of rows equal in both, the first is kept. Rows without a recall or a latency are never on it.
    """
    measured = [
        (row.p50_ms, -row.recall, row) for row in rows if row.p50_ms is not None and row.recall is not None
    ]
    best, kept = float("-inf"), []
    for _, minus_recall, row in sorted(measured, key=lambda item: item[:2]):
        if -minus_recall > best:
            best = -minus_recall
            kept.append(row)
    return kept


def by_front(rows: Sequence[Row]) -> list[Row]:
    """Return the front from fast to exact, then the points it dominates from fast to slow."""
    on_front = front(rows)
    beaten = [row for row in rows if not any(row is kept for kept in on_front)]
    return on_front + sorted(
        beaten, key=lambda row: (row.p50_ms is None, row.p50_ms or 0, -(row.recall or 0))
    )
