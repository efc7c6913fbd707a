"""Which points may be compared, and what is said of them together."""

from __future__ import annotations

from typing import Any

import pytest

from lookalike.report.rows import caption, common_settings, comparable, heading, rows_of
from tests import records


def test_a_repeated_trial_counts_once_and_the_last_one_counts() -> None:
    first = records.make_record([records.make_point(p50_ms=1)], finished="2026-11-22T12:00:01+00:00")
    last = records.make_record([records.make_point(p50_ms=2)], finished="2026-11-22T12:00:02+00:00")
    assert [row.p50_ms for row in rows_of([last, first])] == [2]


@pytest.mark.parametrize(
    ("where", "name", "value", "told"),
    [
        ("environment", "cpu", "Another CPU", "cpu Another CPU"),
        ("data", "gallery_size", 9999, "gallery 9,999"),
        ("data", "protocol_description", "100 originals", "protocol 100 originals"),
        ("model", "name", "pixels", "model pixels"),
        ("data", "gallery_key", "other", ""),
    ],
)
def test_points_on_other_terms_stand_apart(where: str, name: str, value: object, told: str) -> None:
    other = records.make_record()
    getattr(other, where)[name] = value
    mixed = rows_of([records.make_record(), other])
    groups = comparable(mixed)
    assert [len(group) for group in groups] == [1, 1]
    assert heading(groups[1], among=mixed) == told


@pytest.mark.parametrize("changed", [{"k": 10}, {"latency": {"single": {"threads": 2}}}])
def test_another_k_or_thread_count_stands_apart(changed: dict[str, Any]) -> None:
    mixed = rows_of([records.make_record(), records.make_record([records.make_point(**changed)])])
    assert len(comparable(mixed)) == 2


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


def test_the_caption_states_the_terms_and_the_flags() -> None:
    record = records.make_record(timing={"flags": ["drift of 9 %"]})
    text = "\n".join(caption(rows_of([record])))
    for told in ("twemoji: 4,009 images", "1,400 queries (200 originals × 7 edits)", "k = 100", "1 thread"):
        assert told in text
    assert "Imaginary CPU 9000" in text and "warning: drift of 9 %" in text
