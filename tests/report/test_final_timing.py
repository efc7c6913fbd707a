"""Which timing stands in tables and figures: a job's own, or that of all the front's points together."""

from __future__ import annotations

import csv
import io

from lookalike.report.captions import caption
from lookalike.report.frame import points
from lookalike.report.front import by_front, front, marks
from lookalike.report.html import points_payload
from lookalike.report.rows import rows_of
from lookalike.report.table import comparison_csv, comparison_markdown
from lookalike.report.values import names_of_rows, value_named
from lookalike.runs.catalog import Run
from lookalike.runs.record import Record
from tests.records import make_point, make_record

WHEN = "2026-11-30T12:00:00+00:00"
STANDS = "latency: timed together afterwards on node7, 2 points in shuffled rounds"


def record(
    label: str, recall: float, p50_ms: float, final_ms: float | None = None, when: str = WHEN
) -> Record:
    point = make_point("ivf_flat", {}, {}, recall, p50_ms, label=label, trial_key=label)
    made = make_record([point], name=label, timing={"flags": []})
    if final_ms is not None:
        point.final_latency = {"single": point.latency["single"] | {"p50_ms": final_ms}}
        point.metrics |= {"final_latency_single_p50_ms": final_ms, "final_qps_single": 1000 / final_ms}
        made.final_timing = {"when": when, "points": 2, "hostname": "node7", "flags": []}
    return made


def p50_ms(records: list[Record]) -> dict[str, float | None]:
    return {row.point.label: row.p50_ms for row in rows_of(records)}


def test_it_stands_where_the_whole_front_has_it() -> None:
    fast, exact, far = record("fast", 0.8, 1.0, 1.5), record("exact", 1.0, 4.0, 2.0), record("far", 0.7, 1.2)
    assert p50_ms([fast, exact, far]) == {"fast": 1.5, "exact": 2.0, "far": 1.2}
    assert p50_ms([fast, record("exact", 1.0, 4.0), far]) == {"fast": 1.0, "exact": 4.0, "far": 1.2}


def test_rounds_of_two_final_timings_are_not_mixed() -> None:
    other = record("exact", 1.0, 4.0, 2.0, when="2026-11-30T13:00:00+00:00")
    assert p50_ms([record("fast", 0.8, 1.0, 1.5), other]) == {"fast": 1.0, "exact": 4.0}


def test_modes_that_were_not_timed_again_are_not_mixed_in() -> None:
    row = rows_of([record("fast", 0.8, 1.0, 2.0), record("exact", 1.0, 4.0, 3.0)])[0]
    assert row.metric("qps_single") == 500
    assert row.metric("qps_batch") is None
    assert row.metric("index_bytes") is not None
    assert row.by_jobs.point.metrics["qps_batch"] > 0


def test_what_was_beaten_before_does_not_come_back_by_a_slower_final_timing() -> None:
    fast, exact, far = record("fast", 0.8, 1.0, 1.5), record("exact", 1.0, 4.0, 2.0), record("far", 0.7, 1.2)
    rows = rows_of([far, fast, exact])
    assert [row.point.label for row in front(rows)] == ["fast", "exact"]
    assert [row.point.label for row in by_front(rows)] == ["fast", "exact", "far"]
    assert set(marks(rows).values()) == {"•", ""}


def test_a_model_without_a_final_timing_keeps_its_place_beside_one_that_has() -> None:
    """Each gallery of vectors is a group of its own."""
    other = record("other", 0.9, 1.2)
    other.data = other.data | {"gallery_key": "0" * 32}
    rows = rows_of([record("fast", 0.8, 1.0, 1.5), record("exact", 1.0, 4.0, 2.0), other])
    assert [row.point.label for row in rows if row.apart] == []


def test_its_own_reasons_to_doubt_are_the_ones_that_count() -> None:
    fast, exact = record("fast", 0.8, 1.0, 1.5), record("exact", 1.0, 4.0, 2.0)
    fast.timing["flags"] = ["busy then"]
    rows = rows_of([fast, exact])
    assert [row.doubts for row in rows] == [[], []]
    assert not any("busy" in line for line in caption(rows))
    for each in (fast, exact):
        each.final_timing["flags"] = ["busy now"]
    exact.points[0].final_flags = ["it drifts"]
    rows = rows_of([fast, exact])
    assert [row.doubts for row in rows] == [["busy now"], ["busy now", "it drifts"]]
    assert caption(rows)[-1] == "warning: busy now"
    far = record("far", 0.7, 1.2)
    far.timing["flags"] = ["busy then"]
    assert "!" not in marks(rows_of([fast, exact, far])).values(), "it is not doubt that leaves it out"


def test_captions_say_so() -> None:
    fast, exact = record("fast", 0.8, 1.0, 1.5), record("exact", 1.0, 4.0, 2.0)
    assert STANDS in caption(rows_of([fast, exact]))
    assert STANDS in comparison_markdown([fast, exact], "title")
    with_others = caption(rows_of([fast, exact, record("far", 0.7, 1.2)]))
    assert f"{STANDS}; of the others, which are not on the front, by their jobs" in with_others
    assert not any("together" in line for line in caption(rows_of([record("a", 0.8, 1.0)])))


def test_files_for_programs_have_both_timings() -> None:
    records = [record("fast", 0.8, 1.0, 1.5), record("exact", 1.0, 4.0, 2.0)]
    first = next(iter(csv.DictReader(io.StringIO(comparison_csv(records)))))
    assert first["latency_single_p50_ms"] == "1.0"
    assert first["final_latency_single_p50_ms"] == "1.5"
    assert (first["final_when"], first["final_hostname"]) == (WHEN, "node7")
    frame = points(records).set_index("label")
    assert frame.loc["fast", "latency_single_p50_ms"] == 1.0
    assert frame.loc["fast", "final_latency_single_p50_ms"] == 1.5
    assert frame.loc["fast", "final_hostname"] == "node7"


def test_a_column_can_be_chosen_of_either() -> None:
    [row, _] = rows_of([record("fast", 0.8, 1.0, 1.5), record("exact", 1.0, 4.0, 2.0)])
    assert value_named(row, "p50_ms") == value_named(row, "final_latency_single_p50_ms") == 1.5
    assert "final_latency_single_p50_ms" in names_of_rows([row])


def test_the_page_draws_the_timing_that_stands() -> None:
    records = [record("fast", 0.8, 1.0, 1.5), record("exact", 1.0, 4.0, 2.0), record("far", 0.7, 1.2)]
    runs = [Run(each, None) for each in records]
    shown = {
        point["label"]: (point["metrics"]["latency_single_p50_ms"], point["apart"])
        for point in points_payload(rows_of(records), {}, runs)["points"]
    }
    assert shown == {"fast": (1.5, False), "exact": (2.0, False), "far": (1.2, True)}
