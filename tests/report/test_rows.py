"""Which points may be compared, and what is said of them together."""

from __future__ import annotations

from typing import Any

import pytest

from lookalike.report.captions import caption
from lookalike.report.columns import TELLING_APART, differing
from lookalike.report.front import front
from lookalike.report.rows import common_settings, comparable, heading, rows_of
from lookalike.runs.record import Record
from lookalike.runs.terms import EXACT, RELEVANCE
from tests import records


def later(record: Record, seconds: int) -> Record:
    """The same trial, another time."""
    record.started = f"2026-11-22T12:00:{seconds:02}+00:00"
    record.finished = f"2026-11-22T12:00:{seconds + 1:02}+00:00"
    return record


def repeated(*p50_ms: float) -> list[Record]:
    return [
        later(records.make_record([records.make_point(p50_ms=each)]), seconds)
        for seconds, each in enumerate(p50_ms)
    ]


def test_a_trial_repeated_on_equal_terms_is_one_row_with_its_median_and_range() -> None:
    [row] = rows_of(repeated(3, 1, 2))
    assert [each.p50_ms for each in row.each] == [3, 1, 2]
    assert row.p50_ms == row.point.metrics["latency_single_p50_ms"] == 2
    assert row.spread("latency_single_p50_ms") == (1, 3)
    [row] = rows_of(repeated(4, 1, 2, 8))
    assert row.p50_ms == 3 and row.point.metrics["latency_single_p50_ms"] == 2
    [row] = rows_of(repeated(1))
    assert row.each == (row,) and row.spread("latency_single_p50_ms") is None


def test_a_record_that_is_there_twice_is_no_repeat() -> None:
    [record] = repeated(1)
    assert not rows_of([record, record])[0].repeats


def on_host(record: Record, host: str) -> Record:
    record.environment = {**record.environment, "hostname": host}
    return record


def test_equal_nodes_of_a_cluster_make_one_front_and_their_spread_is_shown() -> None:
    """Fifty hosts: a point on each, and one point on all of them."""
    points = [
        records.make_point(search_settings={"nprobe": n}, recall=0.5 + n / 200, p50_ms=n + 1)
        for n in range(50)
    ]
    spread = [on_host(later(records.make_record([point]), n), f"node{n}") for n, point in enumerate(points)]
    [group] = comparable(rows_of(spread))
    assert len(front(group)) == 50 and heading(group, among=group) == ""
    same = [on_host(record, f"node{n}") for n, record in enumerate(repeated(*range(1, 51)))]
    [row] = rows_of(same)
    assert len(row.hosts) == 50 and row.p50_ms == 25.5 and row.spread("latency_single_p50_ms") == (1, 50)


OTHER_TERMS = [
    ("environment", "cpu", "Another CPU", "Another CPU"),
    ("environment", "usable_cores", 64.0, "64 of 2 cores"),
    ("environment", "faiss_compile_options", "OPTIMIZE AVX2", "AVX2"),
    ("environment", "blas", ["mkl 2026"], "mkl 2026"),
    ("environment", "versions", {"faiss": "1.16.0"}, "FAISS 1.16.0"),
    ("data", "protocol_description", "100 originals", "copies: 1,400 queries (100 originals)"),
    ("data", "query_seed", 1, "query seed 1"),
    ("data", "query_ids", "another set", "query_ids another "),
    ("data", "query_files", "another file", "query_files another "),
    ("data", "unit_length", False, "lengths as they are"),
    ("model", "name", "pixels", "pixels"),
    ("index", "metric", "ip", "ip"),
    ("data", "gallery_key", "other", "gallery_key other"),
]


@pytest.mark.parametrize(("where", "name", "value", "told"), OTHER_TERMS)
def test_points_on_other_terms_stand_apart(where: str, name: str, value: object, told: str) -> None:
    """And neither replaces the other."""
    other = later(records.make_record(), 30)
    setattr(other, where, getattr(other, where) | {name: value})
    mixed = rows_of([records.make_record(), other])
    groups = comparable(mixed)
    assert [len(group) for group in groups] == [1, 1]
    assert heading(groups[1], among=mixed) == told


def test_runs_of_2_and_64_cores_are_two_groups_and_both_are_there() -> None:
    two, many = repeated(2, 1)
    many.environment = {**many.environment, "cores": 64}
    groups = comparable(rows_of([two, many]))
    assert [[row.p50_ms for row in group] for group in groups] == [[2], [1]]
    assert [heading(group, among=[*groups[0], *groups[1]]) for group in groups] == ["2 cores", "64 cores"]


def test_a_quota_is_another_number_of_cores() -> None:
    free, throttled = repeated(1, 2)
    throttled.environment = {**throttled.environment, "usable_cores": 1.5}
    groups = comparable(rows_of([free, throttled]))
    assert heading(groups[1], among=[*groups[0], *groups[1]]) == "1.5 of 2 cores"


@pytest.mark.parametrize("changed", [{"k": 10}, {"latency": {"single": {"threads": 2}}}])
def test_another_k_or_thread_count_stands_apart(changed: dict[str, Any]) -> None:
    mixed = rows_of([records.make_record(), records.make_record([records.make_point(**changed)])])
    assert len(comparable(mixed)) == 2


def batches(*sizes: int) -> list[Record]:
    """One trial in batches of several sizes."""
    made = repeated(*[1.0] * len(sizes))
    for record, size in zip(made, sizes, strict=True):
        record.config["search"] = {**record.config["search"], "batch_size": size}
        record.points[0].latency["batch"] = {"threads": 2, "samples": 40, "queries_per_call": size}
        record.points[0].trial_key += f" {size}"
    return made


