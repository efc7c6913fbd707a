"""Points that are sure, all at once; queries that would decide; turns that choose and turns that state."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.evaluate.intervals import mean_interval
from lookalike.report.choice import Sample, Wanted, split_turns, sureness, times_to_decide


def asked(hits: int, of: int = 1000, least: float = 0.95) -> list[Wanted]:
    """So many of as many queries hit, each of a source of its own."""
    values = np.zeros(of)
    values[:hits] = 1
    return [Wanted(Sample(values, tuple(map(str, range(of)))), least)]


def low(hits: int, level: float) -> float:
    [wanted] = asked(hits)
    return mean_interval(wanted.sample.values, wanted.sample.sources, confidence=2 * level - 1)[0]


def test_of_many_points_each_has_to_be_surer() -> None:
    """963 of 1,000 is .95 or more with 95 % confidence by itself, and not among twenty others."""
    [alone] = sureness([asked(963)], 0.95)
    assert alone.is_sure and alone.bounds == pytest.approx((low(963, 0.95),))
    first, *_ = sureness([asked(963), *[asked(940)] * 20], 0.95)
    assert not first.is_sure and first.confidence == pytest.approx(1 - 0.05 / 21)


def test_once_some_are_sure_the_others_are_looked_at_again() -> None:
    """Among three the second is not sure at 1 − .05/3; with two that are sure beforehand it is."""
    assert low(964, 1 - 0.05 / 3) < 0.95 <= low(964, 0.95)
    assert [sure.is_sure for sure in sureness([asked(964), asked(1000), asked(999)], 0.95)] == [True] * 3


def test_a_chain_of_settings_needs_no_correction_and_stops_where_one_fails() -> None:
    points = [asked(963), asked(930), asked(980), asked(990)]
    slow_to_fast = [[3, 2, 0, 1]]
    assert [sure.is_sure for sure in sureness(points, 0.95, slow_to_fast)] == [True, False, True, True]
    stopped = sureness(points, 0.95, [[1, 3, 2, 0]])
    assert [sure.is_sure for sure in stopped] == [False] * 4, "none is tested behind one that failed"
    assert stopped[3].bounds[0] > 0.95, "its bound is told all the same"
    assert low(963, 0.975) < 0.95
    handed_on = sureness([asked(1000), asked(963)], 0.95, [[0], [1]])
    assert handed_on[1].confidence == pytest.approx(0.95) and handed_on[1].is_sure


def test_everything_that_is_asked_of_a_point_has_to_be_sure() -> None:
    assert sureness([asked(990) + asked(990)], 0.95)[0].is_sure
    assert not sureness([asked(990) + asked(955)], 0.95)[0].is_sure
    assert sureness([], 0.95) == []


def test_so_many_queries_would_decide() -> None:
    times = times_to_decide(asked(96, 100), 0.95)
    assert times is not None and 5 < times < 30
    assert sureness([asked(96 * times, 100 * times)], 0.95)[0].is_sure
    assert not sureness([asked(48 * times, 50 * times)], 0.95)[0].is_sure, "half of them would not do"
    assert times_to_decide(asked(94, 100), 0.95) is None, "more of the same would not do"
    assert times_to_decide(asked(951), 0.95) is None


def test_every_other_turn_chooses() -> None:
    assert split_turns([1.0, 10.0, 2.0, 20.0, 3.0]) == (2.0, 15.0)
