"""Measures of rank and shares of queries as columns that are chosen by name."""

from __future__ import annotations

import pytest

from lookalike.report.columns import columns
from lookalike.report.rows import rows_of
from lookalike.report.values import check_names
from tests.records import make_point, make_record


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("knn_recall_at_100_share_0.9", 0.95**2.7),
        ("knn_recall_at_100_p05", 0.7 * 0.95),
        ("relevant_recall_at_100_p01", 0.4 * 0.9 * 0.95),
        ("r_precision@100", 0.6 * 0.95),
        ("map_at_r@100", 0.55 * 0.95),
        ("map_at_r_at_100", 0.55 * 0.95),
        ("mrr@1", None),
    ],
)
def test_they_are_columns_that_can_be_chosen(name: str, value: float | None) -> None:
    point = make_point(recall=0.95)
    rows = rows_of([make_record([point])])
    check_names([name], rows)
    (column,) = columns(rows, [name])
    expected = point.curve("mrr")[1] if value is None else value
    assert float(column.cell(rows[0])) == pytest.approx(expected, abs=6e-4)