def test_batches_of_other_sizes_share_a_front_and_can_be_told_apart() -> None:
    [group] = comparable(rows_of(batches(1, 8, 64, 1024)))
    assert len(group) == 4, "none replaces another"
    told = differing(group)
    assert [column.title for column in told] == ["batch size"]
    assert [told[0].cell(row) for row in group] == ["1", "8", "64", "1,024"]
    assert told[0].rank <= TELLING_APART, "no terminal is too narrow for it"
    assert " · batches on 2 threads · " in caption(group)[1]


def test_rows_of_one_label_are_told_apart_by_the_settings_in_which_they_differ() -> None:
    short, long = repeated(1, 2)
    long.points[0].trial_key += " longer"
    long.config = {**long.config, "search": {**long.config["search"], "seconds": 5}}
    [group] = comparable(rows_of([short, long]))
    assert [column.title for column in differing(group)] == ["search.seconds"]
    twins = repeated(1, 2)
    twins[1].points[0].trial_key += " of who knows what"
    [group] = comparable(rows_of(twins))
    assert [column.title for column in differing(group)] == ["run", "started"]


def test_one_gallery_under_two_configs_is_compared_and_two_under_one_are_not() -> None:
    """For relevance: two files of ready vectors of the same images."""
    known = {"gallery_ids": "g", "query_ids": "q", "relevance": "r", "judgements": "j"}
    one, other = repeated(1, 2)
    one.data = one.data | known
    other.data = other.data | known | {"gallery_key": "other vectors", "dataset": "elsewhere", "dim": 64}
    other.config = {
        **other.config,
        "dataset": {"name": "embeddings", "root": "b.npy"},
        "queries": {"n": None},
    }
    other.points[0].trial_key += " other"
    rows = rows_of([one, other])
    assert len(comparable(rows, RELEVANCE)) == 1 and len(comparable(rows, EXACT)) == 2
    for name in known:
        changed = later(records.make_record(), 40)
        changed.data = changed.data | known | {name: "another"}
        assert len(comparable(rows_of([one, changed]), RELEVANCE)) == 2, name


def test_where_nothing_is_judged_row_numbers_are_no_images() -> None:
    """Made-up vectors of two seeds have the same ids."""
    one, other = repeated(1, 2)
    for record, key in ((one, "seed 0"), (other, "seed 1")):
        record.data = record.data | {"gallery_ids": "0…n", "query_ids": "0…m", "gallery_key": key}
    assert len(comparable(rows_of([one, other]), RELEVANCE)) == 2


def test_recall_is_read_at_k_or_below_never_above() -> None:
    point = records.make_point(k=100)
    point.settings["k"] = 15
    (row,) = rows_of([records.make_record([point])])
    assert row.cutoff == 10
    assert row.recall == point.curve("knn_recall")[10]


def test_common_settings() -> None:
    ladder = records.make_ladder("ivf_flat", "nprobe", [1, 8])
    assert common_settings(rows_of([records.make_record(ladder)])) == {"nlist": 64}
    assert common_settings(rows_of([records.make_record()])) == {"nlist": 64}


def test_where_only_some_timings_are_in_doubt_the_others_are_the_median() -> None:
    slow, quick, doubtful = repeated(5, 3, 1)
    doubtful.timing = {"flags": ["the machine was busy"]}
    [row] = rows_of([slow, quick, doubtful])
    assert row.p50_ms == 4 and not row.doubts and len(row.each) == 3
    assert row.spread("latency_single_p50_ms") == (1, 5), "the range hides nothing"
    for record in (slow, quick):
        record.timing = {"flags": ["busy as well"]}
    assert rows_of([slow, quick, doubtful])[0].p50_ms == 3


def test_the_caption_says_what_is_the_same_and_leaves_the_rest_to_columns() -> None:
    one, other = repeated(1, 2)
    other.model = {"name": "pixels"}
    other.data = other.data | {"gallery_key": "other", "dim": 768}
    data, timing = caption(rows_of([one, other]))
    assert data == "twemoji: 4,009 images · 2 models (l2) · copies: 1,400 queries (200 originals × 7 edits)"
    assert timing == (
        "k = 100 · single queries on 1 thread · batches of 1024 on 2 threads · Imaginary CPU 9000, 2 cores"
        " · FAISS 1.15.1"
    )
    one.timing = {"flags": ["drift of 9 %"]}
    assert caption(rows_of([one]))[-1] == "warning: drift of 9 %"


def test_a_caption_says_which_points_drifted_and_how_many_queries_were_asked() -> None:
    steady, drifting = (records.make_point(search_settings={"nprobe": n}) for n in (1, 8))
    drifting.flags = ["single searches took 12% longer at times than at others"]
    for point, queries in ((steady, 1000), (drifting, 750)):
        point.latency["single"] |= {"samples": 1000, "distinct_queries": queries}
    said = caption(rows_of([records.make_record([steady, drifting])]))
    assert "1,000 timed calls of 750–1,000 different queries" in said[1]
    assert said[-1] == (
        "warning: ivf_flat nlist=64 nprobe=8: single searches took 12% longer at times than at others"
    )
    steady.flags = ["another"]
    said = caption(rows_of([records.make_record([steady, drifting])]))
    assert said[-1].startswith(
        "warning: timings of 2 of 2 points are in doubt; of the first, ivf_flat nlist=64"
    )


def test_a_caption_of_an_earlier_version_tells_nothing_of_queries() -> None:
    point = records.make_point()
    point.latency["single"].pop("distinct_queries", None)
    assert not any("timed calls" in line for line in caption(rows_of([records.make_record([point])])))
