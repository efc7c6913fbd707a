"""Choosing a point so that what is chosen holds: with a margin, and not on what is then stated.

The best of many flatters itself twice: the recall and the latency that made it the best are luck in part. So
three quarters of the queries (by source) and every other turn of the timing choose, and the others state. And
a point that only just reaches a wished recall misses it as often as not: its confidence bound has to reach
it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean

import numpy as np

from lookalike.evaluate.intervals import Values, mean_intervals, numbered
from lookalike.report.rows import Row

TO_CHOOSE = 0.75
"""Of the sources of the queries. The bound needs them more than the mean that is stated from the others."""
MOST_TIMES = 64
"""As many times as many queries are tried, to say how many would decide."""


@dataclass(frozen=True)
class Sample:
    """One value a query; nan: the query does not count, as it chooses nothing or the measure says so."""

    values: Values
    sources: tuple[str, ...]
    """Per query, equal for those that may be alike."""


@dataclass(frozen=True)
class Wanted:
    """A mean that is asked for, and the sample that has to show it."""

    sample: Sample
    least: float

    @property
    def is_met(self) -> bool:
        """Whether the sample's own mean has it."""
        return float(np.nanmean(self.sample.values)) >= self.least


@dataclass(frozen=True)
class Sureness:
    """How far the means that are asked of one point are sure to reach."""

    bounds: tuple[float, ...]
    """One-sided lower confidence bounds of the means, at ``confidence``, in the order asked."""
    confidence: float
    is_sure: bool
    """Whether every bound reaches what is asked."""


def sureness(
    points: Sequence[Sequence[Wanted]], confidence: float, chains: Sequence[Sequence[int]] | None = None
) -> list[Sureness]:
    """Return of each point whether its means are all that is asked, for all points at once.

    With a chance of ``confidence`` no point is called sure that lacks any of it, however many points there
    are and however they depend on each other. ``chains`` has the places of points in an order that was known
    before (the settings of one index from slow to fast; None: each point stands alone): a point is tested
    once those before it in its chain are sure. Of c chains each has a confidence of 1 − (1 − confidence)/c;
    a chain that is sure to its end hands its part on to the others.

    Source: Bretz, Maurer, Brannath & Posch, A graphical approach to sequentially rejective multiple test
    procedures (2009), which of single points is Holm's (1979); of one point all bounds have to reach:
    Berger, Multiparameter Hypothesis Testing and Acceptance Sampling (1982). The bounds are those of
    :func:`lookalike.evaluate.intervals.mean_intervals`.
    """
    found: dict[int, Sureness] = {}
    left = [list(chain) for chain in chains or [[place] for place in range(len(points))] if chain]
    passed = True
    while left and passed:
        level, passed = 1 - (1 - confidence) / len(left), False
        tested = _at_level(points, left, level)
        found |= tested
        for chain in left:
            while chain and tested[chain[0]].is_sure:
                passed = True
                del chain[0]
            for place in chain:
                found[place] = replace(tested[place], is_sure=False)
        left = [chain for chain in left if chain]
    return [found[place] for place in range(len(points))]


def _at_level(
    points: Sequence[Sequence[Wanted]], chains: Sequence[Sequence[int]], level: float
) -> dict[int, Sureness]:
    """The bounds of each point, and whether they reach, whatever comes before it in its chain."""
    places = [place for chain in chains for place in chain]
    bounds = iter(lower_bounds([wanted.sample for place in places for wanted in points[place]], level))
    found = {}
    for place in places:
        own = tuple(next(bounds) for _ in points[place])
        reached = all(bound >= wanted.least for bound, wanted in zip(own, points[place], strict=True))
        found[place] = Sureness(own, level, reached)
    return found


def lower_bounds(samples: Sequence[Sample], confidence: float) -> list[float]:
    """Return a one-sided lower confidence bound of each sample's mean; 0 where nothing is known."""
    bounds = [0.0] * len(samples)
    alike: dict[tuple[str, ...], list[int]] = {}
    for place, sample in enumerate(samples):
        alike.setdefault(sample.sources, []).append(place)
    for sources, places in alike.items():
        columns = [samples[place].values for place in places]
        ends = mean_intervals(columns, sources, confidence=2 * confidence - 1)
        for place, low in zip(places, np.nan_to_num(ends[0]).tolist(), strict=True):
            bounds[place] = low
    return bounds


def times_to_decide(asked: Sequence[Wanted], confidence: float) -> int | None:
    """Return how many times as many queries like these would make a point sure, at least: a whole number.

    None: not even 64 times as many, or the means themselves do not reach what is asked.
    """
    if not all(wanted.is_met for wanted in asked):
        return None
    tried = range(2, MOST_TIMES + 1)
    place = bisect_left(tried, True, key=lambda times: _would_be_sure(asked, times, confidence))
    return tried[place] if place < len(tried) else None


def _would_be_sure(asked: Sequence[Wanted], times: int, confidence: float) -> bool:
    """Whether the samples ``times`` over, of as many times as many sources, would reach what is asked."""
    for wanted in asked:
        counted = ~np.isnan(wanted.sample.values)
        source, total = numbered(wanted.sample.sources)
        sources = (np.arange(times)[:, None] * total + source[counted]).ravel()
        values = np.tile(wanted.sample.values[counted], times)
        if not mean_intervals([values], sources, confidence=2 * confidence - 1)[0, 0] >= wanted.least:
            return False
    return True


@dataclass(frozen=True)
class Latency:
    """A percentile of single searches in milliseconds, apart for choosing and for stating."""

    choosing: float
    stated: float
    is_split: bool
    """Whether the samples that choose are not those that state."""
    margin: float = 1.0
    """How many times ``choosing`` the percentile may be with the confidence of a limit."""


def latency_of(row: Row, percentile: int, confidence: float = 0.95) -> Latency | None:
    """Return the latency of ``row``: every other turn of its timing chooses, the others state it.

    Where the final timing of a sweep stands, the timing by the jobs chooses and the final one states. Where
    only one turn was taken, or where the record does not know its turns, both are the percentile of all
    samples. None when single searches were not timed.
    """
    name = f"latency_single_p{percentile}_ms"
    whole = row.metric(name)
    if whole is None:
        return None
    if row.jobs is not None and (before := row.jobs.metric(name)) is not None:
        timing = row.jobs.point.latency.get("single", {})
        return Latency(
            before, whole, True, _margin(timing.get(f"p{percentile}_ms_interval"), before, confidence)
        )
    timing = row.point.latency.get("single", {})
    turns = timing.get(f"turn_p{percentile}_ms") or []
    margin = _margin(timing.get(f"p{percentile}_ms_interval"), whole, confidence)
    if len(turns) < 2:
        return Latency(whole, whole, False, margin)
    choosing, stated = split_turns(turns)
    return Latency(choosing, stated, True, 1 + (margin - 1) * 2**0.5)


def split_turns(turns: Sequence[float]) -> tuple[float, float]:
    """Return the mean over the turns that choose (the first, the third …) and over those that state."""
    return fmean(turns[::2]), fmean(turns[1::2])


def _margin(interval: Sequence[float] | None, value: float, confidence: float) -> float:
    """The upper half of the interval (of 95 %) of ``value``, relative to it, made one of ``confidence``."""
    if not interval or value <= 0:
        return 1.0
    scale = NormalDist().inv_cdf(confidence) / NormalDist().inv_cdf(0.975)
    return 1 + max(0.0, interval[1] / value - 1) * scale
