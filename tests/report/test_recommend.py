"""The recommendation: chosen on one half of the queries, stated on the other; runners-up are paired."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.errors import UserError
from lookalike.evaluate.statistics import split_halves
from lookalike.report.recommend import Requirements, recommend
from lookalike.report.rows import Row, rows_of
from lookalike.report.samples import Answers
from lookalike.report.shares import MinShare
from tests.records import make_point, make_record

SOURCES = tuple(str(query // 2) for query in range(400))
FIRST, SECOND = split_halves(SOURCES)
NOISE = np.random.default_rng(0).normal(0, 0.01, len(SOURCES))
for half in (FIRST, SECOND):
    NOISE[half] -= NOISE[half].mean()


def row(name: str, recall: float, p50_ms: float, *, gb: float = 0.02) -> Row:
    point = make_point("ivf_flat", {"nlist": 64}, {}, recall, p50_ms, label=name, trial_key=name)
    point.metrics["serving_memory_bytes"] = gb * 1e9
    return rows_of([make_record([point])])[0]


class Queries:
    """Each point's recall on each query: its mean plus noise that all points share, unless set apart."""

    def __init__(self, **given: tuple[float, float]) -> None:
        self.given = given

    def __call__(self, row: Row, measure: str, k: int) -> Answers:
        first, second = self.given.get(row.point.label, (row.point.curve(measure)[k],) * 2)
        return Answers(np.clip(np.where(FIRST, first, second) + NOISE, 0, 1), SOURCES)


def test_the_fastest_that_has_the_recall() -> None:
    rows = [row("slow", 0.99, 2.0), row("good", 0.96, 0.5), row("rough", 0.8, 0.1)]
    advice = recommend(rows, Requirements(min_recall=0.95), Queries())
    assert advice.row is rows[1]
    assert advice.headline == "For knn_recall@100 ≥ 0.95: good, 0.5 ms (p95 0.7), 20 MB."


def test_nothing_asked_for_means_nineteen_of_twenty_neighbours() -> None:
    rows = [row("good", 0.96, 0.5), row("rough", 0.9, 0.1)]
    assert recommend(rows, Requirements(), Queries()).headline.startswith("For knn_recall@100 ≥ 0.95: good")


class Uneven(Queries):
    """Each point fails wholly on a share of the queries of either half, and answers the others."""

    def __call__(self, row: Row, measure: str, k: int) -> Answers:
        values = np.ones(len(SOURCES))
        for half, failing in zip((FIRST, SECOND), self.given[row.point.label], strict=True):
            places = np.flatnonzero(half)
            values[places[: round(failing * len(places))]] = 0.5
        return Answers(values.astype(np.float32).astype(np.float64), SOURCES)


def test_a_share_of_the_queries_may_be_required_whatever_the_mean_is() -> None:
    rows = [row("even", 0.99, 0.5), row("uneven", 0.98, 0.1)]
    queries = Uneven(even=(0.0, 0.01), uneven=(0.05, 0.05))
    assert recommend(rows, Requirements(min_recall=0.95), queries).row is rows[1]
    advice = recommend(rows, Requirements(min_shares=(MinShare(0.8, 0.99),)), queries)
    assert advice.row is rows[0]
    assert advice.headline.startswith("For knn_recall@100 of 0.8 or more for 99 % of the queries: even")
    assert "It has 0.8 or more for 99.00% on the other half of the queries." in advice.lines
    both = Requirements(min_recall=0.9, min_shares=(MinShare(0.5, 1), MinShare(0.51, 0.9)))
    assert recommend(rows, both, queries).row is rows[1], "the fastest that meets all"
    advice = recommend(
        rows, Requirements(min_shares=(MinShare(0.8, 1),)), Uneven(even=(0, 0.02), uneven=(1, 1))
    )
    assert "98.00% on the other half of the queries, fewer than was asked." in advice.text
    nothing = Uneven(even=(0.5, 0.5), uneven=(1, 1))
    assert recommend(rows, Requirements(min_shares=(MinShare(0.8, 0.99),)), nothing).row is None


def test_shares_of_runs_without_values_per_query_come_from_the_record() -> None:
    rows = [row("even", 0.99, 0.5), row("uneven", 0.98, 0.1)]
    for each, share in zip(rows, (1.0, 0.9), strict=True):
        each.point.metrics["knn_recall_at_100_share_0.8"] = share
    required = Requirements(min_shares=(MinShare(0.8, 0.99),))
    assert recommend(rows, required, lambda row, measure, k: None).row is rows[0]
    unknown = Requirements(min_shares=(MinShare(0.77, 0.5),))
    assert recommend(rows, unknown, lambda row, measure, k: None).row is None


def test_a_value_kept_in_32_bits_is_what_it_was() -> None:
    values = np.array([0.9, 0.9, 0.8, np.nan]).astype(np.float32).astype(np.float64)
    assert MinShare(0.9, 0.5).of(values, row("x", 0.9, 1.0), "knn_recall", 100) == pytest.approx(2 / 3)


