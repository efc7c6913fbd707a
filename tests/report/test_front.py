"""Which points are on the front, which of them are equal, and which are left out of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.report.front import EQUAL, IN_DOUBT, ON_FRONT, by_front, front, legend, marks, ranks, staircase
from lookalike.report.rows import Row, rows_of
from tests import records


def rows(
    *points: tuple[float, float], speed: float = 0, recall: float = 0, doubtful: set[int] | None = None
) -> list[Row]:
    """Rows of (p50_ms, recall); their intervals reach ``speed`` (relative) and ``recall`` to each side."""
    made = []
    for n, (p, r) in enumerate(points):
        single = {"threads": 1, "p50_ms": p, "p50_ms_interval": [p * (1 - speed), p * (1 + speed)]}
        made.append(
            records.make_point(
                search_settings={"nprobe": n},
                recall=r,
                p50_ms=p,
                latency={"single": single if speed else {"threads": 1}},
                intervals={"knn_recall": {"100": [r - recall, r + recall]}} if recall else {},
                flags=["it was slower at times"] if n in (doubtful or ()) else [],
            )
        )
    return rows_of([records.make_record(made)])


def places(some: list[Row]) -> list[int]:
    return [row.point.settings["nprobe"] for row in some]


def test_the_front_by_hand() -> None:
    assert places(front(rows((1, 0.5), (2, 0.4), (3, 0.9), (4, 0.9), (5, 0.95)))) == [0, 2, 4]
    assert places(front(rows((1, 0.5), (1, 0.6)))) == [1]
    assert places(front(rows((1, 0.5), (1, 0.5)))) == [0, 1], "neither beats the other"
    assert places(by_front(rows((2, 0.4), (1, 0.5), (5, 0.3), (3, 0.9)))) == [1, 3, 0, 2]


@given(st.lists(st.tuples(st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from([0.25, 0.5, 0.75])), min_size=1))
def test_a_point_is_on_the_front_unless_another_beats_it(points: list[tuple[float, float]]) -> None:
    kept = {(row.p50_ms, row.recall) for row in front(rows(*points))}

    def beaten(p: tuple[float, float]) -> bool:
        return any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points)

    assert kept == {p for p in points if not beaten(p)}


def test_a_point_that_cannot_be_told_from_a_better_one_is_its_equal() -> None:
    """±5 % and ±0.006: the second is within both, the third is slower beyond doubt, the fourth finds less."""
    some = rows((1, 0.95), (1.05, 0.945), (1.2, 0.948), (1.01, 0.93), (2, 0.99), speed=0.05, recall=0.006)
    assert places(front(some)) == [0, 1, 4]
    assert list(ranks(some).values()) == [1, 1, 2]
    shown = marks(some)
    assert [shown[id(row)] for row in some] == [ON_FRONT, EQUAL, "", "", ON_FRONT]
    assert places(staircase(some)) == [0, 4], "a line joins what is better by value"
    assert places(by_front(some)) == [0, 1, 4, 3, 2]
    assert legend(some)[0].startswith(f"{EQUAL} not distinguishable from the one above")


def test_without_an_interval_of_its_latency_a_point_stands_where_it_was_measured() -> None:
    assert places(front(rows((1, 0.95), (1.001, 0.949), recall=0.006))) == [0]
    assert places(front(rows((1, 0.95), (1, 0.949), recall=0.006))) == [0, 1]


@given(
    st.lists(st.tuples(st.floats(1, 2), st.floats(0.5, 1), st.floats(0, 0.2), st.floats(0, 0.1)), min_size=1)
)
def test_every_other_point_is_beaten_by_one_that_is_as_good_and_apart(
    points: list[tuple[float, float, float, float]],
) -> None:
    some = [rows((p, r), speed=s, recall=w)[0] for p, r, s, w in points]
    kept = {id(row) for row in front(some)}

    def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        (p, r, s, w), (q, v, t, u) = one, other
        apart = p * (1 + s) < q * (1 - t) or q * (1 + t) < p * (1 - s) or abs(r - v) > w + u + 1e-12
        return p <= q and r >= v and apart

    assert [id(row) in kept for row in some] == [not any(beats(q, p) for q in points) for p in points]
    shared = ranks(some)
    assert set(shared) == kept and set(shared.values()) == set(range(1, max(shared.values()) + 1))


def test_a_doubtful_timing_is_left_out_unless_nothing_else_is_there() -> None:
    some = rows((1, 0.9), (2, 0.9), (3, 0.99), doubtful={0})
    assert places(front(some)) == [1, 2], "and does not beat what is sure"
    assert [marks(some)[id(row)] for row in some] == [IN_DOUBT, ON_FRONT, ON_FRONT]
    assert places(by_front(some)) == [1, 2, 0]
    assert legend(some) == [f"{IN_DOUBT} timing in doubt, left out of the front"]

    none_sure = rows((1, 0.9), (2, 0.9), (3, 0.99), doubtful={0, 1, 2})
    assert places(front(none_sure)) == [0, 2]
    assert legend(none_sure) == ["every timing here is in doubt, and so is the front"]


def test_a_run_that_was_disturbed_puts_all_its_points_in_doubt() -> None:
    sure = records.make_record([records.make_point(recall=0.9, p50_ms=2)])
    timing = {"flags": ["other processes used 3 cores"]}
    disturbed = records.make_record([records.make_point(recall=0.9, p50_ms=1, trial_key="b")], timing=timing)
    some = rows_of([sure, disturbed])
    assert front(some) == [some[0]]
    assert some[1].doubts == ["other processes used 3 cores"]


def test_a_point_without_a_measure_or_a_latency_is_not_on_the_front() -> None:
    blind, clockless = records.make_point(curves={}), records.make_point(metrics={})
    some = rows_of([records.make_record([blind, clockless])])
    assert front(some) == [] and staircase(some) == []
    assert set(marks(some).values()) == {""}


@pytest.mark.parametrize("spoiled", [{"p50_ms_interval": [1.1, 1.2]}, {"p50_ms_interval": []}])
def test_an_interval_beside_its_value_is_widened_to_hold_it(spoiled: dict[str, list[float]]) -> None:
    point = records.make_point(p50_ms=1, latency={"single": {"threads": 1, **spoiled}})
    [row] = rows_of([records.make_record([point])])
    assert front([row]) == [row]
