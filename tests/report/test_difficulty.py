"""Why a point loses, in sentences that stand only where the record bears them out."""

from __future__ import annotations

from typing import Any

import pytest

from lookalike.report.difficulty import (
    difficulty_payload,
    points_that_matter,
    query_sentences,
    reasons,
    short_reason,
)
from lookalike.report.digits import share_text
from lookalike.report.recommend import Advice
from lookalike.report.rows import Row, rows_of
from lookalike.report.table import comparison_markdown
from tests.records import make_point, make_record, quarters

HUBS = {"missed": 1234, "queries": 90, "occurrences": 62.0, "expected": 50.0, "low": 8.0, "high": 12.0}
KNOWN: dict[str, Any] = {
    "neighbours": 100,
    "rank": 10,
    "queries": 1400,
    "with_equals": 0,
    "with_near_equals": 3,
    "lid": [13.8, 20.4, 28.8],
    "relative_contrast": [1.24, 1.33, 1.48],
    "distance_ratio": 3.1,
    "distance_ratio_interval": [2.9, 3.3],
    "hubness_skewness": 1.6,
    "hubness_skewness_by_chance": 0.16,
}


def row(**changes: Any) -> Row:
    [made] = rows_of([make_record([make_point("ivf_flat", **{"recall": 0.9, **changes})])])
    return made


def test_hard_queries_are_named_with_their_figures() -> None:
    """The quantity that tells them apart most is the one that is named."""
    lost = {"lid": quarters(0.98, 0.71), "relative_contrast": quarters(0.95, 0.8)}
    assert reasons(row(by_difficulty=lost)) == [
        "It loses most among hard queries: knn_recall@100 is 0.710 (0.690–0.730) in the quarter of highest "
        "local intrinsic dimension (30.0–40.0, 350 queries), 0.980 (≥ 0.960) in that of lowest "
        "(0.0–10.0)."
    ]
    lost["relative_contrast"] = quarters(0.99, 0.6)
    [line] = reasons(row(by_difficulty=lost))
    assert "quarter of lowest relative contrast" in line and "in that of highest" in line


def test_easy_queries_that_lose_more_are_not_called_hard() -> None:
    """As HNSW does with tight clusters apart from each other."""
    [line] = reasons(row(by_difficulty={"lid": quarters(0.6, 0.8)}))
    assert line.startswith(
        "It loses most among easy queries: knn_recall@100 is 0.600 (0.580–0.620) in the quarter"
    )
    assert "of lowest local intrinsic dimension (0.0–10.0, 350 queries), 0.800" in line
    assert short_reason([row(by_difficulty={"lid": quarters(0.6, 0.8)})]) is None


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(quarters(0.90, 0.87), id="intervals overlap"),
        pytest.param(quarters(0.999, 0.985, reach=0.001), id="too small to matter"),
        pytest.param(
            [{"low": 0, "high": 1, "queries": 9, "mean": mean} for mean in (1, 1, 1, 0.5)], id="none"
        ),
    ],
)
def test_where_nothing_stands_out_it_says_so(lost: list[dict[str, float]]) -> None:
    same = HUBS | {"low": -1.0, "high": 13.0}
    [line] = reasons(row(by_difficulty={"lid": lost}, missed_neighbours=same))
    assert line.startswith("Nothing stands out: knn_recall@100 is ")
    assert f"in the easiest and {share_text(lost[3]['mean'])}" in line
    assert "of 62.0 other queries on average, found ones at the same ranks of 50.0" in line
    assert short_reason([row(by_difficulty={"lid": lost})]) is None


def test_hubs_and_antihubs() -> None:
    [hubs] = reasons(row(missed_neighbours=HUBS))
    assert hubs == (
        "It misses hubs more than others: its 1,234 missed neighbours are neighbours of 62.0 other "
        "queries on average, those that were found at the same ranks of 50.0."
    )
    [few] = reasons(
        row(missed_neighbours=HUBS | {"occurrences": 1.0, "expected": 4.0, "low": -4.0, "high": -2.0})
    )
    assert few.startswith("It misses anti-hubs more than others") and "of 1.0 other queries" in few
    [alike] = reasons(row(missed_neighbours=HUBS | {"occurrences": 52.0, "low": 1.0, "high": 3.0}))
    assert alike.startswith("Nothing stands out"), "sure, and too small to be a reason"


