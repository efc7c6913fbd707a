"""The recommendation: chosen on some of the queries, stated on the others; runners-up are paired."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lookalike.errors import UserError
from lookalike.evaluate.statistics import split_sources
from lookalike.report.choice import TO_CHOOSE
from lookalike.report.recommend import Requirements, recommend
from lookalike.report.rows import Row, rows_of
from lookalike.report.samples import Answers
from lookalike.report.shares import MinShare
from tests.records import make_point, make_record

SOURCES = tuple(str(query // 2) for query in range(4000))
FIRST, SECOND = split_sources(SOURCES, TO_CHOOSE)
NOISE = np.random.default_rng(0).normal(0, 0.01, len(SOURCES))
for half in (FIRST, SECOND):
    NOISE[half] -= NOISE[half].mean()


def row(name: str, recall: float, p50_ms: float, *, gb: float = 0.02) -> Row:
    point = make_point("ivf_flat", {"nlist": 64}, {}, recall, p50_ms, label=name, trial_key=name)
    point.metrics["serving_memory_bytes"] = gb * 1e9
    point.latency["single"] |= {"turn_p50_ms": [p50_ms] * 4, "turn_p95_ms": [1.4 * p50_ms] * 4}
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
    assert "It has 0.8 or more for 99.00% on the other quarter of the queries." in advice.lines
    both = Requirements(min_recall=0.9, min_shares=(MinShare(0.5, 0.99), MinShare(0.51, 0.9)))
    assert recommend(rows, both, queries).row is rows[1], "the fastest that meets all"
    advice = recommend(
        rows, Requirements(min_shares=(MinShare(0.8, 0.99),)), Uneven(even=(0, 0.02), uneven=(1, 1))
    )
    assert "98.00% on the other quarter of the queries, fewer than was asked." in advice.text
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


def test_it_is_chosen_on_some_queries_and_stated_on_others() -> None:
    """A point that shines on the queries that choose is found out on the others."""
    rows = [row("steady", 0.96, 0.5), row("lucky", 0.95, 0.1)]
    advice = recommend(rows, Requirements(min_recall=0.95), Queries(lucky=(0.97, 0.90)))
    assert advice.row is rows[1]
    assert (
        "(0.97" in advice.lines[0] and "on the other quarter its knn_recall@100 is 0.900" in advice.lines[0]
    )
    assert "below what was asked" in advice.lines[0]
    advice = recommend(rows, Requirements(min_recall=0.95), Queries(lucky=(0.90, 0.99)))
    assert advice.row is rows[0], "what the others say must not choose"


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
            return Answers(np.clip(answers.values + own * (row.point.label == "twin"), 0, 1), SOURCES)

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


def test_what_is_said_of_the_nearest_says_on_which_queries() -> None:
    """The table has the recall of all: another number beside it needs its basis."""
    advice = recommend([row("slow", 0.9, 2.0)], Requirements(min_recall=0.95), Queries(slow=(0.91, 0.87)))
    [line] = advice.lines[:1]
    assert line.startswith(
        "The nearest is slow: knn_recall@100 0.900 (0.870 on the queries that did not choose it)"
    )


def test_without_values_per_query_it_says_that_it_flatters() -> None:
    rows = [row("good", 0.96, 0.5)]
    advice = recommend(rows, Requirements(min_recall=0.95), lambda row, measure, k: None)
    assert advice.row is rows[0] and "which flatters it" in advice.lines[0]


def test_a_lower_cut_off_says_what_was_searched_for() -> None:
    advice = recommend([row("good", 0.96, 0.5)], Requirements(k=10, min_recall=0.9), Queries())
    assert advice.headline.startswith("For knn_recall@10 (first 10 of 100) ≥ 0.9: good")


def test_a_measure_that_nobody_has_recommends_nothing() -> None:
    assert recommend([row("good", 0.96, 0.5)], Requirements(k=77), Queries()).row is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_recall": 95},
        {"confidence": 95},
        {"confidence": 0.5},
        {"max_gb": 0},
        {"max_p95_ms": -1},
        {"max_end_to_end_ms": 0},
    ],
)
def test_impossible_wishes(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="--"):
        Requirements(**wrong)  # type: ignore[arg-type]


def hits(*shares: float, sources: int = 400) -> Callable[[Row, str, int], Answers]:
    """Queries of one source each; on either half the same share of them misses all."""
    names = tuple(map(str, range(sources)))
    first, _ = split_sources(names, TO_CHOOSE)
    of_label = {f"p{number}": share for number, share in enumerate(shares)}

    def answers(row: Row, measure: str, k: int) -> Answers:
        values = np.ones(sources)
        for half in (first, ~first):
            places = np.flatnonzero(half)
            values[places[: round((1 - of_label[row.point.label]) * len(places))]] = 0
        return Answers(values, names)

    return answers


def test_a_point_that_only_just_has_the_recall_is_not_taken() -> None:
    """Of 200 queries 192 hit: 0.96, but not beyond doubt 0.95; of 0.99 it is sure."""
    rows = [row("p0", 0.96, 0.1), row("p1", 0.995, 0.4)]
    advice = recommend(rows, Requirements(measure="hit_rate", min_recall=0.95), hits(0.96, 0.995))
    assert advice.row is rows[1]
    assert "with 95% confidence for all points at once" in advice.lines[0]
    [faster] = [line for line in advice.lines if line.startswith("Faster, but not sure to meet it: p0")]
    assert "0.960 measured" in faster and "queries would decide, where 400 were asked." in faster
    bold = Requirements(measure="hit_rate", min_recall=0.95, confidence=0.6)
    assert recommend(rows, bold, hits(0.965, 0.995)).row is rows[0], "as sure as one asks for"


def test_when_no_point_is_sure_the_nearest_is_offered_with_the_queries_that_would_decide() -> None:
    rows = [row("p0", 0.96, 0.1), row("p1", 0.9, 0.05)]
    requirements = Requirements(measure="hit_rate", min_recall=0.95)
    advice = recommend(rows, requirements, hits(0.96, 0.9))
    assert advice.row is None
    assert advice.headline == "Nothing measured here is sure to meet hit_rate@100 ≥ 0.95 (95 % confidence)."
    found = re.search(r"The nearest is p0, .*About ([\d,]+) queries would decide", advice.lines[0])
    assert found is not None
    enough = int(found[1].replace(",", ""))
    assert 400 < enough < 10_000
    assert recommend(rows, requirements, hits(0.96, 0.9, sources=enough)).row is rows[0]
    nothing_missed = Requirements(measure="hit_rate", min_recall=1)
    assert "No number of queries can show" in recommend(rows, nothing_missed, hits(1, 0.9)).text


def test_an_exact_index_needs_no_sample_to_show_that_it_is() -> None:
    index = {"family": "flat", "metric": "l2"}
    exact = rows_of([make_record([make_point("flat", {}, {}, 1.0, 2.0, label="p0")], index=index)])
    requirements = Requirements(min_recall=0.999)
    advice = recommend(exact, requirements, hits(1.0, sources=6))
    assert advice.row is exact[0]
    of_relevance = Requirements(measure="hit_rate", min_recall=0.999)
    assert recommend(exact, of_relevance, hits(1.0, sources=6)).row is None


def test_the_latency_is_stated_from_turns_that_did_not_choose() -> None:
    """Of two points of one recall the first was lucky in the turns that choose."""
    rows = [row("lucky", 0.99, 0.5), row("steady", 0.99, 0.52)]
    rows[0].point.latency["single"]["turn_p50_ms"] = [0.4, 0.6, 0.4, 0.6, 0.4]
    rows[1].point.latency["single"]["turn_p50_ms"] = [0.52] * 5
    advice = recommend(rows, Requirements(), Queries())
    assert advice.row is rows[0] and "lucky, 0.6 ms" in advice.headline
    [told] = [line for line in advice.lines if "did not choose it" in line]
    assert told.endswith("over all turns, as in the table, its median is 0.5 ms.")

    for each in rows:
        del each.point.latency["single"]["turn_p50_ms"]
    advice = recommend(rows, Requirements(), Queries())
    assert "chosen and is stated on the same samples" in advice.text


def test_the_final_timing_of_a_sweep_states_what_the_timing_of_the_jobs_chose() -> None:
    jobs = [row("first", 0.99, 0.5), row("second", 0.99, 0.6)]
    rows = [
        replace(final, jobs=job) for job, final in zip(jobs, [row("first", 0.99, 0.7), jobs[1]], strict=True)
    ]
    advice = recommend(rows, Requirements(), Queries())
    assert advice.row is rows[0] and "first, 0.7 ms" in advice.headline
    assert "Its latency is from the final timing of the sweep; the jobs' own timing chose." in advice.lines


def test_a_limit_on_the_latency_has_a_margin_and_is_stated_on_other_turns() -> None:
    rows = [row("close", 0.99, 0.5), row("far", 0.97, 0.2)]
    single = rows[0].point.latency["single"]
    single |= {"turn_p95_ms": [0.7, 0.8, 0.7, 0.8], "p95_ms_interval": [0.69, 0.71]}
    assert recommend(rows, Requirements(max_p95_ms=0.701), Queries()).row is rows[1], "not beyond doubt"
    advice = recommend(rows, Requirements(max_p95_ms=0.75), Queries())
    assert advice.row is rows[0] and "(p95 0.8)" in advice.headline
    assert "Its p95 there is above what was asked" in advice.text


def test_a_doubtful_timing_is_not_chosen_unless_nothing_else_will_do() -> None:
    rows = [row("doubtful", 0.99, 0.1), row("good", 0.98, 0.5), row("rough", 0.5, 0.05)]
    rows[0].point.flags = ["single searches took 40% longer at times; time again"]
    advice = recommend(rows, Requirements(), Queries())
    assert advice.row is rows[1]
    told = "1 point is left out, the timing in doubt (doubtful: single searches took 40% longer at times"
    assert told in advice.text
    advice = recommend(rows[::2], Requirements(), Queries())
    assert advice.row is rows[0]
    assert "Its timing is in doubt: single searches took 40% longer at times; time again." in advice.lines


def test_points_that_are_equal_as_far_as_was_measured_are_named() -> None:
    rows = [row("chosen", 0.97, 0.5), row("twin", 0.972, 0.505), row("slow", 0.971, 0.9)]
    text = recommend(rows, Requirements(), Queries()).text
    told = (
        "As good, as far as was measured (intervals of latency and recall overlap): twin (0.505 ms, 0.972)."
    )
    assert told in text


def relevance(fall: float, queries: int = 500) -> tuple[Answers, Answers]:
    """What the exact answer gives and what a point gives that misses ``fall`` of its hits."""
    names = tuple(map(str, range(queries)))
    exact = np.ones(queries)
    exact[::10] = 0
    point = exact.copy()
    point[np.flatnonzero(exact)[: round(fall * queries)]] = 0
    return Answers(exact, names), Answers(point, names)


@pytest.mark.parametrize(
    ("fall", "told"),
    [
        (0.002, "From 1 to 0.960 of the exact answer (knn_recall@100), hit_rate@1 changes by −0.002 ("),
        (0.08, "hit_rate@1 changes by −0.080 ("),
        (0.0, "hit_rate@1 changes by 0 ("),
    ],
)
def test_what_a_loss_of_recall_costs_in_relevance(fall: float, told: str) -> None:
    rows = [row("good", 0.96, 0.5), row("better", 0.99, 0.9)]
    exact, found = relevance(fall)

    def answers(row: Row, measure: str, k: int) -> Answers:
        return found if measure == "hit_rate" else Queries()(row, measure, k)

    advice = recommend(rows, Requirements(min_recall=0.9), answers, lambda row, measure, k: exact)
    [line] = [line for line in advice.lines if told in line]
    assert line.endswith("2 points for each point of recall." if fall > 0.05 else ": not distinguishable.")
    assert [cost.row for cost in advice.relevance_costs] == rows
    assert advice.relevance_costs[0].fall.mean == pytest.approx(fall)
    [others] = [line for line in advice.lines if line.startswith("What the loss costs in hit_rate@1")]
    assert (
        "better (0.990) −0.080" if fall > 0.05 else "not distinguishable: 1 point (recall 0.990)"
    ) in others


def test_without_the_exact_answer_nothing_is_said_of_what_recall_costs() -> None:
    advice = recommend([row("good", 0.96, 0.5)], Requirements(min_recall=0.9), Queries())
    assert advice.relevance_costs == () and "exact answer" not in advice.text


def test_a_limit_may_be_of_encoding_and_search_together() -> None:
    rows = [row("slow", 0.99, 2.0), row("good", 0.96, 0.5), row("not timed", 0.999, 0.4)]
    for one, end_to_end in zip(rows, (33.0, 30.0), strict=False):
        one.point.metrics["end_to_end_p95_ms"] = end_to_end
    advice = recommend(rows, Requirements(max_end_to_end_ms=32), Queries())
    assert advice.row is rows[1]
    assert "the highest knn_recall@100 with p95 end to end ≤ 32 ms" in advice.headline
    assert recommend(rows, Requirements(max_p95_ms=5), Queries()).row is rows[2], "of the search alone"
    assert recommend(rows, Requirements(max_end_to_end_ms=30), Queries()).row is None, "not for sure"
    unmeasured = recommend([row("search alone", 0.99, 2.0)], Requirements(max_end_to_end_ms=30), Queries())
    assert unmeasured.row is None
    assert "search.encoding=true measures it" in unmeasured.headline
