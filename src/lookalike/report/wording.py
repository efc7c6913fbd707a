"""Sentences of a recommendation: how sure the choice is, what is as good, what is cheaper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lookalike.evaluate.intervals import mean_intervals
from lookalike.evaluate.statistics import holm, paired_difference
from lookalike.report.candidates import Candidate, of_the_same_queries
from lookalike.report.choice import MOST_TIMES, Sureness, Wanted, times_to_decide
from lookalike.report.digits import interval_text, share_text
from lookalike.report.shares import MinShare

RUNNERS_UP = 8
"""Of the points that meet the requirements as well, so many are compared: each costs the others certainty."""
ALPHA = 0.05
WORTH_SAYING = 0.1
"""A cheaper point that loses more recall than this is not an alternative."""
CHEAPER = 0.5
"""Of the memory or the time: an alternative that saves less is not worth a sentence."""
NAMED = 3
"""So many equal points are named, the others counted."""


def stated_recall(
    chosen: Candidate, min_recall: float | None, name: str, sure: Sureness | None, confidence: float
) -> str:
    """Return on which queries it was chosen, and what it gives on the others."""
    if chosen.unseen is None:
        return (
            f"Its {name} is {share_text(chosen.to_choose)} over all queries. These runs kept no recall per "
            "query, so it was chosen and is stated on the same ones, which flatters it; run again to have "
            "them apart."
        )
    low, high = mean_intervals([chosen.unseen.values], chosen.unseen.sources)[:, 0].tolist()
    ends = "" if np.isnan(low) else f" ({interval_text(low, high)})"
    measured = share_text(chosen.to_choose)
    if sure is not None and min_recall is not None:
        measured += (
            f", at least {share_text(sure.bounds[0])} with {confidence:.0%} confidence for all points at once"
        )
    text = (
        f"Chosen on three quarters of the queries ({measured}); "
        f"on the other quarter its {name} is {share_text(chosen.stated)}{ends}"
    )
    if min_recall is not None and chosen.stated < min_recall:
        if high < min_recall:
            return f"{text}, which is below what was asked: take a point with more to spare."
        return f"{text}, below what was asked by no more than so few queries leave open."
    return f"{text}."


def stated_latency(chosen: Candidate, was_chosen: bool, max_p95_ms: float | None) -> list[str]:
    """Return which turns of the timing the latency is from; nothing where there was no choice."""
    if not was_chosen:
        return []
    if not chosen.p50.is_split:
        return [
            "Its latency was chosen and is stated on the same samples, taken in one turn, which flatters it "
            "by some percent."
        ]
    if chosen.row.final:
        return [
            "Its latency is from the final timing of the sweep; the jobs' own timing chose.",
            *_p95_is_above(chosen, max_p95_ms),
        ]
    over_all = chosen.row.p50_ms or 0
    text = (
        f"Its latency is from the turns of the timing that did not choose it; over all turns, "
        f"as in the table, its median is {over_all:.3g} ms"
    )
    return [f"{text}.", *_p95_is_above(chosen, max_p95_ms)]


def _p95_is_above(chosen: Candidate, max_p95_ms: float | None) -> list[str]:
    if max_p95_ms is None or chosen.p95 is None or chosen.p95.stated <= max_p95_ms:
        return []
    return ["Its p95 there is above what was asked: take a point with more to spare."]


def doubts(chosen: Candidate | None, left_out: Sequence[Candidate]) -> list[str]:
    """Return why the chosen point's timing is doubtful, or which points were left out for theirs."""
    if chosen is not None and chosen.row.doubts:
        return [f"Its timing is in doubt: {_sentence(chosen.row.doubts[0])}"]
    if not left_out:
        return []
    points = "1 point is" if len(left_out) == 1 else f"{len(left_out)} points are"
    first = left_out[0].row
    return [f"{points} left out, the timing in doubt ({first.point.label}: {first.doubts[0].rstrip('.')})."]


@dataclass(frozen=True)
class Unsure:
    """A point that has what is asked on the queries that choose, but not beyond doubt."""

    candidate: Candidate
    asked: tuple[Wanted, ...]
    sure: Sureness


def unsure(found: Sequence[Unsure], chosen: Candidate | None) -> list[str]:
    """Return the fastest point that would do but is not sure to, and how many queries would decide.

    Of those that are faster than the chosen one; of all when there is none.
    """
    faster = [each for each in found if chosen is None or each.candidate.p50.choosing < chosen.p50.choosing]
    if not faster:
        return []
    near = min(faster, key=lambda each: each.candidate.p50.choosing)
    row = near.candidate.row
    begin = "The nearest is" if chosen is None else "Faster, but not sure to meet it:"
    measured = ", ".join(
        f"{share_text(float(np.nanmean(wanted.sample.values)))} measured, {share_text(bound)} for sure"
        for wanted, bound in zip(near.asked, near.sure.bounds, strict=True)
    )
    return [
        f"{begin} {row.point.label}, {costs(near.candidate)}: {measured} on the queries that choose. "
        + _enough(near)
    ]


def _enough(near: Unsure) -> str:
    """How many queries would decide."""
    if any(wanted.least >= 1 for wanted in near.asked):
        return "No number of queries can show that nothing is ever missed."
    answers = near.candidate.answers
    asked = 0 if answers is None else len(answers.values)
    times = times_to_decide(near.asked, near.sure.confidence)
    if times is None:
        return f"Not even {MOST_TIMES} times the {asked:,} queries would decide."
    return f"About {_round(times * asked)} queries would decide, where {asked:,} were asked."