@pytest.mark.parametrize("text", ["0.8", "0.8=2", "0.8=x", "nan=0.5", "=", "0.8=0.9=0.9"])
def test_a_share_that_is_none(text: str) -> None:
    with pytest.raises(UserError, match=r"is not RECALL=SHARE; 0\.8=0\.99 asks"):
        MinShare.parse(text)
    assert MinShare.parse("0.8=0.99") == MinShare(0.8, 0.99)


def test_it_is_chosen_on_one_half_and_stated_on_the_other() -> None:
    """A point that shines on the half that chooses is found out on the other."""
    rows = [row("steady", 0.96, 0.5), row("lucky", 0.95, 0.1)]
    advice = recommend(rows, Requirements(min_recall=0.95), Queries(lucky=(0.97, 0.90)))
    assert advice.row is rows[1]
    assert "(0.97" in advice.lines[0] and "on the other half its knn_recall@100 is 0.900" in advice.lines[0]
    assert "below what was asked" in advice.lines[0]
    advice = recommend(rows, Requirements(min_recall=0.95), Queries(lucky=(0.90, 0.99)))
    assert advice.row is rows[0], "what the other half says must not choose"


def test_limits_without_a_recall_ask_for_the_best_within_them() -> None:
    rows = [row("exact", 1.0, 5.0, gb=8), row("big", 0.97, 0.3, gb=8), row("small", 0.9, 0.3, gb=1)]
    assert recommend(rows, Requirements(max_p95_ms=1), Queries()).row is rows[1]
    advice = recommend(rows, Requirements(max_p95_ms=1, max_gb=2), Queries())
    assert advice.row is rows[2]
    assert advice.headline.startswith(
        "For the highest knn_recall@100 with p95 ≤ 1 ms and memory ≤ 2 GB: small"
    )


def test_half_the_memory_and_half_the_time_are_offered_with_what_they_lose() -> None:
    rows = [row("chosen", 0.97, 0.5, gb=3), row("compact", 0.966, 0.6, gb=1.2), row("quick", 0.94, 0.2, gb=3)]
    text = recommend(rows, Requirements(min_recall=0.96), Queries()).text
    assert "40% of the memory for −0.4 points: compact, 0.6 ms (p95 0.84), 1.2 GB." in text
    assert "40% of the time for −3.0 points: quick" in text


def test_runners_up_are_told_apart_only_when_their_queries_say_so() -> None:
    rows = [row("chosen", 0.96, 0.5), row("twin", 0.96, 0.6), row("better", 0.98, 0.7)]

    class Twin(Queries):
        def __call__(self, row: Row, measure: str, k: int) -> Answers:
            answers = super().__call__(row, measure, k)
            own = np.random.default_rng(1).normal(0, 0.02, len(SOURCES))
            return Answers(answers.values + own * (row.point.label == "twin"), SOURCES)

    text = recommend(rows, Requirements(min_recall=0.95), Twin()).text
    assert "Not distinguishable in recall from twin (×1.2 the time)." in text
    assert "Different in recall: better (+2.0 points at ×1.4 the time, p = 0.002)" in text
    assert "2 of 2 runners-up" in text and "Holm-corrected" in text


def test_other_queries_are_not_compared_in_pairs() -> None:
    rows = [row("chosen", 0.96, 0.5), row("other", 0.98, 0.7)]
    rows[1].record.config["queries"] = {"name": "copies", "n": 200, "seed": 1}
    assert "runners-up" not in recommend(rows, Requirements(min_recall=0.95), Queries()).text


def test_when_nothing_will_do_the_nearest_is_named() -> None:
    rows = [row("slow", 0.9, 2.0), row("rough", 0.5, 0.1)]
    advice = recommend(rows, Requirements(min_recall=0.95), Queries())
    assert advice.row is None
    assert advice.text == (
        "Nothing measured here meets knn_recall@100 ≥ 0.95.\n"
        "The nearest is slow: knn_recall@100 0.900, 2 ms (p95 2.8), 20 MB."
    )
    advice = recommend(rows, Requirements(min_recall=0.95, max_gb=0.001), Queries())
    assert "No point keeps the limits" in advice.text and advice.row is None


def test_without_values_per_query_it_says_that_it_flatters() -> None:
    rows = [row("good", 0.96, 0.5)]
    advice = recommend(rows, Requirements(min_recall=0.95), lambda row, measure, k: None)
    assert advice.row is rows[0] and "which flatters it" in advice.lines[0]


def test_a_lower_cut_off_says_what_was_searched_for() -> None:
    advice = recommend([row("good", 0.96, 0.5)], Requirements(k=10, min_recall=0.9), Queries())
    assert advice.headline.startswith("For knn_recall@10 (first 10 of 100) ≥ 0.9: good")


def test_a_measure_that_nobody_has_recommends_nothing() -> None:
    assert recommend([row("good", 0.96, 0.5)], Requirements(k=77), Queries()).row is None


@pytest.mark.parametrize("wrong", [{"min_recall": 95}, {"max_gb": 0}, {"max_p95_ms": -1}])
def test_impossible_wishes(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="--"):
        Requirements(**wrong)  # type: ignore[arg-type]
