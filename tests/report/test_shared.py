"""Runs over other queries are compared on those that both asked, and on those alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.report.captions import caption
from lookalike.report.costs import costs_of
from lookalike.report.html import make_report
from lookalike.report.recommend import Requirements
from lookalike.report.rows import Row, heading, sets_of
from lookalike.report.samples import answers_of
from lookalike.report.shared import shared_rows
from lookalike.runs.catalog import Run
from lookalike.runs.terms import EXACT, RELEVANCE
from tests.records import make_point, make_record

ALL, PART = np.arange(1, 101, dtype=np.uint64), np.arange(31, 71, dtype=np.uint64)
"""What is asked: a hundred queries, and forty of them."""
RIGHT = {int(query): float(query % 4 != 0) for query in ALL}
"""Whether a query is answered: it is the same in every run."""


def run_over(
    folder: Path, asked: np.ndarray, number: int, wanted: np.ndarray | None = None, **data: Any
) -> Run:
    """A run that asked these queries, in an order of its own, and kept each one's values."""
    asked = np.random.default_rng(number).permutation(asked)
    values = np.array([RIGHT[int(query)] for query in asked], np.float32)
    point = make_point(k=10, search_settings={"nprobe": number}, neighbours="points/p.npz")
    for measure in ("knn_recall", "hit_rate"):
        point.curves = {measure: {"1": float(values.mean())} for measure in ("knn_recall", "hit_rate")}
    point.intervals, point.settings["k"] = {}, 1
    record = make_record([point], started=f"2026-11-22T12:{number:02}:00+00:00", name=f"run {number}")
    known = {"gallery_ids": "g", "relevance": "r", "query_ids": f"{len(asked)} queries"}
    record.data = record.data | known | {"judgements": f"of {len(asked)}"} | data
    (folder / str(number) / "points").mkdir(parents=True)
    np.savez(
        folder / str(number) / "points/p.npz",
        asked=asked,
        wanted=asked * np.uint64(7) if wanted is None else wanted,
        sources=np.arange(len(asked), dtype=np.int32),
        knn_recall_at_1=values,
        hit_rate_at_1=values,
    )
    return Run(record, folder / str(number))


def of_scope(rows: list[Row], scope: str) -> list[Row]:
    return [row for row in rows if row.shared is not None and row.shared.scope == scope]


def shared_of(runs: list[Run]) -> list[Row]:
    report = make_report(runs, "title", Requirements("hit_rate", 1))
    return [row for row in report.rows if row.shared is not None]


def test_all_queries_and_a_subset_are_compared_on_the_subset(tmp_path: Path) -> None:
    runs = [run_over(tmp_path, ALL, 1), run_over(tmp_path, PART, 2)]
    report = make_report(runs, "title", Requirements("hit_rate", 1))
    rows = list(report.rows)
    truth = np.mean([RIGHT[int(query)] for query in PART])
    for scope, measure in ((EXACT, "knn_recall"), (RELEVANCE, "hit_rate")):
        both = of_scope(rows, scope)
        assert len(both) == 2 and sets_of(rows, scope)[0] == both
        for row in both:
            assert row.point.curve(measure)[1] == pytest.approx(truth)
            low, high = row.point.interval(measure, 1) or (1, 0)
            assert low < truth < high
            assert row.p50_ms == 0.1, "latencies stay as they were measured"
        assert list(row.point.curves) == [measure], "of its scope alone"
        assert heading(both, rows, scope) == "on the 40 queries that all were asked"
        assert "on the 40 queries that all were asked" in caption(both)[0]
        assert [len(members) for members in sets_of(rows, scope)] == [2, 1, 1], "and each by itself"
    assert len(report.advice) == 3
    assert "not distinguishable" in report.advice[0][0].text.lower(), "paired query by query"


def test_answers_of_the_same_queries_come_in_the_same_order(tmp_path: Path) -> None:
    one, other = run_over(tmp_path, ALL, 1), run_over(tmp_path, ALL, 2)
    answers = [answers_of(run.folder, run.record.points[0], "hit_rate", 1) for run in (one, other)]
    assert answers[0] is not None and answers[1] is not None
    assert answers[0].pairs_with(answers[1]) and (answers[0].values == answers[1].values).all()
    [first, *_] = [answers_of(run.folder, run.record.points[0], "hit_rate", 1) for run in [one]]
    part = run_over(tmp_path, PART, 3)
    mine = answers_of(part.folder, part.record.points[0], "hit_rate", 1)
    assert first is not None and mine is not None and not first.pairs_with(mine)


@pytest.mark.parametrize(
    "changed",
    [{"gallery_ids": "other images", "gallery_key": "other"}, {"relevance": "other", "gallery_key": "other"}],
)
def test_other_galleries_and_judgements_share_nothing(tmp_path: Path, changed: dict[str, str]) -> None:
    runs = [run_over(tmp_path, ALL, 1), run_over(tmp_path, PART, 2, **changed)]
    assert shared_of(runs) == []


def test_queries_to_which_something_else_is_relevant_are_others_for_relevance_only(tmp_path: Path) -> None:
    runs = [run_over(tmp_path, ALL, 1), run_over(tmp_path, PART, 2, wanted=PART * np.uint64(9))]
    assert {row.shared.scope for row in shared_of(runs) if row.shared} == {EXACT}


def test_models_are_compared_on_shared_queries_by_relevance_alone(tmp_path: Path) -> None:
    runs = [run_over(tmp_path, ALL, 1), run_over(tmp_path, PART, 2, gallery_key="of another model")]
    assert {row.shared.scope for row in shared_of(runs) if row.shared} == {RELEVANCE}


def test_too_few_shared_queries_and_runs_without_digests_are_left_apart(tmp_path: Path) -> None:
    few = [run_over(tmp_path, ALL, 1), run_over(tmp_path, ALL[:5], 2)]
    assert shared_of(few) == []
    old = [run_over(tmp_path, ALL, 3), run_over(tmp_path, PART, 4)]
    del old[1].record.data["query_ids"]
    assert shared_of(old) == []
    lost = [run_over(tmp_path, ALL, 5), Run(run_over(tmp_path, PART, 6).record, None)]
    assert (
        shared_rows(make_report(lost, "title").rows, {run.record.identity: run.folder for run in lost}) == []
    )


def test_costs_are_of_the_same_queries_and_not_of_as_many_others(tmp_path: Path) -> None:
    """Sources are numbers that begin at 0 in every run: they cannot tell whose queries these are."""
    other = run_over(tmp_path, np.arange(41, 81, dtype=np.uint64), 2)
    same = run_over(tmp_path, PART, 3)
    runs = [run_over(tmp_path, PART, 1), other, same]
    costs = costs_of(runs, "run 1")
    assert [cost.row.record.name for cost in costs.others] == ["run 3"]
    assert costs.others[0].differences[1].mean == 0