def stated_shares(chosen: Candidate, required: Sequence[MinShare], measure: str, k: int) -> list[str]:
    """Return what the queries that chose nothing say of each share that was required."""
    lines = []
    unseen = chosen.unseen
    for each in required:
        share = each.of(None if unseen is None else unseen.values, chosen.row, measure, k)
        where = "over all queries" if unseen is None else "on the other quarter of the queries"
        if share is not None:
            below = "" if share >= each.share else ", fewer than was asked"
            lines.append(f"It has {each.least:g} or more for {share:.2%} {where}{below}.")
    return lines


def equals(chosen: Candidate, candidates: Sequence[Candidate]) -> list[str]:
    """Return which points are not distinguishable from the chosen one in both latency and recall."""

    def ends(value: float, interval: tuple[float, float] | None) -> tuple[float, float]:
        return interval or (value, value)

    def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
        return one[0] <= other[1] and other[0] <= one[1]

    def is_equal(other: Candidate) -> bool:
        speeds = [ends(each.row.p50_ms or 0, each.row.p50_interval) for each in (chosen, other)]
        recalls = [ends(each.to_choose, each.interval) for each in (chosen, other)]
        return overlap(*speeds) and overlap(*recalls)

    alike = [other for other in candidates if other is not chosen and is_equal(other)]
    alike.sort(key=lambda other: other.p50.choosing)
    if not alike:
        return []
    told = "; ".join(
        f"{each.row.point.label} ({each.p50.stated:.3g} ms, {share_text(each.stated)})"
        for each in alike[:NAMED]
    )
    more = f" and {len(alike) - NAMED} more" if len(alike) > NAMED else ""
    return [f"As good, as far as was measured (intervals of latency and recall overlap): {told}{more}."]


def alternatives(chosen: Candidate, candidates: Sequence[Candidate], name: str) -> list[str]:
    """Return what half of a cost would lose, and what the last of the recall would cost."""
    lines = []
    prices: list[tuple[str, Callable[[Candidate], float | None], Callable[[Candidate], float | None]]] = [
        ("the memory", lambda c: c.gigabytes, lambda c: c.gigabytes),
        ("the time", lambda c: c.p50.choosing, lambda c: c.p50.stated),
    ]
    for words, choosing, stated in prices:
        mine = choosing(chosen)
        cheap = [c for c in candidates if mine and (theirs := choosing(c)) and theirs <= CHEAPER * mine]
        best = max(cheap, key=lambda c: c.to_choose, default=None)
        if best is not None and chosen.to_choose - best.to_choose <= WORTH_SAYING:
            share = (stated(best) or 0) / (stated(chosen) or 1)
            lines.append(
                f"{share:.0%} of {words} for {points(best.stated - chosen.stated)}: "
                f"{best.row.point.label}, {costs(best)}."
            )
    highest = max(c.to_choose for c in candidates)
    best = min((c for c in candidates if c.to_choose == highest), key=lambda c: c.p50.choosing)
    if best is not chosen and best.to_choose > chosen.to_choose:
        lines.append(
            f"The highest {name} here is {share_text(best.stated)} ({points(best.stated - chosen.stated)}): "
            f"{best.row.point.label}, {costs(best)}."
        )
    return lines


def runners_up(chosen: Candidate, meeting: Sequence[Candidate]) -> list[str]:
    """Return which of the next ones differ in recall, query by query where neither was chosen."""
    others = sorted((c for c in meeting if c is not chosen), key=lambda c: c.p50.choosing)
    mine = chosen.unseen
    paired = [
        (other, theirs)
        for other in others
        if (theirs := other.unseen) is not None and of_the_same_queries(chosen, other)
    ][:RUNNERS_UP]
    if mine is None or not paired:
        return []
    differences = [paired_difference(theirs.values, mine.values, mine.sources) for _, theirs in paired]
    adjusted = holm([difference.p_value for difference in differences])
    alike, apart = [], []
    for (other, _), difference, p in zip(paired, differences, adjusted, strict=True):
        label, slower = other.row.point.label, other.p50.stated / (chosen.p50.stated or 1)
        if p >= ALPHA:
            alike.append(f"{label} (×{slower:.2g} the time)")
        else:
            apart.append(f"{label} ({points(difference.mean)} at ×{slower:.2g} the time, p = {p:.2g})")
    lines = []
    if alike:
        lines.append(f"Not distinguishable in recall from {'; '.join(alike)}.")
    if apart:
        lines.append(f"Different in recall: {'; '.join(apart)}.")
    lines.append(
        f"Compared query by query with {len(paired)} of {len(others)} runners-up "
        f"(paired permutation test on the other quarter, Holm-corrected, α = {ALPHA:g})."
    )
    return lines


def costs(candidate: Candidate) -> str:
    """``2.1 ms (p95 3.0), 3.1 GB``: the latency as it is stated."""
    p95, size = candidate.p95, candidate.gigabytes
    tail = "" if p95 is None else f" (p95 {p95.stated:.3g})"
    memory = "" if size is None else f", {size:.3g} GB" if size >= 1 else f", {size * 1e3:.3g} MB"
    return f"{candidate.p50.stated:.3g} ms{tail}{memory}"


def points(difference: float) -> str:
    """``−0.4 points``: hundredths of recall."""
    shown = round(100 * difference, 1)
    return "no loss" if shown == 0 else f"{shown:+.1f} points".replace("-", "−")


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _round(queries: float) -> str:
    """``2,400``: to two figures, as more would be a promise."""
    return f"{int(float(f'{queries:.2g}')):,}"
