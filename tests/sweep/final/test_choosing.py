"""Which points are timed together: the fronts', those near them, as many as fit."""

from __future__ import annotations

from typing import Any

from lookalike.report.rows import Row
from lookalike.runs.record import Record
from lookalike.sweep.final.choosing import MOST, Choice, choices, fitting
from lookalike.sweep.final.state import is_done, is_due
from tests.records import make_point, make_record


def record(label: str, recall: float, p50_ms: float, reach_ms: float = 0.0, **changes: Any) -> Record:
    """A run of one point whose latency is known to ± ``reach_ms``; its recall to ± .006."""
    point = make_point("ivf_flat", {"nlist": 64}, {}, recall, p50_ms, label=label, trial_key=label)
    point.latency["single"]["p50_ms_interval"] = [p50_ms - reach_ms, p50_ms + reach_ms]
    about = make_record([point]).index | {"key": label, "serving_memory_bytes": 100}
    return make_record([point], name=label, index=about | changes)


def labels(choice: Choice) -> list[str]:
    return [row.point.label for row in choice.rows]


def test_the_front_comes_first_and_then_what_is_near_it() -> None:
    fast, exact, equal = record("fast", 0.8, 1.0), record("exact", 1.0, 4.0), record("equal", 0.79, 1.2, 0.3)
    near, far = record("near", 0.77, 1.2), record("far", 0.77, 1.3)
    disturbed = record("disturbed", 0.97, 7.9)
    disturbed.timing = {"flags": ["other processes were busy"]}

    [choice] = choices([far, disturbed, near, equal, exact, fast])

    assert labels(choice) == ["fast", "equal", "exact", "near", "disturbed"]
    assert choice.notices == ()


def test_a_limit_leaves_out_the_slowest_and_says_how_many() -> None:
    near = [record(f"near {n}", 0.77, 1.0 + n / 1000) for n in range(1, MOST + 5)]

    [choice] = choices([*near, record("fast", 0.8, 1.0)])

    assert labels(choice) == ["fast", *(f"near {n}" for n in range(1, MOST))]
    assert choice.notices == (f"5 points that are near the front are left out: {MOST} are timed at most",)


def test_points_of_one_run_were_timed_together_already() -> None:
    one = make_record([make_point(recall=0.8, p50_ms=1.0), make_point("flat", recall=1.0, p50_ms=2.0)])
    assert choices([one]) == []
    assert not is_due([one])


def test_each_comparable_group_is_timed_by_itself() -> None:
    here = [record("a", 0.8, 1.0), record("b", 0.9, 2.0)]
    there = [record("c", 0.8, 1.0), record("d", 0.9, 2.0)]
    for each in there:
        each.data = each.data | {"gallery_key": "0" * 32}
    assert sorted(labels(choice) for choice in choices([*here, *there])) == [["a", "b"], ["c", "d"]]


def test_a_final_timing_does_not_choose_the_next_one() -> None:
    fast, exact = record("fast", 0.8, 1.0), record("exact", 0.9, 2.0)
    for each in (fast, exact):
        each.final_timing = {"when": "2026-11-30T12:00:00+00:00"}
        each.points[0].final_latency = {"single": {"p50_ms": 5.0}}
        each.points[0].metrics["final_latency_single_p50_ms"] = 5.0
    [choice] = choices([fast, exact])
    assert labels(choice) == ["fast", "exact"]
    assert [row.p50_ms for row in choice.rows] == [1.0, 2.0]
    assert is_done(choice)
    exact.final_timing = {"when": "2026-11-30T13:00:00+00:00"}
    assert is_due([fast, exact]), "not the same rounds"


def rows(*records: Record) -> Choice:
    return Choice(tuple(Row(record, record.points[0]) for record in records))


def test_what_does_not_fit_is_left_out_beside_the_front_first_and_the_largest_first() -> None:
    front = record("fast", 0.8, 1.0), record("exact", 1.0, 4.0, serving_memory_bytes=300)
    near = (
        record("small", 0.79, 1.1, serving_memory_bytes=50),
        record("large", 0.79, 1.2, serving_memory_bytes=90),
    )
    all_of_it = rows(*front, *near)

    assert fitting(all_of_it, 540) == all_of_it
    assert labels(fitting(all_of_it, 539)) == ["fast", "exact", "small"]
    assert labels(fitting(all_of_it, 449)) == ["fast", "exact"]
    assert labels(fitting(all_of_it, 399)) == ["fast"]
    assert fitting(all_of_it, 449).notices == (
        "small, large: left out, because all indexes together take 540 B and 449 B of memory are free",
    )


def test_points_of_one_index_take_its_memory_once() -> None:
    first, second = record("a", 0.8, 1.0), record("b", 0.9, 2.0)
    second.index = dict(first.index)
    assert labels(fitting(rows(first, second), 100)) == ["a", "b"]