def test_what_is_not_in_a_record_is_not_made_up() -> None:
    [line] = reasons(row())
    assert line.startswith("The record does not say")
    assert reasons(row(missed_neighbours={"missed": 3.0}))[0].startswith("Nothing stands out")
    assert query_sentences({}) == query_sentences({"difficulty": {}}) == []
    assert short_reason([row()]) is None


@pytest.mark.parametrize(
    ("ratio", "interval", "said"),
    [
        (
            3.1,
            [2.9, 3.3],
            "The queries are not like the gallery: they lie 3.10 × as far from it as its own vectors",
        ),
        (
            1.01,
            [0.96, 1.06],
            "The queries lie as far from the gallery as its own vectors from each other: 1.01 ×",
        ),
        (1.06, [1.02, 1.09], "The queries lie 1.06 × as far from the gallery"),
        (
            0.4,
            [0.3, 0.5],
            "The queries lie closer to the gallery than its own vectors to each other, 0.40 × as far",
        ),
    ],
)
def test_where_the_queries_come_from(ratio: float, interval: list[float], said: str) -> None:
    lines = query_sentences(
        {"difficulty": KNOWN | {"distance_ratio": ratio, "distance_ratio_interval": interval}}
    )
    [line] = [line for line in lines if "from each other" in line or "to each other" in line]
    assert line.startswith(said)
    assert f"({interval[0]:.2f}–{interval[1]:.2f}; medians of the distance to neighbour 10)" in line


def test_hubs_and_equals_of_the_queries_are_said_when_there_are_many() -> None:
    lines = query_sentences({"difficulty": KNOWN})
    assert len(lines) == 3
    assert lines[0].startswith(
        "Half of the queries have a local intrinsic dimension of 13.8–28.8 (median 20.4"
    )
    assert "skewness of how many 1.6, by chance 0.2" in lines[2]
    quiet = KNOWN | {"hubness_skewness": 10.4, "hubness_skewness_by_chance": 10.0}
    assert len(query_sentences({"difficulty": quiet})) == 2, "as of few queries against a large gallery"
    [*_, equals] = query_sentences({"difficulty": quiet | {"with_equals": 140}})
    assert equals.startswith("140 of 1,400 queries have an equal vector in the gallery")


def test_the_recommended_point_comes_first_and_only_those_that_lose() -> None:
    points = [
        make_point("ivf_flat", {}, {"nprobe": n}, recall, ms, trial_key=str(n))
        for n, recall, ms in ((1, 0.5, 0.1), (8, 0.9, 0.4), (64, 1.0, 2.0), (2, 0.4, 3.0))
    ]
    rows = rows_of([make_record(points)])
    chosen = points_that_matter(Advice(rows[1], ""), rows)
    assert [row.point.label for row in chosen] == ["ivf_flat nprobe=8", "ivf_flat nprobe=1"]
    [payload] = difficulty_payload([(Advice(None, ""), rows)], rows)
    assert payload["among"] == [0, 1, 2, 3]
    assert [each["point"] for each in payload["points"]] == [0, 1]


def test_each_model_has_easy_queries_of_its_own() -> None:
    records = [make_record(model={"name": name}) for name in ("siglip", "siglip", "pixels")]
    records[1].data = records[1].data | {"difficulty": KNOWN}  # the first is of an earlier version
    records[2].data = records[2].data | {"difficulty": KNOWN | {"distance_ratio": 1.0}}
    rows = [Row(record, record.points[0]) for record in records]
    [payload] = difficulty_payload([(Advice(None, ""), rows)], rows)
    assert len(payload["queries"]) == 6
    assert payload["queries"][0].startswith("siglip: ") and payload["queries"][-1].startswith("pixels: ")


def test_the_comparison_has_it_in_one_line() -> None:
    lost = {"lid": quarters(0.98, 0.71)}
    record = make_record([make_point(recall=0.9, by_difficulty=lost)])
    line = "recall@100 0.710 in the hardest quarter of the queries, 0.980 in the easiest"
    assert comparison_markdown([record], "one").count(line) == 1
    other = make_point("hnsw", recall=0.99, p50_ms=1.0, by_difficulty={"lid": quarters(0.99, 0.985)})
    both = [record, make_record([other])]
    assert f"{line} (ivf_flat nlist=64 nprobe=8)" in comparison_markdown(both, "two"), (
        "the best that shows one"
    )
