"""Which points' classes are shown, how many, and what a terminal is told."""

from __future__ import annotations

from lookalike.report.classes import MOST_POINTS, PRINTED, classes_payload, most_confused, worst_classes
from lookalike.report.recommend import Advice
from lookalike.report.rows import rows_of
from tests.records import make_by_class, make_ladder, make_record


def test_the_recommended_point_comes_first_then_the_front_from_exact_to_fast() -> None:
    points = make_ladder("ivf_flat", "nprobe", [1, 8, 32])
    for point in points:
        point.by_class = make_by_class("cat", "dog")
    rows = rows_of([make_record(points)])
    payload = classes_payload([(Advice(rows[1], ""), rows)], rows)
    assert [page["point"] for page in payload["pages"]] == [1, 2, 0]
    assert payload["pages"][0]["worst"][0]["name"] == "cat" and payload["left_out"] == 0


def test_points_without_classes_are_passed_over_and_a_page_holds_so_many() -> None:
    points = make_ladder("ivf_flat", "nprobe", list(range(1, MOST_POINTS + 5)))
    for point in points[1:]:
        point.by_class = make_by_class("cat", "dog")
    rows = rows_of([make_record(points)])
    payload = classes_payload([(Advice(rows[0], ""), rows)], rows)
    assert 0 not in [page["point"] for page in payload["pages"]]
    assert (len(payload["pages"]), payload["left_out"]) == (MOST_POINTS, 3)
    assert classes_payload([], rows) == {"pages": [], "left_out": 0}


def test_a_terminal_gets_some_of_them() -> None:
    by_class = make_by_class(*(f"class {number}" for number in range(20)))
    heads, lines = worst_classes(by_class)
    assert len(lines) == PRINTED and all(len(line) == len(heads) for line in lines)
    assert lines[0] == ["class 0", "10", "12", "0.000", "class 19 (3)"]
    heads, lines = most_confused(by_class)
    assert len(lines) == PRINTED and lines[0] == ["3", "class 0", "class 19"] and len(heads) == 3
