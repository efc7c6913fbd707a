"""Which points are on the front."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lookalike.report.front import by_front, front
from lookalike.report.rows import Row, rows_of
from tests import records


def rows(*points: tuple[float, float]) -> list[Row]:
    """Rows of (p50_ms, recall)."""
    made = [
        records.make_point(search_settings={"nprobe": n}, recall=r, p50_ms=p)
        for n, (p, r) in enumerate(points)
    ]
    return rows_of([records.make_record(made)])


def places(some: list[Row]) -> list[int]:
    return [row.point.settings["nprobe"] for row in some]


def test_the_front_by_hand() -> None:
    assert places(front(rows((1, 0.5), (2, 0.4), (3, 0.9), (4, 0.9), (5, 0.95)))) == [0, 2, 4]
    assert places(front(rows((1, 0.5), (1, 0.6)))) == [1]
    assert places(front(rows((1, 0.5), (1, 0.5)))) == [0]
    assert places(by_front(rows((2, 0.4), (1, 0.5), (5, 0.3), (3, 0.9)))) == [1, 3, 0, 2]


@given(st.lists(st.tuples(st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from([0.25, 0.5, 0.75])), min_size=1))
def test_a_point_is_on_the_front_unless_another_beats_it(points: list[tuple[float, float]]) -> None:
    kept = {(row.p50_ms, row.recall) for row in front(rows(*points))}

    def beaten(p: tuple[float, float]) -> bool:
        return any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points)

    assert kept == {p for p in points if not beaten(p)}


def test_a_point_without_a_measure_or_a_latency_is_not_on_the_front() -> None:
    blind, clockless = records.make_point(curves={}), records.make_point(metrics={})
    assert front(rows_of([records.make_record([blind, clockless])])) == []
